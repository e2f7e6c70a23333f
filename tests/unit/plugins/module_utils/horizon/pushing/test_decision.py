# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision table of pushes: every cell, for pools and farms, and what holds for all combinations of states."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.horizon.model import (
    FARM,
    FORCE_LOGOFF,
    POOL,
    WAIT_FOR_LOGOFF,
    ComputeProfile,
    CurrentState,
    ImageRef,
    Operation,
    PendingImage,
    PendingState,
    PushSettings,
    Target,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.pushing.decision import (
    REQUESTS,
    Action,
    Decision,
    DesiredState,
    Observation,
    Reason,
    Wish,
    decide,
)

IMAGE, OLD, OTHER = ImageRef("vm-2", "snapshot-2"), ImageRef("vm-1", "snapshot-1"), ImageRef("vm-9", "snapshot-9")
NOW = 1_700_000_000_000
LATER, EARLIER = NOW + 3_600_000, NOW - 60_000
STATES = (DesiredState.PRESENT, DesiredState.STAGED, DesiredState.CANCELED)

nothing, follow, settle = Decision(Action.NOTHING), Decision(Action.FOLLOW), Decision(Action.SETTLE)
push, stage, cancel = Decision(Action.PUSH), Decision(Action.STAGE), Decision(Action.CANCEL)


def ask(reason: Reason) -> Decision:
    return Decision(Action.ASK, reason)


def refuse(reason: Reason) -> Decision:
    return Decision(Action.REFUSE, reason)


def target(kind: str = POOL, **values) -> Target:
    fields = {"type": "AUTOMATED", "source": "INSTANT_CLONE", "current": OLD, "current_state": CurrentState.READY}
    return Target(kind=kind, id="1", name="sales", **(fields | values))


def pending(state: PendingState, image: ImageRef = IMAGE, start: int | None = EARLIER, **values) -> PendingImage:
    settings = PushSettings(start_time=start, **values)
    return PendingImage(state, image, settings=settings)


def scheduled(state: PendingState, image: ImageRef = IMAGE, start: int | None = EARLIER) -> dict:
    return {"operation": Operation.PUSH, "pending": pending(state, image, start)}


def held(image: ImageRef = IMAGE, **values) -> dict:
    return {"pending": pending(PendingState.READY_HELD, image, None, **values)}


def failed(image: ImageRef = IMAGE) -> dict:
    return {"pending": pending(PendingState.FAILED, image, None)}


def result(fields: dict, state: DesiredState, kind: str = POOL, missing: tuple[str, ...] = (), **wish) -> Decision:
    seen = Observation(target=target(kind, **fields), now=NOW, machines_without_image=missing)
    return decide(seen, Wish(**({"state": state, "image": IMAGE} | wish)))


