# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk that came back from a packaging machine, beside the thin image that was given out.

First the digests of grains, then the file records in the grains that differ: what is the same
on both sides is not read again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from ..catalog.resolved_template import label
from ..common.errors import Conflict, Corrupt, NotFound
from ..common.optional_imports import np
from ..common.progress import Progress, silent
from ..disk import partitions
from ..disk.block_device import BlockDevice, Window
from ..disk.grain_compare import differing_grains
from ..disk.grains import GRAIN_SHIFT, grain_total
from ..images.free_grains import free_grains
from ..images.lineage_marker import Mark, read_mark
from ..images.os_import import find_windows
from ..images.thin_image import ThinImage, read_config
from ..layers.layer_version import LayerReference
from ..ntfs.file_state import read_state
from ..ntfs.mft import MasterFileTable
from ..ntfs.ranges import Ranges
from ..ntfs.volume_compare import VolumeDifference, compare
from ..repository.repository import Repository

#: Files in the root whose data is never of interest and may have changed as a whole.
_PAGING = ("pagefile.sys", "swapfile.sys", "hiberfil.sys", "DumpStack.log.tmp")
#: Less than this share of the given grains left as they were: it is not the disk that was given out.
_LEAST_EQUAL = 0.25
#: Records that show another history; a few may come from programs that write records themselves.
_MOST_CONTRADICTIONS = 16

Opener = Callable[[], BlockDevice]


@dataclass
class Packaged:
    """Both sides, opened: the Windows partition as it was given and as it came back, and their $MFTs."""

    before: Window
    after: Window
    old: MasterFileTable
    new: MasterFileTable
    disk: BlockDevice
    partition: partitions.Partition


@dataclass
class DiskDifference:
    """How the disks differ: ``files``, and grains (64 KiB) that were compared and that differ."""

    files: VolumeDifference
    grains_compared: int
    grains_different: int


def open_packaged(given: ThinImage, opener: Opener, stack: ExitStack) -> Packaged:
    """Open both disks; ``stack`` closes them.

    Raises Unsupported when the packaged disk has no cleanly shut down Windows, Conflict when it
    does not come from ``given``.
    """
    disk = stack.enter_context(opener())
    partition = find_windows(disk)
    original = stack.enter_context(given.open_disk())
    wanted, mark = read_mark(original), read_mark(disk)
    if wanted is not None and mark is not None and mark != wanted and not _is_of_os_layer(given, mark):
        raise _other_base(disk, _made_from(given.repository, mark, wanted))
    table, became = partitions.read_partitions(original), partitions.read_partitions(disk)
    found = next((one for one in table.partitions if one.offset == partition.offset), None)
    if found is None:
        raise _other_base(disk, "its Windows partition begins elsewhere")
    if (
        table.kind != became.kind
        or found.guid != partition.guid
        or table.kind == "mbr"
        and table.disk_id != became.disk_id
    ):
        raise _other_base(disk, "its Windows partition is another one")
    before, after = found.window(original), partition.window(disk)
    old, new = MasterFileTable(before), MasterFileTable(after)
    _check_identity(disk, old, new)
    if wanted is not None and mark is None and not _is_of_os_layer(given, mark):
        raise _other_base(disk, "it lacks the mark that composing left on that image")
    return Packaged(before, after, old, new, disk, partition)


def _is_of_os_layer(given: ThinImage, mark: Mark | None) -> bool:
    """Whether a disk may be that of the OS machine itself, which is as good as the image of its OS layer alone."""
    if given.config["layers"]:
        return False
    with given.base.open(given.repository) as base:
        return read_mark(base) == mark


def _made_from(repository: Repository, mark: Mark, wanted: Mark) -> str:
    """What the mark of another image says, in words."""
    if mark.content_digest == wanted.content_digest:
        return "its image was composed upon another one"
    try:
        config = read_config(repository, mark.content_digest)
        layers = [label(LayerReference.from_dict(one)) for one in (config["os_layer"], *config["layers"])]
    except (NotFound, Corrupt):
        return f"it was made from the image {mark.content_digest[:19]}"
    how = "as the image of a template" if "scripts" in config else ""
    return f"it was made {how + ', ' if how else ''}from {', '.join(layers)}"


def _check_identity(disk: BlockDevice, old: MasterFileTable, new: MasterFileTable) -> None:
    """Compare what stays the same from formatting a volume to its end."""
    if old.raw.geometry.serial != new.raw.geometry.serial:
        raise _other_base(disk, "its Windows volume has another serial number")
    if (old.raw.geometry.cluster_size, old.record_size) != (new.raw.geometry.cluster_size, new.record_size):
        raise _other_base(disk, "its Windows volume was formatted otherwise")
    for number in range(16):
        was, became = read_state(old, number), read_state(new, number)
        if was is None and became is None:
            continue
        if (
            was is None
            or became is None
            or (was.names, was.sequence) != (became.names, became.sequence)
            or number < 4
            and was.created != became.created
        ):
            raise _other_base(disk, "its Windows volume was formatted at another time")


def difference(packaged: Packaged, given: ThinImage, *, progress: Progress = silent) -> DiskDifference:
    """Return how the packaged disk differs from ``given``; Conflict when it cannot have come from it."""
    disk, new, partition = packaged.disk, packaged.new, packaged.partition
    geometry = new.raw.geometry
    relevant = ~free_grains(new.cluster_bitmap(), geometry.cluster_size, geometry.clusters, partition.offset, disk.size)
    relevant[: partition.offset >> GRAIN_SHIFT] = False
    relevant[grain_total(partition.end) :] = False
    numbers, digests = given.grain_digests()
    changed = differing_grains(disk, numbers, digests, among=relevant, progress=progress)
    known = numbers[numbers < len(relevant)]
    known = known[relevant[known]]
    lost = int(np.isin(known, changed, assume_unique=True).sum())
    if len(known) and 1 - lost / len(known) < _LEAST_EQUAL:
        raise _other_base(disk, f"{lost} of {len(known)} pieces that Windows uses hold something else")
    starts = (changed.astype(np.int64) << GRAIN_SHIFT) - partition.offset
    ranges = Ranges(starts, starts + (1 << GRAIN_SHIFT)).within(0, partition.size)
    ignored = [number for number in (new.raw.root_reference(name) for name in _PAGING) if number is not None]
    files = compare(packaged.old, new, ranges, ignored=ignored)
    if files.contradictions > max(_MOST_CONTRADICTIONS, len(files.files) // 100):
        raise _other_base(disk, f"{files.contradictions} files have another history")
    return DiskDifference(files, int(relevant.sum()), len(changed))


def _other_base(disk: BlockDevice, why: str) -> Conflict:
    return Conflict(
        f"The packaged disk {disk.name} does not come from the image that was given out: {why}.",
        code="capture.other_base",
        hint="Capture the disk of the packaging machine that was made from this OS layer version and these prerequisites.",
    )
