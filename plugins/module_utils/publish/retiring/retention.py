# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention of older images: which VMs are removed, except VMs that are changed or that linked clones or Horizon need."""

from __future__ import annotations

from dataclasses import dataclass

from ...catalog.image_record import ImageRecord
from ...common.counting import counted_examples
from ...common.errors import Conflict, StrataError
from ...common.timestamps import utc_now
from ...repository.repository import Repository
from ...vsphere import vm as machines
from ...vsphere.session import Session
from ...vsphere.vm import VmFacts
from ..machine import image_records
from ..machine.vm_metadata import vcenter_record
from .clones import Clones
from .horizon_use import HorizonUse, needs
from .ownership import NOT_POWERED_OFF, image_change, is_released

#: VMs that a warning lists by name.
_LISTED = 5


@dataclass(frozen=True)
class RetentionRule:
    """How many older images are kept (None: all), and how to find out which images Horizon uses (None: Horizon is not asked)."""

    keep: int | None = None
    horizon: HorizonUse | None = None


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
    repository: Repository, session: Session, template: str, newest_digest: str, rule: RetentionRule
) -> RetentionPlan:
    """Plan the retention when the image ``newest_digest`` is published.

    Only images in the session's vCenter count. An image whose VM no longer exists, or no longer has the settings of an image,
    is forgotten. A VM that is not as it was published, on whose disk clones depend or may depend, or that Horizon needs or may
    need, is kept with a warning.
    """
    recorded = image_records.images_of(repository, template, vcenter_record(session))
    warnings: list[str] = []
    forgotten: list[ImageRecord] = []
    removable: list[tuple[ImageRecord, VmFacts]] = []
    clones = Clones(session)
    older = [image for image in recorded if image.image_digest != newest_digest]
    for image in [] if rule.keep is None else older[max(rule.keep, 0) :]:
        facts = image_records.read_machine(session, image.vm)
        if facts is None:
            forgotten.append(image)
        elif is_released(facts):
            warnings.append(released_text(image))
            forgotten.append(image)
        elif reason := image_change(facts, image) or clones.reason_to_keep(facts):
            warnings.append(_kept_text(image.vm.name, reason))
        else:
            removable.append((image, facts))
    needed, reasons = _needed(session, template, removable, rule.horizon)
    expired = [(image, facts) for image, facts in removable if facts.moid not in needed]
    gone = [*forgotten, *(image for image, _facts in expired)]
    kept = tuple(image for image in recorded if image not in gone)
    return RetentionPlan(kept, tuple(facts for _image, facts in expired), (*warnings, *reasons), bool(gone))


def _needed(
    session: Session, template: str, removable: list[tuple[ImageRecord, VmFacts]], horizon: HorizonUse | None
) -> tuple[set[str], list[str]]:
    """Return the managed object IDs of the VMs that Horizon needs, and warnings about them.

    If a Connection Server does not answer, Horizon may need every VM. The image is published nevertheless: the next run removes the VMs.
    """
    last_uses = {facts.moid: image.last_used for image, facts in removable}
    try:
        found = needs(horizon, session.vcenter["instance_uuid"], last_uses, utc_now())
    except StrataError as error:
        names = counted_examples([facts.name for _image, facts in removable[:_LISTED]], len(removable), "VM")
        return set(last_uses), [
            f"The VMs of older images of the template {template} are kept ({names}): "
            f"it is not known which images Horizon uses. {error.message}"
        ]
    return set(found), [
        _kept_text(facts.name, found[facts.moid].reason) for _image, facts in removable if facts.moid in found
    ]


def retire(repository: Repository, session: Session, template: str, plan: RetentionPlan) -> list[str]:
    """Carry out a plan; return warnings about VMs that were powered on since and are therefore kept."""
    warnings, running = [], set()
    for facts in plan.expired:
        if not remove_powered_off(session, facts):
            warnings.append(_kept_text(facts.name, NOT_POWERED_OFF))
            running.add(facts.instance_uuid)
    # Stored after the removals: an image whose VM could not be removed stays recorded, and the next run removes it.
    # A push to Horizon may have changed a record since the plan was made; its digest is the same.
    kept = {image.image_digest for image in plan.kept}
    image_records.forget_images(
        repository,
        template,
        vcenter_record(session),
        lambda image: image.image_digest not in kept and image.vm.instance_uuid not in running,
    )
    return warnings


def remove_powered_off(session: Session, facts: VmFacts) -> bool:
    """Remove a VM; return False, and keep it, when it was powered on since it was read."""
    try:
        machines.destroy(session, session.object("VirtualMachine", facts.moid), running=False)
    except Conflict as error:
        if error.details.get("fault") != "InvalidPowerState":
            raise
        return False
    return True


def _kept_text(name: str, reason: str) -> str:
    return f"The VM {name} of an older image is kept because {reason}."


def released_text(image: ImageRecord) -> str:
    """Return the warning about an image's VM whose settings an administrator has removed."""
    return (
        f"The VM {image.vm.name} is no longer managed as an image of the template {image.template} because its "
        "strata.layering settings were removed. It is kept."
    )
