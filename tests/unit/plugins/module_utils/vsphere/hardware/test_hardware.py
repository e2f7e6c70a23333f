# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardware that is copied from a VM template, and the hardware that is not."""

from __future__ import annotations

import subprocess
import sys

from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware import hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware, read_hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm


def test_read_hardware_of_a_vm_with_disk_and_port_group(session, disk):
    inventory = Inventory(session)
    placement = inventory.placement(datacenter="DC0", cluster="DC0_C0", datastore="LocalDS_0", network="DC0_DVPG0")
    given = Hardware(
        cpus=3, cores_per_socket=3, memory_mib=6144, firmware="efi", disk_controller="lsi_logic", nic_count=2
    )
    source = deploy_vm(
        session,
        placement,
        name="source",
        hardware=given,
        capacity=disk.capacity,
        blocks=disk.blocks,
        length=disk.length,
        extra_config={
            "guestinfo.x": "1",
            "strata.digest": "2",
            "scsi0.pciSlotNumber": "160",
            "sched.swap.derivedName": "3",
            "devices.hotplug": "false",
        }
        | {"isolation.tools.setInfo.disable": "TRUE"},
    ).vm
    found = read_hardware(session, source)
    assert (found.cpus, found.cores_per_socket, found.memory_mib, found.firmware) == (3, 3, 6144, "efi")
    assert (found.disk_controller, found.nic_count) == ("lsi_logic", 2)
    assert [name for name, unused in found.networks] == ["DC0_DVPG0", "DC0_DVPG0"]
    silent = "source has the setting isolation.tools.setInfo.disable, so that Windows cannot report the results of its scripts."
    assert found.remarks == ["The disks of source are not copied.", silent]
    assert "devices.hotplug" in found.extra_config
    assert not {"guestinfo.x", "strata.digest", "scsi0.pciSlotNumber", "sched.swap.derivedName"} & set(
        found.extra_config
    )

    placement = inventory.placement(datacenter="DC0", cluster="DC0_C0", datastore="LocalDS_0")
    made = deploy_vm(
        session, placement, name="copy", hardware=found, capacity=disk.capacity, blocks=disk.blocks, length=disk.length
    )
    assert made.warnings == ("The disks of source are not copied.", silent)
    values = read(session, made.vm, "network", "config.hardware.device")
    cards = [device for device in values["config.hardware.device"] if type(device).__name__.endswith("VirtualVmxnet3")]
    assert len(cards) == 2
    assert {card.backing.port.portgroupKey for card in cards} == {values["network"][0]._GetMoId()}


def test_networks_port_group_key_differs_from_its_id(monkeypatch):
    """As after a distributed switch was restored."""
    group = vim.dvs.DistributedVirtualPortgroup("dvportgroup-99")
    monkeypatch.setattr(
        hardware,
        "read",
        lambda session, item, *paths: {path: {"name": "VDI%2f1", "key": "dvportgroup-12"}[path] for path in paths},
    )
    backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(
        port=vim.dvs.PortConnection(portgroupKey="dvportgroup-12")
    )
    assert hardware._networks(None, [vim.vm.device.VirtualVmxnet3(backing=backing)], [group]) == [("VDI/1", group)]


def test_modules_can_be_imported_without_pyvmomi():
    code = """
import sys
sys.modules["pyVmomi"] = None
package = "ansible_collections.strata.layering.plugins.module_utils"
import importlib
names = "faults trust session properties tasks vm custom_attributes inventory.inventory hardware.hardware"
for name in (names + " transfer.transfer transfer.nfc transfer.deploy transfer.vm_export").split():
    importlib.import_module(f"{package}.vsphere.{name}")
from ansible_collections.strata.layering.plugins.module_utils.common.errors import MissingLibrary
try:
    importlib.import_module(f"{package}.vsphere.session").Session.connect("vcenter.invalid", "user", "secret")
except MissingLibrary as error:
    raise SystemExit(0 if "pyvmomi" in str(error) else 1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
