# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting a merged stack of layers on a volume.

First the merged tree is walked once: what is hidden goes away, folders are made and
described. Then each layer's archive is read once, from front to back, and what it has won
is written. Nothing else of the volume is touched, so that only what changed is compressed
and uploaded later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..common.errors import Conflict, Corrupt
from ..common.progress import Progress, silent
from ..layers.archive import Contents
from ..layers.entry import DIRECTORY, LINK, Entry, leads_elsewhere, printable
from ..ntfs.file_security import inherit
from ..ntfs.node import Node
from ..ntfs.times import Times
from ..ntfs.volume import Volume
from .short_names import find_clashes
from .stack_merge import MergedNode, MergedTree, is_leaf

#: Files up to this size are handed to the volume in one piece.
_WHOLE = 4 << 20
_OPEN_FOLDERS = 64


@dataclass
class Applied:
    """What was done: numbers of files (hard links counted once), links, directories and removals, bytes of file data.

    ``dropped`` lists, for the first hundred, what had to be left out of a file's metadata because another file
    of the volume holds it (8.3 names, object IDs).
    """

    files: int = 0
    links: int = 0
    directories: int = 0
    removed: int = 0
    bytes: int = 0
    dropped: list[str] = field(default_factory=list)

    def drop(self, what: str) -> None:
        """Note a piece of metadata that was left out."""
        if len(self.dropped) < 100:
            self.dropped.append(what)


@dataclass(slots=True)
class _Wanted:
    """A file to be written from one layer: the paths that it ends up under (the first holds the data)."""

    names: list[tuple[str, MergedNode]] = field(default_factory=list)


Opened = Iterable[tuple[Entry, Contents]]


