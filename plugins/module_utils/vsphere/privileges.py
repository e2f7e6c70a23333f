# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The privileges that the modules need in vCenter: the source of the preflight, of docs/vsphere-permissions.md and of the tests.

Every role that a user defines also has System.Anonymous, System.View and System.Read. The identifiers are those of vCenter's
AuthorizationManager.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Scope(Enum):
    """The object on which a privilege is needed. The value is its name in the documentation."""

    ROOT = "vCenter (the root folder)"
    FOLDER = "folder of the images, with its VMs"
    PARENT = "folder above a folder of the images that does not exist yet"
    COMPUTE = "cluster, ESXi host or resource pool"
    DATASTORE = "datastore"
    NETWORK = "networks"
    MACHINE = "folder of the OS machines, with its VMs"


class Task(Enum):
    """What the privileges are needed for. The value names the module or role."""

    PUBLISH = "layered_image_publish"
    PACKAGING = "packaging_machine"
    EXPORT = "ovf_export"
    SELFTEST = "vsphere_selftest"
    OS_MACHINE = "os_machine"


class Need(Enum):
    """The case in which a privilege is needed. The value is its description in the documentation."""

    ALWAYS = ""
    FOLDER_MISSING = "only if the folder does not exist yet"
    ATTRIBUTES = "only with custom_attributes of the connector"
    ATTRIBUTES_UNDEFINED = "only with custom_attributes of the connector that vCenter does not know yet"
    STORAGE_POLICY = "only with storage_policy of the connector"
    SWAP_PLACEMENT = "only if the VM template has a location of its own for the swap file"


@dataclass(frozen=True, slots=True)
class Privilege:
    """A privilege on the object of a scope. ``purpose`` says what it permits."""

    id: str
    scope: Scope
    purpose: str
    tasks: tuple[Task, ...]
    need: Need = Need.ALWAYS


_CREATE = (Task.PUBLISH, Task.PACKAGING, Task.SELFTEST)
_ALL = (*_CREATE, Task.EXPORT, Task.OS_MACHINE)

#: All privileges, in the order of the documentation.
PRIVILEGES = (
    Privilege(
        "System.Read",
        Scope.ROOT,
        "finding objects by their names, and all linked clones of a VM before the VM is deleted",
        _ALL,
    ),
    Privilege(
        "Global.ManageCustomFields",
        Scope.ROOT,
        "defining custom attributes",
        (Task.PUBLISH,),
        Need.ATTRIBUTES_UNDEFINED,
    ),
    Privilege("StorageProfile.View", Scope.ROOT, "finding the storage policy", _CREATE, Need.STORAGE_POLICY),
    Privilege("Folder.Create", Scope.PARENT, "creating the folder", _CREATE, Need.FOLDER_MISSING),
    Privilege("VApp.Import", Scope.FOLDER, "uploading a VM", _CREATE),
    Privilege("VirtualMachine.Inventory.Create", Scope.FOLDER, "creating a VM", _CREATE),
    Privilege("VirtualMachine.Inventory.Delete", Scope.FOLDER, "deleting unfinished and older VMs", _CREATE),
    Privilege("VirtualMachine.Config.AddNewDisk", Scope.FOLDER, "the disk of a new VM", _CREATE),
    Privilege("VirtualMachine.Config.AdvancedConfig", Scope.FOLDER, "the marks that the modules set at a VM", _CREATE),
    Privilege(
        "VirtualMachine.Config.SwapPlacement",
        Scope.FOLDER,
        "the location of the swap file",
        _CREATE,
        Need.SWAP_PLACEMENT,
    ),
    Privilege("VirtualMachine.Interact.PowerOn", Scope.FOLDER, "starting a VM", _CREATE),
    Privilege("VirtualMachine.Interact.PowerOff", Scope.FOLDER, "shutting a VM down", _CREATE),
    Privilege(
        "VirtualMachine.State.CreateSnapshot", Scope.FOLDER, "the snapshot of an image", (Task.PUBLISH, Task.SELFTEST)
    ),
    Privilege("Global.SetCustomField", Scope.FOLDER, "setting custom attributes", (Task.PUBLISH,), Need.ATTRIBUTES),
    Privilege(
        "VApp.Export", Scope.FOLDER, "downloading the disk of a packaging machine", (Task.PACKAGING, Task.SELFTEST)
    ),
    Privilege("VApp.Import", Scope.COMPUTE, "uploading a VM", _CREATE),
    Privilege("Resource.AssignVMToPool", Scope.COMPUTE, "placing a VM", (*_CREATE, Task.OS_MACHINE)),
    Privilege("VirtualMachine.Config.AddNewDisk", Scope.COMPUTE, "the disk of a new VM", _CREATE),
    Privilege("VirtualMachine.Config.AdvancedConfig", Scope.COMPUTE, "the marks that the modules set at a VM", _CREATE),
    Privilege("Datastore.AllocateSpace", Scope.DATASTORE, "the disk of a new VM", (*_CREATE, Task.OS_MACHINE)),
    Privilege("Network.Assign", Scope.NETWORK, "network adapters", (*_CREATE, Task.OS_MACHINE)),
    Privilege("Folder.Create", Scope.MACHINE, "creating the folder", (Task.OS_MACHINE,), Need.FOLDER_MISSING),
    Privilege("VirtualMachine.Inventory.Create", Scope.MACHINE, "creating a VM", (Task.OS_MACHINE,)),
    Privilege("VirtualMachine.Config.AddNewDisk", Scope.MACHINE, "the disk of a new VM", (Task.OS_MACHINE,)),
    Privilege("VirtualMachine.Config.AddRemoveDevice", Scope.MACHINE, "replacing network adapters", (Task.OS_MACHINE,)),
    Privilege("VirtualMachine.Interact.PowerOn", Scope.MACHINE, "starting a VM", (Task.OS_MACHINE,)),
    Privilege("VirtualMachine.Interact.PowerOff", Scope.MACHINE, "shutting a VM down", (Task.OS_MACHINE,)),
    Privilege("VirtualMachine.State.CreateSnapshot", Scope.MACHINE, "the snapshot to export", (Task.OS_MACHINE,)),
    Privilege("VirtualMachine.State.RemoveSnapshot", Scope.MACHINE, "taking that snapshot again", (Task.OS_MACHINE,)),
    Privilege("VApp.Export", Scope.MACHINE, "downloading the disk of a VM", (Task.EXPORT, Task.OS_MACHINE)),
)


def privileges_for(*tasks: Task) -> tuple[Privilege, ...]:
    """Return the privileges that at least one of ``tasks`` needs, in some case."""
    return tuple(privilege for privilege in PRIVILEGES if set(tasks) & set(privilege.tasks))
