# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to a composed image so that it becomes another one of the same OS layer.

Two merged stacks are compared path by path; what is the same in both is left alone, so
that an image with one changed layer costs what that layer weighs. Where the new image
needs something back that only the OS layer has (a file that the old stack replaced or
removed), there is no answer, and the image is composed from its base.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..layers.entry import LINK
from ..layers.file_index import Record
from .stack_merge import MergedNode, MergedTree

#: What ``base_at`` answers.
FOLDER, OTHER = "folder", "other"


class _FromBase(Exception):
    """The difference cannot be expressed; compose from the base."""


class Stack:
    """A merged stack with the records it was merged from."""

    def __init__(self, tree: MergedTree, records: Sequence[Sequence[Record]]) -> None:
        self.tree = tree
        self._records = records
        self._groups: dict[tuple[int, str], list[tuple[str, str]]] = {}
        self._targets: dict[tuple[int, str], Record] = {}
        linked = {
            (number, tree.fold_path(record.entry.link_target))
            for number, found in enumerate(records)
            for record in found
            if record.entry.kind == LINK
        }
        for number, found in enumerate(records):
            for record in found:
                key = (number, tree.fold_path(record.entry.path))
                if key in linked and record.entry.kind != LINK:
                    self._targets[key] = record
        for path, node in tree.nodes():
            if node.is_leaf and (key := self.group(node)) is not None:
                self._groups.setdefault(key, []).append((tree.fold_path(path), node.name))

    def names(self, key: tuple[int, str]) -> list[tuple[str, str]]:
        """(folded path, spelled name) of every name that a hard-linked file ends up with."""
        return self._groups[key]

    def group(self, node: MergedNode) -> tuple[int, str] | None:
        """The hard-linked file that a node is a name of: layer number and folded path of its first name."""
        entry = node.entry
        key = (node.layer, self.tree.fold_path(entry.link_target if entry.kind == LINK else entry.path))
        return key if key in self._targets else None

    def record(self, node: MergedNode) -> Record:
        """The record of a node's entry."""
        return self._records[node.layer][node.position]

    def identity(self, node: MergedNode) -> tuple:
        """Everything that decides what a leaf becomes on the volume."""
        key = self.group(node)
        record = self._targets[key] if key is not None else self.record(node)
        return _identity(record), node.name, tuple(sorted(self._groups[key])) if key is not None else ()


def _identity(record: Record) -> tuple:
    entry = record.entry
    return (
        entry.kind,
        entry.attributes,
        entry.created,
        entry.written,
        entry.accessed,
        entry.changed,
        entry.security,
        entry.short_name,
        entry.size,
        entry.reparse,
        entry.eas,
        entry.object_id,
        tuple(entry.sparse or ()),
        tuple(entry.streams),
        record.digest,
        tuple(record.stream_digests),
    )


def difference(old: Stack, new: Stack, base_at: Callable[[str], str | None]) -> MergedTree | None:
    """The tree that, applied to an image of ``old``, makes it one of ``new``; None when only the base can tell.

    ``base_at`` says what the OS layer has at a path: FOLDER, OTHER (a file, a link to another
    folder) or None. Both stacks are merged with the fold of the same volume.
    """
    tree = MergedTree(new.tree.fold)
    try:
        _Comparison(old, new).folders(old.tree.root, new.tree.root, tree.root, "", base_at)
        _require_whole_groups(new, tree)
    except _FromBase:
        return None
    tree.settle()
    return tree


def _require_whole_groups(new: Stack, tree: MergedTree) -> None:
    """A hard-linked file is written with all its names or not at all."""
    changed: dict[tuple[int, str], int] = {}
    for _path, node in tree.nodes():
        if node.is_leaf and (key := new.group(node)) is not None:
            changed[key] = changed.get(key, 0) + 1
    if any(count != len(new.names(key)) for key, count in changed.items()):
        raise _FromBase


def _is_removed(node: MergedNode | None) -> bool:
    return node is not None and node.hides and not node.exists


def _nothing(_path: str) -> None:
    """What the base has below a path where it has no folder, or none any more."""


