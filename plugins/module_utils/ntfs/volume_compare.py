# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the files that differ between two states of an NTFS volume, from its file records.

The caller knows the byte ranges in which the volumes can differ (grains, compared by
digest). Time and memory grow with the differences, not with the volume; only data that was
overwritten without a change of its file's record costs one pass over $MFT.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from ..common.optional_imports import np
from ..disk.block_device import BlockDevice
from . import attribute_records
from .cluster_owners import find_owners
from .file_state import FileState, Name, StreamState, read_state
from .mft import MasterFileTable
from .normalized_records import read_normalized, record_positions
from .ranges import Ranges

FIRST_USER = 24
_CHUNK = 4096
_PIECE = 1 << 20
#: Attributes of the form in which NTFS stores the data of a file.
_FORM = attribute_records.COMPRESSED | attribute_records.SPARSE


@dataclass(slots=True)
class FileChange:
    """A file that differs. ``before`` and ``after`` are its names, None where it does not exist.

    ``data`` is true if a stream differs or is stored in another place. ``values`` is true if the
    descriptor, the reparse point, extended attributes or the object ID differ or are stored in
    another place or form; the caller compares both by value. ``metadata`` is true if attributes or
    8.3 names differ. ``incidental`` is true if the time of creation or (of a file) of writing differs,
    ``form`` if NTFS stores only one of both files compressed or sparse. The attributes that say whether a file
    has extended attributes or a reparse point do not count. ``case_sensitivity`` is true if names in
    the directory became case-sensitive or no longer are.
    """

    number: int
    is_directory: bool
    before: tuple[Name, ...] | None
    after: tuple[Name, ...] | None
    data: bool = False
    values: bool = False
    metadata: bool = False
    incidental: bool = False
    form: bool = False
    case_sensitivity: bool = False
    reference: int = 0


@dataclass
class VolumeDifference:
    """The files that differ, by record number, and statistics.

    ``contradictions`` counts records that show that the second volume does not descend from
    the first: a record describes another file but has the same sequence number. ``scanned``
    is true if all of $MFT was read.
    """

    files: list[FileChange] = field(default_factory=list)
    records_compared: int = 0
    contradictions: int = 0
    bytes_compared: int = 0
    scanned: bool = False


def compare(
    first: MasterFileTable, second: MasterFileTable, ranges: Ranges, *, ignored: Collection[int] = ()
) -> VolumeDifference:
    """Return how the volume ``second`` differs from ``first``, an earlier state of it.

    Outside of ``ranges`` (bytes of the volume), the volumes are equal, except where ``second``
    has nothing allocated. ``ignored`` are record numbers of files whose data is not compared.

    Raises Corrupt ``ntfs.damaged`` when a volume contradicts itself.
    """
    return VolumeComparison(first, second, ranges, ignored).run()


@dataclass
class _JudgedFiles:
    """The result of comparing file records by meaning.

    ``known`` are clusters whose differences the changes explain. ``in_place`` are changes with
    the clusters of streams that are stored where they were: overwriting them leaves no trace in
    the record. ``directories`` are the record numbers of the directories of all names.
    """

    changes: list[FileChange] = field(default_factory=list)
    known: list[Ranges] = field(default_factory=list)
    in_place: list[tuple[FileChange, Ranges]] = field(default_factory=list)
    directories: set[int] = field(default_factory=set)


