# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry hive in memory: keys, values and the base block, with all that Windows keeps.

A key's values may still lie in the hive file it was read from and are decoded when they
are first asked for; a hive of 100 MB therefore costs little more than its keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Generic, TypeVar

from ..common.errors import Conflict, InvalidInput, NotFound
from . import cell_layout, upcase
from . import key_security as descriptors

MAXIMUM_DEPTH = 512
# The documentation of Windows says 255; its kernel takes one more (REG_MAX_KEY_NAME_LENGTH, 512 bytes).
MAXIMUM_KEY_NAME = 256
MAXIMUM_VALUE_NAME = 16383
MAXIMUM_DATA = 0x7FFFFFFF

Item = TypeVar("Item")


class Value:
    """One value: ``name`` as spelled ("" is the default value), ``type`` any u32, ``data`` as stored.

    ``wide`` says that the name is stored as UTF-16 although Latin-1 would do; ``tombstone``
    that it deletes the value of that name in the hive below (differencing hives).
    """

    __slots__ = ("name", "type", "data", "wide", "tombstone")

    def __init__(self, name: str, type: int, data: bytes, *, wide: bool = False, tombstone: bool = False) -> None:  # pylint: disable=redefined-builtin
        self.name = name
        self.type = type
        self.data = data
        self.wide = wide
        self.tombstone = tombstone

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value):
            return NotImplemented
        return (self.name, self.type, self.data, self.wide, self.tombstone) == (
            other.name,
            other.type,
            other.data,
            other.wide,
            other.tombstone,
        )

    __hash__ = None

    def __repr__(self) -> str:
        return f"Value({self.name!r}, {self.type:#x}, {len(self.data)} bytes{', tombstone' if self.tombstone else ''})"


