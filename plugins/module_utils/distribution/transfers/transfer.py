# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out the plan of a transfer: a push to a remote, a pull from one, or a copy between two repositories."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ...common.errors import InternalError, NotFound
from ...common.progress import Progress, silent
from ...oci_registry.model import Uploaded
from ...repository.blobs import Descriptor
from ...repository.oci_layout import MANIFEST
from ..items.artifacts import EMPTY, EMPTY_DIGEST
from ..items.catalog_entry import CatalogEntry
from ..items.items import ImageItem, Item, LayerItem
from ..items.names import ItemName, Location
from ..items.template_item import TemplateItem, of_document
from ..sides.local import Local
from ..sides.receiving import receive_blob
from ..sides.remote import Remote
from ..sides.remote_writer import RemoteWriter, homes
from .decision import Action, Known, Reason
from .known import note_template
from .plan import Plan, Step

T = TypeVar("T")
#: Blobs that are sent or received side by side. GHCR refuses more uploads at a time.
_SENDERS, _RECEIVERS = 4, 2
#: Repositories from which a registry is asked to mount a blob.
_MAX_MOUNTS = 3


@dataclass
class Moved:
    """The bytes of an item that were sent or received, that the registry linked from another repository, and that were there."""

    moved: int = 0
    mounted: int = 0
    present: int = 0

    def count(self, size: int, uploaded: Uploaded) -> None:
        """Add a blob."""
        if uploaded is Uploaded.SENT:
            self.moved += size
        elif uploaded is Uploaded.MOUNTED:
            self.mounted += size
        else:
            self.present += size


@dataclass
class Transfer:
    """A transfer that is carried out. ``home`` is the repository of the run, which keeps the audit history of both directions."""

    plan: Plan
    home: Local
    comment: str | None = None
    progress: Progress = silent
    moved: dict[ItemName, Moved] = field(default_factory=dict)

    def apply(self) -> dict[ItemName, Moved]:
        """Carry out the plan; return what was moved for each item that changed.

        Raises:
            Conflict: the plan has conflicts, or another composer changed the target during the run. Nothing of it is visible then, or
                some of the items, each of them complete.
            StrataError: a side failed. The next run continues.
        """
        self.plan.refuse_conflicts()
        source, target = self.plan.source, self.plan.target
        if isinstance(source, Local) and isinstance(target, Remote):
            _Push(self, source, target).run()
        elif isinstance(target, Local) and isinstance(source, (Local, Remote)):
            _Pull(self, source, target).run()
        else:
            raise InternalError("A transfer needs a repository at one side.", code="distribution.sides")
        return self.moved

    def steps(self, kind: type[Item]) -> list[Step]:
        """Return the steps of a kind of item that change the target."""
        return [step for step in self.plan.select(kind) if step.changes]

    def note(self, remote: Local | Remote) -> None:
        """Record what the templates have in common with a remote now."""
        for step in self.plan.select(TemplateItem):
            if not isinstance(step.source, TemplateItem) or step.reason is Reason.TARGET_IS_NEWER:
                continue
            target = step.target if isinstance(step.target, TemplateItem) else None
            revision = max(step.source.revision, target.revision if target else 0)
            if step.changes_document and isinstance(self.plan.target, Remote):
                revision = (target.revision if target else 0) + 1
            note_template(self.home.repository, remote.identity, step.item.name, Known(step.source.content, revision))


class _Total:
    """The progress of several blobs as one; it may be called from several threads."""

    def __init__(self, progress: Progress, step: str, total: int) -> None:
        self._progress, self._step, self._total = progress, step, total
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def of(self, blob: Descriptor) -> Progress:
        """Return the progress of a blob."""

        def report(_step: str, done: int, _total: int | None) -> None:
            self._set(blob.digest, done)

        return report

    def end(self, blob: Descriptor) -> None:
        """Count a blob as finished."""
        self._set(blob.digest, blob.size)

    def _set(self, digest: str, done: int) -> None:
        with self._lock:
            self._done[digest] = done
            self._progress(self._step, sum(self._done.values()), self._total)


