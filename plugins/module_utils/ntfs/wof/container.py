# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read files that CompactOS compressed: a reparse point of Windows Overlay Filter (WOF) and the stream WofCompressedData.

The stream begins with a table: for each chunk but the first, the offset of its data from the end of the table. An entry has 4 bytes,
or 8 bytes if the plain data has 4 GiB or more. A chunk whose stored size is its plain size is not compressed.

Sources: WOF_EXTERNAL_INFO and FILE_PROVIDER_EXTERNAL_INFO in Microsoft's documentation of wofapi.h and ntifs.h; wimlib and
ntfs-3g-system-compression for the stream, which has the form of a resource of a WIM archive.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ...common.errors import Corrupt, Unsupported
from . import lzx, xpress
from .huffman import DamagedData

#: The stream with the compressed data of a file.
STREAM = "WofCompressedData"
#: The codes of errors of files whose data cannot be read.
UNREADABLE = ("ntfs.compact_os_damaged", "ntfs.compact_os_provider")
_TAG = struct.pack("<I", 0x80000017)
#: Reparse header (tag, length, reserved), WOF_EXTERNAL_INFO (version, provider), version and algorithm of the provider.
_HEADER = struct.Struct("<IHHII")
_FILE_PROVIDER_FIELDS = struct.Struct("<II")
_WIM_PROVIDER, _FILE_PROVIDER = 1, 2
_FIRST_LONG_TABLE = 1 << 32
#: Bytes of the largest table that is kept in memory; of a larger table, entries are read when they are needed.
_KEPT_TABLE = 1 << 20
#: Chunks that are read at a time.
_BATCH = 64


@dataclass(frozen=True)
class Compression:
    """How a file is compressed: its name, the plain bytes of a chunk, and the decoder of a chunk (data, plain size)."""

    name: str
    chunk_size: int
    decompress: Callable[[bytes, int], bytes]


#: The algorithms by their number in FILE_PROVIDER_EXTERNAL_INFO.
ALGORITHMS = {
    0: Compression("XPRESS4K", 4096, xpress.decompress),
    1: Compression("LZX", 32768, lzx.decompress),
    2: Compression("XPRESS8K", 8192, xpress.decompress),
    3: Compression("XPRESS16K", 16384, xpress.decompress),
}


class Source(Protocol):
    """The compressed data."""

    @property
    def size(self) -> int:
        """Bytes of the data."""

    def pread(self, count: int, offset: int) -> bytes:
        """Return ``count`` bytes from ``offset``."""

    def close(self) -> None:
        """Release the data."""


def is_compressed(reparse: bytes | None) -> bool:
    """Return whether a reparse point says that Windows stores the data of its file outside of the unnamed stream."""
    return reparse is not None and reparse[:4] == _TAG


def read_compression(reparse: bytes, describe: Callable[[], str]) -> Compression:
    """Return the compression that a reparse point of WOF names; ``describe`` returns the file in error messages.

    Raises:
        Corrupt ntfs.compact_os_damaged: the reparse point is truncated.
        Unsupported ntfs.compact_os_provider: the data is not in the file, or is compressed in an unknown way.
    """
    if len(reparse) < _HEADER.size:
        raise damaged(describe(), "its reparse point is truncated")
    _tag, _length, _reserved, _version, provider = _HEADER.unpack_from(reparse)
    if provider == _WIM_PROVIDER:
        raise _unsupported(describe(), "its data is in a WIM archive (WIMBoot)")
    if provider != _FILE_PROVIDER:
        raise _unsupported(describe(), f"Windows Overlay Filter has an unknown provider {provider} for it")
    if len(reparse) < _HEADER.size + _FILE_PROVIDER_FIELDS.size:
        raise damaged(describe(), "its reparse point is truncated")
    version, algorithm = _FILE_PROVIDER_FIELDS.unpack_from(reparse, _HEADER.size)
    if version != 1 or algorithm not in ALGORITHMS:
        raise _unsupported(describe(), f"it is compressed with an unknown algorithm {algorithm} (version {version})")
    return ALGORITHMS[algorithm]


def damaged(subject: str, cause: str) -> Corrupt:
    """Return the error for a compressed file, called ``subject``, that contradicts itself."""
    return Corrupt(
        f"The {subject} cannot be decompressed: {cause}.",
        code="ntfs.compact_os_damaged",
        hint="Run 'sfc /scannow' in the VM that the file comes from, shut it down and export it again.",
    )


