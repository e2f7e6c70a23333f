# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a registry hive file (regf) into keys and values.

The whole structure is checked before a key is returned. Every cell that is referred to
must be an allocated cell of a valid bin and may be used once. Therefore cycles, overlaps and
repeated references are impossible, and the time is bounded by the size of the file.
Values are decoded when they are first used; their cells have been checked by then.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from ..common.errors import Corrupt, Unsupported
from . import cell_layout, transaction_log, upcase
from .cell_layout import Buffer
from .hive_items import Context, Value
from .hive_model import MAXIMUM_DEPTH, MAXIMUM_KEY_NAME, MAXIMUM_VALUE_NAME, Hive, Key

# cell_layout.KEY_NODE and KEY_VALUE without the fields that reading does not use.
# Signature, flags, last written, access, subkeys, subkey list, values, value list, security, class, control flags,
# name length, class length
_KEY_NODE = struct.Struct("<2sHQI4xI4xI4xIIII2xH16xHH")
# Signature, name length, data size, data offset, flags
_KEY_VALUE = struct.Struct("<2sHII4xH2x")

# The bytes before the content of a cell: the base block, and the cell's length.
_HEADER = cell_layout.BASE_BLOCK_SIZE + 4
_HINT = "Load and unload the hive in Windows, or take the file from a Windows installation that was shut down properly."


def read_hive(
    data: bytes, *, logs: Sequence[bytes] = (), name: str = "", table: upcase.Upcase = upcase.WINDOWS
) -> Hive:
    """Read the hive file ``data``; ``logs`` are the contents of its .LOG1 and .LOG2 (or .LOG), applied if it is dirty.

    Error messages contain ``name``, such as the path of the file.

    Raises:
        Corrupt: the structure is damaged.
        Unsupported: the version of the hive is not 1.3 to 1.6.
    """
    try:
        return _read(data, logs, table)
    except (Corrupt, Unsupported) as error:
        if name:
            error.message = error.message.replace("The registry hive", f"The registry hive {name}", 1)
        raise


def _read(data: bytes, logs: Sequence[bytes], table: upcase.Upcase) -> Hive:
    recovery = transaction_log.recover(data, logs)
    data = bytes(recovery.data)
    minor = cell_layout.get_u32(data, 24)
    if cell_layout.get_u32(data, 20) != 1 or minor not in cell_layout.MINOR_VERSIONS:
        raise Unsupported(
            f"The registry hive has the unsupported version {cell_layout.get_u32(data, 20)}.{minor}; "
            "versions 1.3 to 1.6 are supported.",
            code="winregistry.version",
            hint="Use a hive of Windows NT 4.0 or later.",
        )
    size = cell_layout.get_u32(data, 40)
    if size % cell_layout.PAGE or not 0 < size <= len(data) - cell_layout.BASE_BLOCK_SIZE:
        raise _corrupt(
            f"declares {size} bytes of bins, but {len(data) - cell_layout.BASE_BLOCK_SIZE} bytes follow the base block",
            "winregistry.truncated",
        )
    tree = _Reader(data, size, minor, table)
    root = tree.read(cell_layout.get_u32(data, 36))
    return Hive(root, base_block=data[: cell_layout.BASE_BLOCK_SIZE], dirty=recovery.dirty, recovered=recovery.applied)


def _corrupt(problem: str, code: str) -> Corrupt:
    return Corrupt(f"The registry hive is damaged: it {problem}.", code=code, hint=_HINT)


