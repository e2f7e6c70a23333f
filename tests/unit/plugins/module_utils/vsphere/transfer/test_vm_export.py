# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVF exports: complete, repeated, interrupted, resumed."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import signal

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.atomic_files import TEMPORARY_PREFIX
from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    InvalidInput,
    NoSpace,
    StrataError,
    Unavailable,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.ovf.package import open_package
from ansible_collections.strata.layering.plugins.module_utils.shares.local import as_share
from ansible_collections.strata.layering.plugins.module_utils.vsphere import vm
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Patience
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer import nfc
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer.export_record import (
    load_record,
    replaced_files,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer.vm_export import export_vm, exported


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "share" / "os")


def names(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def downloads(simulator):
    return len(simulator.journal(method="NFC:GET"))


def assert_no_lease(simulator):
    assert not [lease for lease in simulator.leases() if lease["state"] in ("ready", "initializing")]
    assert not [machine for machine in simulator.machines() if machine["locked"]]


COMPLETE = ["desktop-disk1.vmdk", "desktop.export.json", "desktop.mf", "desktop.ovf"]


def test_export_writes_descriptor_manifest_and_disk(simulator, session, machine, folder, disk):
    seen = []
    export = export_vm(session, machine, folder, progress=lambda *step: seen.append(step))
    assert export.changed
    assert export.ovf == os.path.join(folder, "desktop.ovf")
    assert names(folder) == COMPLETE
    with open(os.path.join(folder, "desktop-disk1.vmdk"), "rb") as stream:
        assert stream.read() == disk.bytes()
    assert export.digests["desktop-disk1.vmdk"] == hashlib.sha256(disk.bytes()).hexdigest()
    assert export.size == sum(os.path.getsize(os.path.join(folder, name)) for name in export.digests)
    package = open_package(folder)
    assert package.verify() == export.digests
    system = package.descriptor.single_system()
    assert (system.name, len(system.disks)) == ("desktop", 1)
    assert package.descriptor.disks[0].capacity == disk.capacity
    assert seen[-1] == ("download", disk.length, disk.length)
    assert_no_lease(simulator)


def test_export_again_does_nothing(simulator, session, machine, folder):
    assert exported(session, machine, folder) is None
    first = export_vm(session, machine, folder)
    count = downloads(simulator)
    again = export_vm(session, machine, folder)
    assert (again.changed, again.digests, again.size) == (False, first.digests, first.size)
    assert exported(session, machine, folder) == again
    assert downloads(simulator) == count
    assert len(simulator.journal(method="ExportVm")) == 1
    # Copied files have another time: their digests are compared.
    os.utime(os.path.join(folder, "desktop-disk1.vmdk"), (1, 1))
    assert not export_vm(session, machine, folder).changed
    assert export_vm(session, machine, folder, force=True).changed
    assert downloads(simulator) == count + 1


def test_export_record_names_the_vm_and_its_vcenter(session, machine, folder):
    export_vm(session, machine, folder, name="os")
    record = load_record(as_share(folder), "os")
    values = read(session, machine, "config.instanceUuid")
    assert (record.vm_name, record.instance_uuid) == ("desktop", values["config.instanceUuid"])
    assert record.vcenter == session.vcenter["instance_uuid"]
    assert replaced_files(folder, "OS") == ["os-disk1.vmdk", "os.export.json", "os.mf", "os.ovf"]
    assert replaced_files(folder, "o") == replaced_files(os.path.join(folder, "none"), "os") == []


@pytest.mark.parametrize("field", ["vm_name", "vcenter"])
def test_export_record_of_an_earlier_release_is_read(session, machine, folder, field):
    export_vm(session, machine, folder)
    path = os.path.join(folder, "desktop.export.json")
    with open(path, encoding="utf-8") as stream:
        record = json.load(stream)
    del record[field]
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(record, stream)
    assert not export_vm(session, machine, folder).changed


@pytest.mark.parametrize("earlier", [True, False])
def test_export_disk_that_gets_no_name_leaves_no_file_without_a_record(session, machine, folder, monkeypatch, earlier):
    """The rename of the disk's file fails, with and without a file of an earlier export."""
    if earlier:
        export_vm(session, machine, folder)
    replace = os.replace

    def fail(source, target):
        if target.endswith(".vmdk"):
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="Input/output"):
        export_vm(session, machine, folder, force=True)
    assert names(folder) == (["desktop-disk1.vmdk", "desktop.export.json"] if earlier else [])
    monkeypatch.undo()
    assert export_vm(session, machine, folder).changed


