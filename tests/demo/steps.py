# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of the demo: a line when a step begins, a line every few seconds, and a line with its duration."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TextIO

_INTERVAL = 5.0


class Steps:
    """Print steps while they run, and keep their durations in seconds.

    On a terminal, a counter is overwritten in place; elsewhere a line is added every ``interval`` seconds.
    """

    def __init__(self, out: TextIO | None = None, interval: float = _INTERVAL) -> None:
        self.durations: list[tuple[str, float]] = []
        self._out = sys.stdout if out is None else out
        self._interval = interval
        self._lock = threading.RLock()
        self._running: dict[str, float] = {}
        self._counter = False

    def say(self, line: str = "") -> None:
        """Print a line immediately, because playbooks write to the same output."""
        with self._lock:
            if self._counter:
                self._out.write("\r\033[K")
                self._counter = False
            self._out.write(line + "\n")
            self._out.flush()

    @contextlib.contextmanager
    def step(self, title: str, usual: int | None = None) -> Iterator[None]:
        """Print the beginning, the progress and the duration of a step.

        ``usual`` is the duration in seconds if nothing is cached.
        """
        expected = f", about {usual} s the first time" if usual else ""
        self.say(f"    begin    {title}{expected}")
        started = time.monotonic()
        ended = threading.Event()
        with self._lock:
            self._running[title] = started
        ticker = threading.Thread(target=self._tick, args=(ended, title), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            ticker.join()
            with self._lock:
                del self._running[title]
        seconds = time.monotonic() - started
        self.durations.append((title, seconds))
        self.say(f"    {seconds:5.1f} s  {title}")

    def together(self, *jobs: Callable[[], Any]) -> list[Any]:
        """Run jobs at the same time and return their results; the first error is raised when all have ended."""
        with ThreadPoolExecutor(len(jobs)) as pool:
            futures = [pool.submit(job) for job in jobs]
        return [future.result() for future in futures]

    def _tick(self, ended: threading.Event, title: str) -> None:
        terminal = self._out.isatty()
        while not ended.wait(1.0 if terminal else self._interval):
            with self._lock:
                # The step that began first reports for all that are running.
                if next(iter(self._running), None) != title:
                    continue
                now = time.monotonic()
                counters = ", ".join(f"{name} {now - begun:.0f} s" for name, begun in self._running.items())
                if terminal:
                    self._out.write(f"\r\033[K    ... {counters}")
                    self._out.flush()
                    self._counter = True
                else:
                    self.say(f"      ...    {counters}")
