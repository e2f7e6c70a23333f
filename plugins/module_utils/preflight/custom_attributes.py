# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the definitions of the custom attributes that the connector sets."""

from __future__ import annotations

from ..common.findings import FAIL, PASS
from ..vsphere.custom_attributes import missing_definitions
from .subject import Subject


def check(subject: Subject) -> tuple[str, str, str]:
    """Find the custom attributes that vCenter does not know yet; they are defined before the image is composed."""
    names = list(subject.connector.custom_attributes or {})
    if not names:
        return PASS, "none", ""
    missing = missing_definitions(subject.session, names)
    if missing is None:
        advice = "Remove custom_attributes from the connector, or set hostname to a vCenter."
        return FAIL, f"{subject.session.label} does not support custom attributes", advice
    if missing:
        return PASS, f"to be defined in vCenter before composing: {', '.join(missing)}", ""
    return PASS, f"defined in vCenter: {', '.join(names)}", ""