@pytest.mark.parametrize("damage", ["disk", "ovf", "mf", "sidecar", "missing", "nonsense"])
def test_export_damaged_is_repeated(simulator, session, machine, folder, disk, damage):
    export_vm(session, machine, folder)
    path = {"disk": "desktop-disk1.vmdk", "ovf": "desktop.ovf", "mf": "desktop.mf"}.get(damage, "desktop.export.json")
    path = os.path.join(folder, path)
    if damage == "missing":
        os.unlink(path)
    elif damage == "nonsense":
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"version": 1, "disks": {"../x": 3}}, out)
    else:
        with open(path, "r+b") as out:
            out.seek(30)
            out.write(b"damage")
        os.utime(path, (1, 1))
    assert exported(session, machine, folder) is None
    assert export_vm(session, machine, folder).changed
    assert open_package(folder).verify()["desktop-disk1.vmdk"] == hashlib.sha256(disk.bytes()).hexdigest()


def test_export_changed_vm_is_repeated(simulator, session, machine, folder, other_disk):
    export_vm(session, machine, folder)
    simulator.put_disk("desktop", other_disk.path)
    vm.reconfigure(session, machine, annotation="changed")
    export = export_vm(session, machine, folder)
    assert export.changed
    assert export.digests["desktop-disk1.vmdk"] == hashlib.sha256(other_disk.bytes()).hexdigest()
    assert names(folder) == COMPLETE


def test_export_snapshot(simulator, session, machine, folder, disk, other_disk):
    snapshot = vm.create_snapshot(session, machine, "before the tools")
    simulator.put_disk("desktop", other_disk.path)
    vm.power_on(session, machine)
    export = export_vm(session, machine, folder, name="Win 11: base?", snapshot=snapshot)
    assert export.ovf == os.path.join(folder, "Win 11_ base_.ovf")
    assert export.digests["Win 11_ base_-disk1.vmdk"] == hashlib.sha256(disk.bytes()).hexdigest()
    assert not export_vm(session, machine, folder, name="Win 11: base?", snapshot=snapshot).changed
    open_package(folder).verify()


def test_export_running_vm_or_template_fails(simulator, session, machine, folder):
    vm.power_on(session, machine)
    with pytest.raises(Conflict) as caught:
        export_vm(session, machine, folder)
    assert caught.value.code == "vsphere.power_state"
    with pytest.raises(Unsupported) as caught:
        export_vm(session, Inventory(session).vm(name=simulator.template), folder)
    assert caught.value.code == "vsphere.template"
    vm.power_off(session, machine)
    for name in ("...", "x" * 300):
        with pytest.raises(InvalidInput):
            export_vm(session, machine, folder, name=name)
    assert names(folder) == []
    assert not simulator.journal(method="ExportVm")


@pytest.mark.parametrize(
    "rule",
    [
        {"drop_connection": True, "after_bytes": 3 << 20},
        {"http_status": 503},
        {"delay_ms": 8000, "after_bytes": 1 << 20},
    ],
)
@pytest.mark.parametrize("chunked", [True, False])
def test_export_interrupted_download_is_resumed(simulator, session, machine, folder, rule, chunked):
    simulator.settings(chunked_export=chunked)
    simulator.rules.add("NFC:GET", **rule)
    with pytest.raises(Unavailable) as caught:
        export_vm(session, machine, folder, stall_timeout=1)
    assert caught.value.hint
    assert names(folder) == []
    assert_no_lease(simulator)
    assert export_vm(session, machine, folder).changed
    open_package(folder).verify()


@pytest.mark.parametrize(
    "call", ["ExportVm", "CreateDescriptor", "HttpNfcLeaseGetManifest", "HttpNfcLeaseComplete", "LEASE"]
)
def test_export_call_fails(simulator, session, machine, folder, call):
    rule = simulator.rules.add(call, count=None, fault="SystemError", message="A general system error occurred")
    with pytest.raises(StrataError) as caught:
        export_vm(session, machine, folder)
    simulator.rules.remove(rule)
    assert caught.value.message.startswith("Exporting desktop failed: A general system error occurred (")
    assert_no_lease(simulator)
    assert not {"desktop.ovf", "desktop.mf"} & set(names(folder))
    count = downloads(simulator)
    assert export_vm(session, machine, folder).changed
    # A disk that was fetched whole is not fetched again.
    assert downloads(simulator) == (count if call in ("CreateDescriptor", "HttpNfcLeaseComplete") else count + 1)
    open_package(folder).verify()


def test_export_kept_disk_differs_from_the_host_fails(simulator, session, machine, folder, monkeypatch):
    simulator.rules.add("CreateDescriptor", count=None, fault="SystemError", message="x")
    with pytest.raises(StrataError):
        export_vm(session, machine, folder)
    simulator.rules.clear()
    assert names(folder) == ["desktop-disk1.vmdk", "desktop.export.json"]
    with open(os.path.join(folder, "desktop-disk1.vmdk"), "r+b") as out:
        out.seek(5000)
        out.write(b"damage")
    os.utime(os.path.join(folder, "desktop-disk1.vmdk"), (1, 1))
    count = downloads(simulator)
    export_vm(session, machine, folder)
    assert downloads(simulator) == count + 1
    open_package(folder).verify()


