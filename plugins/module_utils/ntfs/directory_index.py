# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the index of a directory without opening its files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from . import attribute_records, file_names
from .damage import damaged
from .inode import Inode

_FIRST_USER = 24
_ROOT = 5
#: Bytes of the largest index that is read: about ten million names.
MAXIMUM_INDEX = 2 << 30
_I30 = "$I30".encode("utf-16-le")


class Child(NamedTuple):
    """An entry of a directory; ``attributes`` are those in the index, with FILE_ATTRIBUTE_DIRECTORY."""

    name: str
    reference: int
    is_directory: bool
    attributes: int


def children(directory: Inode) -> Iterator[Child]:
    """Yield the entries of a directory except 8.3 names and the volume's own files."""
    subject = directory.subject
    for reference, name in entries(directory):
        number = reference & attribute_records.REFERENCE_MASK
        if name.namespace == file_names.DOS or (number < _FIRST_USER and directory.number == _ROOT):
            continue
        is_directory = bool(name.attributes & attribute_records.I30_PRESENT)
        if number == directory.number:
            raise damaged(subject, "it contains itself")
        yield Child(
            name.name,
            reference,
            is_directory,
            name.attributes & ~attribute_records.I30_PRESENT | (attribute_records.DIRECTORY if is_directory else 0),
        )


def entries(directory: Inode) -> Iterator[tuple[int, attribute_records.FileName]]:
    """Yield (reference, $FILE_NAME) of every entry, the root block first."""
    subject = f"The index of {directory.subject}"
    root = directory.read_attribute(attribute_records.INDEX_ROOT, name=_I30)
    if root is None or len(root) < 32:
        raise damaged(subject, "it has no index root")
    block_size = struct.unpack_from("<I", root, 8)[0]
    yield from _block(root, 16, subject)
    bitmap = directory.read_attribute(attribute_records.BITMAP, MAXIMUM_INDEX // 4096, _I30)
    if bitmap is None:
        return
    if not 512 <= block_size <= 65536 or block_size & (block_size - 1):
        raise damaged(subject, f"its blocks have {block_size} bytes")
    data = directory.read_attribute(attribute_records.INDEX_ALLOCATION, MAXIMUM_INDEX, _I30) or b""
    for number in range(min(len(data) // block_size, 8 * len(bitmap))):
        if bitmap[number // 8] >> number % 8 & 1:
            block = bytearray(data[number * block_size : (number + 1) * block_size])
            attribute_records.unprotect(block, b"INDX", subject)
            yield from _block(block, 24, subject)


def _block(block: bytes | bytearray, header: int, subject: str) -> Iterator[tuple[int, attribute_records.FileName]]:
    first, used = struct.unpack_from("<II", block, header)
    position, end = header + first, header + used
    if end > len(block):
        raise damaged(subject, "an index block has an impossible length")
    while True:
        if position + 16 > end:
            raise damaged(subject, "an entry does not fit")
        reference, length, key_length, flags = struct.unpack_from("<QHHH", block, position)
        if length < 16 or position + length > end or key_length > length - 16:
            raise damaged(subject, "an entry does not fit")
        if flags & 2:
            return
        yield (
            reference,
            attribute_records.FileName.unpack(bytes(block[position + 16 : position + 16 + key_length]), subject),
        )
        position += length
