# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a process and measure its time and its peak memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_INTERVAL = 0.02


class ProcessFailed(Exception):
    """A measured process failed; the message has its output."""


@dataclass(frozen=True)
class Run:
    """One finished process: elapsed ``seconds``, processor seconds ``cpu`` (with its descendants), peak ``memory`` in bytes, its ``output``.

    ``ended`` is False if the process was killed at its time limit.
    """

    seconds: float
    cpu: float
    memory: int
    output: str
    ended: bool = True


def run(
    command: Sequence[str], *, stdin: str = "", environment: dict[str, str] | None = None, timeout: float | None = None
) -> Run:
    """Run ``command`` and measure it; kill it with its process group after ``timeout`` seconds.

    Memory is the sum of the peak resident sizes (VmHWM) of the process and of its
    descendants that live at the same time, sampled every 20 ms. Pages that a forked child
    shares with its parent count twice, so the true peak is lower. The page cache is not
    included.
    """
    with (
        tempfile.TemporaryFile("w+") as source,
        tempfile.TemporaryFile("w+", errors="replace") as output,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        source.write(stdin)
        source.seek(0)
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=source,
            stdout=output,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            start_new_session=timeout is not None,
        )
        watcher, clock = _MemoryWatcher(process.pid), _Clock(process.pid, timeout)
        watcher.start()
        try:
            _pid, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            clock.cancel()
            watcher.end()
        output.seek(0)
        errors.seek(0)
        if process.returncode and not clock.expired:
            raise ProcessFailed(
                f"{' '.join(command[:4])} exited with code {process.returncode}: {(errors.read() + output.read())[-3000:].strip()}"
            )
        return Run(seconds, usage.ru_utime + usage.ru_stime, watcher.peak, output.read(), not clock.expired)


def settle() -> None:
    """Write the page cache to the disk, so that no run is slowed by writes of the previous run."""
    os.sync()


def alternate(runs: dict[str, Callable[[], Run]], times: int) -> dict[str, list[Run]]:
    """Run each of ``runs`` in turn, ``times`` times, each with a settled page cache."""
    done: dict[str, list[Run]] = {name: [] for name in runs}
    for _round in range(times):
        for name, action in runs.items():
            settle()
            done[name].append(action())
    return done


class _Clock:
    """Kill a process group at its time limit."""

    def __init__(self, group: int, timeout: float | None) -> None:
        self.expired = False
        self._group = group
        self._timer = threading.Timer(timeout, self._kill) if timeout is not None else None
        if self._timer is not None:
            self._timer.start()

    def _kill(self) -> None:
        self.expired = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._group, signal.SIGKILL)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _MemoryWatcher(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._tree = {pid}
        self._known: set[int] = set()
        self._done = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self._done.is_set():
            self._find_children()
            self.peak = max(self.peak, sum(_peak_memory(pid) for pid in self._tree))
            self._done.wait(_INTERVAL)

    def end(self) -> None:
        self._done.set()
        self.join()

    def _find_children(self) -> None:
        present = {int(name) for name in os.listdir("/proc") if name.isdecimal()}
        self._known &= present
        # A child has a higher number than its parent unless the numbers wrapped around; the next round finds such a child.
        for pid in sorted(present - self._known - self._tree):
            if _parent(pid) in self._tree:
                self._tree.add(pid)
            else:
                self._known.add(pid)
        self._tree &= present


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return int(stream.read().rpartition(")")[2].split()[1])
    return 0


def _peak_memory(pid: int) -> int:
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) << 10
    return 0
