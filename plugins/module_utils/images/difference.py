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
from ..layers.index import Record
from .merge import MergedNode, MergedTree


class _FromBase(Exception):
    """The difference cannot be expressed; compose from the base."""


class Stack:
    """A merged stack with the records it was merged from."""

    def __init__(self, tree: MergedTree, records: Sequence[Sequence[Record]]) -> None:
        self.tree = tree
        self._records = records
        self._groups: dict[tuple[int, str], list[str]] = {}
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
            if node.is_leaf and (key := self._group(node)) is not None:
                self._groups.setdefault(key, []).append(tree.fold_path(path))

    def _group(self, node: MergedNode) -> tuple[int, str] | None:
        """The hard-linked file that a node is a name of: layer number and folded path of its first name."""
        entry = node.entry
        key = (node.layer, self.tree.fold_path(entry.link_target if entry.kind == LINK else entry.path))
        return key if key in self._targets else None

    def record(self, node: MergedNode) -> Record:
        """The record of a node's entry."""
        return self._records[node.layer][node.position]

    def identity(self, node: MergedNode) -> tuple:
        """Everything that decides what a leaf becomes on the volume."""
        key = self._group(node)
        record = self._targets[key] if key is not None else self.record(node)
        return _identity(record), node.name, tuple(sorted(self._groups[key])) if key is not None else ()


def _identity(record: Record) -> tuple:
    entry = record.entry
    return (
        entry.kind, entry.attributes, entry.created, entry.written, entry.accessed, entry.changed, entry.security, entry.short_name,
        entry.size, entry.reparse, entry.eas, entry.object_id, tuple(entry.sparse or ()), tuple(entry.streams), record.digest,
        tuple(record.stream_digests),
    )


def difference(old: Stack, new: Stack, base_has: Callable[[str], bool]) -> MergedTree | None:
    """The tree that, applied to an image of ``old``, makes it one of ``new``; None when only the base can tell.

    ``base_has`` says whether the OS layer has anything at a path. Both stacks are merged
    with the fold of the same volume.
    """
    tree = MergedTree(new.tree.fold)
    try:
        _compare(old, new, old.tree.root, new.tree.root, tree.root, "", base_has)
    except _FromBase:
        return None
    tree.settle()
    return tree


def _compare(old: Stack, new: Stack, before: MergedNode, after: MergedNode, result: MergedNode, path: str, base_has: Callable[[str], bool]) -> None:
    """Compare two folders that both exist; put what has to be done into ``result``."""
    for folded in sorted(before.children.keys() | after.children.keys()):
        was, becomes = before.children.get(folded), after.children.get(folded)
        name = (becomes or was).name
        child_path = f"{path}/{name}" if path else name
        change = _change(old, new, was, becomes, child_path, base_has)
        if change is not None:
            result.children[folded] = change


def _change(
    old: Stack, new: Stack, was: MergedNode | None, becomes: MergedNode | None, path: str, base_has: Callable[[str], bool]
) -> MergedNode | None:
    there = was is not None and was.exists
    wanted = becomes is not None and becomes.exists
    if not wanted:
        return _gone(was, becomes, path, base_has, there)
    if not there:
        # Taking back a removal is only possible where nothing was removed.
        if was is not None and was.hides and not becomes.hides and base_has(path):
            raise _FromBase
        return becomes
    if becomes.is_leaf:
        return None if was.is_leaf and old.identity(was) == new.identity(becomes) else becomes
    if was.is_leaf or becomes.hides and not was.hides:
        if not becomes.hides and base_has(path):
            raise _FromBase
        return replace(becomes, hides=True)
    if was.hides and not becomes.hides and base_has(path):
        raise _FromBase
    return _changed_folder(old, new, was, becomes, path, base_has)


def _gone(was: MergedNode | None, becomes: MergedNode | None, path: str, base_has: Callable[[str], bool], there: bool) -> MergedNode | None:
    """The change where the new stack brings nothing: a removal, or removals further below."""
    hidden = becomes is not None and becomes.hides
    removed_already = was is not None and was.hides and not there
    if hidden:
        return None if removed_already else MergedNode(becomes.name, hides=True)
    if was is None:
        return becomes
    if base_has(path):
        if not there and not was.hides and becomes is not None and _same_removals(was, becomes):
            return None
        raise _FromBase
    return MergedNode(was.name, hides=True) if there else None


def _same_removals(was: MergedNode, becomes: MergedNode) -> bool:
    return (was.hides, was.children.keys()) == (becomes.hides, becomes.children.keys()) and all(
        _same_removals(child, becomes.children[name]) for name, child in was.children.items()
    )


def _changed_folder(old: Stack, new: Stack, was: MergedNode, becomes: MergedNode, path: str, base_has: Callable[[str], bool]) -> MergedNode | None:
    """The change of a folder that stays a folder: its metadata, and what is in it."""
    result = MergedNode(becomes.name)
    in_base = not becomes.hides and base_has(path)
    earlier, later = (_identity(stack.record(node)) if node.entry is not None else None for stack, node in ((old, was), (new, becomes)))
    described = tuple(node.entry is not None and not node.entry.implied for node in (was, becomes))
    if earlier != later or described[0] != described[1]:
        if in_base and not any(described):
            pass  # The base's own folder; what is only implied does not touch it.
        elif in_base and described[0] != described[1] or (was.entry and was.entry.security) != (becomes.entry and becomes.entry.security):
            # What it had before, or what its contents inherit, is not known here.
            raise _FromBase
        elif becomes.entry is None:
            raise _FromBase
        else:
            result.entry, result.layer, result.position = replace(becomes.entry, implied=False), becomes.layer, becomes.position
    if was.name != becomes.name and not in_base:
        raise _FromBase
    _compare(old, new, was, becomes, result, path, base_has if not becomes.hides else _nothing)
    return result if result.entry is not None or result.children else None


def _nothing(_path: str) -> bool:
    """What a hidden folder of the base still has."""
    return False
