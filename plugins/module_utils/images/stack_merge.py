# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which layer wins each path: a stack of layers merged into one tree of final states.

Only file indexes are read, never a layer's content, so that every file is written once
however many layers carry it. The rules:

* A later layer wins. Names are compared as the volume compares them (``fold``).
* A directory over a directory merges; its own metadata replaces the older one's unless the
  entry is only implied, there to carry its children.
* A file, a hard link or a directory that leads elsewhere (a junction, a symbolic link) replaces
  whatever stood there, with everything below it; another directory replaces a file.
* A whiteout removes what *lower* layers and the base have at that path, wherever it
  stands in its archive; the same layer may then bring the path anew.
* A layer that has a path twice, but for directories, contradicts itself and is refused.
* A directory keeps the spelling under which it was first made; a file has its winner's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from ..common.errors import Conflict, InvalidInput
from ..layers.entry import DIRECTORY, HIVE, WHITEOUT, Entry, leads_elsewhere, printable

#: Windows' longest path has 32,767 UTF-16 units; no real tree comes near this depth.
MAX_DEPTH = 256


@dataclass(slots=True)
class MergedNode:
    """The final state of one path.

    ``layer`` and ``position`` name the winning entry (stack number, place in its index);
    ``entry`` is None for a folder that is only implied by what it holds, and for a path
    that is only removed. ``hides`` says that nothing which the base has here survives.
    ``exists`` says that a layer brings this path or one below it, or made a folder of it for
    what a later one removed; a folder that merely leads to removals is not made when the base lacks it.
    """

    name: str
    entry: Entry | None = None
    layer: int = -1
    position: int = -1
    hides: bool = False
    exists: bool = False
    children: dict[str, MergedNode] = field(default_factory=dict)

    @property
    def is_leaf(self) -> bool:
        """True for a file, a link or a directory that leads elsewhere: nothing can be below it."""
        return self.entry is not None and is_leaf(self.entry)


def is_leaf(entry: Entry) -> bool:
    """Whether an entry leaves no room for anything below its path."""
    return entry.kind != DIRECTORY or leads_elsewhere(entry.reparse)


