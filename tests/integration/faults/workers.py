# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running fault cases in parallel for the report: most of a case's time is spent waiting. Each worker has its own vCenter."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

from ansible_collections.strata.layering.tests.integration.faults.bench import FaultBench
from ansible_collections.strata.layering.tests.integration.faults.matrix import Case

_FORK = multiprocessing.get_context("fork")


class Workers:
    """Processes that share ``cases`` among them; a context manager that ends the processes."""

    def __init__(self, cases: Sequence[Case], count: int = 2) -> None:
        self._cases = list(cases)
        self._count = count
        self._found: dict[str, tuple[str | None, str]] = {}
        self._running: dict[Connection, ForkProcess] = {}

    def __enter__(self) -> Workers:
        count = min(self._count, len(self._cases))
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
        """Wait for a case and return its outcome; raise AssertionError if one of its checks failed."""
        while case.id not in self._found:
            assert self._running, "the worker of this case has ended"
            for connection in list(self._running):
                if connection not in wait(list(self._running)):
                    continue
                try:
                    name, outcome, error = connection.recv()
                    self._found[name] = outcome, error
                except EOFError:
                    self._running.pop(connection).join()
                    connection.close()
        outcome, error = self._found[case.id]
        assert outcome is not None, error
        return outcome


def _work(cases: Sequence[Case], sending: Connection) -> None:
    signal.signal(signal.SIGTERM, _stop)
    with FaultBench() as bench:
        for case in cases:
            try:
                sending.send((case.id, case.attempt(bench), ""))
            except Exception:  # pylint: disable=broad-exception-caught
                sending.send((case.id, None, traceback.format_exc(limit=-4)))


def _stop(number: int, frame: object) -> None:
    raise SystemExit
