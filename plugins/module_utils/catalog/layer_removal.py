# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing versions of layers that no image template and no other layer version needs."""

from __future__ import annotations

from ..common.errors import Conflict
from ..common.outcome import Outcome
from ..layers.layer_version import APP, OS, PLATFORM
from ..repository.repository import Repository
from . import document_collections, layer_store, noise_profiles
from .kinds import LOCK, layer_kind, layer_label
from .layer_document import LayerDocument, SoftwareLayerEntry
from .layers import find_layer, layer_lock
from .references import refuse_in_use, templates_using
from .spelling import absent_warnings
from .template_document import TemplateDocument
from .version_name import VersionName

_MAX_SHOWN = 5


def remove_versions(
    repository: Repository, kind: str, name: str, version: str | None, *, comment: str | None, check_mode: bool
) -> Outcome:
    """Remove a version, or the layer with all its versions when ``version`` is None.

    Raises:
        Conflict: ``catalog.in_use`` if an image template uses a version, ``catalog.layer_needed`` if a
            version of another layer was built on it, or a packaging machine was created from it.
        InvalidInput: ``layers.name`` if no layer can have this name.
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    purpose = f"remove the {layer_label(kind)} {name}"
    with (
        repository.locks.hold(layer_lock(kind, name), shared=check_mode, purpose=purpose),
        repository.locks.hold(LOCK, shared=check_mode, purpose=purpose),
    ):
        before = find_layer(repository, kind, name)
        if before is None:
            known = document_collections.layers(repository, kind).names()
            return Outcome(False, warnings=absent_warnings(layer_label(kind), name, known))
        if version is not None and version not in before.versions:
            warnings = absent_warnings(f"version of the {before.label}", version, before.versions)
            return Outcome(False, before.to_dict(), before.to_dict(), warnings=warnings)
        removed = list(before.versions) if version is None else [version]
        for number in removed:
            refuse_needed(repository, kind, VersionName(name, number))
        remaining = before.without_versions(removed)
        after = remaining if remaining.versions else None
        if not check_mode:
            _remove(repository, before, removed, after, comment)
    return Outcome(True, before.to_dict(), after.to_dict() if after else None)


def _remove(
    repository: Repository, before: LayerDocument, removed: list[str], after: LayerDocument | None, comment: str | None
) -> None:
    # The document is changed first: a version that only its reference names is collected; a document that
    # names a version which does not exist would be damage. A registry of record may refuse, so it comes before anything else.
    documents = document_collections.layers(repository, before.kind)
    documents.send(before.name, after)
    for version in removed if before.kind == OS else ():
        # A noise profile names the digest of its version, and would keep its blobs.
        noise_profiles.discard(repository, before.name, version)
    documents.mirror(before.name, after)
    for version in removed:
        layer_store.remove_version(repository, before.kind, before.name, version)
        repository.audit.append("delete", layer_kind(before.kind), before.name, version=version, comment=comment)


def refuse_needed(repository: Repository, kind: str, removed: VersionName) -> None:
    """Raise Conflict if a template, a layer version or a packaging machine needs a layer version.

    Raises:
        Conflict: ``catalog.in_use``, ``catalog.layer_needed``.
    """
    subject = f"Version {removed.version} of the {layer_label(kind)} {removed.name}"

    def used_by(template: TemplateDocument) -> bool:
        if kind == OS:
            return template.os_layer == removed
        return removed in template.app_layers if kind == APP else template.platform_layer == removed

    refuse_in_use(subject, templates_using(repository, used_by))
    needing = [
        f"{name} {version}"
        for dependent_kind in (APP, PLATFORM)
        for name, layer in document_collections.layers(repository, dependent_kind).all()
        for version, entry in layer.software_versions()
        if _needs(entry, kind, removed)
    ]
    if needing:
        raise Conflict(
            f"{subject} cannot be deleted: other layer versions were built on it: {', '.join(needing[:_MAX_SHOWN])}.",
            code="catalog.layer_needed",
            hint="Delete those layer versions first.",
            layers=needing,
        )
    _refuse_packaging(repository, kind, removed, subject)


def _refuse_packaging(repository: Repository, kind: str, removed: VersionName, subject: str) -> None:
    """Refuse a version from which packaging machines were created: what is installed in them could not be captured."""
    packaged = [
        f"{layer_label(record.kind)} {record.layer} {record.version}"
        for _name, record in document_collections.packaging_records(repository).all()
        if record.kind in (APP, PLATFORM)
        and (kind, removed.name, removed.version)
        in {(layer.kind, layer.name, layer.version) for layer in (record.os_layer, *record.prerequisites)}
    ]
    if packaged:
        raise Conflict(
            f"{subject} cannot be deleted: packaging machines were created from it, for the {', the '.join(packaged[:_MAX_SHOWN])}.",
            code="catalog.layer_needed",
            hint="Capture these layer versions, and delete their packaging machines with the module packaging_machine and state absent.",
            layers=packaged,
        )


def _needs(entry: SoftwareLayerEntry, kind: str, removed: VersionName) -> bool:
    if kind == OS:
        return entry.os_layer == removed
    return kind == APP and removed in entry.prerequisites
