# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator keeps bytes, leases and guests as a vCenter would: seen through pyVmomi and plain HTTP."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import ssl
import struct
import subprocess
import time
import urllib.parse
import xml.etree.ElementTree as ET
import zlib

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from ansible_collections.strata.layering.tests.support.simulator import ControlError, Simulator, main, run_go

MIB = 1 << 20
CAPACITY = 16 * MIB
_numbers = itertools.count(1)


def vmdk(capacity: int = CAPACITY, fill: bytes = b"strata", grains: tuple[int, ...] = (0, 5)) -> bytes:
    """Build a stream-optimized VMDK whose ``grains`` repeat ``fill``."""
    sectors = capacity // 512
    tables = -(-sectors // (128 * 512))
    header = struct.pack(
        "<4sIIQQQQIQQQB4sH", b"KDMV", 3, 0x30001, sectors, 128, 0, 0, 512, 0, 2**64 - 1, 128, 0, b"\n \r\n", 1
    ).ljust(512, b"\0")
    out = bytearray(header.ljust(128 * 512, b"\0"))
    entries = [0] * (tables * 512)
    for number in grains:
        data = zlib.compress((fill * (65536 // len(fill) + 1))[:65536])
        entries[number] = len(out) // 512
        out += struct.pack("<QI", number * 128, len(data)) + data
        out += bytes(-len(out) % 512)
    directory = []
    for table in range(tables):
        part = entries[table * 512 : table * 512 + 512]
        if not any(part):
            directory.append(0)
            continue
        out += struct.pack("<QII", 4, 0, 1).ljust(512, b"\0")
        directory.append(len(out) // 512)
        out += struct.pack("<512I", *part)
    size = -(-len(directory) * 4 // 512)
    out += struct.pack("<QII", size, 0, 2).ljust(512, b"\0")
    sector = len(out) // 512
    out += struct.pack(f"<{len(directory)}I", *directory).ljust(size * 512, b"\0")
    out += struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    out += header[:56] + struct.pack("<Q", sector) + header[64:]
    return bytes(out + bytes(512))


class Client:
    """What the tests do with a simulator, with the leanest client."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.content = simulator.connect().RetrieveContent()
        self.datacenter = self.content.rootFolder.childEntity[0]
        self.cluster = next(
            e for e in self.datacenter.hostFolder.childEntity if isinstance(e, vim.ClusterComputeResource)
        )
        self.pool = self.cluster.resourcePool

    def import_spec(self, name: str, capacity: int = CAPACITY) -> vim.vm.VmImportSpec:
        controller = vim.vm.device.ParaVirtualSCSIController(key=-100, busNumber=0, sharedBus="noSharing")
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            diskMode="persistent", fileName="", thinProvisioned=True
        )
        disk = vim.vm.device.VirtualDisk(
            key=-101, controllerKey=-100, unitNumber=0, capacityInKB=capacity // 1024, backing=backing
        )
        network = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
        card = vim.vm.device.VirtualVmxnet3(key=-102, backing=network, addressType="generated")
        add = vim.vm.device.VirtualDeviceSpec.Operation.add
        config = vim.vm.ConfigSpec(
            name=name,
            guestId="windows9_64Guest",
            version="vmx-19",
            firmware="efi",
            numCPUs=4,
            numCoresPerSocket=2,
            memoryMB=2048,
            annotation="made by a test",
            bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=True),
            files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"),
            extraConfig=[vim.option.OptionValue(key="strata.template", value="office")],
            deviceChange=[
                vim.vm.device.VirtualDeviceSpec(operation=add, device=device) for device in (controller, disk, card)
            ],
        )
        return vim.vm.VmImportSpec(configSpec=config, resPoolEntity=None)

    def start_import(self, name: str | None = None, capacity: int = CAPACITY) -> vim.HttpNfcLease:
        lease = self.pool.ImportVApp(
            self.import_spec(name or f"vm-of-test-{next(_numbers)}", capacity), self.datacenter.vmFolder
        )
        return self.ready(lease)

    def ready(self, lease: vim.HttpNfcLease) -> vim.HttpNfcLease:
        for attempt in range(500):
            if lease.state != "initializing":
                return lease
            time.sleep(0.01)
        raise AssertionError("the lease stays initializing")

    def http(
        self, method: str, url: str, body: bytes | None = None, headers: dict | None = None
    ) -> tuple[int, dict, bytes]:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.simulator.nfc_ca_file or self.simulator.ca_file)
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=30, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        try:
            connection.request(method, parts.path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def import_vm(self, name: str | None = None, content: bytes | None = None) -> vim.VirtualMachine:
        lease = self.start_import(name)
        status, headers, body = self.http("POST", lease.info.deviceUrl[0].url, content or vmdk())
        assert status in (200, 201), body
        machine = lease.info.entity
        lease.HttpNfcLeaseComplete()
        return machine

    def export(self, lease: vim.HttpNfcLease) -> bytes:
        self.ready(lease)
        url = next(item for item in lease.info.deviceUrl if item.disk)
        status, headers, body = self.http("GET", url.url)
        assert status == 200
        lease.HttpNfcLeaseComplete()
        return body

    def power(self, machine: vim.VirtualMachine, state: str) -> None:
        for attempt in range(1000):
            if machine.runtime.powerState == state:
                return
            time.sleep(0.01)
        raise AssertionError(f"the VM is still {machine.runtime.powerState}")


@pytest.fixture
def client(shared_simulator: Simulator) -> Client:
    """A session of one's own on the shared simulator."""
    shared_simulator.rules.clear()
    before = shared_simulator.settings()
    yield Client(shared_simulator)
    shared_simulator.rules.clear()
    shared_simulator.settings(**before)


def test_its_own_tests_pass() -> None:
    run = run_go("test", "-trimpath", "-vet=off", ".")
    assert run.returncode == 0, run.stdout + run.stderr


def test_password_is_checked(shared_simulator: Simulator) -> None:
    right, shared_simulator.password = shared_simulator.password, "wrong"
    try:
        with pytest.raises(vim.fault.InvalidLogin):
            shared_simulator.connect()
    finally:
        shared_simulator.password = right


def test_template_fits_horizon(client: Client) -> None:
    machine = next(m for m in client.datacenter.vmFolder.childEntity if m.name == "windows-template")
    devices = machine.config.hardware.device
    assert machine.config.template
    assert machine.config.firmware == "efi"
    assert int(machine.config.version.removeprefix("vmx-")) >= 19
    assert [d for d in devices if isinstance(d, vim.vm.device.VirtualVmxnet3)]
    assert [d for d in devices if isinstance(d, vim.vm.device.ParaVirtualSCSIController)]
    assert not [d for d in devices if isinstance(d, vim.vm.device.VirtualDisk)]


def test_import_honours_the_spec(client: Client) -> None:
    machine = client.import_vm("honoured")
    config = machine.config
    assert (config.annotation, config.firmware, config.version) == ("made by a test", "efi", "vmx-19")
    assert (config.hardware.numCPU, config.hardware.numCoresPerSocket, config.hardware.memoryMB) == (4, 2, 2048)
    assert config.bootOptions.efiSecureBootEnabled
    assert {option.key: option.value for option in config.extraConfig}["strata.template"] == "office"
    assert config.files.vmPathName == "[LocalDS_0] honoured/honoured.vmx"
    disk = next(d for d in config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
    assert disk.capacityInBytes == CAPACITY


def test_what_was_uploaded_is_exported(client: Client) -> None:
    content = vmdk(fill=os.urandom(1000))
    machine = client.import_vm(content=content)
    stored = client.simulator.disks(machine.name)[0]
    assert stored["sha256"] == hashlib.sha256(content).hexdigest()
    assert pathlib.Path(stored["path"]).read_bytes() == content
    lease = client.ready(machine.ExportVm())
    url = next(item for item in lease.info.deviceUrl if item.disk)
    assert url.key == f"/{machine._moId}/ParaVirtualSCSIController0:0"
    assert url.sslThumbprint == client.simulator.thumbprint
    assert lease.info.totalDiskCapacityInKB == CAPACITY // 1024
    assert lease.HttpNfcLeaseGetManifest() == []
    status, headers, body = client.http("HEAD", url.url)
    assert (status, int(headers["Content-Length"]), body) == (200, len(content), b"")
    status, headers, body = client.http("GET", url.url)
    assert (status, int(headers["Content-Length"]), body) == (200, len(content), content)
    nvram = next(item for item in lease.info.deviceUrl if not item.disk)
    assert len(client.http("GET", nvram.url)[2]) == nvram.fileSize > 0
    entry = lease.HttpNfcLeaseGetManifest()[0]
    assert (entry.key, entry.size, entry.disk, entry.capacity) == (url.key, len(content), True, CAPACITY)
    assert (entry.sha1, entry.checksumType, entry.checksum) == (
        hashlib.sha1(content).hexdigest(),
        "sha256",
        stored["sha256"],
    )
    assert entry.populatedSize == 2 * 65536
    lease.HttpNfcLeaseComplete()


def test_manifest_of_an_upload(client: Client) -> None:
    lease = client.start_import("manifest")
    url = lease.info.deviceUrl[0]
    assert url.importKey == "/manifest/ParaVirtualSCSIController0:0"
    content = vmdk()
    assert client.http("PUT", url.url, content)[0] == 201
    entry = lease.HttpNfcLeaseGetManifest()[0]
    assert (entry.key, entry.sha1, entry.size) == (url.key, hashlib.sha1(content).hexdigest(), len(content))
    lease.HttpNfcLeaseAbort(None)


def broken_bodies() -> dict[str, bytes]:
    good = vmdk()
    return {
        "no VMDK": b"X" + good[1:],
        "monolithic sparse": good[:8] + b"\x01\0\0\0" + good[12:],
        "other capacity": vmdk(CAPACITY * 2),
        "without end of stream": good[:-512],
        "cut in the middle": good[: len(good) // 2],
        "empty": b"",
        "short": good[:100],
    }


@pytest.mark.parametrize("case", list(broken_bodies()))
def test_a_body_that_is_no_such_disk_ends_the_lease(client: Client, case: str) -> None:
    lease = client.start_import()
    name = lease.info.entity.name
    status = client.http("POST", lease.info.deviceUrl[0].url, broken_bodies()[case])[0]
    assert status == 500
    assert lease.state == "error"
    assert isinstance(lease.error, vmodl.MethodFault)
    assert client.simulator.machines(name) == []
    with pytest.raises(vim.fault.InvalidState):
        lease.HttpNfcLeaseComplete()


def test_qemu_images_are_taken(client: Client, tmp_path: pathlib.Path) -> None:
    raw, image = tmp_path / "disk.raw", tmp_path / "disk.vmdk"
    raw.write_bytes(os.urandom(3 * 65536) + bytes(CAPACITY - 3 * 65536))
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, image], check=True)
    machine = client.import_vm(content=image.read_bytes())
    assert client.simulator.disks(machine.name)[0]["populated"] == 3 * 65536
    lease = client.start_import()
    assert client.http("POST", lease.info.deviceUrl[0].url, image.read_bytes()[:-131072])[0] == 500


def test_export_of_a_disk_never_written_is_empty(client: Client, tmp_path: pathlib.Path) -> None:
    lease = client.start_import()
    machine = lease.info.entity
    lease.HttpNfcLeaseComplete()
    image = tmp_path / "empty.vmdk"
    image.write_bytes(client.export(machine.ExportVm()))
    raw = tmp_path / "empty.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    assert raw.stat().st_size == CAPACITY
    assert not raw.read_bytes().strip(b"\0")


def test_the_vm_is_locked_while_the_lease_is_held(client: Client) -> None:
    lease = client.start_import()
    machine = lease.info.entity
    assert client.simulator.machines(machine.name)[0]["locked"]
    for call in (
        machine.PowerOnVM_Task,
        machine.Destroy_Task,
        machine.ExportVm,
        machine.MarkAsTemplate,
        lambda: machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="x")),
        lambda: machine.CreateSnapshot_Task("s", "", False, False),
    ):
        with pytest.raises(vim.fault.TaskInProgress) as caught:
            call()
        assert caught.value.msg == "Another task is already in progress."
    assert client.http("PUT", lease.info.deviceUrl[0].url, vmdk())[0] == 201
    lease.HttpNfcLeaseComplete()
    assert lease.state == "done"
    WaitForTask(machine.PowerOnVM_Task())
    task = machine.PowerOnVM_Task()
    with pytest.raises(vim.fault.InvalidPowerState):
        WaitForTask(task)
    assert task.info.error.msg == "The attempted operation cannot be performed in the current state."
    with pytest.raises(vim.fault.InvalidPowerState):
        machine.ExportVm()
    WaitForTask(machine.PowerOffVM_Task())


def test_complete_only_once(client: Client) -> None:
    lease = client.start_import()
    lease.HttpNfcLeaseComplete()
    for call in (
        lease.HttpNfcLeaseComplete,
        lambda: lease.HttpNfcLeaseProgress(5),
        lambda: lease.HttpNfcLeaseAbort(None),
    ):
        with pytest.raises(vim.fault.InvalidState):
            call()


def test_abort_removes_what_the_import_made(client: Client) -> None:
    lease = client.start_import("aborted")
    assert client.http("PUT", lease.info.deviceUrl[0].url, vmdk())[0] == 201
    path = pathlib.Path(client.simulator.disks("aborted")[0]["path"])
    lease.HttpNfcLeaseAbort(None)
    assert lease.state == "error"
    assert client.simulator.machines("aborted") == []
    assert not path.exists()
    client.import_vm("aborted")


def test_progress_is_checked_and_readable(client: Client) -> None:
    lease = client.start_import()
    for percent in (-1, 101):
        with pytest.raises(vmodl.fault.InvalidArgument):
            lease.HttpNfcLeaseProgress(percent)
    lease.HttpNfcLeaseProgress(42)
    assert lease.transferProgress == 42
    task = next(t for t in client.content.taskManager.recentTask if t.info.state == "running")
    assert task.info.progress == 42
    lease.HttpNfcLeaseComplete()
    assert task.info.state == "success"
    assert task.info.result.name


def test_a_lease_without_progress_expires(client: Client) -> None:
    client.simulator.settings(lease_timeout=0.3)
    lease = client.start_import("expired")
    for step in range(6):
        time.sleep(0.1)
        lease.HttpNfcLeaseProgress(step)
    assert lease.state == "ready"
    for attempt in range(300):
        if lease.state == "error":
            break
        time.sleep(0.02)
    assert isinstance(lease.error, vim.fault.Timedout)
    assert client.simulator.machines("expired") == []
    with pytest.raises(vim.fault.Timedout):
        lease.HttpNfcLeaseProgress(50)


def test_an_expired_export_leaves_the_vm(client: Client) -> None:
    machine = client.import_vm()
    lease = client.ready(machine.ExportVm())
    assert client.simulator.expire_leases(lease._moId) == 1
    assert lease.state == "error"
    assert not client.simulator.machines(machine.name)[0]["locked"]
    WaitForTask(machine.Destroy_Task())


def test_clone_copies_disk_and_settings(client: Client) -> None:
    content = vmdk(fill=b"clone me")
    machine = client.import_vm(content=content)
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=client.pool), powerOn=False, template=False)
    WaitForTask(machine.CloneVM_Task(client.datacenter.vmFolder, "the-clone", spec))
    WaitForTask(machine.Destroy_Task())
    clone = next(m for m in client.datacenter.vmFolder.childEntity if m.name == "the-clone")
    assert (clone.config.annotation, clone.config.firmware) == ("made by a test", "efi")
    assert client.export(clone.ExportVm()) == content
    path = pathlib.Path(client.simulator.disks("the-clone")[0]["path"])
    WaitForTask(clone.Destroy_Task())
    assert not path.exists()


def test_template_is_deployed(client: Client) -> None:
    template = next(m for m in client.datacenter.vmFolder.childEntity if m.name == "windows-template")
    location = vim.vm.RelocateSpec(pool=client.pool, datastore=client.datacenter.datastore[0])
    config = vim.vm.ConfigSpec(
        annotation="mine", extraConfig=[vim.option.OptionValue(key="strata.digest", value="abc")]
    )
    spec = vim.vm.CloneSpec(location=location, powerOn=False, template=False, config=config)
    WaitForTask(template.CloneVM_Task(client.datacenter.vmFolder, "deployed", spec))
    machine = next(m for m in client.datacenter.vmFolder.childEntity if m.name == "deployed")
    options = {option.key: option.value for option in machine.config.extraConfig}
    assert not machine.config.template
    assert machine.config.firmware == "efi"
    assert machine.config.annotation == "mine"
    assert options["strata.digest"] == "abc"
    assert options["svga.autodetect"] == "TRUE"


def test_snapshot_keeps_the_disk(client: Client, tmp_path: pathlib.Path) -> None:
    before, after = vmdk(fill=b"before"), vmdk(fill=b"after")
    machine = client.import_vm(content=before)
    snapshot = WaitForSnapshot(machine, "first")
    replacement = tmp_path / "after.vmdk"
    replacement.write_bytes(after)
    client.simulator.put_disk(machine.name, replacement)
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="changed", numCPUs=8)))
    assert client.export(machine.ExportVm()) == after
    assert client.export(snapshot.ExportSnapshot()) == before
    WaitForTask(machine.PowerOnVM_Task())
    WaitForTask(snapshot.RevertToSnapshot_Task(suppressPowerOn=True))
    assert machine.runtime.powerState == "poweredOff"
    assert machine.config.annotation == "made by a test"
    assert machine.config.hardware.numCPU == 4
    assert client.export(machine.ExportVm()) == before
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="again")))
    WaitForTask(machine.RevertToCurrentSnapshot_Task())
    assert machine.config.annotation == "made by a test"
    WaitForTask(snapshot.RemoveSnapshot_Task(removeChildren=False))
    assert machine.snapshot is None
    WaitForTask(machine.Destroy_Task())


