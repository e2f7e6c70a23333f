# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OS machine after a manual installation: Windows is installed, and the network adapter is the E1000 type that vSphere proposes.

The VM and its disk are in the simulator. Ansible's changes in Windows are applied to a model of Windows. At shutdown, only the OS machine tools are
copied from the model to the disk: the disk is generated with all other settings already in place.
"""

from __future__ import annotations

import pathlib

from pyVim.task import WaitForTask
from pyVmomi import vim

from ..sample.plan import Spec
from ..sample.seed import seed
from ..support.simulator import Simulator
from ..support.windows_guest import model
from . import guest


def create(simulator: Simulator, name: str, work: pathlib.Path) -> None:
    """Create the VM in the simulator and the model of its Windows installation in the folder ``work``."""
    deployed = seed(simulator, name, spec=Spec(size="full"))
    connection = simulator.connect()
    view = connection.content.viewManager.CreateContainerView(
        connection.content.rootFolder, [vim.VirtualMachine], recursive=True
    )
    vm = next(candidate for candidate in view.view if candidate._GetMoId() == deployed.moid)
    old = next(device for device in vm.config.hardware.device if isinstance(device, vim.vm.device.VirtualEthernetCard))
    new = vim.vm.device.VirtualE1000e(key=-1, backing=old.backing, addressType="generated", connectable=old.connectable)
    changes = [
        vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
        for operation, device in (("remove", old), ("add", new))
    ]
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=changes)))
    model.keep(work / "windows.json", model.installed(vm=name, control=str(simulator.control)))
    simulator.guest(guest.command(work / "windows.json"), vm=name)


def adapters(simulator: Simulator, name: str) -> list[str]:
    """Return the types of the VM's network adapters."""
    connection = simulator.connect()
    view = connection.content.viewManager.CreateContainerView(
        connection.content.rootFolder, [vim.VirtualMachine], recursive=True
    )
    vm = next(candidate for candidate in view.view if candidate.name == name)
    return [
        type(device).__name__.rpartition("Virtual")[2]
        for device in vm.config.hardware.device
        if isinstance(device, vim.vm.device.VirtualEthernetCard)
    ]