class Applier:
    """Applies one merged tree to one volume that is mounted for writing."""

    def __init__(self, volume: Volume, tree: MergedTree) -> None:
        self._volume = volume
        self._tree = tree
        self._folders: OrderedDict[str, Node] = OrderedDict()
        self._inherited: dict[tuple[bytes, bool], bytes] = {}
        self._short_names: dict[str, str] = {}
        self._denied: set[tuple[str, str]] = set()
        self._wanted: dict[int, dict[str, _Wanted]] = {}
        self.applied = Applied()

    def run(self, archives: Sequence[Callable[[], Opened]], progress: Progress = silent) -> Applied:
        """Do it; ``archives`` open the layers of the stack in the order of their numbers.

        Raises Conflict where a layer contradicts the volume, Corrupt when an archive does
        not hold what its index says, NoSpace when the volume is full.
        """
        for clash in find_clashes(self._tree, self._volume):
            self._denied.add((self._tree.fold_path(clash.path), clash.short_name))
            self.applied.drop(
                f"8.3 name {clash.short_name} of {printable(clash.path)} ({printable(clash.holder)} has it)"
            )
        try:
            with self._volume.root as root:
                self._prepare(self._tree.root, root, "")
            total = sum(
                node.entry.size
                for files in self._wanted.values()
                for wanted in files.values()
                for _path, node in wanted.names[:1]
            )
            for number in sorted(self._wanted):
                self._write_layer(self._wanted[number], archives[number](), progress, total)
        finally:
            self._close_folders()
        return self.applied

    # -- removing, making and describing folders

    def _prepare(self, merged: MergedNode, folder: Node, path: str) -> None:
        # First everything that goes, so that its long and 8.3 names are free for what comes.
        children = [
            (f"{path}/{child.name}" if path else child.name, folded, child)
            for folded, child in sorted(merged.children.items())
        ]
        doubtful = []
        for child_path, folded, child in children:
            existing = folder.child(child.name)
            if existing is None:
                self._want(child, child_path)
                continue
            with existing:
                if self._tree.fold(existing.name) != folded:
                    doubtful.append((child_path, folded, child))
                else:
                    self._clear(child, existing, child_path)
            self._want(child, child_path)
        for child_path, folded, child in doubtful:
            self._require_not_short(child, folder, folded, child_path)
        self._free_short_names(children, folder)
        for child_path, _folded, child in children:
            if not child.is_leaf and (child.exists or not child.hides):
                self._prepare_folder(child, folder, child_path)

    def _require_not_short(self, child: MergedNode, folder: Node, folded: str, path: str) -> None:
        if not child.exists or (holder := folder.child(child.name)) is None:
            return
        with holder:
            if self._tree.fold(holder.name) != folded:
                raise Conflict(
                    f"The path {printable(path)} of a layer uses the 8.3 name of {printable(holder.name)}.",
                    code="images.layer_short_name",
                    hint="Use the long name in the layer.",
                    path=path,
                )

    def _free_short_names(self, children: list[tuple[str, str, MergedNode]], folder: Node) -> None:
        """Take their 8.3 names from folders that get others, because something else may get those."""
        for path, _folded, child in children:
            if (
                child.is_leaf
                or child.entry is None
                or child.entry.implied
                or self._short_name(child.entry, path) is None
            ):
                continue
            existing = folder.child(child.name)
            if existing is not None:
                with existing:
                    if existing.short_name not in (None, child.entry.short_name):
                        existing.set_short_name(None)

    def _short_name(self, entry: Entry, path: str) -> str | None:
        """The 8.3 name that an entry gets at a path: its own or, for a file, that of the one it replaces, unless another file has it."""
        if entry.short_name is None and not self._short_names:
            return None
        key = self._tree.fold_path(path)
        wanted = (entry.short_name, self._short_names.get(key))
        return next((name for name in wanted if name is not None and (key, name) not in self._denied), None)

    def _clear(self, child: MergedNode, existing: Node, path: str) -> None:
        """Remove what stands at a path if it cannot stay there."""
        is_link = leads_elsewhere(existing.reparse)
        if child.is_leaf:
            if short_name := existing.short_name:
                # Windows too gives a file that replaces another of the same name its 8.3 name (tunneling).
                self._short_names[self._tree.fold_path(path)] = short_name
        elif child.exists and existing.is_directory and not child.hides:
            if not is_link:
                return
            if child.entry is None or child.entry.implied:
                raise Conflict(
                    f"A layer puts files below {printable(path)}, which is a link to another folder in the OS layer.",
                    code="images.layer_below_link",
                    hint="Put the files below the folder that the link leads to.",
                    path=path,
                )
        elif not child.exists and not child.hides:
            return
        existing.delete()
        if not child.exists:
            self.applied.removed += 1

    def _want(self, child: MergedNode, path: str) -> None:
        """Note the file that has to be written under a path. Its first name comes first: what it inherits comes from there."""
        if not child.is_leaf:
            return
        entry = child.entry
        source = entry.link_target if entry.kind == LINK else entry.path
        names = self._wanted.setdefault(child.layer, {}).setdefault(self._tree.fold_path(source), _Wanted()).names
        names.insert(len(names) if entry.kind == LINK else 0, (path, child))

    def _prepare_folder(self, child: MergedNode, parent: Node, path: str) -> None:
        entry = child.entry
        node = parent.child(child.name)
        made = node is None or self._tree.fold(node.name) != self._tree.fold(child.name)
        if made:
            if node is not None:
                node.close()
            if not child.exists:
                return
            node = self._make_folder(child, parent, self._short_name(entry, path) if entry is not None else None)
        with node:
            if not node.is_directory or leads_elsewhere(node.reparse):
                return  # Only removals lead through it, and below it there is nothing to remove.
            told = entry is not None and (made or not entry.implied)
            if told and not made:
                self._describe(node, entry, self._short_name(entry, path))
            if told and entry.streams:
                self._wanted.setdefault(child.layer, {}).setdefault(
                    self._tree.fold_path(entry.path), _Wanted()
                ).names.append((path, child))
            self._prepare(child, node, path)

    def _make_folder(self, child: MergedNode, parent: Node, short_name: str | None) -> Node:
        entry = child.entry or Entry(child.name, DIRECTORY)
        self.applied.directories += 1
        node = self._create(parent, parent.create_directory, child.name, entry, short_name)
        self._describe_rarities(node, entry)
        return node

    def _describe(self, node: Node, entry: Entry, short_name: str | None) -> None:
        """Give an existing folder what an entry says of it."""
        if entry.security is not None:
            node.set_security(entry.security)
        node.set_attributes(entry.attributes)
        if short_name is not None:
            node.set_short_name(short_name)
        self._describe_rarities(node, entry)
        node.set_times(_times(entry, node))

    # -- writing files

    def _write_layer(self, wanted: dict[str, _Wanted], archive: Opened, progress: Progress, total: int) -> None:
        missing = len(wanted)
        fold = self._tree.fold_path
        for entry, contents in archive:
            found = wanted.get(fold(entry.path)) if entry.kind not in (LINK, "whiteout") else None
            if found is None:
                continue
            if entry.kind == DIRECTORY and not is_leaf(entry):
                with self._open_folder(found.names[0][0]) as folder:
                    self._write_streams(folder, contents)
            else:
                self._write_file(found, entry, contents)
            missing -= 1
            progress("apply", self.applied.bytes, total)
            if not missing:
                return
        if missing:
            raise Corrupt(
                f"The archive of a layer lacks {missing} of the files that its index lists.",
                code="images.layer_archive_incomplete",
                hint="Verify the repository; build or fetch the layer version again.",
            )

    def _write_file(self, wanted: _Wanted, entry: Entry, contents: Contents) -> None:
        path, merged = wanted.names[0]
        parent = self._folder(path)
        parts = iter(contents)
        first = next(parts, None) if entry.kind != DIRECTORY else None
        size, part = (first[1], first[2]) if first else (0, None)
        whole = part is not None and size <= _WHOLE and entry.sparse is None
        short_name = self._short_name(merged.entry, path)
        name = path.rpartition("/")[2]
        if entry.kind == DIRECTORY:
            node = self._create(parent, parent.create_directory, name, entry, short_name)
        else:
            data = part.read() if whole else b""
            node = self._create(
                parent,
                lambda *args, **options: parent.create_file(*args, data=data, **options),
                name,
                entry,
                short_name,
            )
        with node:
            if part is not None and not whole:
                with node.open_stream() as stream:
                    stream.truncate(size, allocate=entry.sparse is None)
                    for offset, piece in part.runs():
                        stream.pwrite(piece, offset)
            for stream_name, stream_size, stream_part in parts:
                self._write_stream(node, stream_name, stream_size, stream_part)
            self._describe_rarities(node, entry)
            if entry.reparse is not None:
                node.set_reparse(entry.reparse)
            if not whole or entry.streams or entry.reparse is not None:
                node.set_attributes(entry.attributes)
                node.set_times(_times(entry, node))
            self.applied.files += 1
            self.applied.bytes += size
            for other, linked in wanted.names[1:]:
                tunneled = self._short_name(linked.entry, other)
                if self._link(node, self._folder(other), other.rpartition("/")[2], None if short_name else tunneled):
                    short_name = tunneled
                self.applied.links += 1

    def _link(self, node: Node, folder: Node, name: str, short_name: str | None) -> bool:
        """Give a file one more name; returns whether that could have the 8.3 name, which only one of a file's names can have."""
        if short_name is not None:
            try:
                folder.link(node, name, short_name=short_name, allow_trailing=True).close()
                return True
            except Conflict as error:
                if error.code != "ntfs.second_short_name":
                    raise
                self.applied.drop(f"8.3 name {short_name} of {printable(name)}")
        folder.link(node, name, allow_trailing=True).close()
        return False

    def _write_streams(self, node: Node, contents: Contents) -> None:
        for name, size, part in contents:
            self._write_stream(node, name, size, part)

    @staticmethod
    def _write_stream(node: Node, name: str, size: int, part) -> None:
        with node.open_stream(name, create_missing=True) as stream:
            if stream.size:
                stream.truncate(0)
            if size:
                stream.truncate(size, allocate=True)
            for offset, piece in part.runs():
                stream.pwrite(piece, offset)

    # -- one new file or folder

    def _create(self, parent: Node, make: Callable[..., Node], name: str, entry: Entry, short_name: str | None) -> Node:
        options = {
            "attributes": entry.attributes,
            "times": _times(entry, parent),
            "security": entry.security
            if entry.security is not None
            else self._inherit(parent, entry.kind == DIRECTORY),
            "allow_trailing": True,
        }
        return make(name, short_name=short_name, **options)

    def _describe_rarities(self, node: Node, entry: Entry) -> None:
        if entry.reparse is not None and not is_leaf(entry):
            node.set_reparse(entry.reparse)
        if entry.eas is not None:
            node.set_eas(entry.eas)
        if entry.object_id is not None:
            try:
                node.set_object_id(entry.object_id)
            except Conflict:
                self.applied.drop(f"object ID of {printable(entry.path)}")

    def _inherit(self, parent: Node, is_directory: bool) -> bytes:
        key = (parent.security, is_directory)
        found = self._inherited.get(key)
        if found is None:
            found = self._inherited[key] = inherit(key[0], is_directory)
        return found

    # -- folders that stay open while their files are written

    def _folder(self, path: str) -> Node:
        """The open folder that holds ``path``; it belongs to the cache."""
        parent = path.rpartition("/")[0]
        key = self._tree.fold_path(parent) if parent else ""
        node = self._folders.get(key)
        if node is None:
            if len(self._folders) >= _OPEN_FOLDERS:
                self._folders.popitem(last=False)[1].close()
            node = self._folders[key] = self._open_folder(parent)
        else:
            self._folders.move_to_end(key)
        return node

    def _open_folder(self, path: str) -> Node:
        node = self._volume.find(path)
        if node is None:
            raise Conflict(
                f"The folder {printable(path)} vanished while layers were put on the volume.",
                code="images.layer_folder_lost",
                path=path,
            )
        return node

    def _close_folders(self) -> None:
        while self._folders:
            self._folders.popitem()[1].close()


def _times(entry: Entry, fallback: Node) -> Times:
    """The entry's four times; what it does not say is its time of writing, or the fallback's."""
    written = entry.written if entry.written is not None else entry.created
    if written is None:
        written = fallback.times.written
    return Times(
        *(written if time is None else time for time in (entry.created, written, entry.accessed, entry.changed))
    )
