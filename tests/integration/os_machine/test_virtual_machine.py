# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role os_machine in vSphere, with the modules of vmware.vmware and community.vmware."""

from __future__ import annotations

import re

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.windows_guest import model

from .conftest import OsMachine

_LOCATION = {"cluster": "DC0_C0", "datastore": "LocalDS_0", "network": "VM Network", "folder": "OS machines/Windows 11"}


def test_role_creates_prepares_and_exports_the_vm(os_machine):
    share = os_machine.folder / "share"
    share.mkdir()
    values = {
        **_LOCATION,
        "disk_gb": 40,
        "windows_iso": "[LocalDS_0] iso/win11.iso",
        "checks": {"ghost_adapters": "ignore"},
        "setup_answer_file": str(os_machine.folder / "autounattend.xml"),
        "update": True,
        "recovery_partition": "remove",
        "export": True,
        "file_share": str(share),
        "package": "gold",
    }
    planned = os_machine.play("--check", **values)
    assert not planned.failed, planned.output
    assert planned.tasks == ["Write the answer file for Windows Setup", "Create the VM folder", "Create the VM"]
    assert os_machine.vm_facts() == {}
    assert os_machine.windows()["log"] == []

    def default_windows(state: dict) -> None:
        state["seen"]["recovery_partitions"] = 1
        state["offered"] = ["KB5031455"]

    os_machine.windows(default_windows)
    done = os_machine.play(**values)
    assert not done.failed, done.output
    seen = os_machine.windows()["seen"]
    assert (seen["recovery_partitions"], seen["hotfixes"]) == (0, ["KB5027397", "KB5031455"])
    assert b"BypassTPMCheck" in (os_machine.folder / "autounattend.xml").read_bytes()
    facts = os_machine.vm_facts()
    assert (facts["power"], facts["snapshots"]) == ("poweredOff", ["before-tools", "ready"])
    config = os_machine.vm().config
    assert (config.firmware, config.version, config.bootOptions.efiSecureBootEnabled, config.guestId) == (
        "efi",
        "vmx-21",
        True,
        "windows11_64Guest",
    )
    devices = config.hardware.device
    assert [type(device) for device in devices if isinstance(device, vim.vm.device.VirtualSCSIController)] == [
        vim.vm.device.ParaVirtualSCSIController
    ]
    assert [device.capacityInKB for device in devices if isinstance(device, vim.vm.device.VirtualDisk)] == [40 << 20]
    assert not any(isinstance(device, vim.vm.device.VirtualCdrom) for device in devices), (
        "a drive still has an ISO file"
    )
    assert [adapter[:2] for adapter in os_machine.adapters()] == [("vmxnet3", "VM Network")]
    assert {path.suffix for path in (share / "gold").iterdir()} >= {".mf", ".ovf", ".vmdk"}
    folder = os_machine.vm().parent
    assert (folder.name, folder.parent.name) == ("Windows 11", "OS machines")

    log = len(os_machine.windows()["log"])
    for flags in (["--check"], []):
        again = os_machine.play(*flags, **values)
        assert not again.failed, again.output
        assert again.changed == 0, again.output
    assert os_machine.vm_facts() == facts
    assert len(os_machine.windows()["log"]) == log, "a prepared VM was changed"

    recheck = os_machine.play(**values, recheck=True)
    assert not recheck.failed, recheck.output
    assert recheck.tasks == [
        "Power on the VM",
        "Shut down Windows",
        "Remove the outdated snapshot",
        "Take the snapshot of the prepared VM",
        "Export the VM as an OVF package",
    ]
    assert os_machine.vm_facts()["snapshots"] == ["before-tools", "ready"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, ("windows9_64Guest", "vmx-19")),
        ({"guest_id": "windows2019srvNext_64Guest"}, ("windows2019srvNext_64Guest", "vmx-19")),
        ({"hardware_version": 17}, ("windows9_64Guest", "vmx-17")),
    ],
)
def test_create_on_vsphere_7_uses_what_the_cluster_offers(vsphere_7, tmp_path, changes, found):
    machine = OsMachine("old-" + "-".join(["default", *changes]).replace("_", "-"), tmp_path, vsphere_7)
    done = hardware(machine, **_LOCATION, **changes)
    assert not done.failed, done.output
    config = machine.vm().config
    assert (config.guestId, config.version) == found
    again = hardware(machine, **_LOCATION, **changes)
    assert (again.failed, again.changed) == (False, 0), again.output


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ({"guest_id": "windows11_64Guest"}, "windows9_64Guest"),
        ({"guest_id": "windows2019srvNext_64Guest", "hardware_version": 17}, "windows2019srv_64Guest"),
        ({"hardware_version": 20}, "one of 19, 18, 17"),
    ],
)
def test_create_refuses_what_the_cluster_does_not_offer(vsphere_7, tmp_path, changes, offered):
    machine = OsMachine("refused", tmp_path, vsphere_7)
    for flags in (["--check"], []):
        refused = hardware(machine, *flags, **_LOCATION, **changes)
        assert (refused.failed, refused.changed) == (True, 0), refused.output
        assert offered in re.sub(r"\s+", " ", refused.output)
    assert machine.vm_facts() == {}


