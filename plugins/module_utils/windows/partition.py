# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the Windows partition of a disk as a device."""

from __future__ import annotations

from ..common.errors import Corrupt
from ..disk import partitions
from ..disk.block_device import BlockDevice, Window
from ..disk.overlay import CopyOnWriteDevice
from ..ntfs import resize


def windows_window(device: BlockDevice, number: int) -> Window:
    """Return the partition ``number`` of a disk as a device.

    Raises:
        Corrupt: the disk has no such partition.
    """
    return _numbered(partitions.read_partitions(device), number, device).window(device)


def windows_partition(device: CopyOnWriteDevice, number: int, grown: bool) -> Window:
    """Return the partition ``number`` as a device; if the disk has ``grown``, extend partition and file system to its end.

    Raises:
        Corrupt: the disk has no such partition.
    """
    table = partitions.read_partitions(device)
    partition = _numbered(table, number, device)
    if grown:
        table = partitions.grow(device, table, partition, device.size)
        partition = _numbered(table, number, device)
        resize.grow(partition.window(device), partition.size)
    return partition.window(device)


def _numbered(table: partitions.PartitionTable, number: int, device: BlockDevice) -> partitions.Partition:
    for partition in table.partitions:
        if partition.number == number:
            return partition
    present = ", ".join(str(partition.number) for partition in table.partitions)
    raise Corrupt(
        f"Partition {number} does not exist on {device.name}, although it was the Windows partition at the import; "
        f"partitions found: {present or 'none'}.",
        code="windows.partitions_unknown",
        hint="Import the OS layer again.",
    )
