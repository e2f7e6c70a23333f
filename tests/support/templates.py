# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM templates for tests, with the hardware that a test asks for."""

from __future__ import annotations

from typing import Any

from pyVim.task import WaitForTask
from pyVmomi import vim

device = vim.vm.device
#: The classes of disk controllers by their name in this collection.
CONTROLLERS = {
    "pvscsi": device.ParaVirtualSCSIController,
    "lsi_sas": device.VirtualLsiLogicSASController,
    "lsi_logic": device.VirtualLsiLogicController,
    "bus_logic": device.VirtualBusLogicController,
    "nvme": device.VirtualNVMEController,
    "ahci": device.VirtualAHCIController,
}


def controller(kind: str, key: int = -101, bus: int = 0) -> Any:
    """Return a disk controller of a kind such as pvscsi."""
    sharing = {} if kind in ("nvme", "ahci") else {"sharedBus": "noSharing"}
    return CONTROLLERS[kind](key=key, busNumber=bus, **sharing)


def adapter(key: int = -200, network: str = "VM Network") -> Any:
    """Return a VMXNET3 adapter."""
    return device.VirtualVmxnet3(
        key=key,
        backing=device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network),
        connectable=device.VirtualDevice.ConnectInfo(startConnected=True, allowGuestControl=True, connected=False),
        wakeOnLanEnabled=True,
    )


def make_template(
    content: Any, name: str, devices: list[Any], *, template: bool = True, datastore: str = "LocalDS_0", **settings: Any
) -> Any:
    """Create a VM template (or a VM) of 2 processors and 4 GiB with ``devices``; ``settings`` are fields of its ConfigSpec.

    ``content`` is the content of a service instance, such as ``Session.content``.
    """
    datacenter = content.searchIndex.FindByInventoryPath("DC0")
    pool = content.searchIndex.FindByInventoryPath("DC0/host/DC0_C0").resourcePool
    values = {"numCPUs": 2, "memoryMB": 4096, "guestId": "windows9_64Guest", "version": "vmx-20", "firmware": "efi"}
    spec = vim.vm.ConfigSpec(
        name=name,
        files=vim.vm.FileInfo(vmPathName=f"[{datastore}]"),
        deviceChange=[_change(item) for item in devices],
        **values | settings,
    )
    task = datacenter.vmFolder.CreateVM_Task(spec, pool)
    WaitForTask(task)
    vm = task.info.result
    if template:
        vm.MarkAsTemplate()
    return vm


def _change(item: Any) -> Any:
    file_operation = "create" if isinstance(item, device.VirtualDisk) else None
    return device.VirtualDeviceSpec(operation="add", device=item, fileOperation=file_operation)
