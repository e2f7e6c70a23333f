# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The structures of a registry hive file (regf).

Source: "Windows registry file format specification" by Maxim Suhanov. All numbers are
little-endian; offsets within a hive count from the end of the base block.
"""

from __future__ import annotations

import array
import struct
import sys
from typing import TypeAlias

Buffer: TypeAlias = "bytes | bytearray | memoryview"

BASE_BLOCK_SIZE = 4096
PAGE = 4096
BIN_HEADER_SIZE = 32
NOWHERE = 0xFFFFFFFF
MAXIMUM_HIVE = 0x7FFFE000
MINOR_VERSIONS = (3, 4, 5, 6)

# Key node flags
KEY_VOLATILE = 0x01
KEY_HIVE_EXIT = 0x02
KEY_HIVE_ENTRY = 0x04
KEY_NO_DELETE = 0x08
KEY_SYM_LINK = 0x10
KEY_COMP_NAME = 0x20
KEY_PREDEF_HANDLE = 0x40

# Key value flags
VALUE_COMP_NAME = 0x01
VALUE_TOMBSTONE = 0x02
INLINE = 0x80000000

# Layered keys: their bits in key nodes and values count only in a differencing hive. In other hives they are undefined.
DIFFERENCING_VERSION = 6
BASE_BLOCK_LAYERED = 0x02

# Layer semantics of a key node
LAYER_MERGE = 0
LAYER_TOMBSTONE = 1
LAYER_SUPERSEDE_LOCAL = 2
LAYER_SUPERSEDE_TREE = 3

BIG_DATA_SEGMENT = 16344
# A hash or fast leaf of 506 entries and an index leaf of 1012 still fit a bin of 4 KiB.
FAST_LEAF_LIMIT = 500
INDEX_LEAF_LIMIT = 1000

# signature, flags, last written, access and layer bits, parent, subkeys, volatile subkeys, subkey list,
# volatile subkey list, values, value list, security, class, longest subkey name, control flags, longest subkey class,
# longest value name, longest value data, WorkVar, name length, class length
KEY_NODE = struct.Struct("<2sHQIIIIIIIIIIHHIIIIHH")
# signature, name length, data size, data offset, type, flags, spare
KEY_VALUE = struct.Struct("<2sHIIIHH")
# signature, reserved, next, previous, reference count, descriptor size
KEY_SECURITY = struct.Struct("<2sHIIII")
BIN_HEADER = struct.Struct("<4sIIQQI")
U16 = struct.Struct("<H")
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")


def get_u32(data: Buffer, offset: int) -> int:
    """Return the 32-bit number at ``offset``."""
    return U32.unpack_from(data, offset)[0]


def set_u32(data: bytearray, offset: int, number: int) -> None:
    """Set the 32-bit number at ``offset``."""
    U32.pack_into(data, offset, number)


def get_u64(data: Buffer, offset: int) -> int:
    """Return the 64-bit number at ``offset``."""
    return U64.unpack_from(data, offset)[0]


def set_u64(data: bytearray, offset: int, number: int) -> None:
    """Set the 64-bit number at ``offset``."""
    U64.pack_into(data, offset, number)


def signed_dwords(data: memoryview) -> memoryview[int] | array.array[int]:
    """Return ``data`` (a multiple of 4 bytes) as an indexable sequence of little-endian signed 32-bit numbers."""
    if sys.byteorder == "little":
        return data.cast("i")
    dwords = array.array("i")
    dwords.frombytes(data)
    dwords.byteswap()
    return dwords


def is_differencing(base_block: Buffer) -> bool:
    """Return whether a base block is that of a differencing hive: version 1.6, or the flag of layered keys."""
    return get_u32(base_block, 24) == DIFFERENCING_VERSION or bool(get_u32(base_block, 144) & BASE_BLOCK_LAYERED)


def checksum(base_block: Buffer) -> int:
    """Return the XOR of the first 127 32-bit numbers of a base block; 0 becomes 1, and -1 becomes -2."""
    result = 0
    for number in struct.unpack_from("<127I", base_block):
        result ^= number
    return {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(result, result)


def new_base_block() -> bytes:
    """Return a base block that has only the fields that are the same in every hive."""
    block = bytearray(BASE_BLOCK_SIZE)
    struct.pack_into("<4sIIQIIIIIII", block, 0, b"regf", 1, 1, 0, 1, 5, 0, 1, BIN_HEADER_SIZE, 0, 1)
    return bytes(block)


def encode_name(name: str, wide: bool = False) -> tuple[bytes, bool]:
    """Return a name as stored, and whether it is compressed (Latin-1) instead of UTF-16."""
    if not wide:
        try:
            return name.encode("latin-1"), True
        except UnicodeEncodeError:
            pass
    return name.encode("utf-16-le", "surrogatepass"), False
