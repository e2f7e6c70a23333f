# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention of older images: which VMs are removed, except VMs that are in use or that linked clones depend on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..catalog.image_record import ImageRecord
from ..common.errors import Conflict
from ..common.optional_imports import pyvmomi
from ..repository.repository import Repository
from ..vsphere import vm as machines
from ..vsphere.inventory import plain_name
from ..vsphere.properties import collect_below
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts
from . import image_records
from .vm_metadata import POWERED_OFF, vcenter_record

#: Dependent VMs that a message lists by name.
LISTED_CLONES = 5


@dataclass(frozen=True)
class RetentionPlan:
    """The decision about the images of a template in one vCenter.

    ``kept`` stay recorded, ``expired`` are the VMs to remove, ``warnings`` name VMs that are kept although they have expired.
    ``changed``: records have to be removed, of expired images or of images whose VM no longer exists.
    """

    kept: tuple[ImageRecord, ...]
    expired: tuple[VmFacts, ...]
    warnings: tuple[str, ...]
    changed: bool


def plan_retention(
    repository: Repository, session: Session, template: str, newest_digest: str, keep: int | None
) -> RetentionPlan:
    """Plan the retention when the image ``newest_digest`` is published and ``keep`` older images are kept (None: all).

    Only images in the session's vCenter count. An image whose VM no longer exists is forgotten. A VM that is powered on, or on
    whose disk clones depend, is kept with a warning.
    """
    recorded = image_records.images_of(repository, template, vcenter_record(session))
    kept: list[ImageRecord] = []
    expired: list[VmFacts] = []
    warnings: list[str] = []
    older = 0
    disks = None
    for image in recorded:
        if image.image_digest == newest_digest:
            kept.append(image)
            continue
        older += 1
        if keep is None or older <= max(keep, 0):
            kept.append(image)
            continue
        facts = image_records.find_recorded(session, image)
        if facts is None:
            continue
        # Read once: a vCenter may have thousands of VMs.
        disks = _disks_of_all(session) if disks is None else disks
        reason = _reason_to_keep(facts, _dependents(facts, disks))
        if reason:
            warnings.append(reason)
            kept.append(image)
        else:
            expired.append(facts)
    return RetentionPlan(tuple(kept), tuple(expired), tuple(warnings), kept != recorded)


def retire(repository: Repository, session: Session, template: str, plan: RetentionPlan) -> list[str]:
    """Carry out a plan; return warnings about VMs that were powered on since and are therefore kept."""
    warnings, running = [], set()
    for facts in plan.expired:
        try:
            machines.destroy(session, session.object("VirtualMachine", facts.moid), running=False)
        except Conflict as error:
            if error.details.get("fault") != "InvalidPowerState":
                raise
            warnings.append(_powered_on_text(facts))
            running.add(facts.instance_uuid)
    vcenter = vcenter_record(session)
    recorded = image_records.images_of(repository, template, vcenter)
    remaining = [image for image in recorded if image in plan.kept or image.vm.instance_uuid in running]
    # Stored after the removals: an image whose VM could not be removed stays recorded, and the next run removes it.
    if remaining != recorded:
        image_records.record_images(repository, template, vcenter, remaining)
    return warnings


def _reason_to_keep(facts: VmFacts, clones: list[str]) -> str | None:
    if clones:
        names = ", ".join(clones[:LISTED_CLONES])
        return f"The VM {facts.name} of an older image is kept because {names} depend on its disk."
    return _powered_on_text(facts) if facts.power_state != POWERED_OFF else None


def _powered_on_text(facts: VmFacts) -> str:
    return f"The VM {facts.name} of an older image is kept because it is not powered off."


def depends_on(session: Session, facts: VmFacts) -> list[str]:
    """Return the names of VMs whose disks depend on the disks of this VM: linked and instant clones of its snapshots."""
    return _dependents(facts, _disks_of_all(session))


def refuse_clones(session: Session, facts: VmFacts, reason: str) -> None:
    """Raise Conflict ``publish.clones`` when clones depend on the disks of a VM that has to be removed for ``reason``."""
    clones = depends_on(session, facts)
    if clones:
        raise Conflict(
            f"The VM {facts.path} has to be removed because {reason}, "
            f"but {', '.join(clones[:LISTED_CLONES])} depend on its disks.",
            code="publish.clones",
            hint="Delete those clones and run again. To keep them, rename the VM, remove its strata.layering settings "
            "from its advanced configuration, and run again.",
            clones=clones,
        )


def _dependents(facts: VmFacts, disks: dict[str, tuple[str, list[str]]]) -> list[str]:
    # Storage DRS may have moved a disk away from the VM's folder.
    folders = tuple(
        f"{folder}/"
        for path in (facts.datastore_path, *(disk for disk, _size in facts.disks))
        if (folder := path.rpartition("/")[0])
    )
    return sorted(
        name
        for moid, (name, files) in disks.items()
        if moid != facts.moid and any(file.startswith(folders) for file in files)
    )


def _disks_of_all(session: Session) -> dict[str, tuple[str, list[str]]]:
    """Return name and disk files of every VM in vCenter, by managed object ID."""
    properties = collect_below(
        session, session.content.rootFolder, "VirtualMachine", ["name", "config.hardware.device"]
    )
    return {
        machine._GetMoId(): (
            plain_name(values.get("name", machine._GetMoId())),
            _disk_files(values.get("config.hardware.device") or ()),
        )
        for machine, values in properties.items()
    }


def _disk_files(devices: Iterable[Any]) -> list[str]:
    """Return the datastore paths of disks and of the disks that they were cloned from."""
    names = []
    for device in devices:
        backing = device.backing if isinstance(device, pyvmomi.vim.vm.device.VirtualDisk) else None
        while backing is not None:
            names.append(getattr(backing, "fileName", None) or "")
            backing = getattr(backing, "parent", None)
    return names
