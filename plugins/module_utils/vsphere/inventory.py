# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding things in vCenter's inventory by the names people use.

Names are compared as vSphere shows them, case-sensitively; the escapes of slash, backslash
and percent in stored names are undone. In a path a slash that belongs to a name is written
``%2f``. A name that fits nothing is NotFound with what there is instead; one that fits
several is Conflict with their paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..common.errors import Conflict, InvalidInput, NotFound, Unavailable
from ..common.optional_imports import pyvmomi
from .faults import explained
from .properties import collect, collect_below, read
from .session import Session

_ESCAPES = {"%2f": "/", "%5c": "\\", "%25": "%"}
#: The tag by which vCenter marks the port groups of physical uplinks.
_UPLINK = "SYSTEM/DVS.UPLINKPG"
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a virtual machine is to live: managed objects, all of one datacenter. ``host`` and ``network`` may be None."""

    datacenter: Any
    pool: Any
    host: Any
    datastore: Any
    folder: Any
    network: Any
    datacenter_name: str
    datastore_name: str
    folder_path: str
    network_name: str | None


class Inventory:
    """Looks things up for one session. ``datacenter`` arguments are what ``datacenter()`` returned."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def datacenter(self, name: str):
        """The datacenter of this name or path."""
        found = collect_below(self.session, self.session.content.rootFolder, "Datacenter", ["name"])
        return self._one(found, name.rstrip("/"), "datacenter", f"in {self.session.place}")

    def cluster(self, datacenter, name: str):
        """The cluster of this name."""
        return self._one(self._below(datacenter, "ClusterComputeResource"), name, "cluster", self._in(datacenter))

    def host(self, datacenter, name: str):
        """The ESXi host of this name."""
        return self._one(self._below(datacenter, "HostSystem"), name, "ESXi host", self._in(datacenter))

    def resource_pool(
        self, datacenter, *, cluster: str | None = None, host: str | None = None, name: str | None = None
    ):
        """The resource pool ``name`` of a cluster or host, or the root pool when ``name`` is None.

        With neither cluster nor host, ``name`` is looked for in the whole datacenter.
        """
        if cluster:
            compute = self.cluster(datacenter, cluster)
        elif host:
            compute = read(self.session, self.host(datacenter, host), "parent")["parent"]
        elif name:
            return self._one(self._below(datacenter, "ResourcePool"), name, "resource pool", self._in(datacenter))
        else:
            raise InvalidInput(
                "Neither a cluster, nor an ESXi host, nor a resource pool was named.",
                code="vsphere.placement",
                hint="Name one of them.",
            )
        root = read(self.session, compute, "resourcePool").get("resourcePool")
        if not name or name == "Resources":
            return root
        return self._one(
            collect_below(self.session, root, "ResourcePool", ["name"]), name, "resource pool", f"in {cluster or host}"
        )

    def datastore(self, datacenter, name: str):
        """The datastore of this name; Conflict when it cannot be used now."""
        stores = self._below(datacenter, "Datastore")
        if not self._named(stores, name) and self._named(self._below(datacenter, "StoragePod"), name):
            raise InvalidInput(
                f"{name} {self._in(datacenter)} is a datastore cluster.",
                code="vsphere.datastore_cluster",
                hint="Name one of its datastores instead.",
            )
        found = self._one(stores, name, "datastore", self._in(datacenter))
        state = read(self.session, found, "summary.accessible", "summary.maintenanceMode")
        if not state.get("summary.accessible") or state.get("summary.maintenanceMode", "normal") != "normal":
            raise Conflict(
                f"The datastore {name} is not accessible or in maintenance mode.",
                code="vsphere.datastore",
                hint="Bring it back or choose another one.",
            )
        return found

    def network(self, datacenter, name: str):
        """The network or distributed port group of this name; uplink port groups are not considered."""
        found = self._below(datacenter, "Network")
        groups = [
            item
            for item in found
            if isinstance(item, pyvmomi.vim.dvs.DistributedVirtualPortgroup) and plain_name(found[item]["name"]) == name
        ]
        tags = collect(self.session, groups, ["tag"])
        found = {
            item: values
            for item, values in found.items()
            if not any(tag.key == _UPLINK for tag in tags.get(item, {}).get("tag", []))
        }
        return self._one(found, name, "network", self._in(datacenter))

    def folder(self, datacenter, path: str | None, *, create: bool = False):
        """The VM folder at ``path``: ``/DC/vm/A/B``, or ``A/B`` below the datacenter's VM folder.

        Missing folders are made when ``create`` is true, else NotFound.
        """
        values = read(self.session, datacenter, "name", "vmFolder")
        current = values["vmFolder"]
        here = f"/{path_name(values['name'])}/vm"
        for part in _folder_parts(path or "", plain_name(values["name"])):
            below = {
                item: plain_name(found["name"]) for item, found in self._children(current, pyvmomi.vim.Folder).items()
            }
            found = [item for item, name in below.items() if name in (part, plain_name(part))]
            if not found and not create:
                raise NotFound(
                    f"There is no folder {part} in {here}.",
                    code="vsphere.not_found",
                    hint=_there_is(below.values(), "folders"),
                )
            current = found[0] if found else self._create_folder(current, plain_name(part), here)
            here = f"{here}/{part}"
        return current

    def vm(
        self,
        *,
        name: str | None = None,
        moid: str | None = None,
        instance_uuid: str | None = None,
        datacenter=None,
        folder=None,
        template: bool | None = None,
    ):
        """The virtual machine with this identifier, instance UUID or name.

        A name is looked for directly in ``folder``, else in ``datacenter``, else everywhere.
        ``template`` true or false leaves only templates or only machines.
        """
        noun = "template" if template else "virtual machine"
        if moid:
            found = self.session.object("VirtualMachine", moid)
            read(self.session, found, "name", subject=f"Finding the {noun} {moid}")
            return found
        if instance_uuid:
            with explained(f"Finding the {noun} {instance_uuid}"):
                found = self.session.content.searchIndex.FindByUuid(datacenter, instance_uuid, True, True)
            if found is None:
                raise NotFound(
                    f"There is no {noun} with the instance UUID {instance_uuid}.",
                    code="vsphere.not_found",
                    hint="Check the UUID.",
                )
            return found
        if not name:
            raise InvalidInput(f"No {noun} was named.", code="vsphere.vm", hint="Give its name, moid or instance UUID.")
        if folder is not None:
            found, where = self._children(folder, pyvmomi.vim.VirtualMachine), f"in the folder {self.path(folder)}"
        else:
            found = self._below(datacenter or self.session.content.rootFolder, "VirtualMachine")
            where = self._in(datacenter) if datacenter else f"in {self.session.place}"
        if template is not None:
            named = self._named(found, name)
            kinds = collect(self.session, named, ["config.template"])
            found = {
                item: values
                for item, values in found.items()
                if item not in kinds or bool(kinds[item].get("config.template")) == template
            }
        return self._one(found, name, noun, where)

    def vms_in(self, folder) -> dict[str, Any]:
        """Name -> virtual machine, for those directly in ``folder``."""
        return {
            plain_name(values["name"]): item
            for item, values in self._children(folder, pyvmomi.vim.VirtualMachine).items()
        }

    def path(self, item) -> str:
        """The inventory path of an object, such as ``/DC/vm/Folder/Name``."""
        parts = []
        root = self.session.content.rootFolder
        while item is not None and item != root and len(parts) < 64:
            values = read(self.session, item, "name", "parent")
            parts.append(path_name(values.get("name", "?")))
            item = values.get("parent")
        return "/" + "/".join(reversed(parts))

    def datacenter_of(self, item):
        """The datacenter that holds an object."""
        while item is not None and not isinstance(item, pyvmomi.vim.Datacenter):
            item = read(self.session, item, "parent").get("parent")
        if item is None:
            raise NotFound("The object is in no datacenter.", code="vsphere.not_found")
        return item

    def placement(
        self,
        *,
        datacenter: str,
        datastore: str,
        cluster: str | None = None,
        esxi_hostname: str | None = None,
        resource_pool: str | None = None,
        folder: str | None = None,
        network: str | None = None,
        create_folder: bool = False,
    ) -> Placement:
        """Look up everything that a connector names, and check that it fits together."""
        place = self.datacenter(datacenter)
        store = self.datastore(place, datastore)
        host = self.host(place, esxi_hostname) if esxi_hostname else None
        if host is not None:
            self._check_host(host, esxi_hostname, store, datastore, cluster, place)
        pool = self.resource_pool(place, cluster=cluster, host=esxi_hostname, name=resource_pool)
        if host is None:
            self._check_cluster(pool)
        return Placement(
            datacenter=place,
            pool=pool,
            host=host,
            datastore=store,
            folder=(target := self.folder(place, folder, create=create_folder)),
            network=self.network(place, network) if network else None,
            datacenter_name=plain_name(read(self.session, place, "name")["name"]),
            datastore_name=datastore,
            folder_path=self.path(target),
            network_name=network,
        )

    def _check_cluster(self, pool) -> None:
        """Conflict when nobody would choose a host for a machine in ``pool``: in a cluster only DRS does."""
        owner = read(self.session, pool, "owner").get("owner")
        if not isinstance(owner, pyvmomi.vim.ClusterComputeResource):
            return
        try:
            values = read(self.session, owner, "name", "configurationEx")
        except Unavailable as error:
            # Who may use the pool need not be allowed to look at its cluster; then vCenter tells.
            if error.code != "vsphere.permission":
                raise
            return
        drs = getattr(values.get("configurationEx"), "drsConfig", None)
        if drs is not None and drs.enabled is False:
            raise Conflict(
                f"The cluster {plain_name(values['name'])} has no DRS, which would choose a host for a new virtual machine.",
                code="vsphere.cluster",
                hint="Name one of its hosts with esxi_hostname, or switch DRS on.",
            )

    def _check_host(self, host, name: str, store, store_name: str, cluster: str | None, datacenter) -> None:
        state = read(self.session, host, "runtime.connectionState", "runtime.inMaintenanceMode", "datastore", "parent")
        if state.get("runtime.connectionState") != "connected" or state.get("runtime.inMaintenanceMode"):
            raise Conflict(
                f"The ESXi host {name} is not connected or in maintenance mode.",
                code="vsphere.host",
                hint="Bring it back or choose another one.",
            )
        if store not in state.get("datastore", []):
            raise Conflict(
                f"The ESXi host {name} cannot reach the datastore {store_name}.",
                code="vsphere.host",
                hint="Choose a datastore of that host.",
            )
        if cluster and state.get("parent") != self.cluster(datacenter, cluster):
            raise Conflict(
                f"The ESXi host {name} is not in the cluster {cluster}.",
                code="vsphere.host",
                hint="Name only one of them, or one that fits.",
            )

    def _create_folder(self, parent, name: str, here: str):
        try:
            with explained(f"Creating the folder {name} in {here}"):
                return parent.CreateFolder(escaped_name(name))
        except Conflict:
            # Somebody else was faster.
            for item, values in self._children(parent, pyvmomi.vim.Folder).items():
                if plain_name(values["name"]) == name:
                    return item
            raise

    def _children(self, folder, kind) -> dict[Any, dict[str, Any]]:
        entries = read(self.session, folder, "childEntity").get("childEntity", [])
        found = collect(self.session, [entry for entry in entries if isinstance(entry, kind)], ["name"])
        # Without a name is what went away meanwhile.
        return {item: values for item, values in found.items() if "name" in values}

    def _below(self, root, kind: str) -> dict[Any, dict[str, Any]]:
        return collect_below(self.session, root, kind, ["name"])

    def _in(self, datacenter) -> str:
        return f"in the datacenter {plain_name(read(self.session, datacenter, 'name')['name'])}"

    def _named(self, found: dict[Any, dict[str, Any]], name: str) -> list:
        """Those of this name or path."""
        last = name.rpartition("/")[2] if name.startswith("/") else name
        fitting = [
            item for item, values in found.items() if plain_name(values.get("name", "")) in (last, plain_name(last))
        ]
        return (
            [item for item in fitting if self.path(item) == name.replace("%2F", "%2f")]
            if name.startswith("/")
            else fitting
        )

    def _one(self, found: dict[Any, dict[str, Any]], name: str, noun: str, where: str):
        fitting = self._named(found, name)
        if not fitting:
            names = (plain_name(values.get("name", "")) for values in found.values())
            raise NotFound(
                f"There is no {noun} {name} {where}.", code="vsphere.not_found", hint=_there_is(names, f"{noun}s")
            )
        if len(fitting) > 1:
            paths = sorted(self.path(item) for item in fitting[:_SHOWN])
            raise Conflict(
                f"There are {len(fitting)} {noun}s named {name} {where}: {', '.join(paths)}.",
                code="vsphere.ambiguous",
                hint="Say which one by its folder or its path.",
                paths=paths,
            )
        return fitting[0]


