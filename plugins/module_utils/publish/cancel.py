# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending a publishing: one that runs is asked to, one that waits for a person or whose process died is ended here."""

from __future__ import annotations

import time

from ..catalog.documents import TEMPLATE
from ..common.errors import Conflict, TimedOut
from ..common.progress import Progress
from ..repository.repository import Repository
from ..vsphere.session import Session
from . import machine_state
from .cancellation import clear_cancel, request_cancel
from .publish_task import CANCELED, FAILED, NOT_STARTED, OPEN, PublishTask, is_in, tasks_of
from .publisher import Published
from .steps import PublishOptions

_PAUSE = 0.5


def cancel_publishing(
    repository: Repository,
    connection: dict,
    template: str,
    options: PublishOptions,
    *,
    check_mode: bool,
    progress: Progress,
) -> Published:
    """Bring the publishing of ``template`` in a vCenter to its end; nothing is changed when there is none, or it has ended.

    NotFound when there is neither a template nor a task of this name.
    """
    if not tasks_of(repository, template):
        repository.catalog.require(TEMPLATE, template)
    with Session.connect(**connection) as session:
        going = _going_on(repository, session, template)
        newest = next(iter(tasks_of(repository, template, session.vcenter)), None)
        before = _shown(newest)
        elsewhere = _goes_on_elsewhere(repository, session, template) if not going else None
        if elsewhere:
            # Whoever holds the lock publishes there, and is not to be asked to stop.
            return Published(template, newest or _nothing(template), before=before, after=before, warnings=[elsewhere])
        if check_mode:
            after = _shown(newest) | {"status": CANCELED} if going else before
            return Published(template, newest or _nothing(template), changed=bool(going), before=before, after=after)
        _take_over(repository, template, options, progress)
        with repository.locks.hold(f"publish/{template}", timeout=_PAUSE, purpose=f"cancel publishing {template}"):
            clear_cancel(repository, template)
            for document in _going_on(repository, session, template):
                machine_state.remove_unfinished(session, document)
                PublishTask(repository, document).cancel(f"The publishing of {template} was canceled.")
        ended = next(iter(tasks_of(repository, template, session.vcenter)), None)
    changed = ended is not None and ended["status"] == CANCELED and _shown(ended) != before
    if changed:
        repository.audit.append("cancel", TEMPLATE, template, comment=options.comment, details={"task": ended["id"]})
    return Published(template, ended or _nothing(template), changed=changed, before=before, after=_shown(ended))


def _take_over(repository: Repository, template: str, options: PublishOptions, progress: Progress) -> None:
    """Wait until nobody publishes the template, having asked whoever does."""
    deadline = time.monotonic() + options.timeout("cancel")
    started = time.monotonic()
    asked = False
    while True:
        try:
            with repository.locks.hold(f"publish/{template}", timeout=0, purpose=f"cancel publishing {template}"):
                return
        except Conflict as held:
            if time.monotonic() > deadline:
                raise TimedOut(
                    f"The publishing of {template} did not end within {options.timeout('cancel'):g} seconds. {held.message}",
                    code="publish.timed_out",
                    hint="It ends when it notices; look for that process, or allow more time with timeouts.",
                ) from held
        if not asked:
            request_cancel(repository, template, options.comment)
            asked = True
        progress("cancel", int(time.monotonic() - started), int(options.timeout("cancel")))
        time.sleep(_PAUSE)


def _going_on(repository: Repository, session: Session, template: str) -> list[dict]:
    """The tasks that have not ended, and the newest when it failed and left a machine."""
    found = tasks_of(repository, template, session.vcenter)
    going = [document for document in found if document["status"] in OPEN]
    if found and found[0]["status"] == FAILED and machine_state.unfinished_machine(session, found[0]):
        going.append(found[0])
    return going


def _goes_on_elsewhere(repository: Repository, session: Session, template: str) -> str | None:
    """The sentence about a publishing in another vCenter that has not ended, None when there is none."""
    for document in tasks_of(repository, template):
        if document["status"] in OPEN and not is_in(document, session.vcenter):
            there = document["vcenter"]["hostname"]
            return f"{template} is not being published in the vCenter {session.hostname}, but in {there}: give that as hostname to cancel it."
    return None


def _shown(task: dict | None) -> dict:
    return {"task": task["id"], "status": task["status"]} if task else {"task": None, "status": None}


def _nothing(template: str) -> dict:
    return {
        "template": template,
        "status": NOT_STARTED,
        "description": f"Nothing of {template} is being published.",
        "digest": None,
    }
