# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a GUID partition table to a new disk, for the sample disks and for tests."""

from __future__ import annotations

import dataclasses
import struct
import uuid

from ...plugins.module_utils.disk import gpt, mbr
from ...plugins.module_utils.disk.block_device import BlockDevice
from ...plugins.module_utils.disk.partitions import ALIGNMENT, PartitionTable, read_partitions

_SECTOR = 512
_ENTRY = struct.Struct("<16s16sQQQ72s")


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionSpec:
    """A partition to be created: ``size`` in bytes (None: the remaining space), ``guid`` derived from the disk's when empty."""

    type: str
    size: int | None
    name: str = ""
    guid: str = ""
    attributes: int = 0


def format_gpt(device: BlockDevice, specs: list[PartitionSpec], *, disk_guid: str) -> PartitionTable:
    """Write a new GPT with these partitions, one after the other, at whole MiB; equal arguments give equal bytes.

    Raises ValueError when a partition does not fit.
    """
    sectors = device.size // _SECTOR
    last_usable = gpt.usable_end(sectors)
    start = ALIGNMENT
    entries = []
    for number, spec in enumerate(specs, 1):
        end = (last_usable + 1) * _SECTOR // ALIGNMENT * ALIGNMENT if spec.size is None else start + spec.size
        if end <= start or end > (last_usable + 1) * _SECTOR or end % _SECTOR:
            raise ValueError(f"Partition {number} does not fit on {device.name}.")
        guid = spec.guid or str(uuid.uuid5(uuid.UUID(disk_guid), f"partition {number}"))
        entries.append(
            _ENTRY.pack(
                uuid.UUID(spec.type).bytes_le,
                uuid.UUID(guid).bytes_le,
                start // _SECTOR,
                end // _SECTOR - 1,
                spec.attributes,
                spec.name.encode("utf-16-le")[:72],
            )
        )
        start = -(-end // ALIGNMENT) * ALIGNMENT
    raw = b"".join(entries).ljust(gpt.ENTRY_COUNT * gpt.ENTRY_SIZE, b"\0")
    table = gpt.Gpt(
        lba=1,
        alternate=sectors - 1,
        first_usable=2 + len(raw) // _SECTOR,
        last_usable=last_usable,
        disk_guid=uuid.UUID(disk_guid).bytes_le,
        entries_lba=2,
        entry_count=gpt.ENTRY_COUNT,
        entry_size=gpt.ENTRY_SIZE,
        entries=raw,
    )
    device.pwrite(mbr.protective(sectors), 0)
    gpt.write_both(device, table)
    return read_partitions(device)
