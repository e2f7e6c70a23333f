# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build transaction logs of registry hives, and hives that were not closed properly."""

from __future__ import annotations

import struct

from ...plugins.module_utils.winregistry import cell_layout
from ...plugins.module_utils.winregistry.marvin32 import marvin32

TIME = 131331190512216222


def sealed(block: bytes | bytearray) -> bytes:
    block = bytearray(block)
    cell_layout.set_u32(block, 508, cell_layout.checksum(block))
    return bytes(block)


def stamped(hive: bytes, first: int, second: int, time: int = TIME) -> bytes:
    """``hive`` with these sequence numbers and time."""
    data = bytearray(hive)
    struct.pack_into("<IIQ", data, 4, first, second, time)
    return sealed(data)


def entry(sequence: int, before: bytes, after: bytes, flags: int = 0) -> bytes:
    """A log entry that makes ``after`` of ``before``."""
    pages = [
        (at - 4096, after[at : at + 4096])
        for at in range(4096, len(after), 4096)
        if before[at : at + 4096] != after[at : at + 4096]
    ]
    return raw_entry(sequence, len(after) - 4096, pages, flags)


def raw_entry(sequence: int, bins_size: int, pages: list[tuple[int, bytes]], flags: int = 0) -> bytes:
    body = b"".join(struct.pack("<II", offset, len(page)) for offset, page in pages) + b"".join(
        page for _offset, page in pages
    )
    size = -(-(40 + len(body)) // 512) * 512
    body = body.ljust(size - 40, b"\0")
    head = struct.pack("<4sIIIIIQ", b"HvLE", size, flags, sequence, bins_size, len(pages), marvin32(body))
    return head + struct.pack("<Q", marvin32(head)) + body


def new_log(base: bytes, sequence: int, *entries: bytes) -> bytes:
    block = bytearray(stamped(base, sequence, sequence)[:512])
    cell_layout.set_u32(block, 28, 6)
    return sealed(block) + b"".join(entries)


def old_log(base: bytes, sequence: int, before: bytes, after: bytes, time: int = TIME, kind: int = 1) -> bytes:
    block = bytearray(stamped(after[:4096], sequence, sequence, time)[:512])
    cell_layout.set_u32(block, 28, kind)
    vector, pages = bytearray((len(after) - 4096) // 4096), b""
    for page in range(len(vector)):
        at = 4096 + page * 4096
        if before[at : at + 4096] != after[at : at + 4096]:
            vector[page] = 0xFF
            pages += after[at : at + 4096]
    return (sealed(block) + b"DIRT" + bytes(vector)).ljust(-(-(516 + len(vector)) // 512) * 512, b"\0") + pages
