# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Synchronization: a repository takes over what other composers changed in the registry of record.

Everything small comes over: manifests, configs, indexes, details, icons, scripts and templates. Disks and archives stay in the
registry until they are used. Small steps are taken one after another, each under the locks of its layer, so that a
killed run leaves a repository that is complete as far as it goes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ...catalog import document_collections, layer_store
from ...catalog.exchanged_template import ExchangedState, ExchangedTemplate
from ...catalog.kinds import LOCK, layer_kind
from ...catalog.layer_document import LayerDocument
from ...catalog.layer_removal import refuse_needed
from ...catalog.layers import layer_lock
from ...catalog.version_name import VersionName
from ...common.errors import Conflict, InternalError, Unavailable
from ...common.progress import Progress, silent
from ...layers.layer_version import OS, ROLE_ARCHIVE, ROLE_DISK
from ...repository.blobs import Descriptor
from ...repository.repository import Repository
from ..items.artifacts import EMPTY, EMPTY_DIGEST
from ..items.items import Item, LayerItem
from ..items.names import TEMPLATE, ItemName
from ..sides.generation import read_generation
from ..sides.local import ATTACHMENTS, Local
from ..sides.receiving import receive_blob
from ..sides.remote import Remote
from ..transfers.known import known_templates
from .connection import RecordConnection
from .state import RecordState
from .survey import Survey, survey
from .sync_plan import LayerStep, SyncPlan, TemplateStep, plan_sync

#: Roles of blobs that stay in the registry until they are used.
LARGE_ROLES = (ROLE_ARCHIVE, ROLE_DISK)
#: Seconds after which everything is compared even if no composer has changed the registry: foreign tools may have.
_TRUSTED_FOR = 24 * 3600.0
#: How often a synchronization begins again because this repository was changed in the meantime.
_ATTEMPTS = 5
#: Seconds to wait for a layer that is being built here.
_LOCK_TIMEOUT = 5.0


@dataclass(frozen=True)
class SyncChange:
    """A change of an item: ``action`` is create, update or delete."""

    item: ItemName
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass
class SyncResult:
    """What a synchronization changed, or in check mode would change.

    ``online`` is false if the registry could not be reached; ``problem`` is its error then. ``compared`` is false if one
    request showed that nothing has changed.
    """

    online: bool = True
    compared: bool = True
    problem: Unavailable | None = None
    changes: list[SyncChange] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


class _Outdated(Exception):
    """This repository was changed since the registry was compared with it."""


@dataclass
class Synchronization:
    """A synchronization of ``repository``, which has the registry of record ``connection``."""

    repository: Repository
    connection: RecordConnection
    comment: str | None = None
    progress: Progress = silent

    def run(self, *, check_mode: bool, full: bool = False) -> SyncResult:
        """Take over what changed; with ``full`` compare everything even if no composer has changed the registry.

        Raises:
            Conflict: ``distribution.upstream_busy`` if the registry or this repository is changed all the time.
            InvalidInput: the registry refuses the credentials.
            StrataError: content of the registry is damaged, or its signature is not valid. What came before it is kept.
        """
        result = SyncResult()
        try:
            for _attempt in range(_ATTEMPTS):
                with contextlib.suppress(_Outdated):
                    self._run(result, check_mode, full)
                    return result
        except Unavailable as error:
            result.online, result.problem = False, error
            return result
        raise Conflict(
            f"The repository {self.repository.path} was changed during each of {_ATTEMPTS} attempts to synchronize it.",
            code="distribution.upstream_busy",
            hint="Wait until other runs have ended, and run again.",
        )

    def _run(self, result: SyncResult, check_mode: bool, full: bool) -> None:
        state = self.connection.load_state()
        is_recent = 0 <= time.time() - state.surveyed < _TRUSTED_FOR
        if state.generation is not None and is_recent and not full:
            remote = self.connection.remote()
            if read_generation(remote.backend, remote.naming) == state.generation:
                result.compared = False
                return
        local = Local(self.repository)
        found = survey(self.connection.remote, local, self.progress)
        self._refuse_lost(state, found)
        revisions = known_templates(self.repository, state.location)
        plan = plan_sync(local, found, state.digests, revisions, self.connection.label)
        result.conflicts = plan.conflicts
        self._warn_of_connectors(plan, result)
        if check_mode:
            result.changes += _planned(local, plan)
            return
        _Application(self, local, found, state, result).apply(plan)

    def _refuse_lost(self, state: RecordState, found: Survey) -> None:
        """Raise if the registry has lost everything: each change moves the generation, also a deletion."""
        if state.digests and found.generation is None and not found.digests():
            raise Unavailable(
                f"The upstream of the repository {self.repository.path}, {self.connection.label}, is empty, "
                "but had layers or templates at the last synchronization.",
                code="distribution.upstream_empty",
                hint="Check the address of the upstream, and that its share is mounted. If its content is lost, set the option upstream of "
                "strata.layering.repository to an empty dictionary, and then to the upstream again.",
            )

    def _warn_of_connectors(self, plan: SyncPlan, result: SyncResult) -> None:
        connectors = document_collections.connectors(self.repository).names()
        result.warnings = [
            f"The {step.item} uses the connector {step.source.document.connector!r}, which does not exist here. "
            "Create a connector of this name to publish it."
            for step in plan.templates
            if step.is_new and step.source.document.connector not in connectors
        ]


