# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State ``collected`` of a repository: unused data is removed."""

from __future__ import annotations

import contextlib
import os
import time

from ...catalog import document_collections
from ...catalog.task_retention import find_expired_tasks, remove_expired_tasks
from ...catalog.templates import resolve
from ...common.errors import Conflict, NotFound
from ...common.outcome import Outcome
from ...distribution.adoption.copies import find_copies
from ...layers.layer_version import KINDS
from ...repository.audit_parts import Moved
from ...repository.garbage_collection import GRACE, Collected, collect
from ...repository.repository import Repository
from .cache import cache_result, limit_cache
from .repository_module_options import RepositoryModuleOptions


def collect_unused(options: RepositoryModuleOptions, check_mode: bool) -> Outcome:
    """Remove what no layer and no image uses.

    Raises:
        NotFound, InvalidInput, Unsupported, Unavailable: as ``Repository.open``.
        Corrupt: ``repository.collect_unsafe`` if damage keeps the repository from being cleaned up.
    """
    repository = options.repository.open(check_mode=check_mode)
    tasks, moved = _retain(repository, options, check_mode)
    outdated, abandoned = _outdated_images(repository), _abandoned_layers(repository)
    result = collect(
        repository, references=[*outdated, *abandoned], dry_run=check_mode, check=document_collections.check_document
    )
    evicted, warnings = limit_cache(repository, check_mode=check_mode)
    changed = bool(
        outdated or abandoned or result.blobs or result.temporaries or evicted.blobs or tasks or moved.records
    )
    if changed and not check_mode:
        retained = {"tasks": len(tasks), "audit_records": moved.records}
        repository.audit.append(
            "collect",
            "repository",
            repository.path,
            comment=options.repository.comment,
            details={
                "freed": result.freed,
                "blobs": len(result.blobs),
                **({"evicted": len(evicted.blobs), "evicted_bytes": evicted.freed} if evicted.blobs else {}),
                **{key: count for key, count in retained.items() if count},
            },
        )
    before = {
        "unneeded_blobs": result.blobs,
        "outdated_images": outdated,
        "abandoned_layers": abandoned,
        "old_tasks": tasks,
        "old_audit_records": dict(sorted(moved.months.items())),
    }
    kept = {"kept_young": result.kept_young, "kept_young_bytes": result.kept_young_bytes}
    if evicted.blobs:
        before["evicted"] = evicted.blobs
    after = {key: type(value)() for key, value in before.items()}
    retained_result = {"removed_tasks": tasks, "moved_audit_records": moved.records}
    message = " ".join(filter(None, (_kept(result), _copies(repository, abandoned))))
    shown = {"freed": result.freed, **kept, **retained_result, "message": message} | cache_result(evicted)
    return Outcome(changed, before, after, shown, warnings)


def _retain(repository: Repository, options: RepositoryModuleOptions, check_mode: bool) -> tuple[list[str], Moved]:
    """Remove old tasks and move old records of the audit history, as far as the options say so."""
    tasks: list[str] = []
    if options.task_max_age_days is not None and check_mode:
        tasks = [task.id or "" for task in find_expired_tasks(repository, options.task_max_age_days)]
    elif options.task_max_age_days is not None:
        tasks = remove_expired_tasks(repository, options.task_max_age_days)
    moved = Moved()
    if options.audit_max_age_days is not None:
        moved = repository.audit.move(options.audit_max_age_days, dry_run=check_mode)
    return tasks, moved


def unused_references(repository: Repository) -> list[str]:
    """Return the references that collecting removes: outdated images, and layer versions that no document names."""
    return [*_outdated_images(repository), *_abandoned_layers(repository)]


def _kept(result: Collected) -> str:
    """Return the sentence about unused data that is still kept."""
    if not result.kept_young:
        return "The repository contains no other unused data."
    hours = round(GRACE / 3600)
    blobs, are, they, them = (
        ("blob", "is", "it is", "it") if result.kept_young == 1 else ("blobs", "are", "they are", "them")
    )
    return (
        f"{result.kept_young} unused {blobs} ({result.kept_young_bytes} bytes) {are} kept, because {they} younger than"
        f" {hours} hours and another run may be about to use {them}. A later call removes {them}."
    )


def _copies(repository: Repository, abandoned: list[str]) -> str:
    """Return the sentence about layer versions that other tools copied; ``abandoned`` references are removed."""
    count = sum(not set(copy.references) & set(abandoned) for copy in find_copies(repository).unknown)
    if not count:
        return ""
    versions, are, them = ("layer version", "is", "it") if count == 1 else ("layer versions", "are", "them")
    return f"{count} {versions} in the folder {are} not in the catalog, such as copies by other tools. Adopt {them} with state adopted."


def _outdated_images(repository: Repository) -> list[str]:
    """Return references of thin images that no template yields any more and that are not published.

    They can be composed again. The image that a packaging machine was created with is kept: composed again
    it could have other bytes, with which the disk of the VM cannot be compared.
    """
    from ...images.stored.thin_image import reference_of, stored

    kept = {
        image.content_digest
        for _name, document in document_collections.images(repository).all()
        for image in document.images
    }
    kept |= {record.base.content_digest for _name, record in document_collections.packaging_records(repository).all()}
    for _name, template in document_collections.templates(repository).all():
        with contextlib.suppress(NotFound, Conflict):
            kept.add(resolve(repository, template).content_digest)
    return [reference_of(digest) for digest in stored(repository) if digest not in kept]


def _abandoned_layers(repository: Repository) -> list[str]:
    """Return references of layer versions that no document names: a process was killed while it added or removed one.

    A version that was built within the grace period may still be recorded.
    """
    known = {
        entry.digest
        for kind in KINDS
        for _name, layer in document_collections.layers(repository, kind).all()
        for entry in layer.versions.values()
    }
    oldest = time.time() - GRACE
    return [
        reference
        for reference, item in repository.layout.references().items()
        if reference.startswith("layers/") and item.digest not in known and _created(repository, item.digest) < oldest
    ]


def _created(repository: Repository, digest: str) -> float:
    try:
        return os.stat(repository.layout.blobs.path(digest)).st_mtime
    except FileNotFoundError:
        return 0.0
