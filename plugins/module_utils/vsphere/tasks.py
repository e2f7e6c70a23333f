# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for vCenter's tasks.

Only ``info.state``, ``info.error``, ``info.result`` and ``info.progress`` are collected: some TaskInfo objects and some
results cannot be decoded.
"""

from __future__ import annotations

from typing import Any

from ..common.progress import Progress, silent
from .faults import fault_error
from .properties import read, wait_for
from .session import Session


def wait_for_task(
    session: Session,
    task: Any,
    subject: str,
    *,
    timeout: float = 3600,
    progress: Progress = silent,
    result: bool = False,
) -> Any:
    """Wait until ``task`` has ended; return its result when ``result`` is true, else None.

    ``subject`` is the beginning of error messages, such as "Powering on X"; ``progress`` receives percentages.

    Raises:
        TimedOut: ``vsphere.timed_out`` after ``timeout`` seconds.
        StrataError: the error for the task's fault, as ``fault_error``.
    """
    values = wait_for(
        session,
        task,
        ["info.state", "info.progress"],
        lambda values: values.get("info.state") in ("success", "error"),
        timeout,
        subject=subject,
        tick=lambda values: progress(subject, values.get("info.progress") or 0, 100),
    )
    if values["info.state"] == "error":
        raise fault_error(read(session, task, "info.error", subject=subject).get("info.error"), subject)
    return read(session, task, "info.result", subject=subject).get("info.result") if result else None
