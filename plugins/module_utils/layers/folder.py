# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of the host as a layer: its files, directories and links, and a list of paths to delete."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from ..common.errors import InvalidInput, NotFound
from . import entry as model
from .entry import Entry, filetime_from_unix_ns, path_problem, printable
from .file_index import IndexWriter
from .reparse import encodable, encode_link
from .windows_names import fold, windows_name_problem, windows_path

#: Opens one stream of an entry ("" is the unnamed one) for reading; the caller closes it.
Opener = Callable[[str], BinaryIO]

MAX_ENTRIES = 2_000_000
_MAX_TIME = (1 << 63) - 1
_HOLE = 64 * 1024
_LISTED = 20


class _Node:
    """A directory of the tree in the making; ``found`` is False where only a deletion leads through it."""

    __slots__ = ("children", "found", "whiteouts")

    def __init__(self) -> None:
        self.found = False
        self.whiteouts: dict[str, str] = {}
        self.children: dict[str, tuple[str, os.stat_result | None, _Node | None]] = {}


def entries_from_folder(
    folder: str | None, *, delete: Iterable[str] = (), time: int | None = None
) -> list[tuple[Entry, Opener | None]]:
    """The layer that ``folder`` (None without files) and the paths to ``delete`` describe: (entry, how to open its content).

    Deterministic: parents before children, in a directory first its whiteouts and then its children
    by folded name. Files get the POSIX modification time for all four times (or ``time``, a FILETIME,
    for trees that a version control system checks out) and no security descriptor, so they inherit.
    Directories are ``implied``: where a lower layer has them they stay as they are; new ones carry
    the newest time of what is in them. Hard links among the files are kept. A relative symbolic link
    that stays inside the folder becomes a Windows symbolic link (to a directory if it leads to one
    here). Holes of sparse files are kept where they cover whole 64 KiB units.

    NotFound when there is no such folder. InvalidInput lists everything that cannot be carried: names
    that Windows does not accept, names that only differ in case, too long paths, links that are
    absolute or lead outside, devices and sockets, what cannot be read.
    """
    root = os.path.abspath(folder) if folder is not None else ""
    if root and os.path.exists(root) and not os.path.isdir(root):
        raise InvalidInput(
            f"The folder of files {folder} is not a folder.",
            code="layers.folder",
            hint="Name the folder whose tree is that of drive C.",
        )
    if root and not os.path.isdir(root):
        raise NotFound(
            f"The folder of files {folder} does not exist.",
            code="layers.folder_missing",
            hint="Check the path and the mount.",
        )
    problems: list[str] = []
    tree = _scan(root, problems) if root else _Node()
    _plant_whiteouts(tree, delete, problems)
    found: list[tuple[Entry, Opener | None]] = []
    _walk(tree, root, time, found, problems)
    if problems:
        shown = "; ".join(problems[:_LISTED])
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise InvalidInput(
            f"{f'The folder {folder}' if root else 'The list of paths to delete'} cannot become a layer: {shown}{more}.",
            code="layers.folder",
            hint="Rename or remove what is listed and run again.",
            problems=problems[:1000],
        )
    return found


def source_fingerprint(entries: Iterable[tuple[Entry, Opener | None]]) -> str:
    """Digest of names, metadata and contents: what the file index of a layer made of ``entries`` would say.

    Equal to the ``content_digest`` of the version that was built from the same tree. Reads every file once.
    """
    with IndexWriter(None) as index:
        for entry, opener in entries:
            digest = None
            if entry.kind == model.FILE:
                with opener("") if opener else io.BytesIO() as stream:
                    digest = _sha256(stream)
            digests = []
            for name, _size in entry.streams:
                with opener(name) as stream:
                    digests.append(_sha256(stream))
            index.add(entry, digest, digests)
    return index.content_digest


