# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trying cases side by side: most of the time of a case is spent waiting. Each worker has a vCenter of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

from ansible_collections.strata.layering.tests.integration.faults.bench import Bench
from ansible_collections.strata.layering.tests.integration.faults.matrix import Case

_FORK = multiprocessing.get_context("fork")
_MOST = 2


class Workers:
    """Processes that try ``cases`` in their order, each every so manieth; a context manager that ends them."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = list(cases)
        self._found: dict[str, tuple[str | None, str]] = {}
        self._running: dict[Connection, multiprocessing.Process] = {}

    def __enter__(self) -> Workers:
        count = min(_MOST, os.cpu_count() or 1, len(self._cases))
        for number in range(count):
            receiving, sending = _FORK.Pipe(duplex=False)
            process = _FORK.Process(target=_work, args=(self._cases[number::count], sending))
            process.start()
            sending.close()
            self._running[receiving] = process
        return self

    def __exit__(self, *unused: object) -> None:
        for process in self._running.values():
            process.terminate()
        for connection, process in self._running.items():
            process.join()
            connection.close()

    def outcome(self, case: Case) -> str:
        """The words of a case; waits for it. AssertionError when it did not end as it must."""
        while case.id not in self._found:
            assert self._running, "the worker that had the case is gone"
            for connection in wait(list(self._running)):
                try:
                    name, words, error = connection.recv()
                    self._found[name] = words, error
                except EOFError:
                    self._running.pop(connection).join()
                    connection.close()
        words, error = self._found[case.id]
        assert words is not None, error
        return words


def _work(cases: Sequence[Case], sending: Connection) -> None:
    signal.signal(signal.SIGTERM, _end)
    with Bench() as bench:
        for case in cases:
            try:
                sending.send((case.id, case.attempt(bench), ""))
            except Exception:  # pylint: disable=broad-exception-caught
                sending.send((case.id, None, traceback.format_exc(limit=-4)))


def _end(number: int, frame: object) -> None:
    raise SystemExit
