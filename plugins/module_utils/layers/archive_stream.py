# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unpacked byte stream of an archive, and the parts of it that are the contents of files."""

from __future__ import annotations

import collections
import gzip
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from ..common.errors import Corrupt
from ..common.optional_imports import zstandard
from . import tar

CHUNK = 1 << 20
_ZEROS = bytes(CHUNK)
_MAX_WINDOW = 1 << 27
#: Chunks that are unpacked before they are asked for.
_AHEAD = 3


class Tape:
    """The unpacked tar stream, bounded, read in large chunks; with ``ahead`` a thread unpacks what comes next until it is closed."""

    def __init__(self, source: BinaryIO, bound: int, *, ahead: bool = False) -> None:
        head = source.read(4)
        joined = _Joined(head, source)
        self._failures: tuple[type[BaseException], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
        if head == b"\x28\xb5\x2f\xfd":
            self._raw = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
                joined, read_across_frames=True
            )
            self._failures += (zstandard.ZstdError,)
        elif head[:2] == b"\x1f\x8b":
            self._raw = gzip.GzipFile(fileobj=joined)
        else:
            self._raw = joined
        self._buffer = b""
        self._at = 0
        self._left = bound
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="unpack") if ahead else None
        self._coming: collections.deque[Future] = collections.deque()

    def some(self, count: int) -> bytes:
        """Between one and ``count`` bytes."""
        available = len(self._buffer) - self._at
        if not available:
            try:
                self._buffer = self._chunk()
            except self._failures as error:
                raise tar.damaged(f"it cannot be decompressed ({error})") from None
            self._at = 0
            available = len(self._buffer)
            if not available:
                raise Corrupt(
                    "The layer archive ends before its end mark.",
                    code="layers.archive_truncated",
                    hint="Fetch or build the layer version again.",
                )
            self._left -= available
            if self._left < 0:
                raise tar.damaged("it unpacks to more than is allowed")
        start = self._at
        self._at += min(count, available)
        return self._buffer[start : self._at]

    def close(self) -> None:
        """Unpack nothing more ahead: afterwards nobody reads from the source but the caller."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _chunk(self) -> bytes:
        if self._pool is None:
            return self._raw.read(CHUNK)
        while len(self._coming) <= _AHEAD:
            self._coming.append(self._pool.submit(self._raw.read, CHUNK))
        return self._coming.popleft().result()

    def take(self, count: int) -> bytes:
        """Exactly ``count`` bytes."""
        piece = self.some(count) if count else b""
        if len(piece) == count:
            return piece
        pieces = [piece]
        missing = count - len(piece)
        while missing:
            pieces.append(self.some(missing))
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes."""
        while count:
            count -= len(self.some(count))


class _Joined:
    """A file with the bytes that were read to recognise it put back in front."""

    def __init__(self, head: bytes, source: BinaryIO) -> None:
        self._head = head
        self._source = source

    def read(self, count: int = -1) -> bytes:
        """As a file's read."""
        if not self._head:
            return self._source.read(count)
        head, self._head = (
            (self._head, b"") if count < 0 or count >= len(self._head) else (self._head[:count], self._head[count:])
        )
        return head


class Part:
    """The bytes of one stream, read once from front to back; it lives until the next part is asked for."""

    def __init__(self, tape: Tape, size: int, runs: list[tuple[int, int]] | None = None) -> None:
        self.size = size
        self._tape = tape
        self._runs = [(0, size)] if runs is None else runs
        self._stored = sum(length for _offset, length in self._runs)
        self._position = 0
        self._run = 0

    @property
    def data_runs(self) -> list[tuple[int, int]]:
        """(offset, length) of the runs that hold data."""
        return list(self._runs)

    def read(self, count: int = -1) -> bytes:
        """The next ``count`` bytes (all that are left when negative), fewer only at the end; holes are zeros."""
        count = self.size - self._position if count < 0 else min(count, self.size - self._position)
        pieces = []
        while count:
            while self._run < len(self._runs) and self._position >= sum(self._runs[self._run]):
                self._run += 1
            offset, length = self._runs[self._run] if self._run < len(self._runs) else (self.size, 0)
            if self._position < offset:
                piece = _ZEROS[: min(count, offset - self._position)]
            else:
                piece = self._tape.some(min(count, offset + length - self._position))
                self._stored -= len(piece)
            pieces.append(piece)
            self._position += len(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def runs(self, count: int = CHUNK) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) of the data from the present position on, holes left out, at most ``count`` bytes a step."""
        for offset, length in self._runs[self._run :]:
            end = offset + length
            self._position = max(self._position, min(offset, self.size))
            while self._position < end:
                position = self._position
                yield position, self.read(min(count, end - position))

    def finish(self) -> None:
        """Skip what was not read."""
        self._tape.skip(self._stored)
        self._stored = 0
        self._position = self.size
