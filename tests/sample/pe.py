# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small well-formed PE32+ files (AMD64), for samples without wine.

Source: Microsoft's "PE Format". One code section that returns 0 and one data section.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

_FILE_ALIGNMENT = 0x200
_SECTION_ALIGNMENT = 0x1000
_STUB = b"\x0e\x1f\xba\x0e\x00\xb4\x09\xcd\x21\xb8\x01\x4c\xcd\x21This program cannot be run in DOS mode.\r\r\n$"

_TEXTS = (
    "Windows Operating System",
    "Microsoft Corporation",
    "GetProcAddress",
    "CreateFileW",
    "HKEY_LOCAL_MACHINE",
    "error %d\r\n",
    ".text",
    "\0" * 24,
)
_PHRASES = tuple(text.encode("utf-16-le") for text in _TEXTS)


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def filler(seed: str, size: int) -> bytes:
    """Return ``size`` bytes that compress about as program code; the same seed gives the same bytes."""
    out = bytearray()
    state = seed.encode()
    while len(out) < size:
        state = hashlib.blake2b(state, digest_size=32).digest()
        out += (
            b"\x48\x8b\x05"
            + state[:8]
            + b"\xe8\x00\x00\x00\x00\x48\x83\xc4\x28\xc3\xcc\xcc\xcc\xcc"
            + state[24:]
            + _PHRASES[state[0] & 7]
            + bytes(24)
        )
    return bytes(out[:size])


def make_pe(name: str, size: int) -> bytes:
    """Return a PE file of at least ``size`` bytes whose data section has ``name``; the extension decides its kind."""
    is_driver, is_library = name.endswith(".sys"), name.endswith(".dll")
    code = b"\x31\xc0\xc3".ljust(_FILE_ALIGNMENT, b"\xcc")
    data = (
        name.encode("utf-16-le") + b"\x00\x00" + filler(name, max(size - 3 * _FILE_ALIGNMENT - 2 * len(name) - 2, 16))
    )
    data = data.ljust(_up(len(data), _FILE_ALIGNMENT), b"\x00")
    data_pages = _up(len(data), _SECTION_ALIGNMENT)
    stamp = zlib.crc32(name.encode()) & 0x7FFFFFFF
    dos = (
        b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00\xb8".ljust(0x3C, b"\x00")
        + struct.pack("<I", 0x80)
        + _STUB
    )
    coff = b"PE\x00\x00" + struct.pack("<HHIIIHH", 0x8664, 2, stamp, 0, 0, 240, 0x2022 if is_library else 0x22)
    subsystem = 1 if is_driver else 3
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        0x20B,
        14,
        0,
        len(code),
        len(data),
        0,
        0x1000,
        0x1000,
        0x180000000,
        _SECTION_ALIGNMENT,
        _FILE_ALIGNMENT,
        10,
        0,
        10,
        0,
        10,
        0,
        0,
        0x2000 + data_pages,
        _FILE_ALIGNMENT,
        0,
        subsystem,
        0x160,
        0x100000,
        0x1000,
        0x100000,
        0x1000,
        0,
        16,
    ) + bytes(128)
    sections = struct.pack("<8sIIIIIIHHI", b".text", 3, 0x1000, len(code), _FILE_ALIGNMENT, 0, 0, 0, 0, 0x60000020)
    sections += struct.pack(
        "<8sIIIIIIHHI", b".rdata", len(data), 0x2000, len(data), 2 * _FILE_ALIGNMENT, 0, 0, 0, 0, 0x40000040
    )
    header = (dos.ljust(0x80, b"\x00") + coff + optional + sections).ljust(_FILE_ALIGNMENT, b"\x00")
    return header + code + data
