# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs that this host has verified: remembered by inode, size and times, so that a large disk is not hashed each time.

The memory is in the user's cache folder (``$XDG_CACHE_HOME/strata.layering/verified``), never in the repository, where
another host could vouch for the blob.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..common.atomic_files import atomic_write
from ..common.errors import Corrupt, NoSpace

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes from which on verifying again takes longer than remembering.
_MIN_REMEMBERED = 1 << 20


class VerifiedBlobs:
    """The memory of verified blobs; ``path`` returns the path of a blob."""

    def __init__(self, path: Callable[[str], str]) -> None:
        self._path = path

    def has(self, digest: str) -> bool:
        """Return whether this host has verified or written the blob, and it did not change since then."""
        try:
            with open(self._file(digest), "rb") as stream:
                return json.loads(stream.read(1024)) == self._state(digest)
        except (OSError, ValueError, RecursionError):
            return False

    def add(self, digest: str) -> None:
        """Remember a blob that was verified or written; a small blob is verified each time."""
        # If the home folder cannot be written, the blob is only verified again.
        with contextlib.suppress(OSError, NoSpace):
            state = self._state(digest)
            if state[2] >= _MIN_REMEMBERED:
                file = self._file(digest)
                os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
                atomic_write(file, json.dumps(state).encode("ascii"), 0o600)

    def forget(self, digest: str) -> None:
        """Forget a blob."""
        with contextlib.suppress(OSError):
            os.unlink(self._file(digest))

    def _file(self, digest: str) -> str:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        key = hashlib.sha256(os.fsencode(os.path.realpath(self._path(digest)))).hexdigest()
        return os.path.join(base, "strata.layering", "verified", key)

    def _state(self, digest: str) -> list:
        status = os.stat(self._path(digest))
        return [digest, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


class VerifyingReader(io.RawIOBase):
    """A stream that hashes a blob while it is read, and raises Corrupt at its end if digest or size are wrong."""

    def __init__(self, stream: io.FileIO, digest: str, size: int, verified: VerifiedBlobs) -> None:
        super().__init__()
        self._stream = stream
        self._digest = digest
        self._verified = verified
        self._before = os.fstat(stream.fileno())
        self._hash = hashlib.sha256()
        self._position = 0
        self.size = size
        if not size:
            self._check()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = self._stream.readinto(buffer)
        self._hash.update(memoryview(buffer)[:count])
        self._position += count
        if not count and self._position < self.size:
            raise wrong_blob(self._digest, f"ends after {self._position} of {self.size} bytes")
        if count and self._position >= self.size:
            self._check()
        return count

    def _check(self) -> None:
        if self._position != self.size or "sha256:" + self._hash.hexdigest() != self._digest:
            raise wrong_blob(self._digest, "does not have the content that its digest names")
        after = os.fstat(self._stream.fileno())
        if (after.st_size, after.st_mtime_ns, after.st_ctime_ns) == (
            self._before.st_size,
            self._before.st_mtime_ns,
            self._before.st_ctime_ns,
        ):
            self._verified.add(self._digest)

    def close(self) -> None:
        self._stream.close()
        super().close()


def wrong_blob(digest: str, problem: str) -> Corrupt:
    """Return the error for a blob whose content is not what its digest names."""
    return Corrupt(
        f"The blob {digest} of the repository {problem}.",
        code="repository.blob_corrupt",
        hint="Verify the repository with state verified. Restore the damaged content from a backup, or build it again. "
        "If the repository has an upstream, delete the file of the blob: it is fetched again.",
        digest=digest,
    )
