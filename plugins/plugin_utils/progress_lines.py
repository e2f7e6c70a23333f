# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lines of progress are worth printing, and what they say."""

from __future__ import annotations

import time

_LONGEST_WORD = 120
#: A step is told of when it has lasted so long, then when that much time has passed since its last line: seconds.
_FIRST, _NEXT, _LATEST = 1.5, 3.0, 15.0
#: Sooner than the latest when so many points of percent have been done.
_POINTS = 10
#: A step of which nothing new was heard for so long is said to stand still: seconds.
_STILL = 20.0


class Lines:
    """Makes lines of the documents that a progress file has from time to time. ``label``: what the task is about."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._steps: dict[str, _Step] = {}

    def of(self, documents: list[dict], now: float | None = None) -> list[str]:
        """The lines to print at the time ``now`` (of the monotonic clock)."""
        now = time.monotonic() if now is None else now
        lines = []
        for document in documents:
            subject = document.get("subject") or ""
            followed = self._steps.get(subject)
            if followed is None or followed.name != document["step"]:
                followed = self._steps[subject] = _Step(document, now)
            if followed.is_due(document, now):
                lines.append(f"{_word(subject or self._label)}: {describe(document, now - followed.changed)}")
        return lines


class _Step:
    """What was told of a step."""

    def __init__(self, document: dict, now: float) -> None:
        self.name = document["step"]
        self.changed = self._began = now
        self._done = document.get("done")
        self._told: float | None = None
        self._percent = 0
        self._still = _STILL

    def is_due(self, document: dict, now: float) -> bool:
        """Whether there is something to tell; it counts as told."""
        if document.get("done") != self._done:
            self._done, self.changed, self._still = document.get("done"), now, _STILL
        percent = document.get("percent") or 0
        if self._told is None:
            due = now - self._began >= _FIRST
        elif now - self.changed >= _STILL:
            # Less and less often.
            due = now - self.changed >= self._still
            self._still *= 2 if due else 1
        else:
            passed = now - self._told
            due = self.changed > self._told and (
                passed >= _LATEST or (passed >= _NEXT and percent - self._percent >= _POINTS)
            )
        if due:
            self._told, self._percent = now, percent
        return due


def describe(document: dict, still: float = 0.0) -> str:
    """A step for people: ``upload 43 %, 312 MB/s, 12 s left``. ``still``: seconds for which it has not moved."""
    unit, done = document.get("unit"), _number(document.get("done"))
    words = [_word(document["step"])]
    percent = _number(document.get("percent"))
    if percent is not None:
        words[0] += f" {percent:.0f} %"
    elif done is not None and unit == "seconds":
        words[0] += f", {_seconds(done)} so far"
    elif done is not None:
        words[0] += f" {_size(done)}" if unit == "bytes" else f" {done:.0f}"
    if still >= _STILL:
        return f"{words[0]}, nothing new for {_seconds(still)}"
    rate, left = _number(document.get("rate")), _number(document.get("seconds_left"))
    if rate and unit == "bytes":
        words.append(f"{_size(rate)}/s")
    if left:
        words.append(f"{_seconds(left)} left")
    return ", ".join(words)


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e18 else None


def _word(text: str) -> str:
    """Text of a host, fit for a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text[:_LONGEST_WORD])


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def _seconds(count: float) -> str:
    minutes, seconds = divmod(round(count), 60)
    if not minutes:
        return f"{seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
