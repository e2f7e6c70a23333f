# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The task of a publish run, stored in the catalog so that others can see it and a later run can resume it."""

from __future__ import annotations

import datetime
import secrets
import time
from dataclasses import replace
from typing import Any

from ..catalog import document_collections
from ..catalog.publish_task_record import PublishTaskRecord
from ..catalog.resolved_template import ResolvedTemplate
from ..catalog.vsphere_records import VCenterRecord
from ..common.errors import InternalError, StrataError
from ..common.progress import Estimate
from ..common.timestamps import now
from ..repository.repository import Repository

NOT_STARTED, RUNNING, ACTION_REQUIRED = "NotStarted", "Running", "ActionRequired"
COMPLETE, CANCELED, FAILED = "Complete", "Canceled", "Failed"
#: A task with one of these statuses has not ended: a later run resumes it.
OPEN = (NOT_STARTED, "Pending", RUNNING, ACTION_REQUIRED)
#: Seconds between two stored reports of a step's progress.
_REPORT_INTERVAL = 5


def tasks_of(repository: Repository, template: str, vcenter: VCenterRecord | None = None) -> list[PublishTaskRecord]:
    """Return the tasks of a template, newest first; ``vcenter`` selects those of one vCenter.

    Raises Corrupt (catalog.field) when a stored task is damaged.
    """
    selected = [
        task
        for _name, task in document_collections.tasks(repository).all()
        if task.template == template and (vcenter is None or is_in(task, vcenter))
    ]
    return sorted(selected, key=lambda task: (task.created or "", task.id or ""), reverse=True)


def is_in(task: PublishTaskRecord, vcenter: VCenterRecord) -> bool:
    """Return whether a task belongs to this vCenter; a template may be published in several, independently."""
    return task.vcenter is not None and task.vcenter.is_same(vcenter)


def not_started(template: ResolvedTemplate, vcenter: VCenterRecord, description: str) -> PublishTaskRecord:
    """Return a task that has not started and is not stored: it has no ``id`` and no times."""
    return PublishTaskRecord(
        template=template.name,
        digest=template.image_digest,
        content_digest=template.content_digest,
        connector=template.connector.name,
        vcenter=vcenter,
        publish_mode=template.publish_mode,
        former_templates=template.former_names,
        status=NOT_STARTED,
        description=description,
    )


class PublishTask:
    """A task that is in progress. ``record`` is its present state; ``store`` writes it to the catalog."""

    def __init__(self, repository: Repository, record: PublishTaskRecord) -> None:
        self._repository = repository
        self.record = record
        self._stored = record
        self._began = self._reported = 0.0
        self._estimate = Estimate()

    @classmethod
    def new(cls, repository: Repository, template: ResolvedTemplate, vcenter: VCenterRecord) -> PublishTask:
        """Return a task that has not started and is not stored yet."""
        moment = datetime.datetime.now(datetime.UTC)
        # Tasks of the same second are ordered by their identifiers, which begin with the time in units of 15 microseconds.
        fraction = (moment.microsecond << 16) // 1_000_000
        identifier = f"{moment:%Y%m%dT%H%M%SZ}-{fraction:04x}{secrets.token_hex(2)}"
        created = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
        record = not_started(template, vcenter, "The task has not started.")
        return cls(repository, replace(record, id=identifier, created=created, updated=created))

    @property
    def begun(self) -> bool:
        """Whether a run has begun a step of this task."""
        return self.record.status != NOT_STARTED

    def update(self, **changes: Any) -> None:
        """Change fields of the record; ``store`` or the next step writes them."""
        self.record = replace(self.record, **changes)

    def warn(self, sentence: str) -> None:
        """Add a warning, once."""
        if sentence not in self.record.warnings:
            self.update(warnings=(*self.record.warnings, sentence))

    def store(self) -> None:
        """Write the record if it has changed."""
        if self.record.id is None:
            raise InternalError("A task without an identifier cannot be stored.", code="publish.task")
        if self.record != self._stored or not self.begun:
            self.update(updated=now())
            document_collections.tasks(self._repository).store(self.record.id, self.record)
            self._stored = self.record

    def begin(self, step: str, description: str) -> None:
        """Begin a step, which ends the previous step; the task is stored before the step's work starts."""
        self._end_step()
        self.update(status=RUNNING, step=step, description=description, error=None)
        self.store()
        self._began = time.monotonic()

    def report(self, step: str, done: int, total: int | None) -> None:
        """Take over the engine's progress in the step; it is stored every few seconds."""
        estimate = self._estimate.follow(step, done, total)
        self.update(progress={name: value for name, value in estimate.items() if name != "subject"})
        if time.monotonic() - self._reported >= _REPORT_INTERVAL:
            self._reported = time.monotonic()
            self.store()

    def require_action(self, description: str) -> None:
        """Store that an administrator has to do what the description says; the step is kept."""
        self._end(ACTION_REQUIRED, description, None)

    def fail(self, error: StrataError) -> None:
        """Store that publishing ended with an error."""
        self._end(FAILED, str(error), {"code": error.code, "message": error.message, "hint": error.hint})

    def cancel(self, description: str) -> None:
        """Store that publishing was canceled."""
        self._end(CANCELED, description, None)

    def complete(self, description: str) -> None:
        """Store that publishing ended with an image."""
        self._end_step()
        self.update(status=COMPLETE, description=description, error=None, step=None)
        self.store()

    def _end(self, status: str, description: str, error: dict[str, Any] | None) -> None:
        self._end_step()
        self.update(status=status, description=description, error=error)
        self.store()

    def _end_step(self) -> None:
        """Record the duration of the current step; a step that began again adds to its time."""
        if self._began:
            timings, step = dict(self.record.timings), self.record.step or ""
            timings[step] = round(timings.get(step, 0) + time.monotonic() - self._began, 2)
            self.update(timings=timings)
            self._began = 0.0
        self.update(progress=None)
