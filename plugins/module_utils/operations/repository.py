# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository as a playbook wants it: there, verified, or cleaned up."""

from __future__ import annotations

import contextlib
import os
import time

from ..catalog.documents import IMAGE, PACKAGING, TEMPLATE
from ..catalog.layers import catalog_kind
from ..catalog.templates import resolve
from ..common.errors import Conflict, Corrupt, NotFound
from ..common.outcome import Outcome
from ..images.thin_image import reference_of, stored
from ..layers.layer_version import APP, OS, PLATFORM
from ..repository.garbage_collection import GRACE, collect, verify
from ..repository.repository import Repository, refuse_unusable


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
        if check_mode:
            refuse_unusable(path)
        else:
            repository = Repository.open(path, create=True)
            repository.audit.append("create", "repository", path, comment=params["comment"])
        return Outcome(True, None, {"repository": path})


def _verified(repository: Repository) -> Outcome:
    damages = verify(repository)
    if damages:
        raise Corrupt(
            f"The repository {repository.path} is damaged: {damages[0].message}"
            + (f" ({len(damages) - 1} more)" if len(damages) > 1 else ""),
            code="operations.repository_damaged",
            hint="Restore the blobs from a backup, or make the layers again.",
            damaged=[damage.to_dict() for damage in damages],
        )
    return Outcome(False, result={"damaged": [], "blobs": len(repository.layout.blobs.digests())})


def _collected(repository: Repository, params: dict, check_mode: bool) -> Outcome:
    outdated, abandoned = _outdated_images(repository), _abandoned_layers(repository)
    found = collect(repository, references=[*outdated, *abandoned], dry_run=check_mode)
    changed = bool(outdated or abandoned or found.blobs or found.temporaries)
    if changed and not check_mode:
        repository.audit.append(
            "collect",
            "repository",
            repository.path,
            comment=params["comment"],
            details={"freed": found.freed, "blobs": len(found.blobs)},
        )
    before = {"unneeded_blobs": found.blobs, "outdated_images": outdated, "abandoned_layers": abandoned}
    return Outcome(changed, before, dict.fromkeys(before, []), {"freed": found.freed})


def _outdated_images(repository: Repository) -> list[str]:
    """References of thin images that no template makes any more and that are not published: they can be composed again.

    What a packaging machine was given is kept: composed again it could be other bytes, with which its disk cannot be compared.
    """
    kept = {
        image["content_digest"]
        for _name, document in repository.catalog.documents(IMAGE)
        for image in document["images"]
    }
    kept |= {document["given"]["content_digest"] for _name, document in repository.catalog.documents(PACKAGING)}
    for _name, document in repository.catalog.documents(TEMPLATE):
        with contextlib.suppress(NotFound, Conflict):
            kept.add(resolve(repository, document).content_digest)
    return [reference_of(digest) for digest in stored(repository) if digest not in kept]


def _abandoned_layers(repository: Repository) -> list[str]:
    """References of layer versions that no layer's document has, left by a process that was killed while it made or removed one.

    One that was made within the time of grace may be about to come into the catalogue.
    """
    known = {
        entry["digest"]
        for kind in (OS, APP, PLATFORM)
        for _name, document in repository.catalog.documents(catalog_kind(kind))
        for entry in document["versions"].values()
    }
    oldest = time.time() - GRACE
    return [
        reference
        for reference, item in repository.layout.references().items()
        if reference.startswith("layers/") and item.digest not in known and _made(repository, item.digest) < oldest
    ]


def _made(repository: Repository, digest: str) -> float:
    try:
        return os.stat(repository.layout.blobs.path(digest)).st_mtime
    except FileNotFoundError:
        return 0.0
