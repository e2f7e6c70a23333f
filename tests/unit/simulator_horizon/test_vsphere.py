# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base VMs and snapshots of the simulated Connection Server: those of a running vSphere simulator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.tests.support import horizon_fixtures, simulator_fixtures
from ansible_collections.strata.layering.tests.support.horizon_rest import RestClient
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.simulator import Simulator

shared_simulator = simulator_fixtures.shared_simulator
shared_vsphere_horizon = horizon_fixtures.shared_vsphere_horizon
vsphere_horizon = horizon_fixtures.vsphere_horizon
_NAME = "horizon-golden"


@pytest.fixture
def vm(shared_simulator: Simulator) -> Iterator[Any]:
    """Provide a VM of the vSphere simulator with the snapshots Old, and New below it."""
    content = shared_simulator.connect().RetrieveContent()
    template = content.searchIndex.FindByInventoryPath("/DC0/vm/windows-template")
    pool = content.searchIndex.FindByInventoryPath("/DC0/host/DC0_C0/Resources")
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=pool), powerOn=False, template=False)
    task = template.CloneVM_Task(template.parent, _NAME, spec)
    WaitForTask(task)
    clone = task.info.result
    for name in ("Old", "New"):
        _retry(lambda name=name: clone.CreateSnapshot_Task(name, "", False, False))
    yield clone
    _retry(clone.Destroy_Task)


def _retry(begin: Any) -> None:
    """Run a task again while the VM is busy, as it is for a moment after a change."""
    for attempt in range(100):
        try:
            WaitForTask(begin())
            return
        except (vim.fault.InvalidState, vim.fault.TaskInProgress):
            time.sleep(0.02)
    raise AssertionError("the VM is still busy")


def test_vms_and_snapshots_are_those_of_vsphere(
    vm: Any, shared_simulator: Simulator, vsphere_horizon: HorizonSimulator
) -> None:
    rest = RestClient.log_in(vsphere_horizon)
    vcenter = rest.get("/config/v2/virtual-centers")[0]
    about = shared_simulator.connect().RetrieveContent().about
    assert (vcenter["server_name"], vcenter["instance_uuid"]) == ("vcenter1.example.com", about.instanceUuid)
    vms = rest.get("/external/v1/base-vms", vcenter_id=vcenter["id"])
    found = [item for item in vms if item["name"] == _NAME][0]
    assert (found["id"], found["path"]) == (vm._moId, f"/DC0/vm/{_NAME}")
    assert "windows-template" not in [item["name"] for item in vms]
    snapshots = rest.get("/external/v1/base-snapshots", vcenter_id=vcenter["id"], base_vm_id=vm._moId)
    assert [item["path"] for item in snapshots] == ["/Old", "/Old/New"]
    assert snapshots[1]["id"] == vm.snapshot.currentSnapshot._moId
    datacenters = rest.get("/external/v1/datacenters", vcenter_id=vcenter["id"])
    assert (found["datacenter_id"], "DC0") in [(item["id"], item["name"]) for item in datacenters]


def test_horizon_does_not_appear_in_the_journal_of_vsphere(
    vm: Any, shared_simulator: Simulator, vsphere_horizon: HorizonSimulator
) -> None:
    shared_simulator.clear_journal()
    vsphere_horizon.add_pool("sales", _NAME, "Old")
    assert shared_simulator.journal() == []


def test_removed_snapshot_cannot_be_pushed(vm: Any, vsphere_horizon: HorizonSimulator) -> None:
    vsphere_horizon.add_pool("sales", _NAME, "Old")
    rest = RestClient.log_in(vsphere_horizon)
    body = {
        "parent_vm_id": vm._moId,
        "snapshot_id": vm.snapshot.currentSnapshot._moId,
        "logoff_policy": "WAIT_FOR_LOGOFF",
    }
    path = f"/inventory/v2/desktop-pools/{vsphere_horizon.pool('sales')['id']}/action/schedule-push-image"
    assert rest.status("POST", path, body) == 200
    _retry(lambda: vm.snapshot.currentSnapshot.RemoveSnapshot_Task(False))
    vsphere_horizon.clock.advance(70)
    assert vsphere_horizon.pool("sales")["pending_state"] == "FAILED"
    assert rest.status("POST", path, body) == 400
