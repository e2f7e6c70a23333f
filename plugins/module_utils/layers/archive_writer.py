# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a layer archive. Equal entries give equal bytes on every composer and at any time.

This requires the same version of the Zstandard library. Layer versions are therefore compared by the
digest of their file index and not by the digest of their archive.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from typing import BinaryIO, Protocol, cast

from ..common.errors import InternalError, InvalidInput
from ..common.optional_imports import zstandard
from . import entry as model
from . import header_writer, tar
from .entry import Entry, printable
from .entry_headers import FILES, HIVES, VERSION

LEVEL = 3
_CHUNK = 1 << 20
_SMALL = 256 * 1024
_ZEROS = bytes(_CHUNK)


class Writable(Protocol):
    """An object with the ``write`` of a binary file."""

    def write(self, data: bytes, /) -> object:
        """Write ``data``."""


class ArchiveWriter:
    """Writes entries, in the given order, to ``output``.

    A context manager; leaving it without an exception writes the end of the archive. Parents come
    before children, a hard link after the file to which it adds a name, whiteouts first in their
    folder. Memory is bounded by the windows of the compressor (about 16 MiB per thread), for files of
    any size.
    """

    def __init__(self, output: Writable, *, threads: int | None = None) -> None:
        # One and several workers give the same bytes; a compressor without workers gives other bytes.
        workers = max(1, min(threads or os.cpu_count() or 1, 8))
        self._stream = zstandard.ZstdCompressor(level=LEVEL, threads=workers, write_checksum=True).stream_writer(
            cast(BinaryIO, output), closefd=False
        )
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._files: set[str] = set()
        self._emit(header_writer.folder_member(FILES, {"STRATA.version": b"%d" % VERSION}))
        self._emit(header_writer.folder_member(HIVES, {}))

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.close()

    def add(
        self, entry: Entry, data: BinaryIO | bytes | None = None, streams: Iterable[tuple[str, BinaryIO | bytes]] = ()
    ) -> tuple[bytes | None, list[bytes]]:
        """Add an entry; return (SHA-256 of its unnamed stream, list of those of its named streams), raw digests.

        ``data`` yields exactly ``entry.size`` bytes and must be seekable if the entry is sparse.
        ``streams`` are the named streams in the order of ``entry.streams``. The digest covers the file as
        it is read, with holes as zeros; it is None if the entry has no unnamed stream.

        Raises:
            InvalidInput layers.entry: an archive cannot carry the entry.
            InvalidInput layers.changed: a source does not have the size that the entry states.
            InternalError layers.streams: ``streams`` are not those of the entry.
        """
        header_writer.check_entry(entry)
        if entry.kind == model.LINK and entry.link_target not in self._files:
            target = printable(entry.link_target or "")
            raise InvalidInput(
                f"{printable(entry.path)} is a hard link to {target}, which is not an earlier file of the layer.",
                code="layers.entry",
                hint="Add the file that the link leads to, or replace the link with a copy of the file.",
                path=printable(entry.path),
            )
        self._emit(header_writer.entry_member(entry))
        digest = None
        if entry.kind in (model.FILE, model.HIVE):
            digest = self._copy(entry.path, b"" if data is None else data, entry.size, entry.sparse)
            if entry.kind == model.FILE:
                self._files.add(entry.path)
        sources = list(streams) if entry.streams else []
        if [name for name, _source in sources] != [name for name, _size in entry.streams]:
            raise InternalError(
                f"The streams passed for {printable(entry.path)} differ from the streams of the entry.",
                code="layers.streams",
            )
        digests = []
        for (name, size), (_name, source) in zip(entry.streams, sources):
            self._emit(header_writer.stream_member(entry, name, size))
            digests.append(self._copy(f"{entry.path}:{name}", source, size, None))
        return digest, digests

    def close(self) -> None:
        """Write the end of the archive; ``output`` stays open."""
        self._emit(tar.END)
        self._flush()
        self._stream.close()

    def _emit(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_size += len(data)
        if self._pending_size >= _SMALL:
            self._flush()

    def _flush(self) -> None:
        self._stream.write(b"".join(self._pending))
        self._pending.clear()
        self._pending_size = 0

    def _copy(self, name: str, source: BinaryIO | bytes, size: int, runs: list[tuple[int, int]] | None) -> bytes:
        if isinstance(source, (bytes, bytearray, memoryview)):
            if len(source) != size:
                raise _changed(name)
            if runs is None:
                self._emit(bytes(source))
                self._emit(tar.padding(size))
                return hashlib.sha256(source).digest()
            source = io.BytesIO(source)
        if runs is not None:
            return self._copy_runs(name, source, size, runs)
        digest = hashlib.sha256()
        self._copy_bytes(name, source, size, digest.update)
        if source.read(1):
            raise _changed(name)
        self._emit(tar.padding(size))
        return digest.digest()

    def _copy_runs(self, name: str, source: BinaryIO, size: int, runs: list[tuple[int, int]]) -> bytes:
        digest = hashlib.sha256()
        position = stored = 0
        for offset, length in [*runs, (size, 0)]:
            while position < offset:
                step = min(offset - position, _CHUNK)
                digest.update(_ZEROS[:step])
                position += step
            source.seek(offset)
            self._copy_bytes(name, source, length, digest.update)
            position += length
            stored += length
        self._emit(tar.padding(stored))
        return digest.digest()

    def _copy_bytes(self, name: str, source: BinaryIO, count: int, update: Callable[[bytes], object]) -> None:
        """Write the next ``count`` bytes of ``source`` and pass them to ``update``."""
        while count:
            data = source.read(min(count, _CHUNK))
            if not data:
                raise _changed(name)
            update(data)
            self._emit(data)
            count -= len(data)


def _changed(name: str) -> InvalidInput:
    return InvalidInput(
        f"The size of {printable(name)} changed while the file was read.",
        code="layers.changed",
        hint="Stop all programs that write to the layer's source and run again.",
        path=printable(name),
    )
