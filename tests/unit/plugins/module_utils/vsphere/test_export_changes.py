# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An export counts as current only while the disks are proven unchanged."""

from __future__ import annotations

import hashlib
import json
import os
import time

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.ovf.package import open_package
from ansible_collections.strata.layering.plugins.module_utils.vsphere import vm
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.plugins.module_utils.vsphere.tasks import wait_for_task
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer.disk_state import DiskState, is_unchanged
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer.vm_export import export_vm, exported


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "share" / "os")


def settle(simulator):
    """Wait until the VM accepts calls after its import, and let it accept them at once from now on."""
    simulator.settings(settle_delay_ms=0, unlock_delay_ms=0)
    time.sleep(0.3)


def run_once(session, machine):
    vm.power_on(session, machine)
    vm.power_off(session, machine)


def digest(disk):
    return hashlib.sha256(disk.bytes()).hexdigest()


def change_version(session, machine):
    return read(session, machine, "config.changeVersion")["config.changeVersion"]


def test_export_disk_changed_while_the_vm_ran_is_repeated(simulator, session, machine, folder, other_disk):
    version = change_version(session, machine)
    assert export_vm(session, machine, folder).changed
    vm.power_on(session, machine)
    simulator.put_disk("desktop", other_disk.path)
    vm.power_off(session, machine)
    assert change_version(session, machine) == version, "a power cycle does not change the configuration"
    assert exported(session, machine, folder) is None
    export = export_vm(session, machine, folder)
    assert (export.changed, export.digests["desktop-disk1.vmdk"]) == (True, digest(other_disk))
    assert exported(session, machine, folder) is not None
    assert not export_vm(session, machine, folder).changed


@pytest.mark.parametrize("content_ids", [True, False])
def test_export_vm_that_ran_is_repeated_also_with_the_same_disk(simulator, session, machine, folder, content_ids):
    simulator.settings(content_ids=content_ids)
    run_once(session, machine)
    export_vm(session, machine, folder)
    assert not export_vm(session, machine, folder).changed
    run_once(session, machine)
    assert exported(session, machine, folder) is None
    assert export_vm(session, machine, folder).changed


@pytest.mark.parametrize("content_ids", [True, False])
def test_export_disk_changed_by_a_different_vm_is_repeated(
    simulator, session, machine, folder, other_disk, content_ids
):
    """The disk's file changes, but neither the configuration nor the events of the VM."""
    simulator.settings(content_ids=content_ids)
    run_once(session, machine)
    export_vm(session, machine, folder)
    simulator.put_disk("desktop", other_disk.path)
    assert exported(session, machine, folder) is None
    assert export_vm(session, machine, folder).digests["desktop-disk1.vmdk"] == digest(other_disk)


def test_export_without_events_is_unchanged_only_with_content_ids(simulator, session, machine, folder):
    run_once(session, machine)
    export_vm(session, machine, folder)
    simulator.settings(forget_events=True)
    assert not export_vm(session, machine, folder).changed
    simulator.settings(content_ids=False)
    assert export_vm(session, machine, folder).changed
    assert export_vm(session, machine, folder).changed


def test_export_events_without_permission_is_unchanged_only_with_content_ids(simulator, session, machine, folder):
    simulator.rules.add("QueryEvents", count=None, fault="NoPermission")
    export_vm(session, machine, folder)
    assert not export_vm(session, machine, folder).changed
    simulator.settings(content_ids=False)
    assert export_vm(session, machine, folder).changed


def test_export_file_sizes_cannot_be_refreshed_is_unchanged(simulator, session, machine, folder):
    simulator.settings(content_ids=False)
    simulator.rules.add("RefreshStorageInfo", count=None, fault="NoPermission")
    run_once(session, machine)
    export_vm(session, machine, folder)
    assert not export_vm(session, machine, folder).changed


def test_export_vm_reverted_to_a_snapshot_is_repeated(simulator, session, machine, folder, disk, other_disk):
    settle(simulator)
    snapshot = vm.create_snapshot(session, machine, "before")
    vm.power_on(session, machine)
    simulator.put_disk("desktop", other_disk.path)
    vm.power_off(session, machine)
    assert export_vm(session, machine, folder).digests["desktop-disk1.vmdk"] == digest(other_disk)
    wait_for_task(session, snapshot.ref.RevertToSnapshot_Task(), "Reverting")
    assert exported(session, machine, folder) is None
    assert export_vm(session, machine, folder).digests["desktop-disk1.vmdk"] == digest(disk)


def test_export_of_a_snapshot_is_unchanged_while_the_vm_changes(simulator, session, machine, folder, disk, other_disk):
    snapshot = vm.create_snapshot(session, machine, "before")
    export_vm(session, machine, folder, snapshot=snapshot)
    vm.power_on(session, machine)
    simulator.put_disk("desktop", other_disk.path)
    export = export_vm(session, machine, folder, snapshot=snapshot)
    assert (export.changed, export.digests["desktop-disk1.vmdk"]) == (False, digest(disk))