def test_export_full_share_fails(simulator, session, machine, folder, monkeypatch):
    genuine = os.fsync

    def full(descriptor):
        if os.fstat(descriptor).st_size > 1 << 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        genuine(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpace) as caught:
        export_vm(session, machine, folder)
    assert caught.value.code == "common.files_no_space"
    assert str(caught.value.details["path"]).endswith("desktop-disk1.vmdk")
    assert names(folder) == []
    assert_no_lease(simulator)


def _export_and_die(simulator, connect, folder):
    with connect(simulator) as session:
        machine = Inventory(session).vm(name="desktop")
        export_vm(session, machine, folder, progress=lambda *step: os.kill(os.getpid(), signal.SIGKILL))


def test_export_killed_process_is_resumed(simulator, connect, session, machine, folder):
    simulator.settings(lease_timeout=1)
    child = multiprocessing.get_context("fork").Process(target=_export_and_die, args=(simulator, connect, folder))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert [name for name in names(folder) if not name.startswith(TEMPORARY_PREFIX)] == []
    assert len(names(folder)) == 1
    simulator.expire_leases()
    assert export_vm(session, machine, folder).changed
    assert names(folder) == COMPLETE


def test_export_two_at_once(simulator, connect, session, machine, folder):
    def again(*unused):
        with connect(simulator, patience=Patience(lease=0.2)) as other, pytest.raises(Conflict):
            export_vm(other, Inventory(other).vm(name="desktop"), folder)

    assert export_vm(session, machine, folder, progress=again).changed
    assert names(folder) == COMPLETE


def test_export_waits_for_an_abandoned_lease(simulator, session, machine, folder):
    simulator.settings(lease_timeout=1)
    machine.ExportVm()
    assert export_vm(session, machine, folder).changed
    assert [lease["state"] for lease in simulator.leases()][-2:] == ["error", "done"]


def test_export_removes_temporary_files_of_a_killed_export(simulator, session, machine, folder, monkeypatch):
    original = os.replace

    def killed(source, target):
        if str(target).endswith(".mf"):
            raise SystemExit
        original(source, target)

    monkeypatch.setattr(os, "replace", killed)
    monkeypatch.setattr(os, "unlink", lambda path: None)
    with pytest.raises(SystemExit):
        export_vm(session, machine, folder)
    monkeypatch.undo()
    assert any(name.startswith(TEMPORARY_PREFIX) for name in names(folder))
    assert export_vm(session, machine, folder).changed
    assert names(folder) == COMPLETE


@pytest.mark.parametrize(
    "fault",
    [
        {"drop_connection": True},
        {"drop_connection": True, "after": True},
        {"http_status": 503},
        {"fault": "SystemError"},
    ],
)
def test_export_completing_the_lease_is_repeated(simulator, session, machine, folder, fault):
    simulator.rules.add("HttpNfcLeaseComplete", **fault)
    assert export_vm(session, machine, folder).changed
    assert_no_lease(simulator)


@pytest.mark.parametrize(
    "fault",
    [
        {"drop_connection": True},
        {"drop_connection": True, "after": True},
        {"http_status": 503},
        {"fault": "SystemError"},
    ],
)
def test_export_aborting_the_lease_is_repeated(simulator, session, machine, folder, fault):
    simulator.rules.add("NFC:GET", http_status=503)
    simulator.rules.add("HttpNfcLeaseAbort", **fault)
    with pytest.raises(Unavailable) as caught:
        export_vm(session, machine, folder)
    assert caught.value.code == "vsphere.http"
    assert_no_lease(simulator)


def test_export_lost_lease_fails(simulator, session, machine, folder):
    def expire(*unused):
        simulator.expire_sessions()

    with pytest.raises(Unavailable) as caught:
        export_vm(session, machine, folder, progress=expire)
    assert caught.value.code == "vsphere.lease_lost"
    assert caught.value.hint


def test_export_wrong_digest_fails(simulator, session, machine, folder, monkeypatch):
    genuine = nfc.Lease.manifest

    def lying(lease):
        return {
            key: nfc.ManifestEntry(entry.size, "0" * 40, "", "", None, None) for key, entry in genuine(lease).items()
        }

    monkeypatch.setattr(nfc.Lease, "manifest", lying)
    with pytest.raises(Corrupt) as caught:
        export_vm(session, machine, folder)
    assert caught.value.code == "vsphere.checksum"
    assert names(folder) == []
    assert_no_lease(simulator)
