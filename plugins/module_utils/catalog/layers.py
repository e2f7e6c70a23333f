# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers in the repository: finding versions, changing what describes a layer, storing its document."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..common.errors import Conflict, InternalError, InvalidInput, NotFound, StrataError
from ..layers.layer_version import (
    APP,
    OS,
    PRIORITIES,
    LayerReference,
    check_description,
    check_layer_name,
    check_version_name,
)
from ..repository.repository import Repository
from . import document_collections, layer_store, scripts
from .kinds import LOCK, layer_label
from .layer_document import LayerDocument, SoftwareLayerEntry
from .spelling import refuse_other_spelling, spelling_hint

#: Selects the newest deployable version, in the natural order of versions.
LATEST = "latest"
_MAX_SHOWN = 20


def layer_lock(kind: str, name: str) -> str:
    """Return the lock of a layer: held from reading its document to storing it while versions are added or removed."""
    return f"layer/{kind}/{name}"


def find_layer(repository: Repository, kind: str, name: str) -> LayerDocument | None:
    """Return a layer's document, None when there is no such layer.

    Raises:
        InvalidInput: ``layers.name`` if no layer can have this name.
        Corrupt: ``catalog.field`` if the document is damaged.
    """
    return document_collections.layers(repository, kind).get(check_layer_name(name))


def find_layer_to_change(repository: Repository, kind: str, name: str, version: str) -> LayerDocument | None:
    """Return the document of a layer that has or gets ``version``, None when the layer is new.

    Raises:
        InvalidInput: ``layers.name`` if no layer can have this name.
        Conflict: ``catalog.other_spelling`` if a layer or a version has the same name except for case.
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    layer = find_layer(repository, kind, name)
    if layer is None:
        refuse_other_spelling(layer_label(kind), name, document_collections.layers(repository, kind).names())
    else:
        refuse_other_spelling(f"version of the {layer.label}", version, layer.versions, "version")
    return layer


def find_version(repository: Repository, kind: str, name: str, version: str | None) -> LayerReference:
    """Return a deployable version of a layer, the newest when ``version`` is None or "latest".

    Raises:
        NotFound: ``catalog.layer_missing`` or ``catalog.layer_version_missing``; the hint lists what exists.
        Conflict: ``catalog.layer_not_deployable``.
        Corrupt: ``catalog.field`` if the document is damaged.
    """
    layer = find_layer(repository, kind, name)
    if layer is None:
        known = document_collections.layers(repository, kind).names()
        raise NotFound(
            f"The repository has no {layer_label(kind)} named {name!r}.",
            code="catalog.layer_missing",
            hint=f"{spelling_hint(name, known)}It has: {', '.join(known[:_MAX_SHOWN])}."
            if known
            else f"Create it with strata.layering.{kind}_layer.",
        )
    deployable = layer.deployable_versions()
    if version in (None, LATEST):
        version = deployable[-1] if deployable else None
    if version is None or version not in layer.versions:
        missing = "deployable version" if version is None else f"version {version!r}"
        raise NotFound(
            f"The {layer.label} has no {missing}.",
            code="catalog.layer_version_missing",
            hint=f"{spelling_hint(version or '', (*deployable, LATEST))}It has: {', '.join(deployable) or 'none'}.",
        )
    entry = layer.versions[version]
    if not entry.deployable:
        raise Conflict(
            f"Version {version} of the {layer.label} is {entry.status}.",
            code="catalog.layer_not_deployable",
            hint="Use a version that is Deployable.",
        )
    if entry.digest is None:
        raise InternalError(
            f"Version {version} of the {layer.label} was recorded without a digest.", code="catalog.layer_digest"
        )
    return LayerReference(kind, name, version, entry.digest)


def check_names(name: str, version: str | None, priority: int | None = None) -> None:
    """Raise InvalidInput for a name, version or priority that no layer can have."""
    check_layer_name(name)
    if version is not None:
        check_version_name(version)
    if priority is not None and priority not in PRIORITIES:
        raise InvalidInput(
            f"The priority {priority} of the app layer {name} is out of range.",
            code="catalog.layer_priority",
            hint=f"Set priority between 0 and {PRIORITIES[-1]}.",
        )


def refuse_other_script(layer: LayerDocument, version: str, script: scripts.Script | None, path: str | None) -> None:
    """Raise Conflict (``catalog.layer_other_script``) if an existing version has another script than the file ``path``."""
    stored = layer.versions[version].script
    if script is None or script.is_recorded(stored):
        return
    problem = (
        f"was built with the script {stored.name}, which differs from" if stored else "was built without the script"
    )
    raise Conflict(
        f"Version {version} of the {layer.label} {problem} {path!r}.",
        code="catalog.layer_other_script",
        hint="A version never changes: set version to a new version, or leave script out.",
    )


@dataclass(frozen=True)
class LayerMetadata:
    """Options that describe a layer or a version and may change; None keeps what is stored."""

    description: str | None = None
    version_description: str | None = None
    priority: int | None = None
    connector: str | None = None

    def apply(self, layer: LayerDocument, version: str) -> LayerDocument:
        """Return the document with these options; options that its kind of layer does not have are ignored."""
        changes: dict[str, Any] = {}
        if self.description is not None:
            changes["description"] = check_description(self.description)
        if self.priority is not None and layer.kind == APP:
            changes["priority"] = self.priority
        if self.connector is not None and layer.kind == OS:
            changes["connector"] = self.connector
        layer = dataclasses.replace(layer, **changes)
        if self.version_description is None:
            return layer
        text = check_description(self.version_description, "version description")
        return layer.with_version(version, dataclasses.replace(layer.versions[version], version_description=text))


def store_layer(
    repository: Repository, before: LayerDocument | None, after: LayerDocument, version: str, comment: str | None
) -> None:
    """Store the document ``after`` of a layer in which ``version`` was added or changed.

    Raises:
        NotFound, Conflict: as ``find_version``, if a layer version that a new version builds on was removed
            while it was built; ``catalog.other_spelling``.
        StrataError: as ``Upstream.before_change``, if the registry of record refuses the change. The reference of a new
            version is removed then.
    """
    with repository.locks.hold(LOCK, purpose=f"change the {after.label}"):
        is_new = before is None or version not in before.versions
        if is_new:
            # Once more, under the lock of the catalog: another process may have created the other spelling.
            find_layer_to_change(repository, after.kind, after.name, version)
            _require_base(repository, after, version)
        try:
            document_collections.layers(repository, after.kind).put(
                after.name, after, before=before, comment=comment, version=version
            )
        except StrataError:
            if is_new and repository.upstream is not None:
                layer_store.remove_version(repository, after.kind, after.name, version)
            raise


def expect_new_version(repository: Repository, kind: str, name: str, version: str) -> None:
    """Check, before a version is built for minutes, that the registry of record can take it.

    Raises:
        StrataError: as ``Upstream.before_build``.
    """
    upstream = repository.shared_upstream()
    if upstream is not None:
        upstream.before_build(kind, name, version)


def _require_base(repository: Repository, layer: LayerDocument, version: str) -> None:
    entry = layer.versions[version]
    if isinstance(entry, SoftwareLayerEntry):
        find_version(repository, OS, entry.os_layer.name, entry.os_layer.version)
        for prerequisite in entry.prerequisites:
            find_version(repository, APP, prerequisite.name, prerequisite.version)
