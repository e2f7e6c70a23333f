# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of one hive as data: which keys and values were added, changed or removed, and their former content.

A delta is self-contained: it can be merged with others, counted, filtered and stored without
the hive that it was computed from. See docs/registry-deltas.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from . import cell_layout, upcase
from .hive_items import Value
from .hive_model import Key

# Actions of a key
KEEP = 0  # it is kept; the values and subkeys that the delta names in it change
CREATE = 1  # it did not exist before
REMOVE = 2  # it is deleted with everything below it
REPLACE = 3  # everything in it is deleted, and it gets the content that the delta names

# The former content of values up to this size (in bytes) is kept; of larger values a digest is kept.
KEPT_BEFORE = 65536
# Key flags that a delta carries: all except those that the position of a key in the hive decides.
CARRIED_FLAGS = 0xFFFF & ~(cell_layout.KEY_VOLATILE | cell_layout.KEY_HIVE_EXIT | cell_layout.KEY_HIVE_ENTRY)


class Before:
    """The former state of a value: ``type``, ``size`` in bytes, and ``data``, or only ``digest`` if it was large."""

    __slots__ = ("type", "size", "data", "digest")

    def __init__(self, type: int, size: int, data: bytes | None, digest: bytes | None) -> None:  # pylint: disable=redefined-builtin
        self.type = type
        self.size = size
        self.data = data
        self.digest = digest

    @classmethod
    def of(cls, value: Value | None) -> Before | None:
        """Return what is kept of ``value``; None stays None."""
        if value is None:
            return None
        if len(value.data) <= KEPT_BEFORE:
            return cls(value.type, len(value.data), value.data, None)
        return cls(value.type, len(value.data), None, _digest(value.data))

    def is_same(self, type: int, data: bytes) -> bool:  # pylint: disable=redefined-builtin
        """Return whether a value of this type and data equals the former value."""
        if (self.type, self.size) != (type, len(data)):
            return False
        return self.data == data if self.data is not None else self.digest == _digest(data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Before):
            return NotImplemented
        return (self.type, self.size, self.data, self.digest) == (other.type, other.size, other.data, other.digest)

    def __repr__(self) -> str:
        return f"Before({self.type:#x}, {self.size} bytes)"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class ValueDelta:
    """One value that is set (``data`` as stored) or removed (``data`` is None).

    ``before`` is its former state, None if it did not exist. ``renamed`` is true if its name was spelled
    differently before. ``wide`` is true if the name is stored as UTF-16 although Latin-1 would suffice.
    """

    __slots__ = ("name", "type", "data", "before", "renamed", "wide")

    def __init__(
        self,
        name: str,
        type: int,
        data: bytes | None,
        before: Before | None = None,
        *,  # pylint: disable=redefined-builtin
        renamed: bool = False,
        wide: bool = False,
    ) -> None:
        self.name = name
        self.type = type
        self.data = data
        self.before = before
        self.renamed = renamed
        self.wide = wide

    @property
    def is_removal(self) -> bool:
        """True when the value is removed."""
        return self.data is None

    @property
    def only_renames(self) -> bool:
        """True when only the spelling of the name changes."""
        return (
            self.renamed
            and self.data is not None
            and self.before is not None
            and self.before.is_same(self.type, self.data)
        )

    def same_effect(self, other: ValueDelta) -> bool:
        """Return whether both leave the same type and data, or no value."""
        return self.data == other.data and (self.data is None or self.type == other.type)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ValueDelta):
            return NotImplemented
        return all(getattr(self, slot) == getattr(other, slot) for slot in self.__slots__)

    def __repr__(self) -> str:
        return f"ValueDelta({self.name!r}, {'removed' if self.data is None else f'{self.type:#x}, {len(self.data)} bytes'})"


