# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long work tells what it is doing.

Engine functions that can take more than a second accept ``progress``: a callable
``progress(step, done, total)`` where ``step`` is a short phrase such as ``"compress"``,
``done`` and ``total`` are amounts in the step's own unit (bytes unless the function says
otherwise) and ``total`` is None while it is unknown. It is called at most a few times a
second a step, from any thread, and must not raise except to cancel the work. Work that is
done side by side says before the step what it is for: ``"office-desktop: upload"``.

Who shows progress gets it as documents::

    {"subject": "office-desktop", "step": "upload", "unit": "bytes", "done": 1048576, "total": 4194304,
     "percent": 25, "rate": 524288.0, "seconds_left": 6}

``subject`` may be empty; ``unit`` is bytes, seconds (of waiting, out of the most that is
waited), percent or keys; ``percent``, ``rate`` (units a second) and ``seconds_left`` are
None where nothing honest can be said.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator

Progress = Callable[[str, int, "int | None"], None]

#: The environment variable by which an action plugin names the file in which it looks for progress.
FILE_VARIABLE = "STRATA_PROGRESS_FILE"

_UNITS = {
    "registry": "keys",
    "wait for shutdown": "seconds",
    "shut down": "seconds",
    "scripts": "seconds",
    "cancel": "seconds",
}
#: Seconds over which a rate is smoothed, and after which it is believed.
_SMOOTHING, _BELIEVED = 8.0, 1.5
#: At least so many seconds are between two states of the file, and at most so many subjects are in it.
_FILE_INTERVAL, _MOST_SUBJECTS = 0.3, 64


def silent(step: str, done: int, total: int | None) -> None:
    """The default: nobody is watching."""


def split_step(step: str) -> tuple[str, str]:
    """Subject and step of what the engine says."""
    subject, _colon, step = step.rpartition(": ")
    return subject, step


class Estimate:
    """What is known of one subject's step: percent, smoothed rate and time left.

    The rate follows the last seconds, so that what was copied quickly in the beginning does not
    promise too much later; a step that goes back, and another step, begin anew.
    """

    def __init__(self) -> None:
        self._step: str | None = None
        self._began = self._seen = 0.0
        self._first = self._done = 0
        self._rate: float | None = None

    def follow(self, step: str, done: int, total: int | None, now: float | None = None) -> dict:
        """Take in what the engine says at the time ``now`` (of the monotonic clock) and return the document."""
        now = time.monotonic() if now is None else now
        subject, step = split_step(step)
        if step != self._step or done < self._done:
            self._step, self._began, self._seen, self._first, self._done, self._rate = step, now, now, done, done, None
        passed = now - self._seen
        if passed > 0:
            current = (done - self._done) / passed
            # A moving average whose memory fades with time, however often it is fed.
            weight = 1 - math.exp(-passed / _SMOOTHING)
            since = now - self._began
            average = (done - self._first) / since
            self._rate = (
                average if self._rate is None or since < _SMOOTHING else self._rate + weight * (current - self._rate)
            )
            self._seen, self._done = now, done
        unit = "percent" if total == 100 else _UNITS.get(step, "bytes")
        counted = unit in ("bytes", "keys")
        rate = self._rate if counted and now - self._began >= _BELIEVED else None
        percent = left = None
        if total and unit != "seconds":
            percent = min(100, 100 * done // total)
            if rate:
                left = math.ceil(max(0, total - done) / rate)
        return {
            "subject": subject,
            "step": step,
            "unit": unit,
            "done": done,
            "total": total,
            "percent": percent,
            "rate": None if rate is None else round(rate, 1),
            "seconds_left": left,
        }


class ProgressFile:
    """Keeps the newest document of each subject in a file, as one JSON list that is replaced as a whole.

    Nobody depends on the file: what goes wrong with it ends it in silence.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._estimates: dict[str, Estimate] = {}
        self._documents: dict[str, dict] = {}
        self._written = 0.0
        self._broken = False

    def __call__(self, step: str, done: int, total: int | None) -> None:
        with self._lock:
            subject = split_step(step)[0]
            if subject not in self._estimates and len(self._estimates) >= _MOST_SUBJECTS:
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
            # The name cannot be guessed; still, nothing that somebody put there is followed or taken over.
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
        """Remove the file; what is said later is not kept."""
        with self._lock:
            self._broken = True
            self._remove()


@contextlib.contextmanager
def watched() -> Iterator[Progress]:
    """The progress of a module: into the file that the environment names, if it does."""
    path = os.environ.get(FILE_VARIABLE, "")
    if not os.path.isabs(path):
        yield silent
        return
    file = ProgressFile(path)
    try:
        yield file
    finally:
        file.close()
