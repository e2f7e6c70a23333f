# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults in every call of a push: the next run reaches the desired state, and no push is requested twice.

Each case lets one call fail in one way, repeats the run without the fault, and compares the journal of the Horizon simulator. A user
who is logged on to a machine of the pool is never logged off: the policy is wait_for_logoff.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.connection import Patience
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_image_push import push_images
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_push_options import (
    HorizonImagePushOptions,
)
from ansible_collections.strata.layering.tests.integration.faults.composer import (
    KILLED,
    Composer,
    RunResult,
    module_parameters,
)
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator

#: Longer than any run: the test kills the process while it waits.
_ENDLESS_MS = 60_000
_PATIENCE = Patience(calls=0.3, throttled=3, connect=5, socket=5, answer=5)

ONCE, ALWAYS, LOST, THROTTLED, UNAVAILABLE, CUT = (
    "fails once",
    "always fails",
    "answer lost",
    "429",
    "503 with HTML",
    "connection cut",
)
EXPIRED, ENDED, BEFORE, AFTER = "token expired", "session ended", "killed before", "killed after"

#: The fields of the simulator's rule for each way of failing.
COLUMNS: dict[str, dict[str, Any]] = {
    ONCE: {"status": 500},
    ALWAYS: {"status": 500, "count": None},
    LOST: {"drop_connection": True, "after": True},
    THROTTLED: {"status": 429, "headers": {"X-Rate-Limit-Retry-After-Seconds": "1"}},
    UNAVAILABLE: {"status": 503, "html": True, "count": 2},
    CUT: {"drop_connection": True},
    EXPIRED: {"expire_tokens": "access"},
    ENDED: {"expire_tokens": "all"},
    BEFORE: {"drop_connection": True, "delay_ms": _ENDLESS_MS},
    AFTER: {"after": True, "delay_ms": _ENDLESS_MS},
}
_KILLS = (BEFORE, AFTER)

#: The calls of a push: method, and a regular expression for the path.
CALLS = {
    "login": ("POST", "/login$"),
    "logout": ("POST", "/logout$"),
    "version": ("GET", "/environment-properties$"),
    "vCenters": ("GET", "/virtual-centers$"),
    "base VMs": ("GET", "/base-vms$"),
    "snapshots": ("GET", "/base-snapshots$"),
    "pools": ("GET", "/desktop-pools$"),
    "pool": ("GET", "/desktop-pools/[^/]+$"),
    "push": ("POST", "/action/schedule-push-image$"),
    "machines": ("GET", "/machines$"),
    "sessions": ("GET", "/sessions$"),
}
#: The calls that only other operations make, by operation.
OTHER_CALLS = {
    "stage": {"stage": ("POST", "/action/schedule-push-image$")},
    "promote": {"promote": ("POST", "/action/promote-pending-image$")},
    "apply": {"apply": ("POST", "/action/apply-image$")},
    "cancel": {"cancel": ("POST", "/action/cancel-scheduled-push-image$")},
    "farm": {
        "farms": ("GET", "/farms$"),
        "farm": ("GET", "/farms/[^/]+$"),
        "farm push": ("POST", "/action/schedule-maintenance$"),
        "RDS servers": ("GET", "/rds-servers$"),
    },
}
_CASES = [("push", call, column) for call in CALLS for column in COLUMNS] + [
    (operation, call, column) for operation, calls in OTHER_CALLS.items() for call in calls for column in COLUMNS
]
#: The state, further options, and the status at the end of each operation.
_OPERATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "push": ({}, "Complete"),
    "stage": ({"state": "staged", "canary": 1}, "Staged"),
    "promote": ({}, "Complete"),
    "apply": ({"state": "staged", "canary": 2}, "Staged"),
    "cancel": ({"state": "canceled"}, "Canceled"),
    "farm": ({}, "Complete"),
}
#: What happened before the operation.
_EARLIER = {"promote": "stage", "apply": "stage", "cancel": "stage"}
_REQUESTS = re.compile(
    "schedule-push-image|schedule-maintenance|promote-pending-image|apply-image|cancel-scheduled-push-image"
)

_numbers = itertools.count(1)


