# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert files of a mounted volume to entries of a layer, with all metadata that NTFS stores."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator

from ..common.errors import Corrupt, Unsupported
from ..common.security_descriptors import complete
from ..common.streams import SeekableReader
from ..layers import entry as model
from ..layers.entry import Entry, printable
from ..layers.extended_attributes import without_kernel_eas
from ..layers.folder import Opener
from ..ntfs import attribute_records
from ..ntfs.node import Node
from ..ntfs.stream import Stream
from ..ntfs.volume import Volume
from .path_changes import PathChanges, Taken

_ENCRYPTED = 0x4000
_BUFFER = 1 << 20
_LAST_TIME = (1 << 63) - 1


class _Folder:
    """A folder of the layer that is being built."""

    __slots__ = ("children", "whiteouts")

    def __init__(self) -> None:
        self.children: dict[str, tuple[str, Taken | None, _Folder]] = {}
        self.whiteouts: dict[str, str] = {}


def entries_of(volume: Volume, changes: PathChanges) -> Iterator[tuple[Entry, Opener | None]]:
    """Yield the layer's entries with an opener of their content, which works until the next entry is yielded.

    ``changes.completed`` gets the paths of files whose security descriptor has no owner or group on the volume.
    The order depends only on the paths: parents before children, and in a folder the removals
    before its children by folded name. The first name of a file has its content, further names
    are links to it. Folders on the way to a change are ``implied``.

    Raises:
        Corrupt: a folder has no entry in its parent.
        Unsupported: a file is encrypted with EFS.
    """
    first_names: dict[int, str] = {}
    waiting = [iter(_members(_tree(changes)))]
    while waiting:
        item = next(waiting[-1], None)
        if item is None:
            waiting.pop()
            continue
        path, taken, folder = item
        if folder is None:
            yield Entry(path, model.WHITEOUT), None
            continue
        if taken is None:
            node = volume.find(path)
            if node is None:
                raise Corrupt(
                    f"The packaged disk is damaged: its folder {printable(path)} has no entry in the folder above it.",
                    code="capture.ntfs_damaged",
                    hint="Run chkdsk in the packaging machine, shut Windows down, and export the disk again.",
                    path=path,
                )
        else:
            node = volume.open(taken.reference, taken.name.name, taken.name.parent)
        with node:
            known = first_names.get(node.file_reference)
            if known is not None and not node.is_directory:
                yield _link(node, path, known), None
            else:
                first_names[node.file_reference] = path
                entry = _entry(node, path, implied=taken is None)
                if taken is not None and entry.security != node.security:
                    changes.completed.append(path)
                yield entry, functools.partial(open_stream, node)
        waiting.append(iter(_members(folder, path + "/")))


def _tree(changes: PathChanges) -> _Folder:
    root = _Folder()
    for folded, taken in changes.taken.items():
        folder = root
        names, keys = taken.path.split("/"), folded.split("/")
        for name, key in zip(names[:-1], keys[:-1]):
            folder = folder.children.setdefault(key, (name, None, _Folder()))[2]
        known = folder.children.get(keys[-1])
        folder.children[keys[-1]] = (names[-1], taken, known[2] if known else _Folder())
    for folded, path in changes.whiteouts.items():
        folder = root
        names, keys = path.split("/"), folded.split("/")
        for name, key in zip(names[:-1], keys[:-1]):
            folder = folder.children.setdefault(key, (name, None, _Folder()))[2]
        folder.whiteouts[keys[-1]] = names[-1]
    return root


def _members(folder: _Folder, prefix: str = "") -> Iterator[tuple[str, Taken | None, _Folder | None]]:
    for key in sorted(folder.whiteouts):
        yield prefix + folder.whiteouts[key], None, None
    for key in sorted(folder.children):
        name, taken, below = folder.children[key]
        if taken is None and not _brings(below):
            # The folder is only on the way to removals and may not exist itself.
            yield from _members(below, f"{prefix}{name}/")
        else:
            yield prefix + name, taken, below


def _brings(folder: _Folder) -> bool:
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        for _name, taken, below in current.children.values():
            if taken is not None:
                return True
            waiting.append(below)
    return False


def _link(node: Node, path: str, target: str) -> Entry:
    entry = Entry(path, model.LINK, node.attributes & 0xFFFFFFFF, short_name=node.short_name, link_target=target)
    _set_times(entry, node)
    return entry


def _set_times(entry: Entry, node: Node) -> None:
    """Set the four times of an entry, limited to the largest FILETIME."""
    entry.created, entry.written, entry.accessed, entry.changed = (min(time, _LAST_TIME) for time in node.times)


def _entry(node: Node, path: str, *, implied: bool) -> Entry:
    attributes, security = node.attributes & 0xFFFFFFFF, node.security
    if attributes & _ENCRYPTED and not node.is_directory:
        raise Unsupported(
            f"The file {printable(path)} is encrypted with EFS for a user of the packaging machine.",
            code="capture.encrypted",
            hint="Decrypt the file in the packaging machine (cipher /d), or exclude it with the option exclusions.",
            path=path,
        )
    entry = Entry(
        path,
        model.DIRECTORY if node.is_directory else model.FILE,
        attributes,
        security=complete(security) if security is not None else None,
        short_name=node.short_name,
        size=node.size,
        implied=implied,
    )
    _set_times(entry, node)
    if implied:
        return entry
    entry.reparse, entry.object_id = node.reparse, node.object_id
    entry.eas = without_kernel_eas(node.eas)
    if entry.eas is None:
        entry.attributes &= ~attribute_records.HAS_EAS
    entry.streams = sorted(node.streams)
    if attributes & model.ATTRIBUTE_SPARSE and entry.size:
        with node.open_stream() as stream:
            entry.sparse = stream.extents()
    return entry


def open_stream(node: Node, name: str) -> io.BufferedReader:
    """Open a stream of an open file for reading."""
    return io.BufferedReader(_Raw(node.open_stream(name)), _BUFFER)


class _Raw(SeekableReader):
    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.size)
        self._stream = stream

    def _read_at(self, position: int, count: int) -> bytes:
        return self._stream.pread(count, position)

    def close(self) -> None:
        """Close the stream."""
        if not self.closed:
            self._stream.close()
        super().close()
