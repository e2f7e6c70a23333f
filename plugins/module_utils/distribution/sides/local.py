# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The side of a transfer that is a repository on the composer: what it has, and how it takes in what arrives."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence

from ...catalog import document_collections
from ...catalog.kinds import LOCK, layer_kind
from ...catalog.layer_document import LayerDocument
from ...catalog.layer_store import layer_reference_name
from ...catalog.layers import find_layer_to_change, layer_lock
from ...catalog.template_document import TemplateDocument
from ...common.errors import Conflict, Corrupt, NotFound
from ...common.progress import Progress, silent
from ...images.stored.thin_image import ARTIFACT_TYPE as IMAGE_TYPE
from ...images.stored.thin_image import reference_of
from ...layers.icon import icon_media_type
from ...layers.layer_version import KINDS, LayerReference, LayerVersion
from ...repository.blobs import Descriptor
from ...repository.oci_layout import MAX_JSON
from ...repository.repository import Repository
from ..items import details, template_item
from ..items.artifacts import listed_blobs, parse_manifest
from ..items.catalog_entry import CatalogEntry
from ..items.items import Attachment, ImageItem, LayerFields, LayerItem, fields_of
from ..items.names import IMAGE, TEMPLATE, ItemName
from ..items.template_item import TemplateItem

#: The beginning of references to manifests that refer to another manifest, such as signatures.
ATTACHMENTS = "attachments"
_MAX_CONFIG = 1 << 20
_MAX_ICON = 16 << 20


