# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State ``synced`` of a repository: it has what other composers changed in the registry of record."""

from __future__ import annotations

from typing import Any

from ...common.errors import InvalidInput
from ...common.outcome import Outcome
from ...common.progress import Progress, silent
from ...distribution.record.synchronization import SyncChange, Synchronization, SyncResult
from ...repository.cache import Evicted
from ...repository.repository import Repository
from ..distribution.record_upstream import attach_upstream
from .cache import cache_result, limit_cache
from .repository_module_options import RepositoryModuleOptions


def synchronize(options: RepositoryModuleOptions, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Take over what changed in the registry of record, and limit the cache.

    Raises:
        InvalidInput: ``operations.no_upstream`` if the repository has no registry of record; ``operations.upstream_differs`` if
            the option upstream describes a different registry.
        Unavailable: the registry cannot be reached, and the option offline is fail.
        StrataError: as ``Synchronization.run``.
    """
    repository = options.repository.open(check_mode=check_mode)
    settings = repository.upstream_settings
    if settings is None:
        raise InvalidInput(
            f"The repository {repository.path} has no upstream that it could be synchronized with.",
            code="operations.no_upstream",
            hint="Set the option upstream with state present first.",
        )
    if options.upstream is not None and options.upstream.settings != settings:
        raise InvalidInput(
            f"The option upstream differs from the upstream of the repository {repository.path}, {settings.location}.",
            code="operations.upstream_differs",
            hint="Set it with state present first, or remove the option upstream.",
        )
    upstream = attach_upstream(repository, settings)
    upstream.progress = progress
    connection = upstream.open()
    synchronization = Synchronization(repository, connection, options.repository.comment, progress)
    found = synchronization.run(check_mode=check_mode, full=options.full)
    if found.problem is not None and options.offline == "fail":
        raise found.problem
    return _outcome(repository, connection.label, found, check_mode)


def _outcome(repository: Repository, label: str, found: SyncResult, check_mode: bool) -> Outcome:
    warnings = [*found.warnings, *found.conflicts]
    if found.problem is not None:
        warnings.append(
            f"The repository {repository.path} was not synchronized: {found.problem.message} "
            "The run continues with what the repository has. New versions cannot be stored until the upstream can be reached."
        )
    evicted, more = (Evicted(), []) if found.problem else limit_cache(repository, check_mode=check_mode)
    result = cache_result(evicted) | {
        "online": found.online,
        "upstream": label,
        "changes": [_described(change) for change in found.changes],
        "conflicts": found.conflicts,
    }
    before = {str(change.item): change.before for change in found.changes if change.before is not None}
    after = {str(change.item): change.after for change in found.changes if change.after is not None}
    if evicted.blobs:
        before["evicted"], after["evicted"] = {"blobs": evicted.blobs}, {"blobs": []}
    return Outcome(bool(found.changes or evicted.blobs), before, after, result, [*warnings, *more])


def _described(change: SyncChange) -> dict[str, Any]:
    return {
        "action": change.action,
        "kind": change.item.kind,
        "name": change.item.name,
        "version": change.item.version,
    }
