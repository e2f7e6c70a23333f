# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import pathlib
from typing import Any

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.image_record import ImageRecord, ImagesDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import (
    MachineRecord,
    VCenterRecord,
)
from ansible_collections.strata.layering.plugins.module_utils.common.errors import NotFound, StrataError
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.base_images import (
    BaseImages,
    BaseVm,
    Snapshot,
    VirtualCenter,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.model import POOL, ImageRef, Target
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_image_choice import (
    ChosenImage,
    ImageChoice,
    Images,
    RecordedImages,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository

_BERLIN = VirtualCenter("vc-1", "vc1.example.com", "aaaa-1")
_MUNICH = VirtualCenter("vc-2", "vc2.example.com", "aaaa-2")
_SALES = Target(kind=POOL, id="p1", name="sales", vcenter_id="vc-1")


class _Listed(BaseImages):
    """The base VMs of a pod: the numbers of images that are listed, by vCenter. ``timeouts`` are those of the questions."""

    def __init__(self, listed: dict[str, list[int]], vcenters: tuple[VirtualCenter, ...] = (_BERLIN,)) -> None:
        self._listed, self._vcenters = listed, vcenters
        self.timeouts: list[float] = []

    def vcenters(self) -> tuple[VirtualCenter, ...]:
        return self._vcenters

    def find_vcenter(self, name_or_uuid: str) -> VirtualCenter:
        return next(found for found in self._vcenters if name_or_uuid in (found.server_name, found.instance_uuid))

    def vms(self, vcenter_id: str) -> tuple[BaseVm, ...]:
        return tuple(
            BaseVm(f"vm-{number}", f"office-{number}", f"/DC/vm/office-{number}", "dc", ())
            for number in self._listed.get(vcenter_id, [])
        )

    def vm(self, vcenter_id: str, name: str, *, timeout: float = 0) -> BaseVm:
        self.timeouts.append(timeout)
        for found in self.vms(vcenter_id):
            if name in (found.id, found.name):
                return found
        raise NotFound(name, code="horizon.base_vm")

    def snapshots(self, vcenter_id: str, vm_id: str) -> tuple[Snapshot, ...]:
        number = vm_id.partition("-")[2]
        return (Snapshot(f"snapshot-{number}", f"strata-{number}", f"/strata-{number}", 0, ()),)

    def snapshot(self, vcenter_id: str, vm: BaseVm, name: str, *, timeout: float = 0) -> Snapshot:
        for found in self.snapshots(vcenter_id, vm.id):
            if name in (found.id, found.name):
                return found
        raise NotFound(name, code="horizon.snapshot")


def digest(number: int) -> str:
    """Return the digest of the image with a number: its first 8 digits differ from those of other images, except 4 and 5."""
    first = "aaaaaaaa" if number in (4, 5) else str(number) * 8
    return f"sha256:{first}{number:056x}"


def record(number: int, vcenter: VirtualCenter = _BERLIN, **fields: Any) -> ImageRecord:
    """Return the record of the image with a number."""
    values = {
        "template": "office",
        "image_digest": digest(number),
        "content_digest": digest(number),
        "layers": {},
        "connector": "vsphere",
        "vcenter": VCenterRecord(vcenter.server_name, (vcenter.instance_uuid or "").upper()),
        "vm": MachineRecord(f"office-{number}", f"vm-{number}", f"uuid-{number}"),
        "snapshot": f"strata-{number}",
        "datastore_path": None,
        "published": "2026-01-01T00:00:00Z",
    }
    return ImageRecord(**values | fields)


@pytest.fixture(name="repository")
def _repository(tmp_path: pathlib.Path) -> Repository:
    return Repository.open(str(tmp_path / "repository"), create=True)


def choose(
    repository: Repository, images: list[ImageRecord], base: BaseImages, target: Target = _SALES, **choice: Any
) -> ChosenImage:
    """Store the images of the template office and return the image that options choose for a pool."""
    document_collections.images(repository).store("office", ImagesDocument(template="office", images=tuple(images)))
    return Images(base, RecordedImages(repository)).choose(ImageChoice(**{"template": "office"} | choice), target)


@pytest.mark.parametrize(
    ("listed", "image", "number"),
    [
        ([1, 2, 3], "latest", 3),
        ([3], "latest", 3),
        ([1, 2, 3], "previous", 2),
        ([1, 3], "previous", 1),
        ([1, 2], "previous", 2),
        ([1, 2, 3], "11111111", 1),
        ([1, 2, 3], digest(1), 1),
    ],
)
def test_recorded_image_is_chosen(repository, listed, image, number):
    found = choose(repository, [record(3), record(2), record(1)], _Listed({"vc-1": listed}), image=image)
    assert found.ref == ImageRef(f"vm-{number}", f"snapshot-{number}")
    assert found.record is not None and found.record.image_digest == digest(number)


@pytest.mark.parametrize(
    ("listed", "image", "code"),
    [
        ([1, 2], "latest", "operations.push_image_removed"),
        ([2, 3], "11111111", "operations.push_image_removed"),
        ([3], "previous", "operations.push_image_previous"),
        ([1, 2, 3], "99999999", "operations.push_image_digest"),
    ],
)
def test_image_that_does_not_exist_is_not_found(repository, listed, image, code):
    with pytest.raises(NotFound) as caught:
        choose(repository, [record(3), record(2), record(1)], _Listed({"vc-1": listed}), image=image)
    assert caught.value.code == code


def test_digest_of_several_images_is_refused_with_their_digests(repository):
    with pytest.raises(NotFound) as caught:
        choose(repository, [record(5), record(4)], _Listed({"vc-1": [4, 5]}), image="aaaaaaaa")
    assert caught.value.code == "operations.push_image_digest"
    assert caught.value.details["matches"] == [digest(5), digest(4)]


def test_vm_of_the_same_moid_with_a_different_snapshot_is_not_the_image(repository):
    with pytest.raises(NotFound) as caught:
        choose(repository, [record(3, snapshot="strata-x")], _Listed({"vc-1": [3]}))
    assert caught.value.code == "operations.push_image_removed"


def test_recorded_id_of_the_snapshot_is_preferred_to_its_name(repository):
    images = [record(3, snapshot="strata-x", snapshot_moid="snapshot-3")]
    assert choose(repository, images, _Listed({"vc-1": [3]})).ref == ImageRef("vm-3", "snapshot-3")


def test_vm_with_the_id_of_a_removed_image_as_its_name_is_not_the_image(repository):
    class Listed(_Listed):
        def vms(self, vcenter_id: str) -> tuple[BaseVm, ...]:
            return (BaseVm("vm-77", "vm-3", "/DC/vm/vm-3", "dc", ()),)

        def snapshots(self, vcenter_id: str, vm_id: str) -> tuple[Snapshot, ...]:
            return (Snapshot("snapshot-9", "strata-3", "/strata-3", 0, ()),)

    with pytest.raises(NotFound) as raised:
        choose(repository, [record(3, snapshot_moid=None)], Listed({"vc-1": [3]}))
    assert raised.value.code == "operations.push_image_removed"


def test_only_images_of_the_vcenter_of_the_pool_count(repository):
    base = _Listed({"vc-1": [1, 2], "vc-2": [1, 2]}, (_BERLIN, _MUNICH))
    images = [record(2, _MUNICH), record(1)]
    assert choose(repository, images, base).ref.vm == "vm-1"
    munich = Target(kind=POOL, id="p2", name="munich", vcenter_id="vc-2")
    assert choose(repository, images, base, munich).ref.vm == "vm-2"


def test_template_without_image_in_the_vcenter_names_vcenters_with_images(repository):
    base = _Listed({"vc-1": [1]}, (_BERLIN, _MUNICH))
    with pytest.raises(NotFound) as caught:
        choose(repository, [record(1, _MUNICH)], base)
    assert caught.value.code == "operations.push_image_missing"
    assert caught.value.details["vcenters"] == ["vc2.example.com"]


def test_unknown_template_is_not_found(repository):
    with pytest.raises(NotFound) as caught:
        choose(repository, [], _Listed({}), template="ofice")
    assert caught.value.code == "repository.catalog_missing"


def test_only_a_new_image_is_awaited(repository):
    now = datetime.datetime.now(datetime.UTC).isoformat()
    base = _Listed({"vc-1": [1]})
    choose(repository, [record(1, published=now)], base)
    choose(repository, [record(1)], base)
    choose(repository, [record(1, published="unknown")], base)
    assert [timeout > 0 for timeout in base.timeouts] == [True, False, False]


def test_image_is_awaited_once_for_all_pools(repository):
    now = datetime.datetime.now(datetime.UTC).isoformat()
    images = ImagesDocument(template="office", images=(record(2, published=now), record(1)))
    document_collections.images(repository).store("office", images)
    base = _Listed({"vc-1": []})
    found = Images(base, RecordedImages(repository))
    for name in ("sales", "finance"):
        with pytest.raises(NotFound) as caught:
            found.choose(ImageChoice(template="office"), Target(kind=POOL, id=name, name=name, vcenter_id="vc-1"))
        assert caught.value.code == "operations.push_image_removed"
    assert len(base.timeouts) == 1


def test_vm_and_snapshot_are_taken_from_the_vcenter_of_the_pool(repository):
    base = _Listed({"vc-1": [1], "vc-2": [2]}, (_BERLIN, _MUNICH))
    named = {"template": None, "vm": "office-1", "snapshot": "strata-1"}
    found = choose(repository, [record(1)], base, vcenter="aaaa-1", **named)
    assert (found.ref, found.record) == (ImageRef("vm-1", "snapshot-1"), record(1))


@pytest.mark.parametrize(
    ("vcenter", "code"), [(None, "operations.push_image_option"), ("vc2.example.com", "operations.push_vcenter")]
)
def test_vm_of_an_unclear_or_different_vcenter_is_refused(repository, vcenter, code):
    base = _Listed({"vc-1": [1], "vc-2": [1]}, (_BERLIN, _MUNICH))
    with pytest.raises(StrataError) as caught:
        choose(repository, [], base, template=None, vm="vm-1", snapshot="strata-1", vcenter=vcenter)
    assert caught.value.code == code


def test_pool_of_an_unknown_vcenter_is_not_found(repository):
    with pytest.raises(NotFound) as caught:
        choose(repository, [record(1)], _Listed({}), Target(kind=POOL, id="p", name="manual", vcenter_id=None))
    assert caught.value.code == "operations.push_vcenter_unknown"


def test_description_of_an_image_has_names_and_digest(repository):
    document_collections.images(repository).store("office", ImagesDocument(template="office", images=(record(1),)))
    images = Images(_Listed({"vc-1": [1, 2]}), RecordedImages(repository))
    assert images.describe(_BERLIN, ImageRef("vm-1", "snapshot-1")) == {
        "vm": "office-1",
        "vm_path": "/DC/vm/office-1",
        "moid": "vm-1",
        "snapshot": "strata-1",
        "snapshot_moid": "snapshot-1",
        "image_digest": digest(1),
        "template": "office",
    }
    assert (images.describe(_BERLIN, ImageRef("vm-2", "snapshot-2")) or {})["template"] is None
    removed = images.describe(_BERLIN, ImageRef("vm-9", "snapshot-9"))
    assert removed is not None
    assert {name for name, value in removed.items() if value is not None} == {"moid", "snapshot_moid"}
    assert images.describe(_BERLIN, None) is None
