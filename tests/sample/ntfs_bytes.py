# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures that no NTFS library writes: $LogFile's restart pages, the dirty flag, a BitLocker boot sector.

The functions change the bytes of a new volume whose first 16 file records are contiguous.
Source: libntfs-3g's logfile.h and layout.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

_RECORD = 1024
_SECTOR = 512
_VOLUME_INFORMATION, _DATA = 0x70, 0x80


def _cluster_size(stream: BinaryIO, start: int) -> int:
    stream.seek(start + 11)
    bytes_per_sector, sectors_per_cluster = struct.unpack("<HB", stream.read(3))
    return bytes_per_sector * sectors_per_cluster


def _record_offsets(stream: BinaryIO, start: int, number: int) -> list[int]:
    """Offsets of file record ``number`` in $MFT and, for the first four, in $MFTMirr."""
    stream.seek(start + 48)
    tables = struct.unpack("<QQ", stream.read(16))
    cluster = _cluster_size(stream, start)
    return [start + table * cluster + number * _RECORD for table in (tables if number < 4 else tables[:1])]


def _attribute(record: bytes, attribute_type: int) -> int:
    """Return the offset of the first attribute of a type in a record whose fixups need not be undone."""
    position = struct.unpack_from("<H", record, 20)[0]
    while True:
        kind, length = struct.unpack_from("<II", record, position)
        if kind == attribute_type:
            return position
        if kind == 0xFFFFFFFF or length == 0:
            raise ValueError(f"no attribute {attribute_type:#x}")
        position += length


def set_dirty(stream: BinaryIO, start: int) -> None:
    """Set VOLUME_IS_DIRTY of the volume at ``start``, in $MFT and its mirror."""
    for offset in _record_offsets(stream, start, 3):
        stream.seek(offset)
        record = bytearray(stream.read(_RECORD))
        attribute = _attribute(bytes(record), _VOLUME_INFORMATION)
        flags = attribute + struct.unpack_from("<H", record, attribute + 20)[0] + 10
        record[flags] |= 1
        stream.seek(offset)
        stream.write(record)


def _runs(record: bytes, attribute: int) -> Iterator[tuple[int, int]]:
    """(cluster, count) of a non-resident attribute."""
    position = attribute + struct.unpack_from("<H", record, attribute + 32)[0]
    cluster = 0
    while record[position]:
        count_size, offset_size = record[position] & 15, record[position] >> 4
        count = int.from_bytes(record[position + 1 : position + 1 + count_size], "little")
        cluster += int.from_bytes(
            record[position + 1 + count_size : position + 1 + count_size + offset_size], "little", signed=True
        )
        yield cluster, count
        position += 1 + count_size + offset_size


def restart_page(file_size: int, major: int, minor: int, clean: bool = True) -> bytes:
    """A $LogFile restart page of 4096 bytes, protected by fixups."""
    page = bytearray(4096)
    struct.pack_into("<4sHHQIIHhh", page, 0, b"RSTR", 0x1E, 9, 0, 4096, 4096, 0x30, minor, major)
    sequence_bits = 67 - file_size.bit_length()
    struct.pack_into(
        "<QHHHHIHHqIHHII",
        page,
        0x30,
        0x100400,
        1,
        0xFFFF,
        0,
        2 if clean else 0,
        sequence_bits,
        0x40 + 0xA0,
        0x40,
        file_size,
        0,
        0x30,
        0x40,
        1,
        0,
    )
    struct.pack_into("<QQHHH6xI", page, 0x70, 0x100000, 0x100000, 0xFFFF, 0xFFFF, 0, 8)
    page[0x70 + 32 : 0x70 + 40] = "NTFS".encode("utf-16-le")
    struct.pack_into("<H", page, 0x1E, 1)
    for sector in range(8):
        end = (sector + 1) * _SECTOR - 2
        page[0x1E + 2 + 2 * sector : 0x1E + 4 + 2 * sector] = page[end : end + 2]
        struct.pack_into("<H", page, end, 1)
    return bytes(page)


def write_log(stream: BinaryIO, start: int, major: int, minor: int) -> None:
    """Write both restart pages of a cleanly closed log of that version to the start of $LogFile."""
    stream.seek(_record_offsets(stream, start, 2)[0])
    record = stream.read(_RECORD)
    attribute = _attribute(record, _DATA)
    size = struct.unpack_from("<Q", record, attribute + 48)[0]
    cluster = next(_runs(record, attribute))[0]
    stream.seek(start + cluster * _cluster_size(stream, start))
    stream.write(restart_page(size, major, minor) * 2)


def make_bitlocker(stream: BinaryIO, start: int, size: int) -> None:
    """Make an empty partition look like an encrypted partition: boot sector and metadata headers.

    Source: libbde's documentation of the BitLocker Drive Encryption format.
    """
    positions = [size // 8 * number // 65536 * 65536 for number in (1, 3, 5)]
    boot = bytearray(512)
    boot[0:11] = b"\xeb\x58\x90-FVE-FS-"
    struct.pack_into("<HBH5xBHHHI", boot, 11, 512, 8, 0, 0xF8, 0, 63, 255, start // 512)
    boot[160:176] = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
    struct.pack_into("<QQQ", boot, 176, *positions)
    boot[510:512] = b"\x55\xaa"
    metadata = struct.pack("<8sHHHHQIIQQQQ", b"-FVE-FS-", 64, 2, 4, 4, size, 0, 16, *positions, 0).ljust(512, b"\0")
    sectors = [(0, bytes(boot)), (size - 512, bytes(boot)), *((position, metadata) for position in positions)]
    for offset, sector in sectors:
        stream.seek(start + offset)
        stream.write(sector)