class Bench:
    """A Horizon simulator with an old and a new image."""

    def __init__(self, horizon: HorizonSimulator) -> None:
        self.horizon = horizon
        horizon.settings(pending_seconds=0.0, publish_seconds=2.0, rebuild_seconds=1.0)
        horizon.clock.speed = 40
        horizon.add_vm("gold-1", ["Image"])
        horizon.add_vm("gold-2", ["Image"], guest_id="windows2019srv_64Guest")

    def add(self, operation: str) -> tuple[str, str]:
        """Create a pool or farm with a user on its first machine, and return its option and name."""
        name = f"{operation}-{next(_numbers)}"
        if operation == "farm":
            self.horizon.add_farm(name, "gold-1", "Image", 2)
            return "farms", name
        self.horizon.add_pool(name, "gold-1", "Image", 3)
        self.horizon.add_session(self.horizon.machines(name)[0]["name"])
        return "pools", name

    def options(self, kind: str, name: str, operation: str) -> HorizonImagePushOptions:
        """Return the options of a run, with short waits."""
        values, _status = _OPERATIONS[operation]
        params = module_parameters(
            "horizon_image_push",
            **self.horizon.options(),
            **{kind: [name], "vm": "gold-2", "snapshot": "Image"},
            **values,
        )
        options = HorizonImagePushOptions.from_params(params)
        connection = dataclasses.replace(options.connection.connection, patience=_PATIENCE)
        waiting = dataclasses.replace(
            options.waiting, interval=0.03, retry_pause=0.05, timeout=20, operation_timeout=10, retries=2
        )
        return dataclasses.replace(
            options, connection=dataclasses.replace(options.connection, connection=connection), waiting=waiting
        )

    def run(self, options: HorizonImagePushOptions) -> RunResult:
        """Run the operation in this process."""
        try:
            outcome = push_images(options, check_mode=False)
        except StrataError as error:
            return RunResult(error.code, error.message, error.hint, result=error.details)
        return RunResult(changed=outcome.changed, result=outcome.result)

    def run_and_kill(self, options: HorizonImagePushOptions, rule: int) -> RunResult:
        """Run the operation in a process that is killed while the rule delays its call."""
        composer = Composer(lambda: push_images(options, check_mode=False))
        deadline = time.monotonic() + 20
        while not self._hits(rule):
            assert time.monotonic() < deadline, "the call was never made"
            time.sleep(0.01)
        composer.kill()
        return composer.wait()

    def _hits(self, rule: int) -> int:
        return next(found["hits"] for found in self.horizon.rules.list() if found["id"] == rule)

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests that begin, promote or cancel a push."""
        return self.horizon.journal("POST", _REQUESTS.pattern)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with HorizonSimulator() as horizon:
        yield Bench(horizon)


def _status(result: RunResult) -> str:
    return result.result["tasks"][0]["status"]


@pytest.mark.parametrize("operation, call, column", _CASES)
def test_next_run_completes_and_nothing_is_requested_twice(bench, operation, call, column):
    horizon = bench.horizon
    kind, name = bench.add(operation)
    if operation in _EARLIER:
        assert _status(bench.run(bench.options(kind, name, _EARLIER[operation]))) == "Staged"
    horizon.clear_journal()
    options = bench.options(kind, name, operation)
    method, path = (CALLS | OTHER_CALLS.get(operation, {}))[call]
    rule = horizon.rules.add(method, path, **COLUMNS[column])
    try:
        first = bench.run_and_kill(options, rule) if column in _KILLS else bench.run(options)
        assert (first.code == KILLED) is (column in _KILLS), first
        assert bench._hits(rule) >= 1
    finally:
        horizon.rules.clear()
    second = bench.run(options)
    assert second.succeeded, second
    assert _status(second) == _OPERATIONS[operation][1]
    executed = [entry for entry in bench.requests() if _was_executed(entry, column)]
    assert len(executed) == 1, executed
    assert horizon.logoffs() == []
    third = bench.run(options)
    assert third.succeeded and not third.changed
    assert horizon.problems() == []


def _was_executed(entry: dict[str, Any], column: str) -> bool:
    """Return whether Horizon executed a request, also if the client did not get the answer."""
    return entry["status"] in (200, 204) or (column in (LOST, AFTER) and entry["rule"] is not None)


@pytest.mark.parametrize("operation", ["push", "farm"])
def test_all_calls_of_a_push_are_in_the_table(bench, operation):
    kind, name = bench.add(operation)
    bench.horizon.clear_journal()
    assert bench.run(bench.options(kind, name, operation)).succeeded
    patterns = [*CALLS.values(), *OTHER_CALLS.get(operation, {}).values()]
    made = {(entry["method"], entry["path"]) for entry in bench.horizon.journal()}
    unknown = [
        made_call
        for made_call in made
        if not any(made_call[0] == method and re.search(path, made_call[1]) for method, path in patterns)
    ]
    assert unknown == []
