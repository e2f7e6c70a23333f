# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VM and snapshot of a vCenter the options of horizon_image_push mean, and the names of images in its results."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...catalog import document_collections
from ...catalog.image_record import ImageRecord
from ...common.errors import Conflict, InvalidInput, NotFound, StrataError
from ...horizon.inventory.base_images import BaseImages, BaseVm, Snapshot, VirtualCenter
from ...horizon.model import ImageRef, Target
from ...repository.repository import Repository

LATEST, PREVIOUS = "latest", "previous"
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{8,64})")
#: Seconds: after its publishing, Horizon may list a new VM late; how long to wait for it.
_NEW, _LISTED = 600, 120.0


@dataclass(frozen=True, kw_only=True)
class ImageChoice:
    """An image as options name it: of ``template``, the ``image`` latest, previous or a digest; else ``vm`` and ``snapshot``.

    ``vcenter`` is the server name or instance UUID of the vCenter of ``vm``, None if Horizon has a single vCenter.
    """

    template: str | None = None
    image: str = LATEST
    vm: str | None = None
    snapshot: str | None = None
    vcenter: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ImageChoice | None:
        """Read the options; None if they name no image.

        Raises:
            InvalidInput: ``operations.push_image_option``.
        """
        template, vm, snapshot = params["template"], params["vm"], params["snapshot"]
        if template is not None and (vm is not None or snapshot is not None):
            raise InvalidInput(
                "The option template excludes vm and snapshot.",
                code="operations.push_image_option",
                hint="Set template, or vm and snapshot.",
            )
        if (vm is None) != (snapshot is None):
            missing = "snapshot" if snapshot is None else "vm"
            raise InvalidInput(
                f"The option {missing} is not set.",
                code="operations.push_image_option",
                hint="Set both vm and snapshot.",
            )
        if template is None and vm is None:
            return None
        if template is None and params["image"] != LATEST:
            raise InvalidInput(
                "The option image needs the option template.",
                code="operations.push_image_option",
                hint="Set template, or remove image.",
            )
        if template is not None and params["repository"] is None:
            raise InvalidInput(
                "The option template needs a repository.",
                code="operations.push_image_option",
                hint="Set repository, or STRATA_REPOSITORY in the environment, to the repository from which the image was published.",
            )
        image = params["image"].lower()
        if image not in (LATEST, PREVIOUS) and not _DIGEST.fullmatch(image):
            raise InvalidInput(
                f"The option image is {params['image']!r}; expected latest, previous or at least 8 digits of a digest.",
                code="operations.push_image_option",
                hint="Copy the field image_digest of an image from layered_image_info.",
            )
        return cls(template=template, image=image, vm=vm, snapshot=snapshot, vcenter=params["vcenter"])


@dataclass(frozen=True)
class ChosenImage:
    """An image in Horizon; ``record`` is that of the catalog if the image was published by this collection."""

    vcenter: VirtualCenter
    vm: BaseVm
    snapshot: Snapshot
    record: ImageRecord | None = None

    @property
    def ref(self) -> ImageRef:
        """The managed object IDs of the image."""
        return ImageRef(self.vm.id, self.snapshot.id)


class RecordedImages:
    """The images in the catalog, by template and vCenter."""

    def __init__(self, repository: Repository | None) -> None:
        self._repository = repository
        documents = document_collections.images(repository).all() if repository else []
        self._images = {name: document.images for name, document in documents}

    def templates(self) -> list[str]:
        """Return the names of the templates that have recorded images."""
        return list(self._images)

    def images_in(self, template: str, vcenter: VirtualCenter) -> list[ImageRecord]:
        """Return the images of a template in a vCenter, newest first; empty if there are none."""
        return [image for image in self._images.get(template, ()) if _is_in(image, vcenter)]

    def of_template(self, template: str, vcenter: VirtualCenter) -> list[ImageRecord]:
        """Return the images of a template in a vCenter, newest first.

        Raises:
            NotFound: ``repository.catalog_missing``: there is no such template; ``operations.push_image_missing``.
        """
        images = self._images.get(template, ())
        if not images and self._repository is not None:
            document_collections.templates(self._repository).require(template)
        found = self.images_in(template, vcenter)
        if not found:
            elsewhere = sorted({image.vcenter.hostname for image in images})
            where = f" Its images are in {', '.join(elsewhere)}." if elsewhere else ""
            raise NotFound(
                f"The template {template!r} has no published image in the vCenter {vcenter.server_name}.{where}",
                code="operations.push_image_missing",
                hint=f"Publish the template to {vcenter.server_name} with layered_image_publish, or name pools and farms of the vCenter of its images.",
                template=template,
                vcenter=vcenter.server_name,
                vcenters=elsewhere,
            )
        return found

    def find(self, vcenter: VirtualCenter, ref: ImageRef, snapshot: str | None) -> ImageRecord | None:
        """Return the record of an image whose snapshot has this name (None: not known), None if there is no record."""
        for images in self._images.values():
            for image in images:
                if not _is_in(image, vcenter) or image.vm.moid != ref.vm:
                    continue
                if image.snapshot_moid == ref.snapshot or (image.snapshot_moid is None and image.snapshot == snapshot):
                    return image
        return None


