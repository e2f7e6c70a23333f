# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files differ between two states of one NTFS volume, from its file records.

Where the volumes can differ is known beforehand as byte ranges (of grains, compared by digest).
Only file records inside them are read, and compared byte by byte without what every write
changes: update sequence and log sequence number. What differs is then judged by meaning: names,
streams, times, descriptors. Data that was overwritten in place leaves no trace in a record; it is
found by comparing what remains of the ranges cluster by cluster and asking who owns what differs.

Time and memory grow with what differs, not with the volume; only data overwritten behind the
records' back costs one pass over $MFT.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ..common.optional_imports import np
from . import attribute_records
from .cluster_owners import find_owners
from .file_state import FileState, Name, read_state
from .mft import MasterFileTable, undo_fixups
from .ranges import Ranges

FIRST_USER = 24
_CHUNK = 4096
_PIECE = 1 << 20


@dataclass(slots=True)
class FileChange:
    """One file that differs. ``before`` and ``after`` are its names, None where it does not exist.

    ``data`` says that a stream differs or stands in other clusters, ``metadata`` that something else does: time of creation or
    (of a file) of writing, attributes, descriptor, 8.3 names, reparse point, extended attributes, object ID.
    """

    number: int
    is_directory: bool
    before: tuple[Name, ...] | None
    after: tuple[Name, ...] | None
    data: bool = False
    metadata: bool = False
    reference: int = 0


@dataclass
class VolumeDifference:
    """The files that differ, by record number. ``contradictions`` counts records that show that the
    second volume does not come from the first: one file became another without its record being reused."""

    files: list[FileChange] = field(default_factory=list)
    records_compared: int = 0
    contradictions: int = 0
    bytes_compared: int = 0
    scanned: bool = False


def compare(
    first: MasterFileTable, second: MasterFileTable, ranges: Ranges, *, ignored: Collection[int] = ()
) -> VolumeDifference:
    """Return how the volume ``second`` differs from ``first``, an earlier state of it.

    The volumes are the same outside of ``ranges`` (bytes of the volume), but for what ``second`` has
    not allocated. ``ignored`` are record numbers of files whose data is of no interest. Raises
    Corrupt where a volume contradicts itself.
    """
    result = VolumeDifference()
    touched = _differing_files(first, second, ranges, result)
    changes: list[FileChange] = []
    accounted = [_meta_ranges(second, ignored)]
    in_place: list[tuple[FileChange, Ranges]] = []
    directories: set[int] = set()
    for number in sorted(touched):
        before, after = read_state(first, number), read_state(second, number)
        if before is not None and after is not None and before.sequence != after.sequence:
            if (after.sequence - before.sequence) % 0xFFFF > 0x7FFF:
                result.contradictions += 1
            changes += [_change(before, None), _change(None, after)]
        elif before is not None or after is not None:
            change = _change(before, after)
            if (
                before is not None
                and after is not None
                and before.created != after.created
                and not set(before.names) & set(after.names)
            ):
                result.contradictions += 1
            changes.append(change)
        directories.update(
            name.parent & attribute_records.REFERENCE_MASK for state in (before, after) if state for name in state.names
        )
        if after is None:
            continue
        same = _same_streams(before, after)
        accounted.append(_owned(second, after, same))
        if same and number >= FIRST_USER:
            in_place.append((changes[-1], _stream_ranges(second, after, same)))
    for number in sorted(directories - touched):
        state = read_state(second, number)
        if state is not None:
            # An index follows from the files of its directory.
            accounted.append(_owned(second, state, (*state.streams, *state.values)))
    different = _different_clusters(first, second, ranges.without(_joined(accounted)), result)
    for change, owned in in_place:
        change.data = change.data or bool(different.touched(owned.starts, owned.ends).any())
    different = different.without(_joined([owned for _change_, owned in in_place]))
    if len(different):
        result.scanned = True
        for number in sorted(find_owners(second, different) - touched - set(ignored)):
            state = read_state(second, number)
            if state is not None:
                changes.append(
                    FileChange(
                        number, state.is_directory, state.names, state.names, data=True, reference=state.reference
                    )
                )
    wanted = (change for change in changes if change.number >= FIRST_USER and _matters(change))
    result.files = sorted(wanted, key=lambda change: (change.number, change.after is not None))
    return result


