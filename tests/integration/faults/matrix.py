# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix of faults: every kind of call that a publish and an export make, and every way in which it can fail.

A case is one cell of a table. Running it returns the outcome that the cell contains. Each case also checks that the
next run succeeds and leaves nothing behind; the tables do not repeat that.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ansible_collections.strata.layering.tests.integration.faults import checks
from ansible_collections.strata.layering.tests.integration.faults.bench import (
    ENDLESS,
    EXPORT,
    PATIENCE,
    PUBLISH,
    REPLACE,
    CaseEnvironment,
    FaultBench,
)
from ansible_collections.strata.layering.tests.integration.faults.calls import Call, kinds, reads
from ansible_collections.strata.layering.tests.integration.faults.composer import KILLED, RunResult
from ansible_collections.strata.layering.tests.integration.faults.recording import SLOW_TRANSFER, Recording

SUCCEEDS, RESUMED = "succeeds", "resumed"
#: The next run transfers the disk: for the first time, or again.
TRANSFERRED, TRANSFERRED_AGAIN = "transferred", "transferred again"
#: The column with the number of uploads of a row, and the unit.
UPLOADS = "uploads"
#: Longer than any composer waits.
ENDLESS_MS = 120_000

ONCE, ALWAYS, TASK, LOST, UNAVAILABLE, CLOSED, SESSION = (
    "fails once",
    "always fails",
    "its task fails",
    "response lost",
    "HTTP 503",
    "connection closed",
    "session ends",
)
RESTART, BEFORE, AFTER = "vCenter restarts", "killed before", "killed after"

SYSTEM_ERROR = {"fault": "SystemError", "message": "A general system error occurred."}
#: The fields of the simulator's rule for each way of failing.
_FAILURES: dict[str, dict] = {
    ONCE: SYSTEM_ERROR,
    ALWAYS: SYSTEM_ERROR | {"count": None},
    TASK: SYSTEM_ERROR | {"task": True},
    LOST: {"drop_connection": True, "after": True},
    UNAVAILABLE: {"http_status": 503},
    CLOSED: {"drop_connection": True},
    SESSION: {"fault": "NotAuthenticated", "message": "The session is not authenticated."},
    RESTART: {"restart": "abort", "delay_ms": 200},
    # A composer that is killed while it waits: the call was not made, or was made and the response did not arrive.
    BEFORE: {"drop_connection": True, "delay_ms": ENDLESS_MS},
    AFTER: {"after": True, "delay_ms": ENDLESS_MS},
}
CHANGES = (ONCE, ALWAYS, TASK, LOST, UNAVAILABLE, CLOSED, SESSION, RESTART, BEFORE, AFTER)
#: Faults that are injected when a run calls the same method again.
_REPEATED = (ONCE, ALWAYS, BEFORE, AFTER)
#: Answers of a VM that vCenter is still working on, and how many times it gives them.
_TASK_IN_PROGRESS = {"fault": "TaskInProgress", "fault_fields": {"Task": {"Type": "Task", "Value": "task-1"}}}
_INVALID_STATE = {"fault": "InvalidState"}
_BUSY: dict[str, dict] = {
    "busy, once": _TASK_IN_PROGRESS,
    "busy, twice": _TASK_IN_PROGRESS | {"count": 2},
    "invalid state, once": _INVALID_STATE,
    "invalid state, twice": _INVALID_STATE | {"count": 2},
    "its task: invalid state": _INVALID_STATE | {"task": True},
}
BUSY = "busy VMs"
BUSY_COLUMNS = tuple(_BUSY)
#: Calls that a VM refuses while vCenter is still working on it.
_ON_VMS = (
    "CreateSnapshot_Task",
    "Destroy_Task",
    "ExportVm",
    "HttpNfcLeaseComplete",
    "PowerOnMultiVM_Task",
    "PowerOnVM_Task",
    "ReconfigVM_Task",
)
READS = (ONCE, ALWAYS, LOST, UNAVAILABLE, CLOSED, SESSION)
#: Reads that are tried after every change. The other reads are made in the same way everywhere.
_EVERYWHERE = ("RetrievePropertiesEx", "WaitForUpdatesEx")


