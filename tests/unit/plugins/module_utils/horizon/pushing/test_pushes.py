# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How pushes are carried out: requests, lost answers, failures, waiting, and several pools together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, Corrupt, Unavailable
from ansible_collections.strata.layering.plugins.module_utils.horizon.model import (
    FORCE_LOGOFF,
    POOL,
    WAIT_FOR_LOGOFF,
    CurrentState,
    ImageRef,
    Machine,
    MachineResult,
    Operation,
    PendingImage,
    PendingState,
    PushRequest,
    PushSettings,
    SessionCounts,
    Target,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.pushing.decision import (
    REQUESTS,
    Action,
    DesiredState,
    Reason,
    Wish,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.pushing.push_results import (
    PushGoal,
    PushOptions,
    PushResult,
    PushTools,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.pushing.watch import run_pushes
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.client import AnswerLost

IMAGE, OLD, OTHER = ImageRef("vm-2", "snapshot-2"), ImageRef("vm-1", "snapshot-1"), ImageRef("vm-9", "snapshot-9")
NOW = 1_700_000_000_000
INTERVAL = 15

IDLE = Target(
    kind=POOL,
    id="1",
    name="sales",
    type="AUTOMATED",
    source="INSTANT_CLONE",
    current=OLD,
    current_state=CurrentState.READY,
    raw={"operation": "NONE"},
)
CURRENT = dataclasses.replace(IDLE, current=IMAGE)


def scheduled(state: PendingState, image: ImageRef = IMAGE, **values: Any) -> Target:
    start = values.pop("start", NOW)
    pending = PendingImage(state, image, settings=PushSettings(start_time=start), **values)
    return dataclasses.replace(IDLE, operation=Operation.PUSH, pending=pending)


def failed(error: str = "The datastore is full.") -> Target:
    return dataclasses.replace(IDLE, pending=PendingImage(PendingState.FAILED, IMAGE, error=error))


PUBLISHING = scheduled(PendingState.PUBLISHING, progress=40)
HELD = dataclasses.replace(IDLE, pending=PendingImage(PendingState.READY_HELD, IMAGE))


def machine(name: str, image: ImageRef = OLD, **values: Any) -> Machine:
    return Machine(id=f"id-{name}", name=name, state="AVAILABLE", image=image, **values)


def _raise(error: Exception) -> NoReturn:
    raise error


class FakePools:
    """A pool whose states follow a script: each observation takes the next, and each accepted request replaces the rest."""

    kind = POOL

    def __init__(self, *states: Target, after: dict[Action, list[Target]] | None = None) -> None:
        self.states = list(states)
        self.after = after or {}
        self.log: list[Action | str] = []
        self.requests: list[PushRequest] = []
        self.errors: list[Exception | None] = []
        self.read_errors: list[Exception | None] = []
        self.counts: list[list[Machine]] = [[machine("m1"), machine("m2")]]
        self.connected: list[int] = [0]
        self.logging_on = 0
        self.sessions_error: Exception | None = None
        self.session_machines: list[Collection[str] | None] = []

    def _next(self, values: list) -> Any:
        return values.pop(0) if len(values) > 1 else values[0]

    def all(self) -> list[Target]:
        return [self.read("1")]

    def find(self, names: Any) -> list[Target]:
        return self.all()

    def read(self, target_id: str) -> Target:
        self.log.append("read")
        error: Exception | None = self.read_errors.pop(0) if self.read_errors else None
        if error:
            _raise(error)
        return self._next(self.states)

    def _accept(self, action: Action) -> None:
        error = self.errors.pop(0) if self.errors else None
        if error is None or isinstance(error, Accepted):
            self.log.append(action)
            self.states = list(self.after.get(action, self.states))
        if error:
            _raise(error)

    def request_body(self, target: Target, request: PushRequest) -> dict[str, Any]:
        return {"parent_vm_id": request.image.vm}

    def push(self, target: Target, request: PushRequest) -> tuple[MachineResult, ...]:
        self.requests.append(request)
        staged = request.machine_ids is not None
        again = target.operation is Operation.PUSH
        self._accept(Action.STAGE if staged else Action.RESCHEDULE if again else Action.PUSH)
        return ()

    def cancel(self, target: Target) -> None:
        self._accept(Action.CANCEL)

    def promote(self, target: Target) -> None:
        self._accept(Action.PROMOTE)

    def apply(self, target: Target, machine_ids: Any) -> tuple[MachineResult, ...]:
        self._accept(Action.APPLY)
        return ()

    def enable_provisioning(self, target: Target) -> None:
        self._accept(Action.ENABLE_PROVISIONING)

    def resume(self, target: Target, *, stop_on_first_error: bool) -> None:
        self._accept(Action.RESUME)

    def machines(self, target: Target) -> tuple[Machine, ...]:
        self.log.append("machines")
        return tuple(self._next(self.counts))

    def sessions(self, target: Target, machine_ids: Collection[str] | None = None) -> SessionCounts:
        self.session_machines.append(machine_ids)
        if self.sessions_error:
            raise self.sessions_error
        return SessionCounts(connected=self._next(self.connected), pending=self.logging_on)

    @property
    def accepted(self) -> list[Action | str]:
        return [entry for entry in self.log if isinstance(entry, Action)]


class Accepted(AnswerLost):
    """Horizon executed the request, and its answer was lost."""


class AcceptedUnreadable(Corrupt, Accepted):
    """Horizon executed the request, and its answer cannot be read."""


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def lost() -> AnswerLost:
    return AnswerLost("The answer was lost.")


def unreadable() -> Corrupt:
    return Corrupt("The answer is not a list.", code="horizon.answer")


def refused() -> Conflict:
    return Conflict("There is an operation.", code="horizon.refused")


def push(
    pools: FakePools,
    state: DesiredState = DesiredState.PRESENT,
    options: PushOptions | None = None,
    *,
    check_mode: bool = False,
    clock: Clock | None = None,
    on_request: Callable | None = None,
    on_current: Callable | None = None,
    **wish: Any,
) -> PushResult:
    clock = clock or Clock()
    canary = wish.pop("canary", 0)
    goal = PushGoal(
        api=pools,
        target=pools.read("1"),
        wish=Wish(**({"state": state, "image": IMAGE} | wish)),
        image_text="The snapshot s of the VM v",
        canary=canary,
    )
    tools = PushTools(
        server_time=lambda: NOW + int(clock.now * 1000),
        on_request=on_request,
        on_current=on_current,
        clock=clock,
        sleep=clock.sleep,
    )
    return run_pushes([goal], options or PushOptions(interval=INTERVAL), tools, check_mode=check_mode)[0]


COURSE = [scheduled(PendingState.PENDING_PUBLISH), PUBLISHING, PUBLISHING, CURRENT]


def test_push_is_requested_once_and_followed_to_the_end():
    pools = FakePools(IDLE, after={Action.PUSH: COURSE})
    asked, reached = [], []
    result = push(
        pools,
        on_request=lambda goal, action, before: asked.append((action, before.current)),
        on_current=lambda goal, before: reached.append(before.current),
    )
    assert (result.status, result.changed, result.requests) == ("Complete", True, [Action.PUSH])
    assert pools.accepted == [Action.PUSH]
    assert asked == [(Action.PUSH, OLD)] and reached == [OLD]
    assert result.before.current == OLD and result.target.current == IMAGE


def test_current_image_is_unchanged():
    pools = FakePools(CURRENT)
    result = push(pools)
    assert (result.status, result.changed, pools.accepted) == ("Complete", False, [])


def test_push_of_an_earlier_run_is_followed():
    pools = FakePools(PUBLISHING, PUBLISHING, CURRENT)
    result = push(pools)
    assert (result.status, result.changed, pools.accepted) == ("Complete", False, [])


def test_pool_costs_one_read_in_each_interval():
    pools = FakePools(IDLE, after={Action.PUSH: [PUBLISHING] * 10 + [CURRENT]})
    clock = Clock()
    push(pools, clock=clock)
    # The pool is found, read again before the request, and then read in each interval.
    assert pools.log.count("read") == 2 + 11 and clock.sleeps == [INTERVAL] * 10


def test_lost_answer_of_an_accepted_push_is_not_repeated():
    pools = FakePools(IDLE, after={Action.PUSH: COURSE})
    pools.errors = [Accepted("The answer was lost.")]
    result = push(pools)
    assert (result.status, pools.accepted) == ("Complete", [Action.PUSH])


def test_lost_push_is_repeated_after_an_observation():
    pools = FakePools(IDLE, after={Action.PUSH: COURSE})
    pools.errors = [lost()]
    clock = Clock()
    result = push(pools, clock=clock)
    assert (result.status, pools.accepted, clock.sleeps[0] > 0) == ("Complete", [Action.PUSH], True)


def test_answers_that_are_always_lost_fail():
    pools = FakePools(IDLE)
    pools.errors = [lost() for attempt in range(20)]
    result = push(pools)
    assert (result.status, len(pools.requests), result.changed) == ("Failed", 3, False)
    assert result.error is not None and result.error.code == "horizon.answer_lost"


def test_accepted_push_that_is_not_visible_yet_is_not_repeated():
    pools = FakePools(IDLE, after={Action.PUSH: [IDLE, IDLE, *COURSE]})
    result = push(pools)
    assert (result.status, pools.accepted) == ("Complete", [Action.PUSH])


def test_accepted_push_that_never_becomes_visible_needs_an_administrator():
    pools = FakePools(IDLE, after={Action.PUSH: [IDLE]})
    result = push(pools)
    assert (result.status, pools.accepted) == ("ActionRequired", [Action.PUSH])


def test_refused_push_is_decided_again():
    pools = FakePools(IDLE, IDLE, PUBLISHING, CURRENT)
    pools.errors = [refused()]
    pools.states = [IDLE, PUBLISHING, CURRENT]
    result = push(pools)
    assert (result.status, pools.accepted, result.changed) == ("Complete", [], False)


def test_push_that_is_refused_twice_fails():
    pools = FakePools(IDLE)
    pools.errors = [refused(), refused()]
    result = push(pools)
    assert result.status == "Failed" and result.error is not None and result.error.code == "horizon.refused"
    assert len(pools.requests) == 2


def test_temporary_failure_of_a_request_is_retried():
    pools = FakePools(IDLE, after={Action.PUSH: COURSE})
    pools.errors = [Unavailable("Busy.", code="horizon.unavailable")] * 2
    clock = Clock()
    assert push(pools, clock=clock).status == "Complete"
    assert clock.sleeps[:2] == [30, 30]


def test_temporary_failure_of_a_read_is_retried():
    pools = FakePools(IDLE, after={Action.PUSH: COURSE})
    pools.read_errors = [None, Unavailable("Busy.", code="horizon.unavailable")]
    assert push(pools).status == "Complete"


def test_read_that_fails_when_the_time_to_wait_is_over_is_not_retried():
    pools = FakePools(PUBLISHING)
    error = Unavailable("Busy.", code="horizon.unavailable")
    pools.read_errors = [None, error]
    result = push(pools, options=PushOptions(retries=2, interval=15, timeout=10))
    assert result.status == "Failed" and result.error is error
    assert pools.log.count("read") == 2


def test_reads_that_always_fail_end_the_push():
    pools = FakePools(CURRENT)
    pools.sessions_error = Unavailable("Busy.", code="horizon.unavailable")
    result = push(pools, options=PushOptions(retries=2))
    assert result.status == "Failed" and result.error is pools.sessions_error


def test_missing_privilege_is_not_retried():
    pools = FakePools(IDLE)
    pools.errors = [Unavailable("Forbidden.", code="horizon.forbidden")]
    assert push(pools).status == "Failed" and len(pools.requests) == 1


def test_push_that_not_all_machines_accept_fails_and_has_changed_the_pool():
    pools = FakePools(IDLE)
    pools.errors = [Unavailable("One refused.", code="horizon.machines_refused")]
    result = push(pools, DesiredState.STAGED, canary=1)
    assert (result.status, result.changed, result.requests) == ("Failed", True, [Action.STAGE])


def test_failed_publishing_is_repeated_as_often_as_retries_allow():
    pools = FakePools(IDLE, after={Action.PUSH: [PUBLISHING, failed()]})
    result = push(pools, options=PushOptions(retries=2))
    assert pools.accepted == [Action.PUSH] * 3
    assert result.error is not None and result.error.code == "horizon.publish_failed"


def test_failed_publishing_of_an_earlier_run_does_not_count():
    pools = FakePools(failed(), after={Action.PUSH: COURSE})
    assert push(pools, options=PushOptions(retries=0)).status == "Complete"


def test_wrong_password_of_horizon_is_not_retried():
    error = "Could not authenticate with domain administrator credentials."
    pools = FakePools(IDLE, after={Action.PUSH: [PUBLISHING, failed(error)]})
    assert push(pools).status == "Failed" and pools.accepted == [Action.PUSH]


def test_push_that_was_canceled_is_not_requested_again():
    pools = FakePools(IDLE, after={Action.PUSH: [PUBLISHING, IDLE]})
    result = push(pools)
    assert (result.status, pools.accepted) == ("ActionRequired", [Action.PUSH])


UNKNOWN = dataclasses.replace(IDLE, operation=Operation.UNKNOWN, raw={"operation": "NEW_THING"})


def test_unknown_state_is_confirmed_and_never_acted_on():
    pools = FakePools(UNKNOWN)
    result = push(pools)
    assert (result.status, result.reason, pools.accepted) == ("ActionRequired", Reason.UNKNOWN_STATE, [])
    assert "NEW_THING" in result.description


def test_long_fields_of_an_unknown_state_are_shortened():
    long = dataclasses.replace(UNKNOWN, raw={"operation": "NEW_THING", "last_provisioning_error": "x" * 2000})
    result = push(FakePools(long))
    assert "NEW_THING" in result.description and len(result.description) < 1000


def test_unknown_state_that_lasts_a_moment_is_no_obstacle():
    pools = FakePools(UNKNOWN, IDLE, after={Action.PUSH: COURSE})
    assert push(pools).status == "Complete"


BUSY = dataclasses.replace(IDLE, operation=Operation.INITIAL_PUBLISH)


def test_different_operation_is_awaited():
    pools = FakePools(BUSY, BUSY, IDLE, after={Action.PUSH: COURSE})
    assert push(pools).status == "Complete"


def test_different_operation_is_awaited_for_a_limited_time():
    clock = Clock()
    result = push(FakePools(BUSY), clock=clock, options=PushOptions(operation_timeout=60))
    assert result.status == "ActionRequired" and 60 <= clock.now < 100


def test_publishing_that_never_ends_fails_at_the_timeout():
    clock = Clock()
    result = push(FakePools(PUBLISHING), clock=clock, options=PushOptions(timeout=100))
    assert result.status == "Failed" and 100 <= clock.now < 130
    assert result.error is not None and result.error.code == "horizon.wait_timeout"


def test_push_that_starts_later_is_scheduled():
    later = NOW + 3_600_000
    course = [scheduled(PendingState.PUBLISHING, start=later), scheduled(PendingState.READY, start=later)]
    pools = FakePools(IDLE, after={Action.PUSH: course})
    result = push(pools, start_time=later)
    assert result.status == "Scheduled" and pools.requests[0].start_time == later


def test_rescheduling_repeats_the_settings_of_the_scheduled_push():
    later = NOW + 3_600_000
    settings = PushSettings(later, FORCE_LOGOFF, False, True)
    pending = PendingImage(PendingState.READY, IMAGE, settings=settings)
    found = dataclasses.replace(IDLE, operation=Operation.PUSH, pending=pending)
    moved = scheduled(PendingState.READY, start=later + 1000)
    pools = FakePools(found, after={Action.RESCHEDULE: [moved]})
    result = push(pools, start_time=later + 1000, logoff_policy=FORCE_LOGOFF)
    request = pools.requests[0]
    assert (request.logoff_policy, request.stop_on_first_error, request.add_virtual_tpm) == (FORCE_LOGOFF, False, True)
    assert (result.status, pools.accepted) == ("Scheduled", [Action.RESCHEDULE])


def test_replace_cancels_the_pending_image_and_pushes():
    other = dataclasses.replace(IDLE, pending=PendingImage(PendingState.READY_HELD, OTHER))
    pools = FakePools(other, after={Action.CANCEL: [IDLE], Action.PUSH: COURSE})
    result = push(pools, replace=True)
    assert (result.status, pools.accepted) == ("Complete", [Action.CANCEL, Action.PUSH])


def test_two_runs_that_replace_the_push_of_each_other_end():
    other = dataclasses.replace(IDLE, pending=PendingImage(PendingState.READY_HELD, OTHER))
    pools = FakePools(other, after={Action.CANCEL: [IDLE], Action.PUSH: [PUBLISHING, other]})
    result = push(pools, replace=True)
    assert (result.status, pools.accepted) == ("ActionRequired", [Action.CANCEL, Action.PUSH])


def test_without_waiting_the_push_is_only_confirmed():
    clock = Clock()
    pools = FakePools(IDLE, after={Action.PUSH: [PUBLISHING]})
    result = push(pools, clock=clock, options=PushOptions(wait=False))
    assert (result.status, clock.now) == ("Running", 0)


def test_image_is_staged_on_a_canary_and_promoted():
    pools = FakePools(IDLE, after={Action.STAGE: [PUBLISHING, HELD], Action.PROMOTE: [PUBLISHING, CURRENT]})
    before = [machine("m1", in_session=True), machine("m2"), machine("m3")]
    # Horizon marks the machines a moment after it has published the image.
    pools.counts = [before, before, [machine("m1", in_session=True), machine("m2", pending=IMAGE), machine("m3")]]
    result = push(pools, DesiredState.STAGED, canary=1)
    assert (result.status, pools.requests[0].machine_ids) == ("Staged", ("id-m2",))
    assert push(pools).requests == [Action.PROMOTE]


def test_held_image_is_applied_to_more_machines():
    pools = FakePools(HELD)
    lacking = [machine("m1", IMAGE), machine("m2"), machine("m3")]
    pools.counts = [lacking, [machine("m1", IMAGE), machine("m2", pending=IMAGE), machine("m3")]]
    result = push(pools, DesiredState.STAGED, canary=2)
    assert (result.status, pools.accepted, result.request) == ("Staged", [Action.APPLY], {"machine_ids": ["id-m2"]})


def test_machines_are_awaited():
    pools = FakePools(CURRENT)
    pools.counts = [
        [machine("m1"), machine("m2")],
        [machine("m1", IMAGE), machine("m2")],
        [machine("m1", IMAGE), machine("m2", IMAGE)],
    ]
    result = push(pools, options=PushOptions(for_machines=True, interval=INTERVAL))
    assert result.status == "Complete" and result.counts is not None and result.counts.on_image == 2
    assert pools.log == ["read", "machines", "machines", "machines"]


def test_machines_that_never_log_off_are_counted_and_not_awaited_without_end():
    clock = Clock()
    options = PushOptions(for_machines=True, timeout=300, interval=INTERVAL)
    pools = FakePools(CURRENT)
    result = push(pools, clock=clock, options=options)
    assert result.status == "Running" and result.error is None and 300 <= clock.now < 330
    assert result.counts is not None and (result.counts.total, result.counts.pending) == (2, 2)


def test_pool_is_observed_again_while_its_machines_change():
    states = [CURRENT, dataclasses.replace(IDLE, current=OTHER)]
    pools = FakePools(*states)
    result = push(pools, options=PushOptions(for_machines=True, interval=INTERVAL))
    assert "read" in pools.log[1:] and result.status != "Complete"


def test_machines_that_failed_need_an_administrator():
    pools = FakePools(CURRENT)
    pools.counts = [[machine("m1", IMAGE), machine("m2", faulty=True, error="No space.")]]
    result = push(pools, options=PushOptions(for_machines=True))
    assert result.status == "ActionRequired" and "No space" in result.description


HALTED = machine("m2", pending=IMAGE, operation_state="HOLDING", logoff_policy=WAIT_FOR_LOGOFF)


def test_push_that_stopped_earlier_is_resumed_once():
    pools = FakePools(CURRENT)
    pools.counts = [[machine("m1", IMAGE), HALTED], [machine("m1", IMAGE), machine("m2")], [machine("m1", IMAGE)]]
    result = push(pools, options=PushOptions(for_machines=True))
    assert (result.status, result.changed, pools.accepted) == ("Complete", True, [Action.RESUME])


def test_push_that_stops_again_needs_an_administrator():
    pools = FakePools(CURRENT)
    pools.counts = [[machine("m1", IMAGE), HALTED]]
    result = push(pools, options=PushOptions(for_machines=True))
    assert (result.status, pools.accepted) == ("ActionRequired", [Action.RESUME])


def test_push_of_this_run_that_stops_is_not_resumed():
    pools = FakePools(IDLE, after={Action.PUSH: [CURRENT]})
    pools.counts = [[machine("m1", IMAGE), HALTED]]
    result = push(pools, options=PushOptions(for_machines=True))
    assert (result.status, pools.accepted) == ("ActionRequired", [Action.PUSH])


def test_push_that_stopped_is_not_resumed_with_a_forced_logoff():
    pools = FakePools(CURRENT)
    pools.counts = [[machine("m1", IMAGE), dataclasses.replace(HALTED, logoff_policy=FORCE_LOGOFF)]]
    result = push(pools, options=PushOptions(for_machines=True))
    assert (result.status, result.reason, pools.accepted) == ("ActionRequired", Reason.OTHER_LOGOFF_POLICY, [])
    forced = push(pools, options=PushOptions(for_machines=True), logoff_policy=FORCE_LOGOFF)
    assert (forced.status, pools.accepted) == ("ActionRequired", [Action.RESUME])


def test_push_that_stopped_is_planned_in_check_mode_and_ignored_without_waiting_for_machines():
    pools = FakePools(CURRENT)
    pools.counts = [[machine("m1", IMAGE), HALTED]]
    planned = push(pools, options=PushOptions(for_machines=True), check_mode=True)
    assert (planned.status, planned.changed, planned.requests) == ("NotStarted", True, [Action.RESUME])
    assert push(pools).changed is False
    assert pools.accepted == []


def test_sessions_are_counted_immediately_before_a_forced_logoff():
    busy = [BUSY, BUSY, IDLE]
    pools = FakePools(*busy)
    pools.connected = [0, 0, 5]
    result = push(pools, logoff_policy=FORCE_LOGOFF, max_sessions=2)
    assert (result.status, result.reason, pools.accepted) == ("ActionRequired", Reason.TOO_MANY_SESSIONS, [])


def test_users_who_are_logging_on_are_not_logged_off():
    pools = FakePools(IDLE)
    pools.logging_on = 1
    result = push(pools, logoff_policy=FORCE_LOGOFF, max_sessions=0)
    assert (result.status, result.reason, pools.accepted) == ("ActionRequired", Reason.TOO_MANY_SESSIONS, [])


def test_sessions_of_a_canary_are_those_of_its_machines():
    pools = FakePools(IDLE)
    pools.connected = [5]
    goal = {"logoff_policy": FORCE_LOGOFF, "max_sessions": 2, "canary": 1}
    result = push(pools, DesiredState.STAGED, **goal)
    assert (result.status, result.reason, pools.accepted) == ("ActionRequired", Reason.TOO_MANY_SESSIONS, [])
    assert pools.session_machines[0] == {"id-m1"}


def test_push_is_canceled():
    pools = FakePools(PUBLISHING, after={Action.CANCEL: [IDLE]})
    result = push(pools, DesiredState.CANCELED)
    assert (result.status, pools.accepted) == ("Canceled", [Action.CANCEL])
    assert push(pools, DesiredState.CANCELED).changed is False


def test_push_that_is_canceled_too_late_requires_action():
    pools = FakePools(PUBLISHING, after={Action.CANCEL: [CURRENT]})
    result = push(pools, DesiredState.CANCELED)
    assert (result.status, pools.accepted) == ("ActionRequired", [Action.CANCEL])


@pytest.mark.parametrize(
    "found, state, status, requests",
    [
        (IDLE, DesiredState.PRESENT, "NotStarted", [Action.PUSH]),
        (HELD, DesiredState.PRESENT, "NotStarted", [Action.PROMOTE]),
        (PUBLISHING, DesiredState.CANCELED, "NotStarted", [Action.CANCEL]),
        (PUBLISHING, DesiredState.PRESENT, "Running", []),
        (CURRENT, DesiredState.PRESENT, "Complete", []),
        (HELD, DesiredState.STAGED, "Staged", []),
        (IDLE, DesiredState.CANCELED, "Canceled", []),
        (UNKNOWN, DesiredState.PRESENT, "ActionRequired", []),
        (dataclasses.replace(IDLE, source="LINKED_CLONE"), DesiredState.PRESENT, "Failed", []),
    ],
)
def test_check_mode_shows_the_first_request_and_sends_none(found, state, status, requests):
    pools = FakePools(found)
    result = push(pools, state, check_mode=True)
    assert (result.status, result.requests, result.changed) == (status, requests, bool(requests))
    assert pools.accepted == []


def test_check_mode_names_a_different_operation():
    busy = dataclasses.replace(BUSY, raw={"instant_clone_operation": "INITIAL_PUBLISH"})
    result = push(FakePools(busy), check_mode=True)
    assert (result.status, result.changed) == ("Running", False)
    assert "INITIAL_PUBLISH" in result.description


def test_all_pushes_start_before_the_first_wait_and_a_failure_does_not_stop_the_others():
    clock = Clock()
    good = [FakePools(IDLE, after={Action.PUSH: COURSE}) for number in range(3)]
    bad = FakePools(dataclasses.replace(IDLE, enabled=False))
    goals = [
        PushGoal(
            api=pools,
            target=pools.read("1"),
            wish=Wish(state=DesiredState.PRESENT, image=IMAGE),
            image_text="The snapshot",
        )
        for pools in (good[0], bad, *good[1:])
    ]
    starts: list[float] = []
    tools = PushTools(
        server_time=lambda: NOW,
        on_request=lambda goal, action, before: starts.append(clock.now),
        clock=clock,
        sleep=clock.sleep,
    )
    results = run_pushes(goals, PushOptions(), tools)
    assert [result.status for result in results] == ["Complete", "Failed", "Complete", "Complete"]
    assert starts == [0, 0, 0]
    assert results[1].error is not None and results[1].error.code == "horizon.target_disabled"


# -- changes by an administrator, or by a different run


THEIRS = scheduled(PendingState.PUBLISHING, OTHER)


def test_pool_that_changed_after_it_was_found_is_decided_again():
    pools = FakePools(IDLE, THEIRS)
    result = push(pools)
    assert (result.status, result.reason, pools.accepted) == ("ActionRequired", Reason.OTHER_PENDING, [])


def test_push_that_replaces_this_runs_push_is_not_replaced_in_turn():
    pools = FakePools(IDLE, after={Action.PUSH: [PUBLISHING, THEIRS], Action.CANCEL: [IDLE]})
    result = push(pools, replace=True)
    assert (result.status, pools.accepted) == ("ActionRequired", [Action.PUSH])


def test_push_that_follows_a_canceled_push_is_not_canceled():
    pools = FakePools(PUBLISHING, after={Action.CANCEL: [THEIRS], Action.PUSH: COURSE})
    assert push(pools, DesiredState.CANCELED, image=None).status == "ActionRequired"
    assert pools.accepted == [Action.CANCEL]


@pytest.mark.parametrize("theirs", [THEIRS, dataclasses.replace(IDLE, current=OTHER)])
def test_image_that_an_administrator_pushes_while_machines_are_awaited_is_not_replaced(theirs):
    pools = FakePools(CURRENT, theirs, after={Action.CANCEL: [IDLE], Action.PUSH: COURSE})
    result = push(pools, options=PushOptions(for_machines=True, interval=INTERVAL), replace=True)
    assert (result.status, pools.accepted) == ("ActionRequired", [])


def test_accepted_cancel_is_not_repeated_while_the_push_continues():
    course = [scheduled(PendingState.PUBLISHING, progress=number) for number in range(41, 44)]
    pools = FakePools(scheduled(PendingState.PENDING_PUBLISH), after={Action.CANCEL: [*course, IDLE]})
    result = push(pools, DesiredState.CANCELED)
    assert (result.status, pools.accepted) == ("Canceled", [Action.CANCEL])


def test_lost_cancel_is_repeated_although_the_push_continued():
    pools = FakePools(
        PUBLISHING, PUBLISHING, scheduled(PendingState.PUBLISHING, progress=70), after={Action.CANCEL: [IDLE]}
    )
    pools.errors = [lost()]
    result = push(pools, DesiredState.CANCELED)
    assert (result.status, result.requests) == ("Canceled", [Action.CANCEL])


def test_field_that_no_decision_depends_on_does_not_look_like_a_canceled_push():
    noise = dataclasses.replace(IDLE, raw={"last_provisioning_error_time": 5}, error="An old error.")
    pools = FakePools(IDLE, after={Action.PUSH: [noise, *COURSE]})
    assert push(pools).status == "Complete"
    pools = FakePools(IDLE, IDLE, noise, after={Action.PUSH: COURSE})
    pools.errors = [lost()]
    result = push(pools)
    assert (result.status, result.requests) == ("Complete", [Action.PUSH])


def test_answer_that_cannot_be_read_is_treated_like_a_lost_answer():
    pools = FakePools(IDLE, after={Action.PUSH: COURSE})
    pools.errors = [AcceptedUnreadable("The answer is not a list.", code="horizon.answer")]
    result = push(pools)
    assert (result.status, result.changed, pools.accepted) == ("Complete", True, [Action.PUSH])
    pools = FakePools(IDLE)
    pools.errors = [unreadable() for attempt in range(20)]
    result = push(pools)
    assert result.error is not None and (result.error.code, len(pools.requests)) == ("horizon.answer", 3)


@pytest.mark.parametrize("state", [DesiredState.PRESENT, DesiredState.STAGED])
def test_machines_show_that_an_image_was_staged_with_a_forced_logoff(state):
    pools = FakePools(HELD)
    pools.counts = [[machine("m1", pending=IMAGE, logoff_policy=FORCE_LOGOFF), machine("m2")]]
    result = push(pools, state, canary=2)
    assert (result.status, result.reason, pools.accepted) == ("ActionRequired", Reason.OTHER_LOGOFF_POLICY, [])


def test_start_time_of_any_size_is_described():
    huge = scheduled(PendingState.READY, start=2**62)
    assert str(2**62) in push(FakePools(huge)).description


def test_lost_push_whose_operation_does_not_end_has_changed_the_pool():
    pools = FakePools(IDLE, after={Action.PUSH: [scheduled(PendingState.FAILED)]})
    pools.errors = [Accepted("The answer was lost.")]
    result = push(pools)
    assert (result.status, result.changed, result.requests) == ("ActionRequired", True, [Action.PUSH])


def test_provisioning_that_is_disabled_again_is_not_enabled_again():
    disabled = dataclasses.replace(IDLE, provisioning=False)
    again = dataclasses.replace(failed(), provisioning=False)
    pools = FakePools(disabled, after={Action.ENABLE_PROVISIONING: [IDLE], Action.PUSH: [PUBLISHING, again]})
    result = push(pools, enable_provisioning=True)
    assert (result.status, result.reason) == ("ActionRequired", Reason.PROVISIONING_DISABLED)
    assert pools.accepted == [Action.ENABLE_PROVISIONING, Action.PUSH]


# -- any course of events


_HELD_OTHER = dataclasses.replace(IDLE, pending=PendingImage(PendingState.READY_HELD, OTHER))
_COURSES = st.lists(
    st.sampled_from(
        [IDLE, CURRENT, PUBLISHING, THEIRS, HELD, _HELD_OTHER, BUSY, UNKNOWN, failed(), failed("A wrong password.")]
        + [scheduled(PendingState.READY, image, start=NOW + later) for image in (IMAGE, OTHER) for later in (0, 10**8)]
        + [dataclasses.replace(IDLE, provisioning=False), dataclasses.replace(IDLE, current=OTHER)]
    ),
    min_size=1,
    max_size=6,
)
_ERRORS = st.lists(st.sampled_from([None, None, lost(), Accepted("Lost."), refused(), unreadable()]), max_size=6)


@given(
    _COURSES,
    st.dictionaries(st.sampled_from(sorted(REQUESTS, key=str)), _COURSES, max_size=6),
    _ERRORS,
    st.sampled_from(list(DesiredState)),
    st.booleans(),
    st.sampled_from([None, NOW + 10**7]),
    st.booleans(),
)
def test_push_ends_in_any_course_of_events(states, after, errors, state, replace, start_time, for_machines):
    """States change as an administrator or Horizon likes. Requests are limited, and a push is never repeated without a reason."""
    pools, clock = FakePools(*states, after=after), Clock()
    pools.errors = list(errors)
    pools.counts = [[machine("m1"), machine("m2", IMAGE)], [machine("m1", IMAGE), HALTED]]
    options = PushOptions(for_machines=for_machines, interval=INTERVAL, timeout=600, operation_timeout=300)
    wish = {"replace": replace, "start_time": start_time, "enable_provisioning": True}
    result = push(pools, state, options, clock=clock, **wish)
    assert result.status not in ("NotStarted",)
    assert clock.now < 20_000
    assert len(pools.accepted) <= 12
    assert result.requests.count(Action.CANCEL) <= 1
    assert result.changed == bool(result.requests)