def _sha256(stream: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.digest()


# --- scanning --------------------------------------------------------------------------------


def _scan(root: str, problems: list[str]) -> _Node:
    tree = _Node()
    waiting = [("", tree)]
    count = 0
    while waiting:
        path, node = waiting.pop()
        node.found = True
        try:
            with os.scandir(os.path.join(root, path)) as listing:
                items = sorted(listing, key=lambda item: item.name)
        except OSError as error:
            problems.append(f"{printable(path) or '.'} cannot be read ({error.strerror})")
            continue
        for item in items:
            count += 1
            if count > MAX_ENTRIES:
                raise InvalidInput(f"The folder {root} has more than {MAX_ENTRIES} files.", code="layers.folder")
            child_path = f"{path}/{item.name}" if path else item.name
            problem = windows_name_problem(item.name) or path_problem(child_path)
            if problem:
                problems.append(f"{printable(child_path)} {problem}")
                continue
            other = node.children.get(fold(item.name))
            if other is not None:
                problems.append(
                    f"{printable(child_path)} differs only in case from {printable(f'{path}/{other[0]}' if path else other[0])}"
                )
                continue
            try:
                status = item.stat(follow_symlinks=False)
            except OSError as error:
                problems.append(f"{printable(child_path)} cannot be read ({error.strerror})")
                continue
            child = None
            if stat.S_ISDIR(status.st_mode):
                child = _Node()
                waiting.append((child_path, child))
            elif not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
                problems.append(f"{printable(child_path)} is neither a file, a directory nor a symbolic link")
                continue
            node.children[fold(item.name)] = (item.name, status, child)
    return tree


def _plant_whiteouts(tree: _Node, delete: Iterable[str], problems: list[str]) -> None:
    for text in delete:
        try:
            path = windows_path(text)
        except InvalidInput as error:
            problems.append(error.message.rstrip("."))
            continue
        node = tree
        *folders, name = path.split("/")
        for folder in folders:
            if fold(folder) in node.whiteouts and fold(folder) not in node.children:
                break  # what is above goes already
            spelled, status, child = node.children.get(fold(folder), (folder, None, None))
            if child is None:
                if status is not None:
                    problems.append(
                        f"{printable(text)} is to be deleted, but the folder has a file in place of one of its parents"
                    )
                    break
                child = _Node()
                node.children[fold(folder)] = (spelled, None, child)
            node = child
        else:
            node.whiteouts.setdefault(fold(name), name)


# --- entries ---------------------------------------------------------------------------------


class _Walker:
    def __init__(self, root: str, time: int | None, problems: list[str]) -> None:
        self.root = root
        self.time = time
        self.problems = problems
        self.links: dict[tuple[int, int], str] = {}

    def times(self, status: os.stat_result) -> int:
        if self.time is not None:
            return self.time
        return min(max(filetime_from_unix_ns(status.st_mtime_ns), 0), _MAX_TIME)


def _walk(
    tree: _Node, root: str, time: int | None, found: list[tuple[Entry, Opener | None]], problems: list[str]
) -> None:
    walker = _Walker(root, time, problems)
    # Each level: path, what is left to visit, the directory's own entry, newest time inside.
    levels: list[list] = [["", iter(_members(tree)), None, 0]]
    while levels:
        level = levels[-1]
        prefix = level[0]
        item = next(level[1], None)
        if item is None:
            _path, _iterator, directory, newest = levels.pop()
            if directory is not None and newest:
                directory.created = directory.written = directory.accessed = directory.changed = newest
            if levels:
                levels[-1][3] = max(levels[-1][3], directory.written or 0 if directory is not None else newest)
            continue
        name, status, child = item
        path = prefix + name
        if status is None and child is None:
            found.append((Entry(path, model.WHITEOUT), None))
            continue
        if child is not None:
            directory = None
            if status is not None:
                when = walker.times(status)
                directory = Entry(
                    path, model.DIRECTORY, model.ATTRIBUTE_DIRECTORY, when, when, when, when, implied=True
                )
                found.append((directory, None))
            levels.append([path + "/", iter(_members(child)), directory, 0])
            continue
        made = _file(walker, path, status)
        if made is not None:
            found.append(made)
            level[3] = max(level[3], walker.times(status))


def _members(node: _Node) -> Iterator[tuple[str, os.stat_result | None, _Node | None]]:
    for key in sorted(node.whiteouts):
        yield node.whiteouts[key], None, None
    for key in sorted(node.children):
        if key in node.whiteouts and node.children[key][1] is None:
            continue  # only deletions below what is deleted as a whole
        yield node.children[key]


def _file(walker: _Walker, path: str, status: os.stat_result) -> tuple[Entry, Opener | None] | None:
    when = walker.times(status)
    host = os.path.join(walker.root, path)
    if stat.S_ISLNK(status.st_mode):
        return _symlink(walker, path, host, when)
    if status.st_nlink > 1:
        first = walker.links.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            return Entry(path, model.LINK, model.ATTRIBUTE_ARCHIVE, when, when, when, when, link_target=first), None
    entry = Entry(path, model.FILE, model.ATTRIBUTE_ARCHIVE, when, when, when, when, size=status.st_size)
    if status.st_size > _HOLE and status.st_blocks * 512 < status.st_size:
        entry.sparse = _data_runs(host, status.st_size)
        if entry.sparse is not None:
            entry.attributes |= model.ATTRIBUTE_SPARSE
    return entry, _HostFile(host, status).open


def _symlink(walker: _Walker, path: str, host: str, when: int) -> tuple[Entry, Opener | None] | None:
    target = os.readlink(host)
    depth = path.count("/")
    problem = None
    if target.startswith("/"):
        problem = "is an absolute symbolic link"
    else:
        for part in target.split("/"):
            if part == "..":
                depth -= 1
                if depth < 0:
                    problem = "is a symbolic link that leads outside of the folder"
                    break
            elif part not in ("", "."):
                depth += 1
                name_problem = windows_name_problem(part)
                problem = problem or (name_problem and f"is a symbolic link to a name that {name_problem}")
    windows = "\\".join(part for part in target.split("/") if part not in ("", ".")) or "."
    if not problem and not encodable(windows):
        problem = "is a symbolic link with too long a target"
    if problem:
        walker.problems.append(f"{printable(path)} {problem}")
        return None
    kind, attributes = (
        (model.DIRECTORY, model.ATTRIBUTE_DIRECTORY) if os.path.isdir(host) else (model.FILE, model.ATTRIBUTE_ARCHIVE)
    )
    attributes |= model.ATTRIBUTE_REPARSE
    return Entry(path, kind, attributes, when, when, when, when, reparse=encode_link(windows, mount_point=False)), None


def _data_runs(host: str, size: int) -> list[tuple[int, int]] | None:
    """Runs of data widened to 64 KiB units; None when no whole unit is a hole or the file system cannot tell."""
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
    """Opens a file of the folder, if it is still the one that was scanned."""

    __slots__ = ("host", "state")

    def __init__(self, host: str, status: os.stat_result) -> None:
        self.host = host
        self.state = _state(status)

    def open(self, stream: str) -> BinaryIO:
        """The content; InvalidInput when the file has changed since it was scanned."""
        if stream:
            raise InvalidInput(f"The file {printable(self.host)} has no stream {stream!r}.", code="layers.entry")
        try:
            opened = os.fdopen(os.open(self.host, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except OSError as error:
            raise InvalidInput(
                f"The file {printable(self.host)} cannot be read ({error.strerror}).",
                code="layers.folder",
                hint="Check the rights and the mount.",
            ) from error
        if _state(os.fstat(opened.fileno())) != self.state:
            opened.close()
            raise InvalidInput(
                f"The file {printable(self.host)} changed while the layer was made.",
                code="layers.changed",
                hint="Let nothing write there and run again.",
            )
        return opened


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