def plain_name(name: str) -> str:
    """A name as vSphere shows it, of one as it is stored."""
    return re.sub("%2f|%5c|%25", lambda match: _ESCAPES[match[0].lower()], name, flags=re.IGNORECASE)


def escaped_name(name: str) -> str:
    """A name as calls want it, of one as vSphere shows it."""
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


def path_name(name: str) -> str:
    """A stored name as a part of a path."""
    return plain_name(name).replace("/", "%2f")


def _folder_parts(path: str, datacenter: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    if path.startswith("/"):
        # A full path may start with the folders that hold the datacenter.
        for position in range(len(parts) - 1):
            if plain_name(parts[position]) == datacenter and parts[position + 1] == "vm":
                return parts[position + 2 :]
        raise InvalidInput(
            f"The folder {path} is not a path in the datacenter {datacenter}.",
            code="vsphere.folder",
            hint=f"Write /{datacenter}/vm/..., or the path below the VM folder without a slash at its start.",
        )
    return parts


def _there_is(names: Iterable[str], noun: str) -> str:
    known = sorted(set(names))
    if not known:
        return f"There are no {noun} at all."
    shown = ", ".join(known[:_SHOWN])
    return f"There are these {noun}: {shown}{' and more' if len(known) > _SHOWN else ''}."
