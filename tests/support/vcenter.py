# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules for a simulator, and the content of the simulator."""

from __future__ import annotations

import os

from pyVim.task import WaitForTask
from pyVmomi import vim

from .background import eventually


def options_of(simulator) -> dict:
    """Return the options of modules for the connection to a simulator."""
    return {
        **simulator.options(),
        "ca_path": os.fspath(simulator.ca_file),
    }


def machines(simulator) -> dict:
    """Return the VMs by name, with everything that a module can change."""
    return {machine["name"]: machine for machine in simulator.machines()}


def machine_of(session, moid: str):
    """Return the virtual machine of a pyVmomi session by its managed object ID."""
    view = session.content.viewManager.CreateContainerView(session.content.rootFolder, None, True).view
    return next(found for found in view if found._GetMoId() == moid)


def link_clone(session, simulator, name: str) -> None:
    """Create a VM ``clone`` whose disk depends on the disk of the VM ``name``."""
    found = machine_of(session, machines(simulator)[name]["moid"])
    disk = next(device for device in found.config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk))
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    parent = backing(diskMode="persistent", fileName=getattr(disk.backing, "fileName", ""))
    child = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=-2,
        unitNumber=0,
        capacityInKB=disk.capacityInKB,
        backing=backing(diskMode="persistent", fileName="[LocalDS_0] clone/clone.vmdk", parent=parent),
    )
    golden = machine_of(session, machines(simulator)["windows-template"]["moid"])
    WaitForTask(
        golden.CloneVM_Task(
            golden.parent,
            "clone",
            vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=found.resourcePool), template=False),
        )
    )
    clone = machine_of(session, machines(simulator)["clone"]["moid"])
    controller = vim.vm.device.VirtualDeviceSpec(
        operation="add", device=vim.vm.device.ParaVirtualSCSIController(key=-2, busNumber=3, sharedBus="noSharing")
    )
    added = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=child)
    WaitForTask(clone.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[controller, added])))


def await_tools(simulator, moid: str) -> None:
    """Wait until VMware Tools run in a VM: Windows needs a moment to start."""
    machine = machine_of(simulator.connect(), moid)
    eventually(lambda: machine.guest.toolsRunningStatus == "guestToolsRunning")
