# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remember the sessions of unfinished uploads, so that the next run resumes them.

A record is a file with the current URL of a session. The URL gives the right to write to the upload: only the owner can read the
file. The process that uploads holds a lock on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time

from ...common.composer_paths import TEMPORARY_PREFIX
from ..connection.exchange import Request

#: Bytes of a record, and seconds after which registries remove an unfinished upload at the latest.
_LONGEST, _OLDEST = 16 << 10, 7 * 86400
#: The beginning of a file's name; garbage collection removes such files when they are a day old.
_PREFIX = f"{TEMPORARY_PREFIX}upload-"


class UploadRecord:
    """The record of one blob in one repository of a registry. Failures of the file system only lose the record."""

    def __init__(self, folder: str | None, request: Request, digest: str) -> None:
        """Open the record of an upload that ``request`` would begin; another process may be using it."""
        self._descriptor = -1
        if folder is None:
            return
        key = hashlib.sha256(f"{request.url}\n{request.repository}\n{digest}".encode()).hexdigest()
        self._path = os.path.join(folder, _PREFIX + key)
        with contextlib.suppress(OSError):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._path, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
            else:
                self._descriptor = descriptor

    def url(self) -> str | None:
        """Return the URL of the unfinished session, None if there is none."""
        if self._descriptor < 0:
            return None
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if time.time() - os.fstat(self._descriptor).st_mtime < _OLDEST:
                return os.pread(self._descriptor, _LONGEST, 0).decode() or None
        return None

    def save(self, url: str | None) -> None:
        """Remember the current URL of the session, or that there is none."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            data = (url or "").encode()
            os.pwrite(self._descriptor, data, 0)
            os.ftruncate(self._descriptor, len(data))

    def finish(self, *, done: bool) -> None:
        """Close the record; remove it if the upload is complete or there is nothing to resume."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        with contextlib.suppress(OSError):
            if done or not os.fstat(descriptor).st_size:
                os.unlink(self._path)
        os.close(descriptor)
