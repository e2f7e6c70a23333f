# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of security identifiers."""

from __future__ import annotations

import struct


def sid_text(data: bytes) -> str:
    """Return the text of a binary SID."""
    count = data[1]
    authority = int.from_bytes(data[2:8], "big")
    numbers = struct.unpack_from(f"<{count}I", data, 8)
    return "-".join(["S-1", f"0x{authority:012x}" if authority >> 32 else str(authority), *map(str, numbers)])
