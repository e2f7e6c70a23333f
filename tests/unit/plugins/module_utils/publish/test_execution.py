# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VM that a task records before its steps are executed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.publish.decision import Observation, Step
from ansible_collections.strata.layering.plugins.module_utils.publish.execution import Execution
from ansible_collections.strata.layering.plugins.module_utils.publish.machine import machine_state
from ansible_collections.strata.layering.plugins.module_utils.publish.machine.machine_state import MachineState
from ansible_collections.strata.layering.plugins.module_utils.publish.publish_view import Situation

FACTS = SimpleNamespace(name="office-1", moid="vm-1", instance_uuid="uuid-1", path="/DC/vm/office-1", datacenter="DC")


def recorded(observation: Observation) -> dict:
    """Return the changes to the task that an execution of this situation makes before its first step."""
    changes: dict = {}
    context = SimpleNamespace(task=SimpleNamespace(update=changes.update))
    Execution(context, Situation(observation, FACTS), SimpleNamespace())
    return changes


@pytest.mark.parametrize("state", [MachineState.READY_TO_START, MachineState.STOPPED, MachineState.NEEDS_SNAPSHOT])
def test_execution_of_a_usable_vm_records_it(state):
    assert recorded(Observation(state))["vm"].moid == "vm-1"


def test_execution_of_a_vm_to_remove_does_not_record_it():
    # Canceling removes the VM that the task records.
    assert "vm" not in recorded(Observation(MachineState.INCOMPLETE))


def test_execution_of_a_vm_to_remove_says_so_in_the_task(monkeypatch):
    # The lease of an interrupted upload can hold the VM for minutes, and the task described the upload until then.
    done = []
    monkeypatch.setattr(machine_state, "remove_machine", lambda *_arguments: done.append("removed"))
    context = SimpleNamespace(
        task=SimpleNamespace(update=lambda **_changes: None),
        begin=lambda step, description: done.append((step, FACTS.name in description)),
        cancel=SimpleNamespace(check=lambda: None),
        session=None,
    )
    situation = Situation(Observation(MachineState.INCOMPLETE), FACTS)
    Execution(context, situation, SimpleNamespace()).execute(Step.REMOVE_VM)
    assert done == [("create", True), "removed"]
