# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a composer right before one of the writes that change a repository or a share.

Files appear there by a rename, and the history grows by appending, so another process sees changes at these moments
only. Python reports both to an audit hook, in the composer and in the processes that it forks.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable

_FORK = multiprocessing.get_context("fork")
BLOB, TASK_DOCUMENT = "a blob", "the task's document"
#: (kind of file, beginning of its path, end of its path); the first match counts.
_FILES = (
    (BLOB, "blobs/", ""),
    ("the index", "index.json", ""),
    (TASK_DOCUMENT, "catalog/task/", ""),
    ("the image's document", "catalog/image/", ""),
    ("the history", "audit.jsonl", ""),
    ("a disk", "", ".vmdk"),
    ("the descriptor", "", ".ovf"),
    ("the manifest", "", ".mf"),
    ("the export's record", "", ".export.json"),
)
_KINDS = tuple(name for name, _start, _end in _FILES)


class Writes:
    """Counts the writes below a folder and acts right before one of them. Create it before the composer."""

    def __init__(
        self, folder: os.PathLike, name: str | None = None, number: int = 1, act: Callable[[], None] | None = None
    ) -> None:
        self._root = os.path.realpath(folder) + os.sep
        self._counts = _FORK.Array("i", len(_KINDS))
        self._name, self._number = name, number
        self._act = act or _kill_own_group

    def watch(self) -> None:
        """Install the audit hook; call this in the composer's process."""
        sys.addaudithook(self._hook)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of writes of each kind of file so far."""
        return dict(zip(_KINDS, self._counts[:]))

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
        name = _kind(path[len(self._root) :])
        if name is None:
            return
        with self._counts.get_lock():
            self._counts[_KINDS.index(name)] += 1
            count = self._counts[_KINDS.index(name)]
        if (name, count) == (self._name, self._number):
            self._act()


class Pause:
    """An action for ``Writes`` that holds the composer until the test ends the pause."""

    def __init__(self) -> None:
        self._reached, self._end = _FORK.Event(), _FORK.Event()

    def __call__(self) -> None:
        self._reached.set()
        self._end.wait(120)

    def wait(self) -> None:
        """Wait until the composer has reached the write."""
        assert self._reached.wait(60), "the write was never made"

    def end(self) -> None:
        """Let the composer continue."""
        self._end.set()


def _kill_own_group() -> None:
    os.killpg(0, signal.SIGKILL)


def _kind(path: str) -> str | None:
    return next((name for name, start, end in _FILES if path.startswith(start) and path.endswith(end)), None)
