# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a registry hive file (regf), compact and in one pass.

The writer uses bins of 4 KiB (larger if a cell requires it), cells in units of 8 bytes, and the subkey lists of the
version (hash leaves from 1.5, fast and index leaves before, index roots above them). Each security descriptor is
stored once, with its count and in a ring. Data above 16,344 bytes is stored in segments from version 1.4.
Source: "Windows registry file format specification" by Maxim Suhanov.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ..common.errors import InternalError, Unsupported
from . import cell_layout, upcase
from .hive_model import MAXIMUM_DEPTH, Hive, Key

_CELL = struct.Struct("<i")
_NODE = struct.Struct("<i" + cell_layout.KEY_NODE.format[1:])
_VALUE = struct.Struct("<i" + cell_layout.KEY_VALUE.format[1:])
_SECURITY = struct.Struct("<i" + cell_layout.KEY_SECURITY.format[1:])
# Flags that the writer sets, or that have no meaning on a disk.
_NOT_KEPT = (
    cell_layout.KEY_COMP_NAME | cell_layout.KEY_HIVE_ENTRY | cell_layout.KEY_VOLATILE | cell_layout.KEY_HIVE_EXIT
)
_FREE = 8


_HINT = "Install fewer programs in one layer, or remove the keys that the message names."


def write_hive(hive: Hive) -> bytes:
    """Return the hive file of ``hive``, clean, with its sequence numbers increased by one.

    The result depends only on the hive.

    Raises:
        Unsupported: the tree exceeds a limit of the format.
    """
    return _Writer(hive).write()


