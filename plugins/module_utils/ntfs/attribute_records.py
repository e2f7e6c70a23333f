# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NTFS structures as bytes: fixups, attributes of a file record, runs, $FILE_NAME.

All input is untrusted: sizes and offsets are checked against the record that contains
them, and damage raises Corrupt. Source: the NTFS documentation of the Linux-NTFS
project and libntfs-3g's layout.h.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

from . import file_names
from .damage import damaged

STANDARD_INFORMATION = 0x10
ATTRIBUTE_LIST = 0x20
FILE_NAME = 0x30
OBJECT_ID = 0x40
SECURITY_DESCRIPTOR = 0x50
VOLUME_NAME = 0x60
VOLUME_INFORMATION = 0x70
DATA = 0x80
INDEX_ROOT = 0x90
INDEX_ALLOCATION = 0xA0
BITMAP = 0xB0
REPARSE_POINT = 0xC0
EA_INFORMATION = 0xD0
EA = 0xE0
END = 0xFFFFFFFF

RECORD_IN_USE = 0x1
RECORD_IS_DIRECTORY = 0x2

# FILE_ATTRIBUTE_* as Windows names them
READONLY, HIDDEN, SYSTEM, DIRECTORY, ARCHIVE = 0x1, 0x2, 0x4, 0x10, 0x20
SPARSE, REPARSE, COMPRESSED, OFFLINE, NOT_INDEXED, ENCRYPTED = 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000
#: FILE_ATTRIBUTE_EA: NTFS sets it in the record of a file that has extended attributes. FILE_ATTRIBUTE_RECALL_ON_OPEN has
#: the same value; it appears only in directory listings and is not stored ([MS-FSCC] 2.6).
HAS_EAS = 0x40000
#: Set in $FILE_NAME of a directory instead of FILE_ATTRIBUTE_DIRECTORY.
I30_PRESENT = 0x10000000

#: File records are 1 or 4 KiB in practice; index blocks 4 KiB.
MAXIMUM_RECORD = 64 * 1024
REFERENCE_MASK = 0xFFFFFFFFFFFF

#: [(clusters, first cluster or None for a hole)]
Runs = list[tuple[int, "int | None"]]


def is_case_sensitive(information: bytes) -> bool:
    """Return whether a directory with this $STANDARD_INFORMATION has case-sensitive names.

    It then has version 1 and no maximum number of versions. Source: the NTFS documentation of the project keramics.
    """
    return len(information) >= 48 and struct.unpack_from("<II", information, 36) == (0, 1)


def unprotect(block: bytearray, signature: bytes, subject: str) -> None:
    """Check the signature of a FILE or INDX block and undo its fixups in place."""
    if block[:4] != signature:
        raise damaged(subject, f"it begins with {bytes(block[:4])!r}")
    offset, count = struct.unpack_from("<HH", block, 4)
    if count < 2 or (count - 1) * 512 != len(block) or offset < 8 or offset % 2 or offset + 2 * count > 510:
        raise damaged(subject, "its fixup array does not fit")
    expected = block[offset : offset + 2]
    for number in range(1, count):
        end = number * 512 - 2
        if block[end : end + 2] != expected:
            raise damaged(subject, "a sector of it was not written completely")
        block[end : end + 2] = block[offset + 2 * number : offset + 2 * number + 2]


def protect(block: bytearray) -> None:
    """Apply new fixups in place to a block that unprotect() accepted."""
    offset, count = struct.unpack_from("<HH", block, 4)
    number = struct.unpack_from("<H", block, offset)[0] + 1
    stamp = struct.pack("<H", number if number < 0xFFFF else 1)
    block[offset : offset + 2] = stamp
    for index in range(1, count):
        end = index * 512 - 2
        block[offset + 2 * index : offset + 2 * index + 2] = block[end : end + 2]
        block[end : end + 2] = stamp


@dataclasses.dataclass(slots=True)
class Attribute:
    """One attribute of a file record; ``offset`` and ``length`` are its position in the record.

    ``value`` is the value of a resident attribute, else None; ``runs`` are the packed runs
    of a non-resident attribute. Sizes are bytes.
    """

    type: int
    name: str
    flags: int
    instance: int
    offset: int
    length: int
    value: bytes | None
    lowest_vcn: int = 0
    highest_vcn: int = 0
    allocated: int = 0
    size: int = 0
    initialized: int = 0
    compressed: int = 0
    runs: bytes = b""
    runs_offset: int = 0


