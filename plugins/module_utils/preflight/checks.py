# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named checks of whether a connector can publish an image now. They only read, and nothing is composed before they have passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ..common.errors import Conflict, StrataError
from ..common.findings import FAIL, WARN, Finding
from . import (
    boot_controller,
    custom_attributes,
    datastore,
    firmware,
    guest,
    hosts,
    import_specification,
    network,
    privileges,
    storage_policy,
)
from .subject import Subject

#: What a check returns: result, what was found, and what to do if it did not pass.
Outcome = tuple[str, str, str]

CHECKS: dict[str, Callable[[Subject], Outcome]] = {
    "privileges": privileges.check,
    "visibility": privileges.check_visibility,
    "hosts": hosts.check,
    "free_space": datastore.check_free_space,
    "storage_policy": storage_policy.check,
    "network": network.check,
    "firmware": firmware.check,
    "boot_controller": boot_controller.check,
    "guest_id": guest.check,
    "import_specification": import_specification.check,
    "custom_attributes": custom_attributes.check,
}


def run_checks(subject: Subject) -> list[dict[str, Any]]:
    """Run every check; return the findings, JSON-compatible, in the order of ``CHECKS``.

    Raises:
        StrataError: as ``connection_error`` when vCenter cannot be reached; a fault that vCenter answers is a finding.
    """
    return [asdict(_finding(name, check, subject)) for name, check in CHECKS.items()]


def _finding(name: str, check: Callable[[Subject], Outcome], subject: Subject) -> Finding:
    try:
        return Finding(name, *check(subject))
    except StrataError as error:
        if "fault" not in error.details:
            raise
        # A user may lack the permission to read an object that the publish itself does not need.
        return Finding(name, WARN, f"could not be checked: {error.message}", error.hint or "")


def require_passed(connector: str, findings: list[dict[str, Any]]) -> None:
    """Raise Conflict (preflight.failed), with the findings in its details, when a check has failed."""
    failed = [finding for finding in findings if finding["result"] == FAIL]
    if failed:
        found = "; ".join(f"{finding['name']} ({finding['found']})" for finding in failed)
        raise Conflict(
            f"The connector {connector} cannot publish an image: {found}.",
            code="preflight.failed",
            hint=" ".join(finding["action"] for finding in failed),
            checks=findings,
        )


def warnings(connector: str, findings: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each check that passed with a reservation."""
    return [
        f"The connector {connector}: {finding['name']}: {finding['found']}. {finding['action']}".strip()
        for finding in findings
        if finding["result"] == WARN
    ]
