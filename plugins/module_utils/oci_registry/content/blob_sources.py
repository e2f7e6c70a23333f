# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a blob that is uploaded, as bodies of requests that can be sent again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from ...common.errors import Corrupt, composer_error
from ..connection.exchange import PIECE

#: Called with the number of bytes of the blob that have been sent.
Sent = Callable[[int], None]


class BlobSource:
    """A file, or bytes, with a known digest and size. Use it as a context manager."""

    def __init__(self, source: str | bytes, digest: str, size: int) -> None:
        """Open a source.

        Raises:
            Corrupt: ``oci_registry.source`` if it does not have the size.
            StrataError: ``common.host_io`` if the file cannot be read.
        """
        self.digest = digest
        self.size = size
        self._data = source if isinstance(source, bytes) else b""
        self._path = "" if isinstance(source, bytes) else source
        self._descriptor = -1
        if self._path:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                found = os.fstat(self._descriptor).st_size
            except OSError as error:
                self.close()
                raise composer_error(error) from error
        else:
            found = len(self._data)
        if found != size:
            self.close()
            raise self._damaged(f"it has {found} bytes, expected {size} bytes")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def body(self, offset: int, length: int, sent: Sent) -> Range:
        """Return a part of the blob as the body of a request."""
        return Range(self, offset, length, sent)

    def check_digest(self) -> None:
        """Read everything; raise Corrupt (``oci_registry.source``) if it does not have the digest."""
        hasher = hashlib.sha256()
        for piece in self.body(0, self.size, _ignored):
            hasher.update(piece)
        if f"sha256:{hasher.hexdigest()}" != self.digest:
            raise self._damaged("its content has a different digest")

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill a buffer with the bytes from ``offset`` on; return their number. Raises Corrupt or StrataError."""
        if self._descriptor < 0:
            data = self._data[offset : offset + len(buffer)]
            buffer[: len(data)] = data
            count = len(data)
        else:
            try:
                count = os.preadv(self._descriptor, [buffer], offset)
            except OSError as error:
                error.filename = self._path
                raise composer_error(error) from error
        if not count:
            raise self._damaged(f"it was truncated at {offset} bytes while it was read")
        return count

    def _damaged(self, reason: str) -> Corrupt:
        where = f" in {self._path}" if self._path else ""
        return Corrupt(
            f"The blob {self.digest}{where} cannot be uploaded: {reason}.",
            code="oci_registry.source",
            hint="Verify the repository with state verified, and restore the damaged content from a backup.",
            digest=self.digest,
        )


class Range:
    """A part of a blob. Each iteration yields its bytes; a yielded view is valid until the next."""

    def __init__(self, source: BlobSource, offset: int, length: int, sent: Sent) -> None:
        self._source = source
        self._offset = offset
        self._length = length
        self._sent = sent

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        # requests sends no body if its truth value is false.
        return True

    def __iter__(self) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(min(PIECE, self._length)))
        position, end = self._offset, self._offset + self._length
        while position < end:
            count = self._source.read_into(buffer[: min(len(buffer), end - position)], position)
            yield buffer[:count]
            position += count
            self._sent(position)


def _ignored(position: int) -> None:
    """Ignore the progress of reading."""
