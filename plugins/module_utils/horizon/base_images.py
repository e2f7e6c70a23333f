# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vCenters, base VMs and snapshots that Horizon knows, and the reasons for which Horizon refuses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .client import HorizonClient


@dataclass(frozen=True, slots=True)
class VirtualCenter:
    """A vCenter of the pod. ``id`` is Horizon's ID; ``instance_uuid`` is vCenter's own, in lower case."""

    id: str
    server_name: str
    instance_uuid: str | None
    enabled: bool
    display_name: str | None


@dataclass(frozen=True, slots=True)
class BaseVm:
    """A VM with its managed object ID; ``reasons`` are Horizon's reasons for which it may be incompatible."""

    id: str
    name: str
    path: str | None
    datacenter_id: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot with its managed object ID; ``created`` is in milliseconds since 1970."""

    id: str
    name: str
    path: str | None
    created: int | None
    reasons: tuple[str, ...]


class BaseImages:
    """The vCenters, base VMs and snapshots of a pod; each answer is read once per object, and again after ``refresh``."""

    def __init__(self, client: HorizonClient) -> None:
        self._client = client

    def refresh(self) -> None:
        """Forget all answers."""
        raise NotImplementedError

    def vcenters(self) -> tuple[VirtualCenter, ...]:
        """Return the vCenters of the pod."""
        raise NotImplementedError

    def find_vcenter(self, name_or_uuid: str) -> VirtualCenter:
        """Return the vCenter with this instance UUID, else with exactly this server name, which may be given as a URL."""
        raise NotImplementedError

    def vms(self, vcenter_id: str) -> tuple[BaseVm, ...]:
        """Return all VMs of a vCenter."""
        raise NotImplementedError

    def vm(self, vcenter_id: str, name: str, *, timeout: float = 0) -> BaseVm:
        """Return the VM with this managed object ID, path or name; wait up to ``timeout`` seconds until Horizon lists it."""
        raise NotImplementedError

    def snapshots(self, vcenter_id: str, vm_id: str) -> tuple[Snapshot, ...]:
        """Return all snapshots of a VM."""
        raise NotImplementedError

    def snapshot(self, vcenter_id: str, vm: BaseVm, name: str, *, timeout: float = 0) -> Snapshot:
        """Return the snapshot with this managed object ID, path or name; wait up to ``timeout`` seconds until Horizon lists it."""
        raise NotImplementedError

    def check(self, vm: BaseVm, snapshot: Snapshot | None, kind: Literal["pool", "farm"]) -> tuple[str, ...]:
        """Raise if Horizon refuses the VM or the snapshot for this kind of target; return warnings for unknown reasons."""
        raise NotImplementedError