class Local:
    """A repository as one side of a transfer."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    @property
    def label(self) -> str:
        """The repository in messages."""
        return f"the repository {self.repository.path}"

    @property
    def identity(self) -> str:
        """The repository as another repository remembers it."""
        return self.repository.path

    # --- what it has ------------------------------------------------------------------------

    def names(self) -> list[CatalogEntry]:
        """Return all layers and templates, sorted."""
        found = [
            CatalogEntry(kind, name)
            for kind in KINDS
            for name in document_collections.layers(self.repository, kind).names()
        ]
        return found + [
            CatalogEntry(TEMPLATE, name) for name in document_collections.templates(self.repository).names()
        ]

    def items(self) -> list[ItemName]:
        """Return all layer versions that were stored, and all templates."""
        found = []
        for entry in self.names():
            if entry.kind == TEMPLATE:
                found.append(ItemName(TEMPLATE, entry.name))
            else:
                found += [ItemName(entry.kind, entry.name, version) for version in self.version_names(entry)]
        return found

    def version_names(self, entry: CatalogEntry) -> list[str]:
        """Return the versions of a layer, oldest first; an empty list if there is no such layer."""
        document = self.layer_document(entry.kind, entry.name)
        return (
            [version for version in document.sorted_versions() if document.versions[version].digest] if document else []
        )

    def locate(self, base: LayerReference) -> tuple[CatalogEntry, str] | None:
        """Return the layer version with the digest of ``base`` under its current name, None if it is not there."""
        found = self.current_name(base)
        return (CatalogEntry(base.kind, found.name), found.version or "") if found else None

    def layer_document(self, kind: str, name: str) -> LayerDocument | None:
        """Return the document of a layer."""
        return document_collections.layers(self.repository, kind).get(name)

    def current_name(self, base: LayerReference) -> ItemName | None:
        """Return the current name of the layer version with the digest of ``base``, None if the repository does not have it."""
        document = self.layer_document(base.kind, base.name)
        entry = document.versions.get(base.version) if document else None
        if entry is not None and entry.digest == base.digest:
            return ItemName(base.kind, base.name, base.version)
        # Only a renamed version needs a look at all layers.
        return self.find_digest(base.kind, base.digest)

    def find_digest(self, kind: str, digest: str) -> ItemName | None:
        """Return the current name of the layer version with a manifest, None if the repository does not have it."""
        for name, document in document_collections.layers(self.repository, kind).all():
            for version, entry in document.versions.items():
                if entry.digest == digest:
                    return ItemName(kind, name, version)
        return None

    def layer(self, item: ItemName, path: str | None = None) -> LayerItem | None:
        """Return a layer version with its details and attachments; None if the repository does not have it.

        Raises:
            NotFound, Corrupt, Unsupported: its manifest or config cannot be read.
        """
        document = self.layer_document(item.kind, item.name)
        if document is None or item.version not in document.versions or item.version is None:
            return None
        digest = document.versions[item.version].digest
        if digest is None:
            return None
        data = self.repository.layout.blobs.read(digest, MAX_JSON)
        manifest = parse_manifest(data, digest)
        version = read_version(manifest, self._read(Descriptor.from_json(manifest["config"])))
        described = details.of_document(document, item.version, self.icon(document.icon))
        return LayerItem(
            item, data, digest, attachments=tuple(self._attachments(digest)), version=version, details=described
        )

    def fields(self, entry: CatalogEntry) -> LayerFields | None:
        """Return the shared fields of a layer, None if there is no such layer."""
        document = self.layer_document(entry.kind, entry.name)
        return fields_of(document) if document else None

    def template_document(self, name: str) -> TemplateDocument | None:
        """Return the document of a template."""
        return document_collections.templates(self.repository).get(name)

    def template(self, name: str, path: str | None = None) -> TemplateItem | None:
        """Return a template as an artifact of revision 0; raise NotFound if a layer version that it names is missing."""
        document = self.template_document(name)
        return None if document is None else self._template(document)

    def _template(self, document: TemplateDocument) -> TemplateItem:
        layers = tuple(self._reference(document, item) for item in template_item.layer_names(document))
        return template_item.of_document(document, layers, self.icon(document.icon))

    def _reference(self, template: TemplateDocument, item: ItemName) -> LayerReference:
        layer = self.layer_document(item.kind, item.name)
        entry = layer.versions.get(item.version or "") if layer else None
        if entry is None or entry.digest is None:
            raise NotFound(
                f"The image template {template.name} names the {item}, which {self.label} does not have.",
                code="distribution.template_layer",
                hint="Create or pull the layer version, or change the image template.",
            )
        return LayerReference(item.kind, item.name, item.version or "", entry.digest)

    def image(self, item: ItemName, path: str | None = None) -> ImageItem | None:
        """Return a composed image, None if it is not stored."""
        found = self.repository.layout.references().get(reference_of(item.version or ""))
        if found is None:
            return None
        return ImageItem(item, self.repository.layout.blobs.read(found.digest, MAX_JSON), found.digest)

    def blob_path(self, blob: Descriptor, progress: Progress = silent) -> str:
        """Return the path of a blob, which was verified."""
        return self.repository.layout.blob_path(blob, progress)

    def _read(self, config: Descriptor) -> bytes:
        return self.repository.layout.blobs.read(config, _MAX_CONFIG)

    def icon(self, digest: str | None) -> Descriptor | None:
        """Return the descriptor of an icon, None if it is not stored."""
        if digest is None or not self.repository.layout.has(digest):
            return None
        data = self.repository.layout.blobs.read(digest, _MAX_ICON)
        return Descriptor(icon_media_type(data), digest, len(data))

    def _attachments(self, digest: str) -> Iterable[Attachment]:
        prefix = f"{ATTACHMENTS}/{digest[7:]}/"
        for reference, found in self.repository.layout.references().items():
            if reference.startswith(prefix):
                data = self.repository.layout.blobs.read(found.digest, MAX_JSON)
                yield Attachment(data, found.digest, tuple(listed_blobs(parse_manifest(data, found.digest))))

    # --- taking in --------------------------------------------------------------------------

    def has(self, blob: Descriptor) -> bool:
        """Return whether a blob is stored."""
        return self.repository.layout.has(blob.digest)

    def record_layer(
        self, arrived: LayerItem, fields: LayerFields | None, *, action: str, comment: str | None, origin: dict
    ) -> None:
        """Store manifest and reference of a layer version whose blobs are stored, then its document.

        ``fields`` replaces the shared fields of the layer; None keeps those of a layer that exists. The audit history gets a
        record with ``action`` and ``origin``.

        Raises:
            Conflict: ``distribution.other_content`` if the version exists with another digest, ``catalog.other_spelling``,
                ``distribution.base_missing``, ``distribution.other_base`` if what it was built on is missing or another.
        """
        item = arrived.item
        repository = self.repository
        purpose = f"{action} the {item}"
        documents = document_collections.layers(repository, item.kind)
        with (
            repository.locks.hold(layer_lock(item.kind, item.name), purpose=purpose),
            repository.locks.hold(LOCK, purpose=purpose),
        ):
            before = find_layer_to_change(repository, item.kind, item.name, item.version or "")
            refuse_other_content(self.label, arrived, before)
            refuse_other_base(self, arrived)
            after = merged(before, arrived, fields)
            if after == before:
                return
            reference = layer_reference_name(item.kind, item.name, item.version or "")
            repository.layout.adopt_manifest(arrived.manifest, reference)
            self._adopt_attachments(arrived)
            documents.store(item.name, after)
        self._append_audit(arrived, action, comment, origin)

    def record_signatures(self, arrived: LayerItem, *, action: str, comment: str | None, origin: dict) -> None:
        """Store the signatures of a layer version that is stored; the audit history gets a record."""
        with self.repository.locks.hold(LOCK, purpose=f"{action} signatures of the {arrived.item}"):
            self._adopt_attachments(arrived)
        self._append_audit(arrived, action, comment, {"signatures": len(arrived.attachments)} | origin)

    def _adopt_attachments(self, arrived: LayerItem) -> None:
        for attachment in arrived.attachments:
            self.repository.layout.adopt_manifest(
                attachment.manifest, f"{ATTACHMENTS}/{arrived.digest[7:]}/{attachment.digest[7:]}"
            )

    def _append_audit(self, arrived: LayerItem, action: str, comment: str | None, details: dict) -> None:
        item = arrived.item
        self.repository.audit.append(
            action,
            layer_kind(item.kind),
            item.name,
            version=item.version,
            comment=comment,
            details={"digest": arrived.digest} | details,
        )

    def note_updated(self, item: LayerItem, updated: str) -> None:
        """Record the time of the newest details of a version that was sent to a remote."""
        documents = document_collections.layers(self.repository, item.item.kind)
        with self.repository.locks.hold(LOCK, purpose=f"note the details of the {item.item}"):
            document = documents.get(item.item.name)
            entry = document.versions.get(item.item.version or "") if document else None
            if document is not None and entry is not None and entry.digest == item.digest:
                changed = dataclasses.replace(entry, updated=updated)
                documents.store(item.item.name, document.with_version(item.item.version or "", changed))

    def note_transfer(self, action: str, item: ItemName, digest: str, remote: str, comment: str | None) -> None:
        """Add a record of a change of a remote to the audit history."""
        kind = layer_kind(item.kind) if item.is_layer else "image_template" if item.kind == TEMPLATE else IMAGE
        self.repository.audit.append(
            action, kind, item.name, version=item.version, comment=comment, details={"digest": digest, "to": remote}
        )

    def record_template(self, document: TemplateDocument, *, action: str, comment: str | None, origin: dict) -> None:
        """Store the document of a template, whose layers, files and connector exist.

        Raises:
            NotFound: the connector or a layer version is missing.
            Conflict: the layer versions do not fit together; ``catalog.other_spelling``.
        """
        from ...catalog.templates import resolve

        documents = document_collections.templates(self.repository)
        with self.repository.locks.hold(LOCK, purpose=f"{action} the image template {document.name}"):
            before = documents.get(document.name)
            if before is None:
                documents.refuse_other_spelling(document.name)
            resolve(self.repository, document)
            if before == document:
                return
            documents.store(document.name, document)
        self.repository.audit.append(action, "image_template", document.name, comment=comment, details=origin)

    def record_image(self, arrived: ImageItem, *, action: str, comment: str | None, origin: dict) -> None:
        """Store manifest and reference of a composed image whose blobs are stored.

        Raises:
            Corrupt: ``distribution.image`` if the manifest is not that of this image.
        """
        manifest = parse_manifest(arrived.manifest, arrived.digest)
        config = Descriptor.from_json(manifest["config"])
        content = arrived.item.version or ""
        if manifest.get("artifactType") != IMAGE_TYPE or not _is_config_of(self._read(config), content):
            raise Corrupt(
                f"The manifest {arrived.digest} is not that of the {arrived.item}.",
                code="distribution.image",
                hint="Push the image again, or leave images out: it is composed when it is published.",
            )
        self.repository.layout.adopt_manifest(arrived.manifest, reference_of(content))
        self.repository.audit.append(
            action, IMAGE, arrived.item.name, comment=comment, details={"digest": arrived.digest} | origin
        )


def _is_config_of(config: bytes, content_digest: str) -> bool:
    from ...images.stored.compose_config import ComposeConfig

    try:
        return ComposeConfig.from_dict(json.loads(config), content_digest).content_digest == content_digest
    except (ValueError, RecursionError):
        return False


def read_version(manifest: dict, config: bytes) -> LayerVersion:
    """Read a layer version from its parsed manifest and its config, both untrusted.

    Raises:
        Corrupt: ``distribution.layer`` if the config is not JSON; as ``LayerVersion.from_documents``.
        Unsupported: as ``LayerVersion.from_documents``.
    """
    try:
        value = json.loads(config)
    except (ValueError, RecursionError):
        raise Corrupt(
            f"The config of the layer version {manifest['digest']} is not JSON.",
            code="distribution.layer",
            hint="Push the layer version again from a repository that has it.",
        ) from None
    return LayerVersion.from_documents(manifest, value)


def merged(before: LayerDocument | None, arrived: LayerItem, fields: LayerFields | None) -> LayerDocument:
    """Return the document of a layer with a version that arrived, or with its changed details."""
    described, version = arrived.details.document, arrived.item.version or ""
    entry = dataclasses.replace(described.versions[version], updated=arrived.details.updated)
    if before is None:
        fields = fields or fields_of(described)
    after = (before or described).with_version(version, entry)
    if fields is not None:
        after = dataclasses.replace(after, description=fields.description, icon=fields.icon, priority=fields.priority)
    return after


def refuse_other_content(label: str, arrived: LayerItem, before: LayerDocument | None) -> None:
    """Raise Conflict (``distribution.other_content``) if the version exists with another digest."""
    entry = before.versions.get(arrived.item.version or "") if before else None
    if entry is not None and entry.digest != arrived.digest:
        raise other_content(label, arrived.item, arrived.digest, entry.digest)


def other_content(label: str, item: ItemName, expected: str, found: str | None) -> Conflict:
    """Return the error for a layer version that ``label`` has with another digest."""
    return Conflict(
        f"The {item} exists in {label} with other content: expected {expected}, found {found}.",
        code="distribution.other_content",
        hint="A version never changes: give one of both another version.",
        expected=expected,
        found=found,
    )


def refuse_other_base(side: Local, arrived: LayerItem) -> None:
    """Raise Conflict if a layer version that this version was built on is missing or has another digest."""
    for base in bases(arrived.version):
        if side.current_name(base) is not None:
            continue
        document = side.layer_document(base.kind, base.name)
        entry = document.versions.get(base.version) if document else None
        if entry is None:
            raise Conflict(
                f"The {arrived.item} was built on the {base.label}, which {side.label} does not have.",
                code="distribution.base_missing",
                hint="Transfer that layer version, too.",
            )
        raise Conflict(
            f"The {arrived.item} was built on another {base.label} than {side.label} has: "
            f"expected {base.digest}, found {entry.digest}.",
            code="distribution.other_base",
            hint="Build the layer version for that OS layer here, or transfer the OS layer under another version.",
            expected=base.digest,
            found=entry.digest,
        )


def bases(version: LayerVersion) -> Sequence[LayerReference]:
    """Return the layer versions that a version was built on: its OS layer and its prerequisites."""
    return [*([version.os_layer] if version.os_layer else []), *version.prerequisites]
