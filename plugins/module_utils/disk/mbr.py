# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Master boot records: the four primary entries and the chain of logical partitions.

Source: UEFI Specification 2.10, section 5.2 "LBA 0 Format"; the chain of extended boot
records is read as by Windows and Linux.
"""

from __future__ import annotations

import dataclasses
import struct

from ..common.errors import Corrupt
from .block_device import BlockDevice

SECTOR = 512
TYPE_PROTECTIVE = 0xEE
EXTENDED_TYPES = frozenset((0x05, 0x0F, 0x85))
MAX_LOGICAL = 128

_TABLE = 446
_SIGNATURE = b"\x55\xaa"
_ENTRY = struct.Struct("<B3sB3sII")


@dataclasses.dataclass(slots=True)
class MbrEntry:
    """A used entry: primary 1 to 4, logical from 5; ``first`` LBA and ``count`` of sectors on the whole disk."""

    number: int
    type: int
    active: bool
    first: int
    count: int


def _damaged(device: BlockDevice, cause: str, code: str = "disk.partitions_corrupt") -> Corrupt:
    return Corrupt(
        f"The partition table of {device.name} is damaged: {cause}.",
        code=code,
        hint="Check the disk in the OS machine, and export the VM again.",
    )


def has_signature(sector: bytes) -> bool:
    """Return whether a first sector has the signature of a boot record."""
    return sector[510:512] == _SIGNATURE


def raw_entries(sector: bytes) -> list[tuple[int, int, int, int]]:
    """Return the four ``(status, type, first, count)`` of a boot record."""
    rows = (_ENTRY.unpack_from(sector, _TABLE + 16 * index) for index in range(4))
    return [(status, kind, first, count) for status, _start, kind, _end, first, count in rows]


def read_entries(device: BlockDevice, sector: bytes) -> tuple[list[MbrEntry], MbrEntry | None]:
    """Return the used primary and logical partitions, and the extended partition if there is one.

    Raises Corrupt ``disk.partitions_truncated`` for an entry beyond the end of the disk,
    ``disk.partitions_corrupt`` for entries that overlap and chains that loop.
    """
    sectors = device.size // SECTOR
    used: list[MbrEntry] = []
    extended: MbrEntry | None = None
    for index, (status, kind, first, count) in enumerate(raw_entries(sector)):
        if status not in (0x00, 0x80):
            raise _damaged(device, f"entry {index + 1} has an invalid status")
        if not kind or not count:
            continue
        entry = _checked(device, MbrEntry(index + 1, kind, status == 0x80, first, count), sectors)
        if kind in EXTENDED_TYPES:
            if extended is not None:
                raise _damaged(device, "it has two extended partitions")
            extended = entry
        else:
            used.append(entry)
    _check_overlap(device, used + ([extended] if extended else []))
    if extended is not None:
        logical = _read_chain(device, extended)
        _check_overlap(device, logical)
        used += logical
    return used, extended


def _checked(device: BlockDevice, entry: MbrEntry, sectors: int) -> MbrEntry:
    if not entry.first:
        raise _damaged(device, f"partition {entry.number} starts at sector 0")
    if entry.first + entry.count > sectors:
        raise _damaged(
            device,
            f"partition {entry.number} ends at sector {entry.first + entry.count}, but the disk has {sectors}",
            "disk.partitions_truncated",
        )
    return entry


def _check_overlap(device: BlockDevice, entries: list[MbrEntry]) -> None:
    ordered = sorted(entries, key=lambda entry: entry.first)
    for entry, following in zip(ordered, ordered[1:]):
        if following.first < entry.first + entry.count:
            raise _damaged(device, f"the partitions {entry.number} and {following.number} overlap")


def _read_chain(device: BlockDevice, extended: MbrEntry) -> list[MbrEntry]:
    end = extended.first + extended.count
    position = extended.first
    logical: list[MbrEntry] = []
    for _step in range(MAX_LOGICAL):
        sector = device.pread(SECTOR, position * SECTOR)
        if not has_signature(sector):
            raise _damaged(device, f"the extended boot record at sector {position} is missing")
        (status, kind, first, count), (_status, next_kind, next_first, _count) = raw_entries(sector)[:2]
        if kind and count:
            entry = MbrEntry(5 + len(logical), kind, status == 0x80, position + first, count)
            if not first or entry.first + entry.count > end:
                raise _damaged(device, f"logical partition {entry.number} is not within the extended partition")
            logical.append(entry)
        if next_kind not in EXTENDED_TYPES or not next_first:
            return logical
        # Windows writes boot records in ascending order; requiring that order ends every loop.
        if not position < extended.first + next_first < end:
            raise _damaged(device, "the chain of its logical partitions is not ascending within the extended partition")
        position = extended.first + next_first
    raise _damaged(device, f"it has more than {MAX_LOGICAL} logical partitions")


def protective(sectors: int, boot_code: bytes = b"") -> bytes:
    """Return a protective boot record for a GPT disk of ``sectors``, keeping the 446 bytes before the table."""
    entry = _ENTRY.pack(0, b"\x00\x02\x00", TYPE_PROTECTIVE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF))
    return boot_code[:_TABLE].ljust(_TABLE, b"\0") + entry + bytes(48) + _SIGNATURE


def with_count(sector: bytes, number: int, count: int) -> bytes:
    """Return a boot record in which primary partition ``number`` has ``count`` sectors."""
    changed = bytearray(sector)
    struct.pack_into("<I", changed, _TABLE + 16 * (number - 1) + 12, count)
    changed[_TABLE + 16 * (number - 1) + 5 : _TABLE + 16 * (number - 1) + 8] = b"\xfe\xff\xff"
    return bytes(changed)