def WaitForSnapshot(machine: vim.VirtualMachine, name: str) -> vim.vm.Snapshot:
    WaitForTask(machine.CreateSnapshot_Task(name, "", False, False))
    return machine.snapshot.currentSnapshot


def test_descriptor(client: Client) -> None:
    machine = client.import_vm()
    lease = client.ready(machine.ExportVm())
    files = [
        vim.OvfManager.OvfFile(
            deviceId=item.key, path="disk.vmdk" if item.disk else "x.nvram", size=4711 if item.disk else item.fileSize
        )
        for item in lease.info.deviceUrl
    ]
    result = client.content.ovfManager.CreateDescriptor(
        machine, vim.OvfManager.CreateDescriptorParams(name="a & b", ovfFiles=files)
    )
    lease.HttpNfcLeaseComplete()
    space = {
        "o": "http://schemas.dmtf.org/ovf/envelope/1",
        "v": "http://www.vmware.com/schema/ovf",
        "r": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData",
    }
    tree = ET.fromstring(result.ovfDescriptor)
    attribute = "{%s}" % space["o"]
    file = tree.find("o:References/o:File[1]", space)
    assert (file.get(attribute + "href"), file.get(attribute + "size")) == ("disk.vmdk", "4711")
    disk = tree.find("o:DiskSection/o:Disk", space)
    assert disk.get(attribute + "fileRef") == file.get(attribute + "id")
    assert (disk.get(attribute + "capacity"), disk.get(attribute + "capacityAllocationUnits")) == ("16", "byte * 2^20")
    assert disk.get(attribute + "populatedSize") == str(2 * 65536)
    assert tree.find("o:VirtualSystem/o:Name", space).text == "a & b"
    items = tree.findall("o:VirtualSystem/o:VirtualHardwareSection/o:Item", space)
    kinds = {item.find("r:ResourceType", space).text: item for item in items}
    assert kinds["3"].find("r:VirtualQuantity", space).text == "4"
    assert kinds["10"].find("r:ResourceSubType", space).text == "VmxNet3"
    assert kinds["17"].find("r:Parent", space).text == kinds["6"].find("r:InstanceID", space).text
    keys = {
        c.get("{%s}key" % space["v"]): c.get("{%s}value" % space["v"]) for c in tree.iter("{%s}Config" % space["v"])
    }
    assert keys["firmware"] == "efi"
    assert keys["bootOptions.efiSecureBootEnabled"] == "true"