def attributes(record: bytes | bytearray, subject: str) -> Iterator[Attribute]:
    """Yield the attributes of a file record whose fixups are undone; raise Corrupt for sizes that do not fit."""
    start = struct.unpack_from("<H", record, 20)[0]
    in_use = struct.unpack_from("<I", record, 24)[0]
    if in_use > len(record) or start < 42 or start % 8:
        raise damaged(subject, "its sizes do not fit")
    position = start
    while position + 4 <= in_use:
        kind = struct.unpack_from("<I", record, position)[0]
        if kind == END:
            return
        if position + 24 > in_use:
            break
        length, non_resident, name_length, name_offset, flags, instance = struct.unpack_from(
            "<IBBHHH", record, position + 4
        )
        if length < 24 or length % 8 or position + length > in_use or name_offset + 2 * name_length > length:
            break
        name = (
            file_names.decode(bytes(record[position + name_offset : position + name_offset + 2 * name_length]))
            if name_length
            else ""
        )
        attribute = Attribute(kind, name, flags, instance, position, length, None)
        if not (_read_non_resident if non_resident else _read_resident)(attribute, record):
            break
        yield attribute
        position += length
    raise damaged(subject, "its list of attributes has no valid end")


def _read_resident(attribute: Attribute, record: bytes | bytearray) -> bool:
    """Set the value of a resident attribute; return False if it does not fit."""
    size, offset = struct.unpack_from("<IH", record, attribute.offset + 16)
    if offset + size > attribute.length:
        return False
    start = attribute.offset + offset
    attribute.value, attribute.size = bytes(record[start : start + size]), size
    return True


def _read_non_resident(attribute: Attribute, record: bytes | bytearray) -> bool:
    """Set the sizes and runs of a non-resident attribute; return False if they do not fit."""
    position, length = attribute.offset, attribute.length
    if length < 64:
        return False
    lowest, highest, runs_offset, unit, allocated, size, initialized = struct.unpack_from(
        "<qqHHxxxxqqq", record, position + 16
    )
    if runs_offset < 64 or runs_offset > length or min(lowest, allocated, size, initialized) < 0:
        return False
    attribute.lowest_vcn, attribute.highest_vcn = lowest, highest
    attribute.allocated, attribute.size, attribute.initialized = allocated, size, initialized
    if (unit or attribute.flags & 0x80FF) and runs_offset >= 72:
        attribute.compressed = struct.unpack_from("<q", record, position + 64)[0]
    attribute.runs, attribute.runs_offset = bytes(record[position + runs_offset : position + length]), runs_offset
    return True


def decode_runs(packed: bytes, subject: str) -> Runs:
    """Return [(clusters, first cluster or None for a hole)]; raise Corrupt for runs that do not fit."""
    runs: Runs = []
    position, cluster = 0, 0
    while position < len(packed) and packed[position]:
        sizes = packed[position]
        length_size, offset_size = sizes & 15, sizes >> 4
        end = position + 1 + length_size + offset_size
        if not 1 <= length_size <= 8 or offset_size > 8 or end > len(packed):
            raise damaged(subject, "its run list does not fit")
        length = int.from_bytes(packed[position + 1 : position + 1 + length_size], "little", signed=True)
        if length <= 0:
            raise damaged(subject, "a run has no length")
        if offset_size:
            cluster += int.from_bytes(packed[position + 1 + length_size : end], "little", signed=True)
            if cluster < 0:
                raise damaged(subject, "a run starts before the volume")
            runs.append((length, cluster))
        else:
            runs.append((length, None))
        position = end
    return runs


def _signed(number: int) -> bytes:
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "little", signed=True)


def encode_runs(runs: Runs) -> bytes:
    """Return packed runs with their closing zero byte."""
    packed, cluster = bytearray(), 0
    for length, first in runs:
        size = _signed(length)
        if first is None:
            packed += bytes([len(size)]) + size
        else:
            offset = _signed(first - cluster)
            packed += bytes([len(size) | len(offset) << 4]) + size + offset
            cluster = first
    return bytes(packed + b"\0")


@dataclasses.dataclass(slots=True)
class FileName:
    """A $FILE_NAME. Times are FILETIME; ``extra`` is the reparse tag or the packed size of EAs."""

    parent: int
    created: int
    written: int
    changed: int
    accessed: int
    allocated: int
    size: int
    attributes: int
    extra: int
    namespace: int
    name: str

    def pack(self) -> bytes:
        """Return the attribute's value."""
        units = file_names.encode(self.name)
        return (
            struct.pack(
                "<QqqqqqqIIBB",
                self.parent,
                self.created,
                self.written,
                self.changed,
                self.accessed,
                self.allocated,
                self.size,
                self.attributes,
                self.extra,
                len(units) // 2,
                self.namespace,
            )
            + units
        )

    @classmethod
    def unpack(cls, data: bytes, subject: str) -> FileName:
        """Return the content of an attribute's value; raise Corrupt when it does not fit."""
        if len(data) < 66 or 66 + 2 * data[64] > len(data) or data[65] > 3:
            raise damaged(subject, "a file name does not fit")
        parent, created, written, changed, accessed, allocated, size, flags, extra = struct.unpack_from(
            "<QqqqqqqII", data
        )
        name = file_names.decode(bytes(data[66 : 66 + 2 * data[64]]))
        return cls(parent, created, written, changed, accessed, allocated, size, flags, extra, data[65], name)
