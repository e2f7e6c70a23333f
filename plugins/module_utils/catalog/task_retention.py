# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which publish tasks are old and no longer needed."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable

from ..common.timestamps import utc_now
from ..repository.repository import Repository
from . import document_collections
from .publish_task_record import PublishTaskRecord

COMPLETE, CANCELED, FAILED = "Complete", "Canceled", "Failed"
_ENDED = (COMPLETE, CANCELED, FAILED)
#: Template, instance UUID of the vCenter.
_Target = tuple[str, str]


def expired_tasks(tasks: Iterable[PublishTaskRecord], days: int, now: datetime.datetime) -> list[PublishTaskRecord]:
    """Return the tasks that ended more than ``days`` days ago and that no later run needs.

    The tasks of one image are kept or removed together, because a run decides by all of them. The tasks of the image that was
    published last from each template in each vCenter stay, and so do tasks that may have left an unfinished VM.
    """
    images: dict[tuple[_Target, str], list[PublishTaskRecord]] = defaultdict(list)
    newest: dict[_Target, PublishTaskRecord] = {}
    for task in tasks:
        target = (task.template, task.vcenter.instance_uuid if task.vcenter else "")
        images[target, task.digest or ""].append(task)
        if target not in newest or _age_key(task) > _age_key(newest[target]):
            newest[target] = task
    expired: list[PublishTaskRecord] = []
    for (target, digest), of_image in images.items():
        is_last = digest == (newest[target].digest or "")
        if not is_last and not _may_have_vm(of_image) and all(_is_old(task, days, now) for task in of_image):
            expired += of_image
    return sorted(expired, key=_age_key)


def _age_key(task: PublishTaskRecord) -> tuple[str, str]:
    return task.created or "", task.id or ""


def _may_have_vm(tasks: Iterable[PublishTaskRecord]) -> bool:
    """Return whether the newest task failed and recorded a VM: a later run resumes or removes the VM."""
    last = max(tasks, key=_age_key)
    return last.status == FAILED and last.vm is not None


def _is_old(task: PublishTaskRecord, days: int, now: datetime.datetime) -> bool:
    if task.status not in _ENDED:
        return False
    try:
        ended = datetime.datetime.fromisoformat(task.updated or "")
    except ValueError:
        return False
    ended = ended if ended.tzinfo else ended.replace(tzinfo=datetime.UTC)
    return now - ended > datetime.timedelta(days=days)


def remove_expired_tasks(repository: Repository, days: int) -> list[str]:
    """Remove the tasks that have expired, unless their template is being published; return their identifiers.

    Raises:
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    removed: list[str] = []
    for template in sorted({task.template for task in find_expired_tasks(repository, days)}):
        removed += _remove_of_template(repository, template, days)
    return removed


def find_expired_tasks(repository: Repository, days: int) -> list[PublishTaskRecord]:
    """Return the tasks that have expired, oldest first."""
    stored = [task for _identifier, task in document_collections.tasks(repository).all()]
    return expired_tasks(stored, days, utc_now())


def _remove_of_template(repository: Repository, template: str, days: int) -> list[str]:
    if repository.locks.held_since(f"publish/{template}") is not None:
        return []
    removed = []
    with repository.locks.hold(f"publish/{template}", purpose="remove old publish tasks"):
        for task in find_expired_tasks(repository, days):
            if task.template == template and task.id is not None:
                document_collections.tasks(repository).remove(task.id)
                removed.append(task.id)
    return removed
