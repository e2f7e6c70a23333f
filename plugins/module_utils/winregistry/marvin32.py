# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marvin32, the hash that protects the entries of registry transaction logs."""

from __future__ import annotations

import struct

from .cell_layout import Buffer

# The seed of log entries as (low, high) half. The regf specification prints it high half first: 82 EF 4D 88 7A 4E 55 C5.
_SEED = (0x7A4E55C5, 0x82EF4D88)
_MASK = 0xFFFFFFFF


def marvin32(data: Buffer) -> int:
    """Return the 64-bit Marvin32 hash of ``data`` with the seed of registry logs."""
    low, high = _SEED
    whole = len(data) // 4
    tail = bytes(data[whole * 4 :]) + b"\x80"
    dwords = struct.unpack(f"<{whole}I", data[: whole * 4]) + (int.from_bytes(tail, "little"), 0)
    for word in dwords:
        low = (low + word) & _MASK
        high ^= low
        low = ((low << 20 | low >> 12) + high) & _MASK
        high = ((high << 9 | high >> 23) & _MASK) ^ low
        low = ((low << 27 | low >> 5) + high) & _MASK
        high = (high << 19 | high >> 13) & _MASK
    return high << 32 | low
