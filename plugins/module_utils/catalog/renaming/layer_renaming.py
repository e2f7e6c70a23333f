# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out the rename of a layer or of its versions.

The new name is stored first, then every document that names the layer, and the old name is removed last. Each document is valid
at any time: while both names exist, either can be resolved, to the same digest. A journal lets the next run complete a rename
that was interrupted.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from ...common.errors import Conflict
from ...common.timestamps import now
from ...layers.layer_version import KINDS, OS
from ...repository.blobs import Descriptor
from ...repository.oci_layout import MANIFEST
from ...repository.repository import Repository
from .. import document_collections, layer_store
from ..image_documents import update_images
from ..kinds import IMAGE, LAYER_KINDS, LOCK, NOISE_PROFILE, PACKAGING, TEMPLATE, layer_kind, layer_label
from ..layer_document import LayerDocument
from ..layers import layer_lock
from ..rename_record import RenameRecord
from ..spelling import refuse_other_spelling
from .journal import audit_rename
from .layer_rename import LayerRename

_MAX_SHOWN = 5


@dataclass(frozen=True)
class NamedDocument:
    """A document that names a layer: its kind, and its name."""

    kind: str
    name: str

    def to_dict(self) -> dict[str, str]:
        """Return the JSON object for a module's result."""
        return {"kind": self.kind, "name": self.name}


@contextlib.contextmanager
def rename_locks(
    repository: Repository, rename: LayerRename, *, shared: bool = False, timeout: float = 60.0
) -> Iterator[None]:
    """Hold the locks of both names, in the order of their names, and the lock of the catalog."""
    purpose = f"rename the {layer_label(rename.kind)} {rename.name}"
    with contextlib.ExitStack() as held:
        for name in (*(layer_lock(rename.kind, name) for name in sorted({rename.name, rename.new_name})), LOCK):
            held.enter_context(repository.locks.hold(name, shared=shared, timeout=timeout, purpose=purpose))
        yield


def refuse_rename(repository: Repository, rename: LayerRename, layer: LayerDocument) -> None:
    """Raise if ``layer`` cannot get its new names.

    Raises:
        Conflict: ``catalog.name_taken`` if a layer or a version has a new name already; ``catalog.other_spelling`` if its name
            differs from a new name only in case; ``catalog.rename_packaging`` if a packaging machine exists for a version.
    """
    label = layer_label(rename.kind)
    if rename.new_name != rename.name:
        names = [name for name in document_collections.layers(repository, rename.kind).names() if name != rename.name]
        if rename.new_name in names:
            raise _taken(f"The {label} {rename.name!r}", rename.new_name, f"there is a {label} of this name")
        refuse_other_spelling(label, rename.new_name, names)
    for version, new_version in rename.versions.items():
        others = [name for name in layer.versions if name != version]
        if new_version in others:
            raise _taken(f"Version {version!r} of the {layer.label}", new_version, "the layer has this version")
        refuse_other_spelling(f"version of the {layer.label}", new_version, others, "version")
    packaged = [
        f"{record.layer} {record.version}"
        for _name, record in document_collections.packaging_records(repository).all()
        if rename.packages(record)
    ]
    if packaged:
        raise Conflict(
            f"The {layer.label} cannot be renamed: packaging machines exist for {', '.join(packaged[:_MAX_SHOWN])}.",
            code="catalog.rename_packaging",
            hint="Capture these versions, or delete their packaging machines with the module packaging_machine and state absent.",
            layers=packaged,
        )


def _taken(subject: str, new_name: str, reason: str) -> Conflict:
    return Conflict(
        f"{subject} cannot be renamed to {new_name!r}: {reason} already.",
        code="catalog.name_taken",
        hint="Choose a name that does not exist, or delete the object that has it.",
        name=new_name,
    )


def naming_documents(repository: Repository, rename: LayerRename) -> list[NamedDocument]:
    """Return the documents that name the layer or its versions, and that a rename changes."""
    found = [NamedDocument(layer_kind(layer.kind), layer.name) for layer in _layers(repository, rename)]
    templates = document_collections.templates(repository).all()
    found += [NamedDocument(TEMPLATE, name) for name, template in templates if rename.template(template) != template]
    found += [
        NamedDocument(IMAGE, name)
        for name, document in document_collections.images(repository).all()
        if rename.images(document.images) != document.images
    ]
    found += [
        NamedDocument(PACKAGING, name)
        for name, record in document_collections.packaging_records(repository).all()
        if rename.packaging(record) != record
    ]
    found += [
        NamedDocument(NOISE_PROFILE, name)
        for name, profile in document_collections.noise_profiles(repository).all()
        if rename.noise_profile(profile) != profile
    ]
    return found


