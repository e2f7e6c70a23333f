# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Complete a registry hive that was not closed properly from its transaction logs.

Both formats are handled: log entries (HvLE, Windows 8.1 and later) and the dirty vector
(DIRT, before). Source: "Windows registry file format specification" by Maxim Suhanov. The content of
a log is used only as far as its checksums, hashes and sequence numbers are valid.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..common.errors import Corrupt
from . import cell_layout
from .marvin32 import marvin32

_SECTOR = 512
_OLD_TYPES = (1, 2)
_NEW_TYPE = 6
_ENTRY = struct.Struct("<4sIIIIIQQ")


@dataclass(slots=True)
class Recovery:
    """A hive file after recovery: its bytes, the number of applied log entries, and whether it is still dirty."""

    data: bytes
    applied: int = 0
    dirty: bool = False


def recover(primary: bytes, logs: Sequence[bytes] = ()) -> Recovery:
    """Return the hive ``primary`` with the later changes from its ``logs``.

    A clean hive is returned without changes. A dirty hive to which no log applies is returned without changes as
    well, marked dirty.

    Raises:
        Corrupt: ``primary`` is not a hive, or its base block is damaged and no log has a copy of it.
    """
    if len(primary) < cell_layout.BASE_BLOCK_SIZE:
        raise Corrupt(
            f"The registry hive is truncated: it has {len(primary)} bytes; its base block alone has "
            f"{cell_layout.BASE_BLOCK_SIZE} bytes.",
            code="winregistry.truncated",
            hint="Copy the hive file again.",
        )
    valid = _sound(primary)
    if valid and cell_layout.get_u32(primary, 4) == cell_layout.get_u32(primary, 8):
        return Recovery(primary)
    usable = [
        memoryview(log)
        for log in logs
        if len(log) > _SECTOR and _sound(log) and cell_layout.get_u32(log, 4) == cell_layout.get_u32(log, 8)
    ]
    limit = min(len(primary) + sum(map(len, logs)), cell_layout.MAXIMUM_HIVE)
    recovery = _apply_new(primary, valid, [log for log in usable if cell_layout.get_u32(log, 28) == _NEW_TYPE], limit)
    if recovery is None:
        recovery = _apply_old(
            primary, valid, [log for log in usable if cell_layout.get_u32(log, 28) in _OLD_TYPES], limit
        )
    if recovery is not None:
        return recovery
    if not valid:
        raise Corrupt(
            "The registry hive has no valid base block, and no transaction log has a copy of it.",
            code="winregistry.base_block",
            hint="Copy the hive's .LOG1 and .LOG2 with it, or take the file from a Windows installation that was shut down properly.",
        )
    return Recovery(primary, dirty=True)


def _sound(block: cell_layout.Buffer) -> bool:
    return bytes(block[:4]) == b"regf" and cell_layout.checksum(block) == cell_layout.get_u32(block, 508)


def _sequence_key(log: memoryview, origin: int) -> int:
    # Sequence numbers wrap around; a number more than half the range behind is earlier.
    return (cell_layout.get_u32(log, 4) - origin + 0x80000000) & 0xFFFFFFFF


# Log entries (HvLE)


def _apply_new(primary: bytes, valid: bool, logs: list[memoryview], limit: int) -> Recovery | None:
    if not logs:
        return None
    # The earlier log first. Without a valid base block Windows uses only the later log.
    logs = sorted(logs, key=lambda log: _sequence_key(log, cell_layout.get_u32(logs[0], 4)))
    if not valid:
        logs = logs[-1:]
    hive = bytearray(primary)
    applied, flags = 0, 0
    last: int | None = None
    for log in logs:
        sequence = cell_layout.get_u32(log, 4)
        if last is None:
            if valid and (sequence - cell_layout.get_u32(primary, 8)) & 0xFFFFFFFF > 0x7FFFFFFF:
                continue
        elif sequence != (last + 1) & 0xFFFFFFFF:
            break
        used = 0
        for entry, size, entry_flags in _entries(log, sequence, limit):
            _grow(hive, size)
            for offset, page in entry:
                hive[cell_layout.BASE_BLOCK_SIZE + offset : cell_layout.BASE_BLOCK_SIZE + offset + len(page)] = page
            last, flags = sequence, entry_flags
            sequence = (sequence + 1) & 0xFFFFFFFF
            used += 1
        if not used:
            break
        _take_base_block(hive, log)
        cell_layout.set_u32(hive, 40, size)
        applied += used
    if last is None:
        return None
    cell_layout.set_u32(hive, 144, cell_layout.get_u32(hive, 144) & ~1 | flags & 1)
    return _finished(hive, last, applied)


