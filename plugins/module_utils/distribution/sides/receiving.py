# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receiving a blob into a repository: one process at a time, continued after a kill."""

from __future__ import annotations

from collections.abc import Callable

from ...repository.blobs import Descriptor
from ...repository.repository import Repository

#: Seconds for which a process waits until another process has received the same blob: a disk over a slow line.
_PATIENCE = 24 * 3600.0


def receive_blob(repository: Repository, blob: Descriptor, fill: Callable[[str], None]) -> bool:
    """Store a blob that ``fill`` writes to a path and verifies, unless it is stored; return whether it was received.

    Raises:
        Corrupt, NoSpace: as ``Blobs.receive``.
    """
    if repository.layout.has(blob.digest):
        return False
    # A lock file for each blob would stay for ever; blobs that share one are rarely received at the same time.
    lock = f"receive-{blob.digest[7:9]}"
    with repository.locks.hold(lock, timeout=_PATIENCE, purpose=f"receive the blob {blob.digest}"):
        if repository.layout.has(blob.digest):
            return False
        repository.layout.blobs.receive(blob, fill)
    return True
