# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock file on a share, for short changes of a file that several composers make.

Shares have no common locks: flock does not exist over SMB and is often local to a host over NFS. The lock is a file that is
created only if it does not exist, which every file server does atomically. A holder works for at most HELD seconds, and then
gives up without writing. A lock file that is older than STALE seconds by the clock of the file server was left by a killed
process, and is removed. For that, a second lock file is created in the same way, so that two waiting processes do not remove
the lock of each other.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from ...common.atomic_files import TEMPORARY_PREFIX
from ...common.errors import Conflict, StrataError
from ...shares.share import Share

#: Seconds that a process may hold the lock, after which a lock file is stale, and that a process waits for the lock.
HELD, STALE, WAIT = 20.0, 60.0, 180.0
_PAUSE = 0.4
_MAX_HOLDER = 1000


class ShareClock:
    """The clock of the file server, in which the times of files are recorded."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._known: tuple[float, float] | None = None

    def now(self) -> float:
        """Return the time in seconds since 1970, as a new file would get it."""
        if self._known is None:
            path = f"{TEMPORARY_PREFIX}clock-{secrets.token_hex(8)}"
            self._share.create_new(path, b"\0")
            status = self._share.stat(path)
            self._share.remove(path)
            self._known = (status.mtime_ns / 1e9 if status else time.time(), time.monotonic())
        server, own = self._known
        return server + time.monotonic() - own


class ShareLock:
    """The lock file ``path`` on ``share``. Threads of this process wait for each other, too."""

    def __init__(self, share: Share, path: str, clock: ShareClock) -> None:
        self._share, self._path, self._clock = share, path, clock
        self._thread_lock = threading.Lock()
        self._token = b""
        self._since = 0.0

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock during a block. The block calls ``check`` before it replaces a file.

        Raises:
            Conflict: ``distribution.folder_locked`` if other processes hold the lock for too long.
        """
        with self._thread_lock:
            self._acquire()
            try:
                yield
            finally:
                self._release()

    def check(self) -> None:
        """Raise Conflict (``distribution.folder_lock_lost``) if the lock was held for so long that others may have taken it."""
        if not self._is_valid():
            raise Conflict(
                f"The change of {self._share.name} took more than {HELD:.0f} s, and was given up.",
                code="distribution.folder_lock_lost",
                hint="Check the file server and the network, and run again.",
            )

    def _acquire(self) -> None:
        holder = {"host": socket.gethostname()[:200], "process": os.getpid(), "token": secrets.token_hex(16)}
        self._token = json.dumps(holder, sort_keys=True).encode("utf-8")
        deadline = time.monotonic() + WAIT
        while True:
            self._since = time.monotonic()
            # A created file whose answer was lost counts as created by this process.
            if self._share.create_new(self._path, self._token) or self._holder() == self._token:
                return
            if not self._break_stale():
                if time.monotonic() > deadline:
                    raise self._locked()
                time.sleep(_PAUSE * random.uniform(0.1, 1))

    def _release(self) -> None:
        with contextlib.suppress(StrataError, OSError):
            if self._is_valid() or self._holder() == self._token:
                self._share.remove(self._path)

    def _is_valid(self) -> bool:
        """Return whether no process can have taken the lock: it is far from stale."""
        return time.monotonic() - self._since <= HELD

    def _holder(self) -> bytes:
        try:
            return self._share.read(self._path, _MAX_HOLDER)
        except FileNotFoundError:
            return b""
        except Conflict:
            # Over SMB, a file that was removed exists until the last client closes it, and cannot be opened.
            return b""

    def _break_stale(self) -> bool:
        """Remove a lock file that a killed process left; return whether the lock may be free now."""
        holder, stale = self._holder(), self._is_stale(self._path)
        if stale is None:
            return True
        if not stale:
            return False
        breaking = f"{self._path}-break"
        if not self._share.create_new(breaking, self._token):
            if self._is_stale(breaking):
                self._remove(breaking)
            return False
        try:
            if self._holder() == holder and self._is_stale(self._path):
                self._remove(self._path)
        finally:
            self._remove(breaking)
        return True

    def _remove(self, path: str) -> None:
        # Another process may remove the file at the same time.
        with contextlib.suppress(Conflict):
            self._share.remove(path)

    def _is_stale(self, path: str) -> bool | None:
        try:
            status = self._share.stat(path)
        except Conflict:
            return False
        return None if status is None else self._clock.now() - status.mtime_ns / 1e9 > STALE

    def _locked(self) -> Conflict:
        try:
            holder = json.loads(self._holder())
            by = f"process {int(holder['process'])} of {str(holder['host'])[:100]!r}"
        except (ValueError, KeyError, TypeError, RecursionError):
            by = "other processes"
        return Conflict(
            f"The folder {self._share.name} was locked by {by} for more than {WAIT:.0f} s.",
            code="distribution.folder_locked",
            hint=f"Run again. If no other composer uses the folder, remove the file {self._share.where(self._path)}.",
        )
