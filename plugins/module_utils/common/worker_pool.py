# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing several pieces of work side by side, each in a process of its own.

Processes, because composing forks and a fork of a process with threads is not safe; and so that
one piece that crashes takes no other with it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from .errors import StrataError
from .progress import Progress

_PR_SET_PDEATHSIG = 1

Work = Callable[[Progress], Any]


def run_side_by_side(work: dict[str, Work], bound: int, progress: Progress) -> dict[str, Any]:
    """Call each of ``work`` with a progress of its own, at most ``bound`` at once; returns results, or the StrataError, by name.

    What work returns must be picklable. A single piece is done in this process. With several, ``progress`` gets the name
    in front of the step. Work ends when this process does.
    """
    if len(work) == 1:
        return {name: _call(one, progress) for name, one in work.items()}
    context = multiprocessing.get_context("fork")
    waiting = list(work)
    running: dict[Connection, tuple[str, Any]] = {}
    results: dict[str, Any] = {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, bound):
                name = waiting.pop(0)
                receiving, sending = context.Pipe(duplex=False)
                process = context.Process(target=_child, args=(os.getpid(), work[name], sending), daemon=False)
                process.start()
                sending.close()
                running[receiving] = (name, process)
            for connection in wait(list(running)):
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
        for connection, (unused, process) in running.items():
            process.terminate()
        for connection, (unused, process) in running.items():
            process.join()
            connection.close()
    return {name: results[name] for name in work}


def _call(one: Work, progress: Progress) -> Any:
    try:
        return one(progress)
    except StrataError as error:
        return error


def _child(parent: int, one: Work, sending: Connection) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGTERM, _interrupt)
    if os.getppid() != parent:
        return
    result = _call(one, lambda *values: sending.send(("progress", values)))
    sending.send(("result", result))


def _interrupt(number: int, frame: object) -> None:
    """Unwind, so that what is half made is removed."""
    raise KeyboardInterrupt


def _crashed(name: str, code: int | None) -> StrataError:
    return StrataError(
        f"The process that worked on {name} ended without a result (exit code {code}).",
        code="internal",
        hint="Look for what ended it, and run again.",
    )