# Each row: what was found, and the decisions for present, staged and canceled.
ROWS = {
    "the image is current": ({"current": IMAGE}, nothing, nothing, nothing),
    "another image is current": ({}, push, stage, nothing),
    "the image waits to be published": (scheduled(PendingState.PENDING_PUBLISH), follow, follow, cancel),
    "the image is being published": (scheduled(PendingState.PUBLISHING), follow, follow, cancel),
    "the image is published and starts later": (
        scheduled(PendingState.READY, start=LATER),
        follow,
        ask(Reason.NOT_STAGED),
        cancel,
    ),
    "the machines are being replaced": (
        scheduled(PendingState.READY),
        follow,
        ask(Reason.NOT_STAGED),
        ask(Reason.STARTED),
    ),
    "the image is held": (held(), Decision(Action.PROMOTE), nothing, cancel),
    "publishing the image failed": (
        failed(),
        Decision(Action.PUSH, Reason.AFTER_FAILURE),
        Decision(Action.STAGE, Reason.AFTER_FAILURE),
        nothing,
    ),
    "publishing another image failed": (failed(OTHER), push, stage, nothing),
    "publishing another image failed, the image is current": (
        {"current": IMAGE, **failed(OTHER)},
        nothing,
        nothing,
        nothing,
    ),
    "another image is being published": (
        scheduled(PendingState.PUBLISHING, OTHER),
        *[ask(Reason.OTHER_PENDING)] * 3,
    ),
    "another image is held": (held(OTHER), *[ask(Reason.OTHER_PENDING)] * 3),
    "another image is being published, the image is current": (
        {"current": IMAGE, **scheduled(PendingState.PUBLISHING, OTHER)},
        *[ask(Reason.OTHER_PENDING)] * 3,
    ),
    "the first image is being published": ({"operation": Operation.INITIAL_PUBLISH}, settle, settle, settle),
    "the infrastructure changes": ({"operation": Operation.INFRASTRUCTURE_CHANGE}, settle, settle, settle),
    "a push is being canceled": (
        {"operation": Operation.CANCELING, "pending": pending(PendingState.READY)},
        settle,
        settle,
        settle,
    ),
    "the pending image is being removed": ({"pending": pending(PendingState.UNPUBLISHING)}, settle, settle, settle),
    "the current image is being removed": ({"current_state": CurrentState.UNPUBLISHING}, settle, settle, settle),
    "the current image is to be removed": ({"current_state": CurrentState.PENDING_UNPUBLISH}, settle, settle, settle),
    "a push was accepted and is not shown yet": ({"operation": Operation.PUSH}, settle, settle, settle),
    "a push has failed and its operation has not ended": (
        {"operation": Operation.PUSH, "pending": pending(PendingState.FAILED)},
        settle,
        settle,
        settle,
    ),
    "the pool is being deleted": (
        {"delete_in_progress": True},
        refuse(Reason.DELETED),
        refuse(Reason.DELETED),
        nothing,
    ),
    "the last image is being removed": (
        {"operation": Operation.FINAL_UNPUBLISH},
        refuse(Reason.DELETED),
        refuse(Reason.DELETED),
        nothing,
    ),
    "the pool is manual": (
        {"type": "MANUAL", "source": "UNMANAGED", "current": None},
        refuse(Reason.NOT_INSTANT_CLONES),
        refuse(Reason.NOT_INSTANT_CLONES),
        nothing,
    ),
    "the pool has linked clones": (
        {"source": "LINKED_CLONE"},
        refuse(Reason.NOT_INSTANT_CLONES),
        refuse(Reason.NOT_INSTANT_CLONES),
        nothing,
    ),
    "the image comes from an image stream": (
        {"image_stream": True},
        refuse(Reason.IMAGE_STREAM),
        refuse(Reason.IMAGE_STREAM),
        nothing,
    ),
    "the pool is disabled": ({"enabled": False}, refuse(Reason.DISABLED), refuse(Reason.DISABLED), nothing),
    "the pool is disabled, the image is current": ({"enabled": False, "current": IMAGE}, nothing, nothing, nothing),
    "provisioning is disabled": (
        {"provisioning": False},
        ask(Reason.PROVISIONING_DISABLED),
        ask(Reason.PROVISIONING_DISABLED),
        nothing,
    ),
    "the operation is unknown": ({"operation": Operation.UNKNOWN}, *[ask(Reason.UNKNOWN_STATE)] * 3),
    "the pending state is unknown": (
        {"operation": Operation.PUSH, "pending": pending(PendingState.UNKNOWN)},
        *[ask(Reason.UNKNOWN_STATE)] * 3,
    ),
    "the current state is unknown": ({"current_state": CurrentState.UNKNOWN}, *[ask(Reason.UNKNOWN_STATE)] * 3),
    "the current image has failed": ({"current_state": CurrentState.FAILED}, *[ask(Reason.UNKNOWN_STATE)] * 3),
    "there is no current image": ({"current": None}, *[ask(Reason.UNKNOWN_STATE)] * 3),
    "an image is published although no operation runs": (
        {"pending": pending(PendingState.PUBLISHING)},
        *[ask(Reason.UNKNOWN_STATE)] * 3,
    ),
}


@pytest.mark.parametrize("kind", [POOL, FARM])
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("column", range(3), ids=[state.value for state in STATES])
def test_cell(row, column, kind):
    fields, *decisions = ROWS[row]
    if (row, STATES[column], kind) == ("the image is published and starts later", DesiredState.CANCELED, FARM):
        # Canceling would make the image the current image of the farm.
        decisions[column] = ask(Reason.PUBLISHED)
    assert result(fields, STATES[column], kind) == decisions[column]


