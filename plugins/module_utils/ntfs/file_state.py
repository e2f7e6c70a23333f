# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of the records of a file, in a form that can be compared between two volumes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ..common.errors import Corrupt
from ..common.optional_imports import np
from . import attribute_records, file_names
from .attribute_records import Attribute, FileName, Runs
from .damage import damaged
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
    """A name of a file: the reference of its directory and the spelling."""

    parent: int
    name: str


class StreamState(NamedTuple):
    """A stream that can be compared; ``content`` is its value when resident, else its runs. Sizes are bytes."""

    flags: int
    size: int
    initialized: int
    content: bytes | tuple[tuple[int, int | None], ...]


@dataclass(slots=True)
class FileState:
    """The content of the records of a file.

    ``streams`` ($DATA) and ``values`` (object ID, security descriptor, reparse point, EAs)
    map (type, name) to the stream. ``other_runs`` are the runs of all other attributes.
    Times are FILETIME.
    """

    number: int
    sequence: int
    is_directory: bool
    created: int = 0
    written: int = 0
    attributes: int = 0
    is_case_sensitive: bool = False
    security_id: int = 0
    names: tuple[Name, ...] = ()
    short_names: frozenset[Name] = frozenset()
    streams: dict[tuple[int, str], StreamState] = field(default_factory=dict)
    values: dict[tuple[int, str], StreamState] = field(default_factory=dict)
    other_runs: tuple[tuple[int, int | None], ...] = ()

    @property
    def reference(self) -> int:
        """Record number and sequence number."""
        return self.number | self.sequence << 48


def read_state(table: MasterFileTable, number: int) -> FileState | None:
    """Return the state of the file with this record number; None if the record is not the base record of a file in use.

    Raises Corrupt ``ntfs.damaged`` when the records of the file contradict themselves, or when a record in use
    was not written completely.
    """
    if not 0 <= number < table.record_count:
        return None
    raw = table.raw
    data = raw.read_runs(raw.mft_runs, number * table.record_size, table.record_size)
    if data[:4] == b"BAAD":
        table.require_free(np.array([number]))
        return None
    if data[:4] != b"FILE" or not data[22] & attribute_records.RECORD_IN_USE:
        return None
    subject = f"{raw.subject}, file record {number}"
    record = bytearray(data)
    try:
        attribute_records.unprotect(record, b"FILE", subject)
    except Corrupt:
        if table.is_in_use(np.array([number]))[0]:
            raise
        return None
    sequence, flags = struct.unpack_from("<H", record, 16)[0], struct.unpack_from("<H", record, 22)[0]
    if struct.unpack_from("<Q", record, 32)[0]:
        return None
    state = FileState(number, sequence, bool(flags & attribute_records.RECORD_IS_DIRECTORY))
    attributes = list(attribute_records.attributes(record, subject))
    for listing in [attribute for attribute in attributes if attribute.type == attribute_records.ATTRIBUTE_LIST]:
        attributes += _extensions(table, state, listing, subject)
    _fill(state, attributes, raw.geometry.clusters, subject)
    return state


def _extensions(table: MasterFileTable, state: FileState, listing: Attribute, subject: str) -> Iterator[Attribute]:
    """Yield the attributes of the file that are in its extension records."""
    raw = table.raw
    data = listing.value
    if data is None:
        if listing.size > 32 * _MAXIMUM_EXTENSIONS:
            raise damaged(subject, f"it has a list of attributes of {listing.size} bytes")
        data = raw.read_runs(_runs(listing, raw.geometry.clusters, subject), 0, listing.size)
    position = 0
    holders: set[int] = set()
    while position + 26 <= len(data):
        length = struct.unpack_from("<H", data, position + 4)[0]
        if length < 26 or position + length > len(data):
            raise damaged(subject, "its list of attributes does not fit")
        holders.add(struct.unpack_from("<Q", data, position + 16)[0] & attribute_records.REFERENCE_MASK)
        position += length
    for holder in sorted(holders - {state.number}):
        record = raw.record(holder)
        if struct.unpack_from("<Q", record, 32)[0] & attribute_records.REFERENCE_MASK != state.number:
            raise damaged(subject, f"its extension record {holder} belongs to another file")
        yield from attribute_records.attributes(record, subject)


def _runs(attribute: Attribute, clusters: int, subject: str) -> Runs:
    runs = attribute_records.decode_runs(attribute.runs, subject)
    if any(first is not None and first + length > clusters for length, first in runs):
        raise damaged(subject, "a run is outside the volume")
    return runs


def _fill(state: FileState, attributes: list[Attribute], clusters: int, subject: str) -> None:
    long_names: list[Name] = []
    short_names: list[Name] = []
    others: Runs = []
    parts: dict[tuple[int, str], list[Attribute]] = {}
    for attribute in attributes:
        if (
            attribute.type == attribute_records.STANDARD_INFORMATION
            and attribute.value is not None
            and len(attribute.value) >= 48
        ):
            state.created, state.written = struct.unpack_from("<QQ", attribute.value)
            state.attributes = struct.unpack_from("<I", attribute.value, 32)[0]
            state.is_case_sensitive = state.is_directory and attribute_records.is_case_sensitive(attribute.value)
            state.security_id = struct.unpack_from("<I", attribute.value, 52)[0] if len(attribute.value) >= 72 else 0
        elif attribute.type == attribute_records.FILE_NAME:
            name = FileName.unpack(attribute.value or b"", subject)
            (short_names if name.namespace == file_names.DOS else long_names).append(Name(name.parent, name.name))
        elif attribute.type == attribute_records.DATA or attribute.type in _VALUES:
            parts.setdefault((attribute.type, attribute.name), []).append(attribute)
        elif attribute.value is None:
            others += _runs(attribute, clusters, subject)
    for key, pieces in parts.items():
        target = state.streams if key[0] == attribute_records.DATA else state.values
        pieces.sort(key=lambda attribute: attribute.lowest_vcn)
        head = pieces[0]
        if head.value is not None:
            target[key] = StreamState(head.flags, head.size, head.size, head.value)
        else:
            runs = tuple(run for attribute in pieces for run in _runs(attribute, clusters, subject))
            target[key] = StreamState(head.flags, head.size, head.initialized, runs)
    state.names = tuple(sorted(set(long_names), key=lambda name: (name.parent, name.name)))
    state.short_names = frozenset(short_names)
    state.other_runs = tuple(others)
