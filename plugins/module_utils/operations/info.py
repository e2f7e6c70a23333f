# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The info modules: what the repository holds, without changing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog import document_collections, noise_profiles
from ..catalog.kinds import IMAGE, LAYER_KINDS, PACKAGING, layer_kind
from ..catalog.layer_document import LayerDocument
from ..catalog.noise_profile_record import NoiseProfileRecord
from ..catalog.publish_task_record import PublishTaskRecord
from ..catalog.spelling import lookup_warnings
from ..catalog.templates import describe, resolve
from ..common.errors import StrataError
from ..common.outcome import Outcome
from ..layers.layer_version import KINDS, OS
from ..publish.publish_task import RUNNING
from ..repository.repository import Repository
from .options import RepositoryOptions

#: The kinds in the audit history for the names that other modules use, and for names that have changed.
_AUDIT_KINDS = {
    **{kind: (layer_kind(kind),) for kind in KINDS},
    **dict.fromkeys(("layered_image", IMAGE), ("layered_image", IMAGE)),
    "packaging_machine": (PACKAGING,),
}


@dataclass(frozen=True, kw_only=True)
class InfoOptions:
    """Options of the info modules: filters, of which None selects everything, and ``limit``, the number of results."""

    repository: RepositoryOptions
    name: str | None = None
    kind: str | None = None
    template: str | None = None
    status: tuple[str, ...] = ()
    since: str | None = None
    limit: int = 100

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> InfoOptions:
        """Read the parameters of an info module, each of which has some of these options."""
        return cls(
            repository=RepositoryOptions.from_params(params),
            name=params.get("name"),
            kind=params.get("kind"),
            template=params.get("template"),
            status=tuple(params.get("status") or ()),
            since=params.get("since"),
            limit=max(params.get("limit") or 0, 0),
        )


def layer_info(options: InfoOptions) -> Outcome:
    """Return layers by kind and name, their versions oldest first.

    Raises:
        NotFound: ``repository.missing``; other codes of ``Repository.open``.
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    repository = options.repository.open()
    kinds = [LAYER_KINDS.get(options.kind, options.kind)] if options.kind else KINDS
    layers = [layer for kind in kinds for layer in document_collections.layers(repository, kind).all()]
    profiles = noise_profiles.records_by_digest(repository)
    found = [_describe_layer(layer, profiles) for name, layer in layers if options.name in (None, name)]
    warnings = lookup_warnings("layer", options.name, (name for name, _layer in layers))
    return Outcome(False, result={"layers": found}, warnings=warnings)


def _describe_layer(layer: LayerDocument, profiles: Mapping[str, NoiseProfileRecord]) -> dict[str, Any]:
    versions = []
    for version in layer.sorted_versions():
        described = layer.versions[version].to_dict() | {"version": version}
        if layer.kind == OS:
            profile = profiles.get(described["digest"])
            described["noise_profile"] = profile.result() if profile else None
        versions.append(described)
    return layer.to_dict() | {"versions": versions}


def image_template_info(options: InfoOptions) -> Outcome:
    """Return image templates with the digests of what they name; ``problem`` says why one cannot be resolved.

    Raises:
        NotFound, Corrupt: as ``layer_info``.
    """
    repository = options.repository.open()
    found = []
    templates = document_collections.templates(repository).all()
    for name, template in templates:
        if options.name in (None, name):
            try:
                found.append(describe(template, resolve(repository, template)) | {"problem": None})
            except StrataError as error:
                found.append(template.to_dict() | {"problem": str(error)})
    warnings = lookup_warnings("image template", options.name, (name for name, _template in templates))
    return Outcome(False, result={"templates": found}, warnings=warnings)


def connector_info(options: InfoOptions) -> Outcome:
    """Return connectors by name.

    Raises:
        NotFound, Corrupt: as ``layer_info``.
    """
    connectors = document_collections.connectors(options.repository.open()).all()
    found = [connector.result() for name, connector in connectors if options.name in (None, name)]
    warnings = lookup_warnings("connector", options.name, (name for name, _connector in connectors))
    return Outcome(False, result={"connectors": found}, warnings=warnings)


def layered_image_info(options: InfoOptions) -> Outcome:
    """Return published images, the newest of each template first.

    Raises:
        NotFound, Corrupt: as ``layer_info``.
    """
    documents = document_collections.images(options.repository.open()).all()
    found = [
        image.result()
        for template, document in documents
        if options.template in (None, template)
        for image in document.images
    ]
    warnings = lookup_warnings("image template", options.template, (template for template, _document in documents))
    return Outcome(False, result={"images": found}, warnings=warnings)


def task_info(options: InfoOptions) -> Outcome:
    """Return publish tasks, the newest first.

    Raises:
        NotFound, Corrupt: as ``layer_info``.
    """
    repository = options.repository.open()
    stored = [task for _name, task in document_collections.tasks(repository).all()]
    tasks = [
        task
        for task in stored
        if options.template in (None, task.template) and (not options.status or task.status in options.status)
    ]
    tasks.sort(key=lambda task: (task.created, task.id), reverse=True)
    alive = _Alive(repository)
    found = [task.result() | {"alive": alive.works_on(task)} for task in tasks[: options.limit]]
    warnings = lookup_warnings("image template", options.template, (task.template for task in stored))
    return Outcome(False, result={"tasks": found}, warnings=warnings)


class _Alive:
    """Finds out whether processes work on tasks; the lock of each template is read once."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._since: dict[str, str | None] = {}

    def works_on(self, task: PublishTaskRecord) -> bool:
        """Return whether a process that holds the template's lock has written the task."""
        if task.status != RUNNING:
            return False
        if task.template not in self._since:
            self._since[task.template] = self._repository.locks.held_since(f"publish/{task.template}")
        since = self._since[task.template]
        # A process that publishes the template in a different vCenter holds the same lock.
        return since is not None and (task.updated or "") >= since


def audit_info(options: InfoOptions) -> Outcome:
    """Return records of the audit history, the newest first.

    Raises:
        NotFound: as ``layer_info``.
        InvalidInput: ``repository.audit_time`` if ``since`` is not a time.
    """
    records = options.repository.open().audit.read(
        kinds=_AUDIT_KINDS.get(options.kind, (options.kind,)) if options.kind else None,
        name=options.name,
        since=options.since,
        limit=options.limit,
    )
    return Outcome(False, result={"records": records[::-1]})
