# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository as a playbook wants it: there, verified, or cleaned up."""

from __future__ import annotations

from ..common.errors import Corrupt, NotFound
from ..common.module import Outcome
from ..repository.collect import collect, verify
from ..repository.repository import Repository


def open_repository(params: dict, *, check_mode: bool = True) -> Repository:
    """Open the repository that a module's options name; for writing unless in check mode."""
    return Repository.open(params["repository"], writable=not check_mode)


def ensure_repository(params: dict, *, check_mode: bool) -> Outcome:
    """Bring the repository into ``state``."""
    if params["state"] == "present":
        return _present(params, check_mode)
    repository = open_repository(params, check_mode=check_mode or params["state"] == "verified")
    return _verified(repository) if params["state"] == "verified" else _collected(repository, params, check_mode)


def _present(params: dict, check_mode: bool) -> Outcome:
    path = params["repository"]
    try:
        Repository.open(path, writable=not check_mode)
        return Outcome(False, {"repository": path}, {"repository": path})
    except NotFound:
        if not check_mode:
            repository = Repository.open(path, create=True)
            repository.audit.append("create", "repository", path, comment=params["comment"])
        return Outcome(True, None, {"repository": path})


def _verified(repository: Repository) -> Outcome:
    damages = verify(repository)
    if damages:
        raise Corrupt(
            f"The repository {repository.path} is damaged: {damages[0].message}" + (f" ({len(damages) - 1} more)" if len(damages) > 1 else ""),
            code="repository.damaged",
            hint="Restore the blobs from a backup, or make the layers again.",
            damaged=[damage.to_dict() for damage in damages],
        )
    return Outcome(False, result={"damaged": [], "blobs": len(repository.layout.blobs.digests())})


def _collected(repository: Repository, params: dict, check_mode: bool) -> Outcome:
    found = collect(repository, dry_run=check_mode)
    changed = bool(found.blobs or found.temporaries)
    if changed and not check_mode:
        repository.audit.append("collect", "repository", repository.path, comment=params["comment"], details={"freed": found.freed, "blobs": len(found.blobs)})
    return Outcome(changed, {"unneeded_blobs": found.blobs}, {"unneeded_blobs": []}, {"freed": found.freed})
