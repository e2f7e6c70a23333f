# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image template resolved: every layer version it names, by digest, and the digests of what it makes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ..layers.layer_version import LayerReference
from .connector_document import ConnectorDocument

#: Policies for files that the OS layer has changed since a layer was built: which version of the file wins.
LAYER, OS, NEWEST, FAIL = "layer", "os", "newest", "fail"
#: Part of every content digest: raised when composing the same layers gives another tree.
COMPOSE_FORMAT = 1
#: Part of the content digest of images with scripts: raised when the same scripts are placed in another way.
SCRIPTS_FORMAT = 1


@dataclass(frozen=True)
class ResolvedTemplate:
    """A template with digests in place of versions.

    ``app_layers`` are in the order in which they are applied. ``disk_size_gb`` None to keep the OS layer's size, ``merging``
    what differs from the usual in merging: outdated_files, registry_lists; ``script`` name, digest
    and size of the script that runs after those of the layers.
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
    merging: dict = field(default_factory=dict)
    script: dict | None = None

    @property
    def layers(self) -> tuple[LayerReference, ...]:
        """App layers in order, then the platform layer: what is put on the OS layer, later ones win."""
        return self.app_layers + ((self.platform_layer,) if self.platform_layer else ())

    @property
    def content_digest(self) -> str:
        """Digest over everything that decides the disk's content; names a thin image."""
        return content_digest(
            self.os_layer, self.layers, self.disk_size_gb, self.merging | {"scripts": [SCRIPTS_FORMAT, self.script]}
        )

    @property
    def image_digest(self) -> str:
        """Digest over everything that decides the published machine; recorded on the VM."""
        placement = self.connector.placement()
        return canonical_digest({"content": self.content_digest, "connector": placement, "vm_name": self.vm_name})


def content_digest(
    os_layer: LayerReference, layers: tuple[LayerReference, ...], disk_size_gb: int | None, merging: dict
) -> str:
    """Digest over everything that decides the content of an image's disk."""
    content = {
        "format": COMPOSE_FORMAT,
        "os_layer": os_layer.digest,
        "layers": [layer.digest for layer in layers],
        "disk_size_gb": disk_size_gb,
    }
    return canonical_digest(content | merging)


def label(layer: LayerReference) -> str:
    """How messages name a layer version."""
    return f"{layer.kind} layer {layer.name} {layer.version}"


def apply_order(
    layers: Sequence[tuple[int, LayerReference, Collection[tuple[str, str]]]],
) -> tuple[LayerReference, ...]:
    """Sort ``(priority, app layer, name and version of its prerequisites)`` as they are applied, the lowest first.

    Ascending priority. Among equals a layer stands above its prerequisites, be they there in the version that it knew or in
    another; where that leads in a circle (two layers were made upon versions of each other), only the version that it knew
    counts. What remains is ordered by name without regard to case.
    """
    waiting = sorted(layers, key=lambda item: (item[0], item[1].name.casefold(), item[1].name))
    ordered = []
    while waiting:
        equals = [one for one in waiting if one[0] == waiting[0][0]]
        names = {layer.name for _priority, layer, _below in equals}
        versions = {(layer.name, layer.version) for _priority, layer, _below in equals}
        free = [one for one in equals if not any(name in names for name, _version in one[2] if name != one[1].name)]
        free = free or [one for one in equals if versions.isdisjoint(one[2])] or equals
        waiting.remove(free[0])
        ordered.append(free[0][1])
    return tuple(ordered)


def canonical_digest(document: dict) -> str:
    """``sha256:...`` of a document's canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
