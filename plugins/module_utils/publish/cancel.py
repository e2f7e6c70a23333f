# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancel publishing: a run in progress is asked to stop; an interrupted run, or a run that waits for an administrator, is ended here."""

from __future__ import annotations

import time
from typing import Any

from ..catalog import document_collections
from ..catalog.kinds import TEMPLATE
from ..catalog.publish_task_record import PublishTaskRecord
from ..common.errors import Conflict, TimedOut
from ..common.progress import Progress
from ..repository.repository import Repository
from ..vsphere.session import Session
from .cancellation import clear_cancel, request_cancel
from .context import PublishOptions
from .machine import image_records, machine_state
from .machine.vm_metadata import vcenter_record
from .publish_task import CANCELED, FAILED, NOT_STARTED, OPEN, PublishTask, is_in, tasks_of
from .publisher import Published

_POLL_INTERVAL = 0.5


def cancel_publishing(
    repository: Repository,
    session: Session,
    template: str,
    options: PublishOptions,
    *,
    check_mode: bool,
    progress: Progress,
) -> Published:
    """End the publishing of ``template`` in the session's vCenter; nothing changes when nothing is being published.

    Raises:
        TimedOut: ``publish.timed_out`` if the process that publishes the template does not stop in time.
    """
    vcenter = vcenter_record(session)
    unfinished = _unfinished_tasks(repository, session, template)
    newest = next(iter(tasks_of(repository, template, vcenter)), None)
    before = _diff_state(newest)
    task = newest or _absent_task(template)
    elsewhere = _published_elsewhere(repository, session, template) if not unfinished else None
    if elsewhere:
        # The holder of the lock publishes in that vCenter and must not be asked to stop.
        return Published(template, task, before=before, after=before, warnings=[elsewhere])
    if check_mode:
        after = before | {"status": CANCELED} if unfinished else before
        finished = image_records.instance_uuids(repository, template, vcenter)
        found = [machine_state.kept_vm(session, record, finished) for record in unfinished]
        warnings = [machine_state.kept_text(*vm) for vm in found if vm]
        return Published(template, task, changed=bool(unfinished), before=before, after=after, warnings=warnings)
    stop_publishing_process(repository, template, options, progress)
    with repository.locks.hold(
        f"publish/{template}",
        timeout=_POLL_INTERVAL,
        purpose=f"cancel publishing {template}",
        subject=f"The template {template} is being published",
    ):
        clear_cancel(repository, template)
        finished = image_records.instance_uuids(repository, template, vcenter)
        kept = []
        for record in _unfinished_tasks(repository, session, template):
            kept.append(machine_state.remove_unfinished(session, record, finished))
            PublishTask(repository, record).cancel(f"The publishing of the template {template} was canceled.")
    ended = next(iter(tasks_of(repository, template, vcenter)), None)
    changed = ended is not None and ended.status == CANCELED and _diff_state(ended) != before
    if ended is not None and changed:
        repository.audit.append("cancel", TEMPLATE, template, comment=options.comment, details={"task": ended.id})
    return Published(
        template,
        ended or _absent_task(template),
        changed=changed,
        before=before,
        after=_diff_state(ended),
        warnings=[sentence for sentence in kept if sentence],
    )


def require_known(repository: Repository, template: str) -> None:
    """Raise NotFound (``repository.catalog_missing``) if there is neither a template nor a task of this name."""
    if not tasks_of(repository, template):
        document_collections.templates(repository).require(template)


def stop_publishing_process(repository: Repository, template: str, options: PublishOptions, progress: Progress) -> None:
    """Ask the process that publishes the template to stop, if there is one, and wait until it has stopped."""
    timeout = options.timeout("cancel")
    started = time.monotonic()
    requested = False
    while True:
        try:
            with repository.locks.hold(
                f"publish/{template}",
                timeout=0,
                purpose=f"cancel publishing {template}",
                subject=f"The template {template} is being published",
            ):
                return
        except Conflict as held:
            if time.monotonic() > started + timeout:
                raise TimedOut(
                    f"The publishing of the template {template} did not end within {timeout:g} s. {held.message}",
                    code="publish.timed_out",
                    hint="Check that process: it ends when it notices the request. If it needs more time, increase cancel in the option timeouts.",
                ) from held
        if not requested:
            request_cancel(repository, template, options.comment)
            requested = True
        progress("cancel", int(time.monotonic() - started), int(timeout))
        time.sleep(_POLL_INTERVAL)


def _unfinished_tasks(repository: Repository, session: Session, template: str) -> list[PublishTaskRecord]:
    """Return the tasks that have not ended, and the newest task if it failed and left a VM."""
    vcenter = vcenter_record(session)
    tasks = tasks_of(repository, template, vcenter)
    unfinished = [task for task in tasks if task.status in OPEN]
    finished = image_records.instance_uuids(repository, template, vcenter)
    if tasks and tasks[0].status == FAILED and machine_state.unfinished_machine(session, tasks[0], finished):
        unfinished.append(tasks[0])
    return unfinished


def _published_elsewhere(repository: Repository, session: Session, template: str) -> str | None:
    """Return the warning about a publishing in a different vCenter that has not ended, None when there is none."""
    vcenter = vcenter_record(session)
    for task in tasks_of(repository, template):
        if task.status in OPEN and not is_in(task, vcenter) and task.vcenter is not None:
            return (
                f"The template {template} is not being published in the vCenter {session.hostname}, but in {task.vcenter.hostname}. "
                f"To cancel that, set hostname to {task.vcenter.hostname}."
            )
    return None


def _diff_state(task: PublishTaskRecord | None) -> dict[str, Any]:
    return {"task": task.id, "status": task.status} if task else {"task": None, "status": None}


def _absent_task(template: str) -> PublishTaskRecord:
    return PublishTaskRecord(
        template=template, status=NOT_STARTED, description=f"The template {template} is not being published."
    )
