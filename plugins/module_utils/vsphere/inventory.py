# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find objects in vCenter's inventory by their names.

Names are compared as vSphere displays them, case-sensitively; the escapes of slash, backslash and percent in stored
names are decoded. In a path, a slash that is part of a name is written ``%2f``. A name without a match is NotFound
(vsphere.not_found) with the existing names; a name with several matches is Conflict (vsphere.ambiguous) with their paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..common.errors import Conflict, InvalidInput, NotFound, Unavailable
from ..common.optional_imports import pyvmomi
from .faults import explained
from .names import escaped_name, existing_text, folder_parts, path_name, plain_name
from .properties import collect, collect_below, read
from .session import Session

#: The tag by which vCenter marks the port groups of physical uplinks.
_UPLINK = "SYSTEM/DVS.UPLINKPG"
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Placement:
    """The location of a new VM: managed objects, all in one datacenter. ``host`` and ``network`` may be None."""

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
    """Finds objects for one session. ``datacenter`` arguments are results of ``datacenter()``."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def datacenter(self, name: str) -> Any:
        """Return the datacenter with this name or path."""
        found = collect_below(self.session, self.session.content.rootFolder, "Datacenter", ["name"])
        return self._single(found, name.rstrip("/"), "datacenter", f"in {self.session.label}")

    def cluster(self, datacenter: Any, name: str) -> Any:
        """Return the cluster with this name."""
        return self._single(self._below(datacenter, "ClusterComputeResource"), name, "cluster", self._in(datacenter))

    def host(self, datacenter: Any, name: str) -> Any:
        """Return the ESXi host with this name."""
        return self._single(self._below(datacenter, "HostSystem"), name, "ESXi host", self._in(datacenter))

    def resource_pool(
        self, datacenter: Any, *, cluster: str | None = None, host: str | None = None, name: str | None = None
    ) -> Any:
        """Return the resource pool ``name`` of a cluster or host, or its root pool when ``name`` is None.

        Without cluster and host, ``name`` is searched in the whole datacenter. Raises InvalidInput (vsphere.placement) when all
        three are None.
        """
        if cluster:
            compute = self.cluster(datacenter, cluster)
        elif host:
            compute = read(self.session, self.host(datacenter, host), "parent")["parent"]
        elif name:
            return self._single(self._below(datacenter, "ResourcePool"), name, "resource pool", self._in(datacenter))
        else:
            raise InvalidInput(
                "None of cluster, esxi_host and resource_pool is set.",
                code="vsphere.placement",
                hint="Set one of these options.",
            )
        root = read(self.session, compute, "resourcePool").get("resourcePool")
        if not name or name == "Resources":
            return root
        return self._single(
            collect_below(self.session, root, "ResourcePool", ["name"]), name, "resource pool", f"in {cluster or host}"
        )

    def datastore(self, datacenter: Any, name: str) -> Any:
        """Return the datastore with this name. Raises Conflict (vsphere.datastore) when it is not accessible or in maintenance mode."""
        stores = self._below(datacenter, "Datastore")
        if not self._named(stores, name) and self._named(self._below(datacenter, "StoragePod"), name):
            raise InvalidInput(
                f"The datastore {name} {self._in(datacenter)} is a datastore cluster.",
                code="vsphere.datastore_cluster",
                hint="Set datastore to one of its datastores.",
            )
        found = self._single(stores, name, "datastore", self._in(datacenter))
        state = read(self.session, found, "summary.accessible", "summary.maintenanceMode")
        if not state.get("summary.accessible") or state.get("summary.maintenanceMode", "normal") != "normal":
            raise Conflict(
                f"The datastore {name} is not accessible or in maintenance mode.",
                code="vsphere.datastore",
                hint="Make it accessible and end its maintenance mode, or set datastore to a different datastore.",
            )
        return found

    def network(self, datacenter: Any, name: str) -> Any:
        """Return the network or distributed port group with this name; uplink port groups are ignored."""
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
        return self._single(found, name, "network", self._in(datacenter))

    def folder(self, datacenter: Any, path: str | None, *, create: bool = False) -> Any:
        """Return the VM folder at ``path``: ``/DC/vm/A/B``, or ``A/B`` below the datacenter's VM folder.

        Missing folders are created when ``create`` is true, otherwise NotFound. Raises InvalidInput (vsphere.folder) for a path
        outside the datacenter.
        """
        values = read(self.session, datacenter, "name", "vmFolder")
        current = values["vmFolder"]
        parent = f"/{path_name(values['name'])}/vm"
        for part in folder_parts(path or "", plain_name(values["name"])):
            below = {
                item: plain_name(found["name"]) for item, found in self._children(current, pyvmomi.vim.Folder).items()
            }
            found = [item for item, name in below.items() if name in (part, plain_name(part))]
            if not found and not create:
                raise NotFound(
                    f"The folder {parent} contains no folder {part}.",
                    code="vsphere.not_found",
                    hint=existing_text(below.values(), "folders"),
                )
            current = found[0] if found else self._create_folder(current, plain_name(part), parent)
            parent = f"{parent}/{part}"
        return current

    def vm(
        self,
        *,
        name: str | None = None,
        moid: str | None = None,
        instance_uuid: str | None = None,
        datacenter: Any = None,
        folder: Any = None,
        template: bool | None = None,
    ) -> Any:
        """Return the VM with this managed object ID, instance UUID or name.

        A name is searched directly in ``folder``, otherwise in ``datacenter``, otherwise in the whole inventory. ``template`` true
        searches only templates, false only VMs that are not templates. Raises Conflict (vsphere.vm_kind) if a VM of this name
        exists only as the other kind.
        """
        noun = "VM template" if template else "virtual machine"
        if moid:
            found = self.session.object("VirtualMachine", moid)
            read(self.session, found, "name", subject=f"Finding the {noun} {moid}")
            return found
        if instance_uuid:
            with explained(f"Finding the {noun} {instance_uuid}"):
                found = self.session.content.searchIndex.FindByUuid(datacenter, instance_uuid, True, True)
            if found is None:
                raise NotFound(
                    f"No {noun} has the instance UUID {instance_uuid}.",
                    code="vsphere.not_found",
                    hint="Check the instance UUID.",
                )
            return found
        if not name:
            raise InvalidInput(
                f"No name, moid or instance UUID of the {noun} is set.",
                code="vsphere.vm",
                hint="Set the name, the moid or the instance UUID.",
            )
        if folder is not None:
            found, where = self._children(folder, pyvmomi.vim.VirtualMachine), f"in the folder {self.path(folder)}"
        else:
            found = self._below(datacenter or self.session.content.rootFolder, "VirtualMachine")
            where = self._in(datacenter) if datacenter else f"in {self.session.label}"
        if template is not None:
            found = self._of_kind(found, name, template)
        return self._single(found, name, noun, where)

    def _of_kind(self, found: dict[Any, dict[str, Any]], name: str, template: bool) -> dict[Any, dict[str, Any]]:
        """Return the VMs of ``found`` that are templates, or those that are not; only those of this name if there are any.

        Raises Conflict (vsphere.vm_kind) if a VM of this name exists only as the other kind.
        """
        named = self._named(found, name)
        # Without a VM of this name, the error lists the others.
        kinds = collect(self.session, named or found, ["config.template"])
        fitting = {
            item: found[item] for item, values in kinds.items() if bool(values.get("config.template")) == template
        }
        if fitting or not named:
            return fitting
        path = self.path(named[0])
        if template:
            problem, hint = (
                "is a virtual machine, not a VM template",
                "Convert it to a template, or name a VM template.",
            )
        else:
            problem, hint = "is a VM template, not a virtual machine", "Convert it to a virtual machine, or name a VM."
        raise Conflict(f"{name} ({path}) {problem}.", code="vsphere.vm_kind", hint=hint, path=path)

    def vms_in(self, folder: Any) -> dict[str, Any]:
        """Return the VMs directly in ``folder`` by name."""
        return {
            plain_name(values["name"]): item
            for item, values in self._children(folder, pyvmomi.vim.VirtualMachine).items()
        }

    def path(self, item: Any) -> str:
        """Return the inventory path of an object, such as ``/DC/vm/Folder/Name``."""
        parts: list[str] = []
        root = self.session.content.rootFolder
        while item is not None and item != root and len(parts) < 64:
            values = read(self.session, item, "name", "parent")
            parts.append(path_name(values.get("name", "?")))
            item = values.get("parent")
        return "/" + "/".join(reversed(parts))

    def datacenter_of(self, item: Any) -> Any:
        """Return the datacenter that contains an object. Raises NotFound (vsphere.not_found) when none does."""
        while item is not None and not isinstance(item, pyvmomi.vim.Datacenter):
            item = read(self.session, item, "parent").get("parent")
        if item is None:
            raise NotFound(
                "The object is not in a datacenter.",
                code="vsphere.not_found",
                hint="Move it into a datacenter, or check its permissions.",
            )
        return item

    def placement(
        self,
        *,
        datacenter: str,
        datastore: str,
        cluster: str | None = None,
        esxi_host: str | None = None,
        resource_pool: str | None = None,
        folder: str | None = None,
        network: str | None = None,
        create_folder: bool = False,
    ) -> Placement:
        """Find the objects that a connector names, and check that they fit together.

        Raises:
            NotFound: ``vsphere.not_found`` if an object does not exist.
            Conflict: ``vsphere.ambiguous``, ``vsphere.datastore``, ``vsphere.host``, ``vsphere.cluster``.
            InvalidInput: ``vsphere.placement``, ``vsphere.folder``, ``vsphere.datastore_cluster``.
        """
        container = self.datacenter(datacenter)
        store = self.datastore(container, datastore)
        host = None
        if esxi_host:
            host = self.host(container, esxi_host)
            self._check_host(host, esxi_host, store, datastore)
            self._check_host_cluster(host, esxi_host, cluster, container)
        pool = self.resource_pool(container, cluster=cluster, host=esxi_host, name=resource_pool)
        if host is None:
            self._check_cluster(pool)
        return Placement(
            datacenter=container,
            pool=pool,
            host=host,
            datastore=store,
            folder=(target := self.folder(container, folder, create=create_folder)),
            network=self.network(container, network) if network else None,
            datacenter_name=plain_name(read(self.session, container, "name")["name"]),
            datastore_name=datastore,
            folder_path=self.path(target),
            network_name=network,
        )

    def _check_cluster(self, pool: Any) -> None:
        """Raise Conflict when ``pool`` is in a cluster without DRS, which selects the host of a new VM."""
        owner = read(self.session, pool, "owner").get("owner")
        if not isinstance(owner, pyvmomi.vim.ClusterComputeResource):
            return
        try:
            values = read(self.session, owner, "name", "configurationEx")
        except Unavailable as error:
            # A user of the pool may lack the permission to read its cluster; then vCenter reports the problem later.
            if error.code != "vsphere.permission":
                raise
            return
        drs = getattr(values.get("configurationEx"), "drsConfig", None)
        if drs is not None and drs.enabled is False:
            raise Conflict(
                f"The cluster {plain_name(values['name'])} has no DRS, which selects the host of a new virtual machine.",
                code="vsphere.cluster",
                hint="Set esxi_host to a host of the cluster, or enable DRS.",
            )

    def _check_host(self, host: Any, name: str, store: Any, store_name: str) -> None:
        """Raise Conflict when the host cannot be used, or cannot use the datastore."""
        state = read(self.session, host, "runtime.connectionState", "runtime.inMaintenanceMode", "datastore")
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

    def _check_host_cluster(self, host: Any, name: str, cluster: str | None, datacenter: Any) -> None:
        if cluster and read(self.session, host, "parent").get("parent") != self.cluster(datacenter, cluster):
            raise Conflict(
                f"The ESXi host {name} is not in the cluster {cluster}.",
                code="vsphere.host",
                hint="Set only one of cluster and esxi_host, or set esxi_host to a host of the cluster.",
            )

    def _create_folder(self, parent: Any, name: str, path: str) -> Any:
        try:
            with explained(f"Creating the folder {name} in {path}"):
                return parent.CreateFolder(escaped_name(name))
        except Conflict:
            # Another client created it in the meantime.
            for item, values in self._children(parent, pyvmomi.vim.Folder).items():
                if plain_name(values["name"]) == name:
                    return item
            raise

    def _children(self, folder: Any, kind: Any) -> dict[Any, dict[str, Any]]:
        entries = read(self.session, folder, "childEntity").get("childEntity", [])
        found = collect(self.session, [entry for entry in entries if isinstance(entry, kind)], ["name"])
        # An object without a name was removed in the meantime.
        return {item: values for item, values in found.items() if "name" in values}

    def _below(self, root: Any, kind: str) -> dict[Any, dict[str, Any]]:
        return collect_below(self.session, root, kind, ["name"])

    def _in(self, datacenter: Any) -> str:
        return f"in the datacenter {plain_name(read(self.session, datacenter, 'name')['name'])}"

    def _named(self, found: dict[Any, dict[str, Any]], name: str) -> list[Any]:
        """Return the objects with this name or path."""
        last = name.rpartition("/")[2] if name.startswith("/") else name
        fitting = [
            item for item, values in found.items() if plain_name(values.get("name", "")) in (last, plain_name(last))
        ]
        return (
            [item for item in fitting if self.path(item) == name.replace("%2F", "%2f")]
            if name.startswith("/")
            else fitting
        )

    def _single(self, found: dict[Any, dict[str, Any]], name: str, noun: str, where: str) -> Any:
        """Return the only object with this name or path."""
        fitting = self._named(found, name)
        if not fitting:
            names = (plain_name(values.get("name", "")) for values in found.values())
            raise NotFound(
                f"The {noun} {name} does not exist {where}.",
                code="vsphere.not_found",
                hint=existing_text(names, f"{noun}s"),
            )
        if len(fitting) > 1:
            paths = sorted(self.path(item) for item in fitting[:_SHOWN])
            raise Conflict(
                f"{len(fitting)} {noun}s named {name} exist {where}: {', '.join(paths)}.",
                code="vsphere.ambiguous",
                hint="Name it by its inventory path.",
                paths=paths,
            )
        return fitting[0]
