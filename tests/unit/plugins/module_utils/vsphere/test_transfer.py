# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks on their way to a host."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer import _coalesced

_MIB = 1 << 20
_SIZES = (5, 4096, _MIB, 3, _MIB - 1, 70_000, 2 * _MIB, 1)


def _reused() -> Iterator[memoryview]:
    buffer = bytearray(2 * _MIB)
    for number, size in enumerate(_SIZES):
        buffer[:size] = bytes([number]) * size
        yield memoryview(buffer)[:size]


def test_blocks_in_reused_memory_are_not_mixed_up() -> None:
    sent = b"".join(bytes(block) for block in _coalesced(_reused()))
    assert sent == b"".join(bytes([number]) * size for number, size in enumerate(_SIZES))


def test_only_the_last_block_is_short() -> None:
    sizes = [len(block) for block in _coalesced(_reused())]
    assert all(size >= _MIB for size in sizes[:-1])
