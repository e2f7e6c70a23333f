# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster or host that a new VM is created on: what it offers, and whether DRS selects the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...common.errors import Conflict, Unavailable
from ...common.optional_imports import pyvmomi
from ..properties import collect, read
from ..session import Session
from .names import plain_name

#: vCenter returns this flag alone, while ``configurationEx`` has every rule, group and override of the cluster.
_DRS = "configuration.drsConfig.enabled"


@dataclass(frozen=True, slots=True)
class Compute:
    """A cluster, or a host alone. ``networks``, ``datastores`` and ``drs`` are None when the account may not read them.

    ``drs`` is also None for a stand-alone host. ``cluster`` is the managed object of a cluster, None for a host.
    """

    name: str
    networks: frozenset[Any] | None = None
    datastores: frozenset[Any] | None = None
    drs: bool | None = None
    cluster: Any = None


def read_compute(session: Session, pool: Any, host: Any) -> Compute:
    """Return what ``host`` offers, or the owner of the resource pool when it is None."""
    try:
        compute = host or read(session, pool, "owner").get("owner")
        is_cluster = isinstance(compute, pyvmomi.vim.ClusterComputeResource)
        values = read(session, compute, "name", "network", "datastore", *([_DRS] if is_cluster else []))
    except Unavailable as error:
        # A user of the pool may lack the permission to read its cluster; then vCenter reports problems later.
        if error.code != "vsphere.permission":
            raise
        return Compute("")
    return Compute(
        plain_name(values.get("name", "")),
        frozenset(values.get("network", [])),
        frozenset(values.get("datastore", [])),
        values.get(_DRS),
        compute if is_cluster else None,
    )


@dataclass(frozen=True, slots=True)
class Host:
    """An ESXi host: the networks that VMs on it can use, and ``config`` (vim.host.Summary.ConfigSummary), None if it is not reported."""

    name: str
    networks: frozenset[Any]
    config: Any = None


def receiving_hosts(session: Session, pool: Any, host: Any, datastore: Any) -> list[Host] | None:
    """Return the connected hosts on which vCenter can create a VM on ``datastore``: ``host``, or those of the pool when it is None.

    The hosts are ordered by name. Returns None if the user may not read the state of any host.
    """
    subject = "Finding the hosts"
    hosts = [host]
    if host is None:
        owner = read(session, pool, "owner", subject=subject)["owner"]
        hosts = read(session, owner, "host", subject=subject).get("host", [])
    paths = ("name", "summary.config", "runtime.connectionState", "runtime.inMaintenanceMode", "datastore", "network")
    states = collect(session, hosts, paths, subject=subject).values()
    if not any("runtime.connectionState" in values for values in states):
        return None
    found = [
        Host(plain_name(values.get("name", "")), frozenset(values.get("network", [])), values.get("summary.config"))
        for values in states
        if values.get("runtime.connectionState") == "connected"
        and not values.get("runtime.inMaintenanceMode")
        and datastore in values.get("datastore", [])
    ]
    return sorted(found, key=lambda item: item.name)


def has_drs(session: Session, vm: Any) -> bool:
    """Return whether the VM is in a cluster whose DRS is enabled; false if the account may not read that."""
    try:
        host = read(session, vm, "runtime.host").get("runtime.host")
        cluster = read(session, host, "parent").get("parent") if host is not None else None
        if not isinstance(cluster, pyvmomi.vim.ClusterComputeResource):
            return False
        return read(session, cluster, _DRS).get(_DRS) is True
    except Unavailable as error:
        if error.code != "vsphere.permission":
            raise
        return False


def require_drs(compute: Compute) -> None:
    """Raise Conflict (vsphere.cluster) when the cluster has no DRS, which selects the host of a new VM."""
    if compute.drs is False:
        raise Conflict(
            f"The cluster {compute.name} has no DRS, which selects the host of a new virtual machine.",
            code="vsphere.cluster",
            hint="Set esxi_host to a host of the cluster, or enable DRS.",
        )


def check_host(session: Session, host: Any, name: str, store: Any, store_name: str) -> None:
    """Raise Conflict (vsphere.host) when the host cannot be used, or cannot use the datastore."""
    state = read(session, host, "runtime.connectionState", "runtime.inMaintenanceMode", "datastore")
    if state.get("runtime.connectionState") != "connected" or state.get("runtime.inMaintenanceMode"):
        raise Conflict(
            f"The ESXi host {name} is not connected or in maintenance mode.",
            code="vsphere.host",
            hint="Connect it and end its maintenance mode, or set esxi_host to a different host.",
        )
    if store not in state.get("datastore", []):
        raise Conflict(
            f"The ESXi host {name} cannot access the datastore {store_name}.",
            code="vsphere.host",
            hint="Set datastore to a datastore of that host.",
        )


def check_host_cluster(session: Session, host: Any, name: str, cluster: Any, cluster_name: str) -> None:
    """Raise Conflict (vsphere.host) when the host is not in the cluster."""
    if read(session, host, "parent").get("parent") != cluster:
        raise Conflict(
            f"The ESXi host {name} is not in the cluster {cluster_name}.",
            code="vsphere.host",
            hint="Set only one of cluster and esxi_host, or set esxi_host to a host of the cluster.",
        )
