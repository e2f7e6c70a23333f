# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a layer archive: the same entries give the same bytes, whoever writes them and when.

(The same version of the Zstandard library presumed; that is why layer versions are compared by the
digest of their file index and not by that of their archive.)
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from typing import BinaryIO

from ..common.errors import InvalidInput
from ..common.optional_imports import zstandard
from . import entry as model
from . import entry_headers, tar
from .entry import Entry, printable

LEVEL = 3
_CHUNK = 1 << 20
_SMALL = 256 * 1024
_ZEROS = bytes(_CHUNK)


class ArchiveWriter:
    """Writes entries, in the order given, to ``output`` (anything with ``write``).

    A context manager; leaving it without an exception writes the end of the archive. Parents come
    before children and a hard link after the file it names; whiteouts first in their folder. Memory
    is bounded by the compressor's windows (about 16 MiB a thread), whatever the files' sizes.
    """

    def __init__(self, output: BinaryIO, *, threads: int | None = None) -> None:
        # One worker and many give the same bytes; no worker at all would not.
        workers = max(1, min(threads or os.cpu_count() or 1, 8))
        self._stream = zstandard.ZstdCompressor(level=LEVEL, threads=workers, write_checksum=True).stream_writer(
            output, closefd=False
        )
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._files: set[str] = set()
        self._emit(entry_headers.folder_member(entry_headers.FILES, {"STRATA.version": b"%d" % entry_headers.VERSION}))
        self._emit(entry_headers.folder_member(entry_headers.HIVES, {}))

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.close()

    def add(
        self, entry: Entry, data: BinaryIO | bytes | None = None, streams: Iterable[tuple[str, BinaryIO | bytes]] = ()
    ) -> tuple[bytes | None, list[bytes]]:
        """Add one entry; return (SHA-256 of its unnamed stream, of each named stream), raw digests.

        ``data`` gives exactly ``entry.size`` bytes and must be able to seek when the entry is
        sparse; ``streams`` gives the streams in the order of ``entry.streams``. The digest is over
        the file as it is read, holes as zeros; None for what has no unnamed stream. InvalidInput
        when the entry cannot be carried, or when a source has not the size the entry says.
        """
        entry_headers.check_entry(entry)
        if entry.kind == model.LINK and entry.link_target not in self._files:
            target = printable(entry.link_target or "")
            raise InvalidInput(
                f"{printable(entry.path)} is a hard link to {target}, which is not in the layer before it.",
                code="layers.entry",
            )
        self._emit(
            entry_headers.entry_member(entry, entry_headers.HIVES if entry.kind == model.HIVE else entry_headers.FILES)
        )
        digest = None
        if entry.kind in (model.FILE, model.HIVE):
            digest = self._copy(entry, entry.path, b"" if data is None else data, entry.size, entry.sparse)
            if entry.kind == model.FILE:
                self._files.add(entry.path)
        given = list(streams) if entry.streams else []
        if [name for name, _data in given] != [name for name, _size in entry.streams]:
            raise InvalidInput(
                f"The streams given for {printable(entry.path)} are not those it lists.", code="layers.entry"
            )
        digests = []
        for (name, size), (_name, source) in zip(entry.streams, given):
            self._emit(entry_headers.stream_member(entry, name, size))
            digests.append(self._copy(entry, f"{entry.path}:{name}", source, size, None))
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

    def _copy(
        self, entry: Entry, name: str, source: BinaryIO | bytes, size: int, runs: list[tuple[int, int]] | None
    ) -> bytes:
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

    def _copy_bytes(self, name: str, source: BinaryIO, count: int, update: Callable[[bytes], None]) -> None:
        """Write the next ``count`` bytes of ``source`` and give them to ``update``."""
        while count:
            data = source.read(min(count, _CHUNK))
            if not data:
                raise _changed(name)
            update(data)
            self._emit(data)
            count -= len(data)


def _changed(name: str) -> InvalidInput:
    return InvalidInput(
        f"{printable(name)} changed its size while it was read.",
        code="layers.changed",
        hint="Let nothing write to the source and run again.",
    )
