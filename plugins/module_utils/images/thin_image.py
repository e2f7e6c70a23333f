# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin images in the repository: a base disk by digest, and the grains that differ.

A thin image is an OCI manifest with the artifactType below. Its layers are the base's
VMDK and grain index, the grain map, and the grain blobs in the order in which the map
counts them; its config says what it was composed of. The VMDK itself exists only as a
stream, whose length is known before it begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..common.errors import Corrupt
from ..common.optional_imports import np
from ..common.progress import Progress, silent
from ..disk.grains import GrainIndex
from ..disk.vmdk_layout import SECTOR
from ..disk.vmdk_stream import GrainSource, StreamPlan
from ..repository.blobs import Descriptor
from ..repository.repository import Repository
from . import grain_map
from .grain_map import GrainMap
from .os_disk import OsDisk
from .thin_disk import ThinDisk

ARTIFACT_TYPE = "application/vnd.strata.image.v1+json"
CONFIG_TYPE = "application/vnd.strata.image.config.v1+json"
GRAINS_TYPE = "application/vnd.strata.image.grains.v1"
#: A thin image draws on at most so many blobs before it is composed from its base again; one that grew upon another may have one more.
MAX_GRAIN_BLOBS = 16
_MAX_CONFIG = 1 << 20


@dataclass
class ThinImage:
    """A thin image that is in the repository.

    ``config`` holds content_digest, os_layer, layers, disk_size and statistics of composing;
    ``manifest`` names it, ``blobs`` are its grain blobs.
    """

    repository: Repository
    manifest: Descriptor
    config: dict
    base: OsDisk
    base_index: GrainIndex
    map: GrainMap
    blobs: tuple[Descriptor, ...]

    @property
    def content_digest(self) -> str:
        """The digest over everything that decides the disk's content."""
        return self.config["content_digest"]

    @property
    def capacity(self) -> int:
        """Size of the disk in bytes."""
        return self.map.capacity

    def plan(self) -> StreamPlan:
        """Where every grain stands; source 0 is the base's VMDK, the others are the grain blobs."""
        numbers, sources, sectors, sizes, _digests = self.map.resolve(self.base_index)
        return StreamPlan(self.capacity, numbers, sources.astype(np.uint8), sectors.astype(np.uint64) * SECTOR, sizes)

    def grain_digests(self) -> tuple:
        """``(numbers, digests)`` of every grain that holds data, u32 (n,) and u8 (n, 16)."""
        numbers, _sources, _sectors, _sizes, digests = self.map.resolve(self.base_index)
        return numbers, digests

    def open_sources(self, progress: Progress = silent) -> list[GrainSource]:
        """Open base and grain blobs, verified; the caller closes them (ThinDisk does)."""
        opened: list[GrainSource] = []
        try:
            for blob in (self.base.vmdk, *self.blobs):
                opened.append(GrainSource(self.repository.layout.blob_path(blob, progress)))
        except BaseException:
            for source in opened:
                source.close()
            raise
        return opened

    def open_disk(self) -> ThinDisk:
        """The image as a read-only device."""
        return ThinDisk(f"the image {self.content_digest[:19]}", self.plan(), self.open_sources())

    def stream(self) -> tuple[int, Iterator[memoryview]]:
        """Length in bytes and chunks of the stream-optimized VMDK; each chunk is valid until the next is asked for."""
        plan = self.plan()
        return plan.length, self._chunks(plan)

    def _chunks(self, plan: StreamPlan) -> Iterator[memoryview]:
        sources = self.open_sources()
        try:
            yield from plan.stream(sources)
        finally:
            for source in sources:
                source.close()


def reference_of(content_digest: str) -> str:
    """The name in the repository's index of the thin image of a content digest."""
    return "image/" + content_digest.partition(":")[2]


def save(
    repository: Repository, base: OsDisk, mapping: GrainMap, blobs: Sequence[Descriptor], config: dict
) -> Descriptor:
    """Store a composed image, whose grain blobs are stored already, and name it; returns its manifest."""
    layout = repository.layout
    config_blob = layout.put_blob(json.dumps(config, sort_keys=True, indent=1).encode(), CONFIG_TYPE)
    map_blob = layout.put_blob(mapping.to_bytes(), grain_map.MEDIA_TYPE)
    return layout.put_manifest(
        config_blob,
        [base.vmdk, base.index, map_blob, *blobs],
        annotations={"org.opencontainers.image.base.digest": base.digest},
        artifact_type=ARTIFACT_TYPE,
        reference=reference_of(config["content_digest"]),
    )


def stored(repository: Repository) -> list[str]:
    """The content digests of all thin images in the repository."""
    return ["sha256:" + name.partition("/")[2] for name in repository.layout.references() if name.startswith("image/")]


def read_config(repository: Repository, content_digest: str) -> dict:
    """The config of a thin image; NotFound when it is not in the repository, Corrupt when it is damaged."""
    document = repository.layout.manifest(reference_of(content_digest))
    try:
        config = json.loads(repository.layout.blobs.read(Descriptor.from_json(document["config"]), _MAX_CONFIG))
        known = (
            isinstance(config, dict)
            and config["content_digest"] == content_digest
            and isinstance(config["os_layer"]["digest"], str)
        )
        if known and isinstance(config["layers"], list) and document.get("artifactType") == ARTIFACT_TYPE:
            return config
    except (ValueError, KeyError, TypeError):
        pass
    raise _damaged(document["digest"], "its config is not that of the image asked for")


def load(repository: Repository, content_digest: str) -> ThinImage | None:
    """The thin image of a content digest, None when it has not been composed (or was collected)."""
    layout = repository.layout
    manifest = layout.references().get(reference_of(content_digest))
    if manifest is None:
        return None
    config = read_config(repository, content_digest)
    layers = [Descriptor.from_json(item) for item in layout.manifest(manifest.digest)["layers"]]
    if not 3 <= len(layers) <= 3 + MAX_GRAIN_BLOBS + 1:
        raise _damaged(manifest.digest, "its manifest does not list the blobs of a thin image")
    base = OsDisk(config["os_layer"]["digest"], layers[0], layers[1])
    mapping = GrainMap.from_bytes(
        layout.blobs.read(layers[2], 1 << 31), f"The grain map of the image {content_digest[:19]}"
    )
    if mapping.blob_count != len(layers) - 3:
        raise _damaged(manifest.digest, "its grain map counts other blobs than it has")
    return ThinImage(repository, manifest, config, base, base.load_index(repository), mapping, tuple(layers[3:]))


def _damaged(digest: str, why: str) -> Corrupt:
    return Corrupt(
        f"The thin image {digest[:19]} is damaged: {why}.",
        code="images.corrupt",
        hint="Remove it with strata.layering.repository and publish again.",
        digest=digest,
    )