def _layers(repository: Repository, rename: LayerRename) -> list[LayerDocument]:
    """Return the other layers that name the renamed layer; their documents are changed."""
    return [
        layer
        for kind in KINDS
        for name, layer in document_collections.layers(repository, kind).all()
        if rename.users(layer) != layer
        and (kind, name) not in ((rename.kind, rename.name), (rename.kind, rename.new_name))
    ]


def rename_layer(repository: Repository, rename: LayerRename, layer: LayerDocument, comment: str | None) -> None:
    """Rename ``layer``, under ``rename_locks`` and after ``refuse_rename``.

    Raises:
        StrataError: as ``Upstream.before_rename``; nothing was renamed.
    """
    upstream = repository.shared_upstream()
    if upstream is not None:
        upstream.before_rename(layer_kind(rename.kind), rename.name)
    record = RenameRecord(
        id=secrets.token_hex(8),
        kind=layer_kind(rename.kind),
        name=rename.name,
        new_name=rename.new_name,
        versions=rename.all_versions(layer) if rename.new_name != rename.name else dict(rename.versions),
        comment=comment,
        started=now(),
    )
    document_collections.renames(repository).store(record.document_name, record)
    carry_out(repository, record)


def carry_out(repository: Repository, record: RenameRecord) -> None:
    """Carry out, or complete, the rename of a journal, under ``rename_locks``; every step may have been done before."""
    rename = rename_of(record)
    _store_new_name(repository, rename)
    _store_users(repository, rename)
    _remove_old_name(repository, rename, record)
    changed = {version: new for version, new in record.versions.items() if version != new}
    audit_rename(repository, record, {"versions": changed} if changed else {})
    document_collections.renames(repository).remove(record.document_name)


def resume_rename(repository: Repository, kind: str, name: str) -> None:
    """Complete an interrupted rename of the layer, of which ``kind`` is the kind of document, under ``rename_locks``.

    Raises:
        StrataError: the reason for which the rename cannot be completed, such as a registry of record that cannot be reached.
    """
    renames = document_collections.renames(repository)
    record = next((found for _name, found in renames.all() if (found.kind, found.name) == (kind, name)), None)
    if record is not None:
        carry_out(repository, record)


def rename_of(record: RenameRecord) -> LayerRename:
    """Return the rename of a journal of a layer."""
    kind = LAYER_KINDS[record.kind]
    return LayerRename(kind=kind, name=record.name, new_name=record.new_name, versions=record.versions)


def _store_new_name(repository: Repository, rename: LayerRename) -> None:
    documents = document_collections.layers(repository, rename.kind)
    layer = documents.get(rename.name)
    if layer is None:
        return
    both = rename.with_both_names(layer, documents.get(rename.new_name))
    for version, entry in both.versions.items():
        if entry.digest is not None:
            manifest = Descriptor(MANIFEST, entry.digest, repository.layout.size(entry.digest))
            repository.layout.add_reference(
                layer_store.layer_reference_name(rename.kind, rename.new_name, version), manifest
            )
    documents.store(rename.new_name, rename.users(both))


def _store_users(repository: Repository, rename: LayerRename) -> None:
    for layer in _layers(repository, rename):
        document_collections.layers(repository, layer.kind).store(layer.name, rename.users(layer))
    templates = document_collections.templates(repository)
    for name, template in templates.all():
        renamed = rename.template(template)
        if renamed != template:
            templates.store(name, renamed)
    for name in document_collections.images(repository).names():
        update_images(repository, name, rename.images)
    packaging = document_collections.packaging_records(repository)
    for name, machine in packaging.all():
        if rename.packaging(machine) != machine:
            packaging.store(name, rename.packaging(machine))
    if rename.kind == OS:
        _rename_noise_profiles(repository, rename)


def _rename_noise_profiles(repository: Repository, rename: LayerRename) -> None:
    profiles = document_collections.noise_profiles(repository)
    for name, profile in profiles.all():
        renamed = rename.noise_profile(profile)
        if renamed != profile:
            profiles.store(f"{renamed.os_layer.name}/{renamed.os_layer.version}", renamed)
            profiles.remove(name)


def _remove_old_name(repository: Repository, rename: LayerRename, record: RenameRecord) -> None:
    documents = document_collections.layers(repository, rename.kind)
    if rename.new_name != rename.name:
        documents.remove(rename.name)
    else:
        layer = documents.require(rename.name)
        documents.store(
            rename.name, layer.without_versions([old for old, new in record.versions.items() if old != new])
        )
    for old, new in record.versions.items():
        if (rename.name, old) != (rename.new_name, new):
            layer_store.remove_version(repository, rename.kind, rename.name, old)


def renamed_document(repository: Repository, rename: LayerRename, layer: LayerDocument) -> LayerDocument:
    """Return the document that ``rename_layer`` stores, for check mode."""
    return rename.users(rename.layer(layer))
