# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a synchronization: what a repository takes over from its registry of record.

It compares both and changes nothing. The registry is right, except about what it should not change: a layer
version never gets other content, and neither templates nor details become older.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...catalog.layer_document import LayerDocument
from ...catalog.template_document import TemplateDocument
from ...layers.layer_version import APP, OS, PLATFORM
from ..items.details import of_document, travelling_source
from ..items.items import LayerFields, LayerItem, fields_of
from ..items.names import TEMPLATE, ItemName
from ..items.template_item import TemplateItem, site_independent
from ..sides.local import Local, bases
from ..transfers.decision import Known
from .survey import Survey

_ORDER = (OS, APP, PLATFORM)


@dataclass(frozen=True)
class LayerStep:
    """A layer version that is new here, or whose details change; ``fields`` are those that its layer gets."""

    source: LayerItem
    fields: LayerFields
    is_new: bool

    @property
    def item(self) -> ItemName:
        """The name of the version."""
        return self.source.item

    def document(self, before: LayerDocument | None) -> LayerDocument:
        """Return the document of the layer after the step; connector and full paths of this site are kept."""
        described, version = self.source.details.document, self.item.version or ""
        entry = dataclasses.replace(described.versions[version], updated=self.source.details.updated)
        old = before.versions.get(version) if before else None
        if before is not None and old is not None:
            if of_document(before, version).entry.to_dict() == self.source.details.entry.to_dict():
                entry = old
            elif travelling_source(old.source) == entry.source:
                entry = dataclasses.replace(entry, source=old.source)
        after = (
            before.with_version(version, entry) if before else dataclasses.replace(described, versions={version: entry})
        )
        return dataclasses.replace(
            after, description=self.fields.description, priority=self.fields.priority, icon=self.fields.icon
        )


@dataclass(frozen=True)
class TemplateStep:
    """A template that is new here or changes."""

    source: TemplateItem
    is_new: bool

    @property
    def item(self) -> ItemName:
        """The name of the template."""
        return self.source.item

    def document(self, before: TemplateDocument | None) -> TemplateDocument:
        """Return the document after the step; the connector of this site is kept."""
        if before is None:
            return self.source.document
        return dataclasses.replace(self.source.document, connector=before.connector, created=before.created)


@dataclass
class SyncPlan:
    """The steps in their order: layers after what they were built on, then templates, then what is removed.

    ``conflicts`` are sentences about the items ``unresolved``, which stay as they are here.
    """

    layers: list[LayerStep] = field(default_factory=list)
    templates: list[TemplateStep] = field(default_factory=list)
    removed: list[ItemName] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    unresolved: set[ItemName] = field(default_factory=set)

    def refuse(self, item: ItemName, problem: str) -> None:
        """Leave an item as it is here."""
        self.unresolved.add(item)
        self.conflicts.append(problem)

    @property
    def changes(self) -> bool:
        """Whether the repository changes."""
        return bool(self.layers or self.templates or self.removed)


def plan_sync(
    local: Local, found: Survey, known: Mapping[ItemName, str], revisions: Mapping[str, Known], label: str
) -> SyncPlan:
    """Compare a repository with a survey.

    ``known`` has what the registry had at the last synchronization, ``revisions`` the templates that were received.
    ``label`` names the registry in messages.
    """
    return _Planner(local, found, known, revisions, label).run()


