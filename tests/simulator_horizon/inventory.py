# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vCenters, VMs and snapshots: those of running vSphere simulators, or VMs that a test describes."""

from __future__ import annotations

import itertools
import json
import re
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError, ControlError

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_OLDEST_HARDWARE = 11


@dataclass
class VCenter:
    """A vCenter that is registered in Horizon. ``control``: the control endpoint of its simulator, or empty."""

    id: str
    server_name: str
    control: str = ""
    port: int = 443
    enabled: bool = True
    instance_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    version: str = "8.0.3"
    #: Reasons that Horizon gives for a VM in addition to those that follow from the VM.
    reasons: dict[str, list[str]] = field(default_factory=dict)
    datacenters: list[dict[str, Any]] = field(default_factory=list)
    vms: list[dict[str, Any]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(101), repr=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the described VMs and the reasons."""
        self.enabled = True
        self.reasons.clear()
        if self.control:
            self.read()
        else:
            self.vms.clear()
            self.datacenters = [{"moid": "datacenter-2", "name": "DC0", "path": "/DC0"}]

    def read(self) -> None:
        """Read the inventory of the vSphere simulator as it is now. A described inventory is always current."""
        if not self.control:
            return
        try:
            with _OPENER.open(f"{self.control}/base-vms", timeout=30) as answer:
                inventory = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise ApiError(500, "external.vcenter.unreachable", f"vCenter cannot be reached: {error}") from error
        self.instance_uuid, self.version = inventory["instance_uuid"], inventory["version"]
        self.datacenters, self.vms = inventory["datacenters"], inventory["vms"]

    def find(self, name: str) -> dict[str, Any]:
        """Return the VM with a managed object ID, path or name."""
        self.read()
        for key in ("moid", "path", "name"):
            found = [vm for vm in self.vms if vm[key] == name]
            if len(found) > 1:
                raise ControlError(f"There are {len(found)} VMs with the {key} {name!r}.")
            if found:
                return found[0]
        raise ControlError(f"There is no VM {name!r} in {self.server_name}.")

    def add_vm(self, name: str, snapshots: list[str], changes: dict[str, Any]) -> dict[str, Any]:
        """Describe a VM. A snapshot is the path below the VM; the name of a snapshot may contain "/" if its path is listed whole."""
        if self.control:
            raise ControlError("The VMs of this vCenter are those of a vSphere simulator. Create the VM there.")
        vm = {
            "moid": f"vm-{next(self._numbers)}",
            "name": name,
            "path": f"/DC0/vm/{name}",
            "datacenter": self.datacenters[0]["moid"],
            "power": "poweredOff",
            "template": False,
            "hardware": "vmx-19",
            "guest_id": "windows9_64Guest",
            "memory_mb": 4096,
            "snapshots": [],
        }
        vm |= changes
        if vm["datacenter"] not in [datacenter["moid"] for datacenter in self.datacenters]:
            number = len(self.datacenters)
            self.datacenters.append({"moid": vm["datacenter"], "name": f"DC{number}", "path": f"/DC{number}"})
        self.vms.append(vm)
        for snapshot in snapshots:
            self.add_snapshot(vm["moid"], snapshot)
        return vm

    def add_snapshot(self, vm: str, name: str, above: str | None = None, created: int = 0) -> dict[str, Any]:
        """Describe a snapshot, below another with ``above``."""
        snapshots = self.find(vm)["snapshots"]
        parents = [snapshot for snapshot in snapshots if above in (snapshot["name"], snapshot["moid"])]
        snapshot = {
            "moid": f"snapshot-{next(self._numbers)}",
            "name": name,
            "path": (parents[0]["path"] if parents else "") + f"/{name}",
            "description": "",
            "created": created,
            "power": "poweredOff",
        }
        snapshots.append(snapshot)
        return snapshot

    def remove(self, vm: str, snapshot: str | None = None) -> None:
        """Remove a described VM, or one of its snapshots."""
        if self.control:
            raise ControlError("The VMs of this vCenter are those of a vSphere simulator. Remove the VM there.")
        found = self.find(vm)
        if snapshot is None:
            self.vms.remove(found)
        else:
            found["snapshots"].remove(find_snapshot(found, snapshot))

    def image(self, vm: str, snapshot: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return a VM and its snapshot by their managed object IDs, or None if one of them does not exist."""
        self.read()
        for found in self.vms:
            if found["moid"] == vm:
                for candidate in found["snapshots"]:
                    if candidate["moid"] == snapshot:
                        return found, candidate
        return None


def find_snapshot(vm: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the snapshot with a managed object ID, path or name."""
    for key in ("moid", "path", "name"):
        found = [snapshot for snapshot in vm["snapshots"] if snapshot[key] == name]
        if len(found) > 1:
            raise ControlError(f"The VM {vm['name']} has {len(found)} snapshots with the {key} {name!r}.")
        if found:
            return found[0]
    raise ControlError(f"The VM {vm['name']} has no snapshot {name!r}.")


def operating_system(vm: dict[str, Any], version: str) -> str:
    """Return the operating system of a VM, as a version of Horizon names it."""
    guest = vm["guest_id"].lower()
    if guest.startswith("windows2019srvnext") or re.match(r"windows20(16|19|22|25)srv|windows9server", guest):
        return "WINDOWS_SERVER_2016_OR_ABOVE"
    if guest.startswith(("windows11", "windows12")):
        return "WINDOWS_11" if version >= "2209" else "WINDOWS_10"
    return "WINDOWS_10" if guest.startswith("windows9") else "UNKNOWN"


def vm_reasons(vcenter: VCenter, vm: dict[str, Any], version: str) -> list[str]:
    """Return why Horizon does not offer a VM, for a pool or for a farm."""
    reasons = [] if vm["snapshots"] else ["NO_SNAPSHOTS"]
    system = operating_system(vm, version)
    if system == "UNKNOWN":
        reasons.append("UNSUPPORTED_OS")
    if system != "WINDOWS_SERVER_2016_OR_ABOVE":
        reasons.append("UNSUPPORTED_OS_FOR_FARM")
    return reasons + vcenter.reasons.get(vm["moid"], [])


def snapshot_reasons(vm: dict[str, Any], snapshot: dict[str, Any]) -> list[str]:
    """Return why Horizon does not offer a snapshot."""
    reasons = ["POWERED_ON"] if snapshot["power"] == "poweredOn" else []
    return reasons + (["INCOMPATIBLE_HARDWARE_VERSION"] if hardware_version(vm) < _OLDEST_HARDWARE else [])


def hardware_version(vm: dict[str, Any]) -> int:
    """Return the number of a hardware version such as vmx-19."""
    return int(vm["hardware"].partition("-")[2] or 0)
