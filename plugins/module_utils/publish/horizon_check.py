# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requirements of Horizon for a VM whose snapshot instant clones are created from, as named results."""

from __future__ import annotations

import re
from typing import Any

from ..common.errors import Conflict
from ..vsphere.vm import VmFacts

#: Instant clones need at least this hardware version.
MINIMUM_HARDWARE = 11


def check_horizon(facts: VmFacts, snapshot: str) -> list[dict[str, Any]]:
    """Return the results of the checks of a VM and its snapshot: name, passed, found, advice (None when passed)."""
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
        _result(
            "no_vtpm",
            not facts.has_tpm,
            "present" if facts.has_tpm else "absent",
            "Remove the virtual TPM; a pool adds a TPM to each of its clones.",
        ),
    ]


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
