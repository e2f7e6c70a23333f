# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a virtual machine."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    NotFound,
    StrataError,
    TimedOut,
    Unavailable,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere import vm
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Patience
from ansible_collections.strata.layering.plugins.module_utils.vsphere.tasks import wait_for_task


def power(simulator, name="desktop"):
    return simulator.machines(name)[0]["power"]


def test_power_on_and_off(simulator, session, machine):
    vm.power_on(session, machine)
    vm.power_on(session, machine)
    assert power(simulator) == "poweredOn"
    vm.power_off(session, machine)
    vm.power_off(session, machine)
    assert power(simulator) == "poweredOff"


def test_wait_for_power_off_returns(simulator, session, machine):
    simulator.guest(mode="exit", delay_ms=300)
    vm.power_on(session, machine)
    seen = []
    vm.wait_for_power_off(session, machine, timeout=30, progress=lambda *step: seen.append(step))
    assert power(simulator) == "poweredOff"
    assert all(step == ("wait for shutdown", step[1], 30) for step in seen)


def test_watch_until_off_reports_guestinfo(simulator, session, machine):
    simulator.guest("echo guestinfo.strata.one=1; sleep 0.3; echo guestinfo.strata.one=2; sleep 0.3")
    vm.power_on(session, machine)
    seen = []
    vm.watch_until_off(
        session, machine, lambda config, off, asked: seen.append((config.get("guestinfo.strata.one"), off)), interval=1
    )
    assert seen[-1] == ("2", True)
    assert ("1", False) in seen
    assert [off for unused, off in seen].count(True) == 1


def test_watch_until_off_ends_when_tick_raises(simulator, session, machine):
    class Stop(Exception):
        pass

    def stop(config, off, asked):
        raise Stop

    simulator.guest(mode="hang")
    vm.power_on(session, machine)
    with pytest.raises(Stop):
        vm.watch_until_off(session, machine, stop)
    assert power(simulator) == "poweredOn"


def test_watch_until_off_reports_a_question(simulator, session, machine, monkeypatch):
    question = SimpleNamespace(id="1", text="msg.hbacommon.outofspace:There is no more space\n for the virtual disk.")
    real = vm.read
    monkeypatch.setattr(vm, "read", lambda *given, **named: real(*given, **named) | {"runtime.question": question})
    simulator.guest("sleep 0.3")
    vm.power_on(session, machine)
    seen = set()
    vm.watch_until_off(session, machine, lambda config, off, asked: seen.add(asked))
    assert (
        seen
        == {vm.pending_question(session, machine)}
        == {"msg.hbacommon.outofspace:There is no more space for the virtual disk."}
    )
    monkeypatch.undo()
    assert vm.pending_question(session, machine) is None


def test_wait_for_power_off_times_out(simulator, session, machine):
    simulator.guest(mode="hang")
    vm.power_on(session, machine)
    with pytest.raises(TimedOut) as caught:
        vm.wait_for_power_off(session, machine, timeout=1)
    assert caught.value.code == "vsphere.timed_out"
    threading.Timer(0.5, vm.power_off, (session, machine)).start()
    vm.wait_for_power_off(session, machine, timeout=30)


def test_shutdown_guest(simulator, session, machine):
    simulator.guest("sleep 60")
    vm.power_on(session, machine)
    deadline = time.monotonic() + 10
    while vm.read_facts(session, machine).guest["tools_running"] != "guestToolsRunning":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    vm.shutdown_guest(session, machine, timeout=30)
    vm.shutdown_guest(session, machine, timeout=30)
    assert power(simulator) == "poweredOff"
    simulator.guest(mode="off")
    vm.power_on(session, machine)
    with pytest.raises(StrataError) as caught:
        vm.shutdown_guest(session, machine, timeout=5)
    assert "Tools" in caught.value.message


def test_create_and_list_snapshots(simulator, session, machine):
    simulator.settings(settle_delay_ms=0)
    assert vm.list_snapshots(session, machine) == ()
    first = vm.create_snapshot(session, machine, "first", "of a test")
    second = vm.create_snapshot(session, machine, "second")
    assert (first.name, first.description, first.path, second.path) == ("first", "of a test", "first", "first/second")
    listed = vm.list_snapshots(session, machine)
    assert [(snapshot.name, snapshot.current) for snapshot in listed] == [("first", False), ("second", True)]
    assert vm.read_facts(session, machine).snapshots == listed
    wait_for_task(session, second.ref.RemoveSnapshot_Task(False, None), "Removing")
    assert simulator.machines("desktop")[0]["snapshots"] == ["first"]
    simulator.rules.add(
        "CreateSnapshot",
        task=True,
        fault="NoDiskSpace",
        fault_fields={"Datastore": "LocalDS_0"},
        message="Insufficient disk space",
    )
    with pytest.raises(StrataError) as caught:
        vm.create_snapshot(session, machine, "third")
    assert caught.value.message.startswith("Creating the snapshot third of desktop failed: Insufficient disk space")
    assert simulator.machines("desktop")[0]["snapshots"] == ["first"]


def test_reconfigure_sets_notes_and_extra_config(session, machine):
    vm.reconfigure(session, machine, annotation="Notes", extra_config={"strata.a": "1", "strata.b": "2"})
    vm.reconfigure(session, machine, extra_config={"strata.a": "", "strata.b": "3"})
    facts = vm.read_facts(session, machine)
    assert facts.annotation == "Notes"
    assert {key: value for key, value in facts.extra_config.items() if key.startswith("strata.")} == {"strata.b": "3"}
    before = facts.change_version
    wait_for_task(session, machine.Rename_Task("other"), "Renaming")
    assert vm.read_facts(session, machine).name == "other"
    vm.reconfigure(session, machine, annotation="Other notes")
    assert vm.read_facts(session, machine).change_version != before


def test_destroy_removes_the_vm(simulator, session, machine):
    simulator.guest(mode="hang")
    vm.power_on(session, machine)
    vm.destroy(session, machine)
    assert simulator.machines("desktop") == []
    vm.destroy(session, machine)
    with pytest.raises(NotFound):
        vm.read_facts(session, machine)
    with pytest.raises(NotFound):
        vm.power_on(session, machine)


def test_locked_vm_is_busy_after_the_patience(simulator, connect, session, machine):
    lease = machine.ExportVm()
    with connect(simulator, patience=Patience(busy=0.5)) as impatient:
        started = time.monotonic()
        with pytest.raises(Conflict) as caught:
            vm.power_on(impatient, impatient.object("VirtualMachine", machine._GetMoId()))
    assert caught.value.code == "vsphere.busy"
    assert 0.5 <= time.monotonic() - started < 5
    assert "Powering on desktop failed" in caught.value.message
    assert lease is not None


@pytest.mark.parametrize("call", ["PowerOnVM_Task", "ReconfigVM_Task", "Destroy_Task"])
def test_changing_calls_are_not_repeated(simulator, session, machine, call):
    action = {
        "PowerOnVM_Task": lambda: vm.power_on(session, machine),
        "ReconfigVM_Task": lambda: vm.reconfigure(session, machine, annotation="x"),
        "Destroy_Task": lambda: vm.destroy(session, machine),
    }[call]
    simulator.clear_journal()
    simulator.rules.add(call, drop_connection=True)
    with pytest.raises(Unavailable):
        action()
    assert len(simulator.journal(method=call)) == 1
    action()
