# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layout of a stream-optimized VMDK: header, markers and positions.

Source: VMware, "Virtual Disk Format 5.0" (sections on hosted sparse extents and
stream-optimized compressed sparse extents). All numbers are little-endian, positions
are 512-byte sectors. This collection writes files of this form::

    header | descriptor | padding up to sector 128
    for each 32 MiB of disk that holds data:
        its grains: u64 LBA, u32 size, zlib data, padded to a sector
        grain-table marker, grain table (512 entries, 4 sectors)
    grain-directory marker, grain directory
    footer marker, footer (a header with the position of the directory), end-of-stream marker
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from typing import TYPE_CHECKING

from ..common.arrays import I64, U32
from ..common.errors import Corrupt, InternalError, InvalidInput, NoSpace, Unsupported
from ..common.optional_imports import np
from .grains import GRAIN_SIZE, MAX_CAPACITY, MAX_COMPRESSED_GRAIN, grain_total

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SECTOR = 512
GRAIN_SECTORS = GRAIN_SIZE // SECTOR
TABLE_ENTRIES = 512
TABLE_SECTORS = TABLE_ENTRIES * 4 // SECTOR
#: Header, descriptor and padding before the first grain.
OVERHEAD_SECTORS = 128
DESCRIPTOR_SECTORS = 20
MARKER_SIZE = 12

MAGIC = b"KDMV"
FLAG_NEWLINE, FLAG_ZEROED_GRAIN, FLAG_COMPRESSED, FLAG_MARKERS = 1, 4, 0x10000, 0x20000
DIRECTORY_AT_END = 0xFFFFFFFFFFFFFFFF
COMPRESSION_DEFLATE = 1
MARKER_END, MARKER_TABLE, MARKER_DIRECTORY, MARKER_FOOTER = 0, 1, 2, 3

#: Limits for files of other programs: grains of 4 KiB to 1 MiB, 16 MiB of grain directory, 2 TiB of data in grains of 64 KiB.
MAX_GRAIN_SECTORS = 2048
MAX_TABLE_ENTRIES = 4096
MAX_TABLES = 4 << 20
MAX_GRAINS = 32 << 20
MAX_DESCRIPTOR_SECTORS = 2048

_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH433x")
_MARKER = struct.Struct("<QII496x")
_NEWLINES = b"\n \r\n"


