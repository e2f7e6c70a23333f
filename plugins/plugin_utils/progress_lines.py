# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide when to print a progress line, and format it."""

from __future__ import annotations

import time
from typing import Any

_MAXIMUM_TEXT = 120
#: Seconds: after the start of a step until its first line, and the minimum and maximum time between two lines.
_FIRST, _MINIMUM, _MAXIMUM = 1.5, 3.0, 15.0
#: A line before the maximum time needs this many percentage points of progress.
_POINTS = 10
#: Seconds without progress after which a line says so.
_STALLED = 20.0


class ProgressLines:
    """Create lines from the documents of a progress file. ``label`` is the subject of the task."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._steps: dict[str, _Step] = {}

    def update(self, documents: list[dict[str, Any]], now: float | None = None) -> list[str]:
        """Return the lines to print at the time ``now``, in seconds of the monotonic clock."""
        now = time.monotonic() if now is None else now
        lines = []
        for document in documents:
            subject = document.get("subject") or ""
            step = self._steps.get(subject)
            if step is None or step.name != document["step"]:
                step = self._steps[subject] = _Step(document, now)
            if step.is_due(document, now):
                lines.append(f"{_printable(subject or self._label)}: {describe(document, now - step.changed)}")
        return lines


class _Step:
    """A step of a subject, and the last line about it."""

    def __init__(self, document: dict[str, Any], now: float) -> None:
        self.name = document["step"]
        self.changed = self._started = now
        self._done = document.get("done")
        self._printed: float | None = None
        self._percent = 0.0
        self._stalled = _STALLED

    def is_due(self, document: dict[str, Any], now: float) -> bool:
        """Return whether to print a line now; if so, it counts as printed."""
        if document.get("done") != self._done:
            self._done, self.changed, self._stalled = document.get("done"), now, _STALLED
        percent = document.get("percent") or 0
        if self._printed is None:
            due = now - self._started >= _FIRST
        elif now - self.changed >= _STALLED:
            # The interval doubles with every line.
            due = now - self.changed >= self._stalled
            self._stalled *= 2 if due else 1
        else:
            passed = now - self._printed
            due = self.changed > self._printed and (
                passed >= _MAXIMUM or (passed >= _MINIMUM and percent - self._percent >= _POINTS)
            )
        if due:
            self._printed, self._percent = now, percent
        return due


def describe(document: dict[str, Any], stalled: float = 0.0) -> str:
    """Return the text of a step, such as ``upload 43 %, 312 MB/s, 12 s left``.

    ``stalled`` is the time without progress in seconds.
    """
    unit, done = document.get("unit"), _number(document.get("done"))
    parts = [_printable(document["step"])]
    percent = _number(document.get("percent"))
    if unit == "machines":
        parts = _machines(document)
    elif percent is not None:
        parts[0] += f" {percent:.0f} %"
    elif done is not None and unit == "seconds":
        parts[0] += f", {_duration(done)} so far"
    elif done is not None:
        parts[0] += f" {_size(done)}" if unit == "bytes" else f" {done:.0f}"
    if stalled >= _STALLED:
        return f"{', '.join(parts)}, no progress for {_duration(stalled)}"
    rate, left = _number(document.get("rate")), _number(document.get("seconds_left"))
    if rate and unit == "bytes":
        parts.append(f"{_size(rate)}/s")
    if left:
        parts.append(f"{_duration(left)} left")
    return ", ".join(parts)


def _machines(document: dict[str, Any]) -> list[str]:
    """Return the parts of a line about machines, such as ``118 of 120 machines`` and ``2 sessions``."""
    done, total, note = _number(document.get("done")), _number(document.get("total")), document.get("note")
    counted = f"{done or 0:.0f} of {total:.0f} machines" if total is not None else f"{done or 0:.0f} machines"
    return [counted, _printable(note)] if isinstance(note, str) and note else [counted]


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e18 else None


def _printable(text: str) -> str:
    """Return text of a host without control characters, for a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAXIMUM_TEXT])


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def _duration(count: float) -> str:
    minutes, seconds = divmod(round(count), 60)
    if not minutes:
        return f"{seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
