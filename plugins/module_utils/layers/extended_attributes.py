# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extended attributes: conversion between the chain that NTFS stores and single attributes.

Source: MS-FSCC 2.4.16 FILE_FULL_EA_INFORMATION. On disk, the last record's NextEntryOffset is its own
length; in the interface it is 0. Both are read, the on-disk form is written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from .entry import MAX_EAS

KERNEL_PREFIX = b"$KERNEL."
#: Prefixes of the names of attributes that Windows sets and updates by itself.
SYSTEM_PREFIXES = (KERNEL_PREFIX, b"$CI.")


def pack_eas(attributes: Iterable[tuple[bytes, int, bytes]]) -> bytes:
    """Return the on-disk chain of (name, flags, value)."""
    chain = bytearray()
    for name, flags, value in attributes:
        record = struct.pack("<BBH", flags, len(name), len(value)) + name + b"\0" + value
        record += bytes(-(len(record) + 4) % 4)
        chain += struct.pack("<I", len(record) + 4) + record
    return bytes(chain)


def without_kernel_eas(chain: bytes | None) -> bytes | None:
    """Return a chain without the attributes that only the Windows kernel sets, None if no other attribute is left.

    Code Integrity stores its verdict about a file in attributes whose names begin with "$KERNEL.". They refer to the
    USN journal of one volume. Source: Microsoft Learn, "Kernel Extended Attributes". ``$CI.`` attributes are kept: they
    name the catalog with the signature of the file, which is the same everywhere.
    """
    if not chain or KERNEL_PREFIX not in chain.upper():
        return chain
    attributes = unpack_eas(chain)
    if attributes is None:
        return chain
    return pack_eas(item for item in attributes if not item[0].upper().startswith(KERNEL_PREFIX)) or None


def unpack_eas(chain: bytes) -> list[tuple[bytes, int, bytes]] | None:
    """Return (name, flags, value) of each attribute of an on-disk chain, None if the chain is malformed."""
    if len(chain) > MAX_EAS:
        return None
    attributes = []
    position = 0
    while position < len(chain):
        if position + 8 > len(chain):
            return None
        step, flags, name_length, value_length = struct.unpack_from("<IBBH", chain, position)
        start = position + 8
        needed = 8 + name_length + 1 + value_length
        step = step or len(chain) - position
        if not name_length or step < needed or position + needed > len(chain) or chain[start + name_length]:
            return None
        attributes.append(
            (
                chain[start : start + name_length],
                flags,
                chain[start + name_length + 1 : start + name_length + 1 + value_length],
            )
        )
        position += step
    return attributes
