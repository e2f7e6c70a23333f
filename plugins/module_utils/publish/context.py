# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a publish run, and the context that its steps share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..catalog.resolved_template import ResolvedTemplate
from ..common.errors import StrataError, TimedOut
from ..common.progress import Progress
from ..repository.repository import Repository
from ..vsphere.session import Session
from .cancellation import CancelWatch
from .publish_task import PublishTask
from .retiring.retention import RetentionRule

#: Seconds that a step may take unless the options give a different number.
TIMEOUTS = {
    "compose": 3600,
    "upload": 14400,
    "power_on": 300,
    "snapshot": 1800,
    "connector_script": 3600,
    "cancel": 600,
}


class ActionRequired(StrataError):
    """An administrator has to act before publishing can continue; the message says what to do and where."""

    default_code = "publish.action_required"


@dataclass(frozen=True)
class PublishOptions:
    """The settings of a publish. Times are in seconds; ``retention`` decides about the VMs of older images."""

    script_timeout: float = 3600
    shutdown_timeout: float = 3600
    timeouts: Mapping[str, float] = field(default_factory=dict)
    retries: int = 2
    retry_pause: float = 10
    retention: RetentionRule = RetentionRule()
    comment: str | None = None

    def timeout(self, step: str) -> float:
        """Return how many seconds a step may take."""
        return self.timeouts.get(step, TIMEOUTS[step])


@dataclass
class PublishContext:
    """The objects that the steps of one publish run share.

    ``progress_sink`` receives the engine's progress. ``changed``: this run has changed something. ``finished``: the
    image is finished, so that a request to cancel comes too late.
    ``preflight_passed``: this run has checked the connector. ``timeout`` (seconds) and ``deadline`` (monotonic
    time) limit the current step.
    """

    repository: Repository
    session: Session
    template: ResolvedTemplate
    options: PublishOptions
    task: PublishTask
    cancel: CancelWatch
    progress_sink: Progress
    warnings: list[str] = field(default_factory=list)
    changed: bool = False
    finished: bool = False
    preflight_passed: bool = False
    timeout: float | None = None
    deadline: float | None = None

    def begin(self, step: str, description: str, timeout: float | None = None) -> None:
        """Begin a step. Raises Canceled when there is a request to cancel and the image is not finished."""
        if not self.finished:
            self.cancel.check()
        self.changed = True
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.timeout = timeout
        self.task.begin(step, description)

    def progress(self, step: str, done: int, total: int | None) -> None:
        """Store and pass on the engine's progress. Raises Canceled, or TimedOut when the step exceeds its timeout."""
        self.cancel.check()
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimedOut(
                f"The step {self.task.record.step} of publishing the template {self.template.name} took longer than {self.timeout:g} s.",
                code="publish.timed_out",
                hint="Run this playbook again. If the step needs more time, increase its value in the option timeouts.",
            )
        self.task.report(step, done, total)
        self.progress_sink(step, done, total)

    def warn(self, sentence: str) -> None:
        """Report a warning, once, to the user and in the task."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)
        self.task.warn(sentence)
