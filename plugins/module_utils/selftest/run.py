# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a self-test: every step is timed, the test VM is removed at the end of every run, and the result is a report without names."""

from __future__ import annotations

import contextlib
import datetime
import time
import traceback
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ..common.errors import InternalError, StrataError
from ..common.progress import Progress, silent
from . import machine, steps
from .interruption import interruptible
from .report import build_report
from .run_state import RunState, SelfTestRequest

_FRAMES = 8


@dataclass(frozen=True)
class SelfTestResult:
    """The result of a run. ``report`` has no names; ``error``, ``leftovers`` and ``left_behind`` (paths of VMs) have."""

    report: dict[str, Any]
    error: StrataError | None
    failed_step: str
    leftovers: tuple[str, ...]
    left_behind: tuple[str, ...]
    checks: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]


def run_selftest(
    request: SelfTestRequest, *, ansible_version: str = "", check_mode: bool = False, progress: Progress = silent
) -> SelfTestResult:
    """Run the steps, and remove the test VM. An error of a step is part of the result; it is not raised.

    In check mode, only the steps that read are run.
    """
    run = RunState(request=request, name=machine.new_name(), check_mode=check_mode, sink=progress)
    started, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
    run.deadline = clock + request.timeout
    table = steps.LOOK if check_mode else steps.LOOK | steps.ACT
    with interruptible() as shield:
        error = _run_steps(run, table)
        failed_step = run.steps.current if error else ""
        shield()
        error, failed_step = _clean_up(run, error, failed_step)
    names = list(table) if check_mode else steps.all_names()
    report = build_report(
        run,
        (error, failed_step),
        missing=[name for name in names if name not in {row.name for row in run.steps.rows}],
        started=started,
        seconds=time.monotonic() - clock,
        ansible_version=ansible_version,
    )
    return SelfTestResult(
        report,
        error,
        failed_step,
        tuple(run.leftovers),
        tuple(run.left_behind),
        tuple(run.checks),
        tuple(run.warnings),
    )


def _run_steps(run: RunState, table: dict[str, steps.Work]) -> StrataError | None:
    """Run the steps until one fails; return its error."""
    try:
        for name, work in table.items():
            run.begin(name)
            work(run)
    except BaseException as error:
        run.steps.end(failed=True)
        return _as_error(error)
    run.steps.end()
    return None


def _clean_up(run: RunState, error: StrataError | None, failed_step: str) -> tuple[StrataError | None, str]:
    """Remove the test VM, unless it is to be kept for an examination; close files and session."""
    # The time limit is for the steps; removing has limits of its own.
    run.deadline = 0.0
    if run.created and error is not None and run.request.keep_vm_on_failure:
        run.left_behind = [found.path for _vm, found, _mark in _remaining(run) if found.name == run.name]
    elif run.created:
        run.begin(steps.REMOVE)
        try:
            steps.remove(run)
            run.steps.end()
        except BaseException as problem:
            run.steps.end(failed=True)
            found = _as_error(problem)
            if error is None:
                error, failed_step = found, steps.REMOVE
            else:
                run.warnings.append(found.message)
    for file in run.files:
        file.close()
    if run.connection is not None:
        run.connection.close()
    return error, failed_step


def _remaining(run: RunState) -> list[tuple[Any, Any, Any]]:
    with contextlib.suppress(StrataError):
        return machine.marked_machines(run.session)
    return []


def _as_error(error: BaseException) -> StrataError:
    """Return the engine's error for an exception."""
    if isinstance(error, StrataError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return StrataError(
            "The self-test was interrupted by a signal.",
            code="selftest.interrupted",
            hint="Run it again; it removes what an interrupted run has left.",
        )
    frames = [
        f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    ]
    return InternalError(
        f"A step of the self-test failed with {type(error).__name__}: {error}.",
        code="selftest.unexpected",
        exception=type(error).__name__,
        frames=frames,
    )