def _side_by_side(function: Callable[[T], Any], jobs: Iterable[T], workers: int) -> None:
    """Call ``function`` for each job in a few threads; raise the first error after all that run have ended."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(function, job) for job in jobs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            raise


class _Push:
    def __init__(self, transfer: Transfer, source: Local, target: Remote) -> None:
        self._transfer = transfer
        self._source = source
        self._target = target
        self._writer = RemoteWriter(target, source, transfer.comment)

    def run(self) -> None:
        layers, images = self._transfer.steps(LayerItem), self._transfer.steps(ImageItem)
        copied = [step for step in (*layers, *images) if step.action is Action.COPY]
        self._send(copied)
        templates = self._transfer.steps(TemplateItem)
        if layers or images or templates:
            subject = ", ".join(str(step.item) for step in (*layers, *templates, *images)[:3])
            with self._writer.claim(f"push {subject}") as claim:
                for step in (*layers, *images, *templates):
                    claim.renew()
                    self._finish(step)
        self._transfer.note(self._target)

    def _send(self, steps: Sequence[Step]) -> None:
        """Send blobs and manifests, all of which nothing refers to yet."""
        places = [(step, self._location(step)) for step in steps]
        known = homes([(step.source, location) for step, location in self._all_places()])
        jobs, total = [], 0
        for step, location in places:
            self._transfer.moved[step.item] = Moved()
            for blob in step.source.blobs:
                jobs.append((step, location.repository, blob))
                total += blob.size
        progress = _Total(self._transfer.progress, "push", total)
        lock = threading.Lock()

        def send(job: tuple[Step, str, Descriptor]) -> None:
            step, repository, blob = job
            others = [home for home in dict.fromkeys(known.get(blob.digest, ())) if home != repository][:_MAX_MOUNTS]
            how = self._writer.send_blob(repository, blob, mount_from=others, progress=progress.of(blob))
            progress.end(blob)
            with lock:
                self._transfer.moved[step.item].count(blob.size, how)

        # A blob that an image shares with its OS layer is mounted from there: layers are sent before images.
        _side_by_side(send, [job for job in jobs if job[0].item.is_layer], _SENDERS)
        _side_by_side(send, [job for job in jobs if not job[0].item.is_layer], _SENDERS)
        for step, location in places:
            self._writer.send_manifest(location.repository, step.source)

    def _all_places(self) -> list[tuple[Step, Location]]:
        return [(step, self._location(step)) for step in self._transfer.plan.steps if step.item.is_layer]

    def _location(self, step: Step) -> Location:
        return self._target.naming.location(step.item, step.path)

    def _finish(self, step: Step) -> None:
        location = self._location(step)
        if isinstance(step.source, LayerItem):
            updated = None
            if step.action is Action.COPY:
                updated = self._writer.finish_layer(step.source, location, step.path)
            else:
                self._writer.add_signatures(step.source, location)
                self._writer.enter(CatalogEntry(step.item.kind, step.item.name, step.path))
                if step.changes_document:
                    updated = self._writer.put_details(step.source, location)
            if updated is not None:
                self._source.note_updated(step.source, updated)
        elif step.action is Action.ENTRY:
            self._writer.enter(CatalogEntry(step.item.kind, step.item.name, step.path))
        elif isinstance(step.source, TemplateItem):
            self._finish_template(step, step.source, location)
        else:
            self._writer.finish_image(step.source, location)
        self._source.note_transfer("push", step.item, step.source.digest, self._target.identity, self._transfer.comment)

    def _finish_template(self, step: Step, source: TemplateItem, location: Location) -> None:
        before = step.target if isinstance(step.target, TemplateItem) else None
        icon = next((file for file in source.files if file.digest == source.document.icon), None)
        item = of_document(source.document, source.layers, icon, (before.revision if before else 0) + 1)
        self._writer.finish_template(item, location, before.digest if before else None, step.path)


class _Pull:
    def __init__(self, transfer: Transfer, source: Local | Remote, target: Local) -> None:
        self._transfer = transfer
        self._source = source
        self._target = target
        self._origin = {"from": source.identity}

    def run(self) -> None:
        layers, images = self._transfer.steps(LayerItem), self._transfer.steps(ImageItem)
        templates = self._transfer.steps(TemplateItem)
        with self._target.repository.pin(purpose="pull layers") as pin:
            for steps in (layers, templates, images):
                blobs = [blob for step in steps for blob in self._needed(step)]
                pin.add(dict.fromkeys(blob.digest for blob in blobs))
                self._receive(steps)
            for step in layers:
                self._record_layer(step)
            for step in templates:
                self._record_template(step)
            for step in images:
                self._record_image(step)
        # A repository from which something is pulled may be mounted read-only: the history of the target has the record.
        if isinstance(self._source, Local) and os.access(self._source.repository.path, os.W_OK):
            for step in (*layers, *templates, *images):
                self._source.note_transfer(
                    "push", step.item, step.source.digest, self._target.identity, self._transfer.comment
                )
        other = self._target if self._source is self._transfer.home else self._source
        self._transfer.note(other)

    def _needed(self, step: Step) -> list[Descriptor]:
        """Return the blobs that the target needs for an item."""
        if isinstance(step.source, TemplateItem):
            return list(step.source.files)
        blobs = [blob for attachment in step.source.attachments for blob in attachment.blobs]
        if step.action is not Action.COPY:
            return list({blob.digest: blob for blob in blobs}.values())
        blobs += step.source.blobs
        if isinstance(step.source, LayerItem) and step.source.details.icon is not None:
            blobs.append(step.source.details.icon)
        return list({blob.digest: blob for blob in blobs}.values())

    def _receive(self, steps: Sequence[Step]) -> None:
        jobs: dict[str, tuple[Step, Descriptor]] = {}
        for step in steps:
            moved = self._transfer.moved.setdefault(step.item, Moved())
            for blob in self._needed(step):
                if self._target.has(blob) or blob.digest in jobs:
                    moved.present += blob.size
                else:
                    jobs[blob.digest] = (step, blob)
        progress = _Total(self._transfer.progress, "pull", sum(blob.size for _step, blob in jobs.values()))
        lock = threading.Lock()

        def receive(job: tuple[Step, Descriptor]) -> None:
            step, blob = job
            received = self._fetch(step, blob, progress.of(blob))
            progress.end(blob)
            with lock:
                if received:
                    self._transfer.moved[step.item].moved += blob.size
                else:
                    self._transfer.moved[step.item].present += blob.size

        # The largest blobs first, so that no line is idle while the last blob arrives.
        _side_by_side(receive, sorted(jobs.values(), key=lambda job: -job[1].size), _RECEIVERS)

    def _fetch(self, step: Step, blob: Descriptor, progress: Progress) -> bool:
        repository = self._target.repository
        if blob.digest == EMPTY_DIGEST:
            repository.layout.put_blob(EMPTY, blob.media_type)
            return False
        if isinstance(self._source, Local):
            with self._source.repository.layout.open_blob(blob) as stream:
                repository.layout.put_blob(stream, blob.media_type, expected=blob.digest)
            return True
        backend, location = self._source.backend, step.source.location
        if location is None:
            raise InternalError(f"The {step.item} has no location in the remote.", code="distribution.no_location")
        return receive_blob(
            repository,
            blob,
            lambda path: backend.download(location.repository, blob.digest, blob.size, path, progress=progress),
        )

    def _record_layer(self, step: Step) -> None:
        if not isinstance(step.source, LayerItem):
            raise InternalError(f"The {step.item} is not a layer version.", code="distribution.step")
        icon = step.fields.icon if step.fields else None
        if icon is not None and not self._target.repository.layout.has(icon):
            self._fetch_icon(step, icon)
        comment, origin = self._transfer.comment, self._origin | _signer(step)
        upstream = self._target.repository.shared_upstream()
        if upstream is not None and step.action is Action.COPY:
            # Large blobs are sent before the registry of record is claimed, and before the catalog is locked.
            self._target.repository.layout.put_blob(step.source.manifest, MANIFEST)
            upstream.upload(step.source.digest)
        if step.changes_document:
            self._target.record_layer(step.source, step.fields, action="pull", comment=comment, origin=origin)
        else:
            self._target.record_signatures(step.source, action="pull", comment=comment, origin=origin)

    def _fetch_icon(self, step: Step, icon: str) -> None:
        """Receive the icon of a layer, which belongs to the newest details of one of its versions."""
        described = step.source.details if isinstance(step.source, LayerItem) else None
        if described is not None and described.icon is not None and described.icon.digest == icon:
            self._fetch(step, described.icon, silent)
            return
        raise NotFound(
            f"The icon {icon} of the {step.item} is not in {self._source.label}.",
            code="distribution.icon",
            hint="Transfer the newest version of the layer, too.",
        )

    def _record_template(self, step: Step) -> None:
        if step.document is None:
            raise InternalError(f"The {step.item} has no document.", code="distribution.step")
        self._target.record_template(
            step.document, action="pull", comment=self._transfer.comment, origin=self._origin | _signer(step)
        )

    def _record_image(self, step: Step) -> None:
        if not isinstance(step.source, ImageItem):
            raise InternalError(f"The {step.item} is not an image.", code="distribution.step")
        self._target.record_image(
            step.source, action="pull", comment=self._transfer.comment, origin=self._origin | _signer(step)
        )


def _signer(step: Step) -> dict[str, str]:
    return {"key": step.source.signer} if step.source.signer else {}
