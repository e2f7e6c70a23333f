# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the firmware of the VM template can start the disk of the OS layer."""

from __future__ import annotations

from ..common.findings import FAIL, PASS, WARN
from .subject import Subject


def check(subject: Subject) -> tuple[str, str, str]:
    """Compare the firmware of the VM template with that of the OS layer."""
    firmware, name = subject.hardware.firmware, subject.connector.vm_template
    found = f"the VM template {name} uses {firmware.upper()} firmware"
    image = subject.image
    if image is None:
        return PASS, found, ""
    if image.firmware is None:
        return WARN, f"{found}; that of the OS layer {image.os_layer} is not known", "Import the OS layer again."
    if image.firmware != firmware:
        return (
            FAIL,
            f"{found}, the OS layer {image.os_layer} {image.firmware.upper()} firmware",
            "Set vm_template of the connector to a VM template with the firmware of the OS layer.",
        )
    return PASS, f"{found}, as the OS layer {image.os_layer} does", ""
