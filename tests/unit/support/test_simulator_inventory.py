# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual machines, snapshots and descriptors of the simulator."""

from __future__ import annotations

import pathlib
import xml.etree.ElementTree as ET

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from ansible_collections.strata.layering.tests.support.simulator_client import (
    Client,
    numbers,
    vmdk,
    wait_for_snapshot,
    wait_for_task_result,
)


def test_template_has_the_hardware_that_horizon_needs(client: Client) -> None:
    machine = next(m for m in client.datacenter.vmFolder.childEntity if m.name == "windows-template")
    devices = machine.config.hardware.device
    assert machine.config.template
    assert machine.config.firmware == "efi"
    assert int(machine.config.version.removeprefix("vmx-")) >= 19
    assert [d for d in devices if isinstance(d, vim.vm.device.VirtualVmxnet3)]
    assert [d for d in devices if isinstance(d, vim.vm.device.ParaVirtualSCSIController)]
    assert not [d for d in devices if isinstance(d, vim.vm.device.VirtualDisk)]


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


def test_template_can_be_deployed(client: Client) -> None:
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
    snapshot = wait_for_snapshot(machine, "first")
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


def test_descriptor_describes_the_vm(client: Client) -> None:
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


def test_invalid_descriptor_locks_nothing(client: Client) -> None:
    params = vim.OvfManager.CreateImportSpecParams(entityName="x")
    text = '<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"><VirtualSystemCollection/></Envelope>'
    for attempt in range(2):
        result = client.content.ovfManager.CreateImportSpec(text, client.pool, client.datacenter.datastore[0], params)
        assert isinstance(
            result.error[0].fault if hasattr(result.error[0], "fault") else result.error[0], vmodl.MethodFault
        )


def test_unset_properties_and_manager_tasks_can_be_read(client: Client) -> None:
    machine = client.import_vm()
    assert machine.snapshot is None
    assert machine.parentVApp is None
    task = client.content.fileManager.MakeDirectory(f"[LocalDS_0] folder-{next(numbers)}", client.datacenter, True)
    assert task is None
    path = f"[LocalDS_0] missing-{next(numbers)}"
    task = client.content.fileManager.DeleteDatastoreFile_Task(path, client.datacenter)
    assert task.info.entity is None
    browser = client.datacenter.datastore[0].browser
    found = wait_for_task_result(browser.SearchDatastore_Task("[LocalDS_0]"))
    assert found.file


def test_invalid_specs_are_rejected(client: Client) -> None:
    spec = client.import_spec("bad")
    spec.configSpec.files.vmPathName = "[no such datastore]"
    with pytest.raises(vim.fault.InvalidDatastorePath):
        client.pool.ImportVApp(spec, client.datacenter.vmFolder)
    spec = client.import_spec("bad")
    spec.configSpec.deviceChange[2].device.backing.deviceName = "no such network"
    with pytest.raises(vim.fault.InvalidDeviceBacking):
        client.pool.ImportVApp(spec, client.datacenter.vmFolder)