def _joined(sets: list[Ranges]) -> Ranges:
    if not sets:
        return Ranges([], [])
    return Ranges(np.concatenate([one.starts for one in sets]), np.concatenate([one.ends for one in sets]))


# -- records


def _differing_files(
    first: MasterFileTable, second: MasterFileTable, ranges: Ranges, result: VolumeDifference
) -> set[int]:
    """The base record numbers of all files of which a record differs."""
    size = second.record_size
    here, there = _positions(first), _positions(second)
    common = min(len(here), len(there))
    suspect = np.ones(max(len(here), len(there)), dtype=np.bool_)
    suspect[:common] = (
        (here[:common] != there[:common]) | (there[:common] < 0) | ranges.touched(there[:common], there[:common] + size)
    )
    numbers = np.flatnonzero(suspect)
    result.records_compared = len(numbers)
    touched: set[int] = set()
    for start in range(0, len(numbers), _CHUNK):
        piece = numbers[start : start + _CHUNK]
        before, after = _read(first, here, piece), _read(second, there, piece)
        differ = (before != after).any(axis=1)
        for table in (before, after):
            used = (
                differ
                & (table[:, :4] == np.frombuffer(b"FILE", np.uint8)).all(axis=1)
                & (table[:, 22] & attribute_records.RECORD_IN_USE).astype(np.bool_)
            )
            bases = np.ascontiguousarray(table[used, 32:40]).view("<u8").reshape(-1) & np.uint64(
                attribute_records.REFERENCE_MASK
            )
            own = piece[used]
            touched.update(np.where(bases > 0, bases.astype(np.int64), own).tolist())
    return touched


