# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing machines of older images, but none that something still depends on."""

from __future__ import annotations

from ..common.errors import Conflict
from ..common.optional_imports import pyvmomi
from ..repository.repository import Repository
from ..vsphere import vm as machines
from ..vsphere.inventory import plain_name
from ..vsphere.properties import collect_below
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts
from . import image_records


def plan_retiring(
    repository: Repository, session: Session, template: str, newest: str, keep: int | None
) -> tuple[list[dict], list[VmFacts], list[str]]:
    """What is to become of a template's images when that of digest ``newest`` is published and ``keep`` older ones are kept.

    Only images in the vCenter of the session are looked at. Returns the images that stay recorded, the machines to remove, and
    warnings about machines that should go but stay. A machine that is gone is no longer recorded; one that is switched on is in use.
    """
    stay, going, warnings = [], [], []
    older = 0
    disks = None
    for image in image_records.images_of(repository, template, session.vcenter):
        if image["image_digest"] == newest:
            stay.append(image)
            continue
        older += 1
        if keep is None or older <= max(keep, 0):
            stay.append(image)
            continue
        facts = image_records.find_recorded(session, image)
        if facts is None:
            continue
        # Once: a vCenter may have thousands of machines.
        disks = _disks_of_all(session) if disks is None else disks
        clones = _dependents(facts, disks)
        if clones:
            warnings.append(
                f"The machine {facts.name} of an older image is kept because {', '.join(clones[:5])} depend on it."
            )
        elif facts.power_state != "poweredOff":
            warnings.append(_is_on(facts))
        else:
            going.append(facts)
            continue
        stay.append(image)
    return stay, going, warnings


def retire(
    repository: Repository, session: Session, template: str, stay: list[dict], going: list[VmFacts]
) -> list[str]:
    """Carry out what ``plan_retiring`` said; returns warnings about machines that somebody has powered on since, which stay."""
    warnings, running = [], set()
    for facts in going:
        try:
            machines.destroy(session, session.object("VirtualMachine", facts.moid), running=False)
        except Conflict as error:
            if error.details.get("fault") != "InvalidPowerState":
                raise
            warnings.append(_is_on(facts))
            running.add(facts.instance_uuid)
    recorded = image_records.images_of(repository, template, session.vcenter)
    remaining = [image for image in recorded if image in stay or image["vm"]["instance_uuid"] in running]
    # After the machines: one whose removal failed stays recorded, and is removed by the next run.
    if remaining != recorded:
        image_records.record_images(repository, template, session.vcenter, remaining)
    return warnings


def _is_on(facts: VmFacts) -> str:
    return f"The machine {facts.name} of an older image is kept because it is not switched off."


def depends_on(session: Session, facts: VmFacts) -> list[str]:
    """Names of other machines whose disks stand on this one's: linked and instant clones of its snapshots."""
    return _dependents(facts, _disks_of_all(session))


def _dependents(facts: VmFacts, disks: dict[str, tuple[str, list[str]]]) -> list[str]:
    # Storage DRS may have moved its disks away from the rest of it.
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
    """Name and disk files of every machine in vCenter, by identifier."""
    found = collect_below(session, session.content.rootFolder, "VirtualMachine", ["name", "config.hardware.device"])
    return {
        machine._GetMoId(): (
            plain_name(values.get("name", machine._GetMoId())),
            _disk_files(values.get("config.hardware.device") or ()),
        )
        for machine, values in found.items()
    }


def _disk_files(devices) -> list[str]:
    """Datastore paths of disks with the disks they were cloned from."""
    names = []
    for device in devices:
        backing = device.backing if isinstance(device, pyvmomi.vim.vm.device.VirtualDisk) else None
        while backing is not None:
            names.append(getattr(backing, "fileName", None) or "")
            backing = getattr(backing, "parent", None)
    return names
