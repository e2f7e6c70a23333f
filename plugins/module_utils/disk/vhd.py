# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VHD files with fixed or dynamic size.

Source: "Virtual Hard Disk Image Format Specification", version 1.0, October 2006. All numbers are big-endian.
"""

from __future__ import annotations

import struct
import uuid

from ..common.arrays import U32
from ..common.errors import Unsupported
from ..common.optional_imports import np
from .disk_file import DiskFile, derived_guid
from .grains import GRAIN_SHIFT

_SECTOR = 512
#: Bytes of the largest VHD: 2040 GiB. Hyper-V and qemu-img have the same limit.
MAX_VHD = 2040 << 30
#: Bytes of a block, the default of the specification; its bitmap has a bit for each sector.
_BLOCK = 2 << 20
_BITMAP = b"\xff" * (_BLOCK // _SECTOR // 8)
#: The data of blocks is aligned to pages, as libvhd of Xen aligns it, so that 4 KiB disks write whole sectors.
_ALIGNMENT = 4096
_UNUSED = 0xFFFFFFFF

_FIXED, _DYNAMIC = 2, 3
_NO_OFFSET = (1 << 64) - 1
_RESERVED_FEATURE = 2
_VERSION = 0x00010000
# Readers decide by the creator whether the size or the geometry is the capacity. With that of Hyper-V it is the size.
_CREATOR, _CREATOR_VERSION, _CREATOR_HOST = b"win ", 0x000A0000, b"Wi2k"
_FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427x")
_FOOTER_CHECKSUM = 64
_HEADER = struct.Struct(">8sQQIIII16sII512s192s256x")
_HEADER_CHECKSUM = 36


def fixed_vhd(capacity: int, numbers: U32, identity: str) -> DiskFile:
    """Return the layout of a VHD with fixed size: the raw disk and a footer.

    ``numbers`` are the grains that hold data, ascending; ``identity`` determines the unique ID.

    Raises:
        Unsupported disk.vhd_capacity: the disk is larger than 2040 GiB.
    """
    _check(capacity)
    footer = _footer(capacity, _FIXED, _NO_OFFSET, derived_guid(identity, "vhd"))
    positions = numbers.astype(np.int64) << GRAIN_SHIFT
    return DiskFile(capacity + _SECTOR, capacity, numbers, positions, ((capacity, footer),))


def dynamic_vhd(capacity: int, numbers: U32, identity: str) -> DiskFile:
    """Return the layout of a VHD with dynamic size: blocks that hold no data are not stored.

    ``numbers`` are the grains that hold data, ascending; ``identity`` determines the unique ID.

    Raises:
        Unsupported disk.vhd_capacity: the disk is larger than 2040 GiB.
    """
    _check(capacity)
    footer = _footer(capacity, _DYNAMIC, _SECTOR, derived_guid(identity, "vhd"))
    table_offset = _SECTOR + _HEADER.size
    entries = -(-capacity // _BLOCK)
    start = numbers.astype(np.int64) << GRAIN_SHIFT
    blocks, ranks = np.unique(start // _BLOCK, return_inverse=True)
    first = _aligned(table_offset + 4 * entries + len(_BITMAP))
    data = first + np.arange(len(blocks), dtype=np.int64) * (_BLOCK + _ALIGNMENT)
    table = np.full(-(-4 * entries // _SECTOR) * _SECTOR // 4, _UNUSED, dtype=">u4")
    table[blocks] = (data - len(_BITMAP)) // _SECTOR
    end = int(data[-1]) + _BLOCK if len(data) else table_offset + table.nbytes
    return DiskFile(
        end + _SECTOR,
        capacity,
        numbers,
        data[ranks.reshape(-1)] + start % _BLOCK,
        ((0, footer + _header(table_offset, entries) + table.tobytes()), (end, footer)),
        data - len(_BITMAP),
        _BITMAP,
    )


def geometry(sectors: int) -> tuple[int, int, int]:
    """Return cylinders, heads and sectors per track for a disk, by the algorithm in the appendix of the specification."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        return sectors // 255 // 16, 16, 255
    tracks = sectors // 17
    per_track, heads = 17, max(4, (tracks + 1023) // 1024)
    if tracks >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        tracks = sectors // 31
    if tracks >= heads * 1024:
        per_track, heads = 63, 16
        tracks = sectors // 63
    return tracks // heads, heads, per_track


def _check(capacity: int) -> None:
    if capacity > MAX_VHD:
        raise Unsupported(
            f"A disk of {capacity / (1 << 30):.1f} GiB cannot be stored as VHD, which has at most {MAX_VHD >> 30} GiB.",
            code="disk.vhd_capacity",
            hint="Set the option format to vhdx.",
            capacity=capacity,
            limit=MAX_VHD,
        )


def _footer(capacity: int, kind: int, data_offset: int, guid: uuid.UUID) -> bytes:
    # The time 0 is 2000-01-01: the same image always gives the same bytes.
    fields = [b"conectix", _RESERVED_FEATURE, _VERSION, data_offset, 0, _CREATOR, _CREATOR_VERSION, _CREATOR_HOST]
    fields += [capacity, capacity, *geometry(capacity // _SECTOR), kind, 0, guid.bytes, 0]
    return _with_checksum(_FOOTER.pack(*fields), _FOOTER_CHECKSUM)


def _header(table_offset: int, entries: int) -> bytes:
    no_parent = (bytes(16), 0, 0, b"", b"")
    data = _HEADER.pack(b"cxsparse", _NO_OFFSET, table_offset, _VERSION, entries, _BLOCK, 0, *no_parent)
    return _with_checksum(data, _HEADER_CHECKSUM)


def _with_checksum(data: bytes, offset: int) -> bytes:
    """Store the checksum, the complement of the sum of all bytes, in a structure in which it is zero."""
    return data[:offset] + (~sum(data) & 0xFFFFFFFF).to_bytes(4, "big") + data[offset + 4 :]


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
