# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for vCenter's tasks.

Only ``info.state``, ``info.error``, ``info.result`` and ``info.progress`` are collected: a
whole TaskInfo cannot always be decoded.
"""

from __future__ import annotations

from ..common.progress import Progress, silent
from .faults import fault_error
from .properties import read, wait_for
from .session import Session


def wait_for_task(session: Session, task, what: str, *, timeout: float = 3600, progress: Progress = silent):
    """Wait until ``task`` has ended and return its result (None for many).

    ``what`` starts the sentence of an error, such as "Powering on X"; ``progress`` gets
    percents. Raises the engine's error for the task's fault, TimedOut after ``timeout`` seconds.
    """
    values = wait_for(
        session,
        task,
        ["info.state", "info.progress"],
        lambda values: values.get("info.state") in ("success", "error"),
        timeout,
        what=what,
        tick=lambda values: progress(what, values.get("info.progress") or 0, 100),
    )
    end = read(session, task, "info.error", "info.result", what=what)
    if values["info.state"] == "error":
        raise fault_error(end.get("info.error"), what)
    return end.get("info.result")
