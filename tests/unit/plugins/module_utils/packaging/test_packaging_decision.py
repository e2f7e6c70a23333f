# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision about the next step for a packaging machine, for every state and goal."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.packaging.decision import (
    FINAL,
    Goal,
    Observation,
    PackagingState,
    Step,
    after,
    next_step,
    remaining_steps,
)

#: The next step by state of the VM, for each goal.
STEPS = {
    Goal.PRESENT: {
        PackagingState.ABSENT: Step.CREATE,
        PackagingState.INCOMPLETE: Step.REMOVE_INCOMPLETE,
        PackagingState.NEVER_STARTED: Step.START,
        PackagingState.RUNNING: Step.WORK,
        PackagingState.STOPPED: Step.READY_TO_FINALIZE,
    },
    Goal.FINALIZED: {
        PackagingState.ABSENT: Step.MISSING,
        PackagingState.INCOMPLETE: Step.NOT_STARTED,
        PackagingState.NEVER_STARTED: Step.NOT_STARTED,
        PackagingState.RUNNING: Step.SHUT_DOWN,
        PackagingState.STOPPED: Step.EXPORT,
    },
    Goal.ABSENT: {
        PackagingState.ABSENT: Step.FORGET,
        PackagingState.INCOMPLETE: Step.REMOVE_VM,
        PackagingState.NEVER_STARTED: Step.REMOVE_VM,
        PackagingState.RUNNING: Step.REMOVE_VM,
        PackagingState.STOPPED: Step.REMOVE_VM,
    },
}

flags = st.booleans()
observations = st.builds(
    Observation,
    state=st.sampled_from(PackagingState),
    captured=flags,
    has_record=flags,
    recorded=flags,
    resume=flags,
    ran_too_briefly=flags,
    address_due=flags,
    run_due=flags,
    exported=flags,
    package_due=flags,
    removed=flags,
)
goals = st.sampled_from(Goal)


@pytest.mark.parametrize("state", PackagingState)
@pytest.mark.parametrize("goal", Goal)
def test_next_step_of_a_state(goal, state):
    assert next_step(Observation(state), goal) is STEPS[goal][state]


@pytest.mark.parametrize(
    ("goal", "observation", "step"),
    [
        (Goal.PRESENT, Observation(PackagingState.ABSENT, captured=True), Step.CAPTURED),
        (Goal.PRESENT, Observation(PackagingState.STOPPED, resume=True), Step.RESUME),
        (Goal.PRESENT, Observation(PackagingState.STOPPED, ran_too_briefly=True), Step.WORK_MISSING),
        (Goal.PRESENT, Observation(PackagingState.RUNNING, recorded=False), Step.RECORD),
        (Goal.PRESENT, Observation(PackagingState.RUNNING, address_due=True), Step.AWAIT_ADDRESS),
        (Goal.FINALIZED, Observation(PackagingState.ABSENT, captured=True), Step.CAPTURED),
        (Goal.FINALIZED, Observation(PackagingState.STOPPED, has_record=False), Step.NOT_RECORDED),
        (Goal.FINALIZED, Observation(PackagingState.STOPPED, exported=True), Step.FINALIZED),
        (Goal.FINALIZED, Observation(PackagingState.RUNNING, run_due=True), Step.LEAVE_ALONE),
        (Goal.FINALIZED, Observation(PackagingState.STOPPED, ran_too_briefly=True), Step.WORK_MISSING),
        (Goal.ABSENT, Observation(PackagingState.ABSENT, has_record=False), Step.GONE),
        (Goal.ABSENT, Observation(PackagingState.ABSENT, has_record=False, package_due=True), Step.REMOVE_PACKAGE),
    ],
)
def test_next_step_with_a_circumstance(goal, observation, step):
    assert next_step(observation, goal) is step


@pytest.mark.parametrize(
    ("goal", "observation", "steps"),
    [
        (
            Goal.PRESENT,
            Observation(PackagingState.INCOMPLETE, address_due=True),
            (Step.REMOVE_INCOMPLETE, Step.CREATE, Step.START, Step.RECORD, Step.AWAIT_ADDRESS, Step.WORK),
        ),
        (Goal.PRESENT, Observation(PackagingState.STOPPED, resume=True), (Step.RESUME, Step.WORK)),
        (Goal.FINALIZED, Observation(PackagingState.RUNNING), (Step.SHUT_DOWN, Step.EXPORT, Step.FINALIZED)),
        (
            Goal.FINALIZED,
            Observation(PackagingState.RUNNING, run_due=True, ran_too_briefly=True),
            (Step.LEAVE_ALONE, Step.SHUT_DOWN, Step.EXPORT, Step.FINALIZED),
        ),
        (
            Goal.ABSENT,
            Observation(PackagingState.RUNNING, package_due=True),
            (Step.REMOVE_VM, Step.REMOVE_PACKAGE, Step.FORGET, Step.GONE),
        ),
        (
            Goal.ABSENT,
            Observation(PackagingState.STOPPED, has_record=False),
            (Step.REMOVE_VM, Step.FORGET, Step.GONE),
        ),
    ],
)
def test_remaining_steps_of_an_observation(goal, observation, steps):
    assert remaining_steps(observation, goal) == steps


@hypothesis.given(observations, goals)
def test_every_observation_reaches_a_final_step(observation, goal):
    steps = remaining_steps(observation, goal)
    assert steps[-1] in FINAL
    assert len(set(steps)) == len(steps), "a step is repeated"


@hypothesis.given(observations, goals, st.data())
def test_a_run_that_is_interrupted_anywhere_reaches_a_final_step(observation, goal, data):
    """A step may be interrupted up to three times; then the same state is observed again."""
    interruptions, executed = 0, 0
    while (step := next_step(observation, goal)) not in FINAL:
        executed += 1
        assert executed <= 20
        if interruptions < 3 and data.draw(st.booleans()):
            interruptions += 1
            continue
        observation = after(observation, step)
