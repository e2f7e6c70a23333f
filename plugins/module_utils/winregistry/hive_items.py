# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a registry key, and what the keys of one hive share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, ValuesView
from typing import Protocol, TypeVar

from . import upcase
from .cell_layout import Buffer


class _Named(Protocol):
    name: str


Item = TypeVar("Item", bound=_Named)


class Value:
    """One value: ``name`` as spelled ("" is the default value), ``type`` any u32, ``data`` as stored.

    ``wide`` is true if the name is stored as UTF-16 although Latin-1 would suffice. ``tombstone`` is true if the
    value deletes the value of that name in the parent hive (differencing hives).
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

    def __repr__(self) -> str:
        return f"Value({self.name!r}, {self.type:#x}, {len(self.data)} bytes{', tombstone' if self.tombstone else ''})"


class Context:
    """The objects that the keys of one hive share: the upcase table for names, and the source of values that are not decoded yet.

    ``layered`` is whether the bits of layered keys count, as in a differencing hive; elsewhere they are undefined.
    """

    def __init__(self, table: upcase.Upcase = upcase.WINDOWS, *, layered: bool = True) -> None:
        self.upcase = table
        self.layered = layered

    def raw_values(self, stored: int) -> Iterator[tuple[int, int, Buffer, Buffer]]:
        """Yield (type, flags, encoded name, data) of the values that ``stored`` refers to.

        Only keys that were read from a file have such references.
        """
        raise NotImplementedError

    def load_values(self, stored: int) -> dict[str, Value]:
        """Decode the values that ``stored`` refers to; return them by folded name."""
        raise NotImplementedError


class NamedItems(Mapping[str, Item]):
    """Keys or values by name: case-insensitive look-up, spelling and order kept."""

    __slots__ = ("_items", "_fold")

    def __init__(self, items: dict[str, Item], fold: Callable[[str], str]) -> None:
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

    def values(self) -> ValuesView[Item]:
        return self._items.values()

    def by_folded_name(self) -> Mapping[str, Item]:
        """Return the items by folded name, as a dictionary that must not be changed."""
        return self._items
