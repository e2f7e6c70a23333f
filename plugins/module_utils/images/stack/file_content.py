# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of files as Windows shows it, for comparing files of layers with files of a volume.

CompactOS may have compressed a file on one side or on both. The size is compared first, then the stored form, and data is read,
and decompressed, only if neither decides.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeAlias, TypeVar

from ...common.errors import Corrupt, Unsupported
from ...layers.archive import Contents
from ...layers.entry import Entry, printable
from ...layers.index_fields import Record
from ...ntfs.node import Node
from ...ntfs.volume import Volume
from ...ntfs.wof import container as wof
from .file_version import FileVersion, file_version, read_version

#: How a file is stored: its reparse point and the digest of its compressed stream; None if it is not compressed.
_Stored: TypeAlias = "tuple[bytes | None, bytes]"


class UnreadableContent(Exception):
    """CompactOS stored a file in a way that cannot be read."""


class FileContent:
    """The data of a file. Two objects are equal if their data is known to be equal.

    ``stored`` returns how CompactOS stored the file, None for a file that is not compressed. ``plain`` returns the SHA-256 digest of
    the data, None if the data cannot be read: in the index of a layer, a compressed file has only the digest of its stored form.
    """

    def __init__(self, size: int, stored: Callable[[], _Stored | None], plain: Callable[[], bytes | None]) -> None:
        self.size = size
        self._read_stored = stored
        self._read_plain = plain

    @cached_property
    def _stored(self) -> _Stored | None:
        return self._read_stored()

    @cached_property
    def _plain(self) -> bytes | None:
        return self._read_plain()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FileContent):
            return NotImplemented
        if self.size != other.size:
            return False
        if self._stored is not None and self._stored == other._stored:  # pylint: disable=protected-access
            return True
        return self._plain is not None and self._plain == other._plain  # pylint: disable=protected-access

    __hash__ = None  # type: ignore[assignment]


def content_of_record(record: Record) -> FileContent:
    """Return the data of a file of a layer, from the layer's index."""
    entry = record.entry
    if not wof.is_compressed(entry.reparse):
        return FileContent(entry.size, lambda: None, lambda: record.digest)
    streams = {name: digest for (name, _size), digest in zip(entry.streams, record.stream_digests)}
    return FileContent(entry.size, lambda: (entry.reparse, streams.get(wof.STREAM, b"")), lambda: None)


def content_at(volume: Volume, path: str) -> FileContent | None:
    """Return the data of the file at ``path``, which is read when it is needed; None if there is no file."""
    node = volume.find(path)
    if node is None:
        return None
    with node:
        if node.is_directory:
            return None
        size, is_compressed = node.size, node.is_external
    return FileContent(
        size,
        lambda: _of_file(volume, path, _stored_form) if is_compressed else None,
        lambda: _of_file(volume, path, _plain_digest),
    )


def version_at(volume: Volume, path: str) -> FileVersion | None:
    """Return the file version of the program at ``path``; None if there is no program, or if it has no version.

    Raises:
        UnreadableContent: CompactOS stored the program in a way that cannot be read.
    """
    node = volume.find(path)
    if node is None:
        return None
    with node:
        if node.is_directory:
            return None
        with _readable(), node.open_content() as content:
            return read_version(content.size, content.pread)


def version_of_entry(entry: Entry, contents: Contents) -> FileVersion | None:
    """Return the file version of a program in a layer's archive, None if it has none.

    Raises:
        UnreadableContent: CompactOS stored the program in a way that cannot be read.
    """
    if not wof.is_compressed(entry.reparse):
        data = next((member.read() for name, _size, member in contents if not name), b"")
        return file_version(data)

    def describe() -> str:
        return f"file {printable(entry.path)}"

    with _readable():
        compression = wof.read_compression(entry.reparse or b"", describe)
        data = next((member.read() for name, _size, member in contents if name == wof.STREAM), b"")
        with wof.CompressedStream(_Memory(data), compression, entry.size, describe) as content:
            return read_version(content.size, content.pread)


class _Memory:
    """A compressed stream in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Bytes of the stream."""
        return len(self._data)

    def pread(self, count: int, offset: int) -> bytes:
        """Return ``count`` bytes from ``offset``."""
        return self._data[offset : offset + count]

    def close(self) -> None:
        """Do nothing."""


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Turn errors of the compressed data of a file into UnreadableContent."""
    try:
        yield
    except (Corrupt, Unsupported) as error:
        if error.code not in wof.UNREADABLE:
            raise
        raise UnreadableContent from error


_Value = TypeVar("_Value")


def _of_file(volume: Volume, path: str, read: Callable[[Node], _Value]) -> _Value | None:
    node = volume.find(path)
    if node is None:
        return None
    with node:
        return read(node)


def _stored_form(node: Node) -> _Stored:
    names = [name for name, _size in node.streams]
    digest = hashlib.sha256()
    if wof.STREAM in names:
        with node.open_stream(wof.STREAM) as stream:
            stream.copy_to(digest.update)
    return node.reparse, digest.digest()


def _plain_digest(node: Node) -> bytes | None:
    digest = hashlib.sha256()
    try:
        with _readable(), node.open_content() as content:
            content.copy_to(digest.update)
    except UnreadableContent:
        return None
    return digest.digest()