@dataclass
class _Application:
    """The steps of a plan. ``state`` is what the repository knew when the plan was made; it follows the steps."""

    sync: Synchronization
    local: Local
    found: Survey
    state: RecordState
    result: SyncResult
    is_complete: bool = True

    @property
    def repository(self) -> Repository:
        """The repository."""
        return self.sync.repository

    def apply(self, plan: SyncPlan) -> None:
        """Take the steps, then record the generation if all were taken."""
        remote = self.sync.connection.remote()
        for number, step in enumerate(plan.layers, 1):
            self._take_layer(remote, step)
            self.sync.progress("synchronize", 100 * number // len(plan.layers), 100)
        for template in plan.templates:
            self._take_template(remote, template)
        for item in plan.removed:
            self._remove(item)
        with self._locked(None):
            known, digests = self.state.digests, self.found.digests()
            # What could not be removed is removed by a later run; what conflicts was never the same here.
            kept = {item: known[item] for item in (*plan.removed, *plan.unresolved) if item in known}
            same = {item: digest for item, digest in digests.items() if item not in plan.unresolved}
            self.state = dataclasses.replace(self.state, digests=kept | same)
            if self.is_complete and not plan.unresolved:
                self.state = dataclasses.replace(self.state, generation=self.found.generation, surveyed=time.time())
            self.state.save(self.repository)

    @contextmanager
    def _locked(self, item: ItemName | None) -> Iterator[None]:
        """Hold the locks for a change of an item; raise _Outdated if the repository was changed by others since the survey."""
        with contextlib.ExitStack() as stack:
            if item is not None and item.is_layer:
                lock = layer_lock(item.kind, item.name)
                stack.enter_context(self.repository.locks.hold(lock, timeout=_LOCK_TIMEOUT, purpose="synchronize"))
            stack.enter_context(self.repository.locks.hold(LOCK, purpose="synchronize"))
            if self.sync.connection.load_state() != self.state:
                raise _Outdated
            yield

    def _note(self, item: ItemName, digest: str | None) -> None:
        """Record what the registry has, after the document of an item was written."""
        self.state = self.state.with_digest(item, digest)
        self.state.save(self.repository)

    # --- layers ---------------------------------------------------------------------------------

    def _take_layer(self, remote: Remote, step: LayerStep) -> None:
        item = step.item
        with self.repository.pin(purpose=f"synchronize the {item}") as pin:
            blobs = [*_small_blobs(step.source), *(blob for part in step.source.attachments for blob in part.blobs)]
            pin.add(blob.digest for blob in blobs)
            self._receive(remote, step.source, blobs)
            self._receive_icon(remote, step)
            try:
                with self._locked(item):
                    self._write_layer(step)
            except Conflict as error:
                if error.code != "repository.lock_held":
                    raise
                self.is_complete = False
                self.result.warnings.append(f"The {item} is being changed here. The next synchronization updates it.")

    def _write_layer(self, step: LayerStep) -> None:
        item, documents = step.item, document_collections.layers(self.repository, step.item.kind)
        before = documents.get(item.name)
        after = step.document(before)
        if step.is_new:
            large = {blob.digest for role, blob in step.source.version.blobs.items() if role in LARGE_ROLES}
            reference = layer_store.layer_reference_name(item.kind, item.name, item.version or "")
            self.repository.layout.adopt_manifest(step.source.manifest, reference, elsewhere=large)
            for part in step.source.attachments:
                name = f"{ATTACHMENTS}/{step.source.digest[7:]}/{part.digest[7:]}"
                self.repository.layout.adopt_manifest(part.manifest, name)
        if after == before:
            return
        documents.mirror(item.name, after)
        self._note(item, step.source.digest)
        old = before.versions.get(item.version or "") if before else None
        shown = (before.describe_version(item.version or "") if before and old else None, after)
        self._record(item, shown[0], shown[1].describe_version(item.version or ""), step.source)

    def _receive(self, remote: Remote, source: Item, blobs: Iterable[Descriptor]) -> None:
        location = source.location
        if location is None:
            raise InternalError(f"The {source.item} has no location in the registry.", code="distribution.no_location")
        for blob in blobs:
            if blob.digest == EMPTY_DIGEST:
                self.repository.layout.put_blob(EMPTY, blob.media_type)
                continue
            fill = functools.partial(remote.backend.download, location.repository, blob.digest, blob.size)
            receive_blob(self.repository, blob, fill)

    def _receive_icon(self, remote: Remote, step: LayerStep) -> None:
        """Receive the icon of the layer, which belongs to the newest details of one of its versions."""
        for layer in self.found.layers.values():
            icon = layer.details.icon
            if (layer.item.kind, layer.item.name) == (step.item.kind, step.item.name) and icon is not None:
                if icon.digest == step.fields.icon:
                    self._receive(remote, layer, [icon])
                    return

    # --- templates and what is removed ------------------------------------------------------------

    def _take_template(self, remote: Remote, step: TemplateStep) -> None:
        with self.repository.pin((file.digest for file in step.source.files), purpose=f"synchronize the {step.item}"):
            self._receive(remote, step.source, step.source.files)
            with self._locked(step.item):
                documents = document_collections.templates(self.repository)
                before = documents.get(step.item.name)
                after = step.document(before)
                documents.mirror(step.item.name, after)
                exchanged = document_collections.exchanged_templates(self.repository)
                exchange = exchanged.get(step.item.name) or ExchangedTemplate()
                state = ExchangedState(step.source.content, step.source.revision)
                exchanged.store(step.item.name, exchange.with_state(self.state.location, state))
                self._note(step.item, step.source.digest)
                self._record(step.item, before.to_dict() if before else None, after.to_dict(), step.source)

    def _remove(self, item: ItemName) -> None:
        try:
            with self._locked(item):
                before = self._remove_layer(item) if item.is_layer else self._remove_template(item)
                self._note(item, None)
        except Conflict as error:
            if error.code not in ("catalog.in_use", "catalog.layer_needed", "repository.lock_held"):
                raise
            self.is_complete = False
            self.result.warnings.append(
                f"The {item} was deleted in {self.sync.connection.label}, and is kept here: {error.message}"
            )
            return
        self._record(item, before, None, None)

    def _remove_layer(self, item: ItemName) -> dict[str, Any] | None:
        version = item.version or ""
        documents = document_collections.layers(self.repository, item.kind)
        before = documents.require(item.name)
        refuse_needed(self.repository, item.kind, VersionName(item.name, version))
        remaining = before.without_versions([version])
        if item.kind == OS:
            from ...catalog import noise_profiles

            noise_profiles.discard(self.repository, item.name, version)
        documents.mirror(item.name, remaining if remaining.versions else None)
        layer_store.remove_version(self.repository, item.kind, item.name, version)
        return before.describe_version(version)

    def _remove_template(self, item: ItemName) -> dict[str, Any] | None:
        documents = document_collections.templates(self.repository)
        before = documents.get(item.name)
        images = document_collections.images(self.repository).get(item.name)
        if images is not None and images.images:
            vms = ", ".join(image.vm.name for image in images.images)
            self.result.warnings.append(
                f"The {item} was deleted by another composer. Its published VMs are not deleted: {vms}."
            )
        documents.mirror(item.name, None)
        return before.to_dict() if before else None

    def _record(
        self, item: ItemName, before: dict[str, Any] | None, after: dict[str, Any] | None, source: Item | None
    ) -> None:
        action = "create" if before is None else "delete" if after is None else "update"
        self.result.changes.append(SyncChange(item, action, before, after))
        details: dict[str, Any] = {"from": self.state.location}
        if source is not None:
            details |= {"digest": source.digest} | ({"key": source.signer} if source.signer else {})
        self.repository.audit.append(
            "delete" if after is None else "pull",
            "image_template" if item.kind == TEMPLATE else layer_kind(item.kind),
            item.name,
            version=item.version,
            comment=self.sync.comment,
            details=details,
        )


def _small_blobs(layer: LayerItem) -> list[Descriptor]:
    large = {blob.digest for role, blob in layer.version.blobs.items() if role in LARGE_ROLES}
    return [blob for blob in layer.blobs if blob.digest not in large]


def _planned(local: Local, plan: SyncPlan) -> Iterator[SyncChange]:
    """Yield the changes of a plan."""
    documents: dict[tuple[str, str], LayerDocument] = {}
    for step in plan.layers:
        key, version = (step.item.kind, step.item.name), step.item.version or ""
        before = documents.get(key) or local.layer_document(*key)
        after = documents[key] = step.document(before)
        old = before.describe_version(version) if before and version in before.versions else None
        yield SyncChange(step.item, "update" if old else "create", old, after.describe_version(version))
    for template in plan.templates:
        stored = local.template_document(template.item.name)
        shown = template.document(stored).to_dict()
        yield SyncChange(template.item, "update" if stored else "create", stored.to_dict() if stored else None, shown)
    for item in plan.removed:
        if item.kind == TEMPLATE:
            gone = local.template_document(item.name)
            yield SyncChange(item, "delete", gone.to_dict() if gone else None, None)
        else:
            layer = local.layer_document(item.kind, item.name)
            described = layer.describe_version(item.version or "") if layer else None
            yield SyncChange(item, "delete", described, None)
