# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository as it would be after changes that have not been made: layer versions and connectors of a plan."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.errors import NotFound
from ..common.timestamps import now
from ..layers.layer_version import DEPLOYABLE, OS, LayerReference
from ..repository.repository import Repository
from . import document_collections
from .connector_document import ConnectorDocument
from .kinds import CONNECTOR, layer_kind, layer_label
from .layer_document import LayerDocument, LayerEntry, OsLayerEntry, SoftwareLayerEntry
from .layers import find_version
from .version_name import VersionName, VersionRequest


class LayerAction(enum.StrEnum):
    """What a run would do with a layer version."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class PendingLayer:
    """A layer version that a run would create, change or delete before it publishes images.

    ``version`` None: all versions of the layer, for ``delete``. ``os_layer`` is the OS layer that a created app or platform
    layer is built for, None if it is not known. ``priority`` and ``confirmed_for`` None keep what is stored.
    ``unknown`` says why it is not known whether the run will create the version, None if it will.
    """

    kind: str
    name: str
    version: str | None
    action: LayerAction
    os_layer: VersionRequest | None = None
    prerequisites: tuple[VersionName, ...] = ()
    priority: int | None = None
    confirmed_for: tuple[str, ...] | None = None
    unknown: str | None = None

    @property
    def label(self) -> str:
        """The name of the version in messages, such as ``app layer Tool 2.1``."""
        version = f" {self.version}" if self.version else ""
        return f"{layer_label(self.kind)} {self.name}{version}"


class Future:
    """A repository, and the changes that a run would make in it before it publishes images.

    ``template_os`` is the OS layer for which versions are assumed to be built whose OS layer is not known.
    """

    def __init__(
        self,
        repository: Repository,
        layers: Sequence[PendingLayer],
        connectors: Mapping[str, ConnectorDocument],
        template_os: VersionRequest | None = None,
    ) -> None:
        self._template_os = template_os
        self._created: dict[tuple[str, str, str], PendingLayer] = {}
        documents: dict[tuple[str, str], dict[str, Any] | None] = {
            (CONNECTOR, name): document.to_dict() for name, document in connectors.items()
        }
        # OS layers come first: the other layers are built for one of their versions.
        for pending in sorted(layers, key=lambda layer: layer.kind != OS):
            document = self._changed(repository.overlaid(documents), pending)
            documents[layer_kind(pending.kind), pending.name] = document.to_dict() if document else None
        #: The repository with the changes. A version that would be created has a digest that no stored version has.
        self.repository = repository.overlaid(documents)

    def created(self, layer: LayerReference) -> PendingLayer | None:
        """Return the change that would create a layer version, None if it is stored."""
        return self._created.get((layer.kind, layer.name, layer.version))

    def _changed(self, base: Repository, pending: PendingLayer) -> LayerDocument | None:
        """Return the document of a layer after a change, None if the layer would be deleted."""
        layer = document_collections.layers(base, pending.kind).get(pending.name)
        version = pending.version
        if pending.action is LayerAction.DELETE:
            left = layer.without_versions([version]) if layer and version is not None else None
            return left if left and left.versions else None
        layer = layer or LayerDocument.new(pending.kind, pending.name)
        if pending.priority is not None:
            layer = dataclasses.replace(layer, priority=pending.priority)
        if version is None:
            return layer
        if version not in layer.versions and pending.action is LayerAction.CREATE:
            self._created[pending.kind, pending.name, version] = pending
            layer = layer.with_version(version, self._entry(base, pending))
        if version in layer.versions and pending.kind != OS and pending.confirmed_for is not None:
            entry = layer.software_version(version)
            layer = layer.with_version(version, dataclasses.replace(entry, confirmed_for=pending.confirmed_for))
        return layer

    def _entry(self, base: Repository, pending: PendingLayer) -> LayerEntry:
        digest = hashlib.sha256(f"pending {pending.label}".encode()).hexdigest()
        common: dict[str, Any] = {
            "digest": f"sha256:{digest}",
            "status": DEPLOYABLE,
            "size": 0,
            "version_description": "",
            "created": now(),
            "source": {},
            "script": None,
        }
        if pending.kind == OS:
            return OsLayerEntry(**common, size_gb=0, windows={})
        return SoftwareLayerEntry(
            **common,
            content_digest=None,
            os_layer=_built_for(base, pending.os_layer or self._template_os),
            prerequisites=pending.prerequisites,
            changes={},
        )


def _built_for(base: Repository, requested: VersionRequest | None) -> VersionName:
    """Return the OS layer version that a layer would be built for; its version is empty when it does not exist."""
    if requested is None:
        return VersionName("", "")
    try:
        found = find_version(base, OS, requested.name, requested.version)
    except NotFound:
        return VersionName(requested.name, requested.version or "")
    return VersionName(found.name, found.version)
