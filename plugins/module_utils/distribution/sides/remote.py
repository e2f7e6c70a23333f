# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The side of a transfer that is a registry, a folder or share, or a file: what it has, under the names of ``names``.

Everything that is read is untrusted: it is bounded, compared with its digest, checked for its form and, if there is a trust
policy, for its signatures before it is returned. ``remote_writer`` changes a remote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ...common.errors import Conflict, Corrupt
from ...layers.layer_version import ARTIFACT_TYPE, LayerReference, LayerVersion, version_key
from ...oci_registry.model import RemoteManifest
from ...repository.blobs import Descriptor
from ...repository.oci_layout import MANIFEST
from ..backends.backend import Backend
from ..items import details, template_item
from ..items.artifacts import CREATED, parse_manifest
from ..items.catalog_entry import CatalogEntry
from ..items.details import DETAILS_TYPE, Details
from ..items.items import ImageItem, LayerFields, LayerItem, fields_of
from ..items.names import TEMPLATE, ItemName, Location, Naming, is_reserved_tag
from ..items.template_item import TemplateItem
from ..signatures.attachments import read_attachments
from .local import read_version

_TITLE, _VERSION = "org.opencontainers.image.title", "org.opencontainers.image.version"
_MAX_CONFIG = 1 << 20
#: The time of details that a remote does not have: the creation of the Unix epoch, older than all others.
_NO_TIME = "1970-01-01T00:00:00Z"


class Guard(Protocol):
    """A trust policy and a key to sign with."""

    def check(self, backend: Backend, repository: str, digest: str, subject: str) -> str | None:
        """Return the name of the key that signed a manifest, None if nothing is required; else raise StrataError.

        ``subject`` names the manifest in messages.
        """

    def sign(self, backend: Backend, repository: str, manifest: Descriptor) -> bool:
        """Sign a stored manifest, unless there is no key or its signature exists; return whether one was added."""


@dataclass(frozen=True)
class Listed:
    """A layer version, template or image of a remote: its name, digest and entry."""

    item: ItemName
    digest: str
    location: Location
    path: str | None = None


