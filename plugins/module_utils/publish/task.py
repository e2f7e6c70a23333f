# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of one publishing, kept in the catalogue so that others can see it and a later run can go on."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator

from ..catalog.documents import TASK, now
from ..common.errors import StrataError
from ..repository.repository import Repository

NOT_STARTED, RUNNING, COMPLETE, FAILED = "NotStarted", "Running", "Complete", "Failed"
STEPS = ("compose", "upload", "power on", "shut down", "snapshot", "retire")


class PublishTask:
    """One task. ``document`` is what is stored: id, template, status, step, description, digest, timings (seconds by
    step), bytes, and once they are known vm, snapshot, datastore_path and error."""

    def __init__(self, repository: Repository, template: str, image_digest: str, content_digest: str) -> None:
        self._repository = repository
        moment = now()
        self.document: dict = {
            "id": f"{moment.replace(':', '').replace('-', '')}-{uuid.uuid4().hex[:8]}",
            "template": template,
            "digest": image_digest,
            "content_digest": content_digest,
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
            "error": None,
        }

    def store(self) -> None:
        """Write the document."""
        self.document["updated"] = now()
        self._repository.catalog.put(TASK, self.document["id"], self.document)

    @contextlib.contextmanager
    def step(self, name: str, description: str) -> Iterator[None]:
        """Run one step: it is stored before it begins, and its time is taken."""
        self.document.update(status=RUNNING, step=name, description=description)
        self.store()
        started = time.monotonic()
        yield
        self.document["timings"][name] = round(time.monotonic() - started, 2)

    def fail(self, error: StrataError) -> None:
        """The publishing ended with an error."""
        self.document.update(status=FAILED, description=str(error), error={"code": error.code, "message": error.message, "hint": error.hint})
        self.store()

    def complete(self, description: str) -> None:
        """The publishing ended with an image."""
        self.document.update(status=COMPLETE, step=None, description=description)
        self.store()