@dataclass(frozen=True)
class Case:
    """A cell of a table, or with a ``number`` one of several cases of a cell, and the function that runs the case.

    ``slow``: only the report and ``make test-distribution`` run it.
    """

    table: str
    row: str
    column: str
    attempt: Callable[[FaultBench], str] = dataclasses.field(compare=False)
    number: int | None = None
    slow: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Return the cell."""
        return self.table, self.row, self.column

    @property
    def id(self) -> str:
        """Return the name for pytest."""
        parts = [*self.key, *([str(self.number)] if self.number else [])]
        return "-".join(re.sub(r"\W+", "_", part) for part in parts)


def cases(recording: Recording) -> list[Case]:
    """Return the cases for all calls, table by table."""
    found: list[Case] = []
    known: set[str] = set()
    for operation in (PUBLISH, REPLACE, EXPORT):
        journal = recording.journals[operation]
        calls = [call for call in kinds(journal) if not call.method.startswith("NFC:")]
        if operation == REPLACE:
            # Only the calls that an ordinary publish does not make.
            calls = [call for call in calls if call.method not in known]
        found += [case for call in calls if call.changes for case in _of_change(operation, call)]
        found += [case for call in calls if not call.changes for case in _of_read(operation, call, known)]
        if operation != REPLACE:
            found.append(_every_read(operation, reads(journal)))
        known |= {call.method for call in calls}
    order = list(dict.fromkeys(case.table for case in found))
    return sorted(found, key=lambda case: order.index(case.table)) + _busy_cases(recording)


def _busy_cases(recording: Recording) -> list[Case]:
    """Return the cases in which a VM is busy when a call changes or exports it, once for each call of all operations."""
    found: dict[tuple[str, str], Case] = {}
    for operation in (PUBLISH, REPLACE, EXPORT):
        for call in kinds(recording.journals[operation]):
            columns = [column for column in _BUSY if call.method.endswith("_Task") or "task" not in _BUSY[column]]
            for column in columns if call.method in _ON_VMS else ():
                found.setdefault(
                    (call.name, column), Case(BUSY, call.name, column, _busy(operation, call.rule | _BUSY[column]))
                )
    return list(found.values())


def _busy(operation: str, rule: dict) -> Callable[[FaultBench], str]:
    def attempt_busy(bench: FaultBench) -> str:
        outcome = attempt(bench, operation, [rule], transfers=1)
        assert outcome == SUCCEEDS, outcome
        return outcome

    return attempt_busy


def _table(operation: str, kind: str) -> str:
    return f"{PUBLISH if operation == REPLACE else operation}: {kind}"


def _of_change(operation: str, call: Call) -> list[Case]:
    columns = [
        column for column in (_REPEATED if call.skip else CHANGES) if column != TASK or call.method.endswith("_Task")
    ]
    return [
        Case(_table(operation, "changes"), call.name, column, _failing(operation, call, column)) for column in columns
    ]


def _of_read(operation: str, call: Call, known: set[str]) -> list[Case]:
    """Return the cases of a read: all ways of failing the first time, later only those that depend on the position."""
    if not call.first and call.method not in _EVERYWHERE:
        return []
    if not call.first:
        columns: tuple[str, ...] = (ALWAYS, SESSION)
    elif call.method in known:
        columns = (ONCE, ALWAYS, SESSION)
    else:
        columns = READS
    return [
        Case(_table(operation, "reads"), call.name, column, _failing(operation, call, column)) for column in columns
    ]


def _failing(operation: str, call: Call, column: str) -> Callable[[FaultBench], str]:
    rule = call.rule | _FAILURES[column]
    slow = [SLOW_TRANSFER] if call.method == "HttpNfcLeaseProgress" else []
    return lambda bench: attempt(bench, operation, [*slow, rule], kill=column in (BEFORE, AFTER))


def _every_read(operation: str, counts: dict[str, int]) -> Case:
    """Return the case in which every read fails once: the first read, then each read after the repeated read."""
    counted = {method: count for method, count in counts.items() if method != "HttpNfcLeaseProgress"}
    rules = [
        {"method": method, "skip": number} | SYSTEM_ERROR
        for method, count in counted.items()
        for number in range(count)
    ]
    return Case(
        _table(operation, "reads"),
        "every call, in turn",
        ONCE,
        lambda bench: attempt(bench, operation, rules, most=True),
    )


def attempt(
    bench: FaultBench,
    operation: str,
    rules: list[dict],
    *,
    kill: bool = False,
    most: bool = False,
    transfers: int | None = None,
) -> str:
    """Run ``operation`` with ``rules``, check what this run and the next run leave, and return the outcome.

    The last rule must act. ``kill``: kill the composer at that moment. ``most``: more than half of the rules must act.
    ``transfers``: how many times the disk is transferred at most.
    """
    with bench.environment() as environment:
        if operation == REPLACE:
            environment.prepare_replacing()
        numbers = [environment.simulator.rules.add(**rule) for rule in rules]
        # The pauses before a repeated call depend on the patience; here hundreds of calls are repeated.
        patience = ENDLESS if kill else dataclasses.replace(PATIENCE, calls=0.2) if most else PATIENCE
        composer = environment.start(operation, patience=patience)
        if kill:
            environment.wait_for_hit(numbers[-1])
            composer.kill()
        ended = composer.wait()
        hits = {rule["id"]: rule["hits"] for rule in environment.simulator.rules.list()}
        if most:
            assert sum(map(bool, hits.values())) > len(numbers) // 2, hits
        else:
            assert hits[numbers[-1]], "the call was never made"
        outcome = settle(environment, operation, ended)
        assert transfers is None or count_transfers(environment, operation) <= transfers, (
            "the disk was transferred again"
        )
        return outcome


def settle(environment: CaseEnvironment, operation: str, ended: RunResult) -> str:
    """Check how the run ended and what the next run leaves; return the outcome for the table."""
    checks.check_error(ended)
    before = count_transfers(environment, operation)
    if operation == EXPORT:
        checks.check_next_export(environment)
    else:
        checks.check_next_publish(environment)
    after = count_transfers(environment, operation)
    if ended.code == KILLED:
        if after == before:
            return RESUMED
        return TRANSFERRED_AGAIN if before else TRANSFERRED
    outcome = SUCCEEDS if ended.succeeded else f"`{ended.code}`"
    return outcome if operation == EXPORT or after <= 1 else f"{outcome}, {after} {UPLOADS}"


def count_transfers(environment: CaseEnvironment, operation: str) -> int:
    """Return how many transfers of the disk have begun, in all runs of the case."""
    method = "NFC:GET" if operation == EXPORT else "NFC:PUT"
    return len(environment.simulator.journal(method=method))


def uploads(outcomes: Iterable[str]) -> int:
    """Return the largest number of uploads that the outcomes of a publish name."""
    numbers = [1]
    for outcome in outcomes:
        match = re.search(rf", (\d+) {UPLOADS}$", outcome)
        numbers.append(int(match[1]) if match else 2 if outcome == TRANSFERRED_AGAIN else 1)
    return max(numbers)
