# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog's records of published images, and the VMs that they name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from ...catalog import document_collections
from ...catalog.image_documents import update_images
from ...catalog.image_record import ImageRecord
from ...catalog.vsphere_records import MachineRecord, VCenterRecord
from ...common.errors import NotFound
from ...repository.repository import Repository
from ...vsphere.inventory.inventory import Inventory
from ...vsphere.session import Session
from ...vsphere.vm import VmFacts, read_facts
from .vm_metadata import KEY_IMAGE, is_image


def images_of(repository: Repository, template: str, vcenter: VCenterRecord) -> list[ImageRecord]:
    """Return the images that were published from a template in a vCenter, newest first."""
    return [image for image in _all_images(repository, template) if image.vcenter.is_same(vcenter)]


def record_image(repository: Repository, image: ImageRecord) -> None:
    """Store an image as the newest of its template and vCenter, replacing a record with the same digest.

    The time of the last use in Horizon is kept if the replaced record has the same VM.
    """

    def with_newest(records: tuple[ImageRecord, ...]) -> list[ImageRecord]:
        here = [record for record in records if record.vcenter.is_same(image.vcenter)]
        used = [record.last_used for record in here if record.vm.instance_uuid == image.vm.instance_uuid]
        newest = replace(image, last_used=next(filter(None, (image.last_used, *used)), None))
        older = [record for record in here if record.image_digest != image.image_digest]
        return [newest, *older, *(record for record in records if record not in here)]

    update_images(repository, image.template, with_newest)


def forget_images(
    repository: Repository, template: str, vcenter: VCenterRecord, gone: Callable[[ImageRecord], bool]
) -> None:
    """Remove the records of a template in a vCenter for which ``gone`` returns True."""
    update_images(
        repository,
        template,
        lambda records: [record for record in records if not (record.vcenter.is_same(vcenter) and gone(record))],
    )


def _all_images(repository: Repository, template: str) -> tuple[ImageRecord, ...]:
    document = document_collections.images(repository).get(template)
    return document.images if document else ()


def instance_uuids(repository: Repository, template: str, vcenter: VCenterRecord) -> frozenset[str]:
    """Return the instance UUIDs of the VMs of the recorded images of a template in a vCenter."""
    images = images_of(repository, template, vcenter)
    return frozenset(image.vm.instance_uuid for image in images if image.vm.instance_uuid)


def read_machine(session: Session, record: MachineRecord) -> VmFacts | None:
    """Return the VM that a document identifies, under any name and in any folder; None when it no longer exists.

    vCenter does not find a VM by its instance UUID while it cannot read the VM's configuration.
    """
    if record.instance_uuid is None:
        return None
    with contextlib.suppress(NotFound):
        return read_facts(session, Inventory(session).vm(instance_uuid=record.instance_uuid))
    if record.moid is None:
        return None
    with contextlib.suppress(NotFound):
        facts = read_facts(session, session.object("VirtualMachine", record.moid))
        return None if facts.accessible else facts
    return None


def find_recorded(session: Session, image: ImageRecord) -> VmFacts | None:
    """Return the VM of a recorded image, None when it no longer exists or belongs to a different image."""
    facts = read_machine(session, image.vm)
    return facts if facts is not None and facts.extra_config.get(KEY_IMAGE) == image.image_digest else None


def find_published(session: Session, image: ImageRecord) -> VmFacts | None:
    """Return the VM of a recorded image if it is as it was published, else None."""
    facts = find_recorded(session, image)
    return facts if facts is not None and is_image(facts, image.image_digest, image.snapshot) else None