def test_import_spec_from_a_descriptor_matches_the_lease(client: Client) -> None:
    machine = client.import_vm()
    files = [vim.OvfManager.OvfFile(deviceId=f"/{machine._moId}/ParaVirtualSCSIController0:0", path="d.vmdk", size=1)]
    text = client.content.ovfManager.CreateDescriptor(
        machine, vim.OvfManager.CreateDescriptorParams(ovfFiles=files)
    ).ovfDescriptor
    params = vim.OvfManager.CreateImportSpecParams(entityName="from-ovf", diskProvisioning="thin")
    result = client.content.ovfManager.CreateImportSpec(text, client.pool, client.datacenter.datastore[0], params)
    assert not result.error
    assert result.importSpec.configSpec.firmware == "efi"
    lease = client.ready(client.pool.ImportVApp(result.importSpec, client.datacenter.vmFolder))
    assert [item.importKey for item in lease.info.deviceUrl] == [item.deviceId for item in result.fileItem]
    lease.HttpNfcLeaseAbort(None)


def test_a_descriptor_that_cannot_be_read_locks_nothing(client: Client) -> None:
    params = vim.OvfManager.CreateImportSpecParams(entityName="x")
    text = '<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"><VirtualSystemCollection/></Envelope>'
    for attempt in range(2):
        result = client.content.ovfManager.CreateImportSpec(text, client.pool, client.datacenter.datastore[0], params)
        assert isinstance(
            result.error[0].fault if hasattr(result.error[0], "fault") else result.error[0], vmodl.MethodFault
        )


