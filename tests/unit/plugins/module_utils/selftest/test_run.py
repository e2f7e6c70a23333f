# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Self-tests on the simulator: the whole way, a failure in every step, interruptions, and test VMs of earlier runs."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.common.errors import TimedOut, Unavailable
from ansible_collections.strata.layering.plugins.module_utils.common.findings import FAIL
from ansible_collections.strata.layering.plugins.module_utils.preflight import checks
from ansible_collections.strata.layering.plugins.module_utils.selftest import machine, steps
from ansible_collections.strata.layering.plugins.module_utils.selftest.report import report_text
from ansible_collections.strata.layering.tests.support.published_vms import published_vm

ALL_STEPS = [
    "connect",
    "inventory",
    "leftovers",
    "placement",
    "preflight",
    "image",
    "create",
    "upload",
    "verify_upload",
    "hardware",
    "reconfigure",
    "power_on",
    "power_off",
    "snapshot",
    "export",
    "compare",
    "remove",
]


def content(simulator):
    """Return what a run must leave as it was."""
    session = simulator.connect()
    view = session.content.viewManager.CreateContainerView(session.content.rootFolder, [vim.ManagedEntity], True)
    return sorted(f"{item._GetMoId()} {item.name}" for item in view.view), simulator.disks(snapshots=True)


def no_leases(simulator):
    deadline = time.monotonic() + 5
    while open_leases := [lease for lease in simulator.leases() if lease["state"] in ("ready", "initializing")]:
        assert time.monotonic() < deadline, open_leases
        time.sleep(0.05)
    return True


def results(found):
    return {row["name"]: row["result"] for row in found.report["steps"]}


def test_run_passes_and_leaves_nothing(simulator, start, tmp_path):
    before = content(simulator)
    found = start()
    assert found.error is None
    assert found.report["usable"] is True
    assert [row["name"] for row in found.report["steps"]] == ALL_STEPS
    assert set(results(found).values()) == {"pass"}
    assert content(simulator) == before
    assert no_leases(simulator)
    rows = {row["name"]: row for row in found.report["steps"]}
    assert rows["upload"]["bytes"] > 1 << 20
    assert rows["upload"]["bytes_per_second"] > 0
    assert rows["compare"]["bytes"] == 256 << 20


def test_run_starts_the_firmware_setup_and_not_the_network(simulator, start, monkeypatch):
    seen = []

    def power_on(run):
        found = simulator.connect().content.searchIndex.FindByInventoryPath(f"DC0/vm/{run.name}")
        seen.append(found.config.bootOptions.enterBIOSSetup)
        original(run)

    original = steps.ACT["power_on"]
    monkeypatch.setitem(steps.ACT, "power_on", power_on)
    assert start().error is None
    assert seen == [True]


def test_run_question_of_vsphere_is_reported(start, monkeypatch):
    def power_on(*_arguments, **_options):
        raise TimedOut("Powering on did not finish within 300 s.", code="vsphere.timed_out", hint="Check it.")

    monkeypatch.setattr(steps.machines, "power_on", power_on)
    monkeypatch.setattr(steps.machines, "pending_question", lambda *_arguments: "Was the VM moved or copied?")
    found = start()
    assert (found.failed_step, found.error.code) == ("power_on", "selftest.question")
    assert "moved or copied" in found.report["error"]["message"]
    monkeypatch.setattr(steps.machines, "pending_question", lambda *_arguments: None)
    assert start().error.code == "vsphere.timed_out"


@pytest.mark.parametrize("host", [None, "DC0_C0_H1"])
def test_run_lets_drs_select_the_host_as_a_publish_does(simulator, start, host):
    found = start(location={"esxi_host": host} | ({"cluster": None} if host else {}))
    assert found.error is None
    assert bool(simulator.journal(method="PowerOnMultiVM_Task")) == (host is None)


