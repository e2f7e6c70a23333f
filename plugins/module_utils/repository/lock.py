# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between processes and hosts: flock on files of the repository's ``locks`` folder.

The kernel releases a lock when its holder dies, so no lock is ever stale. Lock files are never
removed: two processes could hold the lock if a file that another process waits for were removed. Their
content only serves to name the holder in an error. On NFS and SMB mounts flock has the scope of the
server's byte-range locks; a mount that refuses it is reported. A process cannot take a lock twice.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator

from ..common.composer_paths import current_user
from ..common.errors import Conflict, Unavailable, Unsupported
from .encoding import encoded_name

_WAIT = 0.02
_LONGEST_WAIT = 0.5
_MAX_NOTE = 4096


class Locks:
    """The locks of one repository."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def hold(
        self, name: str, *, shared: bool = False, timeout: float = 60.0, purpose: str = "", subject: str = ""
    ) -> Iterator[None]:
        """Hold the lock ``name`` for the block, waiting up to ``timeout`` seconds for it.

        ``purpose`` says in the errors of other processes what the block does. ``subject`` begins the error of this process
        when another process holds the lock, such as "The template office is being published already".

        On a read-only repository shared locks are not taken, as no process can write there.

        Raises:
            Conflict: ``repository.lock_held``, with host, process, purpose and time of the holder.
            Unavailable: ``repository.lock_unavailable`` if the lock file cannot be written.
            Unsupported: ``repository.lock_unsupported`` if the file system refuses locks.
        """
        path = os.path.join(self._folder, encoded_name(name) + ".lock")
        descriptor = self._open(path, shared)
        if descriptor is None:
            yield
            return
        try:
            self._wait(descriptor, name, subject, shared, timeout)
            _write_note(descriptor, purpose)
            try:
                yield
            finally:
                # Explicit, because a forked child may still have the descriptor open.
                with contextlib.suppress(OSError):
                    if not shared:
                        os.ftruncate(descriptor, 0)
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    @staticmethod
    def _open(path: str, shared: bool) -> int | None:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if shared and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                return None
            raise Unavailable(
                f"The lock file {path} cannot be written ({error.strerror}).",
                code="repository.lock_unavailable",
                hint=f"Give the user {current_user()} write access to the repository.",
            ) from error

    @staticmethod
    def _wait(descriptor: int, name: str, subject: str, shared: bool, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        wait = _WAIT
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                    raise Unsupported(
                        f"The file system of the repository refuses locks ({error.strerror}).",
                        code="repository.lock_unsupported",
                        hint="Mount the share with locking (NFS: without nolock; SMB: without nobrl).",
                    ) from error
                if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EINTR):
                    raise
            left = deadline - time.monotonic()
            if left <= 0:
                holder = _holder(descriptor)
                raise Conflict(
                    f"{subject}, by {holder}." if subject else f"The repository's lock {name!r} is held by {holder}.",
                    code="repository.lock_held",
                    hint="Wait until that run has ended, and run again.",
                    lock=name,
                )
            time.sleep(min(wait, left))
            wait = min(wait * 1.5, _LONGEST_WAIT)

    def held_since(self, name: str) -> str | None:
        """Return the time since when a process has held the lock exclusively, None if no process does.

        The lock is taken for a moment if its last holder was killed.
        """
        try:
            descriptor = os.open(os.path.join(self._folder, encoded_name(name) + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        note = _note(descriptor)
        try:
            if note is None:
                return None
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            held = error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
            return note["since"] if note and held else None
        finally:
            os.close(descriptor)
        return None


def _write_note(descriptor: int, purpose: str) -> None:
    note = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "purpose": purpose[:1000],
        "since": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode("ascii"), 0)


def _note(descriptor: int) -> dict[str, str] | None:
    """Return the note of the holder, None when it is missing or damaged."""
    try:
        note = json.loads(os.pread(descriptor, _MAX_NOTE, 0))
        return {"pid": str(int(note["pid"]))} | {key: str(note[key]) for key in ("host", "since", "purpose")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _holder(descriptor: int) -> str:
    note = _note(descriptor)
    if note is None:
        return "another process"
    text = f"process {note['pid']} on {note['host']} since {note['since']}"
    return f"{text} ({note['purpose']})" if note["purpose"] else text
