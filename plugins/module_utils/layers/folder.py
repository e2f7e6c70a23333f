# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers built from a folder of the host: its files, directories and links, and a list of paths to delete."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..common.composer_paths import current_user, path_hint
from ..common.errors import InternalError, InvalidInput, NotFound
from . import entry as model
from .entry import Entry, filetime_from_unix_ns, path_problem, printable
from .file_index import Record, content_digest
from .folder_problems import FolderProblems
from .reparse import encodable, encode_link
from .windows_names import fold, windows_name_problem, windows_path

#: Opens a stream of an entry ("" is the unnamed stream) for reading; the caller closes it.
Opener = Callable[[str], BinaryIO]

#: The time (FILETIME) of files whose own times do not count: 2000-01-01T00:00:00Z.
FIXED_TIME = filetime_from_unix_ns(946_684_800 * 10**9)
MAX_ENTRIES = 2_000_000
_MAX_TIME = (1 << 63) - 1
_HOLE = 64 * 1024
_DELETE = "Correct the option delete, or correct the folder."


class _Node:
    """A directory of the scanned tree, or a folder that only leads to a path to delete."""

    __slots__ = ("children", "whiteouts")

    def __init__(self) -> None:
        self.whiteouts: dict[str, str] = {}
        self.children: dict[str, tuple[str, os.stat_result | None, _Node | None]] = {}


def entries_from_folder(
    folder: str | None, *, delete: Iterable[str] = (), time: int | None = None
) -> list[tuple[Entry, Opener | None]]:
    """Return the layer that ``folder`` (None for no files) and the paths to ``delete`` describe: (entry, content opener).

    The order is deterministic: parents before children; in a directory first its whiteouts, then its
    children by folded name. Files get ``time`` (a FILETIME, such as ``FIXED_TIME``) for all four times, or the
    POSIX modification time if it is None, and no security descriptor, so that they inherit. Directories
    are ``implied``: they do not change a directory of a lower layer, and a new directory has the newest time of
    its content. Hard links among the files are kept. A relative symbolic
    link that stays inside the folder becomes a Windows symbolic link, to a directory if its target is a
    directory of the folder. Holes of sparse files are kept where they cover whole 64 KiB units.

    Raises:
        NotFound layers.folder_missing: ``folder`` does not exist.
        InvalidInput layers.folder: ``folder`` is not a folder, or entries cannot be carried: names that
            Windows does not accept or that differ only in case, paths that are too long, links that are
            absolute or leave the folder, devices, sockets, unreadable files. The message lists them all.
    """
    root = os.path.abspath(folder) if folder is not None else ""
    if root and os.path.exists(root) and not os.path.isdir(root):
        raise InvalidInput(
            f"{folder} is not a folder.",
            code="layers.folder",
            hint="Set the option files to the folder that corresponds to drive C.",
        )
    if root and not os.path.isdir(root):
        raise NotFound(
            f"The folder {folder} does not exist on the composer.",
            code="layers.folder_missing",
            hint=f"{path_hint(folder or '', 'files')}Correct the option files, or mount the file system that contains the folder.",
        )
    problems = FolderProblems()
    tree = _scan(root, problems) if root else _Node()
    _add_whiteouts(tree, delete, problems)
    entries = _Walker(root, time, problems).walk(tree)
    problems.refuse(f"The folder {folder}" if root else "The list of paths to delete")
    return entries


def source_records(entries: Iterable[tuple[Entry, Opener | None]]) -> list[Record]:
    """Return the records of the file index of a layer built from ``entries``. It reads every file once."""
    records = []
    for entry, opener in entries:
        digest = None
        if entry.kind == model.FILE:
            with opener("") if opener else io.BytesIO() as stream:
                digest = _sha256(stream)
        stream_digests = []
        for name, _size in entry.streams:
            with _require(opener, entry)(name) as stream:
                stream_digests.append(_sha256(stream))
        records.append(Record(entry, digest, stream_digests))
    return records


def source_fingerprint(entries: Iterable[tuple[Entry, Opener | None]]) -> str:
    """Return the digest of names, metadata and contents: the content digest of a layer built from ``entries``."""
    return content_digest(source_records(entries))


def _require(opener: Opener | None, entry: Entry) -> Opener:
    if opener is None:
        raise InternalError(f"{printable(entry.path)} has streams, but no opener.", code="layers.no_opener")
    return opener


