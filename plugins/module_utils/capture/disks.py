# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the disk of a packaging machine with the thin image that the packaging machine started from (the base image).

The digests of grains are compared first, then the file records in the grains that differ. Data that is equal
on both sides is not read again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from ..common.arrays import U32
from ..common.errors import Conflict, Corrupt, NotFound
from ..common.optional_imports import np
from ..common.progress import Progress, silent
from ..disk import partitions
from ..disk.block_device import BlockDevice, Window
from ..disk.grain_compare import differing_grains
from ..disk.grains import GRAIN_SHIFT, grain_total
from ..images.composing.free_grains import free_grains
from ..images.os_import import find_windows
from ..images.stored.lineage_marker import LineageMarker, read_marker
from ..images.stored.thin_image import ThinImage, read_config
from ..ntfs.file_state import FileState, read_state
from ..ntfs.mft import MasterFileTable
from ..ntfs.ranges import Ranges
from ..ntfs.raw_volume import MFT
from ..ntfs.volume_compare import VolumeDifference, compare
from ..repository.repository import Repository

#: Files in the root whose data is never captured and may have changed completely.
_PAGING = ("pagefile.sys", "swapfile.sys", "hiberfil.sys", "DumpStack.log.tmp")
#: If a smaller share of the grains of the base image is unchanged, the disk does not descend from it.
_LEAST_EQUAL = 0.25
#: File records with a different history; a few may come from programs that write records themselves.
_MOST_CONTRADICTIONS = 16

#: From this file record to 15, $MFT can use the records for more of its own runs.
_RESERVED = 12

Opener = Callable[[], BlockDevice]


@dataclass
class Packaged:
    """Both sides, opened: the disks ``original`` (of the base image) and ``disk``, their Windows partitions, and their $MFTs."""

    before: Window
    after: Window
    old: MasterFileTable
    new: MasterFileTable
    original: BlockDevice
    disk: BlockDevice
    partition: partitions.Partition


@dataclass
class DiskDifference:
    """The differences of the disks: ``files``, and the numbers of grains (64 KiB) that were compared and that differ."""

    files: VolumeDifference
    grains_compared: int
    grains_different: int


def open_packaged(base_image: ThinImage, opener: Opener, stack: ExitStack) -> Packaged:
    """Open both disks; ``stack`` closes them.

    Raises:
        Unsupported: the packaged disk has no Windows installation that was shut down cleanly.
        Conflict: the packaged disk does not descend from ``base_image``.
    """
    disk = stack.enter_context(opener())
    partition = find_windows(disk)
    original = stack.enter_context(base_image.open_disk())
    expected, mark = read_marker(original), read_marker(disk)
    if expected is not None and mark is not None and mark != expected and not _is_of_os_layer(base_image, mark):
        raise _other_base(disk, _origin(base_image.repository, mark, expected))
    base_partition = _matching_partition(disk, partition, original)
    before, after = base_partition.window(original), partition.window(disk)
    old, new = MasterFileTable(before), MasterFileTable(after)
    _check_identity(disk, old, new)
    if expected is not None and mark is None and not _is_of_os_layer(base_image, mark):
        raise _other_base(disk, "it lacks the lineage marker of that image")
    return Packaged(before, after, old, new, original, disk, partition)


def _matching_partition(
    disk: BlockDevice, partition: partitions.Partition, original: BlockDevice
) -> partitions.Partition:
    """Return the partition of the base image that is the Windows ``partition`` of the packaged disk."""
    table, packaged_table = partitions.read_partitions(original), partitions.read_partitions(disk)
    match = next((candidate for candidate in table.partitions if candidate.offset == partition.offset), None)
    if match is None:
        raise _other_base(disk, f"that image has no partition at byte {partition.offset}, where Windows is on the disk")
    if table.kind != packaged_table.kind:
        raise _other_base(
            disk, f"its partition table is {packaged_table.kind.upper()}, that of the image is {table.kind.upper()}"
        )
    if match.guid != partition.guid or (table.kind == "mbr" and table.disk_id != packaged_table.disk_id):
        raise _other_base(disk, "the identifier of its Windows partition is different")
    return match


def _is_of_os_layer(base_image: ThinImage, mark: LineageMarker | None) -> bool:
    """Return whether the disk may be that of the OS machine itself, which equals the image of its OS layer alone."""
    if base_image.config.layers:
        return False
    with base_image.base.open(base_image.repository) as base:
        return read_marker(base) == mark


