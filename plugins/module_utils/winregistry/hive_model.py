# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry hive in memory: keys, values and the base block, with everything that Windows stores.

The values of a key are decoded when they are first used; until then they remain in the bytes of the hive file.
A hive of 100 MB therefore costs little more than its keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..common.errors import InternalError
from . import cell_layout, upcase
from . import key_security as descriptors
from .hive_items import Context, NamedItems, Value

MAXIMUM_DEPTH = 512
# The documentation of Windows says 255; its kernel accepts 256 (REG_MAX_KEY_NAME_LENGTH, 512 bytes).
MAXIMUM_KEY_NAME = 256
MAXIMUM_VALUE_NAME = 16383
MAXIMUM_DATA = 0x7FFFFFFF

_WINDOWS = Context()


class Key:
    """One key.

    ``flags`` are the key node's (cell_layout.KEY_*), ``last_written`` a FILETIME, ``security`` a
    self-relative security descriptor, ``class_data`` the class name's bytes, ``access`` the
    32 bits that hold access bits and layer bits, ``control`` the 16 bits of virtualization,
    user (Wow64) and debug flags, ``predefined_handle`` the handle of a key that represents
    a predefined key (such a key has no values of its own).
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
        """The class name; None if there is none."""
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
        """The objects that all keys of the hive share."""
        return self._context

    @property
    def is_symbolic_link(self) -> bool:
        """True when the key is a link to the key that its value SymbolicLinkValue names."""
        return bool(self.flags & cell_layout.KEY_SYM_LINK)

    @property
    def layer_semantics(self) -> int:
        """The effect on the parent hive: LAYER_MERGE, _TOMBSTONE, _SUPERSEDE_LOCAL or _SUPERSEDE_TREE of cell_layout."""
        return self.access >> 8 & 3 if self._context.layered else cell_layout.LAYER_MERGE

    @layer_semantics.setter
    def layer_semantics(self, semantics: int) -> None:
        self.access = self.access & ~0x300 | (semantics & 3) << 8

    @property
    def inherit_class(self) -> bool:
        """True when the class name comes from the parent hive."""
        return self._context.layered and bool(self.access & 0x8000)

    @inherit_class.setter
    def inherit_class(self, inherit: bool) -> None:
        self.access = self.access & ~0x8000 | (0x8000 if inherit else 0)

    # Subkeys

    @property
    def subkeys(self) -> NamedItems[Key]:
        """The subkeys by name."""
        return NamedItems(self._subkeys or {}, self._context.upcase.fold)

    def key(self, path: str) -> Key | None:
        """Return the key at ``path`` (backslashes between the names) below this key, or None."""
        fold = self._context.upcase.fold
        key = self
        for name in path.split("\\"):
            if name:
                below = key._subkeys.get(fold(name)) if key._subkeys else None
                if below is None:
                    return None
                key = below
        return key

    def create(self, path: str, *, last_written: int | None = None) -> Key:
        """Return the key at ``path``; create it and the keys above it if they are missing.

        A new key inherits its security descriptor from its parent as in Windows, and its time
        if ``last_written`` is None.
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
        """Add ``key`` with its content as a subkey.

        Raises:
            InternalError: the name is not valid, or a subkey of that name exists.
        """
        key.name = _checked_name(key.name, MAXIMUM_KEY_NAME, "key")
        if not key.name or "\\" in key.name:
            raise InternalError(f"The registry key name {key.name!r} is not valid.", code="winregistry.name")
        if self._subkeys is None:
            self._subkeys = {}
        folded = self._context.upcase.fold(key.name)
        if folded in self._subkeys:
            raise InternalError(
                f"The registry key {self.name} already has a subkey {self._subkeys[folded].name}.",
                code="winregistry.exists",
            )
        self._subkeys[folded] = key

    def copy(self) -> Key:
        """Return a copy of the key with its content; values that are not decoded yet stay so."""
        top = self._copy()
        stack = [(self, top)]
        while stack:
            source, target = stack.pop()
            if source._subkeys is not None:
                target._subkeys = {folded: below._copy() for folded, below in source._subkeys.items()}
                stack += zip(source._subkeys.values(), target._subkeys.values())
        return top

    def _copy(self) -> Key:
        copied = Key.__new__(Key)
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
            setattr(copied, slot, getattr(self, slot))
        copied._subkeys = None
        copied._values = None
        if self._values is not None:
            copied._values = {
                folded: Value(value.name, value.type, value.data, wide=value.wide, tombstone=value.tombstone)
                for folded, value in self._values.items()
            }
        return copied

    def delete(self, path: str) -> None:
        """Delete the key at ``path`` with everything below it.

        Raises:
            InternalError: the key does not exist.
        """
        parent_path, _separator, name = path.strip("\\").rpartition("\\")
        parent = self.key(parent_path)
        folded = self._context.upcase.fold(name)
        if parent is None or not parent._subkeys or folded not in parent._subkeys:
            raise InternalError(f"The registry key {self.name} has no key {path} below it.", code="winregistry.no_key")
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

    def encoded_values(self) -> Iterator[tuple[int, int, cell_layout.Buffer, cell_layout.Buffer]]:
        """Yield (type, flags, encoded name, data) of each value without decoding it."""
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
        """Set a value; an existing value keeps its position and the spelling of its name, as in Windows.

        Raises:
            InternalError: the type, the size of the data or the length of the name is out of range.
        """
        if not 0 <= type <= 0xFFFFFFFF:
            raise InternalError(
                f"The type {type:#x} of the registry value {name} is not a 32-bit number.", code="winregistry.type"
            )
        if len(data) > MAXIMUM_DATA:
            raise InternalError(
                f"The registry value {name} has {len(data)} bytes; at most {MAXIMUM_DATA} are allowed.",
                code="winregistry.data",
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
        """Delete the value ``name``.

        Raises:
            InternalError: the value does not exist.
        """
        if self._loaded().pop(self._context.upcase.fold(name), None) is None:
            raise InternalError(
                f"The registry key {self.name} has no value {name or '(default)'}.", code="winregistry.no_value"
            )

    def order_values(self, names: Collection[str]) -> None:
        """Reorder the values in ``names`` to its order among the positions that they occupy; other values do not move."""
        values = self._loaded()
        ordered = iter([folded for folded in dict.fromkeys(map(self._context.upcase.fold, names)) if folded in values])
        moving = set(map(self._context.upcase.fold, names))
        order = [next(ordered) if folded in moving else folded for folded in values]
        self._values = {folded: values[folded] for folded in order}


def _checked_name(name: str, limit: int, kind: str) -> str:
    encoded = name.encode("utf-16-le", "surrogatepass")
    if len(encoded) > limit * 2:
        raise InternalError(
            f"The registry {kind} name {name[:40]}... is longer than {limit} characters.", code="winregistry.name"
        )
    return name if name.isascii() else encoded.decode("utf-16-le", "surrogatepass")


class Hive:
    """A hive: its root key and its base block, which is kept verbatim except for the fields that the writer sets.

    ``dirty`` is true if the file was not closed properly and no log could repair it.
    ``recovered`` is the number of log entries that were applied.
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
        """Return an empty hive of version 1.``minor``.

        ``name`` is the file's name (the last 31 characters are kept), ``last_written`` a FILETIME.
        """
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
            raise InternalError(
                f"The hive version 1.{minor} cannot be written; the minor version must be 3 to 6.",
                code="winregistry.version",
            )
        cell_layout.set_u32(self.base_block, 24, minor)

    @property
    def is_differencing(self) -> bool:
        """True for a differencing hive, whose keys change a parent hive."""
        return cell_layout.is_differencing(self.base_block)

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
