# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of a repository with a registry of record: evict disks and archives that the registry can give back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .garbage_collection import server_time
from .reachability import Reachable

if TYPE_CHECKING:
    from .repository import Repository

#: Seconds after its last use in which a blob is never evicted: a run may be about to read it again.
IDLE = 3600.0


@dataclass(frozen=True)
class CacheBounds:
    """The limits of a cache: ``size`` in bytes, ``age`` in seconds since the last use; None for no limit."""

    size: int | None = None
    age: float | None = None


@dataclass
class Evicted:
    """The evicted blobs (on a dry run: the blobs that would be evicted) by digest, and ``freed`` bytes.

    ``cached`` is the size in bytes of the blobs that stay in the cache. ``only_here`` are blobs that the registry of record
    does not have, although a layer version lists them.
    """

    freed: int = 0
    blobs: list[str] = field(default_factory=list)
    cached: int = 0
    only_here: list[str] = field(default_factory=list)


def evict(
    repository: Repository,
    candidates: Collection[str],
    bounds: CacheBounds,
    *,
    idle: float = IDLE,
    dry_run: bool = False,
) -> Evicted:
    """Remove those of the blobs ``candidates`` that exceed ``bounds``, the least recently used first.

    A blob is removed only if the registry of record has it, it was not used for ``idle`` seconds, and no running task
    has pinned it.

    Raises:
        Unavailable: the registry of record cannot be reached. Nothing is removed.
        Conflict: ``repository.lock_held`` if another process cleans up the repository.
    """
    blobs, now = repository.layout.blobs, server_time(repository.path)
    stored = {digest: blobs.size(digest) for digest in candidates if blobs.has(digest)}
    last_use = {digest: blobs.last_use(digest) for digest in stored}
    result = Evicted(cached=sum(stored.values()))
    excess = 0 if bounds.size is None else result.cached - bounds.size
    oldest_use = None if bounds.age is None else now - bounds.age
    if excess <= 0 and (oldest_use is None or min(last_use.values(), default=now) >= oldest_use):
        return result
    pinned = _pinned(repository)
    confirmed: list[str] = []
    for digest in sorted(stored, key=lambda digest: (last_use[digest], digest)):
        is_old = oldest_use is not None and last_use[digest] < oldest_use
        if digest in pinned or now - last_use[digest] < idle or not (is_old or excess > 0):
            continue
        if repository.upstream_blobs is None or not repository.upstream_blobs.has_upstream(digest):
            result.only_here.append(digest)
            continue
        confirmed.append(digest)
        excess -= stored[digest]
    _remove(repository, confirmed, stored, last_use, dry_run, result)
    return result


def _pinned(repository: Repository) -> Collection[str]:
    """Return what running tasks need: the pinned blobs, and everything that pinned manifests refer to."""
    reachable = Reachable(repository)
    reachable.add_pins(repository.pins.live())
    return reachable.needs.keys()


def _remove(
    repository: Repository,
    confirmed: list[str],
    stored: dict[str, int],
    last_use: dict[str, float],
    dry_run: bool,
    result: Evicted,
) -> None:
    # No task can pin a blob while the lock is held. The registry was asked before, because tasks wait for the lock.
    with repository.locks.hold("collect", shared=dry_run, timeout=600, purpose="evict cached blobs"):
        pinned = _pinned(repository)
        for digest in confirmed:
            if digest in pinned or repository.layout.blobs.last_use(digest) > last_use[digest]:
                continue
            freed = stored[digest] if dry_run else repository.layout.blobs.remove(digest)
            result.blobs.append(digest)
            result.freed += freed
            result.cached -= freed
