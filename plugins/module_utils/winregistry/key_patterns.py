# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of registry keys, compiled into a tree that is walked along with the keys.

The names of a pattern are separated by backslashes and compared without regard to case. ``*``
matches any part of a name, ``?`` matches one character, and the name ``**`` matches any number of keys,
including none.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from ..common.errors import InvalidInput
from . import upcase

Payload = TypeVar("Payload")
_MAXIMUM_NAMES = 64
_MAXIMUM_LENGTH = 4096


class _Node(Generic[Payload]):
    __slots__ = ("exact", "globs", "deep", "is_deep", "payloads")

    def __init__(self, is_deep: bool = False) -> None:
        self.exact: dict[str, _Node] = {}
        self.globs: list[tuple[str, Callable, _Node]] = []
        self.deep: _Node | None = None
        self.is_deep = is_deep
        self.payloads: list[tuple[int, Payload]] = []


PatternState = tuple[_Node, ...]


def name_matcher(pattern: str, table: upcase.Upcase = upcase.WINDOWS) -> Callable[[str], object]:
    """Return a function that returns whether a folded name matches ``pattern``."""
    folded = table.fold(pattern)
    if "*" not in folded and "?" not in folded:
        return folded.__eq__
    return re.compile(fnmatch.translate(folded.replace("[", "[[]"))).match


class PatternTree(Generic[Payload]):
    """Patterns with a payload each.

    A state represents a key: ``start`` is the state of the root, ``advance`` returns the state of a subkey.
    """

    def __init__(self, table: upcase.Upcase = upcase.WINDOWS) -> None:
        self._table = table
        self._root: _Node[Payload] = _Node()
        self._number = 0

    def add(self, pattern: str, payload: Payload, *, literal: bool = False, below: bool = False) -> None:
        """Add a pattern, relative to the hive's root ("" is the root).

        The names in a ``literal`` pattern have no wildcards. With ``below``, everything below a match matches as well.

        Raises:
            InvalidInput: the pattern is not valid.
        """
        names = pattern.split("\\") if pattern else []
        if (
            len(pattern) > _MAXIMUM_LENGTH
            or len(names) > _MAXIMUM_NAMES
            or not all(names)
            or not literal
            and any("**" in name and name != "**" for name in names)
        ):
            raise InvalidInput(
                f"The pattern {pattern[:200]!r} of registry keys is not valid.",
                code="winregistry.pattern",
                hint="Write the names of the keys below the hive's root, separated by single backslashes; "
                "use ** only as a whole name.",
            )
        node = self._root
        for name in names:
            node = node.exact.setdefault(self._table.fold(name), _Node()) if literal else self._below(node, name)
        if below:
            node = self._below(node, "**")
        node.payloads.append((self._number, payload))
        self._number += 1

    def _below(self, node: _Node, name: str) -> _Node:
        if name == "**":
            if node.is_deep:
                return node
            node.deep = node.deep or _Node(is_deep=True)
            return node.deep
        folded = self._table.fold(name)
        if "*" not in folded and "?" not in folded:
            return node.exact.setdefault(folded, _Node())
        for pattern, _matches, below in node.globs:
            if pattern == folded:
                return below
        node.globs.append((folded, name_matcher(folded, self._table), _Node()))
        return node.globs[-1][2]

    @property
    def start(self) -> PatternState:
        """Return the state of the root key."""
        return _entered([self._root])

    def advance(self, state: PatternState, folded_name: str) -> PatternState:
        """Return the state of the subkey ``folded_name`` of the key with ``state``."""
        if not state:
            return state
        reached: list[_Node] = []
        for node in state:
            if node.is_deep:
                reached.append(node)
            below = node.exact.get(folded_name)
            if below is not None:
                reached.append(below)
            reached += [below for _pattern, matches, below in node.globs if matches(folded_name)]
        return _entered(reached)

    def payloads(self, state: PatternState) -> Iterator[Payload]:
        """Return the payloads of the patterns that match the key with ``state``, in the order in which they were added."""
        numbered = [item for node in state for item in node.payloads]
        numbered.sort(key=lambda item: item[0])
        return (payload for _number, payload in numbered)

    def find(self, path: str) -> Iterator[Payload]:
        """Return the payloads of the patterns that match the key ``path``."""
        state = self.start
        for name in path.split("\\"):
            if name:
                state = self.advance(state, self._table.fold(name))
        return self.payloads(state)


def _entered(nodes: list[_Node]) -> PatternState:
    # A "**" that follows a key also matches the key itself.
    entered: dict[int, _Node] = {}
    for node in nodes:
        entered[id(node)] = node
        if node.deep is not None:
            entered[id(node.deep)] = node.deep
    return tuple(entered.values())