class Context:
    """What the keys of one hive share: how names are folded, and where values not yet decoded come from."""

    def __init__(self, table: upcase.Upcase = upcase.WINDOWS) -> None:
        self.upcase = table

    def raw_values(self, stored: int) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Yield (type, flags, encoded name, data) of the values that ``stored`` refers to; only keys that were read have such references."""
        raise NotImplementedError

    def load_values(self, stored: int) -> dict[str, Value]:
        """Decode the values that ``stored`` refers to; they are keyed by folded name."""
        raise NotImplementedError


_WINDOWS = Context()


class NamedItems(Mapping[str, Item], Generic[Item]):
    """Keys or values by name: case-insensitive look-up, spelling and order kept."""

    __slots__ = ("_items", "_fold")

    def __init__(self, items: dict[str, Item], fold) -> None:
        self._items = items
        self._fold = fold

    def __getitem__(self, name: str) -> Item:
        return self._items[self._fold(name)]

    def __iter__(self) -> Iterator[str]:
        return (item.name for item in self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._fold(name) in self._items

    def values(self):
        return self._items.values()

    def by_folded_name(self) -> Mapping[str, Item]:
        """The items by folded name, as a dictionary that must not be changed."""
        return self._items


class Key:
    """One key.

    ``flags`` are the key node's (layout.KEY_*), ``last_written`` a FILETIME, ``security`` a
    self-relative security descriptor, ``class_data`` the class name's bytes, ``access`` the
    32 bits that hold access bits and layer bits, ``control`` the 16 bits of virtualization,
    user (Wow64) and debug flags, ``predefined_handle`` the handle of a key that stands for
    one of the predefined keys (such a key has no values of its own).
    """

    __slots__ = (
        "name",
        "flags",
        "last_written",
        "access",
        "control",
        "class_data",
        "security",
        "predefined_handle",
        "_context",
        "_values",
        "_subkeys",
        "_stored",
    )

    def __init__(
        self,
        name: str,
        *,
        security: bytes = descriptors.DEFAULT,
        last_written: int = 0,
        flags: int = cell_layout.KEY_COMP_NAME,
        class_name: str | None = None,
        context: Context | None = None,
    ) -> None:
        self.name = name
        self.flags = flags
        self.last_written = last_written
        self.access = 0
        self.control = 0
        self.class_data = b"" if class_name is None else class_name.encode("utf-16-le", "surrogatepass")
        self.security = security
        self.predefined_handle = 0
        self._context = context or _WINDOWS
        self._values: dict[str, Value] | None = None
        self._subkeys: dict[str, Key] | None = None
        self._stored = 0

    def __repr__(self) -> str:
        return f"Key({self.name!r})"

    @property
    def class_name(self) -> str | None:
        """The class name, or None without one."""
        return (
            self.class_data.decode("utf-16-le", "surrogatepass" if len(self.class_data) % 2 == 0 else "replace")
            if self.class_data
            else None
        )

    @class_name.setter
    def class_name(self, name: str | None) -> None:
        self.class_data = b"" if name is None else name.encode("utf-16-le", "surrogatepass")

    @property
    def context(self) -> Context:
        """What the key shares with the others of its hive."""
        return self._context

    @property
    def is_symbolic_link(self) -> bool:
        """True when the key stands for the key that its value SymbolicLinkValue names."""
        return bool(self.flags & cell_layout.KEY_SYM_LINK)

    @property
    def layer_semantics(self) -> int:
        """What the key does to the hive below: layout.LAYER_MERGE, _TOMBSTONE, _SUPERSEDE_LOCAL or _SUPERSEDE_TREE."""
        return self.access >> 8 & 3

    @layer_semantics.setter
    def layer_semantics(self, semantics: int) -> None:
        self.access = self.access & ~0x300 | (semantics & 3) << 8

    @property
    def inherit_class(self) -> bool:
        """True when the class name comes from the hive below."""
        return bool(self.access & 0x8000)

    @inherit_class.setter
    def inherit_class(self, inherit: bool) -> None:
        self.access = self.access & ~0x8000 | (0x8000 if inherit else 0)

    # Subkeys

    @property
    def subkeys(self) -> NamedItems[Key]:
        """The subkeys by name."""
        return NamedItems(self._subkeys or {}, self._context.upcase.fold)

    def key(self, path: str) -> Key | None:
        """Return the key below this one that ``path`` (backslashes between the names) leads to, or None."""
        fold = self._context.upcase.fold
        found: Key | None = self
        for name in path.split("\\"):
            if name:
                found = found._subkeys.get(fold(name)) if found._subkeys else None
                if found is None:
                    return None
        return found

    def create(self, path: str, *, last_written: int | None = None) -> Key:
        """Return the key at ``path``, making the missing keys on the way.

        A new key inherits its security descriptor from its parent as in Windows, and its time
        where ``last_written`` is None.
        """
        fold = self._context.upcase.fold
        key = self
        for name in path.split("\\"):
            if not name:
                continue
            below = key._subkeys.get(fold(name)) if key._subkeys else None
            if below is None:
                below = Key(
                    name,
                    security=descriptors.inherit(key.security),
                    context=self._context,
                    last_written=key.last_written if last_written is None else last_written,
                )
                key.add(below)
            key = below
        return key

    def add(self, key: Key) -> None:
        """Take ``key``, with all it holds, as a subkey. Raises Conflict when a subkey of that name exists."""
        key.name = _checked_name(key.name, MAXIMUM_KEY_NAME, "key")
        if not key.name or "\\" in key.name:
            raise InvalidInput(f"{key.name!r} cannot be the name of a registry key.", code="winregistry.name")
        if self._subkeys is None:
            self._subkeys = {}
        folded = self._context.upcase.fold(key.name)
        if folded in self._subkeys:
            raise Conflict(
                f"The registry key {self.name} already has a subkey {self._subkeys[folded].name}.",
                code="winregistry.exists",
            )
        self._subkeys[folded] = key

    def copy(self) -> Key:
        """A copy of the key with all it holds; values not yet decoded stay so."""
        top = self._copy()
        stack = [(self, top)]
        while stack:
            source, target = stack.pop()
            if source._subkeys is not None:
                target._subkeys = {folded: below._copy() for folded, below in source._subkeys.items()}
                stack += zip(source._subkeys.values(), target._subkeys.values())
        return top

    def _copy(self) -> Key:
        made = Key.__new__(Key)
        for slot in (
            "name",
            "flags",
            "last_written",
            "access",
            "control",
            "class_data",
            "security",
            "predefined_handle",
            "_context",
            "_stored",
        ):
            setattr(made, slot, getattr(self, slot))
        made._subkeys = None
        made._values = None
        if self._values is not None:
            made._values = {
                folded: Value(value.name, value.type, value.data, wide=value.wide, tombstone=value.tombstone)
                for folded, value in self._values.items()
            }
        return made

    def delete(self, path: str) -> None:
        """Delete the key at ``path`` with everything below it. Raises NotFound when there is none."""
        parent_path, _separator, name = path.strip("\\").rpartition("\\")
        parent = self.key(parent_path)
        folded = self._context.upcase.fold(name)
        if parent is None or not parent._subkeys or folded not in parent._subkeys:
            raise NotFound(f"There is no registry key {path} under {self.name}.", code="winregistry.no_key")
        del parent._subkeys[folded]

    def walk(self) -> Iterator[tuple[str, Key]]:
        """Yield (path, key) for this key (path "") and all keys below it, parents first, in stored order."""
        stack = [("", self)]
        while stack:
            path, key = stack.pop()
            yield path, key
            if key._subkeys:
                stack += [
                    (f"{path}\\{below.name}" if path else below.name, below)
                    for below in reversed(key._subkeys.values())
                ]

    # Values

    def _loaded(self) -> dict[str, Value]:
        if self._values is None:
            self._values = self._context.load_values(self._stored) if self._stored else {}
            self._stored = 0
        return self._values

    @property
    def values(self) -> NamedItems[Value]:
        """The values by name, in stored order."""
        return NamedItems(self._loaded(), self._context.upcase.fold)

    def encoded_values(self) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Yield (type, flags, encoded name, data) of each value, without decoding what has not been asked for."""
        if self._values is None:
            if self._stored:
                yield from self._context.raw_values(self._stored)
            return
        for value in self._values.values():
            name, compressed = cell_layout.encode_name(value.name, value.wide)
            yield (
                value.type,
                (cell_layout.VALUE_COMP_NAME if compressed and name else 0)
                | (cell_layout.VALUE_TOMBSTONE if value.tombstone else 0),
                name,
                value.data,
            )

    def value(self, name: str) -> Value | None:
        """Return the value ``name`` ("" for the default value), or None."""
        return self._loaded().get(self._context.upcase.fold(name))

    def set_value(self, name: str, type: int, data: bytes) -> Value:  # pylint: disable=redefined-builtin
        """Set a value; one that exists keeps its place and its name's spelling, as in Windows."""
        if not 0 <= type <= 0xFFFFFFFF:
            raise InvalidInput(f"{type} is not the type of a registry value.", code="winregistry.type")
        if len(data) > MAXIMUM_DATA:
            raise InvalidInput(
                f"The registry value {name} has {len(data)} bytes, more than a hive can hold.", code="winregistry.data"
            )
        values = self._loaded()
        name = _checked_name(name, MAXIMUM_VALUE_NAME, "value")
        folded = self._context.upcase.fold(name)
        value = values.get(folded)
        if value is None:
            value = values[folded] = Value(name, type, bytes(data))
        else:
            value.type, value.data, value.tombstone = type, bytes(data), False
        return value

    def delete_value(self, name: str) -> None:
        """Delete the value ``name``. Raises NotFound when there is none."""
        if self._loaded().pop(self._context.upcase.fold(name), None) is None:
            raise NotFound(
                f"The registry key {self.name} has no value {name or '(default)'}.", code="winregistry.no_value"
            )

    def order_values(self, names: Collection[str]) -> None:
        """Put the values that ``names`` holds into its order, in the places that they take together; others stay where they are."""
        values = self._loaded()
        wanted = iter([folded for folded in dict.fromkeys(map(self._context.upcase.fold, names)) if folded in values])
        moving = set(map(self._context.upcase.fold, names))
        order = [next(wanted) if folded in moving else folded for folded in values]
        self._values = {folded: values[folded] for folded in order}


