# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk controllers of VMs: their kinds, and the controller to which the disk of an image is attached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...common.errors import Conflict
from ...common.optional_imports import pyvmomi


@dataclass(frozen=True, slots=True)
class ControllerKind:
    """A kind of disk controller: its name in this collection and in the vSphere Client, class in pyVmomi, and ResourceSubType in OVF."""

    name: str
    title: str
    type_name: str
    ovf_type: str


#: In the order in which the boot controller of a VM without disks is chosen. AHCI is last: templates often have
#: an AHCI controller only for the CD drive. A derived class precedes the class from which it is derived.
KINDS = (
    ControllerKind("pvscsi", "VMware Paravirtual", "ParaVirtualSCSIController", "VirtualSCSI"),
    ControllerKind("lsi_sas", "LSI Logic SAS", "VirtualLsiLogicSASController", "lsilogicsas"),
    ControllerKind("lsi_logic", "LSI Logic Parallel", "VirtualLsiLogicController", "lsilogic"),
    ControllerKind("bus_logic", "BusLogic Parallel", "VirtualBusLogicController", "buslogic"),
    ControllerKind("nvme", "NVMe", "VirtualNVMEController", "vmware.nvme.controller"),
    ControllerKind("ahci", "AHCI (SATA)", "VirtualAHCIController", "vmware.sata.ahci"),
)
_BY_NAME = {kind.name: kind for kind in KINDS}
_SCSI = ("pvscsi", "lsi_sas", "lsi_logic", "bus_logic")


def controller_kind(device: Any) -> str | None:
    """Return the kind of a device that is a disk controller, for example pvscsi; None for other devices."""
    for kind in KINDS:
        if isinstance(device, getattr(pyvmomi.vim.vm.device, kind.type_name)):
            return kind.name
    return None


def controller_title(name: str) -> str:
    """Return the title of a kind of disk controller with its name in this collection."""
    return f"{_BY_NAME[name].title} ({name})"


def is_storage_controller(device: Any) -> bool:
    """Return whether devices have a chosen place on this controller: a disk controller, or IDE."""
    return controller_kind(device) is not None or isinstance(device, pyvmomi.vim.vm.device.VirtualIDEController)


def ovf_type(kind: str) -> str:
    """Return the ResourceSubType in OVF of a kind of disk controller."""
    return _BY_NAME[kind].ovf_type


def boot_controller(devices: list[Any]) -> Any | None:
    """Return the controller from which a VM boots, None without a disk controller.

    With disks it is the controller of the first disk. Otherwise a SCSI controller precedes NVMe, and NVMe precedes AHCI;
    among controllers of one sort the lowest bus number counts.
    """
    controllers = {device.key: device for device in devices if controller_kind(device) is not None}
    for device in devices:
        if isinstance(device, pyvmomi.vim.vm.device.VirtualDisk) and device.controllerKey in controllers:
            return controllers[device.controllerKey]

    def rank(device: Any) -> tuple[int, int]:
        kind = controller_kind(device)
        return (0 if kind in _SCSI else 1 if kind == "nvme" else 2, device.busNumber)

    return min(controllers.values(), key=rank, default=None)


def require_disk_controller(kind: str | None, template: str) -> str:
    """Return ``kind``, the disk controller of the VM template ``template``.

    Raises:
        Conflict: ``vsphere.template_controller`` if the template has none.
    """
    if kind is None:
        raise Conflict(
            f"The VM template {template} has no disk controller, so that a VM with its hardware cannot boot an image.",
            code="vsphere.template_controller",
            hint="Add a SCSI, NVMe or SATA controller to the VM template that vm_template of the connector names.",
            expected=[entry.name for entry in KINDS],
        )
    return kind
