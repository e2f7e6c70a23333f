# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill an operation before each of its writes to a repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import pytest

#: The functions through which the repository changes files; each is atomic.
WRITES = ("rename", "replace", "unlink", "write")
#: Further functions, between which the content of files is written.
BETWEEN_WRITES = ("fsync", "fchmod")


class Killed(BaseException):
    """Ends an operation as a kill of its process does: no handler of the operation catches it."""


def kill_before_each_write(
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[], None],
    operation: Callable[[], None],
    *,
    calls: Sequence[str] = WRITES,
    limit: int = 500,
) -> Iterator[int]:
    """Yield for each write of the operation, after it was killed before this write; ``prepare`` restores the state before it.

    ``calls`` are the functions of os that count as writes.
    After the last write, the operation has run without being killed.
    """
    for survived in range(limit):
        prepare()
        if _ran(monkeypatch, operation, survived, calls):
            return
        yield survived
    raise AssertionError(f"the operation writes more than {limit} times")


def _ran(monkeypatch: pytest.MonkeyPatch, operation: Callable[[], None], survived: int, calls: Sequence[str]) -> bool:
    left = survived

    def killing(call: Callable) -> Callable:
        def wrapped(*arguments, **options):
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return call(*arguments, **options)

        return wrapped

    with monkeypatch.context() as patched:
        for name in calls:
            patched.setattr(os, name, killing(getattr(os, name)))
        try:
            operation()
        except Killed:
            return False
    return True