class VolumeComparison:
    """The comparison of two states of a volume, in the steps of docs/capture.md.

    Step 2, the grains that differ, is the input (``ranges``). The methods are:

    * ``touched_files`` (step 3): only file records in the ranges are read, on both sides. They
      are compared byte by byte without the fields that every write changes.
    * ``judge`` (step 3): the streams, names, times and descriptors of these files are compared.
    * ``known_clusters`` (step 4): the clusters of new and changed files explain differences.
    * ``differing_clusters`` (step 4): the rest of the ranges is compared cluster by cluster.
    * ``overwritten_files`` (step 4): a cluster that differs belongs to a stream that was
      overwritten in place, or its owner is found in a pass over $MFT.

    Step 5, moved data and metadata, compares by value and belongs to the capture package.
    """

    def __init__(
        self, first: MasterFileTable, second: MasterFileTable, ranges: Ranges, ignored: Collection[int] = ()
    ) -> None:
        self.first = first
        self.second = second
        self.ranges = ranges
        self.ignored = ignored
        self.result = VolumeDifference()

    def run(self) -> VolumeDifference:
        """Run all steps and return the files that differ."""
        touched = self.touched_files()
        judged = self.judge(touched)
        known = self.known_clusters(judged, touched)
        different = self.differing_clusters(known)
        changes = judged.changes + self.overwritten_files(judged, different, touched)
        files = (change for change in changes if change.number >= FIRST_USER and _matters(change))
        self.result.files = sorted(files, key=lambda change: (change.number, change.after is not None))
        return self.result

    def touched_files(self) -> set[int]:
        """Return the base record numbers of all files with a record that differs."""
        size = self.second.record_size
        before_at, after_at = record_positions(self.first), record_positions(self.second)
        common = min(len(before_at), len(after_at))
        suspect = np.full(max(len(before_at), len(after_at)), True)
        suspect[:common] = (
            (before_at[:common] != after_at[:common])
            | (after_at[:common] < 0)
            | self.ranges.touched(after_at[:common], after_at[:common] + size)
        )
        numbers = np.flatnonzero(suspect)
        self.result.records_compared = len(numbers)
        touched: set[int] = set()
        for start in range(0, len(numbers), _CHUNK):
            piece = numbers[start : start + _CHUNK]
            before, after = read_normalized(self.first, before_at, piece), read_normalized(self.second, after_at, piece)
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
                touched.update(np.where(bases > 0, bases.astype(np.int64), piece[used]).tolist())
        return touched

    def judge(self, touched: set[int]) -> _JudgedFiles:
        """Compare the records of the files ``touched`` by meaning."""
        judged = _JudgedFiles()
        for number in sorted(touched):
            before, after = read_state(self.first, number), read_state(self.second, number)
            judged.changes += self._changes(before, after)
            judged.directories.update(
                name.parent & attribute_records.REFERENCE_MASK
                for state in (before, after)
                if state
                for name in state.names
            )
            if after is None:
                continue
            unmoved = _unmoved_streams(before, after)
            judged.known.append(_owned(self.second, after, unmoved))
            if unmoved and number >= FIRST_USER:
                judged.in_place.append((judged.changes[-1], _stream_ranges(self.second, after, unmoved)))
        return judged

    def _changes(self, before: FileState | None, after: FileState | None) -> list[FileChange]:
        """Return the changes of a record number: two if the record was reused for another file."""
        if before is not None and after is not None:
            if before.sequence != after.sequence:
                if (after.sequence - before.sequence) % 0xFFFF > 0x7FFF:
                    self.result.contradictions += 1
                return [_removed(before), _added(after)]
            if before.created != after.created and not set(before.names) & set(after.names):
                self.result.contradictions += 1
            return [_changed(before, after)]
        if before is not None:
            return [_removed(before)]
        return [_added(after)] if after is not None else []

    def known_clusters(self, judged: _JudgedFiles, touched: set[int]) -> Ranges:
        """Return the clusters that differ for a known reason, or whose content is not compared."""
        known = [_meta_ranges(self.second, self.ignored), *judged.known]
        for number in sorted(judged.directories - touched):
            state = read_state(self.second, number)
            if state is not None:
                # The index of a directory follows from the files of the directory.
                known.append(_owned(self.second, state, (*state.streams, *state.values)))
        return _joined(known)

    def differing_clusters(self, known: Ranges) -> Ranges:
        """Return the allocated clusters in the ranges, except the ``known`` clusters, whose content differs."""
        cluster = self.second.raw.geometry.cluster_size
        clusters = self.second.raw.geometry.clusters
        ranges = self.ranges.without(known).widened(cluster).within(0, clusters * cluster)
        if not len(ranges):
            return ranges
        bitmap = self.second.cluster_bitmap()
        piece = max(_PIECE, cluster)
        differing = []
        for start, end in ranges:
            for offset in range(start, end, piece):
                count = min(piece, end - offset)
                numbers = np.arange(offset // cluster, (offset + count) // cluster, dtype=np.int64)
                used = (bitmap[numbers >> 3] >> (numbers & 7).astype(np.uint8) & 1).astype(np.bool_)
                if not used.any():
                    continue
                self.result.bytes_compared += count
                after = np.frombuffer(self.second.raw.device.pread(count, offset), np.uint8).reshape(-1, cluster)
                before = np.frombuffer(_padded(self.first.raw.device, count, offset), np.uint8).reshape(-1, cluster)
                differing.append(numbers[used & (after != before).any(axis=1)])
        result = np.concatenate(differing) if differing else np.zeros(0, np.int64)
        return Ranges(result * cluster, (result + 1) * cluster)

    def overwritten_files(self, judged: _JudgedFiles, different: Ranges, touched: set[int]) -> list[FileChange]:
        """Return the files outside ``touched`` that own clusters in ``different``.

        Changes of files in ``touched`` whose unmoved streams own such clusters get ``data`` and ``values`` set.
        """
        for change, owned in judged.in_place:
            if different.touched(owned.starts, owned.ends).any():
                change.data = change.values = True
        different = different.without(_joined([owned for _change, owned in judged.in_place]))
        if not len(different):
            return []
        self.result.scanned = True
        changes = []
        for number in sorted(find_owners(self.second, different) - touched - set(self.ignored)):
            state = read_state(self.second, number)
            if state is not None:
                change = _changed(state, state)
                change.data = change.values = True
                changes.append(change)
        return changes


def _joined(sets: list[Ranges]) -> Ranges:
    if not sets:
        return Ranges([], [])
    return Ranges(np.concatenate([part.starts for part in sets]), np.concatenate([part.ends for part in sets]))


# -- files


def _removed(before: FileState) -> FileChange:
    return FileChange(before.number, before.is_directory, before.names, None, reference=before.reference)


def _added(after: FileState) -> FileChange:
    return FileChange(
        after.number,
        after.is_directory,
        None,
        after.names,
        reference=after.reference,
        case_sensitivity=after.is_case_sensitive,
    )


def _changed(before: FileState, after: FileState) -> FileChange:
    return FileChange(
        after.number,
        after.is_directory,
        before.names,
        after.names,
        data=before.streams != after.streams,
        values=(before.security_id, before.values) != (after.security_id, after.values),
        metadata=_metadata(before) != _metadata(after),
        incidental=_incidental(before) != _incidental(after),
        form=bool((before.attributes ^ after.attributes) & _FORM),
        case_sensitivity=before.is_case_sensitive != after.is_case_sensitive,
        reference=after.reference,
    )


def _metadata(state: FileState) -> tuple[object, ...]:
    attributes = state.attributes & ~(attribute_records.HAS_EAS | attribute_records.REPARSE | _FORM)
    return (state.is_directory, attributes, state.short_names)


def _incidental(state: FileState) -> tuple[object, ...]:
    return (state.created, None if state.is_directory else state.written)


def _matters(change: FileChange) -> bool:
    is_same_file = change.before is not None and change.before == change.after
    flags = (change.data, change.values, change.metadata, change.incidental, change.form, change.case_sensitivity)
    return not is_same_file or any(flags)


# -- clusters


_StreamKey = tuple[int, str]


def _unmoved_streams(before: FileState | None, after: FileState) -> tuple[_StreamKey, ...]:
    """Return the streams that are stored in the same clusters as before: overwriting in place would not change the record."""
    if before is None or before.sequence != after.sequence:
        return ()
    pairs = ((before.streams, after.streams), (before.values, after.values))
    return tuple(
        key
        for old, new in pairs
        for key, stream in new.items()
        if isinstance(stream.content, tuple) and old.get(key) == stream
    )


def _all_streams(state: FileState) -> Iterable[tuple[_StreamKey, StreamState]]:
    return (*state.streams.items(), *state.values.items())


def _byte_ranges(table: MasterFileTable, runs: Iterable[tuple[int, int | None]]) -> list[tuple[int, int]]:
    """Return the ranges [start, end) in bytes of the volume that ``runs`` occupy."""
    cluster = table.raw.geometry.cluster_size
    return [(first * cluster, (first + length) * cluster) for length, first in runs if first is not None]


def _stream_ranges(table: MasterFileTable, state: FileState, keys: Collection[_StreamKey]) -> Ranges:
    return Ranges.of(
        pair
        for key in keys
        for content in [(state.streams.get(key) or state.values[key]).content]
        if isinstance(content, tuple)
        for pair in _byte_ranges(table, content)
    )


def _owned(table: MasterFileTable, state: FileState, except_for: Collection[_StreamKey]) -> Ranges:
    """Return the clusters of a file, without the clusters of the streams in ``except_for``."""
    runs = list(state.other_runs)
    for key, stream in _all_streams(state):
        if key not in except_for and isinstance(stream.content, tuple):
            runs += stream.content
    return Ranges.of(_byte_ranges(table, runs))


def _meta_ranges(table: MasterFileTable, ignored: Collection[int]) -> Ranges:
    """Return the clusters of NTFS's own files, which are not compared, and of the ``ignored`` files."""
    pairs = [(0, table.raw.geometry.sector_size * 16)]
    for number in (*range(FIRST_USER), *ignored):
        state = read_state(table, number)
        if state is None:
            continue
        for (_kind, name), stream in _all_streams(state):
            if isinstance(stream.content, tuple) and name != "$Bad":
                pairs += _byte_ranges(table, stream.content)
        pairs += _byte_ranges(table, state.other_runs)
    pairs += _byte_ranges(table, table.raw.mft_runs)
    return Ranges.of(pairs)


def _padded(device: BlockDevice, count: int, offset: int) -> bytes:
    """Return bytes of a device, zeros after its end."""
    inside = max(min(count, device.size - offset), 0)
    return (device.pread(inside, offset) if inside else b"") + bytes(count - inside)
