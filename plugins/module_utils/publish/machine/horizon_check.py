# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requirements of Horizon for a VM whose snapshot instant clones are created from, as named results."""

from __future__ import annotations

import re
from typing import Any

from ...catalog.connector_document import VTPM_ALLOW, VTPM_REFUSE, VTPM_WARN
from ...common.errors import Conflict
from ...vsphere.vm import VmFacts

#: Instant clones need at least this hardware version.
MINIMUM_HARDWARE = 11


def check_horizon(facts: VmFacts, snapshot: str, vtpm: str | None = None) -> list[dict[str, Any]]:
    """Return the results of the checks of a VM and its snapshot: name, passed, found, advice.

    ``vtpm`` is that of the connector. ``advice`` is None when a check has passed without a reservation.
    """
    hardware = re.fullmatch(r"vmx-(\d+)", facts.hardware_version)
    adapters = ", ".join(facts.nic_types) or "none"
    snapshots = [existing.path for existing in facts.snapshots]
    return [
        _result("powered_off", facts.power_state == "poweredOff", facts.power_state, "Shut Windows down in the VM."),
        _result(
            "snapshot",
            any(existing.name == snapshot for existing in facts.snapshots),
            ", ".join(snapshots) or "none",
            "Delete the VM and publish the image again.",
        ),
        _result(
            "not_a_template",
            not facts.template,
            "template" if facts.template else "virtual machine",
            "Convert the template to a virtual machine.",
        ),
        _result(
            "vmxnet3",
            bool(facts.nic_types) and set(facts.nic_types) == {"vmxnet3"},
            adapters,
            "Replace the network adapters of the VM by adapters of type VMXNET3.",
        ),
        _result(
            "hardware_version",
            hardware is not None and int(hardware[1]) >= MINIMUM_HARDWARE,
            facts.hardware_version,
            f"Use a VM template with hardware version {MINIMUM_HARDWARE} or newer.",
        ),
        _vtpm(facts, vtpm or VTPM_REFUSE),
    ]


def _vtpm(facts: VmFacts, vtpm: str) -> dict[str, Any]:
    """Return the result for a virtual TPM, which only an administrator can have added: images are created without one.

    Source: Horizon 2212, "Enabling VBS and vTPM for an Instant-Clone Desktop Pool" (GUID-453342DA), with its note on hosts with
    ESXi 7.0 Update 3f or later. The version of Horizon is not known here.
    """
    found = "present" if facts.has_tpm else "absent"
    if facts.has_tpm and vtpm == VTPM_WARN:
        advice = (
            f"The VM {facts.name} has a virtual TPM: use it as a golden image only with Horizon 2212 or later and if all hosts "
            "of the cluster run ESXi 7.0 Update 3f or later."
        )
        return {"name": "no_vtpm", "passed": True, "found": found, "advice": advice}
    advice = (
        "Remove the virtual TPM; a pool adds a TPM to each of its clones. Where Horizon accepts golden images with a virtual TPM, "
        "set vtpm of the connector to warn or allow."
    )
    return _result("no_vtpm", not facts.has_tpm or vtpm == VTPM_ALLOW, found, advice)


def reservations(checks: list[dict[str, Any]]) -> list[str]:
    """Return the advice of the checks that passed with a reservation."""
    return [check["advice"] for check in checks if check["passed"] and check["advice"]]


def require_horizon(facts: VmFacts, checks: list[dict[str, Any]]) -> None:
    """Raise Conflict (publish.horizon) when a check has failed."""
    failed = [check for check in checks if not check["passed"]]
    if failed:
        found = "; ".join(f"{check['name']} (found: {check['found']})" for check in failed)
        raise Conflict(
            f"The VM {facts.name} at {facts.path} does not meet the requirements of Horizon: {found}.",
            code="publish.horizon",
            hint=" ".join(check["advice"] for check in failed),
            checks=checks,
        )


def _result(name: str, passed: bool, found: str, advice: str) -> dict[str, Any]:
    return {"name": name, "passed": passed, "found": found, "advice": None if passed else advice}
