# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target of a connector: its names looked up in vSphere, and the hardware of its VM template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...catalog.connector_document import ConnectorDocument
from ...common.errors import Conflict, NotFound
from ...preflight.subject import ImageNeeds, Subject
from ...vsphere.hardware.disk_controllers import require_disk_controller
from ...vsphere.hardware.hardware import Hardware, read_hardware
from ...vsphere.inventory.inventory import Inventory, Placement
from ...vsphere.session import Session
from ...vsphere.vm import VmFacts, read_facts


@dataclass(frozen=True)
class Target:
    """A connector, looked up. ``folder_missing``: its folder does not exist yet, and ``placement`` has the parent's."""

    connector: ConnectorDocument
    placement: Placement
    hardware: Hardware
    template: VmFacts
    folder_missing: bool

    @property
    def folder_text(self) -> str:
        """The folder as messages name it."""
        return f"{self.connector.folder} (will be created)" if self.folder_missing else self.placement.folder_path

    @property
    def datastore_text(self) -> str:
        """The datastore as messages name it."""
        cluster = self.placement.datastore_cluster
        return f"{self.placement.datastore_name}{f' of the datastore cluster {cluster}' if cluster else ''}"

    def preflight(self, session: Session, image: ImageNeeds | None = None, *, packaging: bool = False) -> Subject:
        """Return what a preflight checks; ``image`` is None when only the connector is tested."""
        return Subject(
            session=session,
            connector=self.connector,
            placement=self.placement,
            folder_missing=self.folder_missing,
            hardware=self.hardware,
            template=self.template,
            image=image,
            packaging=packaging,
        )

    def summary(self) -> dict[str, Any]:
        """Return a path or a name for each object that the connector names."""
        hardware, policy = self.hardware, self.placement.storage_policy
        return {
            "datacenter": self.placement.datacenter_name,
            "datastore": self.datastore_text,
            "storage_policy": policy.name if policy else None,
            "folder": self.folder_text,
            "network": self.placement.network_name or ", ".join(name for name, _network in hardware.networks),
            "vm_template": self.template.path,
            "hardware": f"{hardware.version}, {hardware.cpus} processors, {hardware.memory_mib} MiB, {hardware.firmware}",
            "ids": self._ids(),
        }

    def _ids(self) -> dict[str, str | None]:
        """Return the managed object ID of each object that the connector names, and the identifier of the storage policy."""
        placement = self.placement
        networks = [placement.network] if placement.network else [item for _name, item in self.hardware.networks]
        return {
            "datacenter": placement.datacenter._GetMoId(),
            "cluster": placement.compute.cluster._GetMoId() if placement.compute.cluster else None,
            "esxi_host": placement.host._GetMoId() if placement.host else None,
            "resource_pool": placement.pool._GetMoId(),
            "datastore": placement.datastore._GetMoId(),
            "folder": placement.folder._GetMoId(),
            "network": ", ".join(item._GetMoId() for item in networks),
            "vm_template": self.template.moid,
            "storage_policy": placement.storage_policy.id if placement.storage_policy else None,
        }


def resolve_placement(session: Session, connector: ConnectorDocument, *, create_folder: bool) -> Target:
    """Look up the objects that ``connector`` names.

    Raises:
        NotFound: ``vsphere.not_found`` if an object does not exist.
        Conflict: ``publish.connector_template_disks``, ``publish.connector_network``, ``vsphere.template_controller``;
            as ``Inventory.placement``.
        InvalidInput: as ``Inventory.placement``.
    """
    inventory = Inventory(session)
    datacenter = inventory.datacenter(connector.datacenter)
    missing = False
    folder = connector.folder or None
    if folder and not create_folder:
        try:
            inventory.folder(datacenter, folder)
        except NotFound:
            missing, folder = True, None
    placement = inventory.placement(
        datacenter=connector.datacenter,
        datastore=connector.datastore,
        cluster=connector.cluster,
        esxi_host=connector.esxi_host,
        resource_pool=connector.resource_pool,
        network=connector.network,
        storage_policy=connector.storage_policy,
        folder=folder,
        create_folder=create_folder,
    )
    vm = inventory.vm(name=connector.vm_template, datacenter=datacenter, template=True)
    facts = read_facts(session, vm)
    if facts.disks:
        raise Conflict(
            f"The VM template {connector.vm_template} has {len(facts.disks)} disk(s); a VM template for images must have none.",
            code="publish.connector_template_disks",
            hint="Remove its disks: the image has its own disk, the VM template provides only the hardware.",
        )
    hardware = read_hardware(session, vm)
    require_disk_controller(hardware.disk_controller, connector.vm_template)
    _check_network(connector, placement, hardware, facts)
    return Target(connector, placement, hardware, facts, missing)


def _check_network(connector: ConnectorDocument, placement: Placement, hardware: Hardware, facts: VmFacts) -> None:
    """Raise Conflict when neither the connector nor the VM template names the network of every adapter."""
    if placement.network is None and len(hardware.networks) < hardware.nic_count:
        problem = "a network adapter without a known network" if facts.nic_types else "no network adapter"
        raise Conflict(
            f"The connector {connector.name} names no network, and the VM template {connector.vm_template} has {problem}.",
            code="publish.connector_network",
            hint="Set network of the connector, or connect each network adapter of the VM template to a network.",
        )


def check_firmware(target: Target, os_firmware: str | None, os_layer: str) -> None:
    """Raise Conflict (publish.connector_firmware) when the VM template cannot boot the OS layer's disk."""
    firmware = target.hardware.firmware
    if os_firmware and firmware != os_firmware:
        raise Conflict(
            f"The OS layer {os_layer} uses {os_firmware.upper()} firmware, the VM template {target.connector.vm_template} uses {firmware.upper()}.",
            code="publish.connector_firmware",
            hint="Set vm_template of the connector to a VM template with the firmware of the OS layer.",
            expected=os_firmware,
            found=firmware,
        )