class KeyDelta:
    """The changes of one key: ``action`` is KEEP, CREATE, REMOVE or REPLACE.

    The attributes are the ``security`` descriptor, ``class_data`` (bytes of the class name, b"" for none), ``flags``
    (key flags, virtualization and user flags, predefined handle) and ``last_written`` (FILETIME). An attribute of
    None does not change in an existing key; a new key gets what Windows gives it (security inherited, no class, no
    flags). ``renamed`` is true if an existing key gets this spelling of its name. ``order`` lists names of values
    whose order differs from the order that adding and removing leaves. ``values`` and ``subkeys`` are by folded name.
    """

    __slots__ = (
        "name",
        "action",
        "renamed",
        "security",
        "class_data",
        "flags",
        "last_written",
        "order",
        "values",
        "subkeys",
    )

    def __init__(self, name: str, action: int = KEEP) -> None:
        self.name = name
        self.action = action
        self.renamed = False
        self.security: bytes | None = None
        self.class_data: bytes | None = None
        self.flags: tuple[int, int, int] | None = None
        self.last_written: int | None = None
        self.order: tuple[str, ...] | None = None
        self.values: dict[str, ValueDelta] = {}
        self.subkeys: dict[str, KeyDelta] = {}

    @property
    def is_fresh(self) -> bool:
        """True when nothing of the former content remains: the key is created or replaced."""
        return self.action in (CREATE, REPLACE)

    @property
    def changes_attributes(self) -> bool:
        """True when the key's security, class, flags or spelling change."""
        return self.renamed or self.security is not None or self.class_data is not None or self.flags is not None

    @property
    def is_empty(self) -> bool:
        """True when the key is kept and nothing in it or below it changes."""
        return self.action == KEEP and not (
            self.values or self.subkeys or self.changes_attributes or self.order or self.last_written is not None
        )

    def forget_time(self) -> None:
        """Drop the time of last writing and the order of values if no change in the key explains them any more."""
        if not self.values and not self.changes_attributes:
            self.order = None
            if all(below.action == KEEP for below in self.subkeys.values()):
                self.last_written = None

    def set_attributes(self, key: Key) -> None:
        """Set the changed attributes of ``key``, and its name if it is renamed."""
        if self.renamed:
            key.name = self.name
        if self.security is not None:
            key.security = self.security
        if self.class_data is not None:
            key.class_data = self.class_data
        if self.flags is not None:
            flags, key.control, key.predefined_handle = self.flags
            key.flags = key.flags & ~CARRIED_FLAGS | flags
        if self.last_written is not None:
            key.last_written = self.last_written

    def walk(self) -> Iterator[tuple[str, KeyDelta]]:
        """Yield (path, key) for this key (path "") and the keys below it, parents first, siblings in Windows' order."""
        stack = [("", self)]
        while stack:
            path, key = stack.pop()
            yield path, key
            below = sorted(key.subkeys.items(), key=lambda item: upcase.sort_key(item[0]), reverse=True)
            stack += [(f"{path}\\{item.name}" if path else item.name, item) for _folded, item in below]

    def __repr__(self) -> str:
        return f"KeyDelta({self.name!r}, {('keep', 'create', 'remove', 'replace')[self.action]})"


@dataclass
class Counts:
    """The numbers of keys and values that a delta changes."""

    keys_added: int = 0
    keys_changed: int = 0
    keys_removed: int = 0
    values_added: int = 0
    values_changed: int = 0
    values_removed: int = 0


class Delta:
    """The changes of one hive.

    ``hive`` is its name (SYSTEM, SOFTWARE, ...), ``root`` the root key, which is always kept.
    """

    def __init__(self, hive: str, root: KeyDelta | None = None, *, table: upcase.Upcase = upcase.WINDOWS) -> None:
        self.hive = hive
        self.root = root or KeyDelta("")
        self.upcase = table

    def __repr__(self) -> str:
        return f"Delta({self.hive!r})"

    @property
    def is_empty(self) -> bool:
        """True when nothing changes."""
        return self.root.is_empty

    def key(self, path: str) -> KeyDelta | None:
        """Return the changes of the key at ``path`` below the root; None if the delta does not name it."""
        key = self.root
        for name in path.split("\\"):
            if name:
                below = key.subkeys.get(self.upcase.fold(name))
                if below is None:
                    return None
                key = below
        return key

    def walk(self) -> Iterator[tuple[str, KeyDelta]]:
        """Yield (path, key) for every key that the delta names, parents first, siblings in Windows' order."""
        return self.root.walk()

    def counts(self) -> Counts:
        """Return the numbers of keys and values added, changed and removed.

        A replaced key counts once, as changed. A removed key counts once, without its content.
        """
        counts = Counts()
        for _path, key in self.root.walk():
            if key.action == CREATE:
                counts.keys_added += 1
            elif key.action == REMOVE:
                counts.keys_removed += 1
            elif key.action == REPLACE or key.changes_attributes or key.values:
                counts.keys_changed += 1
            for value in key.values.values():
                if value.data is None:
                    counts.values_removed += 1
                elif value.before is None:
                    counts.values_added += 1
                else:
                    counts.values_changed += 1
        return counts

    def prune(self) -> None:
        """Drop the keys that are kept and in which nothing changes."""
        pairs = [(key, folded, below) for _path, key in self.root.walk() for folded, below in key.subkeys.items()]
        for key, folded, below in reversed(pairs):
            if below.is_empty:
                del key.subkeys[folded]


def sets_something(key: KeyDelta) -> bool:
    """Return whether a key is created or a value is set in ``key`` or below it."""
    return any(
        below.is_fresh or any(value.data is not None and not value.only_renames for value in below.values.values())
        for _path, below in key.walk()
    )


def changes_something(key: KeyDelta) -> bool:
    """Return whether changes are lost if ``key`` is removed: a value or an attribute set, a key created, also below it.

    The spelling of a name does not count.
    """
    return any(
        below.is_fresh
        or below.security is not None
        or below.class_data is not None
        or below.flags is not None
        or any(value.data is not None and not value.only_renames for value in below.values.values())
        for _path, below in key.walk()
    )
