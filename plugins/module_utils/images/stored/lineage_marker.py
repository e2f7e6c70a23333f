# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lineage marker of an image's disk: it identifies the image from which a returned disk descends.

It is stored in the last sector before the first partition, which neither partition tables nor Windows
use, and it survives every copy of a whole disk. A grown image keeps the marker of the image on which it
grew, because its disk descends from that image. A disk without space there, or with other data in that
sector, has no marker.

The sector, little-endian: "strata.layering" and a zero byte, u32 version (1), the SHA-256 digest
of the image's content (32 bytes), the lineage (32 bytes), u32 CRC-32 of all that, zeros. The lineage
is the SHA-256 digest of ``content digest + "\\n" + parent``, where the parent is the lineage of an
earlier image in hexadecimal digits, or the digest of the OS layer version. Images of equal content that
were composed on different parents may have their files in different file records, and only the
lineage distinguishes them.

A disk with a marker can become an OS layer version: that of a packaging machine in which the OS layer was updated. Its
marker is replaced then, by a marker that no other disk has. If it were kept, every disk that was created from the
earlier version would count as the disk of the new version.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from ...disk import partitions
from ...disk.block_device import BlockDevice

_SECTOR = 512
_LAYOUT = struct.Struct("<16sI32s32s")
_MAGIC, _VERSION = b"strata.layering\0", 1
#: Sectors of a partition table at the beginning of a disk.
_TABLE_SECTORS = {"gpt": 34, "mbr": 1}


@dataclass(frozen=True, slots=True)
class LineageMarker:
    """``content_digest`` identifies the image as its config does; ``lineage`` are hexadecimal digits."""

    content_digest: str
    lineage: str


def read_marker(device: BlockDevice) -> LineageMarker | None:
    """Return the marker of a disk, None if it has no marker; raises like ``read_partitions``."""
    offset = _marker_offset(device)
    return None if offset is None else _parse(device.pread(_SECTOR, offset))


def write_marker(device: BlockDevice, content_digest: str, os_digest: str) -> None:
    """Write the marker of the image ``content_digest`` to its disk, unless the sector contains other data.

    The parent is the image whose marker the disk has, else the OS layer version ``os_digest``.
    """
    offset = _marker_offset(device)
    if offset is None:
        return
    sector = device.pread(_SECTOR, offset)
    older = _parse(sector)
    if older is None and any(sector):
        return
    lineage = hashlib.sha256(f"{content_digest}\n{older.lineage if older else os_digest}".encode()).digest()
    _write(device, offset, content_digest, lineage)


def replace_marker(device: BlockDevice) -> None:
    """Replace the marker of a disk that becomes an OS layer version; a disk without a marker is not changed.

    The lineage of the new marker is the SHA-256 digest of ``"OS layer\\n" + lineage``, with the lineage of the old marker.
    """
    offset = _marker_offset(device)
    older = None if offset is None else _parse(device.pread(_SECTOR, offset))
    if offset is not None and older is not None:
        lineage = hashlib.sha256(f"OS layer\n{older.lineage}".encode()).digest()
        _write(device, offset, older.content_digest, lineage)


def _write(device: BlockDevice, offset: int, content_digest: str, lineage: bytes) -> None:
    data = _LAYOUT.pack(_MAGIC, _VERSION, bytes.fromhex(content_digest.partition(":")[2]), lineage)
    device.pwrite((data + struct.pack("<I", zlib.crc32(data))).ljust(_SECTOR, b"\0"), offset)


def _marker_offset(device: BlockDevice) -> int | None:
    table = partitions.read_partitions(device)
    offset = min((partition.offset for partition in table.partitions), default=0) - _SECTOR
    return offset if offset >= _TABLE_SECTORS[table.kind] * _SECTOR else None


def _parse(sector: bytes) -> LineageMarker | None:
    magic, version, content, lineage = _LAYOUT.unpack_from(sector)
    (checksum,) = struct.unpack_from("<I", sector, _LAYOUT.size)
    if magic != _MAGIC or version != _VERSION or checksum != zlib.crc32(sector[: _LAYOUT.size]):
        return None
    return LineageMarker(f"sha256:{content.hex()}", lineage.hex())
