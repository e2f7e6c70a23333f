# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of one publishing, kept in the catalogue so that others can see it and a later run can go on."""

from __future__ import annotations

import copy
import time
import uuid

from ..catalog.documents import TASK, now
from ..catalog.resolved_template import ResolvedTemplate
from ..common.errors import StrataError
from ..common.progress import Estimate
from ..repository.repository import Repository

NOT_STARTED, RUNNING, ACTION_REQUIRED = "NotStarted", "Running", "ActionRequired"
COMPLETE, CANCELED, FAILED = "Complete", "Canceled", "Failed"
#: A task in one of these has not ended: a later run goes on with it.
OPEN = (NOT_STARTED, "Pending", RUNNING, ACTION_REQUIRED)
#: In the order in which they are done.
STEPS = (
    "compose",
    "create",
    "upload",
    "power on",
    "scripts",
    "shut down",
    "snapshot",
    "verify",
    "connector script",
    "retire old",
)
#: How often the document follows a step's progress, in seconds.
_REPORT_INTERVAL = 5


def tasks_of(repository: Repository, template: str, vcenter: dict | None = None) -> list[dict]:
    """The documents of the tasks of a template, the newest first; of those in one vCenter (see Session.vcenter) or in all."""
    found = [
        document
        for _name, document in repository.catalog.documents(TASK)
        if document["template"] == template and is_in(document, vcenter)
    ]
    return sorted(found, key=lambda document: (document["created"], document["id"]), reverse=True)


def is_in(document: dict, vcenter: dict | None) -> bool:
    """Whether a task or an image is one of this vCenter; a template may be published in several, each for itself."""
    return vcenter is None or document["vcenter"]["instance_uuid"] == vcenter["instance_uuid"]


class PublishTask:
    """One task. ``document`` is what is stored: id, template, vcenter, status, step, description, digest, timings (seconds by
    step), bytes, progress (of what is under way: step, unit, done, total, percent, rate, seconds_left), scripts (what the guest
    reported last), checks (of what Horizon asks
    for), script (the connector's), warnings, and once they are known vm, snapshot, datastore_path and error."""

    def __init__(self, repository: Repository, document: dict) -> None:
        self._repository = repository
        self.document = document
        self._stored = copy.deepcopy(document)
        self._began = self._reported = 0.0
        self._estimate = Estimate()

    @classmethod
    def new(cls, repository: Repository, template: ResolvedTemplate, vcenter: dict) -> PublishTask:
        """A task that has not begun and is not stored yet."""
        moment = now()
        return cls(
            repository,
            {
                "id": f"{moment.replace(':', '').replace('-', '')}-{uuid.uuid4().hex[:8]}",
                "template": template.name,
                "digest": template.image_digest,
                "content_digest": template.content_digest,
                "connector": template.connector["name"],
                "vcenter": vcenter,
                "publish_mode": template.publish_mode,
                "status": NOT_STARTED,
                "step": None,
                "description": "The image has not been begun.",
                "created": moment,
                "updated": moment,
                "vm": None,
                "snapshot": None,
                "datastore_path": None,
                "timings": {},
                "bytes": {},
                "progress": None,
                "scripts": None,
                "checks": [],
                "script": None,
                "warnings": [],
                "error": None,
            },
        )

    def store(self) -> None:
        """Write the document if it says something new."""
        if (
            self.document | {"updated": None} != self._stored | {"updated": None}
            or self.document["status"] == NOT_STARTED
        ):
            self.document["updated"] = now()
            self._repository.catalog.put(TASK, self.document["id"], self.document)
            self._stored = copy.deepcopy(self.document)

    def begin(self, step: str, description: str) -> None:
        """A step begins, and the one before it has ended; stored before anything is done."""
        self._close()
        self.document.update(status=RUNNING, step=step, description=description, error=None)
        self.store()
        self._began = time.monotonic()

    def report(self, step: str, done: int, total: int | None) -> None:
        """How far the step is, as the engine's progress tells; stored every few seconds."""
        said = self._estimate.follow(step, done, total)
        self.document["progress"] = {name: value for name, value in said.items() if name != "subject"}
        if time.monotonic() - self._reported >= _REPORT_INTERVAL:
            self._reported = time.monotonic()
            self.store()

    def require_action(self, description: str) -> None:
        """A person has to do what the description says; the step stays."""
        self._close()
        self.document.update(status=ACTION_REQUIRED, description=description, error=None)
        self.store()

    def fail(self, error: StrataError) -> None:
        """The publishing ended with an error."""
        self._end(FAILED, str(error), {"code": error.code, "message": error.message, "hint": error.hint})

    def cancel(self, description: str) -> None:
        """The publishing ended because somebody wanted it to."""
        self._end(CANCELED, description, None)

    def complete(self, description: str) -> None:
        """The publishing ended with an image."""
        self._end(COMPLETE, description, None)
        self.document["step"] = None
        self.store()

    def _end(self, status: str, description: str, error: dict | None) -> None:
        self._close()
        self.document.update(status=status, description=description, error=error)
        self.store()

    def _close(self) -> None:
        """Take the time of the step under way; one that was begun anew adds to its time."""
        if self._began:
            timings, step = self.document["timings"], self.document["step"]
            timings[step] = round(timings.get(step, 0) + time.monotonic() - self._began, 2)
            self._began = 0.0
        self.document["progress"] = None
