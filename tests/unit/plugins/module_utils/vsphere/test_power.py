# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Powering on where DRS selects the host."""

from __future__ import annotations

import time

import pytest
from pyVmomi import vim, vmodl

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.vsphere import vm as machines
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory import compute
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.plugins.module_utils.vsphere.tasks import wait_for_task
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer.import_specification import (
    DeployRequest,
    import_specification,
)

from .conftest import find_placement


def set_drs(session, level):
    inventory = Inventory(session)
    cluster = inventory.cluster(inventory.datacenter("DC0"), "DC0_C0")
    drs = vim.cluster.DrsConfigInfo(enabled=level is not None, defaultVmBehavior=level)
    spec = vim.cluster.ConfigSpecEx(drsConfig=drs)
    wait_for_task(session, cluster.ReconfigureComputeResource_Task(spec, True), "Changing DRS")


def host_of(session, machine):
    return read(session, machine, "runtime.host")["runtime.host"]


def state_of(session, machine):
    return read(session, machine, "runtime.powerState")["runtime.powerState"]


def enter_maintenance(session, machine):
    host = host_of(session, machine)
    wait_for_task(session, host.EnterMaintenanceMode_Task(0, False, None), "Entering maintenance mode")
    return host


@pytest.mark.parametrize("level", ["manual", "partiallyAutomated", "fullyAutomated"])
def test_power_on_host_in_maintenance_drs_selects_another(session, machine, level):
    set_drs(session, level)
    before = enter_maintenance(session, machine)
    machines.power_on(session, machine, any_host=True)
    assert state_of(session, machine) == "poweredOn"
    assert host_of(session, machine) != before


def test_power_on_host_full_drs_selects_another(simulator, session, machine):
    set_drs(session, "manual")
    before = host_of(session, machine)
    simulator.ask("POST", "/settings", {"full_hosts": [read(session, before, "name")["name"]]})
    with pytest.raises(StrataError) as caught:
        machines.power_on(session, machine)
    assert caught.value.code == "vsphere.resources"
    machines.power_on(session, machine, any_host=True)
    assert state_of(session, machine) == "poweredOn"
    assert host_of(session, machine) != before


def test_power_on_named_host_stays(session, machine):
    set_drs(session, "manual")
    before = enter_maintenance(session, machine)
    with pytest.raises(StrataError) as caught:
        machines.power_on(session, machine)
    assert caught.value.details["fault"] == "InvalidHostState"
    assert host_of(session, machine) == before


def test_power_on_recommendations_are_applied(simulator, session, machine):
    """A cluster may not let callers override its level."""
    set_drs(session, "manual")
    simulator.ask("POST", "/settings", {"drs_override": "ignore"})
    before = enter_maintenance(session, machine)
    machines.power_on(session, machine, any_host=True)
    assert len(simulator.journal(method="ApplyRecommendation")) == 1
    assert state_of(session, machine) == "poweredOn"
    assert host_of(session, machine) != before


def test_power_on_vm_powers_itself_off_at_once(simulator, session, machine):
    simulator.ask("POST", "/guests", {"vm": "desktop", "mode": "exit"})
    started = time.monotonic()
    machines.power_on(session, machine, any_host=True, timeout=60)
    assert time.monotonic() - started < 30


def test_power_on_without_usable_host_reports_the_fault(simulator, session, machine):
    set_drs(session, "fullyAutomated")
    simulator.ask("POST", "/settings", {"full_hosts": ["DC0_C0_H0", "DC0_C0_H1"]})
    with pytest.raises(StrataError) as caught:
        machines.power_on(session, machine, any_host=True)
    assert caught.value.details["fault"] == "NoCompatibleHost"
    assert state_of(session, machine) == "poweredOff"


def test_power_on_recommendation_may_not_be_applied_uses_the_host(simulator, session, machine):
    set_drs(session, "manual")
    simulator.ask("POST", "/settings", {"drs_override": "ignore"})
    simulator.rules.add("ApplyRecommendation", fault="NoPermission")
    machines.power_on(session, machine, any_host=True)
    assert state_of(session, machine) == "poweredOn"


@pytest.mark.parametrize("level", [None, "manual"])
def test_power_on_drs_cannot_be_asked_uses_the_host(simulator, session, machine, level):
    set_drs(session, level)
    if level:
        simulator.rules.add("PowerOnMultiVM_Task", fault="NoPermission")
    machines.power_on(session, machine, any_host=True)
    assert state_of(session, machine) == "poweredOn"
    assert len(simulator.journal(method="PowerOnVM_Task")) == 1
    assert len(simulator.journal(method="PowerOnMultiVM_Task")) == (1 if level else 0)


def test_drs_is_read_without_the_configuration_of_the_cluster(session, machine, monkeypatch):
    """The configuration of a cluster has every rule, group and override: one flag is read."""
    paths, real = [], compute.read

    def read_paths(session, item, *names, **options):
        paths.extend(names)
        return real(session, item, *names, **options)

    monkeypatch.setattr(compute, "read", read_paths)
    assert compute.has_drs(session, machine) is True
    cluster = read(session, host_of(session, machine), "parent")["parent"]
    assert compute.read_compute(session, read(session, cluster, "resourcePool")["resourcePool"], None).drs is True
    assert [path for path in paths if path.startswith("configuration")] == ["configuration.drsConfig.enabled"] * 2


@pytest.mark.parametrize("level", ["manual", "partiallyAutomated", "fullyAutomated"])
def test_import_without_a_host_avoids_a_host_in_maintenance(session, make_machine, level):
    set_drs(session, level)
    before = enter_maintenance(session, make_machine("first"))
    assert host_of(session, make_machine("second")) != before


def test_import_without_a_host_is_refused_without_drs(session, disk):
    placement = find_placement(session)
    set_drs(session, None)
    request = DeployRequest(
        name="desktop", placement=placement, hardware=Hardware(), capacity=disk.capacity, length=disk.length
    )
    made = import_specification(session, request)
    with pytest.raises(vmodl.fault.InvalidArgument) as caught:
        placement.pool.ImportVApp(made.specification, placement.folder, None)
    assert caught.value.invalidProperty == "host"