class _Writer:
    def __init__(self, hive: Hive) -> None:
        self.hive = hive
        self.minor = hive.minor
        if self.minor not in cell_layout.MINOR_VERSIONS:
            raise InternalError(
                f"The hive version 1.{self.minor} cannot be written; the minor version must be 3 to 6.",
                code="winregistry.version",
            )
        self.out = bytearray()
        self.position = 0
        self.end = 0
        # Unused ends of bins that a later, smaller cell may use: (position, end).
        self.rests: list[tuple[int, int]] = []
        self.descriptors: dict[bytes, list[int]] = {}
        self.hashes: dict[str, int] = {}

    def write(self) -> bytes:
        root = self.hive.root
        name, compressed = cell_layout.encode_name(root.name, not root.flags & cell_layout.KEY_COMP_NAME)
        root_offset = self.allocate(76 + len(name))
        level = [(root, root_offset, name, compressed, root_offset)]
        for depth in range(MAXIMUM_DEPTH + 2):
            if not level:
                break
            below: list = []
            for key, offset, name, compressed, parent in level:
                flags = (
                    key.flags & ~_NOT_KEPT
                    | (cell_layout.KEY_COMP_NAME if compressed else 0)
                    | (0 if depth else cell_layout.KEY_HIVE_ENTRY)
                )
                self.key(key, offset, name, flags, parent, below)
            level = below
        else:
            raise Unsupported(
                f"The registry hive {self.hive.name} has more than {MAXIMUM_DEPTH} levels of keys.",
                code="winregistry.depth",
                hint=_HINT,
            )
        self.close_bin()
        for position, end in self.rests:
            self.free(position, end)
        self.link_descriptors()
        return self.base_block(root_offset) + self.out

    # Cells

    def allocate(self, size: int) -> int:
        """Reserve a cell for ``size`` bytes of content and return its offset; its length is set."""
        needed = size + 11 & ~7
        position = self.position
        if position + needed > self.end:
            return self.allocate_elsewhere(needed)
        self.position = position + needed
        _CELL.pack_into(self.out, position, -needed)
        return position

    def allocate_elsewhere(self, needed: int) -> int:
        if needed <= 1024:
            for index, (position, end) in enumerate(self.rests):
                if end - position >= needed:
                    self.rests[index] = (position + needed, end)
                    _CELL.pack_into(self.out, position, -needed)
                    return position
        size = -(-(needed + cell_layout.BIN_HEADER_SIZE) // cell_layout.PAGE) * cell_layout.PAGE
        start = len(self.out)
        if start + size > cell_layout.MAXIMUM_HIVE:
            raise Unsupported(
                f"The registry hive {self.hive.name} would be larger than 2 GiB.", code="winregistry.size", hint=_HINT
            )
        self.out.extend(bytes(size))
        cell_layout.BIN_HEADER.pack_into(
            self.out, start, b"hbin", start, size, 0, 0 if start else self.hive.last_written, 0
        )
        position = start + cell_layout.BIN_HEADER_SIZE
        _CELL.pack_into(self.out, position, -needed)
        if self.end - self.position >= start + size - position - needed:
            # The current bin has more free space than the new bin: the end of the new bin goes to the list.
            self.keep_rest(position + needed, start + size)
        else:
            self.close_bin()
            self.position, self.end = position + needed, start + size
        return position

    def close_bin(self) -> None:
        self.keep_rest(self.position, self.end)
        self.position = self.end

    def keep_rest(self, position: int, end: int) -> None:
        if end - position < 64:
            self.free(position, end)
            return
        self.rests.append((position, end))
        if len(self.rests) > 8:
            smallest = min(range(len(self.rests)), key=lambda index: self.rests[index][1] - self.rests[index][0])
            self.free(*self.rests.pop(smallest))

    def free(self, position: int, end: int) -> None:
        if end - position >= _FREE:
            _CELL.pack_into(self.out, position, end - position)

    def store(self, data: bytes) -> int:
        """Store ``data`` in a cell of its own and return the cell's offset."""
        offset = self.allocate(len(data))
        self.out[offset + 4 : offset + 4 + len(data)] = data
        return offset

    # Keys

    def key(self, key: Key, offset: int, name: bytes, flags: int, parent: int, below: list) -> None:
        """Fill the cell at ``offset`` with ``key``, store what belongs to it and reserve cells for its subkeys."""
        subkeys = key.subkeys.by_folded_name()
        longest_name = longest_class = 0
        subkey_list = cell_layout.NOWHERE
        if subkeys:
            folded_names, offsets = [], []
            for folded, subkey in self.in_order(subkeys):
                encoded, compressed = cell_layout.encode_name(subkey.name, not subkey.flags & cell_layout.KEY_COMP_NAME)
                length = len(encoded) * 2 if compressed else len(encoded)
                if length > longest_name:
                    longest_name = length
                if len(subkey.class_data) > longest_class:
                    longest_class = len(subkey.class_data)
                cell = self.allocate(76 + len(encoded))
                folded_names.append(folded)
                offsets.append(cell)
                below.append((subkey, cell, encoded, compressed, offset))
            subkey_list = self.subkey_list(
                folded_names,
                offsets,
                [encoded for _key, _cell, encoded, _compressed, _parent in below[-len(offsets) :]],
            )
        if key.flags & cell_layout.KEY_PREDEF_HANDLE:
            values, value_list, longest_value, longest_data = key.predefined_handle, cell_layout.NOWHERE, 0, 0
        else:
            values, value_list, longest_value, longest_data = self.values(key)
        class_offset = self.store(key.class_data) if key.class_data else cell_layout.NOWHERE
        _NODE.pack_into(
            self.out,
            offset,
            -(80 + len(name) + 7 & ~7),
            b"nk",
            flags,
            key.last_written,
            key.access,
            parent,
            len(subkeys),
            0,
            subkey_list,
            cell_layout.NOWHERE,
            values,
            value_list,
            self.descriptor(key.security),
            class_offset,
            longest_name,
            key.control,
            longest_class,
            longest_value,
            longest_data,
            0,
            len(name),
            len(key.class_data),
        )
        self.out[offset + 80 : offset + 80 + len(name)] = name

    @staticmethod
    def in_order(subkeys: Mapping[str, Key]) -> list[tuple[str, Key]]:
        """Return the subkeys, (folded name, key), in the order in which lists of subkeys have them."""
        items = sorted(subkeys.items())
        # Code points sort as UTF-16 units do, except for characters beyond the basic plane.
        if not all(folded.isascii() for folded, _key in items):
            items.sort(key=lambda item: upcase.sort_key(item[0]))
        return items

    def subkey_list(self, folded_names: list[str], offsets: list[int], encoded_names: list[bytes]) -> int:
        count = len(offsets)
        hints: list[int] | None
        if self.minor >= 5:
            hints, limit = self.name_hashes(folded_names), cell_layout.FAST_LEAF_LIMIT
        elif count <= cell_layout.FAST_LEAF_LIMIT:
            hints, limit = (
                [_hint(name, folded) for name, folded in zip(encoded_names, folded_names)],
                cell_layout.FAST_LEAF_LIMIT,
            )
        else:
            hints, limit = None, cell_layout.INDEX_LEAF_LIMIT
        if count <= limit:
            return self.leaf(offsets, hints)
        number = -(-count // limit)
        if number > 0xFFFF:
            raise Unsupported(
                f"The registry hive {self.hive.name} has a key with {count} subkeys; at most {0xFFFF * limit} are "
                "possible.",
                code="winregistry.subkeys",
                hint=_HINT,
            )
        edges = [count * index // number for index in range(number + 1)]
        leaves = [self.leaf(offsets[first:last], hints and hints[first:last]) for first, last in zip(edges, edges[1:])]
        return self.store(struct.pack(f"<2sH{number}I", b"ri", number, *leaves))

    def leaf(self, offsets: list[int], hints: list[int] | None) -> int:
        count = len(offsets)
        if hints is None:
            return self.store(struct.pack(f"<2sH{count}I", b"li", count, *offsets))
        entries = [0] * (count * 2)
        entries[::2], entries[1::2] = offsets, hints
        return self.store(struct.pack(f"<2sH{count * 2}I", b"lh" if self.minor >= 5 else b"lf", count, *entries))

    def name_hashes(self, folded_names: list[str]) -> list[int]:
        known, result = self.hashes, []
        for folded in folded_names:
            number = known.get(folded)
            if number is None:
                number = known[folded] = upcase.name_hash(folded)
            result.append(number)
        return result

    # Values

    def values(self, key: Key) -> tuple[int, int, int, int]:
        """Store the values of ``key``; return their number, the list's offset, the longest name and data in bytes."""
        out, pack, allocate = self.out, _VALUE.pack_into, self.allocate
        cells: list[int] = []
        longest_name = longest_data = 0
        for kind, flags, name, data in key.encoded_values():
            length = len(name)
            offset = allocate(20 + length)
            size = len(data)
            where = 0
            if size > longest_data:
                longest_data = size
            if flags & cell_layout.VALUE_TOMBSTONE:
                size, where, kind = 0, cell_layout.NOWHERE, 0
            elif size <= 4:
                where = int.from_bytes(data, "little")
                size |= cell_layout.INLINE
            elif size <= cell_layout.BIG_DATA_SEGMENT or self.minor < 4:
                where = allocate(size)
                out[where + 4 : where + 4 + size] = data
            else:
                where = self.big_data(data)
            pack(out, offset, -(24 + length + 7 & ~7), b"vk", length, size, where, kind, flags, 0)
            out[offset + 24 : offset + 24 + length] = name
            if flags & cell_layout.VALUE_COMP_NAME:
                length *= 2
            if length > longest_name:
                longest_name = length
            cells.append(offset)
        if not cells:
            return 0, cell_layout.NOWHERE, 0, 0
        return len(cells), self.store(struct.pack(f"<{len(cells)}I", *cells)), longest_name, longest_data

    def big_data(self, data: cell_layout.Buffer) -> int:
        count = -(-len(data) // cell_layout.BIG_DATA_SEGMENT)
        if count > 0xFFFF:
            raise Unsupported(
                f"The registry hive {self.hive.name} has a value of {len(data)} bytes; at most 1,071,104,040 bytes are "
                "possible.",
                code="winregistry.data",
                hint=_HINT,
            )
        # Windows gives the last segment a cell of full size, too; libregf does not read it from a smaller cell.
        segments = []
        for first in range(0, len(data), cell_layout.BIG_DATA_SEGMENT):
            segment = data[first : first + cell_layout.BIG_DATA_SEGMENT]
            offset = self.allocate(cell_layout.BIG_DATA_SEGMENT)
            self.out[offset + 4 : offset + 4 + len(segment)] = segment
            segments.append(offset)
        return self.store(struct.pack("<2sHI", b"db", count, self.store(struct.pack(f"<{count}I", *segments))))

    # Security descriptors

    def descriptor(self, security: bytes) -> int:
        """Return the cell of a security descriptor, counting one more key that uses it."""
        known = self.descriptors.get(security)
        if known is None:
            known = self.descriptors[security] = [self.allocate(20 + len(security)), 0]
        known[1] += 1
        return known[0]

    def link_descriptors(self) -> None:
        entries = list(self.descriptors.items())
        for index, (security, (offset, count)) in enumerate(entries):
            following = entries[(index + 1) % len(entries)][1][0]
            preceding = entries[index - 1][1][0]
            _SECURITY.pack_into(
                self.out, offset, -(24 + len(security) + 7 & ~7), b"sk", 0, following, preceding, count, len(security)
            )
            self.out[offset + 24 : offset + 24 + len(security)] = security

    # The base block

    def base_block(self, root_offset: int) -> bytes:
        block = bytearray(self.hive.base_block)
        sequence = (max(cell_layout.get_u32(block, 4), cell_layout.get_u32(block, 8)) + 1) & 0xFFFFFFFF
        for offset, number in (
            (4, sequence),
            (8, sequence),
            (20, 1),
            (28, 0),
            (32, 1),
            (36, root_offset),
            (40, len(self.out)),
            (44, 1),
        ):
            cell_layout.set_u32(block, offset, number)
        block[:4] = b"regf"
        cell_layout.set_u32(block, 508, cell_layout.checksum(block))
        return bytes(block)


def _hint(name: bytes, folded: str) -> int:
    # Fast leaves contain the first four characters; a name with other than Latin-1 characters among them has no hint.
    if len(name) < len(folded) * 2:
        return int.from_bytes(name[:4], "little")
    return 0 if any(name[1:8:2]) else int.from_bytes(name[:8:2], "little")
