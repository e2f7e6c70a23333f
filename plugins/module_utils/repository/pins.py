# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins: what a running task needs is not collected, whether or not anything refers to it yet."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import socket
from collections.abc import Iterable, Iterator

from ..common.errors import Unavailable
from .blobs import check_digest
from .lock import Locks
from .space import space_for

_MAX_PIN = 1 << 24
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


class Pin:
    """A list of digests that are kept while the process that made it lives and its block runs."""

    def __init__(self, descriptor: int, purpose: str) -> None:
        self._descriptor = descriptor
        self._document = {"host": socket.gethostname(), "pid": os.getpid(), "purpose": purpose[:1000], "digests": []}

    def add(self, digests: Iterable[str]) -> None:
        """Pin further blobs, or manifests with all they refer to."""
        known = self._document["digests"]
        known.extend(check_digest(digest) for digest in digests)
        data = json.dumps(self._document).encode("ascii")
        # Only ever longer, and one write: a reader sees the old list or the new.
        with space_for("a pin"):
            os.pwrite(self._descriptor, data, 0)
            os.fsync(self._descriptor)


class Pins:
    """The pins in ``folder``; each is a file on which its task holds a lock, which dies with the task."""

    def __init__(self, folder: str, locks: Locks) -> None:
        self._folder = folder
        self._locks = locks

    @contextlib.contextmanager
    def pin(self, digests: Iterable[str] = (), *, purpose: str = "") -> Iterator[Pin]:
        """Keep ``digests`` (manifests with all they refer to) from being collected during the block."""
        path = os.path.join(self._folder, secrets.token_hex(12) + ".json")
        with self._locks.hold("collect", shared=True, timeout=600, purpose="pin"):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise Unavailable(
                    f"The repository folder {self._folder} cannot be written ({error.strerror}).",
                    code="repository.read_only",
                    hint="Give the user that runs the playbook write access to the repository.",
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
        """Digests pinned by living tasks; with ``sweep`` the files of dead ones are removed."""
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
    # Not as JSON: a list that grows while it is read may be cut off.
    return {digest.decode("ascii") for digest in _DIGEST.findall(data)}
