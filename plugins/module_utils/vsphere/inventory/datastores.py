# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datastores that can be used, and the datastore of a datastore cluster for a new VM."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ...common.errors import Conflict, StrataError
from ...common.optional_imports import pyvmomi
from ..faults import explained
from ..properties import collect, read
from ..session import Session
from .names import plain_name
from .storage_policies import StoragePolicy, incompatible_datastores, request_policy

_STATE = ("name", "summary.accessible", "summary.maintenanceMode", "summary.freeSpace")
_SDRS = "podStorageDrsEntry.storageDrsConfig.podConfig.enabled"
#: Bytes of the disk in a request to Storage DRS. It ranks the datastores; the free space is checked against the image later.
_NOMINAL_DISK = 40 << 30


def is_usable(state: dict[str, Any]) -> bool:
    """Return whether a datastore with these properties is accessible and not in maintenance mode."""
    return bool(state.get("summary.accessible")) and state.get("summary.maintenanceMode", "normal") == "normal"


def check_datastore(session: Session, store: Any, name: str) -> None:
    """Raise Conflict (vsphere.datastore) when a datastore is not accessible or in maintenance mode."""
    if not is_usable(read(session, store, *_STATE)):
        raise Conflict(
            f"The datastore {name} is not accessible or in maintenance mode.",
            code="vsphere.datastore",
            hint="Make it accessible and end its maintenance mode, or set datastore to a different datastore.",
        )


def choose_datastore(
    session: Session,
    cluster: Any,
    name: str,
    *,
    pool: Any,
    visible: Collection[Any] | None,
    policy: StoragePolicy | None = None,
) -> tuple[Any, str]:
    """Return the datastore of a datastore cluster for a new VM, and its name.

    Storage DRS recommends it if it is enabled; otherwise the usable datastore with the most free space is chosen. ``visible`` are
    the datastores that the host or cluster can access, None if that is unknown. Datastores that do not satisfy the storage
    ``policy`` are left out.

    Raises:
        Conflict: ``vsphere.datastore_cluster`` if the datastore cluster has no usable datastore.
    """
    values = read(session, cluster, "childEntity", _SDRS)
    stores = [item for item in values.get("childEntity", []) if isinstance(item, pyvmomi.vim.Datastore)]
    states = collect(session, stores, _STATE)
    usable = {
        item: state for item, state in states.items() if is_usable(state) and (visible is None or item in visible)
    }
    if policy is not None:
        unfit = incompatible_datastores(session, policy, usable)
        usable = {item: state for item, state in usable.items() if item not in unfit}
    if not usable:
        fitting = f", satisfies the storage policy {policy.name}" if policy else ""
        raise Conflict(
            f"None of the {len(stores)} datastores of the datastore cluster {name} is accessible from the cluster or host"
            f"{fitting} and is not in maintenance mode.",
            code="vsphere.datastore_cluster",
            hint="Add a datastore to the datastore cluster or end the maintenance mode, or set datastore to a different datastore.",
            datastores=sorted(plain_name(state.get("name", "")) for state in states.values()),
        )
    by_free_space = sorted(
        usable, key=lambda item: (-usable[item].get("summary.freeSpace", 0), usable[item].get("name", ""))
    )
    recommended = _recommended(session, cluster, pool, policy) if values.get(_SDRS) else []
    chosen = next((item for item in recommended if item in usable), by_free_space[0])
    return chosen, plain_name(usable[chosen]["name"])


def _recommended(session: Session, cluster: Any, pool: Any, policy: StoragePolicy | None) -> list[Any]:
    """Return the datastores that Storage DRS recommends for a new VM with one disk, best first; empty if it cannot be asked."""
    try:
        with explained("Asking Storage DRS for a datastore"):
            spec = _storage_spec(cluster, pool)
            if policy is not None:
                request_policy(policy, spec.configSpec)
            result = session.content.storageResourceManager.RecommendDatastores(spec)
    except StrataError:
        # A missing privilege or full datastores: the free space decides, and vCenter reports what is wrong.
        return []
    return [
        action.destination
        for recommendation in result.recommendations or []
        for action in recommendation.action or []
        if isinstance(action, pyvmomi.vim.storageDrs.StoragePlacementAction)
    ]


def _storage_spec(cluster: Any, pool: Any) -> Any:
    vim = pyvmomi.vim
    device, drs = vim.vm.device, vim.storageDrs
    controller = device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing")
    backing = device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent", thinProvisioned=True)
    disk = device.VirtualDisk(
        key=-2, controllerKey=-1, unitNumber=0, backing=backing, capacityInKB=_NOMINAL_DISK // 1024
    )
    config = vim.vm.ConfigSpec(
        name="strata-placement",
        guestId="windows9_64Guest",
        numCPUs=2,
        memoryMB=4096,
        files=vim.vm.FileInfo(),
        deviceChange=[
            device.VirtualDeviceSpec(operation="add", device=controller),
            device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk),
        ],
    )
    locator = drs.PodSelectionSpec.DiskLocator(diskId=disk.key, diskBackingInfo=backing)
    placement = drs.PodSelectionSpec.VmPodConfig(storagePod=cluster, disk=[locator])
    return drs.StoragePlacementSpec(
        type="create",
        podSelectionSpec=drs.PodSelectionSpec(storagePod=cluster, initialVmConfig=[placement]),
        configSpec=config,
        resourcePool=pool,
    )
