# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layer_clone: create a layer version with the content of another version."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog import document_collections, layer_store, noise_profiles
from ..catalog.icons import read_icon, store_icon
from ..catalog.kinds import layer_label
from ..catalog.layer_document import LayerDocument, LayerEntry
from ..catalog.layers import (
    LATEST,
    LayerMetadata,
    check_names,
    find_layer_to_change,
    find_version,
    layer_lock,
    store_layer,
)
from ..catalog.version_name import VersionRequest
from ..common.errors import Conflict, InternalError, InvalidInput
from ..common.outcome import Outcome
from ..common.timestamps import now
from ..layers.layer_version import APP, OS, ROLE_ICON, LayerReference, LayerVersion
from ..repository.repository import Repository
from .options import RepositoryOptions, version_request

#: Seconds for which a clone waits until another version of its layer is built.
_LOCK_TIMEOUT = 3600


@dataclass(frozen=True, kw_only=True)
class LayerCloneOptions:
    """Options of the module layer_clone; a description or priority that is None is copied."""

    repository: RepositoryOptions
    kind: str
    name: str
    version: str
    source: VersionRequest
    metadata: LayerMetadata
    icon: str | None

    @property
    def label(self) -> str:
        """The name of the clone in messages."""
        return f"{layer_label(self.kind)} {self.name} {self.version}"

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LayerCloneOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.clone_priority`` if the layer is not an app layer.
        """
        source = version_request(params["clone_from"])
        if source is None:
            raise InternalError("A clone has no source.", code="operations.clone_source")
        if params["priority"] is not None and params["kind"] != APP:
            raise InvalidInput(
                f"The option priority belongs to app layers, but kind is {params['kind']}.",
                code="operations.clone_priority",
                hint=f"Remove priority, or set kind to {APP}.",
            )
        return cls(
            repository=RepositoryOptions.from_params(params),
            kind=params["kind"],
            name=params["name"],
            version=params["version"],
            source=source,
            metadata=LayerMetadata(params["description"], params["version_description"], params["priority"]),
            icon=params["icon"],
        )


def ensure_layer_clone(options: LayerCloneOptions, *, check_mode: bool) -> Outcome:
    """Create the clone unless it exists, and give it what the options describe.

    Raises:
        InvalidInput: names, priority, descriptions or an icon that cannot be used; ``operations.clone_itself``.
        NotFound, Conflict: as ``find_version`` for the source.
        Conflict: ``operations.clone_other_source`` if the version exists with other content; ``catalog.other_spelling``.
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    check_names(options.name, options.version, options.metadata.priority)
    icon = read_icon(options.icon)
    if (options.source.name, options.source.version) == (options.name, options.version):
        raise InvalidInput(
            f"The {options.label} cannot be a clone of itself.",
            code="operations.clone_itself",
            hint="Set name or version to a value that differs from clone_from.",
        )
    repository = options.repository.open(check_mode=check_mode)
    with _locks(repository, options, check_mode):
        before = find_layer_to_change(repository, options.kind, options.name, options.version)
        if before is not None and options.version in before.versions:
            layer = before
            _check_same(repository, options, before.versions[options.version])
        else:
            layer = _Clone(repository, options, check_mode).create(before)
        after = options.metadata.apply(layer, options.version)
        if icon is not None:
            after = dataclasses.replace(after, icon=store_icon(repository, icon, check_mode=check_mode))
        changed = after != before
        if changed and not check_mode:
            store_layer(repository, before, after, options.version, options.repository.comment)
            _copy_noise_profile(repository, options, after.versions[options.version])
    result = {"layer": after.describe_version(options.version)}
    return Outcome(changed, before.to_dict() if before else None, after.to_dict(), result)


@contextlib.contextmanager
def _locks(repository: Repository, options: LayerCloneOptions, check_mode: bool) -> Iterator[None]:
    """Hold the locks of the clone and of its source, in the order of their names."""
    with contextlib.ExitStack() as held:
        for name in sorted({options.name, options.source.name}):
            lock, purpose = layer_lock(options.kind, name), f"clone the {options.label}"
            held.enter_context(repository.locks.hold(lock, shared=check_mode, timeout=_LOCK_TIMEOUT, purpose=purpose))
        yield


def _check_same(repository: Repository, options: LayerCloneOptions, entry: LayerEntry) -> None:
    """Raise Conflict unless the existing version is a clone of the source, or has the same content."""
    source, cloned = options.source, entry.cloned_from
    if cloned is not None and cloned.name == source.name and source.version in (None, LATEST, cloned.version):
        return  # The source may have been deleted since.
    reference = find_version(repository, options.kind, source.name, source.version)
    if entry.digest is not None and _content(repository, reference.digest) == _content(repository, entry.digest):
        return
    raise Conflict(
        f"The {options.label} exists, but it is not a clone of {reference.name} {reference.version}.",
        code="operations.clone_other_source",
        hint="A version never changes: set version to a new version.",
    )


def _content(repository: Repository, digest: str) -> tuple[object, dict[str, str]]:
    """Return what decides the effect of a version, without what describes it."""
    layer = layer_store.load_version(repository, digest)
    return layer.content_digest, {role: blob.digest for role, blob in layer.blobs.items() if role != ROLE_ICON}


@dataclass(frozen=True)
class _Clone:
    """The creation of a clone."""

    repository: Repository
    options: LayerCloneOptions
    check_mode: bool

    def create(self, before: LayerDocument | None) -> LayerDocument:
        """Store the clone, unless in check mode, and return the document of its layer; ``before`` None: the layer is new."""
        options = self.options
        reference = find_version(self.repository, options.kind, options.source.name, options.source.version)
        documents = document_collections.layers(self.repository, options.kind)
        original = documents.require(reference.name)
        layer = before if before is not None else self._new_layer(original)
        entry = original.versions[reference.version]
        digest, size = (None, 0) if self.check_mode else self._store(reference, layer, entry)
        clone = dataclasses.replace(entry, digest=digest, size=size, created=now(), updated=None, cloned_from=reference)
        return layer.with_version(options.version, clone)

    def _new_layer(self, original: LayerDocument) -> LayerDocument:
        return dataclasses.replace(original, name=self.options.name, versions={}, sort_name=None)

    def _store(self, reference: LayerReference, layer: LayerDocument, entry: LayerEntry) -> tuple[str, int]:
        """Store config and manifest of the clone; return the digest, and the bytes that the clone adds."""
        options, metadata = self.options, self.options.metadata
        source = layer_store.load_version(self.repository, reference.digest)
        description = layer.description if metadata.description is None else metadata.description
        about = entry.version_description if metadata.version_description is None else metadata.version_description
        clone: LayerVersion = dataclasses.replace(
            source,
            name=options.name,
            version=options.version,
            description=description,
            version_description=about,
            blobs=dict(source.blobs),
            digest=None,
        )
        digest = layer_store.put_version(self.repository, clone).reference().digest
        config = self.repository.layout.manifest(digest)["config"]["size"]
        return digest, self.repository.layout.size(digest) + config


def _copy_noise_profile(repository: Repository, options: LayerCloneOptions, entry: LayerEntry) -> None:
    """Give the clone of an OS layer version the noise profile of its source: both have the same disk."""
    if options.kind != OS or entry.cloned_from is None or entry.digest is None:
        return
    profile = noise_profiles.find_record(repository, entry.cloned_from)
    clone = LayerReference(OS, options.name, options.version, entry.digest)
    if profile is not None and noise_profiles.find_record(repository, clone) is None:
        noise_profiles.copy(repository, profile, clone)
