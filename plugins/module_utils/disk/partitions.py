# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the partitions of a disk (GPT or MBR), and grow the last partition."""

from __future__ import annotations

import dataclasses
import uuid

from ..common.errors import Corrupt, InternalError, StrataError, Unsupported
from . import gpt as _gpt
from . import mbr as _mbr
from .block_device import BlockDevice, Window

SECTOR = 512
#: Partitions start and end at multiples of this number of bytes, like those of Windows Setup.
ALIGNMENT = 1 << 20

TYPE_EFI_SYSTEM = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
TYPE_MICROSOFT_RESERVED = "e3c9e316-0b5c-4db8-817d-f92df00215ae"
TYPE_BASIC_DATA = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
#: Partitions of a dynamic disk: metadata and data of the Logical Disk Manager on GPT, both on MBR.
TYPE_LDM = frozenset(("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "af9b60a0-1431-4f62-bc68-3311714a69ad", 0x42))


@dataclasses.dataclass(frozen=True, slots=True)
class Partition:
    """A partition: ``type`` is a lower-case GUID (GPT) or an MBR type number; ``offset`` and ``size`` in bytes."""

    number: int
    type: str | int
    offset: int
    size: int
    name: str = ""
    active: bool = False
    guid: str = ""

    @property
    def end(self) -> int:
        """The offset of the byte after the partition."""
        return self.offset + self.size

    def window(self, device: BlockDevice) -> Window:
        """Return the partition as a device."""
        return Window(device, self.offset, self.size)


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionTable:
    """The partition table of a disk; ``kind`` is "gpt" or "mbr", partitions are in order of number.

    ``disk_id`` is the GUID of a GPT disk or the signature of an MBR as eight hex digits.
    ``primary_damaged`` is true if only the backup GPT is valid, ``backup_damaged`` if only the
    primary GPT is valid.
    """

    kind: str
    partitions: tuple[Partition, ...]
    disk_id: str
    primary_damaged: bool = False
    backup_damaged: bool = False

    def partitions_after(self, partition: Partition) -> list[Partition]:
        """Return the partitions that start after ``partition``, by number."""
        return [other for other in self.partitions if other.offset > partition.offset]


def read_partitions(device: BlockDevice) -> PartitionTable:
    """Return the partition table of a disk.

    Raises:
        Unsupported disk.partitions_none: the disk has no table, such as an empty disk or a bare file system.
        Unsupported disk.partitions_sector_size: the disk has sectors of 4096 bytes.
        Corrupt disk.partitions_corrupt: the table is damaged.
        Corrupt disk.partitions_truncated: the disk is smaller than the table says.
    """
    if device.size < 4 * SECTOR:
        raise Corrupt(
            f"{device.name} has {device.size} bytes, too few for a partition table.",
            code="disk.partitions_truncated",
            hint="Export or copy the disk again.",
        )
    sector = device.pread(SECTOR, 0)
    if not _mbr.has_signature(sector):
        raise _no_table(device)
    kinds = [kind for _status, kind, _first, _count in _mbr.raw_entries(sector)]
    if _mbr.TYPE_PROTECTIVE in kinds:
        table, damaged, backup_damaged = _read_gpt(device)
        return PartitionTable(
            "gpt",
            tuple(_from_gpt(entry) for entry in table.used),
            str(uuid.UUID(bytes_le=table.disk_guid)),
            damaged,
            backup_damaged,
        )
    if sector[3:11] in (b"NTFS    ", b"-FVE-FS-") or sector[54:57] == b"FAT" or sector[82:87] == b"FAT32":
        raise _no_table(device)
    used, _extended = _mbr.read_entries(device, sector)
    if not used:
        raise _no_table(device)
    partitions = tuple(
        Partition(entry.number, entry.type, entry.first * SECTOR, entry.count * SECTOR, "", entry.active)
        for entry in used
    )
    return PartitionTable("mbr", partitions, f"{int.from_bytes(sector[440:444], 'little'):08x}")


def grow(device: BlockDevice, table: PartitionTable, partition: Partition, new_disk_size: int) -> PartitionTable:
    """Extend ``partition``, the last on the disk, to the end of a disk that has grown to ``new_disk_size`` bytes.

    The device already has that size. The backup GPT moves to the new end; a partition never
    becomes smaller. Return the new table.

    Raises:
        Unsupported disk.partitions_not_last: another partition follows.
        Unsupported disk.partitions_logical: the partition is a logical partition.
        Unsupported disk.partitions_mbr_limit: the partition would end beyond 2 TiB of an MBR disk.
    """
    if new_disk_size != device.size:
        raise InternalError(f"{device.name} has {device.size} bytes, not {new_disk_size}.", code="disk.partitions_size")
    if partition not in table.partitions:
        raise InternalError(
            f"Partition {partition.number} does not belong to {device.name}.", code="disk.partitions_unknown"
        )
    following = table.partitions_after(partition)
    if following:
        raise Unsupported(
            f"Partition {partition.number} of {device.name} cannot grow because partition {following[0].number} follows it.",
            code="disk.partitions_not_last",
            hint="Remove the recovery partition in the OS machine ('reagentc /disable', then delete it with diskpart). "
            "Then export the VM again. Alternatively, keep the size of the disk.",
        )
    if table.kind == "gpt":
        _grow_gpt(device, partition)
    else:
        _grow_mbr(device, partition)
    return read_partitions(device)


def _no_table(device: BlockDevice) -> Unsupported:
    return Unsupported(
        f"{device.name} has no partition table.",
        code="disk.partitions_none",
        hint="Use the disk on which Windows Setup installed Windows.",
    )


def _from_gpt(entry: _gpt.GptEntry) -> Partition:
    # Attribute bit 2 is "legacy BIOS bootable", GPT's counterpart of the active flag.
    size = (entry.last - entry.first + 1) * SECTOR
    return Partition(
        entry.number, entry.type, entry.first * SECTOR, size, entry.name, bool(entry.attributes & 4), entry.guid
    )


def _read_gpt(device: BlockDevice) -> tuple[_gpt.Gpt, bool, bool]:
    """Return ``(table, primary_damaged, backup_damaged)``."""
    try:
        primary = _gpt.read_header(device, 1)
    except Corrupt as error:
        if error.code == "disk.partitions_truncated":
            raise
        try:
            return _gpt.read_header(device, device.size // SECTOR - 1), True, False
        except Corrupt:
            if _gpt.counts_large_sectors(device):
                raise Unsupported(
                    f"{device.name} has sectors of 4096 bytes.",
                    code="disk.partitions_sector_size",
                    hint="Install Windows on a virtual disk with sectors of 512 bytes, or copy it to such a disk.",
                ) from None
            raise error from None
    try:
        backup = _gpt.read_header(device, primary.alternate)
    except StrataError:
        return primary, False, True
    same = backup.entries == primary.entries and backup.disk_guid == primary.disk_guid
    return primary, False, not same


def _grow_gpt(device: BlockDevice, partition: Partition) -> None:
    table = _read_gpt(device)[0]
    sectors = device.size // SECTOR
    old_backup = table.alternate if table.lba == 1 else table.lba
    table.last_usable = max(_gpt.usable_end(sectors, table.entry_count, table.entry_size), table.last_usable)
    end = (table.last_usable + 1) * SECTOR // ALIGNMENT * ALIGNMENT
    if end > partition.end:
        _gpt.move_entry_end(table, partition.number, end // SECTOR - 1)
    _gpt.write_both(device, table)
    device.pwrite(_mbr.protective(sectors, device.pread(SECTOR, 0)), 0)
    if 1 < old_backup < sectors - 1:
        device.pwrite(bytes(SECTOR), old_backup * SECTOR)


def _grow_mbr(device: BlockDevice, partition: Partition) -> None:
    sector = device.pread(SECTOR, 0)
    _used, extended = _mbr.read_entries(device, sector)
    if partition.number > 4 or extended is not None and extended.first * SECTOR > partition.offset:
        raise Unsupported(
            f"Partition {partition.number} of {device.name} cannot grow because of the extended partition.",
            code="disk.partitions_logical",
            hint="Use a disk with a GPT, or with primary partitions only.",
        )
    end = device.size // ALIGNMENT * ALIGNMENT
    count = (end - partition.offset) // SECTOR
    if count > 0xFFFFFFFF or partition.offset // SECTOR + count > 0xFFFFFFFF:
        raise Unsupported(
            f"{device.name} has a master boot record (MBR); its partitions cannot end beyond 2 TiB.",
            code="disk.partitions_mbr_limit",
            hint="Convert the disk with 'mbr2gpt /convert' in the OS machine, and export the VM again.",
        )
    if end > partition.end:
        device.pwrite(_mbr.with_count(sector, partition.number, count), 0)
