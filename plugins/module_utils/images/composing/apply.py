# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a merged stack of layers to a volume.

First the merged tree is walked once: hidden files are removed, folders are created and described. Then
each layer's archive is read once, from front to back, and the files that the layer won are written.
Nothing else on the volume is changed, so that only changes are compressed and uploaded later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...common.progress import Progress, silent
from ...layers.archive import ArchiveReader
from ...layers.entry import DIRECTORY, LINK, Entry, leads_elsewhere, printable
from ...ntfs.journals import journals_of
from ...ntfs.node import Node
from ...ntfs.volume import Volume
from ..stack.node_writer import ENTRY_ERRORS, NodeWriter, name_entry
from ..stack.refusals import below_link, named_like_short_name, removes
from ..stack.stack_merge import MergedNode, MergedTree
from .file_writer import Applied, FileWriter, WinningFile
from .short_names import ShortNames, find_clashes


class Applier:
    """Applies a merged tree to a volume that is mounted for writing."""

    def __init__(self, volume: Volume, tree: MergedTree) -> None:
        self._volume = volume
        self._tree = tree
        self._applied = Applied()
        self._short_names = ShortNames(tree.fold_path)
        self._nodes = NodeWriter(self._applied.drop)
        #: By number of the layer and folded path of the entry with the content.
        self._files: dict[int, dict[str, WinningFile]] = {}

    def run(self, archives: Sequence[Callable[[], ArchiveReader]], progress: Progress = silent) -> Applied:
        """Apply the tree; ``archives`` open the layers of the stack in the order of their numbers.

        Raises:
            Conflict images.layer_below_link, images.layer_short_name: a layer contradicts the volume.
            Corrupt images.layer_archive_incomplete: an archive lacks files of its index.
            NoSpace ntfs.no_space: the volume is full.
        """
        for clash in find_clashes(self._tree, self._volume):
            self._short_names.refuse(clash.path, clash.short_name)
            self._applied.drop(
                f"8.3 name {clash.short_name} of {printable(clash.path)} ({printable(clash.holder)} has it)"
            )
        with self._volume.root as root:
            self._prepare(self._tree.root, root, "")
        total = sum(file.size for files in self._files.values() for file in files.values())
        writer = FileWriter(self._volume, self._tree, self._nodes, self._short_names, self._applied)
        try:
            for number in sorted(self._files):
                writer.write_layer(self._files[number], archives[number](), progress, total)
        finally:
            writer.close()
        return self._applied

    # -- removing files, creating and describing folders

    def _prepare(self, merged: MergedNode, folder: Node, path: str) -> None:
        # Remove files first, so that their long and 8.3 names are available for new files.
        children = [
            (f"{path}/{child.name}" if path else child.name, folded, child)
            for folded, child in sorted(merged.children.items())
        ]
        aliases = []
        replaced = set()
        for child_path, folded, child in children:
            existing = folder.child(child.name)
            if existing is not None:
                with existing:
                    if self._tree.fold(existing.name or "") != folded:
                        aliases.append((child_path, folded, child))  # Its name is the 8.3 name of another file.
                    elif removes(child, existing):
                        self._remove_hidden(child, existing, child_path)
                        replaced.add(folded)
            self._collect_file(child, child_path)
        if replaced:
            self._remove_journals(merged, folder, replaced, path)
        for child_path, folded, child in aliases:
            self._check_not_alias(child, folder, folded, child_path)
        self._release_short_names(children, folder)
        for child_path, _folded, child in children:
            if not child.is_leaf and (child.exists or not child.hides):
                self._prepare_folder(child, folder, child_path)

    def _check_not_alias(self, child: MergedNode, folder: Node, folded: str, path: str) -> None:
        """Raise if the file whose 8.3 name a new file has as its long name was not removed."""
        if not child.exists or (holder := folder.child(child.name)) is None:
            return
        with holder:
            name = holder.name or ""
            if self._tree.fold(name) != folded:
                raise named_like_short_name(path, name, self._tree.label(child))

    def _release_short_names(self, children: list[tuple[str, str, MergedNode]], folder: Node) -> None:
        """Remove the 8.3 names of folders that get other 8.3 names, because other files may get the old names."""
        for path, _folded, child in children:
            entry = child.entry
            if child.is_leaf or entry is None or entry.implied or self._short_names.get(entry, path) is None:
                continue
            existing = folder.child(child.name)
            if existing is not None:
                with existing:
                    if existing.short_name not in (None, entry.short_name):
                        existing.set_short_name(None)

    def _remove_hidden(self, child: MergedNode, existing: Node, path: str) -> None:
        """Remove the file at a path, which the tree hides."""
        if child.is_leaf:
            if short_name := existing.short_name:
                # Windows also gives the 8.3 name to a file that replaces another file of the same name (tunneling).
                self._short_names.inherit(path, short_name)
        elif child.exists and existing.is_directory and not child.hides:
            if child.entry is None or child.entry.implied:
                raise below_link(path, self._tree.label(child))
        try:
            existing.delete()
        except ENTRY_ERRORS as error:
            name_entry(error, path, self._tree.label(child))
            raise
        if not child.exists:
            self._applied.removed += 1

    def _remove_journals(self, merged: MergedNode, folder: Node, replaced: set[str], path: str) -> None:
        """Remove the journals of ``replaced`` files (folded names) that no layer provides: they belong to the old files."""
        for journals in journals_of(folder.children(), replaced, self._tree.fold).values():
            for journal in journals:
                if self._tree.fold(journal.name) in merged.children:
                    continue
                with folder.open_child(journal.reference, journal.name) as node:
                    try:
                        node.delete()
                    except ENTRY_ERRORS as error:
                        name_entry(error, f"{path}/{journal.name}".strip("/"), self._tree.label(merged))
                        raise
                self._applied.removed += 1

    def _collect_file(self, child: MergedNode, path: str) -> None:
        """Add a name to the file to be written. Its first name is first in the list, because it determines inheritance."""
        entry = child.entry
        if entry is None or not child.is_leaf:
            return
        is_link = entry.kind == LINK
        source = entry.link_target or "" if is_link else entry.path
        names = self._winning_file(child, source).names
        names.insert(len(names) if is_link else 0, (path, entry))

    def _winning_file(self, child: MergedNode, source: str) -> WinningFile:
        return self._files.setdefault(child.layer, {}).setdefault(self._tree.fold_path(source), WinningFile())

    def _prepare_folder(self, child: MergedNode, parent: Node, path: str) -> None:
        entry = child.entry
        node = parent.child(child.name)
        is_new = False
        if node is not None and self._tree.fold(node.name or "") != self._tree.fold(child.name):
            node.close()
            node = None
        if node is None:
            if not child.exists:
                return
            is_new = True
            try:
                node = self._create_folder(
                    child, parent, self._short_names.get(entry, path) if entry is not None else None
                )
            except ENTRY_ERRORS as error:
                name_entry(error, path, self._tree.label(child))
                raise
        with node:
            if not node.is_directory or leads_elsewhere(node.reparse):
                return  # The path only leads to removals, and there is nothing to remove below it.
            if entry is not None and (is_new or not entry.implied):
                if not is_new:
                    self._describe_folder(child, node, entry, path)
                if entry.streams:
                    self._winning_file(child, entry.path).names.append((path, entry))
            self._prepare(child, node, path)

    def _describe_folder(self, child: MergedNode, node: Node, entry: Entry, path: str) -> None:
        """Set the metadata of a folder that exists."""
        try:
            self._nodes.describe(node, entry, self._short_names.get(entry, path))
        except ENTRY_ERRORS as error:
            name_entry(error, path, self._tree.label(child))
            raise

    def _create_folder(self, child: MergedNode, parent: Node, short_name: str | None) -> Node:
        entry = child.entry or Entry(child.name, DIRECTORY)
        self._applied.directories += 1
        node = self._nodes.create_directory(parent, child.name, entry, short_name)
        self._nodes.describe_rare(node, entry)
        return node