def _is_in(image: ImageRecord, vcenter: VirtualCenter) -> bool:
    return image.vcenter.instance_uuid.casefold() == (vcenter.instance_uuid or "").casefold()


class Images:
    """Find images in Horizon's list of base VMs, and describe images in results."""

    def __init__(self, base: BaseImages, recorded: RecordedImages) -> None:
        self._base = base
        self._recorded = recorded
        #: What was found for a template, the choice of its image and a vCenter: an image may be waited for, but only once.
        self._found: dict[tuple[str, str, str], ChosenImage | StrataError] = {}

    def find_vcenter(self, target: Target) -> VirtualCenter | None:
        """Return the vCenter of a pool or farm, None if Horizon does not list it."""
        return next((vcenter for vcenter in self._base.vcenters() if vcenter.id == target.vcenter_id), None)

    def choose(self, choice: ImageChoice, target: Target) -> ChosenImage:
        """Return the image for a pool or farm, in its vCenter.

        Raises:
            Conflict: ``operations.push_vcenter``: the image is in a different vCenter.
            InvalidInput: ``operations.push_image_option``.
            NotFound: ``operations.push_vcenter_unknown``, ``operations.push_image_missing``, ``operations.push_image_digest``,
                ``operations.push_image_previous``, ``operations.push_image_removed``; those of BaseImages.
        """
        vcenter = self.find_vcenter(target)
        if vcenter is None:
            raise NotFound(
                f"Horizon does not list the vCenter of the {target.label}.",
                code="operations.push_vcenter_unknown",
                hint="Give the user the privilege to view the vCenters (VC_CONFIG_VIEW).",
                target=target.name,
                type=target.type,
                source=target.source,
            )
        if choice.template is not None:
            self._require_same_vcenter(choice.vcenter, vcenter, target)
            key = (choice.template, choice.image, vcenter.id)
            if key not in self._found:
                try:
                    self._found[key] = self._recorded_image(choice.template, choice.image, vcenter)
                except StrataError as error:
                    self._found[key] = error
            found = self._found[key]
            if isinstance(found, StrataError):
                raise found
            return found
        if choice.vcenter is None and len(self._base.vcenters()) > 1:
            names = ", ".join(sorted(other.server_name for other in self._base.vcenters()))
            raise InvalidInput(
                f"Horizon has several vCenters ({names}) and the option vcenter is not set.",
                code="operations.push_image_option",
                hint="Set vcenter to the name or instance UUID of the vCenter of the VM.",
            )
        self._require_same_vcenter(choice.vcenter, vcenter, target)
        vm = self._base.vm(vcenter.id, choice.vm or "")
        snapshot = self._base.snapshot(vcenter.id, vm, choice.snapshot or "")
        record = self._recorded.find(vcenter, ImageRef(vm.id, snapshot.id), snapshot.name)
        return ChosenImage(vcenter, vm, snapshot, record)

    def _require_same_vcenter(self, name: str | None, vcenter: VirtualCenter, target: Target) -> None:
        if name is None:
            return
        named = self._base.find_vcenter(name)
        if named.id != vcenter.id:
            raise Conflict(
                f"The {target.label} is in the vCenter {vcenter.server_name}, the image in {named.server_name}.",
                code="operations.push_vcenter",
                hint="Set vcenter to the vCenter of the pool or farm, or name pools and farms of the vCenter of the image.",
                name=target.name,
                expected=named.server_name,
                found=vcenter.server_name,
            )

    def _recorded_image(self, template: str, image: str, vcenter: VirtualCenter) -> ChosenImage:
        images = self._recorded.of_template(template, vcenter)
        if image == PREVIOUS:
            return self._previous(template, images[1:], vcenter)
        record = images[0] if image == LATEST else _by_digest(template, image, images)
        found = self._existing([record], vcenter, timeout=_LISTED if _is_new(record) else 0)
        if found is None:
            raise NotFound(
                f"The image {_short(record)} of the template {template!r} does not exist any more: Horizon does not list "
                f"the VM {record.vm.name} with the snapshot {record.snapshot}.",
                code="operations.push_image_removed",
                hint="Publish the template again, or set image to a digest of an existing image.",
                template=template,
                image_digest=record.image_digest,
                vm=record.vm.name,
                moid=record.vm.moid,
                snapshot=record.snapshot,
            )
        return found

    def _previous(self, template: str, older: list[ImageRecord], vcenter: VirtualCenter) -> ChosenImage:
        found = self._existing(older, vcenter)
        if found is None:
            raise NotFound(
                f"The template {template!r} has no older image in the vCenter {vcenter.server_name} that still exists.",
                code="operations.push_image_previous",
                hint="Publish with the option keep of layered_image_publish set to 1 or more, so that older images are kept.",
                template=template,
                vcenter=vcenter.server_name,
                recorded=len(older),
            )
        return found

    def _existing(
        self, records: Iterable[ImageRecord], vcenter: VirtualCenter, timeout: float = 0
    ) -> ChosenImage | None:
        """Return the first image that Horizon lists; wait up to ``timeout`` seconds until it does."""
        for record in records:
            if record.vm.moid is None:
                continue
            try:
                vm = self._base.vm(vcenter.id, record.vm.moid, timeout=timeout)
                snapshot = self._base.snapshot(vcenter.id, vm, record.snapshot_moid or record.snapshot, timeout=timeout)
            except NotFound:
                continue
            if vm.id == record.vm.moid and record.snapshot_moid in (None, snapshot.id):
                # A different VM or snapshot can have a managed object ID as its name.
                return ChosenImage(vcenter, vm, snapshot, record)
        return None

    def describe_chosen(self, image: ChosenImage) -> dict[str, Any]:
        """Return an image as results have it."""
        return _described(image.ref, image.vm, image.snapshot, image.record)

    def describe(self, vcenter: VirtualCenter | None, ref: ImageRef | None) -> dict[str, Any] | None:
        """Return an image as results have it, with null for what Horizon does not list (any more)."""
        if ref is None:
            return None
        if vcenter is None:
            return _described(ref, None, None, None)
        vm, snapshot = self._named(vcenter, ref)
        return _described(ref, vm, snapshot, self._recorded.find(vcenter, ref, snapshot.name if snapshot else None))

    def _named(self, vcenter: VirtualCenter, ref: ImageRef) -> tuple[BaseVm | None, Snapshot | None]:
        """Return the VM and the snapshot of an image, None for what Horizon does not list."""
        vm = None
        # A result is worth more than its names: the VM may be removed at this moment, or be hidden from the user.
        with contextlib.suppress(StrataError):
            vm = next((vm for vm in self._base.vms(vcenter.id) if vm.id == ref.vm), None)
            if vm is not None:
                found = self._base.snapshots(vcenter.id, vm.id)
                return vm, next((snapshot for snapshot in found if snapshot.id == ref.snapshot), None)
        return vm, None