def _sha256(stream: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.digest()


# --- scanning --------------------------------------------------------------------------------


def _scan(root: str, problems: FolderProblems) -> _Node:
    tree = _Node()
    waiting = [("", tree)]
    count = 0
    while waiting:
        path, node = waiting.pop()
        try:
            with os.scandir(os.path.join(root, path)) as listing:
                items = sorted(listing, key=lambda item: item.name)
        except OSError as error:
            problems.add_unreadable(path, error)
            continue
        for item in items:
            count += 1
            if count > MAX_ENTRIES:
                raise InvalidInput(
                    f"The folder {root} contains more than {MAX_ENTRIES} files.",
                    code="layers.folder",
                    hint="Split the layer: build several layers from parts of the folder.",
                )
            child = _add_child(node, path, item, problems)
            if child is not None:
                waiting.append(child)
    return tree


def _add_child(node: _Node, folder: str, item: os.DirEntry[str], problems: FolderProblems) -> tuple[str, _Node] | None:
    """Add a scanned file to its directory, or a problem to ``problems``; return (path, node) of a directory."""
    path = f"{folder}/{item.name}" if folder else item.name
    problem = windows_name_problem(item.name) or path_problem(path)
    if problem:
        problems.add_name(path, problem)
        return None
    key = fold(item.name)
    if key in node.children:
        name = node.children[key][0]
        problems.add(f"{printable(path)} differs only in case from {printable(f'{folder}/{name}' if folder else name)}")
        return None
    try:
        status = item.stat(follow_symlinks=False)
    except OSError as error:
        problems.add_unreadable(path, error)
        return None
    if stat.S_ISDIR(status.st_mode):
        child = _Node()
        node.children[key] = (item.name, status, child)
        return path, child
    if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        node.children[key] = (item.name, status, None)
    else:
        problems.add(f"{printable(path)} is neither a file, a directory nor a symbolic link")
    return None


def _add_whiteouts(tree: _Node, delete: Iterable[str], problems: FolderProblems) -> None:
    for text in delete:
        try:
            path = windows_path(text)
        except InvalidInput as error:
            problems.add(error.message.rstrip("."), _DELETE)
            continue
        node = tree
        *folders, name = path.split("/")
        for folder in folders:
            if fold(folder) in node.whiteouts and fold(folder) not in node.children:
                break  # a folder above is deleted as a whole
            spelled, status, child = node.children.get(fold(folder), (folder, None, None))
            if child is None:
                if status is not None:
                    problems.add(
                        f"{printable(text)} cannot be deleted, because a file of the folder replaces a parent folder",
                        _DELETE,
                    )
                    break
                child = _Node()
                node.children[fold(folder)] = (spelled, None, child)
            node = child
        else:
            node.whiteouts.setdefault(fold(name), name)


# --- entries ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Level:
    """A directory whose children are being visited: its entry, and the newest time of its content so far."""

    prefix: str
    members: Iterator[tuple[str, os.stat_result | None, _Node | None]]
    directory: Entry | None
    newest: int = 0


class _Walker:
    """Converts the scanned tree to entries."""

    def __init__(self, root: str, time: int | None, problems: FolderProblems) -> None:
        self._root = root
        self._time = time
        self._problems = problems
        self._links: dict[tuple[int, int], str] = {}
        self._entries: list[tuple[Entry, Opener | None]] = []

    def walk(self, tree: _Node) -> list[tuple[Entry, Opener | None]]:
        """Return (entry, content opener) of all paths, parents first."""
        levels = [_Level("", iter(_members(tree)), None)]
        while levels:
            level = levels[-1]
            item = next(level.members, None)
            if item is None:
                self._leave(levels)
                continue
            name, status, child = item
            path = level.prefix + name
            if child is not None:
                levels.append(self._enter(path, status, child))
            elif status is None:
                self._entries.append((Entry(path, model.WHITEOUT), None))
            else:
                found = self._file(path, status)
                if found is not None:
                    self._entries.append(found)
                    level.newest = max(level.newest, self._time_of(status))
        return self._entries

    def _enter(self, path: str, status: os.stat_result | None, node: _Node) -> _Level:
        directory = None
        if status is not None:
            time = self._time_of(status)
            directory = Entry(path, model.DIRECTORY, model.ATTRIBUTE_DIRECTORY, time, time, time, time, implied=True)
            self._entries.append((directory, None))
        return _Level(path + "/", iter(_members(node)), directory)

    @staticmethod
    def _leave(levels: list[_Level]) -> None:
        """Give a directory the newest time of its content, and its own time to the directory above."""
        level = levels.pop()
        directory = level.directory
        if directory is not None and level.newest:
            directory.created = directory.written = directory.accessed = directory.changed = level.newest
        if levels:
            time = (directory.written or 0) if directory is not None else level.newest
            levels[-1].newest = max(levels[-1].newest, time)

    def _time_of(self, status: os.stat_result) -> int:
        if self._time is not None:
            return self._time
        return min(max(filetime_from_unix_ns(status.st_mtime_ns), 0), _MAX_TIME)

    def _file(self, path: str, status: os.stat_result) -> tuple[Entry, Opener | None] | None:
        time = self._time_of(status)
        host = os.path.join(self._root, path)
        if stat.S_ISLNK(status.st_mode):
            return self._symlink(path, host, time)
        if status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                entry = Entry(path, model.LINK, model.ATTRIBUTE_ARCHIVE, time, time, time, time, link_target=first)
                return entry, None
        entry = Entry(path, model.FILE, model.ATTRIBUTE_ARCHIVE, time, time, time, time, size=status.st_size)
        if status.st_size > _HOLE and status.st_blocks * 512 < status.st_size:
            entry.sparse = _data_runs(host, status.st_size)
            if entry.sparse is not None:
                entry.attributes |= model.ATTRIBUTE_SPARSE
        return entry, _HostFile(host, status).open

    def _symlink(self, path: str, host: str, time: int) -> tuple[Entry, Opener | None] | None:
        target = os.readlink(host)
        windows = "\\".join(part for part in target.split("/") if part not in ("", ".")) or "."
        problem = _target_problem(path, target)
        if problem is None and not encodable(windows):
            problem = "is a symbolic link whose target is too long"
        if problem is not None:
            self._problems.add(f"{printable(path)} {problem}")
            return None
        kind, attributes = model.FILE, model.ATTRIBUTE_ARCHIVE
        if os.path.isdir(host):
            kind, attributes = model.DIRECTORY, model.ATTRIBUTE_DIRECTORY
        reparse = encode_link(windows, mount_point=False)
        return Entry(path, kind, attributes | model.ATTRIBUTE_REPARSE, time, time, time, time, reparse=reparse), None


def _target_problem(path: str, target: str) -> str | None:
    """Return why a symbolic link at ``path`` cannot lead to ``target``, or None."""
    if target.startswith("/"):
        return "is an absolute symbolic link"
    problem = None
    depth = path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                return "is a symbolic link that leads outside the folder"
        elif part not in ("", "."):
            depth += 1
            name_problem = windows_name_problem(part)
            problem = problem or (name_problem and f"is a symbolic link to a name that {name_problem}")
    return problem


def _members(node: _Node) -> Iterator[tuple[str, os.stat_result | None, _Node | None]]:
    for key in sorted(node.whiteouts):
        yield node.whiteouts[key], None, None
    for key in sorted(node.children):
        if key in node.whiteouts and node.children[key][1] is None:
            continue  # it contains only deletions below a folder that is deleted as a whole
        yield node.children[key]


def _data_runs(host: str, size: int) -> list[tuple[int, int]] | None:
    """Return the runs of data, widened to 64 KiB units; None if no whole unit is a hole or holes cannot be queried."""
    runs: list[list[int]] = []
    position = 0
    with open(host, "rb") as stream:
        while position < size:
            try:
                start = os.lseek(stream.fileno(), position, os.SEEK_DATA)
                position = os.lseek(stream.fileno(), start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                return None
            start = start // _HOLE * _HOLE
            end = min(-(-position // _HOLE) * _HOLE, size)
            if runs and runs[-1][1] >= start:
                runs[-1][1] = max(runs[-1][1], end)
            elif start < size:
                runs.append([start, end])
    if runs == [[0, size]]:
        return None
    return [(start, end - start) for start, end in runs]


class _HostFile:
    """Opens a file of the folder, if it has not changed since it was scanned."""

    __slots__ = ("host", "state")

    def __init__(self, host: str, status: os.stat_result) -> None:
        self.host = host
        self.state = _state(status)

    def open(self, stream: str) -> BinaryIO:
        """Open the content.

        Raises:
            InvalidInput layers.folder: the file cannot be read.
            InvalidInput layers.changed: the file has changed since it was scanned.
        """
        if stream:
            raise InternalError(f"The file {printable(self.host)} has no stream {stream!r}.", code="layers.no_stream")
        try:
            opened = os.fdopen(os.open(self.host, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except OSError as error:
            raise InvalidInput(
                f"The file {printable(self.host)} cannot be read ({error.strerror}).",
                code="layers.folder",
                hint=f"Grant the user {current_user()} read access to the file, or check the mount.",
            ) from error
        if _state(os.fstat(opened.fileno())) != self.state:
            opened.close()
            raise InvalidInput(
                f"The file {printable(self.host)} changed while the layer was built.",
                code="layers.changed",
                hint="Stop all programs that write to the folder and run again.",
            )
        return opened


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
