# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that vCenter is still working on, and uploads that a host confirms or does not confirm."""

from __future__ import annotations

import dataclasses
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, Corrupt, StrataError
from ansible_collections.strata.layering.plugins.module_utils.vsphere import vm
from ansible_collections.strata.layering.plugins.module_utils.vsphere.busy import Waiting, wait_until_enabled
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Patience
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer import nfc
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer.vm_export import export_vm
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm

TASK = {"Task": {"Type": "Task", "Value": "task-1"}}
BUSY = [{"fault": "InvalidState"}, {"fault": "TaskInProgress", "fault_fields": TASK}]
CALLS = {
    "ReconfigVM_Task": lambda session, machine: vm.reconfigure(session, machine, annotation="x"),
    "PowerOnVM_Task": vm.power_on,
    "CreateSnapshot_Task": lambda session, machine: vm.create_snapshot(session, machine, "first"),
    "Destroy_Task": vm.destroy,
}


@pytest.fixture
def deploy(session, placement, disk):
    def run(**changes):
        fields = {"name": "image", "capacity": disk.capacity, "blocks": disk.blocks, "length": disk.length}
        return deploy_vm(session, placement, **fields | changes)

    return run


@pytest.mark.parametrize("busy", BUSY, ids=lambda busy: busy["fault"])
@pytest.mark.parametrize("task", [False, True], ids=["call", "task"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("call", CALLS)
def test_call_on_a_busy_vm_is_repeated(simulator, session, machine, call, count, task, busy):
    simulator.settings(settle_delay_ms=0)
    simulator.clear_journal()
    simulator.rules.add(call, count=count, task=task, **busy)
    CALLS[call](session, machine)
    assert len(simulator.journal(method=call)) == count + 1


@pytest.mark.parametrize("fault", ["InvalidState", "TaskInProgress"])
def test_vm_that_stays_busy_ends_with_an_error(simulator, connect, session, machine, fault):
    code = {"InvalidState": "vsphere.state", "TaskInProgress": "vsphere.busy"}[fault]
    simulator.rules.add("ReconfigVM_Task", count=None, **next(busy for busy in BUSY if busy["fault"] == fault))
    with connect(simulator, patience=Patience(busy=0.5)) as impatient, pytest.raises(Conflict) as caught:
        vm.reconfigure(impatient, impatient.object("VirtualMachine", machine._GetMoId()), annotation="x")
    assert (caught.value.code, caught.value.details["fault"]) == (code, fault)


def test_lasting_state_is_not_waited_out(simulator, session, machine):
    simulator.rules.add("PowerOnVM_Task", fault="InvalidHostState", count=None)
    started = time.monotonic()
    with pytest.raises(StrataError):
        vm.power_on(session, machine)
    assert time.monotonic() - started < 5


def test_vm_with_methods_that_a_backup_program_disabled_is_busy(simulator, connect, machine):
    simulator.rules.add("PowerOnVM_Task", fault="MethodDisabled", count=None)
    with connect(simulator, patience=Patience(busy=0.2)) as impatient, pytest.raises(Conflict) as caught:
        vm.power_on(impatient, impatient.object("VirtualMachine", machine._GetMoId()))
    assert caught.value.code == "vsphere.busy"


def test_wait_for_a_busy_vm_calls_tick_and_ends_when_it_raises(simulator, session, machine):
    simulator.rules.add("ReconfigVM_Task", fault="InvalidState", count=None)

    def tick():
        raise KeyError("canceled")

    with pytest.raises(KeyError):
        vm.reconfigure(session, machine, annotation="x", waiting=Waiting(60, tick))


@pytest.mark.parametrize("busy", ["InvalidState", "TaskInProgress", "mix"])
def test_deployed_vm_is_free_when_the_import_returns(simulator, session, deploy, busy):
    simulator.settings(unlock_delay_ms=700, busy_fault=busy)
    machine = deploy().vm
    assert "ReconfigVM_Task" not in read(session, machine, "disabledMethod")["disabledMethod"]
    vm.reconfigure(session, machine, annotation="x")
    assert [entry.get("fault") for entry in simulator.journal(method="ReconfigVM_Task")] == [None]


def test_user_who_may_not_read_disabled_methods_waits_by_repeating_the_call(simulator, session, deploy):
    simulator.settings(unlock_delay_ms=500)
    simulator.rules.add("CreateFilter", fault="NoPermission", since="HttpNfcLeaseComplete", count=None)
    machine = deploy().vm
    started = time.monotonic()
    wait_until_enabled(session, machine, "ReconfigVM_Task", 30)
    assert time.monotonic() - started < 5
    simulator.rules.clear()
    vm.reconfigure(session, machine, annotation="x")


@pytest.mark.parametrize("busy", BUSY, ids=lambda busy: busy["fault"])
def test_busy_answer_to_complete_is_repeated(simulator, deploy, busy):
    simulator.rules.add("HttpNfcLeaseComplete", count=2, **busy)
    assert deploy().verified
    assert len(simulator.journal(method="NFC:PUT")) == 1


@pytest.mark.parametrize("call", ["ExportVm"])
@pytest.mark.parametrize("busy", BUSY, ids=lambda busy: busy["fault"])
def test_export_of_a_busy_vm_is_repeated(simulator, session, machine, tmp_path, call, busy):
    simulator.rules.add(call, **busy)
    assert export_vm(session, machine, str(tmp_path / "package")).changed


@pytest.mark.parametrize(
    ("form", "verified"), [("full", True), ("digest_only", True), ("populated_size", True), ("absent", False)]
)
def test_import_is_confirmed_by_the_digest_alone(simulator, deploy, form, verified):
    simulator.settings(import_manifest=form)
    made = deploy()
    assert made.verified is verified
    assert len([warning for warning in made.warnings if "no digest" in warning]) == (0 if verified else 1)


def test_import_whose_manifest_cannot_be_read_is_not_confirmed(simulator, deploy):
    simulator.rules.add("HttpNfcLeaseGetManifest", fault="SystemError", count=None)
    made = deploy()
    assert (made.verified, len(simulator.journal(method="NFC:PUT"))) == (False, 1)
    assert len([warning for warning in made.warnings if "no digest" in warning]) == 1


def test_import_with_a_wrong_digest_is_damaged(simulator, deploy, monkeypatch):
    original = nfc.Lease.manifest

    def manifest(lease):
        return {key: dataclasses.replace(entry, sha1="0" * 40) for key, entry in original(lease).items()}

    monkeypatch.setattr(nfc.Lease, "manifest", manifest)
    with pytest.raises(Corrupt) as caught:
        deploy()
    assert caught.value.code == "vsphere.checksum"
    assert simulator.machines("image") == []


@pytest.mark.parametrize("lost", [{"drop_connection": True, "count": None}, {"fault": "SystemError", "count": None}])
def test_vm_is_kept_after_its_lease_is_completed(simulator, deploy, lost):
    uploads = []
    simulator.rules.add("RetrievePropertiesEx", since="HttpNfcLeaseComplete", **lost)
    with pytest.raises(StrataError):
        deploy(on_uploaded=lambda upload: uploads.append(upload.completed))
    assert uploads == [False, True]
    assert len(simulator.machines("image")) == 1