# With replace: true, a pending image that is not the desired one is canceled unless its machines are being replaced.
REPLACED = {
    "another image is being published": (scheduled(PendingState.PUBLISHING, OTHER), cancel),
    "another image starts later": (scheduled(PendingState.READY, OTHER, LATER), cancel),
    "another image is held": (held(OTHER), cancel),
    "the machines get another image": (scheduled(PendingState.READY, OTHER), ask(Reason.STARTED)),
    "the start of another image is unknown": (scheduled(PendingState.READY, OTHER, None), ask(Reason.STARTED)),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("row", REPLACED)
def test_cell_with_replace(row, state):
    fields, decision = REPLACED[row]
    assert result(fields, state, replace=True) == decision


def test_any_pending_image_is_canceled_if_none_is_named():
    assert result(held(OTHER), DesiredState.CANCELED, image=None) == cancel


def test_scheduled_push_is_rescheduled():
    fields = scheduled(PendingState.READY, start=LATER)
    assert result(fields, DesiredState.PRESENT, start_time=LATER + 1000) == Decision(Action.RESCHEDULE)
    assert result(fields, DesiredState.PRESENT, start_time=LATER + 999) == follow
    assert result(fields, DesiredState.PRESENT, start_time=LATER) == follow
    assert result(fields, DesiredState.PRESENT) == follow


def test_push_that_has_started_is_not_rescheduled():
    assert result(scheduled(PendingState.READY), DesiredState.PRESENT, start_time=LATER) == follow


@pytest.mark.parametrize("state", [DesiredState.PRESENT, DesiredState.STAGED])
def test_start_in_the_past_is_refused(state):
    assert result({}, state, start_time=NOW) == refuse(Reason.START_PASSED)
    assert result({"current": IMAGE}, state, start_time=EARLIER) == nothing


def test_promoting_cannot_start_later():
    assert result(held(), DesiredState.PRESENT, start_time=LATER) == ask(Reason.PROMOTE_STARTS_NOW)
    assert result(held(), DesiredState.PRESENT, start_time=LATER, replace=True) == cancel


def test_image_that_was_staged_with_forced_logoff_is_not_promoted_without():
    fields = held(logoff_policy=FORCE_LOGOFF)
    assert result(fields, DesiredState.PRESENT) == ask(Reason.OTHER_LOGOFF_POLICY)
    assert result(fields, DesiredState.PRESENT, logoff_policy=FORCE_LOGOFF) == Decision(Action.PROMOTE)
    assert result(held(logoff_policy=WAIT_FOR_LOGOFF), DesiredState.PRESENT) == Decision(Action.PROMOTE)


def test_forced_logoff_is_not_kept_when_the_wish_is_to_wait():
    moved = {
        "operation": Operation.PUSH,
        "pending": pending(PendingState.READY, IMAGE, LATER, logoff_policy=FORCE_LOGOFF),
    }
    assert result(moved, DesiredState.PRESENT, start_time=LATER + 1000) == ask(Reason.OTHER_LOGOFF_POLICY)
    assert result(moved, DesiredState.PRESENT, start_time=LATER + 1000, replace=True) == cancel
    fields = held(logoff_policy=FORCE_LOGOFF)
    assert result(fields, DesiredState.STAGED, missing=("m1",)) == ask(Reason.OTHER_LOGOFF_POLICY)
    assert result(fields, DesiredState.STAGED) == nothing


@pytest.mark.parametrize("state", STATES)
def test_push_that_stopped_is_resumed_if_the_image_is_to_be_present(state):
    found = Observation(target=target(current=IMAGE, enabled=False, image_stream=True), now=NOW, halted=True)
    wish = Wish(state=state, image=IMAGE)
    assert decide(found, wish) == (Decision(Action.RESUME) if state is DesiredState.PRESENT else nothing)


def test_push_that_stopped_is_not_resumed_where_it_logs_users_off_or_cannot_create_machines():
    found = Observation(target=target(current=IMAGE), now=NOW, halted=True, forced=True)
    wish = Wish(state=DesiredState.PRESENT, image=IMAGE)
    assert decide(found, wish) == ask(Reason.OTHER_LOGOFF_POLICY)
    forced = dataclasses.replace(wish, logoff_policy=FORCE_LOGOFF, max_sessions=1)
    assert decide(found, forced) == Decision(Action.RESUME)
    assert decide(dataclasses.replace(found, connected=2), forced) == ask(Reason.TOO_MANY_SESSIONS)
    disabled = dataclasses.replace(found, target=target(current=IMAGE, provisioning=False))
    assert decide(disabled, forced) == ask(Reason.PROVISIONING_DISABLED)


def test_held_image_is_applied_to_the_machines_that_lack_it():
    assert result(held(), DesiredState.STAGED, missing=("m1",)) == Decision(Action.APPLY)
    assert result(held(), DesiredState.STAGED) == nothing


def test_staged_push_to_all_machines_can_be_replaced():
    fields = scheduled(PendingState.READY, start=LATER)
    assert result(fields, DesiredState.STAGED, replace=True) == cancel


PROFILE, SMALLER = ComputeProfile(4, 2, 8192), ComputeProfile(2, 2, 4096)


@pytest.mark.parametrize(
    "wish, fields",
    [
        ({"add_virtual_tpm": True}, {"add_virtual_tpm": False}),
        ({"add_virtual_tpm": False}, {"add_virtual_tpm": True}),
        ({"compute_profile": PROFILE}, {"compute_profile": SMALLER}),
    ],
)
def test_current_image_with_other_settings_is_pushed_again(wish, fields):
    assert result({"current": IMAGE, **fields}, DesiredState.PRESENT, **wish) == push
    assert result({"current": IMAGE, **fields}, DesiredState.PRESENT) == nothing


def test_pending_image_with_other_settings_needs_a_decision():
    fields = {
        "operation": Operation.PUSH,
        "pending": pending(PendingState.PUBLISHING, add_virtual_tpm=False),
    }
    assert result(fields, DesiredState.PRESENT, add_virtual_tpm=True) == ask(Reason.OTHER_SETTINGS)
    assert result(fields, DesiredState.PRESENT, add_virtual_tpm=True, replace=True) == cancel
    profile = dataclasses.replace(pending(PendingState.PUBLISHING), compute_profile=SMALLER)
    fields = {"operation": Operation.PUSH, "pending": profile}
    assert result(fields, DesiredState.PRESENT, compute_profile=PROFILE) == ask(Reason.OTHER_SETTINGS)


@pytest.mark.parametrize("state", [DesiredState.PRESENT, DesiredState.STAGED])
def test_options_allow_what_is_refused_by_default(state):
    request = push if state is DesiredState.PRESENT else stage
    assert result({"enabled": False}, state, allow_disabled=True) == request
    assert result({"image_stream": True}, state, change_source=True) == request
    disabled = {"provisioning": False}
    assert result(disabled, state, enable_provisioning=True) == Decision(Action.ENABLE_PROVISIONING)
    assert result(disabled, state, FARM, enable_provisioning=True) == ask(Reason.PROVISIONING_DISABLED)


def test_promoting_needs_provisioning():
    assert result({**held(), "provisioning": False}, DesiredState.PRESENT) == ask(Reason.PROVISIONING_DISABLED)


def test_image_of_another_datacenter_is_refused():
    seen = Observation(target=target(), now=NOW, same_datacenter=False)
    assert decide(seen, Wish(state=DesiredState.PRESENT, image=IMAGE)) == refuse(Reason.OTHER_DATACENTER)
    assert decide(seen, Wish(state=DesiredState.CANCELED, image=IMAGE)) == nothing


@pytest.mark.parametrize("fields", [{}, held()], ids=["push", "promote"])
@pytest.mark.parametrize(
    "policy, connected, limit, asks",
    [
        (FORCE_LOGOFF, 6, 5, True),
        (FORCE_LOGOFF, 5, 5, False),
        (FORCE_LOGOFF, 1, 0, True),
        (FORCE_LOGOFF, 100, None, False),
        (WAIT_FOR_LOGOFF, 100, 0, False),
    ],
)
def test_connected_sessions_limit_a_forced_logoff(fields, policy, connected, limit, asks):
    seen = Observation(target=target(**fields), now=NOW, connected=connected)
    wish = Wish(state=DesiredState.PRESENT, image=IMAGE, logoff_policy=policy, max_sessions=limit)
    assert (decide(seen, wish) == ask(Reason.TOO_MANY_SESSIONS)) is asks


_PENDING = [
    None,
    *(
        PendingImage(state, image, settings=PushSettings(start_time=start, logoff_policy=policy))
        for state, image, start, policy in itertools.product(
            PendingState, (IMAGE, OTHER, None), (None, EARLIER, LATER), (None, FORCE_LOGOFF, WAIT_FOR_LOGOFF)
        )
    ),
]
_targets = st.builds(
    target,
    kind=st.sampled_from([POOL, FARM]),
    type=st.sampled_from(["AUTOMATED", "AUTOMATED", "AUTOMATED", "MANUAL", ""]),
    source=st.sampled_from(["INSTANT_CLONE", "INSTANT_CLONE", "INSTANT_CLONE", "LINKED_CLONE"]),
    enabled=st.booleans(),
    provisioning=st.sampled_from([True, False, None]),
    delete_in_progress=st.sampled_from([False, False, True]),
    operation=st.sampled_from(Operation),
    current=st.sampled_from([IMAGE, OLD, None]),
    current_state=st.sampled_from(CurrentState),
    pending=st.sampled_from(_PENDING),
    image_stream=st.booleans(),
)
_observations = st.builds(
    Observation,
    target=_targets,
    now=st.just(NOW),
    same_datacenter=st.booleans(),
    machines_without_image=st.sampled_from([(), ("m1",)]),
    halted=st.booleans(),
    forced=st.booleans(),
    connected=st.integers(0, 3),
)
_wishes = st.builds(
    Wish,
    state=st.sampled_from(DesiredState),
    image=st.just(IMAGE),
    start_time=st.sampled_from([None, EARLIER, LATER]),
    logoff_policy=st.sampled_from([FORCE_LOGOFF, WAIT_FOR_LOGOFF]),
    max_sessions=st.sampled_from([None, 0, 2]),
    replace=st.booleans(),
    change_source=st.booleans(),
    enable_provisioning=st.booleans(),
    allow_disabled=st.booleans(),
)


@given(_observations, _wishes)
def test_request_is_only_sent_in_a_documented_state(seen, wish):
    decision = decide(seen, wish)
    found = seen.target
    if decision.action not in REQUESTS:
        assert decision.reason is None or decision.action in (Action.ASK, Action.REFUSE)
        return
    assert found.operation in (Operation.NONE, Operation.PUSH)
    assert (found.type, found.source) == ("AUTOMATED", "INSTANT_CLONE") and not found.delete_in_progress
    assert found.current is not None and found.current_state in (CurrentState.NONE, CurrentState.READY)
    state = found.pending.state if found.pending else None
    assert state not in (PendingState.UNKNOWN, PendingState.UNPUBLISHING)
    if decision.action in (Action.PUSH, Action.STAGE):
        assert found.operation is Operation.NONE and state in (None, PendingState.FAILED)
    if decision.action in (Action.PROMOTE, Action.APPLY):
        assert found.operation is Operation.NONE and state is PendingState.READY_HELD
        assert found.pending is not None and found.pending.image == IMAGE


@given(_observations, _wishes)
def test_forced_logoff_respects_the_limit(seen, wish):
    remakes = decide(seen, wish).action in (Action.PUSH, Action.STAGE, Action.PROMOTE, Action.APPLY)
    if remakes and wish.logoff_policy == FORCE_LOGOFF and wish.max_sessions is not None:
        assert seen.connected <= wish.max_sessions


@given(_observations, _wishes)
def test_push_of_another_image_is_only_canceled_with_replace(seen, wish):
    if decide(seen, wish).action is Action.CANCEL and wish.state is not DesiredState.CANCELED:
        assert wish.replace


@given(_observations, _wishes)
def test_decision_is_unchanged_where_the_image_is_current_and_nothing_is_pending(seen, wish):
    settled = dataclasses.replace(
        seen,
        halted=False,
        target=dataclasses.replace(
            target(seen.target.kind), current=IMAGE, enabled=seen.target.enabled, provisioning=seen.target.provisioning
        ),
    )
    assert decide(settled, wish) == nothing


def test_forced_push_is_not_rescheduled_while_too_many_users_are_connected():
    fields = {
        "operation": Operation.PUSH,
        "pending": pending(PendingState.READY, start=LATER, logoff_policy=FORCE_LOGOFF),
    }
    seen = Observation(target=target(**fields), now=NOW, connected=3)
    wish = Wish(
        state=DesiredState.PRESENT, image=IMAGE, start_time=NOW + 5000, logoff_policy=FORCE_LOGOFF, max_sessions=2
    )
    assert decide(seen, wish) == ask(Reason.TOO_MANY_SESSIONS)
    assert decide(dataclasses.replace(seen, connected=2), wish) == Decision(Action.RESCHEDULE)
