# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unpacked byte stream of an archive, and the members of it that hold the contents of files."""

from __future__ import annotations

import collections
import gzip
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Protocol, cast

from ..common.errors import Corrupt
from ..common.optional_imports import zstandard

CHUNK = 1 << 20
_ZEROS = bytes(CHUNK)
_MAX_WINDOW = 1 << 27
#: Number of chunks that are unpacked in advance.
_AHEAD = 3


class Readable(Protocol):
    """An object with the ``read`` of a binary file."""

    def read(self, count: int = -1, /) -> bytes:
        """Return at most ``count`` bytes."""


class ArchiveStream:
    """The unpacked tar stream of an archive, limited to ``bound`` bytes and read in large chunks.

    ``label`` names the layer in errors. With ``ahead``, a thread unpacks the next chunks until ``close``.
    """

    def __init__(self, source: BinaryIO, label: str, bound: int, *, ahead: bool = False) -> None:
        self._label = label
        head = source.read(4)
        joined = _Joined(head, source)
        self._failures: tuple[type[BaseException], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
        self._raw: Readable
        if head == b"\x28\xb5\x2f\xfd":
            self._raw = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
                cast(BinaryIO, joined), read_across_frames=True
            )
            self._failures += (zstandard.ZstdError,)
        elif head[:2] == b"\x1f\x8b":
            self._raw = gzip.GzipFile(fileobj=cast(BinaryIO, joined))
        else:
            self._raw = joined
        self._buffer = b""
        self._at = 0
        self._bound = self._left = bound
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="unpack") if ahead else None
        self._coming: collections.deque[Future[bytes]] = collections.deque()

    def damaged(self, problem: str) -> Corrupt:
        """Return the error for an archive that breaks the format."""
        return Corrupt(
            f"The archive of {self._label} is damaged: {problem}.",
            code="layers.archive_corrupt",
            hint="Verify the repository, then fetch or build the layer version again.",
            layer=self._label,
        )

    def read_some(self, count: int) -> bytes:
        """Return between one and ``count`` bytes.

        Raises:
            Corrupt layers.archive_corrupt: the data cannot be decompressed or exceeds the limit.
            Corrupt layers.archive_truncated: the data ends before the end of the archive.
        """
        available = len(self._buffer) - self._at
        if not available:
            self._buffer = self._next_chunk()
            self._at = 0
            available = len(self._buffer)
        start = self._at
        self._at += min(count, available)
        return self._buffer[start : self._at]

    def take(self, count: int) -> bytes:
        """Return exactly ``count`` bytes."""
        piece = self.read_some(count) if count else b""
        if len(piece) == count:
            return piece
        pieces = [piece]
        missing = count - len(piece)
        while missing:
            pieces.append(self.read_some(missing))
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def skip(self, count: int) -> None:
        """Skip ``count`` bytes."""
        while count:
            count -= len(self.read_some(count))

    def close(self) -> None:
        """Stop unpacking in advance; afterwards only the caller reads from the source."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _next_chunk(self) -> bytes:
        try:
            chunk = self._unpack()
        except self._failures as error:
            raise self.damaged(f"it cannot be decompressed ({error})") from None
        if not chunk:
            raise Corrupt(
                f"The archive of {self._label} is truncated: its end marker is missing.",
                code="layers.archive_truncated",
                hint="Verify the repository, then fetch or build the layer version again.",
                layer=self._label,
            )
        self._left -= len(chunk)
        if self._left < 0:
            raise self.damaged(f"its unpacked size exceeds {self._bound} bytes")
        return chunk

    def _unpack(self) -> bytes:
        if self._pool is None:
            return self._raw.read(CHUNK)
        while len(self._coming) <= _AHEAD:
            self._coming.append(self._pool.submit(self._raw.read, CHUNK))
        return self._coming.popleft().result()


class _Joined:
    """A file that returns the bytes read to detect its format once more."""

    def __init__(self, head: bytes, source: BinaryIO) -> None:
        self._head = head
        self._source = source

    def read(self, count: int = -1) -> bytes:
        """Read like a binary file."""
        if not self._head:
            return self._source.read(count)
        head, self._head = (
            (self._head, b"") if count < 0 or count >= len(self._head) else (self._head[:count], self._head[count:])
        )
        return head


class Member:
    """The bytes of a file or named stream in an archive, read once from front to back.

    It is valid until the next member is requested.
    """

    def __init__(self, stream: ArchiveStream, size: int, runs: list[tuple[int, int]] | None = None) -> None:
        self.size = size
        self._stream = stream
        self._runs = [(0, size)] if runs is None else runs
        self._stored = sum(length for _offset, length in self._runs)
        self._position = 0
        self._run = 0

    @property
    def data_runs(self) -> list[tuple[int, int]]:
        """Return (offset, length) of the runs that hold data."""
        return list(self._runs)

    def read(self, count: int = -1) -> bytes:
        """Return the next ``count`` bytes (all that are left if negative), fewer only at the end; holes are zeros."""
        count = self.size - self._position if count < 0 else min(count, self.size - self._position)
        pieces = []
        while count:
            while self._run < len(self._runs) and self._position >= sum(self._runs[self._run]):
                self._run += 1
            offset, length = self._runs[self._run] if self._run < len(self._runs) else (self.size, 0)
            if self._position < offset:
                piece = _ZEROS[: min(count, offset - self._position)]
            else:
                piece = self._stream.read_some(min(count, offset + length - self._position))
                self._stored -= len(piece)
            pieces.append(piece)
            self._position += len(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def runs(self, count: int = CHUNK) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, bytes) of the data from the current position, without holes, at most ``count`` bytes a step."""
        for offset, length in self._runs[self._run :]:
            end = offset + length
            self._position = max(self._position, min(offset, self.size))
            while self._position < end:
                position = self._position
                yield position, self.read(min(count, end - position))

    def finish(self) -> None:
        """Skip the bytes that were not read."""
        self._stream.skip(self._stored)
        self._stored = 0
        self._position = self.size
