# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find objects in vCenter's inventory by their names.

Names are compared as vSphere displays them, case-sensitively; the escapes of slash, backslash and percent in stored
names are decoded. In a path, a slash that is part of a name is written ``%2f``. A managed object ID, such as
``dvportgroup-12``, names its object unless an object has that name. A name without a match is NotFound
(vsphere.not_found) with the existing names; a name with several matches is Conflict (vsphere.ambiguous) with their
paths and managed object IDs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...common.errors import Conflict, InvalidInput, NotFound
from ...common.optional_imports import pyvmomi
from ..faults import explained
from ..properties import collect, collect_below, read
from ..session import Session
from . import datastores, networks
from .compute import Compute, check_host, check_host_cluster, read_compute, require_drs
from .names import escaped_name, existing_text, folder_parts, is_object_id, option_of, path_name, plain_name
from .storage_policies import StoragePolicy, find_storage_policy

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Placement:
    """The location of a new VM: managed objects, all in one datacenter. ``host`` and ``network`` may be None.

    ``compute`` is the cluster or host that the VM is created on. ``datastore_cluster`` is the name of the datastore cluster that
    ``datastore`` was chosen from, None if the connector names a datastore; ``storage_policy`` is None if it names none.
    """

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
    compute: Compute = Compute("")
    datastore_cluster: str | None = None
    storage_policy: StoragePolicy | None = None


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
        if root is None or not name or name in ("Resources", root._GetMoId()):
            return root
        return self._single(
            collect_below(self.session, root, "ResourcePool", ["name"]), name, "resource pool", f"in {cluster or host}"
        )

    def datastore(self, datacenter: Any, name: str, *, visible: Collection[Any] | None = None) -> Any:
        """Return the datastore with this name; among several of the name, the datastore that is in ``visible``.

        Raises Conflict (vsphere.datastore) when it is not accessible or in maintenance mode.
        """
        found = self._single(self._below(datacenter, "Datastore"), name, "datastore", self._in(datacenter), visible)
        datastores.check_datastore(self.session, found, name)
        return found

    def datastore_cluster(self, datacenter: Any, name: str) -> Any:
        """Return the datastore cluster with this name, None if no datastore cluster or a datastore has this name."""
        pods = self._named(self._below(datacenter, "StoragePod"), name)
        if not pods or self._named(self._below(datacenter, "Datastore"), name):
            return None
        return self._single(self._below(datacenter, "StoragePod"), name, "datastore cluster", self._in(datacenter))

    def network(self, datacenter: Any, name: str, *, visible: Collection[Any] | None = None) -> Any:
        """Return the network or distributed port group with this name; uplink port groups are ignored.

        Among several of the name, those in ``visible`` count, and of an NSX segment its distributed port group.
        """
        found = networks.without_uplinks(self.session, self._below(datacenter, "Network"), name)
        return self._single(found, name, "network", self._in(datacenter), visible)

    def folder(self, datacenter: Any, path: str | None, *, create: bool = False) -> Any:
        """Return the VM folder at ``path``: ``/DC/vm/A/B``, or ``A/B`` below the datacenter's VM folder.

        Missing folders are created when ``create`` is true, otherwise NotFound. Raises InvalidInput (vsphere.folder) for a path
        outside the datacenter.
        """
        values = read(self.session, datacenter, "name", "vmFolder")
        current = values["vmFolder"]
        if path and is_object_id(path) and (by_id := self._folder_by_id(current, path)) is not None:
            return by_id
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

    def _folder_by_id(self, root: Any, moid: str) -> Any:
        """Return the VM folder with this managed object ID, None if a folder has it as its name, or none has it."""
        if any(plain_name(values["name"]) == moid for values in self._children(root, pyvmomi.vim.Folder).values()):
            return None
        return next((item for item in (root, *self._below(root, "Folder")) if item._GetMoId() == moid), None)

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
        storage_policy: str | None = None,
        create_folder: bool = False,
    ) -> Placement:
        """Find the objects that a connector names, and check that they fit together.

        Raises:
            NotFound: ``vsphere.not_found`` if an object does not exist.
            Conflict: ``vsphere.ambiguous``, ``vsphere.datastore``, ``vsphere.datastore_cluster``, ``vsphere.host``,
                ``vsphere.cluster``.
            InvalidInput: ``vsphere.placement``, ``vsphere.folder``.
        """
        container = self.datacenter(datacenter)
        found_host = self.host(container, esxi_host) if esxi_host else None
        pool = self.resource_pool(container, cluster=cluster, host=esxi_host, name=resource_pool)
        compute = read_compute(self.session, pool, found_host)
        policy = find_storage_policy(self.session, storage_policy) if storage_policy else None
        pod = self.datastore_cluster(container, datastore)
        if pod is not None:
            store, store_name = datastores.choose_datastore(
                self.session, pod, datastore, pool=pool, visible=compute.datastores, policy=policy
            )
        else:
            store = self.datastore(container, datastore, visible=compute.datastores)
            store_name = self._name(store)
        if found_host is not None:
            check_host(self.session, found_host, str(esxi_host), store, store_name)
            if cluster:
                check_host_cluster(self.session, found_host, str(esxi_host), self.cluster(container, cluster), cluster)
        else:
            require_drs(compute)
        found_network = self.network(container, network, visible=compute.networks) if network else None
        return Placement(
            datacenter=container,
            pool=pool,
            host=found_host,
            datastore=store,
            folder=(target := self.folder(container, folder, create=create_folder)),
            network=found_network,
            datacenter_name=self._name(container),
            datastore_name=store_name,
            folder_path=self.path(target),
            network_name=self._name(found_network) if found_network is not None else None,
            compute=compute,
            datastore_cluster=self._name(pod) if pod is not None else None,
            storage_policy=policy,
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

    def _name(self, item: Any) -> str:
        return plain_name(read(self.session, item, "name")["name"])

    def _named(self, found: dict[Any, dict[str, Any]], name: str) -> list[Any]:
        """Return the objects with this name or path, otherwise the object with this managed object ID."""
        last = name.rpartition("/")[2] if name.startswith("/") else name
        fitting = [
            item for item, values in found.items() if plain_name(values.get("name", "")) in (last, plain_name(last))
        ]
        if name.startswith("/"):
            return [item for item in fitting if self.path(item) == name.replace("%2F", "%2f")]
        return fitting or [item for item in found if item._GetMoId() == name]

    def _single(
        self,
        found: dict[Any, dict[str, Any]],
        name: str,
        noun: str,
        where: str,
        visible: Collection[Any] | None = None,
    ) -> Any:
        """Return the only object with this name, path or managed object ID; among several, the object in ``visible``."""
        fitting = self._named(found, name)
        if len(fitting) > 1 and visible is not None:
            fitting = [item for item in fitting if item in visible] or fitting
        if len(fitting) > 1 and noun == "network":
            fitting = networks.without_opaque_twins(self.session, fitting)
        if not fitting:
            names = (plain_name(values.get("name", "")) for values in found.values())
            raise NotFound(
                f"The {noun} {name} does not exist {where}.",
                code="vsphere.not_found",
                hint=existing_text(names, f"{noun}s"),
            )
        if len(fitting) > 1:
            raise self._ambiguous(fitting, name, noun, where)
        return fitting[0]

    def _ambiguous(self, fitting: list[Any], name: str, noun: str, where: str) -> Conflict:
        """Return the error for several objects of one name, with their differences."""
        shown = sorted((self.path(item), item._GetMoId()) for item in fitting[:_SHOWN])
        kinds = {
            item._GetMoId(): f", {networks.switch_text(self.session, item)}" if noun == "network" else ""
            for item in fitting[:_SHOWN]
        }
        texts = [f"{path} ({moid}{kinds[moid]})" for path, moid in shown]
        paths = [path for path, _moid in shown]
        ids = [moid for _path, moid in shown]
        by_id = f"one of these managed object IDs: {', '.join(ids)}"
        by_path = "its inventory path, or to " if len(set(paths)) == len(paths) else ""
        return Conflict(
            f"{len(fitting)} {noun}s named {name} exist {where}: {', '.join(texts)}.",
            code="vsphere.ambiguous",
            hint=f"Set {option_of(noun)} to {by_path}{by_id}.",
            paths=paths,
            ids=ids,
        )