def _positions(table: MasterFileTable):
    """Return where on the volume each record stands (i64, bytes), -1 for one that is not in one piece."""
    cluster, size = table.raw.geometry.cluster_size, table.record_size
    result = np.full(table.record_count, -1, dtype=np.int64)
    if cluster % size:
        return result
    place = 0
    for length, first in table.raw.mft_runs:
        count = min(length * cluster // size, len(result) - place)
        if count <= 0:
            break
        if first is not None:
            result[place : place + count] = first * cluster + np.arange(count, dtype=np.int64) * size
        place += count
    return result


def _read(table: MasterFileTable, positions, numbers):
    """Return the records (n, record size) without fixups and without what every write changes; zeros where there is none."""
    size = table.record_size
    result = np.zeros((len(numbers), size), dtype=np.uint8)
    inside = int(np.searchsorted(numbers, len(positions)))
    if inside:
        chosen = numbers[:inside]
        places = positions[chosen]
        follows = (np.diff(chosen) == 1) & ((np.diff(places) == size) | (places[1:] < 0) & (places[:-1] < 0))
        cuts = [0, *(np.flatnonzero(~follows) + 1).tolist(), inside]
        for begin, end in zip(cuts, cuts[1:]):
            if places[begin] < 0:
                data = table.raw.read_runs(table.raw.mft_runs, int(chosen[begin]) * size, (end - begin) * size)
            else:
                data = table.raw.device.pread((end - begin) * size, int(places[begin]))
            result[begin:end] = np.frombuffer(data, np.uint8).reshape(-1, size)
    _normalize(result, table.raw.what, numbers)
    return result


def _normalize(table, what: str, numbers) -> None:
    signed = (table[:, :4] == np.frombuffer(b"FILE", np.uint8)).all(axis=1)
    broken = signed & ~undo_fixups(table) | (table[:, :4] == np.frombuffer(b"BAAD", np.uint8)).all(axis=1)
    if broken.any():
        raise attribute_records.damaged(
            f"{what}, file record {int(numbers[np.flatnonzero(broken)[0]])}", "it was written only in part"
        )
    table[~signed] = 0
    words = table.view(np.uint16)
    table[:, 8:16] = 0
    for offset in np.unique(words[signed, 2]).tolist():
        rows = signed & (words[:, 2] == offset)
        table[rows, offset : offset + 2 * (table.shape[1] // 512 + 1)] = 0
    used = table.view(np.uint32)[:, 6]
    table[np.arange(table.shape[1], dtype=np.uint32) >= used[:, None]] = 0


# -- files


def _change(before: FileState | None, after: FileState | None) -> FileChange:
    present = after or before
    change = FileChange(
        present.number,
        present.is_directory,
        before.names if before else None,
        after.names if after else None,
        reference=present.reference,
    )
    if before is not None and after is not None:
        change.data = before.streams != after.streams
        change.metadata = _described(before) != _described(after)
    return change


def _described(state: FileState) -> tuple:
    return (
        state.is_directory,
        state.created,
        None if state.is_directory else state.written,
        state.attributes,
        state.security_id,
        state.short_names,
        state.values,
    )


def _matters(change: FileChange) -> bool:
    return (
        change.before is None or change.after is None or change.before != change.after or change.data or change.metadata
    )


# -- clusters


def _same_streams(before: FileState | None, after: FileState) -> tuple[tuple[int, str], ...]:
    """The streams that stand in the same clusters as before, where overwriting in place would not show."""
    if before is None or before.sequence != after.sequence:
        return ()
    return tuple(
        key
        for source in ("streams", "values")
        for key, value in getattr(after, source).items()
        if isinstance(value[3], tuple) and getattr(before, source).get(key) == value
    )


def _stream_ranges(table: MasterFileTable, state: FileState, keys) -> Ranges:
    cluster = table.raw.geometry.cluster_size
    return Ranges.of(
        (first * cluster, (first + length) * cluster)
        for key in keys
        for length, first in (state.streams.get(key) or state.values[key])[3]
        if first is not None
    )


def _owned(table: MasterFileTable, state: FileState, except_for) -> Ranges:
    """The clusters of a file but for those of some of its streams."""
    cluster = table.raw.geometry.cluster_size
    runs = list(state.other_runs)
    for key, value in (*state.streams.items(), *state.values.items()):
        if key not in except_for and isinstance(value[3], tuple):
            runs += value[3]
    return Ranges.of((first * cluster, (first + length) * cluster) for length, first in runs if first is not None)


def _meta_ranges(table: MasterFileTable, ignored: Collection[int]) -> Ranges:
    """The clusters of NTFS's own files, which are no part of a comparison, and of those to be ignored."""
    cluster = table.raw.geometry.cluster_size
    pairs = [(0, table.raw.geometry.sector_size * 16)]
    for number in (*range(FIRST_USER), *ignored):
        state = read_state(table, number)
        if state is None:
            continue
        for key, value in (*state.streams.items(), *state.values.items()):
            if isinstance(value[3], tuple) and key[1] != "$Bad":
                pairs += [
                    (first * cluster, (first + length) * cluster) for length, first in value[3] if first is not None
                ]
        pairs += [
            (first * cluster, (first + length) * cluster) for length, first in state.other_runs if first is not None
        ]
    pairs += [
        (first * cluster, (first + length) * cluster) for length, first in table.raw.mft_runs if first is not None
    ]
    return Ranges.of(pairs)


def _different_clusters(
    first: MasterFileTable, second: MasterFileTable, ranges: Ranges, result: VolumeDifference
) -> Ranges:
    """The allocated clusters within ``ranges`` that hold something else than before."""
    cluster = second.raw.geometry.cluster_size
    clusters = second.raw.geometry.clusters
    ranges = ranges.widened(cluster).within(0, clusters * cluster)
    if not len(ranges):
        return ranges
    bitmap = second.cluster_bitmap()
    piece = max(_PIECE, cluster)
    found = []
    for start, end in ranges:
        for place in range(start, end, piece):
            count = min(piece, end - place)
            numbers = np.arange(place // cluster, (place + count) // cluster, dtype=np.int64)
            used = (bitmap[numbers >> 3] >> (numbers & 7).astype(np.uint8) & 1).astype(np.bool_)
            if not used.any():
                continue
            result.bytes_compared += count
            theirs = np.frombuffer(second.raw.device.pread(count, place), np.uint8).reshape(-1, cluster)
            ours = np.frombuffer(_padded(first.raw.device, count, place), np.uint8).reshape(-1, cluster)
            found.append(numbers[used & (theirs != ours).any(axis=1)])
    differing = np.concatenate(found) if found else np.zeros(0, np.int64)
    return Ranges(differing * cluster, (differing + 1) * cluster)


def _padded(device, count: int, offset: int) -> bytes:
    """Bytes of a device, zeros behind its end."""
    inside = max(min(count, device.size - offset), 0)
    return (device.pread(inside, offset) if inside else b"") + bytes(count - inside)
