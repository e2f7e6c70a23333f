# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the datastore has space for the image."""

from __future__ import annotations

from ..common.findings import FAIL, PASS, WARN
from ..vsphere.hardware.hardware import Hardware
from ..vsphere.properties import read
from .subject import Subject

#: Bytes that a VM with Windows needs at least. They are compared when there is no image, in tests of a connector or a site.
_LEAST = 1 << 30


def check_free_space(subject: Subject) -> tuple[str, str, str]:
    """Compare the free space of the datastore with what the image needs at least, and at most when its thin disk has grown."""
    name = subject.placement.datastore_name
    values = read(subject.session, subject.placement.datastore, "summary.freeSpace", subject="Reading the datastore")
    free = values.get("summary.freeSpace")
    if free is None:
        return WARN, f"vCenter does not report the free space of {name}", "Refresh the datastore in the vSphere Client."
    found = f"{_gib(free)} free on {name}"
    advice = "Free space on the datastore, or set datastore of the connector to a different datastore."
    image = subject.image
    swap = _swap_file(subject.hardware)
    if image is None:
        least = _LEAST + swap
        return (PASS, found, "") if free >= least else (FAIL, f"{found}, but a VM needs at least {_gib(least)}", advice)
    if free < image.stored + swap:
        need = f"the disk of {image.os_layer} alone needs {_gib(image.stored)}, and the swap file {_gib(swap)}"
        return FAIL, f"{found}, but {need}", advice
    if free < image.capacity + swap:
        return (
            WARN,
            f"{found}; the disk can grow to {_gib(image.capacity)}, and the swap file needs {_gib(swap)}",
            advice,
        )
    return PASS, found, ""


def _swap_file(hardware: Hardware) -> int:
    """Return the bytes of the file that the host creates at power-on for memory without a reservation."""
    if hardware.settings.get("memoryReservationLockedToMax"):
        return 0
    allocation = hardware.settings.get("memoryAllocation")
    reserved = getattr(allocation, "reservation", None) or 0
    return max(hardware.memory_mib - reserved, 0) << 20


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