def test_run_in_check_mode_only_reads(simulator, start):
    before = content(simulator)
    found = start(check_mode=True)
    assert found.error is None
    assert list(results(found)) == ["connect", "inventory", "leftovers", "placement", "preflight"]
    assert found.report["checks"]
    assert content(simulator) == before
    changing = ("ImportVApp", "ReconfigVM_Task", "PowerOnVM_Task", "Destroy_Task", "CreateFolder")
    assert [call for call in simulator.journal(kind="soap") if call["method"] in changing] == []


def test_run_missing_folder_is_not_created(simulator, start):
    session = simulator.connect()
    session.content.rootFolder.childEntity[0].vmFolder.CreateFolder("Images")
    before = content(simulator)
    seen = []
    original = steps.ACT["power_on"]

    def power_on(run):
        seen.append(run.found_placement.folder_path)
        original(run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(steps.ACT, "power_on", power_on)
        assert start(location={"folder": "Images/Windows 11/Test"}).error is None
    assert seen == ["/DC0/vm/Images"]
    assert content(simulator) == before


#: A rule that makes a step fail, and the code of its error.
FAULTS = {
    "create": ({"method": "ImportVApp", "fault": "NoPermission"}, "vsphere.permission"),
    "upload": ({"method": "NFC:PUT", "http_status": 503, "count": -1}, "vsphere.http"),
    "verify_upload": ({"method": "HttpNfcLeaseComplete", "fault": "RuntimeFault", "count": -1}, "vsphere.fault"),
    "reconfigure": ({"method": "ReconfigVM_Task", "fault": "NoPermission"}, "vsphere.permission"),
    "power_on": ({"method": "PowerOn*", "fault": "InsufficientResourcesFault", "task": True}, "vsphere.resources"),
    "power_off": ({"method": "PowerOffVM_Task", "fault": "RuntimeFault"}, "vsphere.fault"),
    "snapshot": ({"method": "CreateSnapshot*", "fault": "NoDiskSpace", "task": True}, "vsphere.no_space"),
    "export": ({"method": "NFC:GET", "http_status": 403, "count": -1}, "vsphere.http"),
}


@pytest.mark.parametrize("step", FAULTS)
def test_run_failed_step_is_named_and_everything_is_removed(simulator, start, step):
    before = content(simulator)
    rule, code = FAULTS[step]
    simulator.rules.add(**rule)
    found = start()
    assert (found.failed_step, found.error.code) == (step, code)
    assert found.report["usable"] is False
    assert found.report["error"]["step"] == step
    assert found.report["error"]["code"] == code
    assert results(found)[step] == "fail"
    assert results(found)["remove"] == "pass"
    later = ALL_STEPS[ALL_STEPS.index(step) + 1 : -1]
    assert {results(found)[name] for name in later} <= {"not run"}
    assert [name for name in results(found) if name != "remove"] == ALL_STEPS[:-1]
    assert found.left_behind == ()
    assert content(simulator) == before
    assert no_leases(simulator)


def test_run_upload_that_the_host_does_not_confirm_is_a_warning(simulator, start):
    simulator.rules.add(method="HttpNfcLeaseGetManifest", fault="NotSupported", count=-1)
    found = start()
    assert found.error is None
    assert results(found)["verify_upload"] == "warn"
    assert results(found)["compare"] == "pass"


def test_run_login_rejected_fails_in_the_first_step(start):
    def connect():
        raise Unavailable("The vCenter vc (port 443) rejected the login.", code="vsphere.login", hint="Check it.")

    found = start(connect=connect)
    assert (found.failed_step, found.report["error"]["code"]) == ("connect", "vsphere.login")
    assert results(found)["remove"] == "not run"


def test_run_unknown_datastore_fails_before_anything_is_created(simulator, start):
    found = start(location={"datastore": "elsewhere"})
    assert (found.failed_step, found.error.code) == ("placement", "vsphere.not_found")
    assert simulator.journal(method="ImportVApp") == []


def test_run_failed_check_ends_the_run_before_anything_is_created(simulator, start, monkeypatch):
    monkeypatch.setitem(checks.CHECKS, "hosts", lambda subject: (FAIL, "no host was reached", "Open port 443."))
    found = start()
    assert (found.failed_step, found.error.code) == ("preflight", "preflight.failed")
    assert [check["name"] for check in found.report["checks"] if check["result"] == FAIL] == ["hosts"]
    assert "hosts" in found.report["headline"]
    assert simulator.journal(method="ImportVApp") == []


def test_run_disk_changed_after_the_upload_is_found(simulator, start, tmp_path, monkeypatch):
    original = steps.ACT["snapshot"]

    def snapshot(run):
        other = tmp_path / "other.vmdk"
        with other.open("w+b") as file:
            steps.write_image(2 << 20, file)
        simulator.put_disk(run.name, other)
        original(run)

    monkeypatch.setitem(steps.ACT, "snapshot", snapshot)
    found = start()
    assert (found.failed_step, found.error.code) == ("compare", "selftest.different")
    assert found.report["error"]["details"]["blocks"] > 0
    assert results(found)["remove"] == "pass"


def test_run_unexpected_exception_is_reported_with_its_place(simulator, start, monkeypatch):
    before = content(simulator)

    def reconfigure(run):
        raise KeyError("secret-value")

    monkeypatch.setitem(steps.ACT, "reconfigure", reconfigure)
    found = start()
    assert found.error.code == "selftest.unexpected"
    details = found.report["error"]["details"]
    assert details["exception"] == "KeyError"
    assert any("reconfigure" in frame for frame in details["frames"])
    assert content(simulator) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_interrupted_by_a_signal_removes_the_vm(simulator, start, monkeypatch, number):
    before = content(simulator)
    handler = signal.getsignal(number)

    def power_off(run):
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setitem(steps.ACT, "power_off", power_off)
    found = start()
    assert (found.failed_step, found.error.code) == ("power_off", "selftest.interrupted")
    assert results(found)["remove"] == "pass"
    assert content(simulator) == before
    assert signal.getsignal(number) == handler


def test_run_signal_during_the_upload_removes_the_vm(simulator, start):
    before = content(simulator)
    simulator.rules.add(method="NFC:PUT", after_bytes=1 << 16, delay_ms=3000)
    signal.signal(signal.SIGALRM, lambda *unused: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 2.0)
    try:
        found = start(size=8 << 20)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert (found.failed_step, found.error.code) == ("upload", "selftest.interrupted")
    assert content(simulator) == before
    assert no_leases(simulator)


def test_run_signal_during_the_removal_does_not_stop_it(simulator, start, monkeypatch):
    before = content(simulator)
    original = machine.remove_machine

    def remove_machine(*arguments):
        for _number in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        original(*arguments)

    monkeypatch.setattr(machine, "remove_machine", remove_machine)
    assert start().error is None
    assert content(simulator) == before


def test_run_time_limit_ends_the_run_and_removes_the_vm(simulator, start, monkeypatch):
    before = content(simulator)

    def power_on(run):
        run.deadline = time.monotonic() - 1

    monkeypatch.setitem(steps.ACT, "power_on", power_on)
    found = start()
    assert (found.failed_step, found.error.code) == ("power_off", "selftest.timed_out")
    assert content(simulator) == before


def test_run_vm_that_cannot_be_removed_is_named_and_removed_by_the_next_run(simulator, start):
    before = content(simulator)
    simulator.rules.add(method="Destroy_Task", fault="NoPermission")
    found = start()
    assert (found.failed_step, found.error.code) == ("remove", "vsphere.permission")
    [path] = found.left_behind
    assert path.startswith("/DC0/vm/strata-selftest-")
    assert found.report["usable"] is False
    assert len(found.report["left_behind"]) == 1
    # The process that created the VM is still running.
    assert start().leftovers == ()
    assert [vm["name"] for vm in simulator.machines() if vm["name"].startswith("strata-")] == [path.rpartition("/")[2]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "_process", lambda number: "")
        assert start().leftovers == (path,)
    assert content(simulator) == before


def test_run_failed_keeps_the_vm_on_request(simulator, start):
    simulator.rules.add(method="CreateSnapshot*", fault="NoDiskSpace", task=True)
    found = start(keep_vm_on_failure=True)
    assert found.failed_step == "snapshot"
    assert results(found)["remove"] == "not run"
    [path] = found.left_behind
    assert path.rpartition("/")[2] in {vm["name"] for vm in simulator.machines()}


def leave_vm(start, **changes):
    """Leave the VM of a run; ``changes`` are those of its mark. Return the name of the VM."""
    with pytest.MonkeyPatch.context() as patch:
        original = machine.Mark.create

        def create(*arguments):
            return dataclasses.replace(original(*arguments), **changes)

        patch.setattr(machine.Mark, "create", create)

        def fail(run):
            raise Unavailable("It failed.", code="vsphere.fault", hint="Check it.")

        patch.setitem(steps.ACT, "snapshot", fail)
        [path] = start(keep_vm_on_failure=True).left_behind
    return path.rpartition("/")[2]


def names(simulator):
    return {vm["name"] for vm in simulator.machines()}


@pytest.mark.parametrize("changes", [{"process": "1.1"}, {"composer": "0123", "expires": 1}])
def test_leftover_of_a_run_that_ended_is_removed(simulator, start, changes):
    before = content(simulator)
    name = leave_vm(start, **changes)
    checked = start(check_mode=True)
    assert [path.rpartition("/")[2] for path in checked.leftovers] == [name]
    assert name in names(simulator)
    assert [path.rpartition("/")[2] for path in start().leftovers] == [name]
    assert content(simulator) == before


def test_leftover_of_another_composer_is_kept_until_it_expires(simulator, start):
    name = leave_vm(start, composer="0123", process="1.1")
    found = start()
    assert found.leftovers == ()
    assert found.error is None
    assert len(found.report["warnings"]) == 1
    assert name in names(simulator)


@pytest.mark.parametrize("change", ["rename", "no mark"])
def test_vm_that_is_not_the_test_vm_of_a_run_is_kept(simulator, start, change):
    name = leave_vm(start, process="1.1")
    found = simulator.connect().content.searchIndex.FindByInventoryPath(f"DC0/vm/{name}")
    WaitForTask(found.PowerOffVM_Task()) if found.runtime.powerState == "poweredOn" else None
    if change == "rename":
        WaitForTask(found.Rename_Task("strata-selftest-clone"))
        name = "strata-selftest-clone"
    else:
        option = vim.option.OptionValue(key=machine.KEY_MARK, value="")
        WaitForTask(found.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))
    assert start().leftovers == ()
    assert name in names(simulator)


