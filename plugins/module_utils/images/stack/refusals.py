# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What composing refuses: the errors that follow from a merged tree and the volume of the OS layer alone.

Composing raises these errors when it reaches the path. A plan finds all of them without writing anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ...common.errors import Conflict, InvalidInput, StrataError
from ...common.security_descriptors import complete
from ...layers.entry import FILE, LINK, Entry, leads_elsewhere, printable
from ...ntfs import file_names, links, metadata
from ...ntfs.node import Node
from ...ntfs.volume import Volume
from .node_writer import name_entry
from .stack_merge import MergedNode, MergedTree

#: Errors that a plan lists; a broken layer has the same error for thousands of files.
MAX_REFUSALS = 100


def removes(child: MergedNode, existing: Node) -> bool:
    """Return whether applying a node removes the file that the volume has at its path."""
    if child.is_leaf:
        return True
    if child.exists and existing.is_directory and not child.hides:
        return leads_elsewhere(existing.reparse)
    return child.exists or child.hides


def below_link(path: str, label: str) -> Conflict:
    """Return the error for files below a folder that is a link in the OS layer."""
    return Conflict(
        f"The {label} has files below {printable(path)}, which is a link to another folder in the OS layer.",
        code="images.layer_below_link",
        hint="Move the files below the folder to which the link leads, and build the layer again.",
        path=path,
        layer=label,
    )


def named_like_short_name(path: str, long_name: str, label: str) -> Conflict:
    """Return the error for a long name that is the 8.3 name of another file of the folder."""
    return Conflict(
        f"The path {printable(path)} of {label} is the 8.3 name of {printable(long_name)}.",
        code="images.layer_short_name",
        hint=f"Use the long name {printable(long_name)} in the layer.",
        path=path,
        long_name=long_name,
        layer=label,
    )


def find_refusals(tree: MergedTree, volume: Volume) -> list[StrataError]:
    """Return the errors for which applying ``tree`` to ``volume`` would be refused, up to MAX_REFUSALS.

    Each error has the details ``path`` and ``layer``, a label.
    """
    finder = _Finder(tree, volume)
    with volume.root as root:
        finder.search(tree.root, root, "")
    finder.count_links()
    return finder.refusals


class _Finder:
    def __init__(self, tree: MergedTree, volume: Volume) -> None:
        self._tree = tree
        self._volume = volume
        self._links: Counter[tuple[int, str]] = Counter()
        self._valid: dict[Callable[[bytes], object], set[bytes]] = {}
        self.refusals: list[StrataError] = []

    def search(self, merged: MergedNode, folder: Node | None, path: str) -> None:
        """Check everything below a folder; ``folder`` is None if the volume does not have it."""
        for folded, child in sorted(merged.children.items()):
            if len(self.refusals) >= MAX_REFUSALS:
                return
            child_path = f"{path}/{child.name}" if path else child.name
            existing = folder.child(child.name) if folder is not None else None
            try:
                stays = existing is not None and self._stays(merged, folded, child, existing, child_path)
                if child.exists:
                    self._check_entry(child, child_path, is_new=not stays)
                if child.children:
                    self.search(child, existing if stays and _is_folder(existing) else None, child_path)
            finally:
                if existing is not None:
                    existing.close()

    def _stays(self, merged: MergedNode, folded: str, child: MergedNode, existing: Node, path: str) -> bool:
        """Return whether the file of the volume at a path remains; check that the layers may do this to it."""
        label = self._tree.label(child)
        name = existing.name or ""
        if self._tree.fold(name) != folded:
            holder = merged.children.get(self._tree.fold(name))
            if child.exists and (holder is None or not removes(holder, existing)):
                self.refusals.append(named_like_short_name(path, name, label))
            return False
        is_removed = removes(child, existing)
        if is_removed and not child.is_leaf and child.exists and not child.hides and existing.is_directory:
            if child.entry is None or child.entry.implied:
                self.refusals.append(below_link(path, label))
                return False
        if is_removed or child.exists and (child.children or child.entry is not None and not child.entry.implied):
            self._try(path, label, existing.require_changeable)
        return not is_removed

    def _check_entry(self, child: MergedNode, path: str, *, is_new: bool) -> None:
        label, entry = self._tree.label(child), child.entry
        if is_new:
            self._try(path, label, lambda: file_names.check_name(child.name, allow_trailing=True))
        if entry is None or (entry.implied and not is_new):
            return
        if entry.short_name is not None:
            self._try(path, label, lambda: file_names.check_short_name(entry.short_name or ""))
        if entry.kind == LINK:
            self._links[child.layer, self._tree.fold_path(entry.link_target or "")] += 1
            return
        for name, _size in entry.streams:
            self._try(path, label, lambda name=name: file_names.check_stream_name(name))  # type: ignore[misc]
        self._try(path, label, lambda: _check_times(entry))
        checks = (
            (metadata.check_security, complete(entry.security) if entry.security is not None else None),
            (metadata.check_reparse, entry.reparse),
            (metadata.stored_eas, entry.eas),
            (metadata.check_object_id, entry.object_id),
        )
        for check, value in checks:
            if value is not None:
                self._check_value(check, value, path, label)

    def _check_value(self, check: Callable[[bytes], object], value: bytes, path: str, label: str) -> None:
        """Check the value of a piece of metadata; many files have the same value."""
        valid = self._valid.setdefault(check, set())
        if value not in valid and self._try(path, label, lambda: check(value)) and len(valid) < 10_000:
            valid.add(value)

    def _try(self, path: str, label: str, check: Callable[[], object]) -> bool:
        try:
            check()
        except (Conflict, InvalidInput) as error:
            name_entry(error, path, label)
            self.refusals.append(error)
            return False
        return True

    def count_links(self) -> None:
        """Check the number of names of each file."""
        for (layer, folded), count in self._links.items():
            if count < links.MAXIMUM_LINKS:
                continue
            own = self._node(folded)
            is_own = own is not None and own.layer == layer and own.entry is not None and own.entry.kind == FILE
            if count + is_own > links.MAXIMUM_LINKS:
                label = self._tree.labels.get(layer, "a layer")
                error = links.too_many_links(printable(folded), count + is_own)
                name_entry(error, folded, label)
                self.refusals.append(error)

    def _node(self, folded: str) -> MergedNode | None:
        node: MergedNode | None = self._tree.root
        for part in folded.split("/"):
            node = node.children.get(part) if node is not None else None
        return node


def _is_folder(node: Node | None) -> bool:
    return node is not None and node.is_directory and not leads_elsewhere(node.reparse)


def _check_times(entry: Entry) -> None:
    for time in (entry.created, entry.written, entry.accessed, entry.changed):
        if time is not None:
            metadata.check_time(time)
