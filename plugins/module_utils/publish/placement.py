# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a connector leads: its names looked up in vSphere, and the hardware of its VM template."""

from __future__ import annotations

from dataclasses import dataclass

from ..common.errors import Conflict, NotFound
from ..vsphere.hardware import Hardware, read_hardware
from ..vsphere.inventory import Inventory, Placement
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts


@dataclass
class Target:
    """A connector, looked up. ``folder_missing`` when its folder has to be created first."""

    connector: dict
    placement: Placement
    hardware: Hardware
    template: VmFacts
    folder_missing: bool

    def summary(self) -> dict:
        """What was found, for people: a path or a name for each thing."""
        return {
            "datacenter": self.placement.datacenter_name,
            "datastore": self.placement.datastore_name,
            "folder": self.connector["folder"] + " (will be created)"
            if self.folder_missing
            else self.placement.folder_path,
            "network": self.placement.network_name or ", ".join(name for name, _network in self.hardware.networks),
            "vm_template": self.template.path,
            "hardware": f"{self.hardware.version}, {self.hardware.cpus} processors, {self.hardware.memory_mib} MiB, {self.hardware.firmware}",
        }


def resolve_placement(session: Session, connector: dict, *, create_folder: bool) -> Target:
    """Look up what ``connector`` names; NotFound or Conflict says what is missing or does not fit."""
    inventory = Inventory(session)
    names = {
        key: connector[key]
        for key in ("datacenter", "datastore", "cluster", "esxi_hostname", "resource_pool", "network")
    }
    datacenter = inventory.datacenter(connector["datacenter"])
    missing = False
    folder = connector["folder"] or None
    if folder and not create_folder:
        try:
            inventory.folder(datacenter, folder)
        except NotFound:
            missing, folder = True, None
    placement = inventory.placement(**names, folder=folder, create_folder=create_folder)
    vm = inventory.vm(name=connector["vm_template"], datacenter=datacenter, template=True)
    facts = read_facts(session, vm)
    if facts.disks:
        raise Conflict(
            f"The VM template {connector['vm_template']} has {len(facts.disks)} disk(s).",
            code="publish.connector_template_disks",
            hint="Remove its disks: the image brings its own, the template only gives the hardware.",
        )
    hardware = read_hardware(session, vm)
    if placement.network is None and len(hardware.networks) < hardware.nic_count:
        raise Conflict(
            f"The connector {connector['name']} names no network, and the VM template {connector['vm_template']} has "
            f"{'a network adapter on none that is known' if facts.nic_types else 'no network adapter'}.",
            code="publish.connector_network",
            hint="Set network of the connector, or give each network adapter of the VM template its network.",
        )
    return Target(connector, placement, hardware, facts, missing)


def check_firmware(target: Target, os_firmware: str | None, os_layer: str) -> None:
    """Raise Conflict when the VM template could not start what is on the OS layer's disk."""
    if os_firmware and target.hardware.firmware != os_firmware:
        template = target.connector["vm_template"]
        raise Conflict(
            f"The OS layer {os_layer} starts by {os_firmware.upper()}, but the VM template {template} by {target.hardware.firmware.upper()}.",
            code="publish.connector_firmware",
            hint="Use a VM template with the same firmware.",
        )
