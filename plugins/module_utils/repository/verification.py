# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifying a repository: every blob, manifest and document is read."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..common.errors import NotFound, StrataError
from ..common.progress import Progress, silent
from .reachability import Damage, DocumentCheck, Need, Reachable
from .upstream_blobs import shared_blobs

if TYPE_CHECKING:
    from .repository import Repository


def verify(repository: Repository, progress: Progress = silent, *, check: DocumentCheck | None = None) -> list[Damage]:
    """Read every blob, manifest and document; return what is damaged, sorted.

    Blobs that the registry of record has are not missing; ``missing_upstream`` asks the registry about them.
    ``check`` raises StrataError for a document whose content is damaged. Blobs that nothing refers to are
    verified, too. This takes as long as reading the whole repository.
    """
    reachable = Reachable.from_repository(repository, check=check)
    damages = set(reachable.broken)
    present = repository.layout.blobs.digests()
    total = 0
    for digest in present:
        with contextlib.suppress(NotFound):
            total += repository.layout.size(digest)
    done = 0
    for digest in present:
        need = reachable.needs.get(digest, Need())
        users = tuple(sorted(need.users))
        try:
            size = repository.layout.blobs.verify(digest, _part_of(progress, done, total))
            done += size
            if need.size is not None and size != need.size:
                message = f"The blob {digest} has {size} bytes, but {need.size} are expected."
                damages.add(Damage("size", digest, message, users))
        except StrataError as error:
            damages.add(Damage("digest", digest, error.message, users))
        except OSError as error:
            damages.add(Damage("digest", digest, f"The blob {digest} cannot be read: {error.strerror}.", users))
    for digest in reachable.needs.keys() - set(present):
        need = reachable.needs[digest]
        if need.size is not None and not _is_shared(repository, digest):
            users = tuple(sorted(need.users))
            damages.add(Damage("missing", digest, f"The blob {digest} is missing.", users))
    return sorted(damages, key=lambda damage: (damage.problem, damage.subject, damage.message))


def _is_shared(repository: Repository, digest: str) -> bool:
    return repository.upstream_blobs is not None and repository.upstream_blobs.find(digest) is not None


@dataclass(frozen=True)
class UpstreamCheck:
    """What the registry of record has of the blobs that are not stored here: the number of ``blobs``, and what is missing."""

    blobs: int
    damages: list[Damage]


def missing_upstream(repository: Repository, progress: Progress = silent) -> UpstreamCheck:
    """Ask the registry of record for every blob of a layer version that is not stored here; one request each.

    Raises:
        Unavailable: the registry of record cannot be reached.
    """
    if repository.upstream_blobs is None:
        return UpstreamCheck(0, [])
    absent = [digest for digest in shared_blobs(repository) if not repository.layout.has(digest)]
    damages = []
    for number, digest in enumerate(absent, 1):
        if not repository.upstream_blobs.has_upstream(digest):
            message = f"The blob {digest} is missing here and in {repository.upstream_blobs.label}."
            damages.append(Damage("missing", digest, message))
        progress("ask the upstream", 100 * number // len(absent), 100)
    return UpstreamCheck(len(absent), damages)


def _part_of(progress: Progress, done: int, total: int) -> Progress:
    """Return a progress for one blob that reports the progress of the whole repository in bytes."""

    def report(step: str, read: int, _size: int | None) -> None:
        progress(step, done + read, total)

    return report
