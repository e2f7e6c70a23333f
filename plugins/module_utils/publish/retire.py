# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing machines of older images, but none that something still depends on."""

from __future__ import annotations

from ..common.libraries import pyvmomi
from ..vsphere.properties import collect_below
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts


def depends_on(session: Session, facts: VmFacts) -> list[str]:
    """Names of other machines whose disks stand on this one's: linked and instant clones of its snapshots."""
    folder = facts.datastore_path.rpartition("/")[0] + "/"
    found = collect_below(session, session.content.rootFolder, "VirtualMachine", ["name", "config.hardware.device"])
    return sorted(
        values.get("name", machine._GetMoId())
        for machine, values in found.items()
        if machine._GetMoId() != facts.moid and any(name.startswith(folder) for name in _disk_files(values.get("config.hardware.device") or ()))
    )


def _disk_files(devices) -> list[str]:
    """Datastore paths of all disks with the disks they were cloned from."""
    names = []
    for device in devices:
        backing = device.backing if isinstance(device, pyvmomi.vim.vm.device.VirtualDisk) else None
        while backing is not None:
            names.append(getattr(backing, "fileName", None) or "")
            backing = getattr(backing, "parent", None)
    return names