@pytest.fixture(scope="module")
def vsphere_7():
    with Simulator(arguments=("-api-version=7.0.3.0",)) as simulator:
        yield simulator


def test_role_missing_vm_without_location_names_the_options(os_machine):
    refused = os_machine.play(folder="OS machines/Elsewhere", datastore="LocalDS_0")
    assert refused.failed
    assert refused.changed == 0
    message = re.sub(r"\s+", " ", refused.output)
    assert f"{os_machine.name} does not exist in /DC0/vm/OS machines/Elsewhere" in message
    assert "set os_machine_cluster (or os_machine_esxi_host), os_machine_network" in message


def test_hardware_lsi_logic_sas_with_bios_is_created(os_machine):
    values = {
        **_LOCATION,
        "firmware": "bios",
        "scsi": "lsilogicsas",
        "hardware_version": 17,
        "guest_id": "windows9_64Guest",
        "mac_address": "00:50:56:01:02:03",
    }
    done = hardware(os_machine, **values)
    assert not done.failed, done.output
    config = os_machine.vm().config
    assert (config.firmware, config.version) == ("bios", "vmx-17")
    assert any(isinstance(device, vim.vm.device.VirtualLsiLogicSASController) for device in config.hardware.device)
    assert os_machine.adapters() == [("vmxnet3", "VM Network", "00:50:56:01:02:03")]
    assert os_machine.vm_facts()["power"] == "poweredOff"
    assert hardware(os_machine, **values).changed == 0


def hardware(os_machine, *flags, **values):
    """Run the hardware steps of the role."""
    return os_machine.play("--tags", "os_machine_hardware", *flags, **values)


@pytest.mark.parametrize(("kind", "address", "kept"), [("e1000", "00:50:56:0a:0b:0c", True), ("e1000e", None, False)])
def test_hardware_e1000_adapter_is_replaced(os_machine, kind, address, kept):
    os_machine.create_vm((kind, address))
    before = os_machine.adapters()
    planned = hardware(os_machine, "--check")
    assert not planned.failed, planned.output
    assert planned.tasks == ["Remove the network adapters"]
    assert os_machine.adapters() == before
    done = hardware(os_machine)
    assert not done.failed, done.output
    [(now, network, new)] = os_machine.adapters()
    assert (now, network) == ("vmxnet3", "VM Network")
    assert new == address if kept else os_machine.adapter().addressType == "generated"
    assert hardware(os_machine).changed == 0


def test_hardware_two_adapters_are_refused_or_removed(os_machine):
    os_machine.create_vm(("vmxnet3", "00:50:56:0a:0b:0d"), ("e1000", None))
    refused = hardware(os_machine)
    assert refused.failed
    assert "os_machine_extra_adapters" in refused.output
    assert len(os_machine.adapters()) == 2
    assert os_machine.vm_facts()["power"] == "poweredOff"
    done = hardware(os_machine, extra_adapters="remove")
    assert not done.failed, done.output
    assert os_machine.adapters() == [("vmxnet3", "VM Network", "00:50:56:0a:0b:0d")]


def test_hardware_no_adapter_requires_a_network(os_machine):
    os_machine.create_vm()
    refused = hardware(os_machine)
    assert refused.failed
    assert "os_machine_network" in refused.output
    planned = hardware(os_machine, "--check", network="VM Network")
    assert not planned.failed, planned.output
    assert planned.tasks == ["Add a VMXNET3 adapter"]


def test_hardware_wrong_firmware_fails_and_other_differences_warn(os_machine):
    os_machine.create_vm(("vmxnet3", None))
    refused = hardware(os_machine, firmware="bios", scsi="lsilogicsas", hardware_version=21)
    assert refused.failed
    assert "firmware: firmware efi. " in refused.output
    assert "SCSI controllers: ParaVirtualSCSIController" in refused.output
    assert "hardware version vmx-19. " in refused.output
    assert os_machine.vm_facts()["power"] == "poweredOff"


def test_windows_does_not_respond_fails_with_instructions(os_machine):
    os_machine.create_vm(("vmxnet3", None))
    os_machine.windows(lambda state: state.update(vm="a different VM"))
    refused = os_machine.play("--tags", "os_machine_checks", connection_timeout=1)
    assert refused.failed
    assert "install Windows and VMware Tools" in refused.output
    assert "(windows_guest): timed out waiting for ping module test" in refused.output
    assert os_machine.vm_facts()["power"] == "poweredOn"
    assert os_machine.vm_facts()["snapshots"] == []


def test_vm_template_is_refused(os_machine):
    os_machine.create_vm(("vmxnet3", None))
    os_machine.vm().MarkAsTemplate()
    refused = hardware(os_machine)
    assert refused.failed
    assert "is a VM template" in refused.output


def test_windows_model_is_off_while_its_vm_is_off(os_machine):
    os_machine.create_vm(("vmxnet3", None))
    with model.Session(str(os_machine.state)) as windows, pytest.raises(Exception, match="is not on"):
        windows.connect()
