# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the files that a layer won from its archive to a volume."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...common.counting import counted
from ...common.errors import Conflict, Corrupt, NotFound
from ...common.progress import Progress
from ...layers.archive import ArchiveReader, Contents, Member
from ...layers.entry import DIRECTORY, LINK, WHITEOUT, Entry, printable
from ...ntfs.node import Node
from ...ntfs.volume import Volume
from ..stack.node_writer import ENTRY_ERRORS, NodeWriter, attributes_of, name_entry, times_of
from ..stack.stack_merge import MergedTree, is_leaf
from .short_names import ShortNames

#: Files up to this size are passed to the volume in one piece.
_WHOLE = 4 << 20
_OPEN_FOLDERS = 64
_MAX_DROPPED = 100


@dataclass
class Applied:
    """The result of applying layers: numbers of files (hard links counted once), links, directories and removals, bytes of file data.

    ``dropped`` lists the first hundred pieces of metadata that were left out, because another file of the
    volume has them (8.3 names, object IDs).
    """

    files: int = 0
    links: int = 0
    directories: int = 0
    removed: int = 0
    bytes: int = 0
    dropped: list[str] = field(default_factory=list)

    def drop(self, metadata: str) -> None:
        """Record a piece of metadata that was left out."""
        if len(self.dropped) < _MAX_DROPPED:
            self.dropped.append(metadata)


@dataclass(slots=True)
class WinningFile:
    """A file to be written from a layer: its paths, and the entries that won them. The first path gets the data."""

    names: list[tuple[str, Entry]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the unnamed stream, as far as the index states them."""
        return self.names[0][1].size


class FileWriter:
    """Writes files to a volume; it keeps the folders open in which it wrote last."""

    def __init__(
        self, volume: Volume, tree: MergedTree, nodes: NodeWriter, short_names: ShortNames, applied: Applied
    ) -> None:
        self._volume = volume
        self._tree = tree
        self._nodes = nodes
        self._short_names = short_names
        self._applied = applied
        self._folders: OrderedDict[str, Node] = OrderedDict()

    def close(self) -> None:
        """Close the open folders."""
        while self._folders:
            self._folders.popitem()[1].close()

    def write_layer(
        self, files: dict[str, WinningFile], archive: ArchiveReader, progress: Progress, total: int
    ) -> None:
        """Write ``files``, by folded path of their entry, from an archive; ``total`` is the size of all layers' files.

        Raises:
            Corrupt images.layer_archive_incomplete: the archive lacks files.
        """
        missing = len(files)
        fold = self._tree.fold_path
        for entry, contents in archive:
            file = files.get(fold(entry.path)) if entry.kind not in (LINK, WHITEOUT) else None
            if file is None:
                continue
            try:
                if entry.kind == DIRECTORY and not is_leaf(entry):
                    self._write_folder_streams(file.names[0][0], contents)
                else:
                    self._write_file(file, entry, contents)
            except ENTRY_ERRORS as error:
                name_entry(error, entry.path, archive.label)
                raise
            missing -= 1
            progress("apply", self._applied.bytes, total)
            if not missing:
                return
        if missing:
            raise Corrupt(
                f"The archive of {archive.label} lacks {counted(missing, 'file')} of its file index.",
                code="images.layer_archive_incomplete",
                hint="Verify the repository, then fetch or build the layer version again.",
                layer=archive.label,
            )

    def _write_folder_streams(self, path: str, contents: Contents) -> None:
        with self._open_folder(path) as folder:
            for name, size, member in contents:
                _empty_stream(folder, name)
                _write_stream(folder, name, size, member)

    def _write_file(self, file: WinningFile, entry: Entry, contents: Contents) -> None:
        path, winner = file.names[0]
        parent = self._folder(path)
        members = iter(contents)
        first = next(members, None) if entry.kind != DIRECTORY else None
        size, member = (first[1], first[2]) if first else (0, None)
        is_whole = member is not None and size <= _WHOLE and entry.sparse is None
        short_name = self._short_names.get(winner, path)
        name = path.rpartition("/")[2]
        if entry.kind == DIRECTORY:
            node = self._nodes.create_directory(parent, name, entry, short_name)
        else:
            data = member.read() if member is not None and is_whole else b""
            node = self._nodes.create_file(parent, name, entry, short_name, data)
        with node:
            if member is not None and not is_whole:
                with node.open_stream() as stream:
                    stream.truncate(size, allocate=entry.sparse is None)
                    for offset, piece in member.runs():
                        stream.pwrite(piece, offset)
            self._complete(node, entry, members, is_whole)
            self._applied.files += 1
            self._applied.bytes += size
            self._write_links(node, file, short_name)

    def _complete(self, node: Node, entry: Entry, members: Iterator[tuple[str, int, Member]], is_whole: bool) -> None:
        """Write the named streams and the metadata that creating a file does not set, or that writing changed."""
        for stream_name, stream_size, stream in members:
            _write_stream(node, stream_name, stream_size, stream)
        self._nodes.describe_rare(node, entry)
        if entry.reparse is not None:
            node.set_reparse(entry.reparse)
        if not is_whole or entry.streams or entry.reparse is not None:
            node.set_attributes(attributes_of(entry))
            node.set_times(times_of(entry, node))

    def _write_links(self, node: Node, file: WinningFile, short_name: str | None) -> None:
        """Add the other names of a file; only one name of a file can have an 8.3 name."""
        for path, entry in file.names[1:]:
            inherited = self._short_names.get(entry, path)
            folder, name = self._folder(path), path.rpartition("/")[2]
            if self._link(node, folder, name, None if short_name else inherited):
                short_name = inherited
            self._applied.links += 1

    def _link(self, node: Node, folder: Node, name: str, short_name: str | None) -> bool:
        """Add a name to a file; return whether the name got the 8.3 name."""
        if short_name is not None:
            try:
                folder.link(node, name, short_name=short_name, allow_trailing=True).close()
                return True
            except Conflict as error:
                if error.code != "ntfs.second_short_name":
                    raise
                self._applied.drop(f"8.3 name {short_name} of {printable(name)}")
        folder.link(node, name, allow_trailing=True).close()
        return False

    def _folder(self, path: str) -> Node:
        """Return the open folder that contains ``path``; the cache closes it."""
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
            raise Corrupt(
                f"The folder {printable(path)} cannot be found again on the volume to which layers are applied.",
                code="images.layer_folder_lost",
                hint="Run chkdsk on the OS machine and import the OS layer again.",
                path=path,
            )
        return node


def _write_stream(node: Node, name: str, size: int, member: Member) -> None:
    with node.open_stream(name, create_missing=True) as stream:
        if size:
            stream.truncate(size, allocate=True)
        for offset, piece in member.runs():
            stream.pwrite(piece, offset)


def _empty_stream(node: Node, name: str) -> None:
    """Empty a named stream of the base and close it; a stream that does not exist is not created.

    The stream may be compressed although its folder no longer is, or the other way round.
    libntfs-3g adapts a stream to its folder when it opens the stream empty; a compressed
    stream that is emptied and then grows while it is open cannot be closed.
    """
    with contextlib.suppress(NotFound), node.open_stream(name) as stream:
        if stream.size:
            stream.truncate(0)
