# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide the next step for a packaging machine, from the observed state alone.

``next_step`` is a pure function of the state and the goal. A run executes the step and continues with ``after``, the state
that the step leads to, until a final step; check mode lists the same steps with ``remaining_steps``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any


class Goal(enum.Enum):
    """The option ``state`` of the module."""

    PRESENT = "present"
    FINALIZED = "finalized"
    ABSENT = "absent"


class PackagingState(enum.Enum):
    """The progress of a packaging machine."""

    #: The VM does not exist.
    ABSENT = "absent"
    #: The upload of its disk was interrupted: the VM cannot have been used.
    INCOMPLETE = "incomplete"
    #: The VM is complete and has never been powered on.
    NEVER_STARTED = "never started"
    RUNNING = "running"
    STOPPED = "stopped"


class Step(enum.Enum):
    """A step, or a final result."""

    REMOVE_INCOMPLETE = "remove the incomplete VM"
    CREATE = "compose the image and create the VM"
    START = "power the VM on for the first time"
    RESUME = "power the VM on again"
    RECORD = "record where the VM is"
    AWAIT_ADDRESS = "wait for VMware Tools to report an address"
    LEAVE_ALONE = "leave Windows alone until it has run long enough"
    SHUT_DOWN = "shut Windows down"
    EXPORT = "export the disk"
    REMOVE_VM = "delete the VM"
    REMOVE_PACKAGE = "delete the exported package"
    FORGET = "delete the record and write the audit log"
    # Final: results
    CAPTURED = "the layer version was captured"
    WORK = "an administrator installs the application, or Windows is left alone"
    WORK_MISSING = "the VM ran too briefly for an installation"
    READY_TO_FINALIZE = "the VM is powered off and can be finalized"
    FINALIZED = "the disk is exported"
    GONE = "nothing of the packaging machine exists"
    # Final: the goal cannot be reached from this state
    MISSING = "the VM does not exist"
    NOT_STARTED = "the VM was never powered on"
    NOT_RECORDED = "the repository has no record of the VM"


FINAL = frozenset(
    (
        Step.CAPTURED,
        Step.WORK,
        Step.WORK_MISSING,
        Step.READY_TO_FINALIZE,
        Step.FINALIZED,
        Step.GONE,
        Step.MISSING,
        Step.NOT_STARTED,
        Step.NOT_RECORDED,
    )
)
#: Steps that change the packaging machine, as diff mode shows it.
CHANGES = frozenset((Step.REMOVE_INCOMPLETE, Step.CREATE, Step.START, Step.RESUME))


@dataclass(frozen=True)
class Observation:
    """The state that decides what to do next.

    ``captured``: the layer version exists already. ``has_record``: the catalog has a record; ``recorded``: it names this VM.
    ``resume``: the VM is to be powered on again. ``ran_too_briefly``: nothing can have been installed. ``address_due``: wait for
    an address. ``run_due``: Windows is to be left alone for some more time before it is shut down. ``exported``: the package on
    the share is that of the disk as it is now. ``package_due``: a package is to be deleted. ``removed``: this run has deleted
    something that the audit log does not show yet.
    """

    state: PackagingState
    captured: bool = False
    has_record: bool = True
    recorded: bool = True
    resume: bool = False
    ran_too_briefly: bool = False
    address_due: bool = False
    run_due: bool = False
    exported: bool = False
    package_due: bool = False
    removed: bool = False


def next_step(observation: Observation, goal: Goal) -> Step:
    """Return the next step towards the goal."""
    if goal is Goal.PRESENT:
        return _next_to_present(observation)
    return _next_to_finalized(observation) if goal is Goal.FINALIZED else _next_to_absent(observation)


def _next_to_present(observation: Observation) -> Step:
    state = observation.state
    if observation.captured:
        return Step.CAPTURED
    if state in _PREPARATION:
        return _PREPARATION[state]
    if state is PackagingState.STOPPED and observation.resume:
        return Step.RESUME
    if not observation.recorded:
        return Step.RECORD
    if state is PackagingState.RUNNING:
        return Step.AWAIT_ADDRESS if observation.address_due else Step.WORK
    return Step.WORK_MISSING if observation.ran_too_briefly else Step.READY_TO_FINALIZE


_PREPARATION = {
    PackagingState.INCOMPLETE: Step.REMOVE_INCOMPLETE,
    PackagingState.ABSENT: Step.CREATE,
    PackagingState.NEVER_STARTED: Step.START,
}


def _next_to_finalized(observation: Observation) -> Step:
    state = observation.state
    if state is PackagingState.ABSENT:
        return Step.CAPTURED if observation.captured else Step.MISSING
    if state in (PackagingState.INCOMPLETE, PackagingState.NEVER_STARTED):
        return Step.NOT_STARTED
    if not observation.has_record:
        return Step.NOT_RECORDED
    if state is PackagingState.RUNNING:
        return Step.LEAVE_ALONE if observation.run_due else Step.SHUT_DOWN
    if observation.ran_too_briefly:
        return Step.WORK_MISSING
    return Step.FINALIZED if observation.exported else Step.EXPORT


def _next_to_absent(observation: Observation) -> Step:
    if observation.state is not PackagingState.ABSENT:
        return Step.REMOVE_VM
    if observation.package_due:
        return Step.REMOVE_PACKAGE
    return Step.FORGET if observation.has_record or observation.removed else Step.GONE


def after(observation: Observation, step: Step) -> Observation:
    """Return the state that ``step`` leads to when it succeeds."""
    return replace(observation, **_AFTER[step])


_AFTER: dict[Step, dict[str, Any]] = {
    Step.REMOVE_INCOMPLETE: {"state": PackagingState.ABSENT},
    Step.CREATE: {"state": PackagingState.NEVER_STARTED, "has_record": True, "recorded": False},
    Step.START: {"state": PackagingState.RUNNING, "resume": False},
    Step.RESUME: {"state": PackagingState.RUNNING, "resume": False},
    Step.RECORD: {"has_record": True, "recorded": True},
    Step.AWAIT_ADDRESS: {"address_due": False},
    Step.LEAVE_ALONE: {"run_due": False},
    Step.SHUT_DOWN: {"state": PackagingState.STOPPED, "exported": False, "ran_too_briefly": False},
    Step.EXPORT: {"exported": True},
    Step.REMOVE_VM: {"state": PackagingState.ABSENT, "removed": True},
    Step.REMOVE_PACKAGE: {"package_due": False, "removed": True},
    Step.FORGET: {"has_record": False, "removed": False},
}


def remaining_steps(observation: Observation, goal: Goal) -> tuple[Step, ...]:
    """Return the steps from the observed state to the final step, which is the last element, if every step succeeds."""
    steps = [next_step(observation, goal)]
    while steps[-1] not in FINAL and len(steps) <= len(Step):
        observation = after(observation, steps[-1])
        steps.append(next_step(observation, goal))
    return tuple(steps)
