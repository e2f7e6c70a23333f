# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a transfer: what happens to each layer version, template and image. Planning reads both sides and changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...catalog.kinds import layer_kind
from ...catalog.template_document import TemplateDocument
from ...catalog.templates import resolve
from ...common.errors import Conflict, StrataError
from ...layers.layer_version import version_key
from ...repository.repository import Repository
from ..items.catalog_entry import CatalogEntry
from ..items.items import Item, LayerFields, LayerItem, fields_of
from ..items.names import IMAGE, ItemName
from ..items.template_item import TemplateItem
from ..sides.local import Local, merged, other_content, refuse_other_base
from ..sides.remote import Remote
from .decision import CHANGES, Action, Decision, Known, Reason, decide_layer, decide_template
from .selection import Selected, Selection, Side, select


@dataclass(frozen=True)
class Step:
    """What happens to an item.

    ``fields`` replaces the fields that all versions of the layer share, unless it is None. ``document`` is the document that a
    template gets at a target that is a repository. ``problem`` is the error of a conflict.
    """

    item: ItemName
    action: Action
    source: Item
    target: Item | None = None
    path: str | None = None
    reason: Reason = Reason.NONE
    fields: LayerFields | None = None
    document: TemplateDocument | None = None
    problem: StrataError | None = None

    @property
    def changes(self) -> bool:
        """Whether the target changes."""
        return self.action in CHANGES

    @property
    def changes_document(self) -> bool:
        """Whether the document of the layer or template changes at the target, not only its signatures or its entry."""
        return self.changes and self.action not in (Action.SIGNATURES, Action.ENTRY)


