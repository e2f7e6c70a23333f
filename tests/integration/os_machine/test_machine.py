# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role os_machine: the virtual machine in vSphere, through the modules of vmware.vmware and community.vmware."""

from __future__ import annotations

import re

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.tests.support.windows_guest import model

_PLACE = {"cluster": "DC0_C0", "datastore": "LocalDS_0", "network": "VM Network", "folder": "OS machines/Windows 11"}


def test_the_whole_way(machine):
    share = machine.folder / "share"
    share.mkdir()
    wanted = {
        **_PLACE,
        "disk_gb": 40,
        "windows_iso": "[LocalDS_0] iso/win11.iso",
        "checks": {"ghost_adapters": "ignore"},
        "export": True,
        "file_share": str(share),
        "package": "gold",
    }
    planned = machine.play("--check", **wanted)
    assert not planned.failed and planned.tasks == ["Make the folder", "Create the machine"], planned.output
    assert machine.seen() == {} and machine.windows()["log"] == []

    done = machine.play(**wanted)
    assert not done.failed, done.output
    seen = machine.seen()
    assert (seen["power"], seen["snapshots"]) == ("poweredOff", ["before-tools", "ready"])
    config = machine.vm().config
    assert (config.firmware, config.version, config.bootOptions.efiSecureBootEnabled, config.guestId) == (
        "efi",
        "vmx-19",
        True,
        "windows11_64Guest",
    )
    devices = config.hardware.device
    assert [type(device) for device in devices if isinstance(device, vim.vm.device.VirtualSCSIController)] == [
        vim.vm.device.ParaVirtualSCSIController
    ]
    assert [device.capacityInKB for device in devices if isinstance(device, vim.vm.device.VirtualDisk)] == [40 << 20]
    assert not any(isinstance(device, vim.vm.device.VirtualCdrom) for device in devices), "the ISO file is still in"
    assert [adapter[:2] for adapter in machine.adapters()] == [("vmxnet3", "VM Network")]
    assert {path.suffix for path in (share / "gold").iterdir()} >= {".mf", ".ovf", ".vmdk"}
    folder = machine.vm().parent
    assert (folder.name, folder.parent.name) == ("Windows 11", "OS machines")

    log = len(machine.windows()["log"])
    for flags in (["--check"], []):
        again = machine.play(*flags, **wanted)
        assert not again.failed and again.changed == 0, again.output
    assert machine.seen() == seen and len(machine.windows()["log"]) == log, "a machine that is ready was touched"

    recheck = machine.play(**wanted, recheck=True)
    assert not recheck.failed and recheck.tasks == [
        "Switch the machine on",
        "Shut Windows down",
        "Remove the snapshot of an earlier state",
        "Take the snapshot of the machine that is ready",
        "Export the machine",
    ], recheck.output
    assert machine.seen()["snapshots"] == ["before-tools", "ready"]


def test_a_machine_that_is_not_there_and_has_no_place(machine):
    refused = machine.play(folder="OS machines/Elsewhere", datastore="LocalDS_0")
    assert refused.failed and refused.changed == 0
    message = re.sub(r"\s+", " ", refused.output)
    assert f"There is no machine {machine.name} in /DC0/vm/OS machines/Elsewhere." in message
    assert "set os_machine_cluster (or os_machine_esxi_host), os_machine_network to have it created" in message


def test_lsi_logic_sas_with_bios(machine):
    wanted = {
        **_PLACE,
        "firmware": "bios",
        "scsi": "lsilogicsas",
        "hardware_version": 17,
        "mac_address": "00:50:56:01:02:03",
    }
    done = hardware(machine, **wanted)
    assert not done.failed, done.output
    config = machine.vm().config
    assert (config.firmware, config.version) == ("bios", "vmx-17")
    assert any(isinstance(device, vim.vm.device.VirtualLsiLogicSASController) for device in config.hardware.device)
    assert machine.adapters() == [("vmxnet3", "VM Network", "00:50:56:01:02:03")]
    assert machine.seen()["power"] == "poweredOff"
    assert hardware(machine, **wanted).changed == 0


def hardware(machine, *flags, **values):
    """Run the steps that concern the hardware."""
    return machine.play("--tags", "os_machine_hardware", *flags, **values)


@pytest.mark.parametrize("kind, address, kept", [("e1000", "00:50:56:0a:0b:0c", True), ("e1000e", None, False)])
def test_adapter_replaced(machine, kind, address, kept):
    machine.exist((kind, address))
    before = machine.adapters()
    planned = hardware(machine, "--check")
    assert not planned.failed and planned.tasks == ["Remove adapters of other types"], planned.output
    assert machine.adapters() == before
    done = hardware(machine)
    assert not done.failed, done.output
    [(now, network, new)] = machine.adapters()
    assert (now, network) == ("vmxnet3", "VM Network")
    assert new == address if kept else machine.adapter().addressType == "generated"
    assert hardware(machine).changed == 0


def test_adapters_mixed(machine):
    machine.exist(("vmxnet3", "00:50:56:0a:0b:0d"), ("e1000", None))
    refused = hardware(machine)
    assert refused.failed and "has 2 network adapters (Vmxnet3, E1000), an image has exactly one" in refused.output
    assert len(machine.adapters()) == 2 and machine.seen()["power"] == "poweredOff"
    done = hardware(machine, extra_adapters="remove")
    assert not done.failed and machine.adapters() == [("vmxnet3", "VM Network", "00:50:56:0a:0b:0d")], done.output


def test_no_adapter(machine):
    machine.exist()
    refused = hardware(machine)
    assert refused.failed and "Name it by os_machine_network." in refused.output
    planned = hardware(machine, "--check", network="VM Network")
    assert not planned.failed and planned.tasks == ["Add a VMXNET3 adapter"], planned.output


def test_hardware_that_no_image_can_have(machine):
    machine.exist(("vmxnet3", None))
    refused = hardware(machine, firmware="bios", scsi="lsilogicsas", hardware_version=21)
    assert (
        refused.failed
        and "firmware: firmware efi. Windows starts with the firmware that it was installed on." in refused.output
    )
    assert (
        "SCSI controllers: ParaVirtualSCSIController" in refused.output
        and "hardware version vmx-19. Upgrade it to 21" in refused.output
    )
    assert machine.seen()["power"] == "poweredOff"


def test_windows_that_does_not_answer(machine):
    machine.exist(("vmxnet3", None))
    machine.windows(lambda state: state.update(vm="another machine"))
    refused = machine.play("--tags", "os_machine_checks", connection_timeout=1)
    assert refused.failed and "If Windows is still to be installed, do that in the machine's console" in refused.output
    assert "(windows_guest): timed out waiting for ping module test" in refused.output
    assert machine.seen()["power"] == "poweredOn" and machine.seen()["snapshots"] == []


def test_template_refused(machine):
    machine.exist(("vmxnet3", None))
    machine.vm().MarkAsTemplate()
    refused = hardware(machine)
    assert refused.failed and "is a VM template" in refused.output


def test_model_is_off_with_its_machine(machine):
    machine.exist(("vmxnet3", None))
    with model.Session(str(machine.state)) as windows, pytest.raises(Exception, match="is not on"):
        windows.connect()
