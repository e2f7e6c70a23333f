# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run several jobs at the same time, each in its own process.

Jobs are processes because they fork themselves, and forking a process that has threads is
not safe. A job that crashes does not affect the others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, cast

from .child_process import end_with_parent
from .errors import StrataError
from .progress import Progress

Job = Callable[[Progress], Any]


def run_jobs(jobs: dict[str, Job], limit: int, progress: Progress) -> dict[str, Any]:
    """Call each job with its own progress function, at most ``limit`` at a time.

    Return by name, in the order of ``jobs``, what each job returned or the StrataError that
    it raised; for a job whose process ended without a result a StrataError with code
    ``common.worker_crashed``. Results must be picklable. A single job runs in this
    process. With several jobs, ``progress`` gets the name of the job in front of the step.
    Jobs end when this process does.
    """
    if len(jobs) == 1:
        return {name: _call(job, progress) for name, job in jobs.items()}
    context = multiprocessing.get_context("fork")
    waiting = list(jobs)
    running: dict[Connection, tuple[str, ForkProcess]] = {}
    results: dict[str, Any] = {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, limit):
                name = waiting.pop(0)
                receiving, sending = context.Pipe(duplex=False)
                process = context.Process(target=_child, args=(os.getpid(), jobs[name], sending), daemon=False)
                process.start()
                sending.close()
                running[receiving] = (name, process)
            for connection in cast("list[Connection]", wait(list(running))):
                name, process = running[connection]
                try:
                    kind, value = connection.recv()
                except EOFError:
                    kind, value = "result", None
                if kind == "progress":
                    progress(f"{name}: {value[0]}", *value[1:])
                    continue
                connection.close()
                del running[connection]
                process.join()
                results[name] = _crashed(name, process.exitcode) if value is None else value
    finally:
        for _name, process in running.values():
            process.terminate()
        for connection, (_name, process) in running.items():
            process.join()
            connection.close()
    return {name: results[name] for name in jobs}


def _call(job: Job, progress: Progress) -> Any:
    try:
        return job(progress)
    except StrataError as error:
        return error


def _child(parent: int, job: Job, sending: Connection) -> None:
    alive = end_with_parent(parent)
    signal.signal(signal.SIGTERM, _interrupt)
    if not alive:
        return
    result = _call(job, lambda *values: sending.send(("progress", values)))
    sending.send(("result", result))


def _interrupt(_number: int, _frame: object) -> None:
    """Unwind, so that the job removes incomplete results."""
    raise KeyboardInterrupt


def _crashed(name: str, exit_code: int | None) -> StrataError:
    return StrataError(
        f"The process for {name} ended without a result (exit code {exit_code}).",
        code="common.worker_crashed",
        hint="Check the logs of the composer for what ended the process (such as lack of memory), and run again.",
    )