class Remote:
    """A remote as one side of a transfer."""

    def __init__(
        self,
        backend: Backend,
        naming: Naming,
        guard: Guard | None = None,
        *,
        identity: str = "",
        known: Callable[[str], bytes | None] | None = None,
    ) -> None:
        """Read ``backend``.

        ``identity`` recognizes the remote in later runs, such as "registry.example.com/windows". ``known`` returns
        verified manifests by digest that need not be read again.
        """
        self.identity = identity or self._label(backend, naming)
        self.backend = backend
        self.naming = naming
        self.guard = guard
        self._known = known
        self._manifests: dict[tuple[str, str], RemoteManifest] = {}
        self._entries: dict[tuple[str, str], CatalogEntry] = {}
        self._has_all_entries = False

    @property
    def label(self) -> str:
        """The remote in messages."""
        return self._label(self.backend, self.naming)

    @staticmethod
    def _label(backend: Backend, naming: Naming) -> str:
        return backend.label + (f"/{naming.prefix}" if naming.prefix else "")

    # --- listing ----------------------------------------------------------------------------

    def names(self) -> list[CatalogEntry]:
        """Return all layers and templates that the catalogue names, sorted."""
        found = []
        for tag in self.backend.tags(self.naming.catalog):
            entry = self.entry_at(tag) if CatalogEntry.is_tag(tag, self.naming) else None
            if entry is not None:
                found.append(entry)
        return sorted(found, key=lambda entry: (entry.kind, entry.name, entry.path or ""))

    def version_names(self, entry: CatalogEntry) -> list[str]:
        """Return the versions of a layer, oldest first; an empty list if there is no such layer."""
        return sorted((listed.item.version or "" for listed in self.versions(entry)), key=version_key)

    def locate(self, base: LayerReference) -> tuple[CatalogEntry, str] | None:
        """Return the layer version that a digest names under the name in ``base``, None if it is not there."""
        item = ItemName(base.kind, base.name, base.version)
        location = self.find(item)
        if self.backend.digest_of(location.repository, location.tag) != base.digest:
            return None
        return CatalogEntry(base.kind, base.name, self.path_of(item)), base.version

    def find(self, item: ItemName) -> Location:
        """Return the location of a layer version or template, by the path in the catalogue."""
        return self.naming.location(item, self.path_of(item))

    def path_of(self, item: ItemName) -> str | None:
        """Return the path of a layer or template that the catalogue has, None if it is derived from the name."""
        entry = self.listed_entry(item.kind, item.name)
        return entry.path if entry else None

    def listed_entry(self, kind: str, name: str) -> CatalogEntry | None:
        """Return the entry that the catalogue has for a layer or template, None if it has none. A damaged entry counts as missing."""
        key = (kind, name)
        if key not in self._entries and not self._has_all_entries:
            usual = self._readable_entry(self.naming.catalog_tag(kind, name))
            if usual is not None and (usual.kind, usual.name) == key:
                self._entries[key] = usual
            else:
                tags = [tag for tag in self.backend.tags(self.naming.catalog) if CatalogEntry.is_tag(tag, self.naming)]
                found = filter(None, map(self._readable_entry, sorted(tags)))
                self._entries = {(entry.kind, entry.name): entry for entry in found}
                self._has_all_entries = True
        return self._entries.get(key)

    def has_entry(self, entry: CatalogEntry) -> bool:
        """Return whether the catalogue has an entry."""
        return self._readable_entry(entry.tag(self.naming)) == entry

    def forget_entries(self) -> None:
        """Read the entries of the catalogue again when they are needed: they have changed, or may have."""
        self._entries, self._has_all_entries = {}, False

    def _readable_entry(self, tag: str) -> CatalogEntry | None:
        try:
            return self.entry_at(tag)
        except Corrupt:
            return None

    def entry_at(self, tag: str) -> CatalogEntry | None:
        """Return the entry with a tag of the catalogue, None if there is none."""
        found = self.backend.manifest(self.naming.catalog, tag)
        if found is None:
            return None
        where = f"{self.naming.catalog}:{tag} of {self.label}"
        return CatalogEntry.from_manifest(parse_manifest(found.data, found.digest), where)

    def versions(self, entry: CatalogEntry) -> list[Listed]:
        """Return the versions of a layer, in the order of their tags; an empty list if the remote does not have the layer."""
        return list(self._versions(entry.kind, entry.name, entry.path))

    def _versions(self, kind: str, name: str, path: str | None) -> Iterator[Listed]:
        first = self.naming.location(ItemName(kind, name, "0"), path)
        beginning = first.tag[:-1]
        for tag in sorted(self.backend.tags(first.repository)):
            if not tag.startswith(beginning) or is_reserved_tag(tag[len(beginning) :]):
                continue
            location = Location(first.repository, tag)
            manifest = self.manifest_at(location)
            if manifest is None:
                continue
            parsed = parse_manifest(manifest.data, manifest.digest)
            if parsed.get("artifactType") != ARTIFACT_TYPE:
                continue
            version = self._version_name(parsed, location, ItemName(kind, name), path)
            if version is not None:
                yield Listed(ItemName(kind, name, version), manifest.digest, location, path)

    def _version_name(self, manifest: dict, location: Location, layer: ItemName, path: str | None) -> str | None:
        """Return the version whose tag this is: its manifest names it, or its details if it was renamed.

        None for another tag of a version, such as ``latest``, and for a tag that was moved.
        """
        annotations = manifest.get("annotations", {})
        named = [ItemName(layer.kind, str(annotations.get(_TITLE)), str(annotations.get(_VERSION)))]
        if named[0].name != layer.name or self.naming.location(named[0], path) != location:
            described = self.details_of(location, manifest["digest"])
            named = [described.item] if described else []
        for item in named:
            if (item.kind, item.name) == (layer.kind, layer.name) and self.naming.location(item, path) == location:
                return item.version
        return None

    # --- reading ----------------------------------------------------------------------------

    def manifest_at(self, location: Location) -> RemoteManifest | None:
        """Return the manifest of a tag; it is read once."""
        digest = self.backend.digest_of(location.repository, location.tag)
        return None if digest is None else self._manifest(location.repository, digest)

    def _manifest(self, repository: str, digest: str) -> RemoteManifest | None:
        key = (repository, digest)
        if key not in self._manifests:
            data = self._known(digest) if self._known else None
            found = RemoteManifest(data, digest, MANIFEST) if data else self.backend.manifest(repository, digest)
            if found is None:
                return None
            self._manifests[key] = found
        return self._manifests[key]

    def layer(self, item: ItemName, path: str | None = None) -> LayerItem | None:
        """Return a layer version with its details and signatures; None if the remote does not have it.

        Raises:
            Conflict: ``distribution.other_title`` if another layer has its entry.
            Corrupt: ``distribution.other_item`` if the tag holds another version; its documents are damaged.
            StrataError: of the trust policy.
        """
        location = self.naming.location(item, path)
        found = self.manifest_at(location)
        if found is None:
            return None
        manifest = parse_manifest(found.data, found.digest)
        signer = self._check(location.repository, found.digest, str(item))
        config = Descriptor.from_json(manifest["config"])
        version = read_version(manifest, self.backend.read_blob(location.repository, config.digest, _MAX_CONFIG))
        described = self.details_of(location, found.digest)
        self._refuse_other(item, location, version, described)
        return LayerItem(
            item,
            found.data,
            found.digest,
            location,
            read_attachments(self.backend, location.repository, found.digest),
            signer,
            version=version,
            details=described or details.of_manifest(version, manifest.get("annotations", {}).get(CREATED, _NO_TIME)),
        )

    def _refuse_other(
        self, item: ItemName, location: Location, version: LayerVersion, described: Details | None
    ) -> None:
        named = ItemName(version.kind, version.name, version.version)
        if item in (named, described.item if described else None):
            return
        if (named.kind, named.version) == (item.kind, item.version):
            raise Conflict(
                f"The repository {location.repository} in {self.label} belongs to the {named}, not to the {item}.",
                code="distribution.other_title",
                hint=f"Set path of {item.name} to another path.",
                expected=str(item),
                found=str(named),
            )
        raise Corrupt(
            f"The tag {location} in {self.label} holds the {named} instead of the {item}.",
            code="distribution.other_item",
            hint="The tag was moved: push the version again from a repository that has it.",
            expected=str(item),
            found=str(named),
        )

    def details_of(self, location: Location, digest: str) -> Details | None:
        """Return the newest details of the layer version with a manifest, None if there are none."""
        manifest = self.details_manifest(location, digest)
        if manifest is None:
            return None
        repository = location.repository
        self._check(repository, manifest.digest, f"metadata of {location}")
        parsed = parse_manifest(manifest.data, manifest.digest)
        config = Descriptor.from_json(parsed["config"])
        return details.of_artifact(parsed, self.backend.read_blob(repository, config.digest, _MAX_CONFIG), digest)

    def details_manifest(self, location: Location, digest: str) -> RemoteManifest | None:
        """Return the manifest of the newest details of a layer version, whose signatures were not verified."""
        found = self.backend.referrers(location.repository, digest, DETAILS_TYPE)
        newest = max(found, key=lambda item: str(item.annotations.get(CREATED, "")), default=None)
        manifest = self._manifest(location.repository, newest.digest) if newest else None
        if manifest is None or parse_manifest(manifest.data, manifest.digest).get("artifactType") != DETAILS_TYPE:
            return None
        return manifest

    def fields(self, entry: CatalogEntry) -> LayerFields | None:
        """Return the shared fields of a layer: those of its newest details; None if no version has any."""
        found = [self.details_of(listed.location, listed.digest) for listed in self.versions(entry)]
        known = [item for item in found if item is not None]
        newest = max(known, key=lambda item: item.updated or "", default=None)
        return fields_of(newest.document) if newest else None

    def template(self, name: str, path: str | None = None) -> TemplateItem | None:
        """Return a template; None if the remote does not have it.

        Raises:
            Conflict: ``distribution.other_title`` if another template has its entry.
            Corrupt: ``distribution.template`` if it is damaged.
            StrataError: of the trust policy.
        """
        item = ItemName(TEMPLATE, name)
        location = self.naming.location(item, path)
        found = self.manifest_at(location)
        if found is None:
            return None
        signer = self._check(location.repository, found.digest, str(item))
        config = Descriptor.from_json(parse_manifest(found.data, found.digest)["config"])
        data = self.backend.read_blob(location.repository, config.digest, template_item.MAX_CONFIG)
        read = template_item.of_artifact(found.data, found.digest, data, location)
        if read.item.name != name:
            raise Conflict(
                f"The repository {location.repository} in {self.label} belongs to the {read.item}, not to the {item}.",
                code="distribution.other_title",
                hint=f"Set path of {name} to another path.",
                expected=str(item),
                found=str(read.item),
            )
        attachments = read_attachments(self.backend, location.repository, found.digest)
        return TemplateItem(
            item,
            read.manifest,
            read.digest,
            location,
            attachments,
            signer,
            document=read.document,
            layers=read.layers,
            revision=read.revision,
            config=read.config,
            files=read.files,
        )

    def image(self, item: ItemName, path: str | None = None) -> ImageItem | None:
        """Return a composed image; None if the remote does not have it."""
        location = self.naming.location(item, path)
        found = self.manifest_at(location)
        if found is None:
            return None
        self._check(location.repository, found.digest, str(item))
        return ImageItem(item, found.data, found.digest, location)

    def _check(self, repository: str, digest: str, subject: str) -> str | None:
        return self.guard.check(self.backend, repository, digest, subject) if self.guard else None