class Stored(Context):
    """The bins of a hive file whose structure has been checked."""

    def __init__(self, data: bytes, size: int, table: upcase.Upcase) -> None:
        super().__init__(table, layered=cell_layout.is_differencing(data))
        self._data = data
        self.bins = memoryview(data)[cell_layout.BASE_BLOCK_SIZE : cell_layout.BASE_BLOCK_SIZE + size]
        self.dwords = cell_layout.signed_dwords(self.bins)
        # Most values share few names: encoded name to (name, folded name), by whether the name is compressed.
        self._names: tuple[dict[bytes, tuple[str, str]], dict[bytes, tuple[str, str]]] = ({}, {})

    def raw_values(self, stored: int) -> Iterator[tuple[int, int, Buffer, Buffer]]:
        """Yield (type, flags, encoded name, data) for the value list ``stored`` (its offset << 32 | count)."""
        bins, dwords = self.bins, self.dwords
        first = (stored >> 34) + 1
        unpack = cell_layout.KEY_VALUE.unpack_from
        for cell in dwords[first : first + (stored & 0xFFFFFFFF)]:
            cell += 4
            _signature, length, size, offset, kind, flags, _spare = unpack(bins, cell)
            name = bins[cell + 20 : cell + 20 + length]
            data: Buffer
            if size & cell_layout.INLINE:
                data = bins[cell + 8 : cell + 8 + (size & 0x7FFFFFFF)]
            elif not size:
                data = b""
            elif size <= -dwords[offset >> 2] - 4:
                data = bins[offset + 4 : offset + 4 + size]
            else:
                data = self._big_data(offset, size)
            yield kind, flags, name, data

    def load_values(self, stored: int) -> dict[str, Value]:
        """Decode the values of the value list ``stored``; return them by folded name."""
        data, dwords, names = self._data, self.dwords, self._names
        first = (stored >> 34) + 1
        unpack, make = cell_layout.KEY_VALUE.unpack_from, Value.__new__
        result: dict[str, Value] = {}
        for cell in dwords[first : first + (stored & 0xFFFFFFFF)]:
            start = cell + _HEADER
            _signature, length, size, offset, kind, flags, _spare = unpack(data, start)
            compressed = flags & cell_layout.VALUE_COMP_NAME
            raw = data[start + 20 : start + 20 + length]
            known = names[compressed].get(raw)
            if known is None:
                text = str(raw, "latin-1") if compressed else str(raw, "utf-16-le", "surrogatepass")
                known = names[compressed][raw] = (text, self.upcase.fold(text))
            text, folded = known
            # Windows finds the first of two values with the same name.
            if folded in result:
                continue
            value = result[folded] = make(Value)
            value.name = text
            value.type = kind
            if size & cell_layout.INLINE:
                value.data = data[start + 8 : start + 8 + (size & 0x7FFFFFFF)]
            elif not size:
                value.data = b""
            elif size <= -dwords[offset >> 2] - 4:
                value.data = data[offset + _HEADER : offset + _HEADER + size]
            else:
                value.data = self._big_data(offset, size)
            value.wide = not compressed and bool(text) and max(text) <= "\xff"
            value.tombstone = self.layered and bool(flags & cell_layout.VALUE_TOMBSTONE)
        return result

    def _big_data(self, offset: int, size: int) -> bytes:
        count = cell_layout.U16.unpack_from(self.bins, offset + 6)[0]
        first = (self.dwords[(offset >> 2) + 2] >> 2) + 1
        parts = []
        for segment in self.dwords[first : first + count]:
            part = min(size, cell_layout.BIG_DATA_SEGMENT)
            parts.append(self.bins[segment + 4 : segment + 4 + part])
            size -= part
        return b"".join(parts)


