# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins: garbage collection keeps what a running task needs, even if nothing refers to it yet."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import socket
from collections.abc import Iterable, Iterator

from ..common.composer_paths import current_user
from ..common.errors import Unavailable
from .blobs import check_digest
from .lock import Locks
from .space import space_for

_MAX_PIN = 1 << 24
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


class Pin:
    """A list of digests that are kept until its block ends or its process dies."""

    def __init__(self, descriptor: int, purpose: str) -> None:
        self._descriptor = descriptor
        self._owner = {"host": socket.gethostname(), "pid": os.getpid(), "purpose": purpose[:1000]}
        self._digests: list[str] = []

    def add(self, digests: Iterable[str]) -> None:
        """Pin more blobs, or manifests with everything they refer to."""
        self._digests.extend(check_digest(digest) for digest in digests)
        data = json.dumps(self._owner | {"digests": self._digests}).encode("ascii")
        # The list only grows and is written at once: a reader sees the old list or the new list.
        with space_for("a pin"):
            os.pwrite(self._descriptor, data, 0)
            os.fsync(self._descriptor)


class Pins:
    """The pins in ``folder``. Each is a file that its task keeps locked; the lock ends with the task."""

    def __init__(self, folder: str, locks: Locks) -> None:
        self._folder = folder
        self._locks = locks

    @contextlib.contextmanager
    def pin(self, digests: Iterable[str] = (), *, purpose: str = "") -> Iterator[Pin]:
        """Keep ``digests``, and everything that manifests among them refer to, during the block."""
        path = os.path.join(self._folder, secrets.token_hex(12) + ".json")
        with self._locks.hold("collect", shared=True, timeout=600, purpose="pin"):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise Unavailable(
                    f"The repository folder {self._folder} cannot be written ({error.strerror}).",
                    code="repository.read_only",
                    hint=f"Give the user {current_user()} write access to the repository.",
                ) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                pin = Pin(descriptor, purpose)
                pin.add(digests)
            except BaseException:
                os.close(descriptor)
                os.unlink(path)
                raise
        try:
            yield pin
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def live(self, *, sweep: bool = False) -> set[str]:
        """Return the digests that running tasks have pinned; with ``sweep`` remove the files of tasks that died."""
        found: set[str] = set()
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if sweep:
                    os.unlink(path)
            except OSError:
                found |= _digests(os.pread(descriptor, _MAX_PIN, 0))
            finally:
                os.close(descriptor)
        return found


def _digests(data: bytes) -> set[str]:
    # Not read as JSON: a list that grows while it is read may be truncated.
    return {digest.decode("ascii") for digest in _DIGEST.findall(data)}