def _described(
    ref: ImageRef, vm: BaseVm | None, snapshot: Snapshot | None, record: ImageRecord | None
) -> dict[str, Any]:
    return {
        "vm": vm.name if vm else None,
        "vm_path": vm.path if vm else None,
        "moid": ref.vm,
        "snapshot": snapshot.name if snapshot else None,
        "snapshot_moid": ref.snapshot,
        "image_digest": record.image_digest if record else None,
        "template": record.template if record else None,
    }


def _by_digest(template: str, digest: str, images: list[ImageRecord]) -> ImageRecord:
    prefix = digest.removeprefix("sha256:")
    found = [image for image in images if image.image_digest.removeprefix("sha256:").startswith(prefix)]
    if len(found) != 1:
        known = ", ".join(_short(image) for image in (found or images)[:10])
        problem = f"{len(found)} images match" if found else "no image matches"
        raise NotFound(
            f"The digest {digest!r} does not name an image of the template {template!r}: {problem}.",
            code="operations.push_image_digest",
            hint=f"Set image to one of {known}{' with more digits' if found else ''}.",
            template=template,
            image=digest,
            matches=[image.image_digest for image in found],
        )
    return found[0]


def _short(image: ImageRecord) -> str:
    return image.image_digest.removeprefix("sha256:")[:12]


def _is_new(image: ImageRecord) -> bool:
    """Return whether the image was published so recently that Horizon may not list its VM yet."""
    try:
        published = datetime.datetime.fromisoformat(image.published)
    except ValueError:
        return False
    if published.tzinfo is None:
        return False
    return abs((datetime.datetime.now(datetime.UTC) - published).total_seconds()) < _NEW
