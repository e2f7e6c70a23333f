# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the hosts offer the hardware version and the guest ID of the VM template."""

from __future__ import annotations

from ..common.counting import counted_examples
from ..common.findings import FAIL, PASS, WARN
from ..vsphere.inventory.guest_offers import GuestOffers, HardwareVersion, hardware_number
from ..vsphere.properties import read
from .subject import Subject

_LISTED = 3
_UPGRADE = "Update the ESXi hosts, or set vm_template of the connector to a VM template with an older hardware version."


def check(subject: Subject) -> tuple[str, str, str]:
    """Compare the VM template with what the cluster or host offers: vCenter refuses a VM with a guest ID that its version lacks."""
    hardware, name = subject.hardware, subject.connector.vm_template
    compute = read(subject.session, subject.placement.pool, "owner", subject="Finding the hosts")["owner"]
    offers = GuestOffers(subject.session, compute, subject.placement.host)
    if not offers.versions:
        return WARN, "vCenter does not report the hardware versions of the hosts", "Check the permissions of the user."
    found = f"the VM template {name} has hardware version {hardware.version} and guest ID {hardware.guest_id}"
    number = hardware_number(hardware.version)
    version = next((item for item in offers.versions if item.number == number), None)
    if version is None:
        return FAIL, f"{found}; no host offers this version, the newest is {offers.versions[0].number}", _UPGRADE
    if not offers.guests(number, [hardware.guest_id]):
        return (
            FAIL,
            f"{found}, which the hosts do not offer for this version",
            "Set the guest ID of the VM template to one that its hardware version has, or upgrade its hardware version.",
        )
    if not version.all_hosts:
        return WARN, f"{found}; only {_hosts(version)} offer this version", _UPGRADE
    return PASS, found, ""


def _hosts(version: HardwareVersion) -> str:
    return counted_examples(list(version.hosts[:_LISTED]), len(version.hosts), "host")
