# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams over what is read or written at places: they keep the position, so that io and tarfile can use them."""

from __future__ import annotations

import io


class SeekableStream(io.RawIOBase):
    """A raw stream with a position of its own; ``size`` is its length in bytes, kept true by the subclass."""

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        self.size = size
        self._position = 0

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place, which may lie behind the end; one before the start is the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position


class SeekableReader(SeekableStream):
    """One that is read; a subclass says in ``_read_at`` what stands where."""

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """All of the next ``size`` bytes; fewer only where the stream ends."""
        if self.closed:  # pylint: disable=using-constant-test  # a property, which it takes for a method
            raise ValueError("read of closed file")
        left = max(0, self.size - self._position)
        count = left if size is None or size < 0 else min(size, left)
        if not count:
            return b""
        data = self._read_at(self._position, count)
        self._position += len(data)
        return data

    def readinto(self, buffer) -> int:
        """Fill ``buffer`` as far as the stream goes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _read_at(self, position: int, count: int) -> bytes:
        """The ``count`` bytes at ``position``, all of them within ``size``; fewer where the source was cut short."""
        raise NotImplementedError
