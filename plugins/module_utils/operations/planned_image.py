# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run would do with an image template and its image, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..catalog.connector_document import ConnectorDocument
from ..catalog.image_record import ImageRecord
from ..catalog.resolved_template import ResolvedTemplate
from ..catalog.template_document import TemplateDocument
from ..common.counting import counted
from ..common.errors import StrataError
from ..layers.layer_version import APP, OS, PLATFORM
from ..publish.decision import Step
from ..publish.machine import vm_metadata
from ..publish.machine.machine_state import MachineState
from ..publish.publisher import Published

#: Values of ``template_action`` and of the action of a connector.
CREATE, CHANGE, DELETE, NONE = "create", "change", "delete", "none"

_LAYER_PREFIXES = {OS: "OS layer ", APP: "", PLATFORM: "platform layer "}
_KIND_ORDER = (OS, APP, PLATFORM)
#: Fields of a template that change its image; layers and the connector are compared separately.
_IMAGE_FIELDS = ("disk_size_gb", "vm_name", "outdated_files", "registry_lists", "script")
#: Steps that lead to an image.
_TO_IMAGE = frozenset((Step.CREATE, Step.FINISH_UPLOAD, Step.POWER_ON, Step.AWAIT_GUEST, Step.SNAPSHOT, Step.RECORD))


@dataclass(frozen=True)
class LayerName:
    """A layer version of an image."""

    kind: str
    name: str
    version: str


@dataclass(frozen=True)
class ImageSummary:
    """A published image, or an image that a template describes; what is not known yet is None."""

    layers: tuple[LayerName, ...]
    image_digest: str | None
    vm: str | None
    published: str | None = None


@dataclass(frozen=True)
class Change:
    """A difference between the newest published image and the image that the template describes.

    ``kind`` is a kind of layer, ``setting`` for an option of the template, or ``connector``. ``before`` None: the layer is new;
    ``after`` None: it is removed. ``latest``: the template asks for the newest version.
    """

    kind: str
    name: str
    before: str | None
    after: str | None
    latest: bool = False

    @property
    def text(self) -> str:
        """The change as the list shows it, such as ``Notepad++ 8.6 -> 8.7``."""
        subject = _LAYER_PREFIXES.get(self.kind, "") + self.name
        if self.before is None:
            shown = f"{subject} {self.after} new"
        elif self.after is None:
            shown = f"{subject} {self.before} removed"
        else:
            shown = f"{subject} {self.before} -> {self.after}"
        return f"{shown} (latest)" if self.latest else shown


@dataclass(kw_only=True)
class PlannedImage:
    """What a run would do with a template and its image.

    ``selected``: the run publishes the template. ``absent``: the template does not exist after the run. ``publish`` None: it is not
    known yet, for the reasons in ``unknown`` or ``action_required``. ``template_action`` is create, change, delete or none, and
    ``template_changes`` are the changed fields of its document. ``steps`` are the steps of publishing if vSphere was asked.
    ``remove_vms`` are VMs of older images. ``changes_vsphere``: the run changes VMs or their records.
    """

    template: str
    selected: bool
    absent: bool = False
    publish: bool | None = False
    reasons: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    action_required: str | None = None
    current: ImageSummary | None = None
    planned: ImageSummary | None = None
    template_action: str = NONE
    template_changes: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    remove_vms: list[str] = field(default_factory=list)
    changes_vsphere: bool = False
    error: StrataError | None = None
    task: dict[str, Any] | None = None
    image: dict[str, Any] | None = None

    @property
    def changed(self) -> bool:
        """Whether a run would change anything."""
        return self.publish is True or self.changes_vsphere or self.template_action != NONE

    def fail(self, error: StrataError) -> None:
        """Plan that the run fails for this template, which leaves its image as it is."""
        self.error, self.publish, self.changes_vsphere = error, False, False
        self.task = self.image = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        values = {
            key: value for key, value in vars(self).items() if key not in ("error", "changes", "current", "planned")
        }
        return values | {
            "changes": [asdict(change) for change in self.changes],
            "current": asdict(self.current) if self.current else None,
            "planned": asdict(self.planned) if self.planned else None,
            "error": describe_error(self.error) if self.error else None,
        }


def describe_error(error: StrataError) -> dict[str, Any]:
    """Return an error as the result of a module."""
    return {"code": error.code, "msg": str(error), "hint": error.hint}


def current_image(image: ImageRecord) -> ImageSummary:
    """Return the summary of a published image."""
    layers = tuple(LayerName(*layer) for layer in image.layer_versions())
    return ImageSummary(layers, image.image_digest, image.vm.name, image.published)


