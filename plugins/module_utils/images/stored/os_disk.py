# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of an OS layer version: its VMDK in the repository, the index of its grains, and its Windows volume."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from ...catalog import layer_store
from ...common.errors import InternalError, InvalidInput
from ...common.optional_imports import np
from ...disk.grains import GrainIndex
from ...disk.vmdk_layout import SECTOR
from ...disk.vmdk_stream import GrainSource, StreamPlan
from ...layers.layer_version import ROLE_DISK, ROLE_GRAINS
from ...ntfs.volume import Volume
from ...repository.blobs import BlobWriter, Descriptor
from ...repository.repository import Repository
from ...windows.partition import windows_window
from .thin_disk import ThinDisk

VMDK_TYPE = "application/vnd.strata.disk.v1+vmdk"
INDEX_TYPE = "application/vnd.strata.disk.grain-index.v1"
_MAX_INDEX = 1 << 31


@dataclass(frozen=True)
class OsDisk:
    """The disk of a layer version: the digest of the version's manifest, and the blobs ``vmdk`` and ``index``."""

    digest: str
    vmdk: Descriptor
    index: Descriptor

    @classmethod
    def load(cls, repository: Repository, digest: str) -> OsDisk:
        """Return the disk of the OS layer version ``digest``; raise NotFound if it has no disk."""
        layer = layer_store.load_version(repository, digest)
        return cls(
            digest,
            Descriptor(*layer_store.role_blob(layer, ROLE_DISK)),
            Descriptor(*layer_store.role_blob(layer, ROLE_GRAINS)),
        )

    def load_index(self, repository: Repository) -> GrainIndex:
        """Return the index of the VMDK's grains."""
        return GrainIndex.from_bytes(
            repository.layout.blobs.read(self.index, _MAX_INDEX), f"The grain index {self.index.digest[:19]}"
        )

    def open(self, repository: Repository) -> ThinDisk:
        """Open the disk as a read-only device."""
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


def disk_size(requested: int | None, base_size: int, os_layer: str) -> int:
    """Return the size in bytes of an image's disk; ``base_size`` is the size of the disk of ``os_layer``, a label.

    ``requested`` is the size that the template sets, None for the size of the OS layer.

    Raises:
        InvalidInput images.disk_size: the disk of the image would be smaller than that of the OS layer.
    """
    size = requested or base_size
    if size < base_size:
        raise InvalidInput(
            f"The disk of the image cannot have {size / (1 << 30):g} GiB: "
            f"the disk of the {os_layer} has {base_size / (1 << 30):g} GiB.",
            code="images.disk_size",
            hint=f"Set disk_size_gb of the image template to {-(-base_size >> 30)} or more, or omit it.",
        )
    return size


def stored_descriptor(writer: BlobWriter) -> Descriptor:
    """Return the descriptor of a blob whose writer has been closed."""
    if writer.descriptor is None:
        raise InternalError("A blob is used before it was stored.", code="images.blob_not_stored")
    return writer.descriptor


def windows_partition_number(repository: Repository, digest: str) -> int:
    """Return the number of the Windows partition on the disk of the OS layer version ``digest``."""
    return layer_store.load_version(repository, digest).facts["disk"]["partition"]


def mount_os_layer(repository: Repository, digest: str, stack: ExitStack) -> Volume:
    """Mount the Windows volume of the OS layer version ``digest`` for reading, until ``stack`` is closed."""
    disk = stack.enter_context(OsDisk.load(repository, digest).open(repository))
    window = windows_window(disk, windows_partition_number(repository, digest))
    return stack.enter_context(Volume.mount(window))
