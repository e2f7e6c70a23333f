# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Garbage collection: remove data that nothing in the repository refers to."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..common.composer_paths import TEMPORARY_PREFIX
from ..common.errors import Corrupt
from ..common.progress import Progress, silent
from .reachability import DocumentCheck, Reachable

if TYPE_CHECKING:
    from .repository import Repository

#: Seconds for which everything is kept, as a process may be about to refer to it.
GRACE = 24 * 3600.0


@dataclass
class Collected:
    """The removed data (on a dry run: the data that would be removed): ``freed`` bytes, blobs by digest, temporary files.

    ``kept_young`` counts blobs that nothing refers to and that are not old enough, ``kept_young_bytes`` their bytes.
    """

    freed: int = 0
    blobs: list[str] = field(default_factory=list)
    temporaries: int = 0
    kept_young: int = 0
    kept_young_bytes: int = 0


def collect(
    repository: Repository,
    *,
    references: Collection[str] = (),
    grace: float = GRACE,
    dry_run: bool = False,
    check: DocumentCheck | None = None,
    progress: Progress = silent,
) -> Collected:
    """Remove ``references``, blobs that nothing else refers to, and temporary files, if older than ``grace`` seconds.

    Blobs are kept if a reference of index.json, a document or the pin of a living task names them, directly or
    through a manifest. ``check`` raises StrataError for a document whose content is damaged.

    Raises:
        Corrupt: ``repository.collect_unsafe`` if a manifest or document cannot be read, as its needs are not
            known then. Nothing is removed.
        Conflict: ``repository.lock_held`` if another process cleans up the repository.
    """
    result = Collected()
    with repository.locks.hold("collect", timeout=600, purpose="collect the repository"):
        for reference in () if dry_run else references:
            repository.layout.remove_reference(reference)
        reachable = Reachable.from_repository(repository, without=references, check=check)
        reachable.add_pins(repository.pins.live(sweep=not dry_run))
        if reachable.broken:
            raise Corrupt(
                f"The repository cannot be cleaned up: {reachable.broken[0].message}",
                code="repository.collect_unsafe",
                hint="Verify the repository with state verified, and restore or delete the damaged content.",
                damaged=[damage.to_dict() for damage in reachable.broken],
            )
        oldest = server_time(repository.path) - grace
        unneeded = [digest for digest in repository.layout.blobs.digests() if digest not in reachable.needs]
        for number, digest in enumerate(unneeded):
            _remove_blob(repository, digest, oldest, dry_run, result)
            progress("collect", number + 1, len(unneeded))
        _sweep_temporaries(repository.path, oldest, dry_run, result)
    return result


def _remove_blob(repository: Repository, digest: str, oldest: float, dry_run: bool, result: Collected) -> None:
    try:
        status = os.stat(repository.layout.blobs.path(digest))
    except FileNotFoundError:
        return
    if status.st_mtime > oldest:
        result.kept_young += 1
        result.kept_young_bytes += status.st_size
        return
    result.blobs.append(digest)
    result.freed += status.st_size if dry_run else repository.layout.blobs.remove(digest)


def server_time(folder: str) -> float:
    """Return the file server's time, in which the times of blobs are recorded."""
    path = os.path.join(folder, "tmp", TEMPORARY_PREFIX + secrets.token_hex(12))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, b"\0")
        os.fsync(descriptor)
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        os.unlink(path)


def _sweep_temporaries(root: str, oldest: float, dry_run: bool, result: Collected) -> None:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not os.path.islink(os.path.join(folder, name))]
        for name in names:
            if not name.startswith(TEMPORARY_PREFIX):
                continue
            path = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                if status.st_mtime > oldest:
                    continue
                if not dry_run:
                    os.unlink(path)
                result.temporaries += 1
                result.freed += status.st_size
