# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of registry values that only the tests write."""

from __future__ import annotations


def encode_dword(number: int) -> bytes:
    """Return the data of a REG_DWORD."""
    return (number & 0xFFFFFFFF).to_bytes(4, "little")


def encode_qword(number: int) -> bytes:
    """Return the data of a REG_QWORD."""
    return (number & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little")
