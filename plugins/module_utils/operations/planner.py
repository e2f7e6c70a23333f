# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a run: what would happen to each connector, image template and image, without changing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..catalog import document_collections
from ..catalog.connector_document import ConnectorDocument
from ..catalog.future import Future, PendingLayer
from ..catalog.image_record import ImageRecord
from ..catalog.references import refuse_in_use
from ..catalog.resolved_template import ResolvedTemplate
from ..catalog.template_document import TemplateDocument
from ..catalog.templates import resolve
from ..catalog.version_name import VersionRequest
from ..common.errors import Conflict, StrataError, composer_error
from ..common.progress import silent
from ..images.planning.plan import TemplatePlan, conflict_lines, plan_template
from ..layers.layer_version import APP, OS, PLATFORM
from ..publish.context import PublishOptions
from ..publish.decision import Step
from ..publish.machine import image_records
from ..publish.machine.vm_metadata import vcenter_record
from ..publish.publisher import Published, Publisher
from ..publish.retiring.retention import RetentionRule, plan_retention
from ..repository.repository import Repository
from ..vsphere.session import Session
from .connector import connector_document, test_connector
from .image_template import ImageTemplateOptions, desired_template, remaining_vms
from .options import RepositoryOptions
from .plan_summary import PlannedConnector
from .planned_image import (
    CHANGE,
    CREATE,
    DELETE,
    NONE,
    Change,
    PlannedImage,
    apply_publish_plan,
    changed_fields,
    composes,
    current_image,
    describe_error,
    layer_changes,
    planned_summary,
    reasons_to_publish,
    setting_changes,
)

_LATEST = (None, "latest")


@dataclass(frozen=True)
class Entry:
    """An element of the option ``templates`` or ``connectors``; ``problem`` is the error if it cannot be read."""

    params: Mapping[str, Any]
    problem: StrataError | None = None

    @property
    def name(self) -> str:
        """The name, empty if the element has none."""
        return str(self.params.get("name") or "")

    @property
    def absent(self) -> bool:
        """Whether the element asks to delete the object."""
        return self.params.get("state") == "absent"

    def check(self) -> None:
        """Raise the error of an element that cannot be read."""
        if self.problem is not None:
            raise self.problem

    @classmethod
    def from_checked(cls, value: Mapping[str, Any]) -> Entry:
        """Read an element that ``common.arguments.check_entry`` has checked."""
        return cls(value["params"], value["problem"])


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What a run would be asked for.

    ``templates`` None: the stored templates as they are, of ``publish`` if it is set. ``publish`` None: all templates. ``retention``
    decides about the VMs of older images. ``test``: look up the objects of connectors that do not set ``test``.
    ``with_conflicts``: show what layers contest. ``composing``: plan new images also as composing would, which reads their layers.
    """

    templates: tuple[Entry, ...] | None = None
    connectors: tuple[Entry, ...] = ()
    pending_layers: tuple[PendingLayer, ...] = ()
    publish: frozenset[str] | None = None
    retention: RetentionRule = RetentionRule()
    test: bool = False
    with_conflicts: bool = False
    composing: bool = False


@dataclass
class Plan:
    """The plan of a run; ``before`` and ``after`` are shown in diff mode."""

    layers: tuple[PendingLayer, ...]
    connectors: list[PlannedConnector]
    images: list[PlannedImage]
    compared: bool
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether a run would change a connector, a template or an image."""
        return any(connector.action != NONE for connector in self.connectors) or any(
            image.changed for image in self.images
        )

    def problems(self) -> list[dict[str, Any]]:
        """Return the connectors and templates for which a run would fail, with their errors."""
        return [
            {"kind": kind, "name": name} | describe_error(error)
            for kind, name, error in (
                *(("connector", connector.name, connector.error) for connector in self.connectors),
                *(("image_template", image.template, image.error) for image in self.images),
            )
            if error is not None
        ]