@pytest.mark.parametrize(("changes", "has_mark"), [({}, True), ({"template": True}, False), ({"name": "clone"}, False)])
def test_mark_belongs_only_to_the_vm_that_was_created_with_it(changes, has_mark):
    settings = machine.Mark("strata-selftest-0", "composer", "1.1", 1).settings()
    facts = published_vm(**{"name": "strata-selftest-0", "extra_config": settings} | changes)
    assert (machine.Mark.of(facts) is not None) == has_mark


def test_foreign_vm_of_the_same_name_is_not_touched(simulator, start, monkeypatch):
    name = leave_vm(start, process="1.1")
    found = simulator.connect().content.searchIndex.FindByInventoryPath(f"DC0/vm/{name}")
    option = vim.option.OptionValue(key=machine.KEY_MARK, value="")
    WaitForTask(found.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))
    monkeypatch.setattr(machine, "new_name", lambda: name)
    result = start()
    assert (result.failed_step, result.error.code) == ("create", "vsphere.duplicate_name")
    assert result.left_behind == ()
    assert name in names(simulator)


def test_report_of_a_killed_process_names_its_vm(simulator, start):
    """The report is complete JSON and text, whether the run failed or not."""
    name = leave_vm(start, composer="0123", process="1.1")
    report = start().report
    assert json.loads(json.dumps(report)) == report
    assert name in report_text(report)
