# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin images in the repository: a base disk by digest, and the grains that differ.

A thin image is an OCI manifest with the artifactType below. Its layers are the base's VMDK and grain
index, the grain map, and the grain blobs in the order in which the map counts them; its config is
described in ``compose_config``. The VMDK of the image exists only as a stream, whose length is known
in advance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common.errors import Corrupt
from ...common.optional_imports import np
from ...common.progress import Progress, silent
from ...disk.grains import GrainDigests, GrainIndex
from ...disk.vmdk_layout import SECTOR
from ...disk.vmdk_stream import GrainSource, StreamPlan
from ...repository.blobs import Descriptor
from ...repository.repository import Repository
from . import grain_map
from .compose_config import ComposeConfig
from .grain_map import GrainMap
from .thin_disk import ThinDisk

if TYPE_CHECKING:
    from .os_disk import OsDisk

ARTIFACT_TYPE = "application/vnd.strata.image.v1+json"
CONFIG_TYPE = "application/vnd.strata.image.config.v1+json"
GRAINS_TYPE = "application/vnd.strata.image.grains.v1"
#: Grain blobs of a thin image from which incremental composing starts; a grown image can have one blob more.
MAX_GRAIN_BLOBS = 16
_MAX_CONFIG = 1 << 20


@dataclass
class ThinImage:
    """A stored thin image; ``manifest`` identifies it, ``blobs`` are its grain blobs."""

    repository: Repository
    manifest: Descriptor
    config: ComposeConfig
    base: OsDisk
    base_index: GrainIndex
    map: GrainMap
    blobs: tuple[Descriptor, ...]

    @property
    def content_digest(self) -> str:
        """The digest of everything that determines the content of the disk."""
        return self.config.content_digest

    @property
    def capacity(self) -> int:
        """Size of the disk in bytes."""
        return self.map.capacity

    def plan(self) -> StreamPlan:
        """Return the location of every grain; source 0 is the VMDK of the base, the others are the grain blobs."""
        numbers, sources, sectors, sizes, _digests = self.map.resolve(self.base_index)
        return StreamPlan(self.capacity, numbers, sources.astype(np.uint8), sectors.astype(np.uint64) * SECTOR, sizes)

    def grain_digests(self) -> GrainDigests:
        """Return the digests of every grain that holds data."""
        numbers, _sources, _sectors, _sizes, digests = self.map.resolve(self.base_index)
        return GrainDigests(numbers, digests, self.base_index.algorithm)

    def open_sources(self, progress: Progress = silent) -> list[GrainSource]:
        """Open base and grain blobs and verify them; the caller closes them."""
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
        """Open the image as a read-only device."""
        return ThinDisk(f"the image {self.content_digest[:19]}", self.plan(), self.open_sources())

    def stream(self) -> tuple[int, Iterator[memoryview]]:
        """Return the length in bytes and the chunks of the stream-optimized VMDK; a chunk is valid until the next is requested."""
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
    """Return the reference of the thin image of a content digest in the repository's index."""
    return "image/" + content_digest.partition(":")[2]


def save(
    repository: Repository, base: OsDisk, mapping: GrainMap, blobs: Sequence[Descriptor], config: ComposeConfig
) -> Descriptor:
    """Store a composed image, whose grain blobs are already stored, with its reference; return its manifest."""
    layout = repository.layout
    config_blob = layout.put_blob(json.dumps(config.to_dict(), sort_keys=True, indent=1).encode(), CONFIG_TYPE)
    map_blob = layout.put_blob(mapping.to_bytes(), grain_map.MEDIA_TYPE)
    return layout.put_manifest(
        config_blob,
        [base.vmdk, base.index, map_blob, *blobs],
        annotations={"org.opencontainers.image.base.digest": base.digest},
        artifact_type=ARTIFACT_TYPE,
        reference=reference_of(config.content_digest),
    )


def stored(repository: Repository) -> list[str]:
    """Return the content digests of all thin images in the repository."""
    return ["sha256:" + name.partition("/")[2] for name in repository.layout.references() if name.startswith("image/")]


def read_config(repository: Repository, content_digest: str) -> ComposeConfig:
    """Return the config of a thin image.

    Raises:
        NotFound: the repository does not contain the image.
        Corrupt images.corrupt: the config is damaged; the message names the field.
    """
    document = repository.layout.manifest(reference_of(content_digest))
    if document.get("artifactType") != ARTIFACT_TYPE:
        raise _damaged(content_digest, "its manifest is not that of a thin image")
    data = repository.layout.blobs.read(Descriptor.from_json(document["config"]), _MAX_CONFIG)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged(content_digest, "its config is not JSON") from None
    try:
        return ComposeConfig.from_dict(value, content_digest)
    except Corrupt as error:
        raise Corrupt(error.message, code="images.corrupt", hint=_HINT, **error.details) from None


def load(repository: Repository, content_digest: str) -> ThinImage | None:
    """Return the thin image of a content digest, None if the repository does not contain it.

    Raises:
        Corrupt images.corrupt, images.grain_map: the image is damaged.
    """
    from .os_disk import OsDisk

    layout = repository.layout
    manifest = layout.references().get(reference_of(content_digest))
    if manifest is None:
        return None
    config = read_config(repository, content_digest)
    layers = [Descriptor.from_json(item) for item in layout.manifest(manifest.digest)["layers"]]
    if not 3 <= len(layers) <= 3 + MAX_GRAIN_BLOBS + 1:
        raise _damaged(
            content_digest, f"its manifest lists {len(layers)} blobs instead of 3 to {3 + MAX_GRAIN_BLOBS + 1}"
        )
    base = OsDisk(config.os_layer.digest, layers[0], layers[1])
    mapping = GrainMap.from_bytes(
        layout.blobs.read(layers[2], 1 << 31), f"The grain map of the image {content_digest[:19]}"
    )
    if mapping.blob_count != len(layers) - 3:
        raise _damaged(
            content_digest, f"its grain map uses {mapping.blob_count} blobs, its manifest lists {len(layers) - 3}"
        )
    index = base.load_index(repository)
    if len(mapping) and mapping.algorithm is not index.algorithm:
        raise _damaged(
            content_digest,
            f"its grain map has {mapping.algorithm.name} digests, its OS layer has {index.algorithm.name} digests",
        )
    return ThinImage(repository, manifest, config, base, index, mapping, tuple(layers[3:]))


_HINT = "Remove the image with strata.layering.repository and publish it again."


def _damaged(content_digest: str, problem: str) -> Corrupt:
    return Corrupt(
        f"The thin image {content_digest[:19]} is damaged: {problem}.",
        code="images.corrupt",
        hint=_HINT,
        digest=content_digest,
    )