def _origin(repository: Repository, mark: LineageMarker, expected: LineageMarker) -> str:
    """Describe the image that the lineage marker of the packaged disk names."""
    if mark.content_digest == expected.content_digest:
        return "its image has the same layers but was composed from a different image"
    try:
        config = read_config(repository, mark.content_digest)
        layers = [reference.label for reference in (config.os_layer, *config.layers)]
    except (NotFound, Corrupt):
        return f"it started from the image {mark.content_digest[:19]}, which is not in the repository"
    kind = "the image of a template with" if config.scripts is not None else "the image of"
    return f"it started from {kind} {', '.join(layers)}"


def _check_identity(disk: BlockDevice, old: MasterFileTable, new: MasterFileTable) -> None:
    """Compare the properties of a volume that never change after it was formatted."""
    if old.raw.geometry.serial != new.raw.geometry.serial:
        raise _other_base(disk, "the serial number of its Windows volume is different")
    if (old.raw.geometry.cluster_size, old.record_size) != (new.raw.geometry.cluster_size, new.record_size):
        raise _other_base(disk, "its Windows volume was formatted with a different cluster or record size")
    for number in range(16):
        before, after = read_state(old, number), read_state(new, number)
        if before is None and after is None or number >= _RESERVED and None in (before, after):
            continue
        if (
            before is None
            or after is None
            or (before.names, before.sequence) != (after.names, after.sequence)
            or (number < 4 and before.created != after.created and not _lost_time(before, after))
        ):
            raise _other_base(disk, "its Windows volume was formatted at a different time")


def _lost_time(before: FileState, after: FileState) -> bool:
    """Return whether $MFT lost its times on one side: earlier releases of the collection zeroed them when $MFT grew."""
    return before.number == MFT and 0 in (before.created, after.created)


@dataclass(frozen=True)
class DifferentGrains:
    """Ascending numbers of the grains with different content, u32 (n,), and how many grains were compared."""

    numbers: U32
    compared: int


def grains_that_differ(packaged: Packaged, base_image: ThinImage, *, progress: Progress = silent) -> DifferentGrains:
    """Hash the grains in use of the packaged disk and compare them with those of ``base_image``.

    Raises:
        Conflict: the packaged disk does not descend from ``base_image``.
    """
    disk, new, partition = packaged.disk, packaged.new, packaged.partition
    geometry = new.raw.geometry
    relevant = ~free_grains(new.cluster_bitmap(), geometry.cluster_size, geometry.clusters, partition.offset, disk.size)
    relevant[: partition.offset >> GRAIN_SHIFT] = False
    relevant[grain_total(partition.end) :] = False
    expected = base_image.grain_digests()
    changed = differing_grains(disk, expected, among=relevant, progress=progress)
    known = expected.numbers[expected.numbers < len(relevant)]
    known = known[relevant[known]]
    lost = int(np.isin(known, changed, assume_unique=True).sum())
    if len(known) and 1 - lost / len(known) < _LEAST_EQUAL:
        raise _other_base(disk, f"{lost} of {len(known)} grains in use have different content")
    return DifferentGrains(changed, int(relevant.sum()))


def difference(packaged: Packaged, grains: DifferentGrains) -> DiskDifference:
    """Return the files that differ, which can only be where ``grains`` differ.

    Raises:
        Conflict: the packaged disk does not descend from the base image.
    """
    disk, new, partition = packaged.disk, packaged.new, packaged.partition
    starts = (grains.numbers.astype(np.int64) << GRAIN_SHIFT) - partition.offset
    ranges = Ranges(starts, starts + (1 << GRAIN_SHIFT)).within(0, partition.size)
    ignored = [number for number in (new.raw.root_reference(name) for name in _PAGING) if number is not None]
    files = compare(packaged.old, new, ranges, ignored=ignored)
    if files.contradictions > max(_MOST_CONTRADICTIONS, len(files.files) // 100):
        raise _other_base(disk, f"{files.contradictions} file records have a different history")
    return DiskDifference(files, grains.compared, len(grains.numbers))


def _other_base(disk: BlockDevice, reason: str) -> Conflict:
    return Conflict(
        f"The packaged disk {disk.name} does not descend from the image of this OS layer version and these "
        f"prerequisites: {reason}.",
        code="capture.other_base",
        hint="Capture the disk of a packaging machine that was created from this OS layer version and these "
        "prerequisites.",
    )