class _Comparison:
    def __init__(self, old: Stack, new: Stack) -> None:
        self._old = old
        self._new = new

    def folders(
        self, before: MergedNode, after: MergedNode, result: MergedNode, path: str, base_at: Callable[[str], str | None]
    ) -> None:
        """Compare what two folders hold; put what has to be done into ``result``."""
        for folded in sorted(before.children.keys() | after.children.keys()):
            was, becomes = before.children.get(folded), after.children.get(folded)
            name = (becomes or was).name
            change = self._change(
                was or MergedNode(name), becomes or MergedNode(name), f"{path}/{name}" if path else name, base_at
            )
            if change is not None:
                result.children[folded] = change

    def _change(
        self, was: MergedNode, becomes: MergedNode, path: str, base_at: Callable[[str], str | None]
    ) -> MergedNode | None:
        if becomes.is_leaf:
            if was.is_leaf and self._old.identity(was) == self._new.identity(becomes):
                return None
            self._require_short_name(was, becomes, path, base_at)
            return becomes
        if _is_removed(becomes):
            return None if _is_removed(was) else MergedNode(becomes.name, hides=True)
        if becomes.hides:
            if was.hides and was.exists and not was.is_leaf:
                return self._folder(was, becomes, path, None)
            return replace(becomes, hides=True)
        return self._merging(was, becomes, path, base_at)

    def _merging(
        self, was: MergedNode, becomes: MergedNode, path: str, base_at: Callable[[str], str | None]
    ) -> MergedNode | None:
        """The change where the new stack keeps what the base has, adds to it or removes from it."""
        if not was.exists and not was.hides and not was.children:
            return becomes  # The old stack left this path alone.
        base = base_at(path)
        if was.hides:
            if base is not None:
                raise _FromBase  # What is hidden in the old image has to come back.
            if _is_removed(was):
                return becomes if becomes.exists else None
            if not becomes.exists:
                return MergedNode(was.name, hides=True)
            return replace(becomes, hides=True) if was.is_leaf else self._folder(was, becomes, path, None)
        if base == FOLDER:
            return self._folder(was, becomes, path, base_at)
        if was.exists and becomes.exists:
            change = self._folder(was, becomes, path, None)
            if change is not None and base is not None:
                raise _FromBase
            return change
        if was.exists:
            if base is not None:
                raise _FromBase
            return MergedNode(was.name, hides=True)
        return becomes if becomes.exists else None

    def _folder(
        self, was: MergedNode, becomes: MergedNode, path: str, base_at: Callable[[str], str | None] | None
    ) -> MergedNode | None:
        """The change of a folder that stays one: its metadata, and what is in it. Without ``base_at`` it is none of the base's."""
        result = MergedNode(becomes.name)
        earlier, later = (
            self._told(self._old, was, base_at is not None),
            self._told(self._new, becomes, base_at is not None),
        )
        if earlier != later:
            self._require_describable(was, becomes, earlier, later, base_at is not None)
            result.entry, result.layer, result.position = (
                replace(becomes.entry, implied=False),
                becomes.layer,
                becomes.position,
            )
        if base_at is None and was.name != becomes.name:
            raise _FromBase
        self.folders(was, becomes, result, path, base_at or _nothing)
        return result if result.entry is not None or result.children else None

    @staticmethod
    def _told(stack: Stack, node: MergedNode, in_base: bool) -> tuple | None:
        """What a stack says about a folder; what is only implied says nothing about one of the base."""
        if node.entry is None or in_base and node.entry.implied:
            return None
        return _identity(stack.record(node))

    @staticmethod
    def _require_describable(
        was: MergedNode, becomes: MergedNode, earlier: tuple | None, later: tuple | None, in_base: bool
    ) -> None:
        """Raise unless describing the folder anew leaves nothing of what the old stack said of it, or of what follows from that."""
        if later is None or earlier is None and in_base:
            raise _FromBase
        entry = becomes.entry
        if entry.written is None and entry.created is None:
            raise _FromBase
        if earlier is not None:
            before = was.entry
            kept = (
                before.security,
                before.short_name,
                before.reparse,
                before.eas,
                before.object_id,
                [name for name, _size in before.streams],
            )
            if kept != (
                entry.security,
                entry.short_name,
                entry.reparse,
                entry.eas,
                entry.object_id,
                [name for name, _size in entry.streams],
            ):
                raise _FromBase
        elif entry.security is not None or any(child.exists for child in was.children.values()):
            raise _FromBase
        for child in becomes.children.values():
            # What has no time of its own takes the folder's.
            if child.exists and (child.entry is None or child.entry.written is None and child.entry.created is None):
                raise _FromBase

    def _require_short_name(
        self, was: MergedNode, becomes: MergedNode, path: str, base_at: Callable[[str], str | None]
    ) -> None:
        """Raise when the file would take over another 8.3 name from the old image than from the base."""
        if becomes.entry.short_name is not None:
            return
        if was.entry is not None and was.entry.short_name is not None:
            raise _FromBase
        if was.is_leaf:
            lost = self._old.group(was) is not None and base_at(path) is not None
        elif was.hides:
            lost = base_at(path) is not None
        else:
            lost = was.exists and base_at(path) == OTHER
        if lost:
            raise _FromBase
