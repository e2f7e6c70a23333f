# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a composer right before one of the writes by which a repository or a share changes.

Files appear there by a rename, and the history grows by appending, so what another process can see changes at
these moments only. Python tells an audit hook of each, in the composer and in the processes that it forks.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable

_FORK = multiprocessing.get_context("fork")
#: What a changed file is, by the beginning or the end of its path; the first that fits counts.
_FILES = (
    ("a blob", "blobs/", ""),
    ("the index", "index.json", ""),
    ("the task's document", "catalog/task/", ""),
    ("the image's document", "catalog/image/", ""),
    ("the history", "audit.jsonl", ""),
    ("a disk", "", ".vmdk"),
    ("the descriptor", "", ".ovf"),
    ("the manifest", "", ".mf"),
    ("the export's record", "", ".export.json"),
)
FILES = tuple(name for name, unused, end in _FILES)


class Writes:
    """Counts the writes below a folder and acts at one of them; made before the composer is, watched by it."""

    def __init__(
        self, folder: os.PathLike, name: str | None = None, number: int = 1, act: Callable[[], None] | None = None
    ) -> None:
        self._root = os.path.realpath(folder) + os.sep
        self._counts = _FORK.Array("i", len(FILES))
        self._name, self._number = name, number
        self._act = act or _die

    def watch(self) -> None:
        """Begin, in the process that is to be watched."""
        sys.addaudithook(self._hook)

    @property
    def counts(self) -> dict[str, int]:
        """How often each was written so far."""
        return dict(zip(FILES, self._counts))

    def _hook(self, event: str, arguments: tuple) -> None:
        if event == "os.rename":
            path = arguments[1]
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            path = arguments[0]
        else:
            return
        if not isinstance(path, str):
            return
        path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if not path.startswith(self._root) or (event == "open" and not path.endswith("audit.jsonl")):
            return
        name = _name(path[len(self._root) :])
        if name is None:
            return
        with self._counts.get_lock():
            self._counts[FILES.index(name)] += 1
            now = self._counts[FILES.index(name)]
        if (name, now) == (self._name, self._number):
            self._act()


class Pause:
    """Something to do at a write: tell that it has come, and wait to be told to go on."""

    def __init__(self) -> None:
        self._reached, self._go = _FORK.Event(), _FORK.Event()

    def __call__(self) -> None:
        self._reached.set()
        self._go.wait(120)

    def reached(self) -> None:
        """Wait until the composer has come there."""
        assert self._reached.wait(60), "the write was never made"

    def go(self) -> None:
        """Let the composer go on."""
        self._go.set()


def _die() -> None:
    os.killpg(0, signal.SIGKILL)


def _name(path: str) -> str | None:
    return next((name for name, start, end in _FILES if path.startswith(start) and path.endswith(end)), None)