@dataclass
class _Planner:
    local: Local
    found: Survey
    known: Mapping[ItemName, str]
    revisions: Mapping[str, Known]
    label: str
    plan: SyncPlan = field(default_factory=SyncPlan)

    def run(self) -> SyncPlan:
        fields = self._fields()
        for layer in _built_in_order(self.found.layers):
            step = self._layer_step(layer, fields[layer.item.kind, layer.item.name])
            if step is not None:
                self.plan.layers.append(step)
        for name in sorted(self.found.templates):
            template = self._template_step(self.found.templates[name])
            if template is not None:
                self.plan.templates.append(template)
        self.plan.removed = list(self._removed())
        return self.plan

    def _fields(self) -> dict[tuple[str, str], LayerFields]:
        """Return the shared fields of each layer: those of the details that were written last."""
        newest: dict[tuple[str, str], LayerItem] = {}
        for layer in self.found.layers.values():
            key = (layer.item.kind, layer.item.name)
            if key not in newest or _age(newest[key]) < _age(layer):
                newest[key] = layer
        return {key: fields_of(layer.details.document) for key, layer in newest.items()}

    def _layer_step(self, layer: LayerItem, fields: LayerFields) -> LayerStep | None:
        item = layer.item
        before = self.local.layer_document(item.kind, item.name)
        entry = before.versions.get(item.version or "") if before else None
        if entry is not None and entry.digest != layer.digest:
            problem = "was replaced in" if item in self.known else "has other content than in"
            self.plan.refuse(
                item,
                f"The {item} {problem} {self.label}: found {layer.digest} there and {entry.digest} here. It is kept as it is here.",
            )
            return None
        if entry is not None and entry.updated and (layer.details.updated or "") < entry.updated:
            self.plan.refuse(
                item,
                f"The details of the {item} in {self.label} are older than those that were received before. They are ignored.",
            )
            return None
        step = LayerStep(layer, fields, entry is None)
        return step if before is None or step.document(before) != before else None

    def _template_step(self, template: TemplateItem) -> TemplateStep | None:
        name = template.item.name
        before = self.local.template_document(name)
        if before is not None and site_independent(before.to_dict()) == site_independent(template.document.to_dict()):
            return None
        received = self.revisions.get(name)
        if before is not None and template.item not in self.known:
            self.plan.refuse(
                template.item,
                f"The {template.item} in {self.label} differs from the image template of this name, which exists only here. "
                "It is kept as it is here.",
            )
            return None
        if received is not None and template.revision < received.revision:
            self.plan.refuse(
                template.item,
                f"The {template.item} in {self.label} has revision {template.revision}, "
                f"but revision {received.revision} was received before. It is kept as it is here.",
            )
            return None
        return TemplateStep(template, before is None)

    def _removed(self) -> Iterator[ItemName]:
        """Yield what the registry had once and does not have any more: templates first, then users before what they use."""
        present = self.found.digests()
        gone = [item for item in self.local.items() if item not in present and self._was_received(item)]
        for item in self.found.moved.intersection(gone):
            self.plan.refuse(
                item,
                f"The tag of the {item} in {self.label} holds something else. The layer version is kept as it is here.",
            )
        gone = [item for item in gone if item not in self.found.moved]
        yield from (item for item in gone if item.kind == TEMPLATE)
        layers = {item: layer for item in gone if item.is_layer if (layer := self.local.layer(item)) is not None}
        yield from (layer.item for layer in reversed(_built_in_order(layers)))

    def _was_received(self, item: ItemName) -> bool:
        """Return whether the registry had what is here under this name."""
        if item not in self.known or not item.is_layer:
            return item in self.known
        document = self.local.layer_document(item.kind, item.name)
        return document is not None and document.versions[item.version or ""].digest == self.known[item]


def _age(layer: LayerItem) -> tuple[str, ItemName]:
    return layer.details.updated or "", layer.item


def _built_in_order(layers: Mapping[ItemName, LayerItem]) -> list[LayerItem]:
    """Return layer versions so that each comes after those that it was built on."""
    by_digest = {layer.digest: layer for layer in layers.values()}
    ordered: dict[ItemName, LayerItem] = {}

    def add(layer: LayerItem, users: frozenset[str]) -> None:
        if layer.item in ordered:
            return
        for base in bases(layer.version):
            if base.digest in by_digest and base.digest not in users:
                add(by_digest[base.digest], users | {layer.digest})
        ordered[layer.item] = layer

    for item in sorted(layers, key=lambda item: (_ORDER.index(item.kind), item.name, item.version or "")):
        add(layers[item], frozenset())
    return list(ordered.values())
