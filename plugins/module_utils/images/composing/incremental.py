# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference between two merged stacks: what turns a composed image into another image of the same OS layer.

The stacks are compared path by path, and equal paths are skipped, so that an image with one changed
layer costs as much as that layer. If the new image needs data that only the OS layer has (a file that
the old stack replaced or removed), the image is composed from its base.

A path is compared as follows:

1. The state of the path in both stacks is reduced to a ``PathState``.
2. ``ACTIONS`` maps (old state, new state, what the base has there) to an action. The base is only
   looked up if no entry applies to any base, because a lookup reads the volume.
3. A missing entry means that the image cannot be derived: ``FullComposeNeeded``.
4. A folder that remains a folder is compared recursively; its metadata is written again if that
   replaces all that the old stack wrote (``_check_describable``).
5. A hard-linked file is written with all its names or not at all; if only some of its names differ,
   ``FullComposeNeeded`` is raised.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...layers.entry import LINK, Entry
from ...layers.file_index import Record
from ...ntfs.journals import main_name
from ..stack.stack_merge import MergedNode, MergedTree, is_leaf


class FullComposeNeeded(Exception):
    """The image cannot be derived from the older image; compose it from its base."""


class BasePath(enum.IntEnum):
    """The kind of entry that the OS layer has at a path. ``ANY`` means all of them in the table of actions."""

    NOTHING = enum.auto()
    FOLDER = enum.auto()
    OTHER = enum.auto()  # a file, or a link to another folder
    ANY = enum.auto()


class PathState(enum.IntEnum):
    """The effect of a merged stack on a path."""

    UNTOUCHED = enum.auto()
    REMOVALS_BELOW = enum.auto()  # the path only leads to removals
    REMOVED = enum.auto()
    LEAF = enum.auto()  # a file, a link, or a folder that leads elsewhere
    FOLDER = enum.auto()  # merges with a folder of the base
    REPLACED_FOLDER = enum.auto()  # hides what the base has


class Action(enum.Enum):
    """The change of a path of the older image."""

    SKIP = enum.auto()
    APPLY = enum.auto()  # apply the new node as to the base
    REPLACE = enum.auto()  # remove what the older image has, then apply the new node
    REMOVE = enum.auto()
    COMPARE_LEAF = enum.auto()
    COMPARE_WITH_BASE = enum.auto()  # a folder of the base
    COMPARE_OWN = enum.auto()  # a folder that only layers provide
    REQUIRE_EQUAL = enum.auto()  # such a folder over a file of the base: it must be unchanged


_NOTHING, _FOLDER, _OTHER, _ANY = BasePath
_S = PathState
#: By old state, new state and base. A missing entry means that a full compose is needed.
ACTIONS: dict[tuple[PathState, PathState, BasePath], Action] = {
    **{(state, _S.LEAF, _ANY): Action.COMPARE_LEAF for state in PathState},
    **{(state, _S.REMOVED, _ANY): Action.REMOVE for state in PathState},
    (_S.REMOVED, _S.REMOVED, _ANY): Action.SKIP,
    **{(state, _S.REPLACED_FOLDER, _ANY): Action.REPLACE for state in PathState},
    (_S.REPLACED_FOLDER, _S.REPLACED_FOLDER, _ANY): Action.COMPARE_OWN,
    (_S.UNTOUCHED, _S.FOLDER, _ANY): Action.APPLY,
    (_S.REMOVED, _S.FOLDER, _NOTHING): Action.APPLY,
    (_S.LEAF, _S.FOLDER, _NOTHING): Action.REPLACE,
    (_S.REPLACED_FOLDER, _S.FOLDER, _NOTHING): Action.COMPARE_OWN,
    (_S.FOLDER, _S.FOLDER, _NOTHING): Action.COMPARE_OWN,
    (_S.FOLDER, _S.FOLDER, _FOLDER): Action.COMPARE_WITH_BASE,
    (_S.FOLDER, _S.FOLDER, _OTHER): Action.REQUIRE_EQUAL,
    (_S.REMOVALS_BELOW, _S.FOLDER, _NOTHING): Action.APPLY,
    (_S.REMOVALS_BELOW, _S.FOLDER, _FOLDER): Action.COMPARE_WITH_BASE,
    (_S.REMOVALS_BELOW, _S.FOLDER, _OTHER): Action.APPLY,
}
for _new in (_S.UNTOUCHED, _S.REMOVALS_BELOW):
    ACTIONS |= {
        (_S.UNTOUCHED, _new, _ANY): Action.APPLY,
        (_S.REMOVED, _new, _NOTHING): Action.SKIP,
        (_S.LEAF, _new, _NOTHING): Action.REMOVE,
        (_S.REPLACED_FOLDER, _new, _NOTHING): Action.REMOVE,
        (_S.FOLDER, _new, _NOTHING): Action.REMOVE,
        (_S.FOLDER, _new, _FOLDER): Action.COMPARE_WITH_BASE,
        (_S.REMOVALS_BELOW, _new, _NOTHING): Action.SKIP,
        (_S.REMOVALS_BELOW, _new, _FOLDER): Action.COMPARE_WITH_BASE,
        (_S.REMOVALS_BELOW, _new, _OTHER): Action.SKIP,
    }