def test_export_of_a_snapshot_of_a_different_time_is_repeated(session, machine, folder):
    snapshot = vm.create_snapshot(session, machine, "before")
    export_vm(session, machine, folder, snapshot=snapshot)
    change_record(folder, lambda record: record["disk_state"].update(created="2020-01-01T00:00:00+00:00"))
    assert exported(session, machine, folder, snapshot=snapshot) is None


def test_export_of_a_snapshot_with_an_independent_disk_follows_the_disk(
    simulator, session, machine, folder, other_disk
):
    """A snapshot does not keep the data of independent disks."""
    settle(simulator)
    (device,) = [
        device
        for device in read(session, machine, "config.hardware.device")["config.hardware.device"]
        if isinstance(device, vim.vm.device.VirtualDisk)
    ]
    device.backing.diskMode = "independent_persistent"
    change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)
    wait_for_task(session, machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])), "Editing")
    snapshot = vm.create_snapshot(session, machine, "before")
    export_vm(session, machine, folder, snapshot=snapshot)
    assert not export_vm(session, machine, folder, snapshot=snapshot).changed
    simulator.put_disk("desktop", other_disk.path)
    assert exported(session, machine, folder, snapshot=snapshot) is None
    export_vm(session, machine, folder, snapshot=snapshot)
    vm.power_on(session, machine)
    assert exported(session, machine, folder, snapshot=snapshot) is None


def change_record(folder, change):
    path = os.path.join(folder, "desktop.export.json")
    with open(path, encoding="utf-8") as stream:
        record = json.load(stream)
    change(record)
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(record, stream)


def test_export_record_of_an_earlier_release_is_not_proven(session, machine, folder):
    export_vm(session, machine, folder)
    change_record(folder, lambda record: record.pop("disk_state"))
    assert exported(session, machine, folder) is None
    assert export_vm(session, machine, folder).changed
    assert not export_vm(session, machine, folder).changed


def test_export_record_of_an_earlier_release_proves_a_snapshot(session, machine, folder):
    snapshot = vm.create_snapshot(session, machine, "before")
    export_vm(session, machine, folder, snapshot=snapshot)
    change_record(folder, lambda record: record.pop("disk_state"))
    assert not export_vm(session, machine, folder, snapshot=snapshot).changed
    # Release 0.1 did not record the vCenter, to which the ID of the snapshot belongs.
    change_record(folder, lambda record: (record.pop("disk_state", None), record.pop("vcenter")))
    assert exported(session, machine, folder, snapshot=snapshot) is None


def test_export_interrupted_before_the_disk_changed_keeps_no_old_disk(simulator, session, machine, folder, other_disk):
    rule = simulator.rules.add("CreateDescriptor", count=None, fault="SystemError", message="x")
    with pytest.raises(StrataError):
        export_vm(session, machine, folder)
    simulator.rules.remove(rule)
    vm.power_on(session, machine)
    simulator.put_disk("desktop", other_disk.path)
    vm.power_off(session, machine)
    assert export_vm(session, machine, folder).digests["desktop-disk1.vmdk"] == digest(other_disk)


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("name", ["Win 11 Büro 50% (a+b)", "a%20b", "desktop"])
def test_export_names_with_special_characters_are_readable(simulator, session, machine, folder, disk, name, escaped):
    simulator.settings(escape_hrefs=escaped)
    export = export_vm(session, machine, folder, name=name)
    assert export.digests[f"{name}-disk1.vmdk"] == digest(disk)
    assert open_package(folder).verify() == export.digests
    assert not export_vm(session, machine, folder, name=name).changed


KNOWN = DiskState(powered_on=7, contents={"2000": "a"})
UNKNOWN = DiskState(powered_on=7, contents={"2000": ""}, files={"[ds] x/x.vmdk": 4})


@pytest.mark.parametrize(
    ("before", "now", "proven"),
    [
        (KNOWN, KNOWN, True),
        (KNOWN, DiskState(powered_on=None, contents={"2000": "a"}), True),
        (DiskState(powered_on=None, contents={"2000": "a"}), KNOWN, False),
        (KNOWN, DiskState(powered_on=8, contents={"2000": "a"}), False),
        (KNOWN, DiskState(powered_on=7, contents={"2000": "b"}), False),
        (KNOWN, DiskState(powered_on=7, contents={"2000": "a", "2001": "c"}), False),
        (KNOWN, DiskState(powered_on=7, contents={"2000": "a"}, shared=True), False),
        (UNKNOWN, UNKNOWN, True),
        (UNKNOWN, DiskState(powered_on=None, contents={"2000": ""}, files=UNKNOWN.files), False),
        (UNKNOWN, DiskState(powered_on=7, contents={"2000": ""}, files={"[ds] x/x.vmdk": 5}), False),
        (UNKNOWN, DiskState(powered_on=7, contents={"2000": ""}), False),
        (UNKNOWN, KNOWN, False),
        (DiskState(), DiskState(), False),
        (DiskState(created="t"), DiskState(created="t"), True),
    ],
)
def test_disk_state_is_unchanged_only_with_evidence(before, now, proven):
    assert is_unchanged(before, now) is proven
    assert DiskState.from_document(json.loads(json.dumps(now.as_document()))) == now
