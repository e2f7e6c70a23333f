# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VHDX files with dynamic size.

Source: [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format", revision 7. All numbers are little-endian.
"""

from __future__ import annotations

import functools
import struct
import uuid

from ..common.arrays import U32
from ..common.optional_imports import np
from .disk_file import DiskFile, derived_guid
from .grains import GRAIN_SHIFT

_MIB = 1 << 20
_ALIGNED_64K = 1 << 16
#: Bytes of a block: small blocks make small files; large disks get larger blocks, so that the table stays small.
_BLOCK, _LARGE_BLOCK, _LARGE_DISK = 1 << 20, 32 << 20, 1 << 40
#: The sectors of the disk that Hyper-V creates by default.
_LOGICAL_SECTOR, _PHYSICAL_SECTOR = 512, 4096

# Offsets from section 2.1. The log is empty, because its GUID is zero.
_HEADERS = (1 << 16, 2 << 16)
_REGION_TABLES = (3 << 16, 4 << 16)
_LOG, _METADATA, _BAT = (1 << 20, 2 << 20, 3 << 20)
_REGION_LENGTH = 1 << 20

_IDENTIFIER = struct.Struct("<8s512s")
_HEADER = struct.Struct("<4sIQ16s16s16sHHIQ")
_HEADER_SIZE = 4096
_REGION_HEADER = struct.Struct("<4sIII")
_REGION_ENTRY = struct.Struct("<16sQII")
_METADATA_HEADER = struct.Struct("<8sHH20x")
_METADATA_ENTRY = struct.Struct("<16sIII4x")
_BAT_REGION = uuid.UUID("2DC27766-F623-4200-9D64-115E9BFD4A08")
_METADATA_REGION = uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E")
_FILE_PARAMETERS = uuid.UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B")
_DISK_SIZE = uuid.UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8")
_DISK_ID = uuid.UUID("BECA12AB-B2E6-4523-93EF-C309E000C746")
_LOGICAL_SIZE = uuid.UUID("8141BF1D-A96F-4709-BA47-F233A8FAAB5F")
_PHYSICAL_SIZE = uuid.UUID("CDA348C7-445D-4471-9CC9-E9885251C556")
_IS_DISK, _IS_REQUIRED = 2, 4
_BLOCK_ZERO, _BLOCK_PRESENT = 2, 6


def dynamic_vhdx(capacity: int, numbers: U32, identity: str) -> DiskFile:
    """Return the layout of a VHDX with dynamic size: blocks that hold no data are not stored.

    ``numbers`` are the grains that hold data, ascending; ``identity`` determines the GUIDs.
    """
    block = _BLOCK if capacity <= _LARGE_DISK else _LARGE_BLOCK
    count = -(-capacity // block)
    # After each chunk of payload blocks the table has an entry for a sector bitmap, which only children have.
    chunk = (1 << 23) * _LOGICAL_SECTOR // block
    entries = count + (count - 1) // chunk
    table = np.full(entries, _BLOCK_ZERO, dtype="<u8")
    table[chunk :: chunk + 1] = 0
    bat_length = -(-table.nbytes // _MIB) * _MIB
    start = numbers.astype(np.int64) << GRAIN_SHIFT
    blocks, ranks = np.unique(start // block, return_inverse=True)
    data = _BAT + bat_length + np.arange(len(blocks), dtype=np.int64) * block
    table[blocks + blocks // chunk] = data | _BLOCK_PRESENT
    regions = _region_table(bat_length)
    pieces = [
        (0, _IDENTIFIER.pack(b"vhdxfile", "strata.layering".encode("utf-16-le"))),
        *((offset, _header(sequence, identity)) for sequence, offset in enumerate(_HEADERS, 1)),
        *((offset, regions) for offset in _REGION_TABLES),
        *_metadata(capacity, block, derived_guid(identity, "vhdx disk")),
        (_BAT, table.tobytes()),
    ]
    length = _BAT + bat_length + len(blocks) * block
    return DiskFile(length, capacity, numbers, data[ranks.reshape(-1)] + start % block, tuple(pieces))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of small data."""
    table = _crc_table()
    value = 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


@functools.lru_cache(1)
def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _bit in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _header(sequence: int, identity: str) -> bytes:
    written, content = (derived_guid(identity, f"vhdx {purpose}").bytes_le for purpose in ("file", "data"))
    data = _HEADER.pack(b"head", 0, sequence, written, content, bytes(16), 0, 1, _REGION_LENGTH, _LOG)
    return _with_checksum(data, _HEADER_SIZE)


def _region_table(bat_length: int) -> bytes:
    data = _REGION_HEADER.pack(b"regi", 0, 2, 0)
    data += _REGION_ENTRY.pack(_BAT_REGION.bytes_le, _BAT, bat_length, 1)
    data += _REGION_ENTRY.pack(_METADATA_REGION.bytes_le, _METADATA, _REGION_LENGTH, 1)
    return _with_checksum(data, _ALIGNED_64K)


def _metadata(capacity: int, block: int, disk_id: uuid.UUID) -> list[tuple[int, bytes]]:
    """Return the metadata table and its items, which are stored 64 KiB after the table."""
    items = (
        (_FILE_PARAMETERS, _IS_REQUIRED, struct.pack("<II", block, 0)),
        (_DISK_SIZE, _IS_DISK | _IS_REQUIRED, struct.pack("<Q", capacity)),
        (_DISK_ID, _IS_DISK | _IS_REQUIRED, disk_id.bytes_le),
        (_LOGICAL_SIZE, _IS_DISK | _IS_REQUIRED, struct.pack("<I", _LOGICAL_SECTOR)),
        (_PHYSICAL_SIZE, _IS_DISK | _IS_REQUIRED, struct.pack("<I", _PHYSICAL_SECTOR)),
    )
    table, values = _METADATA_HEADER.pack(b"metadata", 0, len(items)), b""
    for item, flags, value in items:
        table += _METADATA_ENTRY.pack(item.bytes_le, _ALIGNED_64K + len(values), len(value), flags)
        values += value
    return [(_METADATA, table), (_METADATA + _ALIGNED_64K, values)]


def _with_checksum(data: bytes, size: int) -> bytes:
    """Pad a structure with zeros to ``size`` bytes and store the checksum at its offset 4."""
    data = data.ljust(size, b"\0")
    return data[:4] + crc32c(data).to_bytes(4, "little") + data[8:]
