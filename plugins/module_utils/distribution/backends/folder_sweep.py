# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing from a folder of layers what nothing uses: blobs of deleted versions, and leftovers of killed pushes.

Registries have garbage collection; in a folder, composers that push do it, at most once a day. Everything that is younger
than a day is kept: another composer may be about to refer to it. A blob that a push needs after all is missed when its
manifest is stored; the push then fails and succeeds when it is repeated.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ...common.atomic_files import ABANDONED, TEMPORARY_PREFIX
from ...common.errors import StrataError
from ...oci_registry.model import is_digest
from ...shares.share import join
from .layout_index import BLOBS

if TYPE_CHECKING:
    from .folder import Folder

#: The file whose time is that of the last removal.
SWEPT = ".strata-swept"


def sweep_if_due(folder: Folder) -> None:
    """Remove what nothing uses, unless a composer has done so within a day. Failures are ignored: a later push tries again."""
    with contextlib.suppress(StrataError, OSError):
        status = folder.share.stat(SWEPT)
        oldest = folder.clock.now() - ABANDONED
        if status is not None and status.mtime_ns / 1e9 > oldest:
            return
        folder.share.write(SWEPT, b"")
        if status is not None:
            _sweep(folder, oldest)


def _sweep(folder: Folder, oldest: float) -> None:
    for path in ("", BLOBS):
        for name, status in folder.share.names(path):
            if name.startswith(TEMPORARY_PREFIX) and not status.is_folder and status.mtime_ns / 1e9 < oldest:
                folder.share.remove(join(path, name))
    # Read most manifests before the lock is taken.
    index = folder.current_index()
    index.remove(folder.forgotten(index, oldest))
    needed = folder.reachable(index)
    if needed is None:
        return
    unused = [
        digest
        for name, status in folder.share.names(BLOBS)
        if is_digest(digest := f"sha256:{name}") and digest not in needed and status.mtime_ns / 1e9 < oldest
    ]
    folder.remove_unused(oldest, unused)