class MergedTree:
    """The merged stack. ``root`` is the volume's root and is never an entry itself."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self.root = MergedNode("")
        self._fold = fold
        self._folded: dict[str, str] = {}
        self._folded_folders: dict[str, str] = {}

    def fold(self, name: str) -> str:
        """One path component as the volume compares it."""
        folded = self._folded.get(name)
        if folded is None:
            folded = self._folded[name] = self._fold(name)
        return folded

    def fold_path(self, path: str) -> str:
        """A whole path, component by component."""
        folder, slash, name = path.rpartition("/")
        if not slash:
            return self.fold(name)
        folded = self._folded_folders.get(folder)
        if folded is None:
            folded = self._folded_folders[folder] = "/".join([self.fold(part) for part in folder.split("/")])
        return f"{folded}/{self.fold(name)}"

    def add_layer(
        self, number: int, label: str, entries: Sequence[Entry], skip: Collection[tuple[int, int]] = ()
    ) -> None:
        """Put the next layer on top. ``label`` names it in errors; entries whose (number, position) is in ``skip`` are not brought.

        Raises Conflict for content below a link to elsewhere and for a layer that contradicts itself, InvalidInput for absurd depth.
        """
        for entry in entries:
            if entry.kind == WHITEOUT:
                self._remove(entry.path, label)
        for position, entry in enumerate(entries):
            if entry.kind not in (WHITEOUT, HIVE) and entry.path and (number, position) not in skip:
                self._add(number, position, entry, label)

    def nodes(self) -> Iterator[tuple[str, MergedNode]]:
        """Yield ``(path, node)`` for every path, parents first, siblings in the volume's order."""
        stack = [("", self.root)]
        while stack:
            path, node = stack.pop()
            if path:
                yield path, node
            prefix = path + "/" if path else ""
            stack.extend((prefix + child.name, child) for _folded, child in sorted(node.children.items(), reverse=True))

    def settle(self) -> None:
        """Bring ``exists`` up to date where nodes were put together by hand; call once, at the end."""
        order = [self.root]
        for node in order:
            order.extend(node.children.values())
        for node in reversed(order):
            node.exists = node.exists or node.entry is not None or any(child.exists for child in node.children.values())

    def _parent(
        self, path: str, label: str, number: int = -1, *, for_removal: bool = False
    ) -> tuple[MergedNode | None, str]:
        parts = path.split("/")
        if len(parts) > MAX_DEPTH:
            raise InvalidInput(
                f"{label} holds a path of {len(parts)} folders, beginning with {path[:60]!r}.",
                code="images.layer_too_deep",
                hint=f"No path in a layer may be deeper than {MAX_DEPTH} folders.",
            )
        node = self.root
        for depth, part in enumerate(parts[:-1]):
            folded = self.fold(part)
            child = node.children.get(folded)
            if child is None:
                child = node.children[folded] = MergedNode(part)
            elif child.is_leaf:
                if for_removal:
                    return None, parts[-1]
                path_so_far = "/".join(parts[: depth + 1])
                if child.layer == number and child.entry.kind != DIRECTORY:
                    raise _twice(path_so_far, label)
                self._become_directory(child, part, path_so_far, label)
            if not for_removal:
                self._make(child, part)
            node = child
        return node, parts[-1]

    @staticmethod
    def _make(node: MergedNode, name: str) -> None:
        """The first layer that brings a path decides its spelling; one that only removes below it does not."""
        if not node.exists:
            node.name, node.exists = name, True

    @staticmethod
    def _become_directory(node: MergedNode, name: str, path: str, label: str) -> None:
        if node.entry.kind == DIRECTORY:
            raise Conflict(
                f"{label} puts files below {path}, which a lower layer makes a link to another folder.",
                code="images.layer_below_link",
                hint="Put the files below the folder that the link leads to.",
                path=path,
            )
        node.name, node.entry, node.layer, node.position = name, None, -1, -1

    def _remove(self, path: str, label: str) -> None:
        parent, name = self._parent(path, label, for_removal=True)
        if parent is not None:
            parent.children[self.fold(name)] = MergedNode(name, hides=True)

    def _add(self, number: int, position: int, entry: Entry, label: str) -> None:
        parent, name = self._parent(entry.path, label, number)
        folded = self.fold(name)
        node = parent.children.get(folded)
        if node is None:
            node = parent.children[folded] = MergedNode(name)
        elif node.layer == number and not (entry.kind == node.entry.kind == DIRECTORY):
            raise _twice(entry.path, label)
        self._make(node, name)
        if is_leaf(entry):
            node.children = {}
            node.hides = True
            node.name = name
        else:
            if node.is_leaf:
                if node.entry.kind == DIRECTORY and not entry.implied:
                    node.name, node.entry = name, None
                else:
                    self._become_directory(node, name, entry.path, label)
            if node.entry is not None and entry.implied:
                return
        node.entry, node.layer, node.position = entry, number, position


def _twice(path: str, label: str) -> Conflict:
    return Conflict(
        f"{label} holds {printable(path)} twice, or a file there and something below it.",
        code="images.layer_twice",
        hint="Windows does not tell names apart by case: rename one of them in the layer's source.",
        path=path,
    )


def merge(
    stack: Sequence[tuple[str, Sequence[Entry]]], fold: Callable[[str], str], skip: Collection[tuple[int, int]] = ()
) -> MergedTree:
    """Merge ``(label, entries)`` of each layer, lowest first, without those whose (layer, position) is in ``skip``."""
    tree = MergedTree(fold)
    for number, (label, entries) in enumerate(stack):
        tree.add_layer(number, label, entries, skip)
    return tree