# Members of an enumeration are slow to access; these are used for every path.
_UNTOUCHED, _REMOVALS_BELOW, _REMOVED, _LEAF, _FOLDER_STATE, _REPLACED_FOLDER = PathState
_COMPARE_LEAF = Action.COMPARE_LEAF


def path_state(node: MergedNode) -> PathState:
    """Return what a merged stack does to the path of a node."""
    entry = node.entry
    if entry is not None and is_leaf(entry):
        return _LEAF
    if node.hides:
        return _REPLACED_FOLDER if node.exists else _REMOVED
    if node.exists:
        return _FOLDER_STATE
    return _REMOVALS_BELOW if node.children else _UNTOUCHED


#: Returns what the OS layer has at a path, never ``ANY``.
BaseAt = Callable[[str], BasePath]
#: A hard-linked file: layer number and folded path of its first name.
FileKey = tuple[int, str]


class ComparedStack:
    """A merged stack with the records from which it was merged."""

    def __init__(self, tree: MergedTree, records: Sequence[Sequence[Record]]) -> None:
        self.tree = tree
        self._records = records
        self._names: dict[FileKey, list[tuple[str, str]]] = {}
        self._targets: dict[FileKey, Record] = {}
        linked = {
            (number, tree.fold_path(record.entry.link_target or ""))
            for number, index in enumerate(records)
            for record in index
            if record.entry.kind == LINK
        }
        for number, index in enumerate(records):
            for record in index:
                key = (number, tree.fold_path(record.entry.path))
                if key in linked and record.entry.kind != LINK:
                    self._targets[key] = record
        for path, node in tree.nodes():
            if node.is_leaf and (file := self.linked_file(node)) is not None:
                self._names.setdefault(file, []).append((tree.fold_path(path), node.name))

    def names(self, file: FileKey) -> list[tuple[str, str]]:
        """Return (folded path, spelled name) of every name that a hard-linked file ends up with."""
        return self._names[file]

    def linked_file(self, node: MergedNode) -> FileKey | None:
        """Return the hard-linked file of which a node is a name, None if it is not hard-linked."""
        entry = node.entry
        if entry is None:
            return None
        path = entry.link_target or "" if entry.kind == LINK else entry.path
        key = (node.layer, self.tree.fold_path(path))
        return key if key in self._targets else None

    def record(self, node: MergedNode) -> Record:
        """Return the record of a node's entry."""
        return self._records[node.layer][node.position]

    def leaf_identity(self, node: MergedNode) -> tuple:
        """Return everything that determines what a leaf becomes on the volume."""
        file = self.linked_file(node)
        record = self._targets[file] if file is not None else self.record(node)
        return _identity(record), node.name, tuple(sorted(self._names[file])) if file is not None else ()

    def folder_identity(self, node: MergedNode, in_base: bool) -> tuple | None:
        """Return the metadata that a stack sets on a folder, None for none: an implied entry does not change a folder of the base."""
        if node.entry is None or (in_base and node.entry.implied):
            return None
        return _identity(self.record(node))


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


def incremental_tree(old: ComparedStack, new: ComparedStack, base_at: BaseAt) -> MergedTree:
    """Return the tree that, applied to an image of ``old``, turns it into an image of ``new``.

    Both stacks are merged with the fold of the same volume. The module's docstring explains the algorithm.

    Raises:
        FullComposeNeeded: the image of ``new`` needs data that only the OS layer has.
    """
    tree = MergedTree(new.tree.fold)
    tree.labels = new.tree.labels
    _Comparison(old, new).compare_children(old.tree.root, new.tree.root, tree.root, "", base_at)
    _check_hard_links(new, tree)
    tree.settle()
    return tree


def _check_hard_links(new: ComparedStack, tree: MergedTree) -> None:
    """Raise unless all names of each hard-linked file are written, or none."""
    changed: dict[FileKey, int] = {}
    for _path, node in tree.nodes():
        if node.is_leaf and (file := new.linked_file(node)) is not None:
            changed[file] = changed.get(file, 0) + 1
    if any(count != len(new.names(file)) for file, count in changed.items()):
        raise FullComposeNeeded


def _no_base(_path: str) -> BasePath:
    """Return NOTHING, for paths below a folder that does not show a folder of the base."""
    return BasePath.NOTHING


