# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Horizon asks of a machine from whose snapshot instant clones are to be made, as named results."""

from __future__ import annotations

import re

from ..common.errors import Conflict
from ..vsphere.vm import VmFacts

#: Instant clones need at least this hardware version.
MINIMUM_HARDWARE = 11


def check_horizon(facts: VmFacts, snapshot: str) -> list[dict]:
    """Named results about a machine and its snapshot: name, passed, found, advice (None when passed)."""
    hardware = re.fullmatch(r"vmx-(\d+)", facts.hardware_version)
    adapters = ", ".join(facts.nic_types) or "none"
    snapshots = [one.path for one in facts.snapshots]
    return [
        _result(
            "powered_off", facts.power_state == "poweredOff", facts.power_state, "Shut Windows down in the machine."
        ),
        _result(
            "snapshot",
            any(one.name == snapshot for one in facts.snapshots),
            ", ".join(snapshots) or "none",
            "Remove the machine and publish the image again.",
        ),
        _result(
            "not_a_template",
            not facts.template,
            "template" if facts.template else "machine",
            "Convert the template to a virtual machine.",
        ),
        _result(
            "vmxnet3",
            bool(facts.nic_types) and set(facts.nic_types) == {"vmxnet3"},
            adapters,
            "Give the machine network adapters of type VMXNET3 only.",
        ),
        _result(
            "hardware_version",
            hardware is not None and int(hardware[1]) >= MINIMUM_HARDWARE,
            facts.hardware_version,
            f"Use a VM template of hardware version {MINIMUM_HARDWARE} or newer.",
        ),
        _result(
            "no_vtpm",
            not facts.has_tpm,
            "present" if facts.has_tpm else "absent",
            "Remove the virtual TPM; a pool adds one to each of its clones.",
        ),
    ]


def require_horizon(facts: VmFacts, checks: list[dict]) -> None:
    """Raise Conflict with what is not as Horizon needs it."""
    missed = [check for check in checks if not check["passed"]]
    if missed:
        found = "; ".join(f"{check['name']} (found: {check['found']})" for check in missed)
        raise Conflict(
            f"The machine {facts.name} at {facts.path} is not what Horizon needs: {found}.",
            code="publish.horizon",
            hint=" ".join(check["advice"] for check in missed),
            checks=checks,
        )


def _result(name: str, passed: bool, found: str, advice: str) -> dict:
    return {"name": name, "passed": passed, "found": found, "advice": None if passed else advice}
