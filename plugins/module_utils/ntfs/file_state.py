# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the file records of one file say, in a form in which two states of it can be compared."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import attribute_records, file_names
from .mft import MasterFileTable

_MAXIMUM_EXTENSIONS = 100_000
_VALUES = frozenset(
    (
        attribute_records.OBJECT_ID,
        attribute_records.SECURITY_DESCRIPTOR,
        attribute_records.REPARSE_POINT,
        attribute_records.EA,
    )
)


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a file: the reference of its directory, its spelling."""

    parent: int
    name: str


@dataclass(slots=True)
class FileState:
    """What the records of one file say, in a form that can be compared; ``streams`` and ``values`` by (type, name).

    A stream is (flags, size, initialized, value or runs), runs as ((clusters, first cluster or None), ...).
    """

    number: int
    sequence: int
    is_directory: bool
    created: int = 0
    written: int = 0
    attributes: int = 0
    security_id: int = 0
    names: tuple[Name, ...] = ()
    short_names: frozenset[Name] = frozenset()
    streams: dict[tuple[int, str], tuple] = field(default_factory=dict)
    values: dict[tuple[int, str], tuple] = field(default_factory=dict)
    other_runs: tuple = ()

    @property
    def reference(self) -> int:
        """Record number and sequence number."""
        return self.number | self.sequence << 48


def read_state(table: MasterFileTable, number: int) -> FileState | None:
    """What the records of one file say; None when the record is not the base record of a file in use.

    Corrupt when they contradict themselves.
    """
    if not 0 <= number < table.record_count:
        return None
    raw = table.raw
    data = raw.read_runs(raw.mft_runs, number * table.record_size, table.record_size)
    if data[:4] != b"FILE" or not data[22] & attribute_records.RECORD_IN_USE:
        return None
    what = f"{raw.what}, file record {number}"
    record = bytearray(data)
    attribute_records.unprotect(record, b"FILE", what)
    sequence, flags = struct.unpack_from("<H", record, 16)[0], struct.unpack_from("<H", record, 22)[0]
    if struct.unpack_from("<Q", record, 32)[0]:
        return None
    state = FileState(number, sequence, bool(flags & attribute_records.RECORD_IS_DIRECTORY))
    found = list(attribute_records.attributes(record, what))
    for listing in [one for one in found if one.type == attribute_records.ATTRIBUTE_LIST]:
        found += _extensions(table, state, listing, what)
    _fill(state, found, raw.geometry.clusters, what)
    return state


def _extensions(
    table: MasterFileTable, state: FileState, listing: attribute_records.Attribute, what: str
) -> Iterator[attribute_records.Attribute]:
    """The attributes of the file that stand in other records."""
    raw = table.raw
    data = listing.value
    if data is None:
        if listing.size > 32 * _MAXIMUM_EXTENSIONS:
            raise attribute_records.damaged(what, f"it has a list of attributes of {listing.size} bytes")
        data = raw.read_runs(_runs(listing, raw.geometry.clusters, what), 0, listing.size)
    position, holders = 0, set()
    while position + 26 <= len(data):
        length = struct.unpack_from("<H", data, position + 4)[0]
        if length < 26 or position + length > len(data):
            raise attribute_records.damaged(what, "its list of attributes does not fit")
        holders.add(struct.unpack_from("<Q", data, position + 16)[0] & attribute_records.REFERENCE_MASK)
        position += length
    for holder in sorted(holders - {state.number}):
        record = raw.record(holder)
        if struct.unpack_from("<Q", record, 32)[0] & attribute_records.REFERENCE_MASK != state.number:
            raise attribute_records.damaged(what, f"file record {holder}, which continues it, belongs to another file")
        yield from attribute_records.attributes(record, what)


def _runs(attribute: attribute_records.Attribute, clusters: int, what: str) -> list[tuple[int, int | None]]:
    runs = attribute_records.decode_runs(attribute.runs, what)
    if any(first is not None and first + length > clusters for length, first in runs):
        raise attribute_records.damaged(what, "a run lies outside the volume")
    return runs


def _fill(state: FileState, found: list[attribute_records.Attribute], clusters: int, what: str) -> None:
    long_names, short_names, others = [], [], []
    parts: dict[tuple[int, str], list[attribute_records.Attribute]] = {}
    for one in found:
        if one.type == attribute_records.STANDARD_INFORMATION and one.value is not None and len(one.value) >= 48:
            state.created, state.written = struct.unpack_from("<QQ", one.value)
            state.attributes = struct.unpack_from("<I", one.value, 32)[0]
            state.security_id = struct.unpack_from("<I", one.value, 52)[0] if len(one.value) >= 72 else 0
        elif one.type == attribute_records.FILE_NAME:
            name = attribute_records.FileName.unpack(one.value or b"", what)
            (short_names if name.namespace == file_names.DOS else long_names).append(Name(name.parent, name.name))
        elif one.type == attribute_records.DATA or one.type in _VALUES:
            parts.setdefault((one.type, one.name), []).append(one)
        elif one.value is None:
            others += _runs(one, clusters, what)
    for key, pieces in parts.items():
        target = state.streams if key[0] == attribute_records.DATA else state.values
        pieces.sort(key=lambda one: one.lowest_vcn)
        head = pieces[0]
        if head.value is not None:
            target[key] = (head.flags, head.size, head.size, head.value)
        else:
            runs = tuple(run for one in pieces for run in _runs(one, clusters, what))
            target[key] = (head.flags, head.size, head.initialized, runs)
    state.names = tuple(sorted(set(long_names), key=lambda name: (name.parent, name.name)))
    state.short_names = frozenset(short_names)
    state.other_runs = tuple(others)
