# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seekable streams over data that is read or written at offsets: they keep the position for io and tarfile."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class SeekableStream(io.RawIOBase, BinaryIO):
    """A raw stream with its own position. ``size`` is its length in bytes; the subclass updates it."""

    #: The content of the stream, for error messages.
    name: str = ""

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        self.size = size
        self._position = 0

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset, which may be behind the end; an offset before the start becomes 0."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position


class SeekableReader(SeekableStream):
    """A stream that is read; a subclass implements ``_read_at``."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return all of the next ``size`` bytes; fewer only at the end of the stream."""
        if self.closed:  # pylint: disable=using-constant-test  # a property, which pylint takes for a method
            raise ValueError("read of closed file")
        left = max(0, self.size - self._position)
        count = left if size is None or size < 0 else min(size, left)
        if not count:
            return b""
        data = self._read_at(self._position, count)
        self._position += len(data)
        return data

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer`` up to the end of the stream and return the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _read_at(self, position: int, count: int) -> bytes:
        """Return the ``count`` bytes at ``position``, all within ``size``; fewer if the source is truncated."""
        raise NotImplementedError
