# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of an OS layer version: its VMDK in the repository, and the index of its grains."""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog import layer_store
from ..common.optional_imports import np
from ..disk.grains import GrainIndex
from ..disk.vmdk_layout import SECTOR
from ..disk.vmdk_stream import GrainSource, StreamPlan
from ..layers.layer_version import ROLE_DISK, ROLE_GRAINS
from ..repository.blobs import Descriptor
from ..repository.repository import Repository
from .thin_disk import ThinDisk

VMDK_TYPE = "application/vnd.strata.disk.v1+vmdk"
INDEX_TYPE = "application/vnd.strata.disk.grain-index.v1"
_MAX_INDEX = 1 << 31


@dataclass(frozen=True)
class OsDisk:
    """``digest`` is that of the layer version's manifest, ``vmdk`` and ``index`` its two blobs."""

    digest: str
    vmdk: Descriptor
    index: Descriptor

    @classmethod
    def of(cls, repository: Repository, digest: str) -> OsDisk:
        """The disk of the OS layer version ``digest``; NotFound when that has none."""
        layer = layer_store.load_version(repository, digest)
        return cls(
            digest,
            Descriptor(*layer_store.role_blob(layer, ROLE_DISK)),
            Descriptor(*layer_store.role_blob(layer, ROLE_GRAINS)),
        )

    def load_index(self, repository: Repository) -> GrainIndex:
        """The index of the VMDK's grains."""
        return GrainIndex.from_bytes(
            repository.layout.blobs.read(self.index, _MAX_INDEX), f"The grain index {self.index.digest[:19]}"
        )

    def open(self, repository: Repository) -> ThinDisk:
        """The disk as a read-only device."""
        index = self.load_index(repository)
        plan = StreamPlan(
            index.capacity,
            index.numbers,
            np.zeros(len(index), dtype=np.uint8),
            index.sectors.astype(np.uint64) * SECTOR,
            index.sizes,
        )
        return ThinDisk(
            f"the OS layer disk {self.digest[:19]}", plan, [GrainSource(repository.layout.blob_path(self.vmdk))]
        )