@dataclass
class Plan:
    """The steps of a transfer in their order: a layer comes after the layers that it was built on, templates after layers."""

    source: Side
    target: Side
    steps: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the target changes."""
        return any(step.changes for step in self.steps)

    @property
    def problems(self) -> list[StrataError]:
        """The conflicts."""
        return [step.problem for step in self.steps if step.problem is not None]

    def refuse_conflicts(self) -> None:
        """Raise the first conflict, with all others in its details.

        ``missing_connectors`` in the details has the names of connectors if nothing else prevents the transfer.
        """
        problems = self.problems
        if not problems:
            return
        first = problems[0]
        more = [problem.message for problem in problems[1:]]
        if more:
            first.hint = f"{first.hint or ''} There are {len(more)} more conflicts, which details lists."
        first.details["conflicts"] = [problem.message for problem in problems]
        if all(problem.code == "distribution.connector" for problem in problems):
            first.details["missing_connectors"] = sorted({str(problem.details["connector"]) for problem in problems})
        raise first

    def select(self, kind: type[Item]) -> list[Step]:
        """Return the steps of layers (LayerItem), templates (TemplateItem) or images (ImageItem)."""
        return [step for step in self.steps if isinstance(step.source, kind)]


@dataclass(frozen=True)
class Rules:
    """How a transfer decides.

    ``known`` is what is known of each template from the last transfer between both sides. ``connectors`` maps the connectors of
    templates to those of this site. ``force`` replaces templates that both sides changed.
    """

    pull: bool
    known: Mapping[str, Known] = field(default_factory=dict)
    connectors: Mapping[str, str] = field(default_factory=dict)
    force: bool = False


def make_plan(source: Side, target: Side, selection: Selection, rules: Rules) -> Plan:
    """Plan a transfer. Conflicts are steps of the plan, so that all of them can be shown.

    Raises:
        NotFound: ``distribution.missing`` if the source does not have what is selected.
        StrataError: a side cannot be read, or its content is refused.
    """
    selected = select(source, selection)
    plan = Plan(source, target)
    planner = _Planner(plan, selected, rules)
    planner.plan_layers()
    planner.plan_templates()
    if selection.images:
        planner.plan_images()
    return plan


class _Planner:
    def __init__(self, plan: Plan, selected: Selected, rules: Rules) -> None:
        self._plan = plan
        self._selected = selected
        self._rules = rules
        #: Documents of the target as they will be, by kind and name of the document store.
        self._future: dict[tuple[str, str], dict[str, Any] | None] = {}

    # --- layers -----------------------------------------------------------------------------

    def plan_layers(self) -> None:
        newest: dict[tuple[str, str], str] = {}
        for item in self._selected.layers:
            best = newest.get((item.kind, item.name))
            if best is None or version_key(item.version or "") > version_key(best):
                newest[item.kind, item.name] = item.version or ""
        for item, layer in self._selected.layers.items():
            path, is_listed = self._place(item)
            target = self._target_layer(item, path)
            if isinstance(target, StrataError):
                self._add(Step(item, Action.CONFLICT, layer, path=path, problem=target))
                continue
            with_fields = newest[item.kind, item.name] == item.version
            fields = self._fields(layer, target, path) if with_fields else (None, None)
            decision = _listed(decide_layer(layer, target, fields, pull=self._rules.pull), is_listed)
            step = Step(item, decision.action, layer, target, path, decision.reason)
            step = dataclasses.replace(
                step,
                fields=fields[0] if step.changes_document and fields[0] != fields[1] else None,
                problem=self._layer_problem(step),
            )
            self._add(step)
            self._foresee_layer(step)

    def _place(self, item: ItemName) -> tuple[str | None, bool]:
        """Return the path of a layer or template in the remote, and whether the catalogue of a target that is a remote names it."""
        path = self._selected.path(item)
        if not isinstance(self._plan.target, Remote):
            return path, True
        if path is not None:
            return path, self._plan.target.has_entry(CatalogEntry(item.kind, item.name, path))
        entry = self._plan.target.listed_entry(item.kind, item.name)
        return (entry.path, True) if entry is not None else (None, False)

    def _target_layer(self, item: ItemName, path: str | None) -> LayerItem | None | StrataError:
        try:
            return self._plan.target.layer(item, path)
        except Conflict as error:
            return error

    def _fields(
        self, layer: LayerItem, target: LayerItem | None, path: str | None
    ) -> tuple[LayerFields | None, LayerFields | None]:
        """Return the shared fields at the source and the target; all versions are read only if they seem to differ."""
        entry = CatalogEntry(layer.item.kind, layer.item.name, path)
        if layer.details.derived:
            return None, None
        if isinstance(self._plan.source, Local) and isinstance(self._plan.target, Local):
            return self._plan.source.fields(entry), self._plan.target.fields(entry)
        if self._rules.pull:
            at_target = self._plan.target.fields(entry)
            if at_target == fields_of(layer.details.document):
                return at_target, at_target
            return self._plan.source.fields(entry), at_target
        at_source = self._plan.source.fields(entry)
        if target is not None and not target.details.derived:
            if at_source == fields_of(target.details.document):
                return at_source, at_source
        return at_source, self._plan.target.fields(entry)

    def _layer_problem(self, step: Step) -> StrataError | None:
        if step.action is Action.CONFLICT:
            found = step.target.digest if step.target else None
            return other_content(self._plan.target.label, step.item, step.source.digest, found)
        if step.action is Action.COPY and isinstance(self._plan.target, Local) and isinstance(step.source, LayerItem):
            try:
                refuse_other_base(Local(self._future_repository(self._plan.target.repository)), step.source)
            except Conflict as error:
                return error
        return None

    def _foresee_layer(self, step: Step) -> None:
        """Note the document that the layer will have, which later layers and templates need."""
        if isinstance(self._plan.target, Local) and isinstance(step.source, LayerItem) and step.changes_document:
            future = Local(self._future_repository(self._plan.target.repository))
            before = future.layer_document(step.item.kind, step.item.name)
            after = merged(before, step.source, step.fields)
            self._future[layer_kind(step.item.kind), step.item.name] = after.to_dict()

    def _future_repository(self, repository: Repository) -> Repository:
        return repository.overlaid(self._future)

    # --- templates --------------------------------------------------------------------------

    def plan_templates(self) -> None:
        for name, template in self._selected.templates.items():
            path, is_listed = self._place(template.item)
            try:
                target = self._plan.target.template(name, path)
            except Conflict as error:
                self._add(Step(template.item, Action.CONFLICT, template, path=path, problem=error))
                continue
            decision = decide_template(template, target, self._rules.known.get(name), force=self._rules.force)
            decision = _listed(decision, is_listed)
            document = None
            problem = self._template_problem(template, decision)
            if isinstance(self._plan.target, Local) and decision.action in CHANGES:
                document = self._site_document(template.document, target)
                problem = problem or self._resolve_problem(self._plan.target.repository, document)
            self._add(
                Step(
                    template.item,
                    decision.action if problem is None else Action.CONFLICT,
                    template,
                    target,
                    path,
                    decision.reason,
                    document=document,
                    problem=problem,
                )
            )

    def _template_problem(self, template: TemplateItem, decision: Decision) -> StrataError | None:
        if decision.action is not Action.CONFLICT:
            return None
        if decision.reason is Reason.OLDER_REVISION:
            known = self._rules.known[template.item.name].revision
            return Conflict(
                f"The {template.item} in {self._plan.source.label} has revision {template.revision}, "
                f"but it had revision {known} before.",
                code="distribution.older_revision",
                hint="The tag was moved back: find out why, and push the template again from a repository that has it.",
                expected=known,
                found=template.revision,
            )
        return Conflict(
            f"The {template.item} was changed in {self._plan.source.label} and in {self._plan.target.label}.",
            code="distribution.both_changed",
            hint="Make both equal, or set force to true to replace the template of the target.",
        )

    def _site_document(self, document: TemplateDocument, target: TemplateItem | None) -> TemplateDocument:
        """Return the document of a template with the connector of this site."""
        mapped = self._rules.connectors.get(document.connector)
        kept = target.document.connector if target is not None else document.connector
        created = target.document.created if target is not None else document.created
        return dataclasses.replace(document, connector=mapped or kept, created=created)

    def _resolve_problem(self, repository: Repository, document: TemplateDocument) -> StrataError | None:
        future = self._future_repository(repository)
        try:
            future.catalog.require("connector", document.connector)
        except StrataError:
            return Conflict(
                f"The image template {document.name} uses the connector {document.connector}, which {self._plan.target.label} does not have.",
                code="distribution.connector",
                hint="Create the connector with strata.layering.connector, or map it to one of this site with connectors.",
                connector=document.connector,
            )
        try:
            resolve(future, document)
        except StrataError as error:
            return error
        return None

    # --- images -----------------------------------------------------------------------------

    def plan_images(self) -> None:
        for name, template in self._selected.templates.items():
            content = self._content_of(template)
            if content is None:
                continue
            item, path = ItemName(IMAGE, name, content), self._place(template.item)[0]
            image = self._plan.source.image(item, path)
            if image is None:
                self._plan.warnings.append(
                    f"{name}: {self._plan.source.label} has no composed image of this state of the template. It is composed when it is published."
                )
                continue
            target = self._plan.target.image(item, path)
            self._add(Step(item, Action.COPY if target is None else Action.KEEP, image, target, path))

    def _content_of(self, template: TemplateItem) -> str | None:
        """Return the digest of the content of the template's image, None if that is not known because of a conflict."""
        steps = [step for step in self._plan.steps if step.item == template.item]
        if any(step.problem for step in steps):
            return None
        if isinstance(self._plan.source, Local):
            return resolve(self._plan.source.repository, template.document).content_digest
        if isinstance(self._plan.target, Local):
            future = self._future_repository(self._plan.target.repository)
            document = steps[0].document or (
                steps[0].target.document if isinstance(steps[0].target, TemplateItem) else template.document
            )
            return resolve(future, document).content_digest
        return None

    def _add(self, step: Step) -> None:
        self._plan.steps.append(step)


def _listed(decision: Decision, is_listed: bool) -> Decision:
    """Return a decision that adds the entry in the catalogue which an item lacks."""
    return Decision(Action.ENTRY, decision.reason) if decision.action is Action.KEEP and not is_listed else decision
