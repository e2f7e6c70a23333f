# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the datastore has space for the image."""

from __future__ import annotations

from ..common.findings import FAIL, PASS, WARN
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
    if image is None:
        return (
            (PASS, found, "") if free >= _LEAST else (FAIL, f"{found}, but a VM needs at least {_gib(_LEAST)}", advice)
        )
    if free < image.stored:
        return FAIL, f"{found}, but the disk of {image.os_layer} alone needs {_gib(image.stored)}", advice
    if free < image.capacity:
        return WARN, f"{found}; the disk can grow to {_gib(image.capacity)}", advice
    return PASS, found, ""


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
