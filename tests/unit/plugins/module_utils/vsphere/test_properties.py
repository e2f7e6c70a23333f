# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The property collector: unset properties, many objects, waiting."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from pyVmomi import vim, vmodl

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    InvalidInput,
    NotFound,
    StrataError,
    TimedOut,
    Unavailable,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere import properties, vm
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import collect_below
from ansible_collections.strata.layering.plugins.module_utils.vsphere.tasks import wait_for_task


def test_read_unset_property_is_absent(session, machine):
    assert properties.read(session, machine, "name", "snapshot", "parentVApp") == {"name": "desktop"}


def test_read_unknown_property_fails(session, machine):
    with pytest.raises(StrataError) as caught:
        properties.read(session, machine, "nonsense")
    assert "InvalidProperty" in caught.value.message


def test_collect_reads_several_pages(session, simulator, monkeypatch):
    monkeypatch.setattr(properties, "_PAGE", 2)
    hosts = properties.collect_below(
        session, session.content.rootFolder, "HostSystem", ["name", "summary.hardware.memorySize"]
    )
    assert len(hosts) == 3
    assert all(values["summary.hardware.memorySize"] > 0 for values in hosts.values())
    again = properties.collect(session, hosts, ["name"])
    assert {item: values["name"] for item, values in hosts.items()} == {
        item: values["name"] for item, values in again.items()
    }
    assert properties.collect(session, [], ["name"]) == {}


def test_read_missing_object_fails(session, machine):
    vm.destroy(session, machine)
    with pytest.raises(NotFound) as caught:
        properties.read(session, machine, "name", subject="Looking")
    assert caught.value.message.startswith("Looking failed: ")
    vm.destroy(session, machine)


def test_collect_missing_object_has_no_properties(session, make_machine):
    first, second = make_machine("first"), make_machine("second")
    vm.destroy(session, second)
    assert properties.collect(session, [first, second], ["name"]) == {first: {"name": "first"}, second: {}}


@pytest.mark.parametrize(
    ("fault", "error"), [(vmodl.fault.ManagedObjectNotFound, None), (vim.fault.NoPermission, Unavailable)]
)
def test_collect_below_ignores_objects_that_disappear(monkeypatch, fault, error):
    query = vmodl.query.PropertyCollector
    stays, goes = vim.VirtualMachine("vm-1"), vim.VirtualMachine("vm-2")
    answer = SimpleNamespace(
        token=None,
        objects=[
            query.ObjectContent(obj=stays, propSet=[vmodl.DynamicProperty(name="name", val="stays")], missingSet=[]),
            query.ObjectContent(obj=goes, propSet=[], missingSet=[query.MissingProperty(path="config", fault=fault())]),
        ],
    )
    content = SimpleNamespace(
        viewManager=SimpleNamespace(CreateContainerView=lambda *given: SimpleNamespace(DestroyView=lambda: None)),
        propertyCollector=SimpleNamespace(RetrievePropertiesEx=lambda *given: answer),
    )
    monkeypatch.setattr(query, "ObjectSpec", lambda **given: None)
    monkeypatch.setattr(query, "FilterSpec", lambda **given: None)
    session = SimpleNamespace(content=content, logins=1)
    if error:
        with pytest.raises(error):
            collect_below(session, None, "VirtualMachine", ["name", "config"])
    else:
        assert collect_below(session, None, "VirtualMachine", ["name", "config"]) == {stays: {"name": "stays"}}


def later(seconds, function, *arguments):
    timer = threading.Timer(seconds, function, arguments)
    timer.start()
    return timer


def test_collect_below_renews_an_expired_session(simulator, session):
    simulator.rules.add("RetrievePropertiesEx", fault="NotAuthenticated")
    found = collect_below(session, session.content.rootFolder, "Datacenter", ["name"])
    assert [values["name"] for values in found.values()] == ["DC0"]
    assert session.logins == 2


def test_wait_for_returns_after_a_change(session, machine):
    timer = later(0.3, vm.power_on, session, machine)
    values = properties.wait_for(
        session,
        machine,
        ["runtime.powerState"],
        lambda found: found["runtime.powerState"] == "poweredOn",
        30,
        subject="Waiting",
    )
    assert values == {"runtime.powerState": "poweredOn"}
    timer.join()


def test_wait_for_times_out(session, machine):
    started = time.monotonic()
    ticks = []
    with pytest.raises(TimedOut) as caught:
        properties.wait_for(
            session, machine, ["name"], lambda found: False, 1, subject="Waiting for it", tick=ticks.append
        )
    assert caught.value.code == "vsphere.timed_out"
    assert time.monotonic() - started >= 1
    assert ticks[0] == {"name": "desktop"}


def test_wait_for_renews_an_expired_session(simulator, session, machine):
    timers = [later(0.3, simulator.expire_sessions), later(1, vm.power_on, session, machine)]
    values = properties.wait_for(
        session,
        machine,
        ["runtime.powerState"],
        lambda found: found["runtime.powerState"] == "poweredOn",
        60,
        subject="Waiting",
    )
    assert values["runtime.powerState"] == "poweredOn"
    for timer in timers:
        timer.join()


def test_wait_for_missing_object_fails(session, machine):
    timer = later(0.3, vm.destroy, session, machine)
    with pytest.raises(NotFound):
        properties.wait_for(session, machine, ["name"], lambda found: False, 30, subject="Waiting")
    timer.join()


def test_wait_for_removes_its_collector(session, simulator, machine):
    simulator.clear_journal()
    properties.wait_for(session, machine, ["name"], lambda found: True, 5, subject="Waiting")
    assert (
        len(simulator.journal(method="CreatePropertyCollector"))
        == len(simulator.journal(method="DestroyPropertyCollector"))
        == 1
    )


def test_wait_for_task_returns_or_raises(simulator, session, machine):
    task = machine.Rename_Task("renamed")
    assert wait_for_task(session, task, "Renaming", timeout=30) is None
    simulator.rules.add(
        "Rename_Task", task=True, fault="InvalidName", fault_fields={"Name": "x"}, message="The name 'x' is invalid."
    )
    with pytest.raises(InvalidInput) as caught:
        wait_for_task(session, machine.Rename_Task("x"), "Renaming renamed to x", timeout=30)
    assert caught.value.message == "Renaming renamed to x failed: The name 'x' is invalid (InvalidName)."
    assert caught.value.details["fault"] == "InvalidName"