class _Reader:
    """One pass over a hive: bins and cells first, then the tree from the root."""

    def __init__(self, data: bytes, size: int, minor: int, table: upcase.Upcase) -> None:
        self.data = data
        self.minor = minor
        self.stored = Stored(data, size, table)
        self.bins = self.stored.bins
        self.dwords = self.stored.dwords
        # One byte per 8 bytes of bins: 1 where an allocated cell begins that nothing refers to yet.
        self.free_to_use = bytearray(size // 8)
        self.descriptors: dict[int, bytes] = {}
        self._walk_bins()

    def _walk_bins(self) -> None:
        bins, dwords, unused = self.bins, self.dwords, self.free_to_use
        position, total = 0, len(bins)
        while position < total:
            signature, offset, size = cell_layout.BIN_HEADER.unpack_from(bins, position)[:3]
            if (
                signature != b"hbin"
                or offset != position
                or size % cell_layout.PAGE
                or not cell_layout.PAGE <= size <= total - position
            ):
                raise _corrupt(f"has an invalid bin at offset {position:#x}", "winregistry.bin")
            end = position + size
            cell = position + cell_layout.BIN_HEADER_SIZE
            while cell < end:
                length = dwords[cell >> 2]
                if length < 0:
                    unused[cell >> 3] = 1
                    length = -length
                if length & 7 or not length:
                    raise _corrupt(
                        f"has a cell with the invalid size of {length} bytes at {cell:#x}", "winregistry.cell"
                    )
                cell += length
            if cell != end:
                raise _corrupt(f"has a cell that crosses the end of its bin at {end:#x}", "winregistry.cell")
            position = end

    def _take(self, offset: int, needed: int, subject: str) -> None:
        """Claim the cell at ``offset`` for one use and check that it holds ``needed`` bytes."""
        index = offset >> 3
        if offset & 7 or index >= len(self.free_to_use) or not self.free_to_use[index]:
            raise _corrupt(
                f"refers to {subject} at {offset:#x}, but that cell is not allocated or is in use already",
                "winregistry.reference",
            )
        if -self.dwords[offset >> 2] - 4 < needed:
            raise _corrupt(f"has {subject} at {offset:#x} that exceeds its cell", "winregistry.cell")
        self.free_to_use[index] = 0

    def read(self, root_offset: int) -> Key:
        """Read the tree whose root key node is at ``root_offset``."""
        root, root_list = self._key_node(root_offset, b"")
        level = [(root, root_list)]
        for _depth in range(MAXIMUM_DEPTH + 1):
            below: list = []
            for parent, (list_offset, count) in level:
                if count:
                    self._subkeys(parent, list_offset, count, below)
            if not below:
                return root
            level = below
        raise _corrupt(f"has more than {MAXIMUM_DEPTH} levels of keys", "winregistry.depth")

    def _subkeys(self, parent: Key, list_offset: int, count: int, below: list) -> None:
        subkeys: dict[str, Key] = {}
        fold = self.stored.upcase.fold
        security = parent.security
        for offset in self._subkey_offsets(list_offset, count):
            key, next_list = self._key_node(offset, security)
            folded = fold(key.name)
            if folded in subkeys or not folded:
                raise _corrupt(
                    f"has a key {parent.name!r} with {'two subkeys' if folded else 'a subkey'} named {key.name!r}",
                    "winregistry.duplicate",
                )
            if "\\" in folded:
                raise _corrupt(f"has a subkey named {key.name!r}, with a backslash", "winregistry.name")
            subkeys[folded] = key
            if next_list[1]:
                below.append((key, next_list))
        parent._subkeys = subkeys

    def _subkey_offsets(self, offset: int, expected: int) -> list[int]:
        self._take(offset, 4, "a list of subkeys")
        signature, count = self._list_header(offset)
        if signature == b"ri":
            self._fits(offset, 4 + count * 4)
            leaves = self.dwords[(offset >> 2) + 2 : (offset >> 2) + 2 + count]
            offsets: list[int] = []
            for leaf in leaves:
                leaf &= 0xFFFFFFFF
                self._take(leaf, 4, "a list of subkeys")
                signature, count = self._list_header(leaf)
                offsets += self._leaf(leaf, signature, count)
        else:
            offsets = self._leaf(offset, signature, count)
        if len(offsets) != expected:
            raise _corrupt(
                f"has a key with {expected} subkeys, but its list at {offset:#x} has {len(offsets)} entries",
                "winregistry.list",
            )
        return offsets

    def _list_header(self, offset: int) -> tuple[bytes, int]:
        return bytes(self.bins[offset + 4 : offset + 6]), cell_layout.U16.unpack_from(self.bins, offset + 6)[0]

    def _fits(self, offset: int, needed: int) -> None:
        if -self.dwords[offset >> 2] - 4 < needed:
            raise _corrupt(f"has a list at {offset:#x} that exceeds its cell", "winregistry.cell")

    def _leaf(self, offset: int, signature: bytes, count: int) -> list[int]:
        first = (offset >> 2) + 2
        if signature in (b"lh", b"lf"):
            self._fits(offset, 4 + count * 8)
            return [word & 0xFFFFFFFF for word in self.dwords[first : first + count * 2 : 2]]
        if signature == b"li":
            self._fits(offset, 4 + count * 4)
            return [word & 0xFFFFFFFF for word in self.dwords[first : first + count]]
        raise _corrupt(f"has an invalid list of subkeys at {offset:#x}", "winregistry.list")

    def _key_node(self, offset: int, inherited: bytes) -> tuple[Key, tuple[int, int]]:
        self._take(offset, 76, "a key")
        start = offset + _HEADER
        (
            signature,
            flags,
            last_written,
            access,
            subkeys,
            subkey_list,
            values,
            value_list,
            security,
            class_offset,
            control,
            name_length,
            class_length,
        ) = _KEY_NODE.unpack_from(self.data, start)
        if signature != b"nk" or -self.dwords[offset >> 2] - 80 < name_length:
            raise _corrupt(f"has an invalid key at {offset:#x}", "winregistry.key")
        raw_name = self.data[start + 76 : start + 76 + name_length]
        if flags & cell_layout.KEY_COMP_NAME:
            name = str(raw_name, "latin-1")
        elif name_length & 1:
            raise _corrupt(f"has a key at {offset:#x} whose name ends within a character", "winregistry.name")
        else:
            name = str(raw_name, "utf-16-le", "surrogatepass")
        if name_length > MAXIMUM_KEY_NAME and (flags & cell_layout.KEY_COMP_NAME or name_length > MAXIMUM_KEY_NAME * 2):
            raise _corrupt(
                f"has a key at {offset:#x} whose name is longer than {MAXIMUM_KEY_NAME} characters", "winregistry.name"
            )
        key = Key.__new__(Key)
        key.name = name
        key.flags = flags
        key.last_written = last_written
        key.access = access
        key.control = control
        key.predefined_handle = 0
        key._context = self.stored
        key._values = None
        key._subkeys = None
        key._stored = 0
        descriptor = self.descriptors.get(security)
        key.security = self._descriptor(security, inherited) if descriptor is None else descriptor
        if flags & cell_layout.KEY_PREDEF_HANDLE:
            key.predefined_handle = values
        elif values:
            self._check_values(value_list, values)
            key._stored = value_list << 32 | values
        if class_length and class_offset != cell_layout.NOWHERE:
            self._take(class_offset, class_length, "a class name")
            key.class_data = bytes(self.bins[class_offset + 4 : class_offset + 4 + class_length])
        else:
            key.class_data = b""
        return key, (subkey_list, subkeys)

    def _descriptor(self, offset: int, inherited: bytes) -> bytes:
        if offset == cell_layout.NOWHERE and inherited:
            return inherited
        self._take(offset, 20, "a security descriptor")
        signature, _reserved, _next, _previous, _count, size = cell_layout.KEY_SECURITY.unpack_from(
            self.bins, offset + 4
        )
        if signature != b"sk" or -self.dwords[offset >> 2] - 24 < size:
            raise _corrupt(f"has an invalid security descriptor at {offset:#x}", "winregistry.security")
        descriptor = self.descriptors[offset] = bytes(self.bins[offset + 24 : offset + 24 + size])
        return descriptor

    def _check_values(self, list_offset: int, count: int) -> None:
        self._take(list_offset, count * 4, "a list of values")
        bins, dwords, unused, limit = self.bins, self.dwords, self.free_to_use, len(self.free_to_use)
        unpack = _KEY_VALUE.unpack_from
        first = (list_offset >> 2) + 1
        for cell in dwords[first : first + count]:
            index = cell >> 3
            if cell & 7 or not 0 <= index < limit or not unused[index]:
                raise _corrupt(
                    f"refers to a value at {cell & 0xFFFFFFFF:#x}, but that cell is not allocated or is in use already",
                    "winregistry.reference",
                )
            unused[index] = 0
            space = -dwords[cell >> 2] - 24
            if space < 0:
                raise _corrupt(f"has a value at {cell:#x} that exceeds its cell", "winregistry.cell")
            signature, length, size, offset, flags = unpack(bins, cell + 4)
            if signature != b"vk" or length > space or (length & 1 and not flags & 1):
                raise _corrupt(f"has an invalid value at {cell:#x}", "winregistry.value")
            if length > MAXIMUM_VALUE_NAME and (flags & 1 or length > MAXIMUM_VALUE_NAME * 2):
                raise _corrupt(
                    f"has a value at {cell:#x} whose name is longer than {MAXIMUM_VALUE_NAME} characters",
                    "winregistry.name",
                )
            if size & 0x80000000:
                if size > 0x80000004:
                    raise _corrupt(
                        f"has a value at {cell:#x} with {size & 0x7FFFFFFF} bytes in a field of 4 bytes",
                        "winregistry.value",
                    )
            elif size:
                index = offset >> 3
                if offset & 7 or index >= limit or not unused[index]:
                    raise _corrupt(
                        f"refers to a value's data at {offset:#x}, but that cell is not allocated or is in use already",
                        "winregistry.reference",
                    )
                unused[index] = 0
                if size > -dwords[offset >> 2] - 4:
                    self._check_big_data(offset, size)

    def _check_big_data(self, offset: int, size: int) -> None:
        # Data that fits its cell is stored plainly, regardless of the version: hivex writes such hives.
        signature, count = self._list_header(offset)
        if signature != b"db" or self.minor < 4 or -self.dwords[offset >> 2] < 12:
            raise _corrupt(f"has a value of {size} bytes at {offset:#x} that exceeds its cell", "winregistry.value")
        if count != -(-size // cell_layout.BIG_DATA_SEGMENT):
            raise _corrupt(f"has a value of {size} bytes at {offset:#x} in {count} segments", "winregistry.value")
        segments = self.dwords[(offset >> 2) + 2] & 0xFFFFFFFF
        self._take(segments, count * 4, "a list of data segments")
        first = (segments >> 2) + 1
        for segment in self.dwords[first : first + count]:
            self._take(segment & 0xFFFFFFFF, min(size, cell_layout.BIG_DATA_SEGMENT), "a data segment")
            size -= cell_layout.BIG_DATA_SEGMENT
