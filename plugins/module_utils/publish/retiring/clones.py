# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linked and instant clones: VMs whose disks depend on the disks of another VM or of a VM template.

A clone that vCenter hides from the user cannot be found. A VM whose clones may be hidden is therefore treated as if it had some.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...common.optional_imports import pyvmomi
from ...vsphere.authorization import hidden_vms, reads_everything
from ...vsphere.inventory.names import plain_name
from ...vsphere.properties import collect_below
from ...vsphere.session import Session
from ...vsphere.vm import VmFacts

#: Dependent VMs that a message lists by name.
_LISTED = 5


class Clones:
    """Finds the clones of VMs. The disks of all VMs are read once, when they are needed: a vCenter may have thousands of VMs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._disks: dict[str, tuple[str, list[str]]] | None = None
        self._reads_everything: bool | None = None

    def of(self, facts: VmFacts) -> list[str]:
        """Return the names of VMs whose disks depend on the disks of this VM: linked and instant clones of its snapshots."""
        return dependents(facts, self._all_disks())

    def reason_to_keep(self, facts: VmFacts) -> str | None:
        """Return the clause that says why the VM is kept because of its clones, or of clones that may be hidden; None without."""
        return clones_clause(self.of(facts)) or self.hidden_clause(facts)

    def hidden_clause(self, facts: VmFacts) -> str | None:
        """Return the clause that says that clones of the VM may be hidden from the user; None when they cannot be.

        Only a snapshot can have clones. The VMs that vCenter counts on the datastores of the VM must all be among those read.
        """
        if not facts.snapshots:
            return None
        if self._reads_everything is None:
            self._reads_everything = reads_everything(self._session)
        hidden = hidden_vms(self._session, facts.moid, set(self._all_disks()))
        if hidden:
            verb = "VM on its datastores is" if hidden == 1 else "VMs on its datastores are"
            return f"{hidden} {verb} hidden from the user and may depend on its disk"
        if not self._reads_everything:
            return "the user may not read the whole inventory, and VMs that depend on its disk may be hidden"
        return None

    def _all_disks(self) -> dict[str, tuple[str, list[str]]]:
        if self._disks is None:
            self._disks = disks_of_all(self._session)
        return self._disks


def clones_clause(clones: list[str]) -> str | None:
    """Return the clause that names the clones of a VM, None when there are none."""
    if not clones:
        return None
    shown = ", ".join(clones[:_LISTED])
    if len(clones) > _LISTED:
        shown += f" and {len(clones) - _LISTED} more"
    return f"{shown} {'depends' if len(clones) == 1 else 'depend'} on its disk"


def dependents(facts: VmFacts, disks: dict[str, tuple[str, list[str]]]) -> list[str]:
    """Return the names of the VMs among ``disks`` (see ``disks_of_all``) whose disks depend on the disks of this VM."""
    # Storage DRS may have moved a disk away from the VM's folder.
    folders = tuple(
        f"{folder}/"
        for path in (facts.datastore_path, *(disk for disk, _size in facts.disks))
        if (folder := path.rpartition("/")[0])
    )
    return sorted(
        name
        for moid, (name, files) in disks.items()
        if moid != facts.moid and any(file.startswith(folders) for file in files)
    )


def disks_of_all(session: Session) -> dict[str, tuple[str, list[str]]]:
    """Return name and disk files of every VM in vCenter, by managed object ID."""
    properties = collect_below(
        session, session.content.rootFolder, "VirtualMachine", ["name", "config.hardware.device"]
    )
    return {
        machine._GetMoId(): (
            plain_name(values.get("name", machine._GetMoId())),
            _disk_files(values.get("config.hardware.device") or ()),
        )
        for machine, values in properties.items()
    }


def _disk_files(devices: Iterable[Any]) -> list[str]:
    """Return the datastore paths of disks and of the disks that they were cloned from."""
    names = []
    for device in devices:
        backing = device.backing if isinstance(device, pyvmomi.vim.vm.device.VirtualDisk) else None
        while backing is not None:
            names.append(getattr(backing, "fileName", None) or "")
            backing = getattr(backing, "parent", None)
    return names
