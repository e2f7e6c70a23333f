# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide the next step of publishing an image, from the observed state alone.

``next_step`` is the only place that knows the order of the steps. It is a pure function: a run executes
the step, continues with ``after`` (the state that the step leads to) and ends at a final step; check mode
lists the same steps with ``remaining_steps`` and executes none of them. After an interruption or a
transient error, a run observes the state again and continues from there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any

from .guest import guest_report
from .machine.machine_state import MachineState


class Step(enum.Enum):
    """A step of publishing. DONE and ACTION_REQUIRED are final: a run ends there."""

    CANCEL_SUPERSEDED = "cancel the tasks of earlier forms of the template"
    REMOVE_LEFTOVERS = "remove unfinished VMs of the template that no task records"
    REMOVE_VM = "remove the VM of the image whose disk is incomplete"
    CREATE = "compose the image, create the VM and upload its disk"
    FINISH_UPLOAD = "mark the VM whose disk is complete"
    POWER_ON = "power the VM on"
    AWAIT_GUEST = "wait for the scripts and for Windows to shut down"
    SNAPSHOT = "take the snapshot"
    RECORD = "verify the VM and record the image"
    VERIFY = "verify the recorded image"
    CONNECTOR_SCRIPT = "run the script of the connector"
    RETIRE = "remove VMs of older images"
    COMPLETE = "complete the task"
    ACTION_REQUIRED = "wait for an administrator"
    DONE = "nothing is left to do"


FINAL = frozenset((Step.DONE, Step.ACTION_REQUIRED))
#: More steps than any sequence has: see ``remaining_steps``.
_LONGEST_SEQUENCE = len(Step)


@dataclass(frozen=True)
class Observation:
    """The state that decides what to do next.

    ``published``: the image is recorded as the newest image of the template, and its VM is as it was published.
    ``verified``: this run has checked the published VM. ``script_state``: state in the guest's last report, None
    without a report. ``scripts_interrupted``: the VM is off, and the last known report says that a script was running
    or had failed (the ESXi host drops reports when the VM is powered off). ``completion_lost``: the run that finished the image
    failed afterwards, so that no task is complete. ``task_begun``: the task of this run is stored and has to be completed.
    """

    machine_state: MachineState
    publish_mode: str = guest_report.AUTOMATIC
    script_state: str | None = None
    published: bool = False
    verified: bool = False
    scripts_interrupted: bool = False
    completion_lost: bool = False
    connector_script_due: bool = False
    retirement_due: bool = False
    superseded_tasks: bool = False
    leftover_vms: bool = False
    task_begun: bool = False


def next_step(observation: Observation) -> Step:
    """Return the next step for the observed state."""
    if observation.superseded_tasks:
        return Step.CANCEL_SUPERSEDED
    if not observation.published:
        return _next_step_to_image(observation)
    if not observation.verified:
        return Step.VERIFY
    if observation.connector_script_due:
        return Step.CONNECTOR_SCRIPT
    if observation.retirement_due:
        return Step.RETIRE
    return Step.COMPLETE if observation.task_begun else Step.DONE


def _next_step_to_image(observation: Observation) -> Step:
    """Return the next step on the way to an image that is recorded."""
    step = _step_for_vm(observation)
    if step is not Step.ACTION_REQUIRED and observation.leftover_vms:
        return Step.REMOVE_LEFTOVERS
    return step


def _step_for_vm(observation: Observation) -> Step:
    state = observation.machine_state
    if state is MachineState.RUNNING:
        failed = observation.script_state == guest_report.FAILED
        manual = observation.publish_mode == guest_report.MANUAL
        return Step.ACTION_REQUIRED if failed or manual else Step.AWAIT_GUEST
    if state is MachineState.STOPPED:
        return Step.POWER_ON if observation.scripts_interrupted else Step.SNAPSHOT
    return _STEP_OF_STATE[state]


_STEP_OF_STATE = {
    MachineState.ABSENT: Step.CREATE,
    MachineState.INCOMPLETE: Step.REMOVE_VM,
    MachineState.UPLOADED: Step.FINISH_UPLOAD,
    MachineState.READY_TO_START: Step.POWER_ON,
    MachineState.NEEDS_SNAPSHOT: Step.SNAPSHOT,
    MachineState.PUBLISHED: Step.RECORD,
    # A VM that was a finished image, or that is not what its settings say, is never removed without an administrator.
    MachineState.PUBLISHED_POWERED_ON: Step.ACTION_REQUIRED,
    MachineState.SNAPSHOT_REMOVED: Step.ACTION_REQUIRED,
    MachineState.TEMPLATE: Step.ACTION_REQUIRED,
    MachineState.SETTINGS_CHANGED: Step.ACTION_REQUIRED,
    MachineState.INACCESSIBLE: Step.ACTION_REQUIRED,
}


def after(observation: Observation, step: Step) -> Observation:
    """Return the state that ``step`` leads to when it succeeds.

    Every step but VERIFY begins the task or belongs to a task that has begun. Once a task has begun, older images are
    always examined before it is completed.
    """
    if step is Step.CANCEL_SUPERSEDED:
        return replace(observation, superseded_tasks=False)
    if step is Step.REMOVE_LEFTOVERS:
        return replace(observation, leftover_vms=False)
    if step is Step.REMOVE_VM:
        return replace(observation, machine_state=MachineState.ABSENT, script_state=None)
    if step is Step.VERIFY:
        begun = observation.task_begun or observation.completion_lost
        return replace(observation, verified=True, task_begun=begun, retirement_due=observation.retirement_due or begun)
    if step is Step.RETIRE:
        return replace(observation, retirement_due=False, task_begun=True)
    if step is Step.COMPLETE:
        return replace(observation, task_begun=False)
    if step is Step.CONNECTOR_SCRIPT:
        return replace(observation, connector_script_due=False, task_begun=True, retirement_due=True)
    return replace(observation, **_AFTER_VM_STEP[step], task_begun=True)


_AFTER_VM_STEP: dict[Step, dict[str, Any]] = {
    Step.CREATE: {"machine_state": MachineState.READY_TO_START},
    Step.FINISH_UPLOAD: {"machine_state": MachineState.READY_TO_START},
    Step.POWER_ON: {"machine_state": MachineState.RUNNING, "script_state": None, "scripts_interrupted": False},
    Step.AWAIT_GUEST: {"machine_state": MachineState.STOPPED},
    Step.SNAPSHOT: {"machine_state": MachineState.PUBLISHED},
    Step.RECORD: {"published": True, "verified": True, "retirement_due": True},
}


def remaining_steps(observation: Observation) -> tuple[Step, ...]:
    """Return the steps from the observed state to the final step, which is the last element, if every step succeeds."""
    steps = [next_step(observation)]
    while steps[-1] not in FINAL and len(steps) <= _LONGEST_SEQUENCE:
        observation = after(observation, steps[-1])
        steps.append(next_step(observation))
    return tuple(steps)