def test_wrong_http_methods_do_no_harm(client: Client) -> None:
    lease = client.start_import()
    url = lease.info.deviceUrl[0].url
    for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        assert client.http(method, url)[0] == 405
    assert client.http("GET", url.rpartition("/nfc/")[0] + "/nfc/unknown/disk.vmdk")[0] == 404
    assert lease.state == "ready"
    lease.HttpNfcLeaseAbort(None)
    assert client.http("PUT", url, vmdk())[0] == 404


def test_star_host(client: Client) -> None:
    client.simulator.settings(star_host=True, thumbprint="AA:BB")
    lease = client.start_import()
    parts = urllib.parse.urlsplit(lease.info.deviceUrl[0].url)
    assert parts.netloc == f"*:{client.simulator.port}"
    assert lease.info.deviceUrl[0].sslThumbprint == "AA:BB"
    lease.HttpNfcLeaseAbort(None)


def test_unset_properties_and_manager_tasks_can_be_read(client: Client) -> None:
    machine = client.import_vm()
    assert machine.snapshot is None
    assert machine.parentVApp is None
    task = client.content.fileManager.MakeDirectory(f"[LocalDS_0] folder-{next(_numbers)}", client.datacenter, True)
    assert task is None
    path = f"[LocalDS_0] missing-{next(_numbers)}"
    task = client.content.fileManager.DeleteDatastoreFile_Task(path, client.datacenter)
    assert task.info.entity is None
    browser = client.datacenter.datastore[0].browser
    found = WaitForTaskResult(browser.SearchDatastore_Task("[LocalDS_0]"))
    assert found.file


