# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision about the next step of publishing, for every state of the VM and every report of the guest."""

from __future__ import annotations

import dataclasses

import hypothesis
import pytest
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.publish.decision import (
    FINAL,
    Observation,
    Step,
    after,
    next_step,
    remaining_steps,
)
from ansible_collections.strata.layering.plugins.module_utils.publish.guest.guest_report import (
    AUTOMATIC,
    FAILED,
    FINISHED,
    MANUAL,
    RUNNING,
)
from ansible_collections.strata.layering.plugins.module_utils.publish.machine.machine_state import MachineState

REPORTS = (None, RUNNING, FAILED, FINISHED)
#: The next step by VM state, publish mode and the guest's report.
STEPS = {
    (MachineState.ABSENT, AUTOMATIC): dict.fromkeys(REPORTS, Step.CREATE),
    (MachineState.ABSENT, MANUAL): dict.fromkeys(REPORTS, Step.CREATE),
    (MachineState.INCOMPLETE, AUTOMATIC): dict.fromkeys(REPORTS, Step.REMOVE_VM),
    (MachineState.INCOMPLETE, MANUAL): dict.fromkeys(REPORTS, Step.REMOVE_VM),
    (MachineState.UPLOADED, AUTOMATIC): dict.fromkeys(REPORTS, Step.FINISH_UPLOAD),
    (MachineState.UPLOADED, MANUAL): dict.fromkeys(REPORTS, Step.FINISH_UPLOAD),
    (MachineState.READY_TO_START, AUTOMATIC): dict.fromkeys(REPORTS, Step.POWER_ON),
    (MachineState.READY_TO_START, MANUAL): dict.fromkeys(REPORTS, Step.POWER_ON),
    (MachineState.RUNNING, AUTOMATIC): {
        None: Step.AWAIT_GUEST,
        RUNNING: Step.AWAIT_GUEST,
        FAILED: Step.ACTION_REQUIRED,
        FINISHED: Step.AWAIT_GUEST,
    },
    (MachineState.RUNNING, MANUAL): dict.fromkeys(REPORTS, Step.ACTION_REQUIRED),
    (MachineState.STOPPED, AUTOMATIC): dict.fromkeys(REPORTS, Step.SNAPSHOT),
    (MachineState.STOPPED, MANUAL): dict.fromkeys(REPORTS, Step.SNAPSHOT),
    (MachineState.NEEDS_SNAPSHOT, AUTOMATIC): dict.fromkeys(REPORTS, Step.SNAPSHOT),
    (MachineState.NEEDS_SNAPSHOT, MANUAL): dict.fromkeys(REPORTS, Step.SNAPSHOT),
    (MachineState.PUBLISHED, AUTOMATIC): dict.fromkeys(REPORTS, Step.RECORD),
    (MachineState.PUBLISHED, MANUAL): dict.fromkeys(REPORTS, Step.RECORD),
} | {
    (state, mode): dict.fromkeys(REPORTS, Step.ACTION_REQUIRED)
    for state in (
        MachineState.PUBLISHED_POWERED_ON,
        MachineState.SNAPSHOT_REMOVED,
        MachineState.TEMPLATE,
        MachineState.SETTINGS_CHANGED,
        MachineState.INACCESSIBLE,
    )
    for mode in (AUTOMATIC, MANUAL)
}
PUBLISHED = Observation(MachineState.PUBLISHED, published=True)
FROM_CREATE_TO_SNAPSHOT = (Step.CREATE, Step.POWER_ON, Step.AWAIT_GUEST, Step.SNAPSHOT, Step.RECORD)

flags = st.booleans()
observations = st.builds(
    Observation,
    machine_state=st.sampled_from(MachineState),
    publish_mode=st.sampled_from((AUTOMATIC, MANUAL)),
    script_state=st.sampled_from(REPORTS),
    published=flags,
    verified=flags,
    scripts_interrupted=flags,
    completion_lost=flags,
    connector_script_due=flags,
    retirement_due=flags,
    superseded_tasks=flags,
    leftover_vms=flags,
    task_begun=flags,
)


def test_the_table_covers_every_state_and_mode():
    assert set(STEPS) == {(state, mode) for state in MachineState for mode in (AUTOMATIC, MANUAL)}


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize(("state", "mode"), STEPS, ids=lambda value: getattr(value, "name", value))
def test_next_step_of_a_vm_state(state, mode, report):
    assert next_step(Observation(state, mode, report)) is STEPS[state, mode][report]


