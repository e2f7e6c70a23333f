# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GUID partition tables: headers, entries and checksums.

Source: UEFI Specification 2.10, chapter 5 "GUID Partition Table (GPT) Disk Layout". All
positions are LBAs of 512 bytes; virtual disks of vSphere have no other sector size.
"""

from __future__ import annotations

import dataclasses
import struct
import uuid
import zlib

from ..common.errors import Corrupt
from .block_device import BlockDevice

SECTOR = 512
LARGE_SECTOR = 4096
ENTRY_SIZE = 128
ENTRY_COUNT = 128
MAX_ENTRIES = 1024
MAX_ENTRY_SIZE = 4096

_SIGNATURE = b"EFI PART"
_REVISION = 0x00010000
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")


@dataclasses.dataclass(slots=True)
class GptEntry:
    """A used entry: ``number`` counts from 1, ``first`` and ``last`` are inclusive LBAs."""

    number: int
    type: str
    guid: str
    first: int
    last: int
    attributes: int
    name: str


@dataclasses.dataclass(slots=True)
class Gpt:
    """A valid table; ``entries`` is the raw entry array, ``used`` its used entries in order of number."""

    lba: int
    alternate: int
    first_usable: int
    last_usable: int
    disk_guid: bytes
    entries_lba: int
    entry_count: int
    entry_size: int
    entries: bytes
    used: list[GptEntry] = dataclasses.field(default_factory=list)


def _damaged(device: BlockDevice, cause: str, code: str = "disk.partitions_corrupt") -> Corrupt:
    return Corrupt(
        f"The GUID partition table of {device.name} is damaged: {cause}.",
        code=code,
        hint="Check the disk in the OS machine, and export the VM again.",
    )


def read_header(device: BlockDevice, lba: int) -> Gpt:
    """Read the header at an LBA with its entries.

    Raises Corrupt: ``disk.partitions_truncated`` when the table was created for a larger
    disk, ``disk.partitions_corrupt`` when a checksum or a number is wrong.
    """
    sectors = device.size // SECTOR
    if not 0 < lba < sectors:
        raise _damaged(
            device, f"its header is expected at sector {lba}, but the disk has {sectors}", "disk.partitions_truncated"
        )
    data = device.pread(SECTOR, lba * SECTOR)
    fields = _HEADER.unpack_from(data)
    (
        signature,
        revision,
        size,
        checksum,
        _reserved,
        own,
        alternate,
        first,
        last,
        guid,
        entries_lba,
        count,
        entry_size,
        entries_checksum,
    ) = fields
    if signature != _SIGNATURE or revision >> 16 != 1 or not _HEADER.size <= size <= SECTOR:
        raise _damaged(device, f"there is no header at sector {lba}")
    if zlib.crc32(data[:16] + bytes(4) + data[20:size]) != checksum:
        raise _damaged(device, f"the checksum of the header at sector {lba} is wrong")
    if own != lba:
        raise _damaged(device, f"the header at sector {lba} gives its own position as {own}")
    gpt = Gpt(lba, alternate, first, last, guid, entries_lba, count, entry_size, b"")
    _check_bounds(device, gpt)
    gpt.entries = device.pread(count * entry_size, entries_lba * SECTOR)
    if zlib.crc32(gpt.entries) != entries_checksum:
        raise _damaged(device, f"the checksum of the entries at sector {entries_lba} is wrong")
    gpt.used = _used_entries(device, gpt)
    return gpt


def _check_bounds(device: BlockDevice, gpt: Gpt) -> None:
    """Raise Corrupt unless the numbers of a header fit each other and the disk."""
    sectors, count, entry_size = device.size // SECTOR, gpt.entry_count, gpt.entry_size
    first, last = gpt.first_usable, gpt.last_usable
    if not 1 <= count <= MAX_ENTRIES or not ENTRY_SIZE <= entry_size <= MAX_ENTRY_SIZE or entry_size & (entry_size - 1):
        raise _damaged(device, f"it has {count} entries of {entry_size} bytes")
    if gpt.alternate >= sectors or last >= sectors:
        raise _damaged(
            device,
            f"it was created for a disk of at least {max(gpt.alternate, last) + 1} sectors, but the disk has {sectors}",
            "disk.partitions_truncated",
        )
    span = -(-count * entry_size // SECTOR)
    if first > last or 2 + span > first:
        raise _damaged(device, f"its range of usable sectors is {first} to {last}")
    if not 2 <= gpt.entries_lba <= sectors - span or (gpt.entries_lba <= last and gpt.entries_lba + span > first):
        raise _damaged(device, "its entries are outside the disk or overlap the usable sectors")


def counts_large_sectors(device: BlockDevice) -> bool:
    """Return whether the disk has a header at the position for sectors of 4096 bytes."""
    return device.size >= 2 * LARGE_SECTOR and device.pread(len(_SIGNATURE), LARGE_SECTOR) == _SIGNATURE


def _used_entries(device: BlockDevice, gpt: Gpt) -> list[GptEntry]:
    used = []
    for index in range(gpt.entry_count):
        kind, guid, first, last, attributes, name = _ENTRY.unpack_from(gpt.entries, index * gpt.entry_size)
        if not any(kind):
            continue
        if not gpt.first_usable <= first <= last <= gpt.last_usable:
            raise _damaged(device, f"partition {index + 1} (sectors {first} to {last}) is outside the usable sectors")
        text = name.decode("utf-16-le", errors="replace").split("\0", 1)[0]
        used.append(
            GptEntry(
                index + 1, str(uuid.UUID(bytes_le=kind)), str(uuid.UUID(bytes_le=guid)), first, last, attributes, text
            )
        )
    ordered = sorted(used, key=lambda entry: entry.first)
    for entry, following in zip(ordered, ordered[1:]):
        if following.first <= entry.last:
            raise _damaged(device, f"the partitions {entry.number} and {following.number} overlap")
    return used


def move_entry_end(gpt: Gpt, number: int, last: int) -> None:
    """Change the last sector of a partition; the rest of its entry does not change."""
    entries = bytearray(gpt.entries)
    struct.pack_into("<Q", entries, (number - 1) * gpt.entry_size + 40, last)
    gpt.entries = bytes(entries)


def usable_end(sectors: int, entry_count: int = ENTRY_COUNT, entry_size: int = ENTRY_SIZE) -> int:
    """Return the last usable LBA of a disk of ``sectors``; the backup entries and header follow it."""
    return sectors - 2 - -(-entry_count * entry_size // SECTOR)


def write_both(device: BlockDevice, gpt: Gpt) -> None:
    """Write the backup table at the end of the disk, then the primary table at sector 1, with ``gpt.entries``."""
    sectors = device.size // SECTOR
    span = -(-gpt.entry_count * gpt.entry_size // SECTOR)
    entries = gpt.entries.ljust(span * SECTOR, b"\0")
    for lba, alternate, entries_lba in ((sectors - 1, 1, sectors - 1 - span), (1, sectors - 1, 2)):
        device.pwrite(entries, entries_lba * SECTOR)
        device.pwrite(_pack_header(gpt, lba, alternate, entries_lba), lba * SECTOR)


def _pack_header(gpt: Gpt, lba: int, alternate: int, entries_lba: int) -> bytes:
    checksum = zlib.crc32(gpt.entries)

    def pack(own_checksum: int) -> bytes:
        return _HEADER.pack(
            _SIGNATURE, _REVISION, _HEADER.size, own_checksum, 0, lba, alternate, gpt.first_usable, gpt.last_usable,
            gpt.disk_guid, entries_lba, gpt.entry_count, gpt.entry_size, checksum,
        )  # fmt: skip

    return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")