def WaitForTaskResult(task: vim.Task):
    WaitForTask(task)
    return task.info.result


def test_bad_specs_are_refused(client: Client) -> None:
    spec = client.import_spec("bad")
    spec.configSpec.files.vmPathName = "[no such datastore]"
    with pytest.raises(vim.fault.InvalidDatastorePath):
        client.pool.ImportVApp(spec, client.datacenter.vmFolder)
    spec = client.import_spec("bad")
    spec.configSpec.deviceChange[2].device.backing.deviceName = "no such network"
    with pytest.raises(vim.fault.InvalidDeviceBacking):
        client.pool.ImportVApp(spec, client.datacenter.vmFolder)


def test_fault_rules(client: Client) -> None:
    rules = client.simulator.rules
    machine = client.import_vm("ruled")
    other = client.import_vm("not-ruled")
    number = rules.add(
        "PowerOnVM_Task", object="ruled", skip=1, count=1, fault="HostCommunication", message="The host is gone."
    )
    WaitForTask(other.PowerOnVM_Task())
    WaitForTask(machine.PowerOnVM_Task())
    WaitForTask(machine.PowerOffVM_Task())
    with pytest.raises(vmodl.fault.HostCommunication) as caught:
        machine.PowerOnVM_Task()
    assert caught.value.msg == "The host is gone."
    WaitForTask(machine.PowerOnVM_Task())
    rule = rules.list()[0]
    assert (rule["id"], rule["seen"], rule["hits"]) == (number, 3, 1)
    rules.clear()
    rules.add(
        "PowerOffVM_Task",
        fault="InvalidPowerState",
        fault_fields={"existingState": "suspended"},
        task=True,
        delay_ms=50,
        object=machine._moId,
    )
    with pytest.raises(vim.fault.InvalidPowerState) as caught:
        WaitForTask(machine.PowerOffVM_Task())
    assert caught.value.existingState == "suspended"
    assert machine.runtime.powerState == "poweredOn"
    entry = client.simulator.journal(method="PowerOnVM_Task")[-2]
    assert (entry["name"], entry["fault"], entry["rule"]) == ("ruled", "HostCommunication", number)
    for wrong in ({"method": "X", "fault": "NoSuchFault"}, {"method": ""}, {"method": "X", "fault": "AboutInfo"}):
        with pytest.raises(ControlError):
            rules.add(**wrong)


