# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OS machine as a person would have made it: Windows is installed, the network adapter is the E1000 that vSphere proposes.

Its virtual machine and disk are in the simulator. What Ansible does in Windows goes to a model of Windows; of that, the tools of the OS machine reach
the disk when the machine is shut down. The rest is on the disk already, which is that of a Windows whose settings are right.
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


def put(simulator: Simulator, name: str, work: pathlib.Path) -> None:
    """Put the machine into the simulator, and its Windows into the folder."""
    deployed = seed(simulator, name, spec=Spec(size="full"))
    connection = simulator.connect()
    view = connection.content.viewManager.CreateContainerView(
        connection.content.rootFolder, [vim.VirtualMachine], recursive=True
    )
    vm = next(machine for machine in view.view if machine._GetMoId() == deployed.moid)
    old = next(device for device in vm.config.hardware.device if isinstance(device, vim.vm.device.VirtualEthernetCard))
    new = vim.vm.device.VirtualE1000e(key=-1, backing=old.backing, addressType="generated", connectable=old.connectable)
    changes = [
        vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
        for operation, device in (("remove", old), ("add", new))
    ]
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=changes)))
    model.keep(work / "windows.json", model.installed(vm=name, control=simulator.control))
    simulator.guest(guest.command(work / "windows.json"), vm=name)


def adapters(simulator: Simulator, name: str) -> list[str]:
    """The types of the machine's network adapters."""
    connection = simulator.connect()
    view = connection.content.viewManager.CreateContainerView(
        connection.content.rootFolder, [vim.VirtualMachine], recursive=True
    )
    vm = next(machine for machine in view.view if machine.name == name)
    return [
        type(device).__name__.rpartition("Virtual")[2]
        for device in vm.config.hardware.device
        if isinstance(device, vim.vm.device.VirtualEthernetCard)
    ]
