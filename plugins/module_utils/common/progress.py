# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of operations that take longer than a second.

Engine functions accept ``progress``: a callable ``progress(step, done, total)``. ``step`` is a short phrase
such as ``"compress"``. ``done`` and ``total`` are amounts in the unit of the step (bytes, unless the function
documents a different unit); ``total`` is None while it is unknown. The callable is called a few times per second
and step, from any thread, and must not raise except to cancel the operation. Operations that run in parallel
put their subject before the step: ``"office-desktop: upload"``.

Action plugins receive the progress as documents::

    {"subject": "office-desktop", "step": "upload", "unit": "bytes", "done": 1048576, "total": 4194304,
     "percent": 25, "rate": 524288.0, "seconds_left": 6}

``subject`` may be empty. ``unit`` is bytes, seconds (waited so far, of the time limit), percent, keys or machines
(virtual desktops and RDS hosts). The step ``machines`` may have a note after a comma, such as ``machines, 2 sessions``:
the document then has it as ``note``, so that a new note does not begin a new step.
``percent``, ``rate`` (units per second) and ``seconds_left`` are None if they cannot be estimated.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

Progress = Callable[[str, int, "int | None"], None]

#: The environment variable with the path of the file from which an action plugin reads the progress.
FILE_VARIABLE = "STRATA_PROGRESS_FILE"

_UNITS = {
    "registry": "keys",
    "wait for shutdown": "seconds",
    "leave Windows alone": "seconds",
    "wait for Windows": "seconds",
    "shut down": "seconds",
    "cancel": "seconds",
    "machines": "machines",
    "wait for Horizon": "seconds",
}
#: Seconds over which a rate is smoothed, and seconds after which a rate is reported.
_SMOOTHING, _RELIABLE_AFTER = 8.0, 1.5
#: The minimum time in seconds between two writes of the file, and the maximum number of subjects in it.
_FILE_INTERVAL, _MAXIMUM_SUBJECTS = 0.3, 64


def silent(step: str, done: int, total: int | None) -> None:
    """Ignore the progress; this is the default of the engine."""


def split_step(step: str) -> tuple[str, str]:
    """Return the subject and the step of a step phrase."""
    subject, _colon, step = step.rpartition(": ")
    return subject, step


class Estimate:
    """The progress of the current step of a subject: percent, smoothed rate and remaining time.

    The rate is that of the last seconds: a fast start must not make the estimate too optimistic. A new step, and
    a step whose amount decreases, start a new estimate.
    """

    def __init__(self) -> None:
        self._step: str | None = None
        self._began = self._seen = 0.0
        self._first = self._done = 0
        self._rate: float | None = None

    def follow(self, step: str, done: int, total: int | None, now: float | None = None) -> dict[str, Any]:
        """Return the document for a progress call at the time ``now`` in seconds of the monotonic clock."""
        now = time.monotonic() if now is None else now
        subject, step = split_step(step)
        note = ""
        if step.startswith("machines, "):
            step, _comma, note = step.partition(", ")
        if step != self._step or done < self._done:
            self._step, self._began, self._seen, self._first, self._done, self._rate = step, now, now, done, done, None
        passed = now - self._seen
        if passed > 0:
            current = (done - self._done) / passed
            # A moving average that is weighted by time, independent of the number of calls.
            weight = 1 - math.exp(-passed / _SMOOTHING)
            since = now - self._began
            average = (done - self._first) / since
            self._rate = (
                average if self._rate is None or since < _SMOOTHING else self._rate + weight * (current - self._rate)
            )
            self._seen, self._done = now, done
        unit = _unit(step)
        if total == 100 and unit != "machines":
            unit = "percent"
        counted = unit in ("bytes", "keys")
        rate = self._rate if counted and now - self._began >= _RELIABLE_AFTER else None
        percent = left = None
        if total and unit != "seconds":
            percent = min(100, 100 * done // total)
            if rate:
                left = math.ceil(max(0, total - done) / rate)
        document = {
            "subject": subject,
            "step": step,
            "unit": unit,
            "done": done,
            "total": total,
            "percent": percent,
            "rate": None if rate is None else round(rate, 1),
            "seconds_left": left,
        }
        return document | {"note": note} if note else document


def _unit(step: str) -> str:
    return "seconds" if step.startswith("script ") else _UNITS.get(step, "bytes")


class ProgressFile:
    """A progress callback that keeps the newest document of each subject in a file.

    The file is a JSON list and is replaced atomically. Progress is optional: a failure to write the file
    disables it silently.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._estimates: dict[str, Estimate] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        self._written = 0.0
        self._broken = False

    def __call__(self, step: str, done: int, total: int | None) -> None:
        with self._lock:
            subject = split_step(step)[0]
            if subject not in self._estimates and len(self._estimates) >= _MAXIMUM_SUBJECTS:
                return
            document = self._estimates.setdefault(subject, Estimate()).follow(step, done, total)
            before = self._documents.get(subject)
            self._documents[subject] = document
            now = time.monotonic()
            new = before is None or before["step"] != document["step"] or done == total
            if now - self._written < (_FILE_INTERVAL / 3 if new else _FILE_INTERVAL):
                return
            self._written = now
            self._write()

    def _write(self) -> None:
        if self._broken:
            return
        part = f"{self._path}.part"
        try:
            # The name cannot be guessed. Still, an existing file or link of this name is neither followed nor used.
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(list(self._documents.values()), stream)
            os.replace(part, self._path)
        except OSError:
            self._broken = True
            self._remove()

    def _remove(self) -> None:
        for path in (f"{self._path}.part", self._path):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def close(self) -> None:
        """Remove the file; later calls are ignored."""
        with self._lock:
            self._broken = True
            self._remove()


@contextlib.contextmanager
def progress_from_environment() -> Iterator[Progress]:
    """Yield the progress callback of a module; it writes to the file in FILE_VARIABLE, if that is set."""
    path = os.environ.get(FILE_VARIABLE, "")
    if not os.path.isabs(path):
        yield silent
        return
    file = ProgressFile(path)
    try:
        yield file
    finally:
        file.close()
