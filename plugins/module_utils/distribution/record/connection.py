# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of record of a repository, as ``repository.upstream.Upstream`` describes it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...catalog import layer_store
from ...catalog.kinds import LAYER_KINDS
from ...catalog.layer_document import LayerDocument
from ...common.errors import Corrupt, InvalidInput, NotFound
from ...common.progress import Progress, silent
from ...layers.layer_version import KINDS
from ...repository.oci_layout import MAX_JSON
from ...repository.repository import Repository
from ..backends.backend import Backend
from ..items.details import of_document
from ..items.items import Item, fields_of
from ..items.names import TEMPLATE, ItemName, Naming
from ..items.template_item import site_independent
from ..sides.generation import read_generation
from ..sides.local import Local
from ..sides.remote import Guard, Remote
from ..sides.remote_writer import RemoteWriter
from .differences import behind_rename, made_by_others
from .entries import entry_of
from .layer_change import LayerChange
from .state import Pending, RecordState
from .template_change import TemplateChange


class RecordConnection:
    """The registry of record of ``repository``. ``connect`` and ``load_guard`` are called when they are first needed.

    ``load_guard`` gets whether something will be signed: reading needs neither the private key nor its passphrase.
    ``label`` names the registry in messages, ``location`` is its address as the repository stores it. ``must_sign``: all
    composers require signatures, and this composer has no key to sign with.
    """

    def __init__(
        self,
        repository: Repository,
        location: str,
        label: str,
        naming: Naming,
        connect: Callable[[], Backend],
        load_guard: Callable[[bool], Guard | None],
        *,
        must_sign: bool = False,
    ) -> None:
        self.label = label
        self.progress: Progress = silent
        self._repository = repository
        self._location = location
        self._naming = naming
        self._connect = connect
        self._load_guard = load_guard
        self._must_sign = must_sign
        self._backend: tuple[int, Backend] | None = None
        self._guards: dict[bool, Guard | None] = {}

    # --- reading --------------------------------------------------------------------------------

    def remote(self, *, signing: bool = False) -> Remote:
        """Return the registry as a side of a transfer that has read nothing yet; with ``signing`` to write to it."""
        # A child process must not use the connections of its parent.
        if self._backend is None or self._backend[0] != os.getpid():
            self._backend = (os.getpid(), self._connect())
        if signing not in self._guards:
            self._guards[signing] = self._load_guard(signing)
        return Remote(
            self._backend[1], self._naming, self._guards[signing], identity=self._location, known=self._stored_manifest
        )

    def load_state(self) -> RecordState:
        """Return what the repository knows of the registry."""
        state = RecordState.load(self._repository, self._location)
        if state.pending is None:
            return state
        kind, name = state.pending.kind, state.pending.name
        try:
            return state.settled(_fingerprint(kind, name, self._repository.catalog.get(kind, name)))
        except Corrupt:
            return state.settled("")

    def _stored_manifest(self, digest: str) -> bytes | None:
        layout = self._repository.layout
        return layout.blobs.read(digest, MAX_JSON) if layout.has(digest) else None

    def has(self, manifests: Sequence[str], digest: str, size: int) -> bool:
        """Return whether the registry has a blob that ``manifests`` list; see ``Upstream``."""
        remote = self.remote()
        return any(
            remote.backend.blob_size(repository, digest) == size for repository in self._homes(remote, manifests)
        )

    def fetch(self, manifests: Sequence[str], digest: str, size: int, target: str, progress: Progress) -> None:
        """Write a blob into the file ``target``; see ``Upstream``."""
        remote = self.remote()
        for repository in self._homes(remote, manifests):
            if remote.backend.blob_size(repository, digest) == size:
                remote.backend.download(repository, digest, size, target, progress=progress)
                return
        raise NotFound(
            f"The blob {digest} of {size} bytes is neither in the repository nor in {self.label}.",
            code="distribution.upstream_blob",
            hint="Restore it in the registry, or push the layer version again from a composer that has it.",
            digest=digest,
        )

    def _homes(self, remote: Remote, manifests: Sequence[str]) -> Iterator[str]:
        """Yield the repositories of the registry that have the layer versions ``manifests``."""
        local = Local(self._repository)
        seen: set[str] = set()
        for manifest in manifests:
            found = (local.find_digest(kind, manifest) for kind in KINDS)
            item = next((item for item in found if item is not None), None)
            if item is None:
                version = layer_store.load_version(self._repository, manifest)
                item = ItemName(version.kind, version.name, version.version)
            home = remote.find(item).repository
            if home not in seen:
                seen.add(home)
                yield home

    # --- changing -------------------------------------------------------------------------------

    def before_build(self, kind: str, name: str, version: str) -> None:
        """Check that the registry can take a new layer version; see ``Upstream``."""
        self._require_key()
        remote, item = self.remote(signing=True), ItemName(kind, name, version)
        location = remote.naming.location(item, entry_of(remote, kind, name).path)
        if remote.backend.digest_of(location.repository, location.tag) is not None:
            raise made_by_others(str(item), self.label)

    def _require_key(self) -> None:
        if self._must_sign:
            raise InvalidInput(
                f"The repository {self._repository.path} requires signatures, and has no key to sign what it sends to {self.label}.",
                code="distribution.upstream_key",
                hint="Set sign_key in the option upstream of strata.layering.repository, or STRATA_SIGN_KEY in the environment.",
            )

    def upload(self, manifest: str, progress: Progress = silent) -> None:
        """Send the blobs and the manifest of a layer version; see ``Upstream``."""
        version = layer_store.load_version(self._repository, manifest)
        self._send(ItemName(version.kind, version.name, version.version), manifest, progress)

    def _send(self, item: ItemName, manifest: str, progress: Progress = silent) -> None:
        """Send the blobs and the manifest of a layer version to the repository of the registry that belongs to the name ``item``."""
        remote = self.remote(signing=True)
        writer = RemoteWriter(remote, Local(self._repository))
        home = remote.naming.repository(item.kind, item.name, entry_of(remote, item.kind, item.name).path)
        sent = Item(item, self._repository.layout.blobs.read(manifest, MAX_JSON), manifest)
        for blob in sent.blobs:
            writer.send_blob(
                home,
                blob,
                mount_from=self._other_homes(remote, blob.digest, home),
                progress=self.progress if progress is silent else progress,
            )
        writer.send_manifest(home, sent)

    def _other_homes(self, remote: Remote, digest: str, home: str) -> list[str]:
        blobs = self._repository.upstream_blobs
        found = blobs.find(digest) if blobs else None
        return [other for other in self._homes(remote, found.manifests if found else ()) if other != home]

    def _send_missing(self, layer: LayerDocument | None, state: RecordState) -> None:
        """Send the blobs of versions that the registry does not have under their names.

        They are from before the repository had an upstream, or were renamed: then the registry links their blobs.
        """
        if layer is None:
            return
        for version, entry in layer.versions.items():
            item = ItemName(layer.kind, layer.name, version)
            if entry.digest is not None and item not in state.digests:
                self._send(item, entry.digest)

    def before_rename(self, kind: str, name: str) -> None:
        """Check that a rename, which changes several documents, meets no change by other composers; see ``Upstream``."""
        remote, state = self.remote(), self.load_state()
        if read_generation(remote.backend, remote.naming) == state.generation:
            return
        layer = self._repository.catalog.get(kind, name) if kind in LAYER_KINDS else None
        document = _document(layer, LAYER_KINDS[kind], name) if layer else None
        versions = document.versions if document else {}
        is_shared = any(
            state.digests.get(ItemName(LAYER_KINDS[kind], name, version)) == versions[version].digest
            for version in versions
        )
        # What exists only here may be renamed: its name may conflict with a name in the registry.
        if is_shared or (kind not in LAYER_KINDS and ItemName(TEMPLATE, name) in state.digests):
            raise behind_rename(f"{kind.replace('_', ' ')} {name}", self.label)

    def before_change(
        self, kind: str, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
    ) -> None:
        """Change a layer or template in the registry; see ``Upstream``."""
        if not _travels(kind, name, before, after):
            return
        if after is not None:
            self._require_key()
        remote, state = self.remote(signing=True), self.load_state()
        layer_kind = LAYER_KINDS.get(kind)
        self._send_missing(_document(after, layer_kind, name) if layer_kind else None, state)
        future = self._repository.overlaid({(kind, name): dict(after) if after is not None else None})
        writer = RemoteWriter(remote, Local(future))
        with writer.claim(f"change the {kind.replace('_', ' ')} {name}") as held:
            is_current = held.before == state.generation
            entry = entry_of(remote, layer_kind or TEMPLATE, name)
            change: LayerChange | TemplateChange
            if layer_kind is None:
                change = TemplateChange(writer, entry, Local(self._repository), state.digests)
            else:
                change = LayerChange(
                    writer,
                    entry,
                    _document(before, layer_kind, name),
                    _document(after, layer_kind, name),
                    state.digests,
                    is_current,
                    held.renew,
                )
            change.send()
        removed = {
            item: state.digests[item] for item, digest in change.sent.items() if not digest and item in state.digests
        }
        for item, digest in change.sent.items():
            state = state.with_digest(item, digest)
        if is_current:
            state = dataclasses.replace(state, generation=held.generation)
        pending = Pending(kind, name, _fingerprint(kind, name, after), removed)
        dataclasses.replace(state, pending=pending).save(self._repository)


def _travels(kind: str, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Return whether the registry has what changes: connectors, full paths and times of transfers belong to a site."""
    if before is None or after is None:
        return True
    if kind not in LAYER_KINDS:
        return site_independent(before) != site_independent(after)
    old, new = (_document(value, LAYER_KINDS[kind], name) for value in (before, after))
    return _travelling(old) != _travelling(new)


def _fingerprint(kind: str, name: str, value: Mapping[str, Any] | None) -> str:
    """Return a digest of what the registry has of a document."""
    shown: object = value
    if value is not None:
        shown = (
            _travelling(_document(value, LAYER_KINDS[kind], name)) if kind in LAYER_KINDS else site_independent(value)
        )
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode("ascii")).hexdigest()


def _travelling(document: LayerDocument | None) -> object:
    if document is None:
        return None
    entries = {version: of_document(document, version).entry.to_dict() for version in document.versions}
    return fields_of(document), entries


def _document(value: Mapping[str, Any] | None, kind: str, name: str) -> LayerDocument | None:
    return None if value is None else LayerDocument.from_dict(value, kind, name)
