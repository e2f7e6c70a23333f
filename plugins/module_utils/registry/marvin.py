# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marvin32, the hash that protects the entries of registry transaction logs."""

from __future__ import annotations

import struct

# The seed that log entries use ("Windows registry file format specification", log entries, note 3).
_SEED = (0x884DEF82, 0xC5554E7A)
_MASK = 0xFFFFFFFF


def marvin32(data) -> int:
    """Return the 64-bit Marvin32 hash of ``data`` with the seed of registry logs."""
    low, high = _SEED
    whole = len(data) // 4
    tail = bytes(data[whole * 4:]) + b"\x80"
    words = struct.unpack(f"<{whole}I", data[:whole * 4]) + (int.from_bytes(tail, "little"), 0)
    for word in words:
        low = (low + word) & _MASK
        high ^= low
        low = ((low << 20 | low >> 12) + high) & _MASK
        high = ((high << 9 | high >> 23) & _MASK) ^ low
        low = ((low << 27 | low >> 5) + high) & _MASK
        high = (high << 19 | high >> 13) & _MASK
    return high << 32 | low