@pytest.mark.parametrize(
    ("observation", "step"),
    [
        (Observation(MachineState.STOPPED, scripts_interrupted=True), Step.POWER_ON),
        (Observation(MachineState.TEMPLATE, leftover_vms=True), Step.ACTION_REQUIRED),
        (Observation(MachineState.ABSENT, leftover_vms=True), Step.REMOVE_LEFTOVERS),
        (Observation(MachineState.INCOMPLETE, leftover_vms=True), Step.REMOVE_LEFTOVERS),
        (Observation(MachineState.RUNNING, script_state=FAILED, leftover_vms=True), Step.ACTION_REQUIRED),
        (Observation(MachineState.ABSENT, superseded_tasks=True, leftover_vms=True), Step.CANCEL_SUPERSEDED),
        (Observation(MachineState.PUBLISHED_POWERED_ON, superseded_tasks=True), Step.CANCEL_SUPERSEDED),
        (PUBLISHED, Step.VERIFY),
        (dataclasses.replace(PUBLISHED, verified=True), Step.DONE),
        (dataclasses.replace(PUBLISHED, verified=True, connector_script_due=True), Step.CONNECTOR_SCRIPT),
        (dataclasses.replace(PUBLISHED, verified=True, retirement_due=True), Step.RETIRE),
        (dataclasses.replace(PUBLISHED, verified=True, task_begun=True), Step.COMPLETE),
    ],
)
def test_next_step_with_a_circumstance(observation, step):
    assert next_step(observation) is step


@pytest.mark.parametrize(
    ("observation", "steps"),
    [
        (Observation(MachineState.ABSENT), (*FROM_CREATE_TO_SNAPSHOT, Step.RETIRE, Step.COMPLETE, Step.DONE)),
        (
            Observation(MachineState.ABSENT, connector_script_due=True),
            (*FROM_CREATE_TO_SNAPSHOT, Step.CONNECTOR_SCRIPT, Step.RETIRE, Step.COMPLETE, Step.DONE),
        ),
        (
            Observation(MachineState.UPLOADED),
            (Step.FINISH_UPLOAD, *FROM_CREATE_TO_SNAPSHOT[1:], Step.RETIRE, Step.COMPLETE, Step.DONE),
        ),
        (Observation(MachineState.ABSENT, MANUAL), (Step.CREATE, Step.POWER_ON, Step.ACTION_REQUIRED)),
        (
            Observation(MachineState.STOPPED, MANUAL),
            (Step.SNAPSHOT, Step.RECORD, Step.RETIRE, Step.COMPLETE, Step.DONE),
        ),
        (PUBLISHED, (Step.VERIFY, Step.DONE)),
        (
            dataclasses.replace(PUBLISHED, completion_lost=True),
            (Step.VERIFY, Step.RETIRE, Step.COMPLETE, Step.DONE),
        ),
        (
            dataclasses.replace(PUBLISHED, retirement_due=True),
            (Step.VERIFY, Step.RETIRE, Step.COMPLETE, Step.DONE),
        ),
        (
            dataclasses.replace(PUBLISHED, connector_script_due=True),
            (Step.VERIFY, Step.CONNECTOR_SCRIPT, Step.RETIRE, Step.COMPLETE, Step.DONE),
        ),
        (Observation(MachineState.RUNNING, script_state=FAILED), (Step.ACTION_REQUIRED,)),
        (
            Observation(MachineState.RUNNING, script_state=FAILED, superseded_tasks=True),
            (Step.CANCEL_SUPERSEDED, Step.ACTION_REQUIRED),
        ),
    ],
)
def test_remaining_steps_of_an_observation(observation, steps):
    assert remaining_steps(observation) == steps


@hypothesis.given(observations)
def test_every_observation_reaches_a_final_step(observation):
    steps = remaining_steps(observation)
    assert steps[-1] in FINAL
    assert not FINAL.intersection(steps[:-1])
    assert len(set(steps)) == len(steps), "a step is repeated"


@hypothesis.given(observations, st.data())
def test_a_run_that_is_interrupted_anywhere_reaches_a_final_step(observation, data):
    """Each step may be interrupted up to three times and begins again; the guest may report anything while it runs."""
    interruptions, executed = 0, 0
    while (step := next_step(observation)) not in FINAL:
        executed += 1
        assert executed <= 40
        if interruptions < 3 and data.draw(st.booleans()):
            interruptions += 1
            continue
        observation = after(observation, step)
        if observation.machine_state is MachineState.RUNNING:
            observation = dataclasses.replace(observation, script_state=data.draw(st.sampled_from(REPORTS)))


@hypothesis.given(observations)
def test_an_image_is_recorded_and_verified_when_publishing_is_done(observation):
    while (step := next_step(observation)) not in FINAL:
        observation = after(observation, step)
    if step is Step.DONE:
        assert observation.published
        assert observation.verified
        assert not observation.task_begun
        assert not observation.connector_script_due


@hypothesis.given(observations)
def test_a_vm_is_removed_only_if_its_disk_is_incomplete(observation):
    while (step := next_step(observation)) not in FINAL:
        if step is Step.REMOVE_VM:
            assert observation.machine_state is MachineState.INCOMPLETE
        observation = after(observation, step)
