# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Composing: an OS layer's disk with layers put on it becomes a thin image in the repository.

The work runs in a child process, because libntfs-3g runs inside it; a crash of the
library becomes an error here. The base is never written: changes go to a copy-on-write
device, and only the grains that differ in the end are compressed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from ..common.errors import InvalidInput
from ..common.libraries import np
from ..common.progress import Progress, silent
from ..disk import partitions
from ..disk.encode import encode_grains
from ..disk.overlay import CopyOnWriteDevice
from ..layers.archive import ArchiveReader
from ..layers.index import Record, load_index
from ..ntfs import resize
from ..ntfs.guard import run_guarded
from ..ntfs.volume import Volume
from ..repository.blobs import Descriptor
from ..repository.repository import Repository
from . import thin_image
from .apply import Applier
from .free_grains import free_grains
from .grain_map import GrainMap, zero_digests
from .merge import merge
from .os_disk import OsDisk
from .thin_image import ThinImage


@dataclass(frozen=True)
class StackedLayer:
    """One layer to be applied: how messages name it, its archive and its file index."""

    label: str
    archive: Descriptor
    index: Descriptor


@dataclass(frozen=True)
class Composition:
    """What to compose. ``partition`` is the number of Windows' partition, ``disk_size`` the image's
    size in bytes or None for the base's; ``config`` is kept with the image and holds content_digest."""

    base: OsDisk
    partition: int
    layers: tuple[StackedLayer, ...]
    disk_size: int | None
    config: dict


def compose(repository: Repository, composition: Composition, *, progress: Progress = silent) -> ThinImage:
    """Return the thin image of a composition, composing it unless it is in the repository already.

    Raises what applying raises, Corrupt for a damaged base, NoSpace when the image or the
    repository's disk is too small. Nothing that is half made can be seen afterwards.
    """
    digest = composition.config["content_digest"]
    with repository.locks.hold(f"compose/{digest}", timeout=3600, purpose="compose an image"):
        found = thin_image.load(repository, digest)
        if found is None:
            run_guarded(_compose, repository, composition, what="the image's disk", progress=progress)
            found = thin_image.load(repository, digest)
    return found


def read_stack(repository: Repository, layers: Sequence[StackedLayer]) -> list[list[Record]]:
    """The file indexes of a stack, lowest first."""
    records = []
    for layer in layers:
        with repository.layout.open_blob(layer.index) as stream:
            records.append(load_index(stream))
    return records


def _compose(repository: Repository, composition: Composition, *, progress: Progress = silent) -> None:
    scratch = os.path.join(repository.path, "tmp")
    with ExitStack() as stack:
        base = stack.enter_context(composition.base.open(repository))
        base_index = composition.base.load_index(repository)
        size = composition.disk_size or base.size
        if size < base.size:
            raise InvalidInput(
                f"The image's disk cannot have {size >> 30} GiB, because the OS layer's has {base.size / (1 << 30):g} GiB.",
                code="image.disk_size",
                hint="Raise disk_size_gb of the template or leave it out.",
            )
        device = stack.enter_context(CopyOnWriteDevice(base, scratch, size=size))
        window = windows_partition(device, composition.partition, size > base.size)
        with Volume.mount(window, writable=True) as volume:
            records = read_stack(repository, composition.layers)
            tree = merge([(layer.label, [record.entry for record in found]) for layer, found in zip(composition.layers, records)], volume.upcase)
            archives = [lambda blob=layer.archive: _open_archive(repository, blob, stack) for layer in composition.layers]
            applied = Applier(volume, tree).run(archives, progress)
            bitmap, cluster_size, cluster_count = volume.allocated_clusters(), volume.cluster_size, volume.cluster_count
        free = free_grains(bitmap, cluster_size, cluster_count, window.offset, size)
        store_changes(repository, composition, device, base_index, free, asdict(applied), progress)


def windows_partition(device: CopyOnWriteDevice, number: int, grown: bool) -> partitions.Window:
    """Return the partition ``number`` as a device; when the disk has ``grown``, let partition and file system reach its end."""
    table = partitions.read_partitions(device)
    partition = _numbered(table, number, device)
    if grown:
        table = partitions.grow(device, table, partition, device.size)
        partition = _numbered(table, number, device)
        resize.grow(partition.window(device), partition.size)
    return partition.window(device)


def _numbered(table: partitions.PartitionTable, number: int, device: CopyOnWriteDevice) -> partitions.Partition:
    for partition in table.partitions:
        if partition.number == number:
            return partition
    raise InvalidInput(f"{device.name} has no partition {number}.", code="partitions.unknown", hint="Import the OS layer again.")


def _open_archive(repository: Repository, blob: Descriptor, stack: ExitStack) -> ArchiveReader:
    return ArchiveReader(stack.enter_context(repository.layout.open_blob(blob)))


def store_changes(repository: Repository, composition: Composition, device: CopyOnWriteDevice, base_index, free, applied: dict, progress: Progress) -> None:
    """Compress what differs from the base and store the thin image."""
    changed = device.changed_grains()
    holding = changed[~free[changed]]
    with repository.layout.blob_writer(thin_image.GRAINS_TYPE) as blob:
        written = encode_grains(device, holding, blob, progress=progress)
    # Grains of zeros, and those in which nothing is used any more, hide what the base has.
    gone = np.setdiff1d(np.intersect1d(base_index.numbers, np.union1d(changed, np.flatnonzero(free).astype(np.uint32))), written.numbers)
    numbers = np.concatenate((written.numbers, gone))
    order = np.argsort(numbers, kind="stable")
    none = np.zeros(len(gone), dtype=np.uint32)
    mapping = GrainMap(
        device.size, 1, numbers[order], np.zeros(len(numbers), dtype=np.uint16),
        np.concatenate((written.sectors, none))[order], np.concatenate((written.sizes, none))[order],
        np.concatenate((written.digests, zero_digests(len(gone))))[order],
    )
    config = dict(composition.config, statistics=dict(applied, grains=len(written), compressed_bytes=int(written.sizes.sum())))
    thin_image.save(repository, composition.base, mapping, [blob.descriptor], config)
