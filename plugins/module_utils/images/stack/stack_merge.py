# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge a stack of layers into a tree of final states: which layer wins each path.

Only file indexes are read, never the content of a layer, so that every file is written once, even if
several layers have it. The rules:

* A later layer wins. Names are compared as the volume compares them (``fold``).
* A directory over a directory merges. Its metadata replaces the older metadata, unless the entry is
  only implied, to carry its children.
* A file, a hard link or a directory that leads elsewhere (a junction, a symbolic link) replaces
  the path and everything below it. Any other directory replaces a file.
* A whiteout removes what *lower* layers and the base have at that path, independent of its position
  in the archive; the same layer can then provide the path again.
* A layer that has a path twice contradicts itself and is refused, except for directories.
* A directory keeps the spelling with which it was created; a file has the spelling of its winner.
* A file replaces or removes the journals that lower layers have of it (``ntfs.journals``): they belong to a
  different state of the file. The same layer can provide journals of its own.

The algorithm: layers are added from the lowest to the highest. For each layer, first its whiteouts
replace nodes of lower layers by nodes that hide the base; then its entries are added, which creates
folders on their way. A node remembers the layer that set it, so that a second entry of the same layer
for the same path is detected.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from ...common.errors import Conflict, InvalidInput
from ...layers.entry import DIRECTORY, HIVE, WHITEOUT, Entry, leads_elsewhere, printable
from ...ntfs.journals import main_name

#: Windows' longest path has 32,767 UTF-16 units; no real tree comes near this depth.
MAX_DEPTH = 256


@dataclass(slots=True)
class MergedNode:
    """The final state of one path.

    ``layer`` and ``position`` identify the winning entry (number in the stack, position in its index).
    ``entry`` is None for a folder that is only implied by its content, and for a path that is only
    removed. ``hides`` means that the base is not visible at this path. ``exists`` means that a layer
    provides this path or a path below it, even if a later layer removed that path; a folder that only
    leads to removals is not created if the base lacks it. ``remover`` is the layer that removed the path
    last, if no layer provides the path again.
    """

    name: str
    entry: Entry | None = None
    layer: int = -1
    position: int = -1
    hides: bool = False
    exists: bool = False
    remover: int = -1
    children: dict[str, MergedNode] = field(default_factory=dict)

    @property
    def is_leaf(self) -> bool:
        """True for a file, a link or a directory that leads elsewhere, which cannot have children."""
        return self.entry is not None and is_leaf(self.entry)


def is_leaf(entry: Entry) -> bool:
    """Return whether an entry cannot have children."""
    return entry.kind != DIRECTORY or leads_elsewhere(entry.reparse)


