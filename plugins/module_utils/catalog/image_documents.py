# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of the stored image records, and the images that the VMs of a vCenter are.

A publish and a push to Horizon change the records of one template at the same time. The lock of the records is therefore held only
from reading to writing, in contrast to the lock of a publish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ..common.timestamps import now
from ..repository.repository import Repository
from . import document_collections
from .image_record import ImageRecord, ImagesDocument


def update_images(
    repository: Repository, template: str, change: Callable[[tuple[ImageRecord, ...]], Iterable[ImageRecord]]
) -> None:
    """Replace the records of a template by ``change(records)``, newest first; delete the document if none remain.

    Raises:
        Conflict, Unavailable, Unsupported: as ``Locks.hold``.
        Corrupt: ``catalog.field`` if the stored document is damaged.
    """
    documents = document_collections.images(repository)
    with repository.locks.hold(f"images/{template}", purpose=f"change the image records of {template}"):
        stored = documents.get(template)
        before = stored.images if stored else ()
        after = tuple(change(before))
        if after == before:
            return
        if after:
            # The document keeps what a newer version of the collection stored in it.
            base = stored or ImagesDocument(template=template)
            documents.store(template, replace(base, images=after))
        else:
            documents.remove(template)


def find_image(repository: Repository, vcenter: str, moid: str) -> ImageRecord | None:
    """Return the image that is the VM ``moid`` in the vCenter with the instance UUID ``vcenter``, None when none is.

    Raises Corrupt (catalog.field) when a stored document is damaged.
    """
    for _template, document in document_collections.images(repository).all():
        for image in document.images:
            if is_machine(image, vcenter, moid):
                return image
    return None


def is_machine(image: ImageRecord, vcenter: str, moid: str) -> bool:
    """Return whether an image is the VM ``moid`` in the vCenter with the instance UUID ``vcenter``.

    Managed object IDs of different vCenters can be equal. UUIDs are compared without regard to case.
    """
    return image.vm.moid == moid and image.vcenter.instance_uuid.casefold() == vcenter.casefold()


def record_use(repository: Repository, vcenter: str, moid: str, when: str | None = None) -> bool:
    """Store that Horizon used an image until ``when`` (RFC 3339, UTC; None: now); return whether a record names the VM.

    ``vcenter`` is the instance UUID of the vCenter, ``moid`` the managed object ID of the VM. A later time that is stored is kept.

    Raises:
        Conflict, Unavailable, Unsupported, Corrupt: as ``update_images``.
    """
    image = find_image(repository, vcenter, moid)
    if image is None:
        return False
    moment = when or now()

    def used(records: tuple[ImageRecord, ...]) -> list[ImageRecord]:
        return [
            replace(record, last_used=max(record.last_used or moment, moment))
            if is_machine(record, vcenter, moid)
            else record
            for record in records
        ]

    update_images(repository, image.template, used)
    return True
