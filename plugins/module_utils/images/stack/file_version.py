# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the file version of a program or library from its version resource.

Source: Microsoft's "PE Format" for the headers, and VS_FIXEDFILEINFO. Only the headers and the section with the resources are read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

FileVersion = tuple[int, int, int, int]

# VS_FIXEDFILEINFO: its signature, and 8 bytes after it the two halves of the file version.
_SIGNATURE = struct.pack("<I", 0xFEEF04BD)
_VERSION = struct.Struct("<II")
_FIXED_INFO = 16
_HEADERS = 4096
#: Bytes that are searched at a time, and the most that are searched.
_PIECE = 1 << 20
_MAX_SEARCHED = 256 << 20
#: Offset of the directory of resources in the optional header, by the header's magic (PE32, PE32+).
_RESOURCES = {0x10B: 112, 0x20B: 128}
_SECTION = struct.Struct("<8sIIII")
_SECTION_SIZE = 40


def file_version(data: bytes) -> FileVersion | None:
    """Return the file version of a program or library, None if it has none."""
    return read_version(len(data), lambda count, offset: data[offset : offset + count])


def read_version(size: int, pread: Callable[[int, int], bytes]) -> FileVersion | None:
    """Return the file version of a program of ``size`` bytes, None if it has none; ``pread`` (count, offset) reads it."""
    head = pread(min(size, _HEADERS), 0)
    if head[:2] != b"MZ":
        return None
    start, end = _resources(head) or (0, size)
    end = min(end, size, start + _MAX_SEARCHED)
    while start < end:
        piece = pread(min(_PIECE, end - start), start)
        position = piece.find(_SIGNATURE)
        if position >= 0:
            found = pread(_FIXED_INFO, start + position)
            if len(found) < _FIXED_INFO:
                return None
            high, low = _VERSION.unpack_from(found, 8)
            return high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF
        if start + len(piece) >= end:
            return None
        start += len(piece) - len(_SIGNATURE) + 1
    return None


def _resources(head: bytes) -> tuple[int, int] | None:
    """Return (start, end) of the section with the resources in the file, (0, 0) without one; None if it is not a PE file."""
    try:
        (header,) = struct.unpack_from("<I", head, 60)
        if head[header : header + 4] != b"PE\0\0":
            return None
        (sections,) = struct.unpack_from("<H", head, header + 6)
        (optional_size,) = struct.unpack_from("<H", head, header + 20)
        (magic,) = struct.unpack_from("<H", head, header + 24)
        if magic not in _RESOURCES or optional_size < _RESOURCES[magic] + 8:
            return None
        (address,) = struct.unpack_from("<I", head, header + 24 + _RESOURCES[magic])
        for number in range(min(sections, 96)):
            fields = _SECTION.unpack_from(head, header + 24 + optional_size + number * _SECTION_SIZE)
            _name, virtual_size, start, raw_size, raw_start = fields
            if address and start <= address < start + max(virtual_size, raw_size):
                return raw_start, raw_start + raw_size
    except struct.error:
        return None  # The headers are truncated.
    return 0, 0
