# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State ``present`` of a repository: its folder exists, and it has the registry of record that the options name."""

from __future__ import annotations

from typing import Any

from ...common.errors import Conflict, NotFound
from ...common.outcome import Outcome
from ...distribution.record.state import forget
from ...repository.repository import Repository, refuse_unusable
from ...repository.upstream import UpstreamSettings
from ...repository.upstream_blobs import shared_blobs
from .repository_module_options import RepositoryModuleOptions
from .upstream_options import UpstreamOptions

_MAX_SHOWN = 5


def create(module_options: RepositoryModuleOptions, check_mode: bool) -> Outcome:
    """Create the repository unless it exists, and set its registry of record.

    Raises:
        InvalidInput, Unsupported, Unavailable, Corrupt: as ``Repository.open``.
        Conflict: ``operations.upstream_needed`` if the registry of record is removed although only it has some blobs.
    """
    options = module_options.repository
    path = options.path
    try:
        repository = options.open(check_mode=check_mode)
    except NotFound:
        settings = module_options.upstream.settings if module_options.upstream else None
        if check_mode:
            refuse_unusable(path)
        else:
            repository = Repository.open(path, create=True)
            repository.audit.append("create", "repository", path, comment=options.comment)
            if settings is not None:
                _store(repository, settings, options.comment)
        return Outcome(True, None, _shown(path, settings))
    before = repository.upstream_settings
    after = before if module_options.upstream is None else _desired(repository, module_options.upstream)
    if after != before and not check_mode:
        _store(repository, after, options.comment)
    return Outcome(after != before, _shown(path, before), _shown(path, after))


def _shown(path: str, upstream: UpstreamSettings | None) -> dict[str, Any]:
    return {"repository": path} | ({"upstream": upstream.to_dict()} if upstream else {})


def _desired(repository: Repository, options: UpstreamOptions) -> UpstreamSettings | None:
    """Return the registry of record after the change; refuse to remove it while something is only there."""
    if options.settings is None and repository.upstream_settings is not None:
        missing = [digest for digest in shared_blobs(repository) if not repository.layout.has(digest)]
        if missing:
            raise Conflict(
                f"The upstream {repository.upstream_settings.location} cannot be removed: "
                f"data of layers is only there ({len(missing)} blobs).",
                code="operations.upstream_needed",
                hint="Create a new repository, and pull the layers and templates into it with strata.layering.layer_transfer. "
                "Do not delete layers here: they would be deleted in the upstream, too.",
                blobs=missing[:_MAX_SHOWN],
            )
    return options.settings


def _store(repository: Repository, settings: UpstreamSettings | None, comment: str | None) -> None:
    before = repository.upstream_settings
    if settings is None or before is None or settings.location != before.location:
        forget(repository)
    repository.set_upstream(settings)
    repository.audit.append(
        "update",
        "repository",
        repository.path,
        comment=comment,
        details={
            "upstream": {
                "before": before.to_dict() if before else None,
                "after": settings.to_dict() if settings else None,
            }
        },
    )