@dataclasses.dataclass(slots=True)
class SparseHeader:
    """The header (or footer) of a sparse extent; sizes and positions in sectors."""

    version: int
    flags: int
    capacity: int
    grain_sectors: int
    descriptor_sector: int
    descriptor_sectors: int
    table_entries: int
    redundant_directory_sector: int
    directory_sector: int
    overhead_sectors: int
    compression: int

    @property
    def table_count(self) -> int:
        """The number of grain tables that cover the capacity: the length of the grain directory."""
        return -(-self.capacity // (self.grain_sectors * self.table_entries))


def damaged(name: str, cause: str, code: str = "disk.vmdk_corrupt") -> Corrupt:
    """Return the error for a damaged VMDK."""
    return Corrupt(f"The disk image {name} is damaged: {cause}.", code=code, hint="Export or copy the disk again.")


def unpack_header(data: bytes, name: str, role: str = "header") -> SparseHeader:
    """Read and check a sparse extent header of 512 bytes; ``role`` is "header" or "footer".

    Raises Corrupt when a number is impossible, Unsupported when the extent is not
    stream-optimized.
    """
    if len(data) != SECTOR or data[:4] != MAGIC:
        raise damaged(
            name,
            f"it has no VMDK {role} at the required position",
            "disk.vmdk_truncated" if role == "footer" else "disk.vmdk_corrupt",
        )
    _magic, *numbers, _unclean, newlines, compression = _HEADER.unpack(data)
    version, flags, capacity, grain, descriptor, descriptor_size, entries, redundant, directory, overhead = numbers
    header = SparseHeader(
        version,
        flags,
        capacity,
        grain,
        descriptor,
        descriptor_size,
        entries,
        redundant,
        directory,
        overhead,
        compression,
    )
    if not 1 <= header.version <= 3:
        raise Unsupported(
            f"{name} is a VMDK of version {header.version}; versions 1 to 3 are supported.",
            code="disk.vmdk_version",
            hint="Export the VM as OVF from vSphere.",
        )
    if (
        header.flags & (FLAG_COMPRESSED | FLAG_MARKERS) != FLAG_COMPRESSED | FLAG_MARKERS
        or header.compression != COMPRESSION_DEFLATE
    ):
        raise Unsupported(
            f"{name} is a sparse VMDK that is not stream-optimized.",
            code="disk.vmdk_not_stream_optimized",
            hint="Convert the disk with 'qemu-img convert -O vmdk -o subformat=streamOptimized', or export the VM as OVF.",
        )
    if header.flags & FLAG_NEWLINE and newlines != _NEWLINES:
        raise damaged(name, f"the newline characters in its {role} have changed, as in a text-mode transfer")
    _check_numbers(header, name, role)
    return header


def _check_numbers(header: SparseHeader, name: str, role: str) -> None:
    if not 0 < header.capacity <= MAX_CAPACITY // SECTOR:
        raise damaged(name, f"its {role} gives a capacity of {header.capacity} sectors")
    if header.grain_sectors & (header.grain_sectors - 1) or not 8 <= header.grain_sectors <= MAX_GRAIN_SECTORS:
        raise damaged(name, f"its {role} gives grains of {header.grain_sectors} sectors")
    if not 1 <= header.table_entries <= MAX_TABLE_ENTRIES:
        raise damaged(name, f"its {role} gives grain tables of {header.table_entries} entries")
    if header.table_count > MAX_TABLES:
        raise damaged(name, f"its {role} requires {header.table_count} grain tables; the limit is {MAX_TABLES}")


def pack_header(capacity: int, directory_sector: int = DIRECTORY_AT_END) -> bytes:
    """Return the header of a stream-optimized VMDK of ``capacity`` bytes; with ``directory_sector``, its footer."""
    return _HEADER.pack(
        MAGIC, 3, FLAG_NEWLINE | FLAG_COMPRESSED | FLAG_MARKERS, capacity // SECTOR, GRAIN_SECTORS, 1, DESCRIPTOR_SECTORS, TABLE_ENTRIES,
        0, directory_sector, OVERHEAD_SECTORS, 0, _NEWLINES, COMPRESSION_DEFLATE,
    )  # fmt: skip


def pack_marker(kind: int, sectors: int) -> bytes:
    """Return the sector of a metadata marker that announces ``sectors`` sectors."""
    return _MARKER.pack(sectors, 0, kind)


def unpack_marker(data: bytes) -> tuple[int, int, int]:
    """Return ``(value, size, kind)`` of a marker sector; for a grain, value is its LBA and size its compressed bytes."""
    return _MARKER.unpack(data)


def pack_grain(number: int, compressed: bytes) -> bytes:
    """Return a grain as it is stored in the file: marker, zlib data, padding to a sector."""
    head = struct.pack("<QI", number * GRAIN_SECTORS, len(compressed))
    return b"".join((head, compressed, bytes(-(MARKER_SIZE + len(compressed)) % SECTOR)))


def check_capacity(capacity: int) -> None:
    """Raise InvalidInput ``disk.vmdk_capacity`` unless a VMDK can have ``capacity`` bytes."""
    if capacity <= 0 or capacity > MAX_CAPACITY or capacity % SECTOR:
        raise InvalidInput(
            f"A virtual disk cannot have {capacity} bytes.",
            code="disk.vmdk_capacity",
            hint="Use a disk whose size is a multiple of 512 bytes and at most 62 TiB.",
        )


def pack_front(capacity: int) -> bytes:
    """Return everything before the first grain: header, descriptor, padding (64 KiB).

    The content identifier is derived from the capacity alone, so that equal disks are equal files.
    """
    check_capacity(capacity)
    sectors = capacity // SECTOR
    content_identifier = zlib.crc32(b"strata.layering %d" % capacity) & 0x7FFFFFFF
    cylinders = min(max(sectors // (255 * 63), 1), 65535 * 16)
    descriptor = (
        "# Disk DescriptorFile\n"
        "version=1\n"
        f"CID={content_identifier:08x}\n"
        "parentCID=ffffffff\n"
        'createType="streamOptimized"\n'
        "\n"
        "# Extent description\n"
        f'RDONLY {sectors} SPARSE "disk.vmdk"\n'
        "\n"
        "# The Disk Data Base\n"
        "#DDB\n"
        "\n"
        'ddb.adapterType = "lsilogic"\n'
        'ddb.encoding = "UTF-8"\n'
        f'ddb.geometry.cylinders = "{cylinders}"\n'
        'ddb.geometry.heads = "255"\n'
        'ddb.geometry.sectors = "63"\n'
        'ddb.virtualHWVersion = "13"\n'
    )
    return (pack_header(capacity) + descriptor.encode("ascii")).ljust(OVERHEAD_SECTORS * SECTOR, b"\0")


def pack_table(entries: U32) -> bytes:
    """Return the grain-table marker and a grain table; ``entries`` has shape (512,)."""
    return pack_marker(MARKER_TABLE, TABLE_SECTORS) + entries.astype("<u4").tobytes()


def pack_end(capacity: int, directory: U32, sector: int) -> bytes:
    """Return everything after the last grain table, which starts at ``sector``; ``directory`` has the sectors of the tables."""
    length = directory_sectors(capacity)
    return b"".join(
        (
            pack_marker(MARKER_DIRECTORY, length),
            directory.astype("<u4").tobytes().ljust(length * SECTOR, b"\0"),
            pack_marker(MARKER_FOOTER, 1),
            pack_header(capacity, sector + 1),
            pack_marker(MARKER_END, 0),
        )
    )


def directory_count(capacity: int) -> int:
    """Return the number of grain tables that a disk of ``capacity`` bytes can have."""
    return -(-grain_total(capacity) // TABLE_ENTRIES)


def directory_sectors(capacity: int) -> int:
    """Return the size of the grain directory in sectors."""
    return -(-directory_count(capacity) * 4 // SECTOR)


def padded_sectors(sizes: ArrayLike) -> I64:
    """Return the numbers of sectors that grains of these compressed sizes take in the file."""
    return (np.asarray(sizes).astype(np.int64) + (MARKER_SIZE + SECTOR - 1)) // SECTOR


def check_plan(capacity: int, numbers: U32, sizes: U32) -> None:
    """Raise InternalError unless ``numbers`` are ascending within the disk and ``sizes`` are possible."""
    check_capacity(capacity)
    if len(numbers) != len(sizes):
        raise InternalError(
            f"A grain plan has {len(numbers)} grain numbers but {len(sizes)} sizes.", code="disk.vmdk_plan"
        )
    if not len(numbers):
        return
    if int(numbers[-1]) >= grain_total(capacity) or (numbers[1:] <= numbers[:-1]).any():
        raise InternalError("The grain numbers of a plan are not ascending within the disk.", code="disk.vmdk_plan")
    if int(np.min(sizes)) <= 0 or int(np.max(sizes)) > MAX_COMPRESSED_GRAIN:
        raise InternalError(
            f"A plan has compressed grains of {int(np.min(sizes))} to {int(np.max(sizes))} bytes; "
            f"1 to {MAX_COMPRESSED_GRAIN} bytes are possible.",
            code="disk.vmdk_plan",
        )


def place_grains(capacity: int, numbers: U32, sizes: U32) -> tuple[I64, int]:
    """Return ``(sectors, end)``: the sector of each grain's marker, and the sector after the last grain table.

    ``numbers`` are ascending grain numbers, ``sizes`` compressed bytes, both of shape (n,).
    Raises InternalError for an impossible plan, NoSpace when the file would exceed 2 TiB.
    """
    check_plan(capacity, numbers, sizes)
    if not len(numbers):
        return np.zeros(0, dtype=np.int64), OVERHEAD_SECTORS
    taken = padded_sectors(sizes)
    tables = numbers // TABLE_ENTRIES
    step = np.zeros(len(tables), dtype=np.int64)
    step[1:] = taken[:-1] + (tables[1:] != tables[:-1]) * (1 + TABLE_SECTORS)
    sectors = np.cumsum(step) + OVERHEAD_SECTORS
    end = int(sectors[-1]) + int(taken[-1]) + 1 + TABLE_SECTORS
    check_end(end)
    return sectors, end


def check_end(sector: int) -> None:
    """Raise NoSpace ``disk.vmdk_too_large`` when a grain table cannot contain the position ``sector``."""
    if sector > 0xFFFFFFFF:
        raise NoSpace(
            f"The compressed disk needs at least {sector * SECTOR} bytes; the limit of a stream-optimized VMDK is 2 TiB.",
            code="disk.vmdk_too_large",
            hint="Make the disk smaller: change max_layer_size_gb of the OS layer, or disk_size_gb of the image template.",
        )


def stream_length(capacity: int, numbers: U32, sizes: U32) -> int:
    """Return the size in bytes of the VMDK with these grains."""
    return (place_grains(capacity, numbers, sizes)[1] + 1 + directory_sectors(capacity) + 3) * SECTOR
