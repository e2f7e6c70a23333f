# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark that composing leaves on an image's disk, by which a disk that comes back tells from which image it descends.

It stands in the last sector before the first partition, which neither partition tables nor Windows
use, and survives every copy of a whole disk. A grown image keeps the mark of the one it grew upon,
because its disk still descends from that one. A disk without room there, or with something else in
that sector, has no mark.

The sector, little-endian: "strata.layering" and a zero byte, u32 version (1), the SHA-256 digest
of the image's content (32 bytes), the lineage (32 bytes), u32 CRC-32 of all that, zeros. The lineage
is the SHA-256 digest of ``content digest + "\\n" + what it was composed upon`` (the lineage of an
earlier image in hexadecimal digits, or the digest of the OS layer version). Images of equal content
that were composed upon different ones may have their files in different file records, so that only
the lineage tells them apart.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from ..disk import partitions
from ..disk.block_device import BlockDevice

_SECTOR = 512
_LAYOUT = struct.Struct("<16sI32s32s")
_MAGIC, _VERSION = b"strata.layering\0", 1
#: Sectors that a partition table takes at the beginning of a disk.
_TABLE_SECTORS = {"gpt": 34, "mbr": 1}


@dataclass(frozen=True, slots=True)
class Mark:
    """``content_digest`` names the image as its config does; ``lineage`` are hexadecimal digits."""

    content_digest: str
    lineage: str


def read_mark(device: BlockDevice) -> Mark | None:
    """The mark on a disk, None when it has none; raises as ``read_partitions`` does."""
    place = _place(device)
    return None if place is None else _parse(device.pread(_SECTOR, place))


def write_mark(device: BlockDevice, content_digest: str, composed_upon: str) -> None:
    """Put the mark of the image ``content_digest`` on its disk, unless something else stands there.

    ``composed_upon`` is the digest of the OS layer version; a mark that the disk has from an earlier
    image takes its place.
    """
    place = _place(device)
    if place is None:
        return
    sector = device.pread(_SECTOR, place)
    before = _parse(sector)
    if before is None and any(sector):
        return
    lineage = hashlib.sha256(f"{content_digest}\n{before.lineage if before else composed_upon}".encode()).digest()
    data = _LAYOUT.pack(_MAGIC, _VERSION, bytes.fromhex(content_digest.partition(":")[2]), lineage)
    device.pwrite((data + struct.pack("<I", zlib.crc32(data))).ljust(_SECTOR, b"\0"), place)


def _place(device: BlockDevice) -> int | None:
    table = partitions.read_partitions(device)
    place = min((one.offset for one in table.partitions), default=0) - _SECTOR
    return place if place >= _TABLE_SECTORS[table.kind] * _SECTOR else None


def _parse(sector: bytes) -> Mark | None:
    magic, version, content, lineage = _LAYOUT.unpack_from(sector)
    if (
        magic != _MAGIC
        or version != _VERSION
        or struct.unpack_from("<I", sector, _LAYOUT.size)[0] != zlib.crc32(sector[: _LAYOUT.size])
    ):
        return None
    return Mark(f"sha256:{content.hex()}", lineage.hex())