def test_rules_that_wait_for_another_call(client: Client) -> None:
    machine = client.import_vm()
    client.simulator.rules.add("Rename_Task", since="PowerOnVM_Task", fault="SystemError")
    WaitForTask(machine.Rename_Task("first"))
    WaitForTask(machine.PowerOnVM_Task())
    with pytest.raises(vmodl.fault.SystemError):
        machine.Rename_Task("second")
    WaitForTask(machine.Rename_Task("third"))


def test_a_rule_restarts_vcenter(simulator: Simulator) -> None:
    client = Client(simulator)
    client.start_import("gone")
    simulator.rules.add("CreateFolder", restart="abort", delay_ms=300)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.datacenter.vmFolder.CreateFolder("never")
    assert simulator.machines("gone") == []
    with pytest.raises((OSError, http.client.HTTPException)):
        client.datacenter.name
    with pytest.raises(ControlError):
        simulator.rules.add("CreateFolder", restart="sometimes")


def test_reset(simulator: Simulator) -> None:
    client = Client(simulator)
    client.import_vm("stays")
    WaitForTask(client.import_vm("goes").PowerOnVM_Task())
    client.start_import("held")
    client.datacenter.vmFolder.CreateFolder("folder")
    simulator.rules.add("*", fault="SystemError", count=None)
    simulator.settings(thumbprint="AB")
    simulator.reset(("stays",))
    assert {machine["name"] for machine in simulator.machines()} == {"stays", "windows-template"}
    assert simulator.rules.list() == simulator.leases() == simulator.journal() == []
    assert simulator.settings()["thumbprint"] == ""
    with pytest.raises(vim.fault.NotAuthenticated):
        client.datacenter.name
    assert [
        child.name for child in Client(simulator).datacenter.vmFolder.childEntity if isinstance(child, vim.Folder)
    ] == []


def test_http_rules(client: Client) -> None:
    machine = client.import_vm()
    rules = client.simulator.rules
    rules.add("PowerOnVM_Task", http_status=503)
    with pytest.raises(Exception, match="503"):
        machine.PowerOnVM_Task()
    assert machine.runtime.powerState == "poweredOff"
    rules.add("PowerOnVM_Task", drop_connection=True)
    with pytest.raises((OSError, http.client.HTTPException)):
        machine.PowerOnVM_Task()
    assert machine.runtime.powerState == "poweredOff"
    rules.add("PowerOnVM_Task", drop_connection=True, after=True)
    with pytest.raises((OSError, http.client.HTTPException)):
        machine.PowerOnVM_Task()
    client.power(machine, "poweredOn")
    WaitForTask(machine.PowerOffVM_Task())


def test_nfc_rules_on_upload(client: Client) -> None:
    rules = client.simulator.rules
    client.simulator.settings(cut_upload="keep")
    lease = client.start_import()
    url, content = lease.info.deviceUrl[0].url, vmdk(fill=os.urandom(65536), grains=tuple(range(100)))
    rules.add("NFC:PUT", http_status=503)
    assert client.http("PUT", url, content)[0] == 503
    rules.add("NFC:PUT", drop_connection=True, after_bytes=100_000)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.http("PUT", url, content)
    rules.add("NFC:PUT", http_status=500, after_bytes=200_000)
    try:
        assert client.http("PUT", url, content)[0] == 500
    except OSError:
        pass  # the answer came while the body was still being sent
    rules.add("NFC:PUT", delay_ms=100, after_bytes=1000)
    assert client.http("PUT", url, content)[0] == 201
    assert lease.state == "ready"
    lease.HttpNfcLeaseComplete()
    entries = client.simulator.journal(method="NFC:PUT")[-4:]
    assert [entry["status"] for entry in entries] in ([503, 0, 500, 201],)
    assert entries[3]["bytes"] == len(content)
    assert entries[3]["seconds"] >= 0.1