class MergedTree:
    """The merged stack. ``root`` is the root of the volume and never an entry."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self.root = MergedNode("")
        #: The labels of the layers, by number.
        self.labels: dict[int, str] = {}
        self._fold = fold
        self._folded: dict[str, str] = {}
        self._folded_folders: dict[str, str] = {}
        #: By folded path of the main file, the folder and the folded name of each journal.
        self._journals: dict[str, list[tuple[MergedNode, str]]] = {}

    def fold(self, name: str) -> str:
        """Return a path component as the volume compares it."""
        folded = self._folded.get(name)
        if folded is None:
            folded = self._folded[name] = self._fold(name)
        return folded

    def fold_path(self, path: str) -> str:
        """Return a whole path as the volume compares it, component by component."""
        folder, slash, name = path.rpartition("/")
        if not slash:
            return self.fold(name)
        folded = self._folded_folders.get(folder)
        if folded is None:
            folded = self._folded_folders[folder] = "/".join([self.fold(part) for part in folder.split("/")])
        return f"{folded}/{self.fold(name)}"

    def label(self, node: MergedNode) -> str:
        """Return the label of the layer that set or removed a node, or a node below it, for messages."""
        while node.layer < 0 and node.children:
            node = next(iter(node.children.values()))
        return self.labels.get(node.layer if node.layer >= 0 else node.remover, "a layer")

    def _way(self, path: str) -> Iterator[MergedNode]:
        """Yield the nodes on the way to a path, from the top, as far as the tree has them."""
        node = self.root
        for part in path.split("/"):
            below = node.children.get(self.fold(part))
            if below is None:
                return
            yield below
            node = below

    def node(self, path: str) -> MergedNode | None:
        """Return the node of a path; None if the stack changes neither the path nor what is below it."""
        way = list(self._way(path))
        return way[-1] if len(way) == path.count("/") + 1 else None

    def provides_file(self, path: str) -> bool:
        """Return whether a layer provides a file or link at a path."""
        node = self.node(path)
        return node is not None and node.is_leaf

    def changes(self, path: str) -> bool:
        """Return whether the stack changes a path, anything below it, or a folder above it as a whole."""
        return self.node(path) is not None or self.hides(path)

    def hides(self, path: str) -> bool:
        """Return whether the stack hides what the base has at a path: it removes or replaces the path or a folder above it."""
        return any(node.hides for node in self._way(path))

    def responsible(self, path: str) -> tuple[str, str, bool] | None:
        """Return the layer that decides what is at a path, the path that it provides or removes, and whether it removes it.

        The result is None if no layer changes the path or a folder above it as a whole.
        """
        decisive = None
        where: list[str] = []
        for node in self._way(path):
            where.append(node.name)
            if node.is_leaf or (node.entry is not None and len(where) == path.count("/") + 1):
                decisive = self.labels.get(node.layer, "a layer"), "/".join(where), False
            elif node.remover >= 0:
                decisive = self.labels.get(node.remover, "a layer"), "/".join(where), True
        return decisive

    def add_layer(
        self, number: int, label: str, entries: Sequence[Entry], skip: Collection[tuple[int, int]] = ()
    ) -> None:
        """Add the next layer on top. ``label`` names it in errors; entries whose (number, position) is in ``skip`` are left out.

        Raises:
            Conflict images.layer_below_link: the layer has files below a link of a lower layer.
            Conflict images.layer_twice: the layer has a path twice.
            InvalidInput images.layer_too_deep: a path has more than 256 folders.
        """
        self.labels[number] = label
        for entry in entries:
            if entry.kind == WHITEOUT:
                self._remove(entry.path, label, number)
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
        """Update ``exists`` of a tree that was not built by ``add_layer``; call it once, when the tree is complete."""
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
                f"A path of {label} has {len(parts)} folders, but {MAX_DEPTH} are allowed: {printable(path[:60])}...",
                code="images.layer_too_deep",
                hint="Move the files to a folder with a shorter path and build the layer again.",
                layer=label,
                depth=len(parts),
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
                if child.layer == number and child.entry is not None and child.entry.kind != DIRECTORY:
                    raise _twice(path_so_far, label)
                self._become_directory(child, part, path_so_far, label)
            if not for_removal:
                self._make(child, part)
            node = child
        return node, parts[-1]

    @staticmethod
    def _make(node: MergedNode, name: str) -> None:
        """Set the spelling of a path that a layer provides for the first time; removals below it do not set it."""
        if not node.exists:
            node.name, node.exists = name, True

    @staticmethod
    def _become_directory(node: MergedNode, name: str, path: str, label: str) -> None:
        if node.entry is not None and node.entry.kind == DIRECTORY:
            raise Conflict(
                f"The {label} has files below {printable(path)}, which is a link to another folder in a lower layer.",
                code="images.layer_below_link",
                hint="Move the files below the folder to which the link leads, and build the layer again.",
                path=path,
                layer=label,
            )
        node.name, node.entry, node.layer, node.position = name, None, -1, -1

    def _remove(self, path: str, label: str, number: int) -> None:
        parent, name = self._parent(path, label, for_removal=True)
        if parent is not None:
            parent.children[self.fold(name)] = MergedNode(name, hides=True, remover=number)
            self._hide_journals(path, number)

    def _add(self, number: int, position: int, entry: Entry, label: str) -> None:
        parent, name = self._parent(entry.path, label, number)
        if parent is None:
            return
        folded = self.fold(name)
        node = parent.children.get(folded)
        if node is None:
            node = parent.children[folded] = MergedNode(name)
        elif node.layer == number and not (node.entry is not None and entry.kind == node.entry.kind == DIRECTORY):
            raise _twice(entry.path, label)
        self._make(node, name)
        if is_leaf(entry):
            node.children = {}
            node.hides = True
            node.name = name
        else:
            if node.entry is not None and is_leaf(node.entry):
                if node.entry.kind == DIRECTORY and not entry.implied:
                    node.name, node.entry = name, None
                else:
                    self._become_directory(node, name, entry.path, label)
            if node.entry is not None and entry.implied:
                return
        node.entry, node.layer, node.position = entry, number, position
        if is_leaf(entry):
            main = main_name(entry.path)
            if main is not None:
                self._journals.setdefault(self.fold_path(main), []).append((parent, folded))
            self._hide_journals(entry.path, number)

    def _hide_journals(self, path: str, number: int) -> None:
        """Hide the journals that layers below layer ``number`` have of the file at ``path``."""
        if not self._journals:
            return
        for parent, folded in self._journals.get(self.fold_path(path), ()):
            journal = parent.children.get(folded)
            if journal is not None and journal.is_leaf and journal.layer != number:
                parent.children[folded] = MergedNode(journal.name, hides=True, remover=number)


def _twice(path: str, label: str) -> Conflict:
    return Conflict(
        f"The {label} contains {printable(path)} twice, or as a file with other files below it.",
        code="images.layer_twice",
        hint="Windows ignores the case of names: rename one of the files in the layer's source.",
        path=path,
        layer=label,
    )


def merge(
    stack: Sequence[tuple[str, Sequence[Entry]]], fold: Callable[[str], str], skip: Collection[tuple[int, int]] = ()
) -> MergedTree:
    """Merge ``(label, entries)`` of each layer, lowest first; leave out entries whose (layer, position) is in ``skip``."""
    tree = MergedTree(fold)
    for number, (label, entries) in enumerate(stack):
        tree.add_layer(number, label, entries, skip)
    return tree
