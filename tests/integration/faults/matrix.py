# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix of faults: every kind of call that a publish and an export really make, and every way in which it can fail.

A case is one cell of a table. Trying it gives the words in the cell; that the next run ends well and leaves
nothing behind is checked in each and not written down.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.strata.layering.tests.integration.faults import checks
from ansible_collections.strata.layering.tests.integration.faults.bench import (
    ENDLESS,
    KILLED,
    PATIENCE,
    Bench,
    CaseEnvironment,
    Ended,
)
from ansible_collections.strata.layering.tests.integration.faults.calls import Call, kinds, reads

GOES_ON = "goes on"
#: A publish that takes the place of an older image.
REPLACE = "replace"
#: Longer than any composer waits here.
_FOR_EVER_MS = 120_000
_HALF = 450_000

ONCE, ALWAYS, TASK, LOST, UNREADY, CUT, SESSION = (
    "fails once",
    "always fails",
    "its task fails",
    "answer lost",
    "HTTP 503",
    "connection cut",
    "session ends",
)
RESTART, BEFORE, AFTER = "vCenter restarts", "killed before", "killed after"

#: What a rule is told for each way of failing.
_FAILURES: dict[str, dict] = {
    ONCE: {"fault": "SystemError", "message": "A general system error occurred."},
    ALWAYS: {"fault": "SystemError", "message": "A general system error occurred.", "count": None},
    TASK: {"fault": "SystemError", "message": "A general system error occurred.", "task": True},
    LOST: {"drop_connection": True, "after": True},
    UNREADY: {"http_status": 503},
    CUT: {"drop_connection": True},
    SESSION: {"fault": "NotAuthenticated", "message": "The session is not authenticated."},
    RESTART: {"restart": "abort", "delay_ms": 200},
    # A composer that is killed while it waits has not made the call, or has made it and not heard of it.
    BEFORE: {"drop_connection": True, "delay_ms": _FOR_EVER_MS},
    AFTER: {"after": True, "delay_ms": _FOR_EVER_MS},
}
CHANGES = (ONCE, ALWAYS, TASK, LOST, UNREADY, CUT, SESSION, RESTART, BEFORE, AFTER)
#: What is tried when the same method is called again.
_AGAIN = (ONCE, ALWAYS, BEFORE, AFTER)
READS = (ONCE, ALWAYS, LOST, UNREADY, CUT, SESSION)
#: Reads that are tried after every change; the others are made the same way wherever they are made.
_EVERYWHERE = ("RetrievePropertiesEx", "WaitForUpdatesEx")
#: A transfer that stands still for a moment, so that the composer reports progress meanwhile.
_SLOW = {"method": "NFC:*", "after_bytes": _HALF, "delay_ms": 1500}


@dataclass(frozen=True)
class Case:
    """A cell, or with a ``number`` one of several of a cell: which table, row and column, and how to try it."""

    table: str
    row: str
    column: str
    attempt: Callable[[Bench], str] = dataclasses.field(compare=False)
    number: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.table, self.row, self.column

    @property
    def id(self) -> str:
        """A name for pytest."""
        parts = [*self.key, *([str(self.number)] if self.number else [])]
        return "-".join(re.sub(r"\W+", "_", part) for part in parts)


def record(bench: Bench, work: str) -> list[dict]:
    """The journal of a run in which nothing fails."""
    with bench.environment() as environment:
        if work == REPLACE:
            environment.prepare_replacing()
        environment.simulator.rules.add(**_SLOW)
        ended = getattr(environment, work)().wait()
        assert ended.complete, ended
        return environment.simulator.journal()