def _unsupported(subject: str, cause: str) -> Unsupported:
    return Unsupported(
        f"The {subject} cannot be read: {cause}.",
        code="ntfs.compact_os_provider",
        hint="Run 'compact /compactos:never' in the VM that the file comes from, shut it down and export it again.",
    )


class CompressedStream:
    """The plain data of a compressed file, a context manager; reads only the chunks that are needed.

    ``source`` is the stream WofCompressedData, which is closed with this object. ``size`` is the size of the plain data in bytes,
    which is the size of the unnamed stream. ``describe`` returns the file in error messages.

    Raises:
        Corrupt ntfs.compact_os_damaged: the table does not fit into the stream.
    """

    def __init__(self, source: Source, compression: Compression, size: int, describe: Callable[[], str]) -> None:
        self.size = size
        self._source = source
        self._compression = compression
        self._describe = describe
        self._chunks = -(-size // compression.chunk_size)
        self._width = 8 if size >= _FIRST_LONG_TABLE else 4
        self._begin = max(self._chunks - 1, 0) * self._width
        if self._begin > source.size:
            raise self._damaged(f"its table of chunks needs {self._begin} bytes, its stream has {source.size} bytes")
        self._table: bytes | None = None
        self._last: tuple[int, bytes] = -1, b""

    def __enter__(self) -> CompressedStream:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the compressed stream."""
        self._source.close()

    def pread(self, count: int, offset: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``; fewer only at the end.

        Raises:
            Corrupt ntfs.compact_os_damaged: the table or a chunk contradicts itself.
        """
        count = max(min(count, self.size - offset), 0)
        if not count:
            return b""
        chunk_size = self._compression.chunk_size
        first, last = offset // chunk_size, (offset + count - 1) // chunk_size
        parts: list[bytes] = []
        for start in range(first, last + 1, _BATCH):
            parts += self._read_chunks(start, min(start + _BATCH - 1, last))
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        begin = offset - first * chunk_size
        return data if not begin and count == len(data) else data[begin : begin + count]

    def copy_to(self, write: Callable[[bytes], object]) -> None:
        """Pass all data to ``write(bytes)`` in pieces."""
        piece = _BATCH * self._compression.chunk_size
        for offset in range(0, self.size, piece):
            write(self.pread(piece, offset))

    def _read_chunks(self, first: int, last: int) -> list[bytes]:
        if first == last == self._last[0]:
            return [self._last[1]]
        bounds = self._bounds(first, last)
        stored = self._source.pread(bounds[-1] - bounds[0], self._begin + bounds[0])
        chunks = [
            self._decompress(number, stored[start - bounds[0] : end - bounds[0]])
            for number, start, end in zip(range(first, last + 1), bounds, bounds[1:])
        ]
        self._last = last, chunks[-1]
        return chunks

    def _bounds(self, first: int, last: int) -> list[int]:
        """Return the offsets at which the chunks from ``first`` to ``last`` begin, and the end of ``last``, after checking them."""
        start = max(first - 1, 0)
        end = min(last + 1, self._chunks - 1)
        entries = self._entries(start, end - start)
        bounds = list(struct.unpack(f"<{end - start}{'Q' if self._width == 8 else 'L'}", entries))
        if not first:
            bounds.insert(0, 0)
        if last + 1 == self._chunks:
            bounds.append(self._source.size - self._begin)
        limit = self._source.size - self._begin
        for number, chunk_start, chunk_end in zip(range(first, last + 1), bounds, bounds[1:]):
            if not chunk_start < chunk_end <= limit or chunk_end - chunk_start > self._plain_size(number):
                raise self._damaged(
                    f"its chunk {number} is stored from {chunk_start} to {chunk_end}; the stream has {limit} bytes of chunks"
                )
        return bounds

    def _entries(self, number: int, count: int) -> bytes:
        """Return entries of the table."""
        begin, end = number * self._width, (number + count) * self._width
        if self._begin > _KEPT_TABLE:
            return self._source.pread(end - begin, begin)
        if self._table is None:
            self._table = self._source.pread(self._begin, 0)
        return self._table[begin:end]

    def _plain_size(self, number: int) -> int:
        return min(self._compression.chunk_size, self.size - number * self._compression.chunk_size)

    def _decompress(self, number: int, stored: bytes) -> bytes:
        size = self._plain_size(number)
        if len(stored) == size:
            return stored
        try:
            return self._compression.decompress(stored, size)
        except DamagedData as error:
            raise self._damaged(f"chunk {number} of its data ({self._compression.name}) is damaged, {error}") from error

    def _damaged(self, cause: str) -> Corrupt:
        return damaged(self._describe(), cause)
