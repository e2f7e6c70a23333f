# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of the test VM: a partition table, and data that compression cannot make smaller.

The content depends only on the size. The disk has nothing to boot. Its data is in runs with gaps of zeros between them,
so that the tables of the VMDK and its end are tested as well.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..common.progress import Progress, silent
from ..disk.block_device import BlockDevice
from ..disk.encode import encode
from ..disk.gpt import ENTRY_COUNT, ENTRY_SIZE, SECTOR, Gpt, usable_end, write_both
from ..disk.grains import GRAIN_SIZE, GrainIndex

MIB = 1 << 20
#: The disk is larger than its data by this factor, and at least this large.
_SPREAD, _MINIMUM = 4, 256 * MIB
#: Data is in runs of this number of bytes; a run is at the start of each range of ``_SPREAD`` times its size.
_RUN = MIB
_SEED = b"strata.layering self-test"
#: A partition for data (Microsoft basic data): firmware boots only from EFI system partitions.
_PARTITION_TYPE = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
_FIRST_SECTOR = 2048
#: Boot code of the protective MBR for BIOS firmware: cli, then hlt for ever, so that a VM that is started does nothing.
_HALT = bytes.fromhex("faf4ebfd")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class DiskImage:
    """A stream-optimized VMDK in ``file``: ``length`` bytes, a disk of ``capacity`` bytes with ``data`` bytes that are not zeros."""

    file: BinaryIO
    index: GrainIndex
    length: int

    @property
    def capacity(self) -> int:
        """Size of the disk in bytes."""
        return self.index.capacity

    @property
    def data(self) -> int:
        """Bytes of the grains that are not zeros."""
        return len(self.index) * GRAIN_SIZE

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes of the VMDK."""
        self.file.seek(0)
        while block := self.file.read(_BLOCK):
            yield block


def write_image(size: int, file: BinaryIO, *, progress: Progress = silent) -> DiskImage:
    """Write the VMDK of a disk with ``size`` bytes of data, rounded up to MiB, to ``file``.

    Raises:
        OSError: as ``file``.
    """
    index = encode(PatternDisk(size), file, progress=progress)
    file.flush()
    return DiskImage(file, index, file.tell())


class PatternDisk(BlockDevice):
    """A read-only disk with ``data`` bytes of pseudo-random content, a GUID partition table, and zeros elsewhere."""

    name = "the test disk"
    concurrent_reads = True

    def __init__(self, data: int) -> None:
        self.runs = -(-data // _RUN)
        self.size = max(_MINIMUM, _SPREAD * self.runs * _RUN)
        self._stride = self.size // self.runs // _RUN * _RUN
        self._tables: dict[int, bytes] = {}
        _write_partitions(self)

    def pread(self, count: int, offset: int) -> bytes:
        self.check_range(count, offset)
        pieces = []
        end = offset + count
        while offset < end:
            number, start = divmod(offset, GRAIN_SIZE)
            piece = self._grain(number)[start : start + end - offset]
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def pwrite(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Take a part of the partition table, while the disk is created."""
        self._tables[offset] = bytes(data)

    def data_extents(self) -> Iterator[tuple[int, int]]:
        for run in range(self.runs):
            yield run * self._stride, run * self._stride + _RUN
        last = self.size - GRAIN_SIZE
        if last >= (self.runs - 1) * self._stride + _RUN:
            yield last, self.size

    def _grain(self, number: int) -> bytes:
        position = number * GRAIN_SIZE
        run, inside = divmod(position, self._stride)
        data = bytes(GRAIN_SIZE)
        if run < self.runs and inside < _RUN:
            data = hashlib.shake_128(_SEED + struct.pack("<Q", number)).digest(GRAIN_SIZE)
        return self._with_tables(position, data)

    def _with_tables(self, position: int, data: bytes) -> bytes:
        """Return a grain with the parts of the partition table that are in it."""
        for offset, table in self._tables.items():
            start, end = max(offset, position), min(offset + len(table), position + GRAIN_SIZE)
            if start < end:
                data = data[: start - position] + table[start - offset : end - offset] + data[end - position :]
        return data


def _write_partitions(disk: PatternDisk) -> None:
    """Write a GUID partition table with one partition, and the protective MBR."""
    sectors = disk.size // SECTOR
    last = usable_end(sectors)
    digest = hashlib.shake_128(_SEED).digest(32)
    name = "strata self-test".encode("utf-16-le").ljust(72, b"\0")
    entry = struct.pack("<16s16sQQQ72s", _PARTITION_TYPE.bytes_le, digest[:16], _FIRST_SECTOR, last, 0, name)
    entries = entry.ljust(ENTRY_COUNT * ENTRY_SIZE, b"\0")
    write_both(disk, Gpt(1, sectors - 1, 34, last, digest[16:], 2, ENTRY_COUNT, ENTRY_SIZE, entries))
    protective = struct.pack("<B3sB3sII", 0, b"\0\x02\0", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF))
    disk.pwrite((_HALT.ljust(446, b"\0") + protective).ljust(510, b"\0") + b"\x55\xaa", 0)