class _Comparison:
    def __init__(self, old: ComparedStack, new: ComparedStack) -> None:
        self._old = old
        self._new = new

    def compare_children(
        self, old: MergedNode, new: MergedNode, result: MergedNode, path: str, base_at: BaseAt
    ) -> None:
        """Compare the children of two folders; add the changes to ``result``."""
        for folded in sorted(old.children.keys() | new.children.keys()):
            old_child, new_child = old.children.get(folded), new.children.get(folded)
            named = new_child or old_child
            name = named.name if named is not None else folded
            child_path = f"{path}/{name}" if path else name
            change = self._change(old_child or MergedNode(name), new_child or MergedNode(name), child_path, base_at)
            if change is not None:
                result.children[folded] = change
        self._add_journals(old, new, result, path, base_at)

    def _add_journals(self, old: MergedNode, new: MergedNode, result: MergedNode, path: str, base_at: BaseAt) -> None:
        """Write the journals of files that are written again: applying a file removes the journals that it had."""
        written = {folded for folded, child in result.children.items() if child.is_leaf or child.hides}
        if not written:
            return
        for folded, child in new.children.items():
            main = main_name(child.name) if child.is_leaf else None
            if main is not None and folded not in result.children and self._new.tree.fold(main) in written:
                child_path = f"{path}/{child.name}" if path else child.name
                self._check_short_name(old.children.get(folded) or MergedNode(child.name), child, child_path, base_at)
                result.children[folded] = child

    def _change(self, old: MergedNode, new: MergedNode, path: str, base_at: BaseAt) -> MergedNode | None:
        """Return the node that changes a path, None if the older image is right already."""
        before, after = path_state(old), path_state(new)
        action = ACTIONS.get((before, after, _ANY)) or ACTIONS.get((before, after, base_at(path)))
        if action is None:
            raise FullComposeNeeded
        if action is _COMPARE_LEAF:
            return self._leaf(old, new, path, base_at)
        if action is Action.COMPARE_WITH_BASE:
            return self._folder(old, new, path, base_at)
        if action is Action.SKIP:
            return None
        if action is Action.APPLY:
            return new
        if action is Action.REPLACE:
            return replace(new, hides=True)
        if action is Action.REMOVE:
            return MergedNode(new.name, hides=True)
        change = self._folder(old, new, path, None)
        if action is Action.REQUIRE_EQUAL and change is not None:
            raise FullComposeNeeded
        return change

    def _leaf(self, old: MergedNode, new: MergedNode, path: str, base_at: BaseAt) -> MergedNode | None:
        if old.is_leaf and self._old.leaf_identity(old) == self._new.leaf_identity(new):
            return None
        self._check_short_name(old, new, path, base_at)
        return new

    def _folder(self, old: MergedNode, new: MergedNode, path: str, base_at: BaseAt | None) -> MergedNode | None:
        """Return the change of a path that remains a folder; without ``base_at``, the base has no folder there."""
        in_base = base_at is not None
        result = MergedNode(new.name)
        before, after = self._old.folder_identity(old, in_base), self._new.folder_identity(new, in_base)
        if before != after:
            result.entry = replace(self._describable(old, new, before, after, in_base), implied=False)
            result.layer, result.position = new.layer, new.position
        if not in_base and old.name != new.name:
            raise FullComposeNeeded
        self.compare_children(old, new, result, path, base_at or _no_base)
        return result if result.entry is not None or result.children else None

    @staticmethod
    def _describable(
        old: MergedNode, new: MergedNode, before: tuple | None, after: tuple | None, in_base: bool
    ) -> Entry:
        """Return the new entry of a folder; raise if writing its metadata would not replace all that the old stack set."""
        entry = new.entry
        if after is None or entry is None or (before is None and in_base):
            raise FullComposeNeeded
        if entry.written is None and entry.created is None:
            raise FullComposeNeeded
        if before is not None and old.entry is not None:
            if _lasting(old.entry) != _lasting(entry):
                raise FullComposeNeeded
        elif entry.security is not None or any(child.exists for child in old.children.values()):
            raise FullComposeNeeded
        for child in new.children.values():
            # A child without a time of its own has the time of the folder.
            if child.exists and (child.entry is None or (child.entry.written is None and child.entry.created is None)):
                raise FullComposeNeeded
        return entry

    def _check_short_name(self, old: MergedNode, new: MergedNode, path: str, base_at: BaseAt) -> None:
        """Raise if a file would inherit another 8.3 name from the older image than from the base."""
        if new.entry is None or new.entry.short_name is not None:
            return
        if old.entry is not None and old.entry.short_name is not None:
            raise FullComposeNeeded
        if old.is_leaf:
            is_lost = self._old.linked_file(old) is not None and base_at(path) is not BasePath.NOTHING
        elif old.hides:
            is_lost = base_at(path) is not BasePath.NOTHING
        else:
            is_lost = old.exists and base_at(path) is BasePath.OTHER
        if is_lost:
            raise FullComposeNeeded


def _lasting(entry: Entry) -> tuple:
    """Return the metadata of a folder that writing its new metadata does not remove."""
    streams = [name for name, _size in entry.streams]
    return entry.security, entry.short_name, entry.reparse, entry.eas, entry.object_id, streams