def _entries(log: memoryview, sequence: int, limit: int) -> Iterator[tuple[list[tuple[int, memoryview]], int, int]]:
    """Yield (pages, bins size, flags) of the log's entries from ``sequence`` up to the first invalid entry."""
    position = _SECTOR
    while position + _ENTRY.size <= len(log):
        signature, size, flags, number, bins_size, count, first_hash, second_hash = _ENTRY.unpack_from(log, position)
        if (
            signature != b"HvLE"
            or size % _SECTOR
            or not _ENTRY.size < size <= len(log) - position
            or number != sequence
            or bins_size % cell_layout.PAGE
            or not 0 < bins_size <= limit
            or not 0 < count <= (size - _ENTRY.size) // 8
        ):
            return
        if second_hash != marvin32(log[position : position + 32]) or first_hash != marvin32(
            log[position + _ENTRY.size : position + size]
        ):
            return
        references = struct.unpack_from(f"<{count * 2}I", log, position + _ENTRY.size)
        pages = []
        data = position + _ENTRY.size + count * 8
        for offset, length in zip(references[::2], references[1::2]):
            if offset + length > bins_size or data + length > position + size:
                return
            pages.append((offset, log[data : data + length]))
            data += length
        yield pages, bins_size, flags
        position += size
        sequence = (sequence + 1) & 0xFFFFFFFF


# Dirty vector (DIRT)


def _apply_old(primary: bytes, valid: bool, logs: list[memoryview], limit: int) -> Recovery | None:
    written = cell_layout.get_u64(primary, 12) if valid else _first_bin_time(primary)
    eligible = []
    for log in logs:
        time = cell_layout.get_u64(log, 12)
        pages = _dirty_pages(log, limit) if time == written or (time > written and not valid) else None
        if pages:
            eligible.append((time, log, pages))
    if not eligible:
        return None
    _time, log, pages = max(eligible, key=lambda candidate: candidate[0])
    size = cell_layout.get_u32(log, 40)
    hive = bytearray(primary)
    _grow(hive, size)
    for offset, page in pages:
        hive[cell_layout.BASE_BLOCK_SIZE + offset : cell_layout.BASE_BLOCK_SIZE + offset + len(page)] = page
    _take_base_block(hive, log)
    return _finished(hive, cell_layout.get_u32(log, 4), 1)


def _first_bin_time(primary: bytes) -> int:
    return (
        cell_layout.get_u64(primary, cell_layout.BASE_BLOCK_SIZE + 20)
        if len(primary) >= cell_layout.BASE_BLOCK_SIZE + cell_layout.BIN_HEADER_SIZE
        else 0
    )


def _dirty_pages(log: memoryview, limit: int) -> list[tuple[int, memoryview]] | None:
    """Return the pages of a log with a dirty vector as (offset in the bins, 512 bytes), or None if it is not valid."""
    size = cell_layout.get_u32(log, 40)
    if size % cell_layout.PAGE or not 0 < size <= limit or bytes(log[_SECTOR : _SECTOR + 4]) != b"DIRT":
        return None
    vector = bytes(log[_SECTOR + 4 : _SECTOR + 4 + size // cell_layout.PAGE])
    data = -(-(_SECTOR + 4 + len(vector)) // _SECTOR) * _SECTOR
    if len(vector) < size // cell_layout.PAGE:
        return None
    pages = []
    for byte, bits in enumerate(vector):
        for bit in range(8) if bits else ():
            if bits >> bit & 1:
                page = log[data : data + _SECTOR]
                if len(page) < _SECTOR:
                    return None
                pages.append(((byte * 8 + bit) * _SECTOR, page))
                data += _SECTOR
    return pages


# Both formats


def _grow(hive: bytearray, bins_size: int) -> None:
    missing = cell_layout.BASE_BLOCK_SIZE + bins_size - len(hive)
    if missing > 0:
        hive.extend(bytes(missing))


def _take_base_block(hive: bytearray, log: memoryview) -> None:
    hive[:_SECTOR] = log[:_SECTOR]
    cell_layout.set_u32(hive, 28, 0)


def _finished(hive: bytearray, last: int, applied: int) -> Recovery:
    # Windows, too, sets both numbers to the last applied number plus one.
    sequence = (last + 1) & 0xFFFFFFFF
    cell_layout.set_u32(hive, 4, sequence)
    cell_layout.set_u32(hive, 8, sequence)
    cell_layout.set_u32(hive, 508, cell_layout.checksum(hive))
    return Recovery(bytes(hive), applied)
