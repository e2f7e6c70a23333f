# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pools, farms and machines use an image, so that the image is not deleted while it is in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ..model import FARM, POOL, ImageRef, PendingState, Target
from ..rest.answers import Answer
from ..rest.client import HorizonClient
from .base_images import BaseImages
from .farms import Farms
from .machines import MACHINES, RDS_SERVERS
from .pools import Pools
from .status_fields import PENDING_IMAGE_FIELDS, image_in

CURRENT: Final = "current"
PENDING: Final = "pending"
ON_MACHINES: Final = "machines"

#: An image that a pool or farm has, but that Horizon does not name: it may be any image of the vCenter.
UNNAMED: Final = ImageRef("", "")


@dataclass(frozen=True, order=True)
class UsedImage:
    """An image in a vCenter, by the vCenter's instance UUID in lower case; None if Horizon does not say which vCenter it is."""

    vcenter: str | None
    image: ImageRef


@dataclass(frozen=True, order=True)
class ImageUse:
    """A use of an image by a pool or farm.

    ``role`` is "current" or "pending" for the image of the target itself, and "machines" for the image of its machines or RDS
    servers, or the image that they are about to get; ``machines`` is their number, 0 for the other roles. ``named`` is false if the
    image is UNNAMED.
    """

    target_kind: str
    target_name: str
    role: Literal["current", "pending", "machines"]
    machines: int = 0
    named: bool = True


def images_in_use(client: HorizonClient) -> Mapping[UsedImage, list[ImageUse]]:
    """Return all images that pools, farms, machines and RDS servers of the pod use, and the uses of each in a stable order.

    The cost is five lists, with a request for each page of 1000 entries: vCenters, pools, farms, machines and RDS servers. Only
    objects that the user may see are found: a user without permission for an access group misses its pools. The image is UNNAMED
    if a pool or farm of instant clones has one that Horizon does not name, as with images of Horizon's image catalog.
    """
    vcenters = {vcenter.id: vcenter.instance_uuid for vcenter in BaseImages(client).vcenters()}
    targets = [*Pools(client).all(), *Farms(client).all()]
    members = _machine_images(client)
    shown = {(kind, target_id) for kind, target_id, _vcenter, _image in members}
    uses: dict[UsedImage, set[ImageUse]] = {}
    for target in targets:
        uuid = vcenters.get(target.vcenter_id or "")
        for role, image in _own_images(target, shown_by_machines=(target.kind, target.id) in shown):
            uses.setdefault(UsedImage(uuid, image), set()).add(
                ImageUse(target.kind, target.name, role, named=image != UNNAMED)
            )
    owners = {(target.kind, target.id): target for target in targets}
    for (kind, target_id, vcenter_id, image), number in members.items():
        owner = owners.get((kind, target_id))
        uuid = vcenters.get(vcenter_id or (owner and owner.vcenter_id) or "")
        name = owner.name if owner else target_id
        uses.setdefault(UsedImage(uuid, image), set()).add(ImageUse(kind, name, ON_MACHINES, number))
    return {used: sorted(found) for used, found in sorted(uses.items(), key=lambda item: _key(item[0]))}


def uses_of(
    images: Mapping[UsedImage, Iterable[ImageUse]], instance_uuid: str, vm: str, snapshot: str | None = None
) -> list[ImageUse]:
    """Return the uses of a VM's snapshot, or of any of its snapshots if ``snapshot`` is None.

    An image of a vCenter that Horizon does not identify counts for every vCenter: managed object IDs repeat between vCenters, and
    an image that may be in use must not be deleted. So does an image that Horizon does not name for every VM.
    """
    found = {
        use
        for used, uses in images.items()
        if used.vcenter in (None, instance_uuid.lower())
        and (used.image == UNNAMED or (used.image.vm == vm and snapshot in (None, used.image.snapshot)))
        for use in uses
    }
    return sorted(found)


def _own_images(target: Target, *, shown_by_machines: bool) -> Iterator[tuple[Literal["current", "pending"], ImageRef]]:
    if target.current is not None:
        yield CURRENT, target.current
    elif target.source == "INSTANT_CLONE" and not shown_by_machines:
        yield CURRENT, UNNAMED
    # Horizon may report the image of a push before its state, or after it.
    pending = (
        target.pending.image if target.pending else image_in(Answer(target.raw, target.label), *PENDING_IMAGE_FIELDS)
    )
    if pending is not None:
        yield PENDING, pending
    elif target.pending is not None and target.pending.state is not PendingState.FAILED:
        yield PENDING, UNNAMED


def _machine_images(client: HorizonClient) -> Counter[tuple[str, str, str | None, ImageRef]]:
    """Return the number of machines by kind and ID of their target, ID of their vCenter, and image."""
    counts: Counter[tuple[str, str, str | None, ImageRef]] = Counter()
    for value in client.pages(MACHINES):
        answer = Answer(value, "a machine")
        managed = answer.record("managed_machine_data")
        vcenter = managed.text_or_none("virtual_center_id")
        for image in _images_of(managed):
            counts[POOL, answer.text_or_none("desktop_pool_id") or "", vcenter, image] += 1
    for value in client.pages(RDS_SERVERS):
        answer = Answer(value, "an RDS server")
        for image in _images_of(answer):
            counts[FARM, answer.text_or_none("farm_id") or "", None, image] += 1
    return counts


def _images_of(answer: Answer) -> set[ImageRef]:
    images = (
        image_in(answer, "base_vm_id", "base_vm_snapshot_id"),
        image_in(answer, "pending_base_vm_id", "pending_base_vm_snapshot_id"),
    )
    return {image for image in images if image is not None}


def _key(used: UsedImage) -> tuple[str, ImageRef]:
    return used.vcenter or "", used.image