def test_nfc_rules_on_download(client: Client) -> None:
    content = vmdk(fill=os.urandom(65536), grains=tuple(range(100)))
    machine = client.import_vm(content=content)
    lease = client.ready(machine.ExportVm())
    url = next(item for item in lease.info.deviceUrl if item.disk).url
    client.simulator.rules.add("NFC:GET", drop_connection=True, after_bytes=len(content) // 2)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.http("GET", url)
    assert not lease.HttpNfcLeaseGetManifest()
    client.simulator.settings(chunked_export=True)
    status, headers, body = client.http("GET", url)
    assert body == content
    assert "Content-Length" not in headers
    lease.HttpNfcLeaseComplete()


def test_download_rule_with_delay_and_drop_waits_before_it_drops(client: Client) -> None:
    content = vmdk(fill=os.urandom(65536), grains=tuple(range(100)))
    lease = client.ready(client.import_vm(content=content).ExportVm())
    url = next(item for item in lease.info.deviceUrl if item.disk).url
    client.simulator.rules.add("NFC:GET", drop_connection=True, delay_ms=300, after_bytes=len(content) // 2)
    start = time.monotonic()
    with pytest.raises((OSError, http.client.HTTPException)):
        client.http("GET", url)
    assert time.monotonic() - start >= 0.3
    assert client.simulator.journal(method="NFC:GET")[-1]["bytes"] == len(content) // 2


@pytest.mark.parametrize("end", ["release", "remove"])
def test_rule_released_or_removed_lets_a_waiting_transfer_continue(client: Client, end: str) -> None:
    content = vmdk(fill=os.urandom(65536), grains=tuple(range(100)))
    lease = client.ready(client.import_vm(content=content).ExportVm())
    url = next(item for item in lease.info.deviceUrl if item.disk).url
    rules = client.simulator.rules
    rule = rules.add("NFC:GET", delay_ms=600_000, after_bytes=len(content) // 2)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(client.http, "GET", url)
        while not rules.list()[0]["hits"]:
            time.sleep(0.01)
        getattr(rules, end)(rule)
        assert answer.result(60)[2] == content


def test_a_broken_upload_ends_the_lease(client: Client) -> None:
    lease = client.start_import("broken")
    parts = urllib.parse.urlsplit(lease.info.deviceUrl[0].url)
    context = ssl.create_default_context(cafile=client.simulator.ca_file)
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context)
    connection.putrequest("PUT", parts.path)
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(vmdk()[:4096])
    connection.close()
    for attempt in range(500):
        if lease.state == "error":
            break
        time.sleep(0.01)
    assert lease.state == "error"
    assert client.simulator.machines("broken") == []


def test_lease_rules(client: Client) -> None:
    client.simulator.rules.add("LEASE", object="never", fault="NoDiskSpace", fault_fields={"datastore": "LocalDS_0"})
    lease = client.start_import("never")
    assert lease.state == "error"
    assert isinstance(lease.error, vim.fault.NoDiskSpace)
    assert client.simulator.machines("never") == []


def test_sessions_end(simulator: Simulator) -> None:
    client = Client(simulator)
    assert simulator.expire_sessions() >= 1
    with pytest.raises(vim.fault.NotAuthenticated):
        client.datacenter.name
    client = Client(simulator)
    simulator.rules.add("ImportVApp", fault="NotAuthenticated")
    with pytest.raises(vim.fault.NotAuthenticated):
        client.start_import()
    with pytest.raises(vim.fault.NotAuthenticated):
        client.datacenter.name
    client = Client(simulator)
    client.start_import("orphan")
    simulator.restart(0.5, leases="orphan")
    assert [machine["locked"] for machine in simulator.machines("orphan")] == [False]
    with pytest.raises((OSError, http.client.HTTPException)):
        client.datacenter.name
    for attempt in range(100):
        try:
            Client(simulator)
            break
        except vim.fault.HostConnectFault:
            time.sleep(0.05)
    else:
        raise AssertionError("vCenter stays away")
    Client(simulator).start_import("aborted")
    simulator.settings(session_leases="abort")
    simulator.expire_sessions()
    assert simulator.machines("aborted") == []


def test_sessions_hear_of_changes_side_by_side(shared_simulator: Simulator) -> None:
    def work() -> int:
        client = Client(shared_simulator)
        machine = client.import_vm()
        for attempt in range(5):
            WaitForTask(machine.PowerOnVM_Task())
            WaitForTask(machine.PowerOffVM_Task())
        return 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sum(future.result(60) for future in [pool.submit(work) for number in range(4)]) == 4


def test_hosts_have_certificates_of_their_own() -> None:
    with Simulator(separate_host=True) as simulator:
        client = Client(simulator)
        lease = client.start_import()
        url = lease.info.deviceUrl[0]
        assert urllib.parse.urlsplit(url.url).port != simulator.port
        assert url.sslThumbprint == simulator.nfc_thumbprint != simulator.thumbprint
        assert client.http("PUT", url.url, vmdk())[0] == 201
        lease.HttpNfcLeaseComplete()


def test_without_tls() -> None:
    with Simulator(tls=False, template=None) as simulator:
        client = Client(simulator)
        assert client.export(client.import_vm().ExportVm()) == vmdk()


def guest_of(simulator: Simulator, machine: vim.VirtualMachine) -> dict:
    for attempt in range(500):
        runs = simulator.guests(machine.name)
        if runs and not runs[-1]["running"] and runs[-1]["exit"] is not None:
            return runs[-1]
        time.sleep(0.01)
    raise AssertionError("the guest does not end")


def test_guest_runs_and_powers_off(client: Client, tmp_path: pathlib.Path) -> None:
    content = vmdk(fill=b"guest")
    machine = client.import_vm("with-guest", content)
    client.simulator.guest(
        'test "$STRATA_VM_NAME" = "$1" || exit 9; sha256sum < "$3"; echo guestinfo.strata.result="done $STRATA_VM_BOOT"; test -n "$STRATA_CONTROL"; sleep 0.3',
        vm="with-guest",
    )
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(200):
        if machine.guest.toolsRunningStatus == "guestToolsRunning":
            break
        time.sleep(0.005)
    assert machine.runtime.powerState == "poweredOn"
    client.power(machine, "poweredOff")
    run = guest_of(client.simulator, machine)
    assert run["exit"] == 0
    assert hashlib.sha256(content).hexdigest() in run["output"]
    assert {option.key: option.value for option in machine.config.extraConfig}["guestinfo.strata.result"] == "done 1"
    assert client.simulator.journal(kind="guest")[-1]["name"] == "with-guest"
    for attempt in range(200):
        if machine.guest.toolsRunningStatus == "guestToolsNotRunning":
            break
        time.sleep(0.01)
    assert machine.guest.toolsRunningStatus == "guestToolsNotRunning"


def test_guest_reboots(client: Client) -> None:
    machine = client.import_vm("reboots")
    client.simulator.guest('test "$STRATA_VM_BOOT" -ge 3 || exit 194', vm="reboots")
    WaitForTask(machine.PowerOnVM_Task())
    client.power(machine, "poweredOff")
    assert guest_of(client.simulator, machine)["boots"] == 3


def alive(mark: str) -> list[str]:
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


def test_no_process_stays_behind(client: Client) -> None:
    machine = client.import_vm("leaves-none")
    mark = f"97{os.getpid()}"
    client.simulator.guest(
        f"setsid sleep {mark} & sleep {mark}1 & trap '' TERM; echo ready; while :; do sleep 0.1; done", vm="leaves-none"
    )
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(500):
        if "ready" in "".join(run["output"] for run in client.simulator.guests("leaves-none")):
            break
        time.sleep(0.01)
    assert len(alive(f"sleep\0{mark}")) == 2
    machine.ShutdownGuest()
    time.sleep(0.3)
    assert machine.runtime.powerState == "poweredOn"  # this guest ignores the request
    WaitForTask(machine.PowerOffVM_Task())
    for attempt in range(500):
        if not alive(f"sleep\0{mark}"):
            break
        time.sleep(0.01)
    assert not alive(f"sleep\0{mark}")


def test_shutdown_guest_is_a_termination(client: Client) -> None:
    machine = client.import_vm("shuts-down")
    client.simulator.guest("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done", vm="shuts-down")
    with pytest.raises(vim.fault.InvalidPowerState):
        machine.ShutdownGuest()
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(500):
        if "ready" in "".join(run["output"] for run in client.simulator.guests("shuts-down")):
            break
        time.sleep(0.01)
    machine.ShutdownGuest()
    client.power(machine, "poweredOff")
    assert guest_of(client.simulator, machine)["output"].endswith("bye\n")


def test_guest_modes(client: Client) -> None:
    machine = client.import_vm("modes")
    WaitForTask(machine.PowerOnVM_Task())
    with pytest.raises(vim.fault.ToolsUnavailable):
        machine.ShutdownGuest()
    WaitForTask(machine.PowerOffVM_Task())
    option = vim.option.OptionValue(key="strata.guest", value="hang")
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(500):
        if machine.guest.toolsRunningStatus == "guestToolsRunning":
            break
        time.sleep(0.01)
    machine.ShutdownGuest()
    time.sleep(0.2)
    assert machine.runtime.powerState == "poweredOn"
    WaitForTask(machine.PowerOffVM_Task())
    option.value = "exit"
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))
    WaitForTask(machine.PowerOnVM_Task())
    client.power(machine, "poweredOff")