def cases(bench: Bench) -> list[Case]:
    """The whole matrix."""
    found = []
    known: set[str] = set()
    for work in ("publish", REPLACE, "export"):
        journal = record(bench, work)
        calls = [call for call in kinds(journal) if not call.method.startswith("NFC:")]
        if work == REPLACE:
            # Beside what every publish calls.
            calls = [call for call in calls if call.method not in known]
        found += [case for call in calls if call.changes for case in _of_change(work, call)]
        found += [case for call in calls if not call.changes for case in _of_read(work, call, known)]
        if work != REPLACE:
            found.append(_every_read(work, reads(journal)))
        known |= {call.method for call in calls}
    order = list(dict.fromkeys(case.table for case in found))
    return sorted(found, key=lambda case: order.index(case.table))


def _table(work: str, what: str) -> str:
    return f"{'publish' if work == REPLACE else work}: {what}"


def _of_change(work: str, call: Call) -> list[Case]:
    columns = [
        column for column in (_AGAIN if call.skip else CHANGES) if column != TASK or call.method.endswith("_Task")
    ]
    return [Case(_table(work, "changes"), call.name, column, _failing(work, call, column)) for column in columns]


def _of_read(work: str, call: Call, known: set[str]) -> list[Case]:
    """Once in each table a read fails in all ways; ways that do not depend on what is read are not tried again."""
    if not call.first and call.method not in _EVERYWHERE:
        return []
    columns = (
        READS
        if call.first and call.method not in known
        else (ONCE, ALWAYS, SESSION)
        if call.first
        else (ALWAYS, SESSION)
    )
    return [Case(_table(work, "reads"), call.name, column, _failing(work, call, column)) for column in columns]


def _failing(work: str, call: Call, column: str) -> Callable[[Bench], str]:
    failure = _FAILURES[column]
    rule = call.rule | failure
    slow = [_SLOW] if call.method == "HttpNfcLeaseProgress" else []
    return lambda bench: attempt(bench, work, [*slow, rule], kill=column in (BEFORE, AFTER))


def _every_read(work: str, made: dict[str, int]) -> Case:
    """Every call that reads fails once: the first, and then each after the one that repeats it."""
    once = _FAILURES[ONCE]
    counted = {method: count for method, count in made.items() if method != "HttpNfcLeaseProgress"}
    rules = [{"method": method, "skip": number} | once for method, count in counted.items() for number in range(count)]
    return Case(
        _table(work, "reads"),
        "every call, one after the other",
        ONCE,
        lambda bench: attempt(bench, work, rules, some=True),
    )


def attempt(bench: Bench, work: str, rules: list[dict], *, kill: bool = False, some: bool = False) -> str:
    """Run ``work`` under the last of ``rules``, with the others to help; check what the run and the next one leave.

    ``kill``: the composer is killed when the rule acts. ``some``: it is enough when most of the rules act.
    """
    with bench.environment() as environment:
        if work == REPLACE:
            environment.prepare_replacing()
        numbers = [environment.simulator.rules.add(**rule) for rule in rules]
        patience = ENDLESS if kill else dataclasses.replace(PATIENCE, calls=0.2) if some else PATIENCE
        composer = getattr(environment, work)(patience=patience)
        if kill:
            environment.wait_for_hit(numbers[-1])
            composer.kill()
        ended = composer.wait()
        hits = {rule["id"]: rule["hits"] for rule in environment.simulator.rules.list()}
        if some:
            assert sum(map(bool, hits.values())) > len(numbers) // 2, hits
        else:
            assert hits[numbers[-1]], "the call was never made"
        return settle(environment, work, ended)


def settle(environment: CaseEnvironment, work: str, ended: Ended) -> str:
    """Check how the run ended and what the next one leaves; returns the words for how it all went."""
    checks.explained(ended)
    seen = environment.simulator.journal()
    if work == "export":
        checks.exported(environment)
    else:
        checks.published(environment)
    if ended.code != KILLED:
        return GOES_ON if ended.complete else f"`{ended.code}`"
    last = seen[-1]["n"] if seen else 0
    moved = [entry for entry in environment.simulator.journal(after=last) if entry["kind"] == "nfc"]
    return "made anew" if moved else "taken over"