def _checked_name(name: str, limit: int, what: str) -> str:
    encoded = name.encode("utf-16-le", "surrogatepass")
    if len(encoded) > limit * 2:
        raise InvalidInput(
            f"The registry {what} name {name[:40]}... is longer than {limit} characters.", code="winregistry.name"
        )
    return name if name.isascii() else encoded.decode("utf-16-le", "surrogatepass")


class Hive:
    """A hive: its root key and its base block, kept verbatim where the writer does not set it.

    ``dirty`` says that the file was not closed properly and no log could repair it;
    ``recovered`` how many log entries were applied.
    """

    def __init__(self, root: Key, *, base_block: bytes | None = None, dirty: bool = False, recovered: int = 0) -> None:
        self.root = root
        if base_block is None:
            root.flags |= cell_layout.KEY_HIVE_ENTRY | cell_layout.KEY_NO_DELETE
        self.base_block = bytearray(base_block or cell_layout.new_base_block())
        self.dirty = dirty
        self.recovered = recovered

    @classmethod
    def new(
        cls,
        name: str = "",
        *,
        minor: int = 5,
        last_written: int = 0,
        security: bytes = descriptors.DEFAULT,
        root_name: str = "ROOT",
        table: upcase.Upcase = upcase.WINDOWS,
    ) -> Hive:
        """An empty hive of version 1.``minor``; ``name`` is the file's (last 31 characters kept), ``last_written`` a FILETIME."""
        hive = cls(Key(root_name, security=security, last_written=last_written, context=Context(table)))
        hive.name, hive.minor, hive.last_written = name, minor, last_written
        return hive

    def key(self, path: str) -> Key | None:
        """Return the key at ``path`` below the root, case-insensitively, or None."""
        return self.root.key(path)

    @property
    def name(self) -> str:
        """The file name in the base block: at most 31 UTF-16 units, the end of a path."""
        raw = bytes(self.base_block[48:112])
        return raw.decode("utf-16-le", "replace").partition("\0")[0]

    @name.setter
    def name(self, name: str) -> None:
        self.base_block[48:112] = name.encode("utf-16-le", "replace")[-62:].ljust(64, b"\0")

    @property
    def minor(self) -> int:
        """The minor version: 3 (NT 4), 4, 5 (XP and later), 6 (differencing hives)."""
        return cell_layout.get_u32(self.base_block, 24)

    @minor.setter
    def minor(self, minor: int) -> None:
        if minor not in cell_layout.MINOR_VERSIONS:
            raise InvalidInput(f"Hives of version 1.{minor} cannot be written.", code="winregistry.version")
        cell_layout.set_u32(self.base_block, 24, minor)

    @property
    def last_written(self) -> int:
        """FILETIME of the last write to the hive file (Windows 8.1 and later keep the time of creation)."""
        return cell_layout.get_u64(self.base_block, 12)

    @last_written.setter
    def last_written(self, time: int) -> None:
        cell_layout.set_u64(self.base_block, 12, time)

    @property
    def flags(self) -> int:
        """The base block's flags: bit 0 a pending transaction, bit 1 layered keys."""
        return cell_layout.get_u32(self.base_block, 144)

    @flags.setter
    def flags(self, flags: int) -> None:
        cell_layout.set_u32(self.base_block, 144, flags)
