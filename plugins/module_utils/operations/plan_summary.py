# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list that check mode shows: what would be created, published and removed, and what is not known yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..catalog.future import LayerAction, PendingLayer
from ..common.errors import StrataError
from ..publish.decision import Step
from .planned_image import CHANGE, CREATE, DELETE, PlannedImage, describe_error

_RUN_SCRIPT = Step.CONNECTOR_SCRIPT.name.lower()


@dataclass(frozen=True)
class PlannedConnector:
    """What a run would do with a connector: create, change, delete or none; ``error`` if its definition is wrong."""

    name: str
    action: str
    error: StrataError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "name": self.name,
            "action": self.action,
            "error": describe_error(self.error) if self.error else None,
        }


def summary_lines(
    layers: Sequence[PendingLayer], connectors: Sequence[PlannedConnector], images: Sequence[PlannedImage]
) -> list[str]:
    """Return the list, a line for each image that would be published and for each kind of other changes."""
    return [
        *_changes(layers, connectors, images),
        *(f"Would publish {image.template}: {', '.join(image.reasons)}" for image in images if image.publish),
        *_removals(layers, connectors, images),
        *_named("Unchanged", (image.template for image in images if _unchanged(image))),
        *_named("Not published by this run", (image.template for image in images if _left_out(image))),
        *(
            f"Not known yet: {image.template} ({'; '.join(image.unknown)})"
            for image in images
            if image.publish is None and image.unknown
        ),
        *(
            f"Needs manual action: {image.template}: {image.action_required}"
            for image in images
            if image.action_required
        ),
        *(f"Would fail: connector {connector.name}: {connector.error}" for connector in connectors if connector.error),
        *(f"Would fail: image template {image.template}: {image.error}" for image in images if image.error),
    ]


def _named(title: str, names: Iterable[str]) -> list[str]:
    shown = ", ".join(names)
    return [f"{title}: {shown}"] if shown else []


def _changes(
    layers: Sequence[PendingLayer], connectors: Sequence[PlannedConnector], images: Sequence[PlannedImage]
) -> list[str]:
    created = [layer.label for layer in layers if layer.action is LayerAction.CREATE and layer.unknown is None]
    created += [f"connector {connector.name}" for connector in connectors if connector.action == CREATE]
    created += [f"image template {image.template}" for image in images if image.template_action == CREATE]
    changed = [layer.label for layer in layers if layer.action is LayerAction.CHANGE]
    changed += [f"connector {connector.name}" for connector in connectors if connector.action == CHANGE]
    changed += [_changed_template(image) for image in images if image.template_action == CHANGE]
    due = [image for image in images if image.changes_vsphere and image.publish is False and not image.remove_vms]
    scripts = [image.template for image in due if _RUN_SCRIPT in image.steps]
    return [
        *_named("Would create", created),
        *_named("Would change", changed),
        *_named("Would run the script of the connector for", scripts),
        *_named("Would update the records of", (image.template for image in due if _RUN_SCRIPT not in image.steps)),
    ]


def _changed_template(image: PlannedImage) -> str:
    stays = "; its image stays" if image.publish is False and image.selected else ""
    return f"image template {image.template} ({', '.join(image.template_changes)}{stays})"


def _removals(
    layers: Sequence[PendingLayer], connectors: Sequence[PlannedConnector], images: Sequence[PlannedImage]
) -> list[str]:
    removed = [layer.label for layer in layers if layer.action is LayerAction.DELETE]
    removed += [f"connector {connector.name}" for connector in connectors if connector.action == DELETE]
    removed += [f"image template {image.template}" for image in images if image.template_action == DELETE]
    removed += [f"VM {machine}" for image in images for machine in image.remove_vms]
    return _named("Would remove", removed)


def _unchanged(image: PlannedImage) -> bool:
    return image.selected and image.publish is False and image.error is None and not image.changed


def _left_out(image: PlannedImage) -> bool:
    return not image.selected and not image.absent and image.error is None