def test_guestinfo_from_outside(client: Client) -> None:
    machine = client.import_vm("informed")
    client.simulator.set_guestinfo("informed", {"guestinfo.a": "1", "guestinfo.b": "2"})
    client.simulator.set_guestinfo("informed", {"guestinfo.a": ""})
    options = {option.key: option.value for option in machine.config.extraConfig}
    assert options["guestinfo.b"] == "2"
    assert "guestinfo.a" not in options
    with pytest.raises(ControlError):
        client.simulator.set_guestinfo("informed", {"strata.x": "1"})


def test_it_ends_with_its_guests_and_files() -> None:
    mark = f"98{os.getpid()}"
    simulator = Simulator(guest=f"setsid sleep {mark} & sleep {mark}2").start()
    machine = Client(simulator).import_vm()
    state = pathlib.Path(simulator.state)
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(500):
        if len(alive(f"sleep\0{mark}")) == 2:
            break
        time.sleep(0.01)
    assert len(alive(f"sleep\0{mark}")) == 2
    assert list(state.glob("*.vmdk"))
    simulator.stop()
    assert not simulator.running
    assert not state.exists()
    assert not alive(f"sleep\0{mark}")


def test_it_is_started_and_stopped_from_a_shell(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "connection.json"
    assert main(["start", "--file", str(file), "--end-after", "5m", "--", "-vm=1"]) == 0
    try:
        assert file.stat().st_mode & 0o777 == 0o600
        simulator = Simulator.load(file)
        assert f"export STRATA_SIMULATOR_PID={simulator.pid}\n" in capsys.readouterr().out
        assert len(simulator.machines()) > 1
        assert simulator.connect().content.about.apiType == "VirtualCenter"
        log = pathlib.Path(json.loads(file.read_text())["log"])
        assert log.exists()
    finally:
        assert main(["stop", "--file", str(file)]) == 0
    assert not file.exists()
    assert not log.exists()
    assert not pathlib.Path(f"/proc/{simulator.pid}/exe").exists()
    assert main(["stop", "--file", str(file)]) == 0


def test_it_ends_when_its_parent_does() -> None:
    simulator = Simulator().start()
    simulator._process.stdin.close()
    assert simulator._process.wait(15) == 0
    simulator.stop()
