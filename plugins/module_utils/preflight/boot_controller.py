# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether Windows can start from the disk controller of the VM template."""

from __future__ import annotations

from ..common.findings import FAIL, PASS, WARN
from ..vsphere.hardware.disk_controllers import controller_title
from .subject import Subject


def check(subject: Subject) -> tuple[str, str, str]:
    """Compare the disk controller of the VM template with the controllers for which the OS layer has a boot driver."""
    controller, name = subject.hardware.disk_controller, subject.connector.vm_template
    if controller is None:
        return (
            FAIL,
            f"the VM template {name} has no disk controller",
            "Add a disk controller to the VM template, the same as the OS machine has.",
        )
    found = f"the VM template {name} has the disk controller {controller_title(controller)}"
    image = subject.image
    if image is None:
        return PASS, found, ""
    boot = image.boot
    if boot.controllers is None:
        return (
            WARN,
            f"{found}; the boot drivers of the OS layer {image.os_layer} cannot be read",
            "Check that the OS machine had a disk on this controller.",
        )
    if controller in boot.controllers:
        return PASS, f"{found}, from which the OS layer {image.os_layer} can start", ""
    able = ", ".join(controller_title(able) for able in boot.controllers) or "no disk controller of vSphere"
    problem = f"{found}, but the OS layer {image.os_layer} can start only from {able}"
    if boot.changed_by:
        return (
            WARN,
            f"{problem}; {', '.join(boot.changed_by)} changes the boot driver, which is checked after composing",
            f"If the check fails, use a VM template whose disk controller is {able}.",
        )
    return FAIL, problem, boot_advice(able, controller_title(controller))


def boot_advice(able: str, title: str) -> str:
    """Return what to do when Windows has a boot driver for the controllers ``able``, and not for the controller ``title``."""
    return (
        f"Set vm_template of the connector to a VM template whose disk controller is {able}; or attach a second disk on {title} to "
        "the OS machine, start Windows, shut it down, and import it as a new version of the OS layer."
    )