def planned_summary(template: ResolvedTemplate, *, stored: bool) -> ImageSummary:
    """Return the summary of the image that a template describes; its digest is known if all its layers are stored."""
    layers = (template.os_layer, *template.layers)
    names = tuple(LayerName(layer.kind, layer.name, layer.version) for layer in layers)
    if not stored:
        return ImageSummary(names, None, None)
    return ImageSummary(names, template.image_digest, vm_metadata.machine_name(template))


def layer_changes(
    current: ImageSummary | None, planned: ImageSummary, latest: frozenset[tuple[str, str]]
) -> list[Change]:
    """Return the layers that differ. ``latest`` has kind and name of the layers of which the newest version is planned."""
    before = {(layer.kind, layer.name): layer.version for layer in current.layers} if current else {}
    after = {(layer.kind, layer.name): layer.version for layer in planned.layers}
    changes = [
        Change(kind, name, before.get((kind, name)), version, (kind, name) in latest)
        for (kind, name), version in after.items()
        if before.get((kind, name)) != version
    ]
    removed = [
        Change(kind, name, version, None) for (kind, name), version in before.items() if (kind, name) not in after
    ]
    # Sorting is stable: removed layers follow the others of their kind.
    return sorted(changes + removed, key=lambda change: _KIND_ORDER.index(change.kind))


def setting_changes(
    before: TemplateDocument,
    after: TemplateDocument,
    connectors: tuple[ConnectorDocument | None, ConnectorDocument | None],
) -> list[Change]:
    """Return the settings that give another image. ``connectors`` are those of ``before`` and of ``after``."""
    old, new = before.to_dict(), after.to_dict()
    changes = [
        Change("setting", key, _short(key, old[key]), _short(key, new[key]))
        for key in _IMAGE_FIELDS
        if old[key] != new[key]
    ]
    if before.connector != after.connector:
        return [*changes, Change("setting", "connector", before.connector, after.connector)]
    old, new = (connector.placement() if connector else {} for connector in connectors)
    return changes + [
        Change(
            "connector",
            f"{key} of the connector {after.connector}",
            _short(key, old.get(key)),
            _short(key, new.get(key)),
        )
        for key in changed_fields(old, new)
    ]


def _short(key: str, value: Any) -> str:
    """Return the value of a field of a template for a line of text."""
    if key == "script":
        return f"{value['name']} {value['digest'].partition(':')[2][:8]}" if value else "none"
    if key == "registry_lists":
        return counted(len(value), "entry", "entries")
    if value in (None, ""):
        return "that of the OS layer" if key == "disk_size_gb" else "none"
    return str(value)


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ."""
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def apply_publish_plan(image: PlannedImage, published: Published) -> None:
    """Add what publishing would do in vSphere."""
    steps = [step for step in published.steps if step is not Step.CANCEL_SUPERSEDED]
    image.steps = [step.name.lower() for step in published.steps]
    image.changes_vsphere = published.changed
    image.task = published.task.result()
    image.image = published.image.result() if published.image else None
    if steps[0] is Step.ACTION_REQUIRED:
        image.publish, image.action_required = None, published.task.description
    else:
        image.publish = not _TO_IMAGE.isdisjoint(steps)


def reasons_to_publish(image: PlannedImage, published: Published | None) -> list[str]:
    """Return why an image would be published; ``published`` is the plan of publishing it, if vSphere was asked."""
    current, planned = image.current, image.planned
    resumed = None if published is None or composes(published) else _resumed(published)
    if current is None or planned is None:
        layers = ", ".join(f"{layer.name} {layer.version}" for layer in planned.layers) if planned else ""
        return [resumed or f"first image: {layers}"]
    reasons = [change.text for change in image.changes]
    if reasons:
        return [*reasons, f"its VM {planned.vm} exists"] if resumed else reasons
    if published is not None and (resumed or current.image_digest == planned.image_digest):
        return [resumed or _lost(published, current.vm)]
    return ["its content or its placement differs from the newest published image"]


def composes(published: Published | None) -> bool:
    """Return whether publishing begins with composing; None: vSphere was not asked."""
    return published is None or Step.CREATE in published.steps


def _lost(published: Published, machine: str | None) -> str:
    observation = published.observation
    if observation is not None and observation.machine_state is MachineState.ABSENT:
        return f"its VM {machine} does not exist"
    return f"its VM {machine} is incomplete"


def _resumed(published: Published) -> str:
    step = next(step for step in published.steps if step in _TO_IMAGE or step is Step.REMOVE_VM)
    return f"publishing continues: {step.value}"
