# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether vCenter accepts the hardware, networks and datastore, by a specification from which no VM is made."""

from __future__ import annotations

from ..common.errors import StrataError
from ..common.findings import FAIL, PASS, WARN
from ..vsphere.transfer.import_specification import DeployRequest, import_specification
from .subject import Subject

#: The size of the disk, in bytes, when only the connector is tested.
_CAPACITY = 1 << 30


def check(subject: Subject) -> tuple[str, str, str]:
    """Ask vCenter for the specification of a VM with the hardware of the VM template."""
    capacity = subject.image.capacity if subject.image else _CAPACITY
    request = DeployRequest(
        name=f"{subject.connector.name}-preflight",
        placement=subject.placement,
        hardware=subject.hardware,
        capacity=capacity,
        length=capacity,
    )
    try:
        made = import_specification(subject.session, request)
    except StrataError as error:
        if error.code != "vsphere.import_spec":
            raise
        return FAIL, error.message.rstrip("."), error.hint or ""
    if made.warnings:
        advice = "Check the VM template and the network and datastore of the connector."
        return WARN, f"vCenter warns: {'; '.join(made.warnings)}", advice
    return PASS, "vCenter accepts the hardware, the networks and the datastore", ""