class ImagePlanner:
    """Plans a run on a repository; ``session`` is set to compare with vSphere."""

    def __init__(self, repository: Repository, request: PlanRequest, session: Session | None) -> None:
        self._repository = repository.overlaid({})  # reads each document once
        self._request = request
        self._session = session
        self._templates = document_collections.templates(self._repository)
        self._connectors: dict[str, ConnectorDocument] = {}
        self._wrong_connectors: dict[str, StrataError] = {}
        self._plan = Plan(request.pending_layers, [], [], session is not None)
        self._future: Future | None = None
        self._found_connectors: set[str] = set()
        self._template_plans: dict[str, TemplatePlan] = {}

    def plan(self) -> Plan:
        """Return the plan. An error of one connector or template is part of the plan and does not stop it.

        Raises:
            Corrupt: a document is damaged.
        """
        self._plan_connectors()
        entries = self._request.templates
        names = {entry.name for entry in entries or ()}
        for entry in entries or ():
            self._plan.images.append(self._image(entry.name, entry))
        # With definitions, stored templates that are not among them are published only by name.
        for name in sorted(self._stored_names() - names, key=str.casefold):
            self._plan.images.append(self._image(name, None))
        return self._plan

    def _stored_names(self) -> set[str]:
        """Return the names of the templates to plan as they are stored."""
        publish = set(self._request.publish or ())
        only = self._request.templates is None and self._request.publish is not None
        return publish if only else publish.union(self._templates.names())

    # -- connectors

    def _plan_connectors(self) -> None:
        stored = document_collections.connectors(self._repository)
        for entry in self._request.connectors:
            before = stored.get(entry.name) if entry.name else None
            try:
                entry.check()
                if before is None and not entry.absent:
                    stored.refuse_other_spelling(entry.name)
                after = None if entry.absent else self._connector(entry).with_empty_fields(before)
                if before is not None and after is None:
                    refuse_in_use(f"The connector {entry.name}", self._users(entry.name))
            except (StrataError, OSError) as error:
                self._wrong_connectors[entry.name] = _strata_error(error)
                self._plan.connectors.append(PlannedConnector(entry.name, NONE, _strata_error(error)))
                continue
            if after is not None:
                self._connectors[entry.name] = after
            action = _action(before, after)
            self._plan.connectors.append(PlannedConnector(entry.name, action))
            if action != NONE:
                self._show("connector", entry.name, _document(before), _document(after))

    def _connector(self, entry: Entry) -> ConnectorDocument:
        document = connector_document(entry.params)
        test = entry.params.get("test")
        if self._session is not None and (self._request.test if test is None else test):
            test_connector(self._session, document)
        return document

    def _users(self, connector: str) -> list[str]:
        """Return the templates that would use a connector after the run."""
        defined = {entry.name: entry for entry in self._request.templates or ()}
        users = [
            name for name, entry in defined.items() if not entry.absent and entry.params.get("connector") == connector
        ]
        users += [
            name for name, template in self._templates.all() if name not in defined and template.connector == connector
        ]
        return sorted(users)

    # -- templates and images

    def _image(self, name: str, entry: Entry | None) -> PlannedImage:
        publish = self._request.publish
        selected = name in publish if publish is not None else self._request.templates is None or entry is not None
        image = PlannedImage(template=name, selected=selected)
        try:
            self._fill(image, entry)
        except (StrataError, OSError) as error:
            image.fail(_strata_error(error))
        return image

    def _fill(self, image: PlannedImage, entry: Entry | None) -> None:
        name = image.template
        if entry is not None:
            entry.check()
        before = self._templates.get(name) if entry is not None else self._templates.require(name)
        records = self._images(name)
        image.current = current_image(records[0]) if records else None
        if entry is None and not image.selected:
            return  # The run does not use the template.
        options = (
            ImageTemplateOptions.from_entry(RepositoryOptions(self._repository.path), entry.params) if entry else None
        )
        future = self._future_for(before, options)
        after, latest = before, frozenset[tuple[str, str]]()
        if options is not None:
            desired = desired_template(future.repository, options, before)
            after = desired.document if desired else None
            self._plan.warnings += desired.warnings if desired else []
            latest = _latest(options)
        if after is None:
            image.selected, image.absent = False, True
            image.template_action = _action(before, after)
            self._plan.warnings += remaining_vms(self._repository, image.template) if before else []
            self._show_template(image, before, None, None)
            return
        if after.connector in self._wrong_connectors:
            raise self._wrong_connectors[after.connector]
        resolved = resolve(future.repository, after)
        pending = [change for layer in (resolved.os_layer, *resolved.layers) if (change := future.created(layer))]
        image.planned = planned_summary(resolved, stored=not pending)
        image.template_action = _action(before, after)
        image.template_changes = changed_fields(before.to_dict(), after.to_dict()) if before else []
        self._show_template(image, before, after, None if pending else resolved)
        if image.selected:
            if image.current is not None and image.current.image_digest != image.planned.image_digest:
                image.changes = layer_changes(image.current, image.planned, latest)
                image.changes += self._setting_changes(before, after, future) if before else []
            self._decide(image, future, resolved, pending)

    def _future_for(self, before: TemplateDocument | None, options: ImageTemplateOptions | None) -> Future:
        """Return the repository after the changes of earlier steps; it is shared if it does not depend on the template."""
        if all(layer.os_layer is not None for layer in self._request.pending_layers):
            if self._future is None:
                self._future = Future(self._repository, self._request.pending_layers, self._connectors)
            return self._future
        template_os = options.template.os_layer if options and options.template else None
        if template_os is None and before is not None:
            template_os = VersionRequest(before.os_layer.name, before.os_layer.version)
        return Future(self._repository, self._request.pending_layers, self._connectors, template_os)

    def _images(self, name: str) -> list[ImageRecord]:
        """Return the recorded images, newest first: of the vCenter that is asked, or of all vCenters."""
        if self._session is not None:
            return image_records.images_of(self._repository, name, vcenter_record(self._session))
        document = document_collections.images(self._repository).get(name)
        return list(document.images) if document else []

    def _setting_changes(self, before: TemplateDocument, after: TemplateDocument, future: Future) -> list[Change]:
        stored = document_collections.connectors(self._repository).get(before.connector)
        return setting_changes(
            before, after, (stored, document_collections.connectors(future.repository).get(after.connector))
        )

    def _decide(
        self, image: PlannedImage, future: Future, resolved: ResolvedTemplate, pending: list[PendingLayer]
    ) -> None:
        """Set whether the image would be published, and why."""
        published: Published | None = None
        image.unknown = [f"its {change.label}: {change.unknown}" for change in pending if change.unknown]
        if image.unknown:
            image.publish = None
        elif pending:
            self._check_placement(resolved.connector)
            image.publish = True
        elif self._session is not None:
            options = PublishOptions(retention=self._request.retention)
            published = Publisher(future.repository, self._session, resolved, options, silent).plan()
            apply_publish_plan(image, published)
            self._show(
                "image", image.template, published.before, self._with_conflicts(published, future.repository, resolved)
            )
            self._plan.warnings += [warning for warning in published.warnings if warning not in self._plan.warnings]
        else:
            image.publish = image.current is None or image.current.image_digest != resolved.image_digest
        if image.publish:
            if self._request.composing and not pending and composes(published):
                self._refuse(future.repository, resolved)
            image.reasons = reasons_to_publish(image, published)
        if self._session is not None and (image.publish or Step.RETIRE.name.lower() in image.steps):
            retention = plan_retention(
                self._repository, self._session, image.template, resolved.image_digest, self._request.retention
            )
            image.remove_vms = [facts.name for facts in retention.expired]
            self._plan.warnings += [warning for warning in retention.warnings if warning not in self._plan.warnings]

    def _check_placement(self, connector: ConnectorDocument) -> None:
        """Raise if publishing would not find the objects of a connector; other images are checked by their own plan."""
        if self._session is not None and connector.name not in self._found_connectors:
            test_connector(self._session, connector)
            self._found_connectors.add(connector.name)

    def _refuse(self, repository: Repository, resolved: ResolvedTemplate) -> None:
        """Raise the first error for which composing the image would be refused."""
        for refused in self._template_plan(repository, resolved).refused[:1]:
            raise Conflict(refused["message"], code=refused["code"], hint=refused["hint"])

    def _template_plan(self, repository: Repository, resolved: ResolvedTemplate) -> TemplatePlan:
        digest = resolved.content_digest
        if digest not in self._template_plans:
            self._template_plans[digest] = plan_template(repository, resolved)
        return self._template_plans[digest]

    # -- diff mode

    def _show(self, kind: str, name: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
        if before != after:
            self._plan.before[f"{kind} {name}"] = before
            self._plan.after[f"{kind} {name}"] = after

    def _show_template(
        self,
        image: PlannedImage,
        before: TemplateDocument | None,
        after: TemplateDocument | None,
        resolved: ResolvedTemplate | None,
    ) -> None:
        shown = _document(after)
        if (
            shown is not None
            and resolved is not None
            and image.template_action != NONE
            and self._request.with_conflicts
        ):
            contested = conflict_lines(self._template_plan(self._repository, resolved))
            shown |= {"contested": contested} if contested else {}
        if image.template_action != NONE:
            self._show("image template", image.template, _document(before), shown)

    def _with_conflicts(
        self, published: Published, repository: Repository, resolved: ResolvedTemplate
    ) -> dict[str, Any] | None:
        after = published.after
        if after is None or after == published.before or not self._request.with_conflicts:
            return after
        return after | {"contested": conflict_lines(self._template_plan(repository, resolved))}


def _strata_error(error: StrataError | OSError) -> StrataError:
    return error if isinstance(error, StrataError) else composer_error(error)


def _document(value: ConnectorDocument | TemplateDocument | None) -> dict[str, Any] | None:
    return value.to_dict() if value is not None else None


def _action(before: object | None, after: object | None) -> str:
    if before is None:
        return NONE if after is None else CREATE
    if after is None:
        return DELETE
    return NONE if before == after else CHANGE


def _latest(options: ImageTemplateOptions) -> frozenset[tuple[str, str]]:
    """Return kind and name of the layers of which a template wants the newest version."""
    template = options.template
    if template is None:
        return frozenset()
    named = [(OS, template.os_layer), *((APP, layer) for layer in template.app_layers)]
    if template.platform_layer is not None:
        named.append((PLATFORM, template.platform_layer))
    return frozenset((kind, layer.name) for kind, layer in named if layer.version in _LATEST)
