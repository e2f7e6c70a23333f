# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolved image templates: every layer version by digest, and the digests of the image and its disk."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..layers.layer_version import LayerReference
from .connector_document import ConnectorDocument
from .script_record import ScriptRecord

#: Part of every content digest: incremented when composing the same layers gives another tree.
COMPOSE_FORMAT = 1
#: Part of the content digest of images with scripts: incremented when the same scripts are placed in another way.
SCRIPTS_FORMAT = 1


class StaleFilePolicy(enum.StrEnum):
    """The option ``outdated_files``: which version of a file wins that the OS layer has changed since a layer was built."""

    LAYER = "layer"
    OS = "os"
    NEWEST = "newest"
    NEWEST_SYSTEM = "newest_system"
    FAIL = "fail"


@dataclass(frozen=True)
class ResolvedTemplate:
    """A template with digests instead of versions.

    ``app_layers`` are in the order in which they are applied. ``disk_size_gb`` is None to keep the size of
    the OS layer. ``merging`` contains outdated_files and registry_lists, if they have an effect.
    ``script`` runs after the scripts of the layers. ``former_names`` are names that the template had before it was renamed.
    """

    name: str
    os_layer: LayerReference
    app_layers: tuple[LayerReference, ...]
    platform_layer: LayerReference | None
    connector: ConnectorDocument
    disk_size_gb: int | None
    vm_name: str
    publish_mode: str
    description: str
    merging: dict[str, Any] = field(default_factory=dict)
    script: ScriptRecord | None = None
    former_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the template that the settings of its VMs may have."""
        return (self.name, *self.former_names)

    @property
    def layers(self) -> tuple[LayerReference, ...]:
        """The layers on top of the OS layer: app layers in order, then the platform layer; later layers win."""
        return self.app_layers + ((self.platform_layer,) if self.platform_layer else ())

    @property
    def content_digest(self) -> str:
        """The digest of everything that determines the content of the disk; it identifies a thin image."""
        script = self.script.to_dict() if self.script else None
        merging = self.merging | {"scripts": [SCRIPTS_FORMAT, script]}
        return content_digest(self.os_layer, self.layers, self.disk_size_gb, merging)

    @property
    def image_digest(self) -> str:
        """The digest of everything that determines the published VM; it is recorded in the VM."""
        placement = self.connector.placement()
        return canonical_digest({"content": self.content_digest, "connector": placement, "vm_name": self.vm_name})


def content_digest(
    os_layer: LayerReference, layers: tuple[LayerReference, ...], disk_size_gb: int | None, merging: dict[str, Any]
) -> str:
    """Return the digest of everything that determines the content of an image's disk."""
    content = {
        "format": COMPOSE_FORMAT,
        "os_layer": os_layer.digest,
        "layers": [layer.digest for layer in layers],
        "disk_size_gb": disk_size_gb,
    }
    return canonical_digest(content | merging)


#: (priority, app layer, name and version of its prerequisites).
Orderable = tuple[int, LayerReference, Collection[tuple[str, str]]]


def apply_order(layers: Sequence[Orderable], sort_names: Mapping[str, str] | None = None) -> tuple[LayerReference, ...]:
    """Sort app layers into the order in which they are applied, lowest first.

    ``sort_names`` has the names by which renamed layers are sorted.

    Layers are sorted by ascending priority. Among equal priorities, a layer is above its prerequisites, in
    the version on which it was built or in another version. If that is circular (two layers were built on
    versions of each other), only the version on which it was built counts. Remaining layers are sorted by
    name without regard to case.
    """
    renamed = sort_names or {}

    def position(item: Orderable) -> tuple[int, str, str]:
        name = renamed.get(item[1].name, item[1].name)
        return item[0], name.casefold(), name

    waiting = sorted(layers, key=position)
    ordered = []
    while waiting:
        equals = [item for item in waiting if item[0] == waiting[0][0]]
        lowest = _without_prerequisites(equals)
        waiting.remove(lowest)
        ordered.append(lowest[1])
    return tuple(ordered)


def _without_prerequisites(layers: Sequence[Orderable]) -> Orderable:
    """Return the first layer that has no prerequisite among ``layers``."""
    names = {layer.name for _priority, layer, _below in layers}
    versions = {(layer.name, layer.version) for _priority, layer, _below in layers}
    for item in layers:
        _priority, layer, below = item
        if not any(name in names and name != layer.name for name, _version in below):
            return item
    return next((item for item in layers if versions.isdisjoint(item[2])), layers[0])


def canonical_digest(document: dict[str, Any]) -> str:
    """Return the digest (``sha256:...``) of a document's canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
