# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded images: their VMs, and changes of the records."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.image_documents import find_image, record_use
from ansible_collections.strata.layering.plugins.module_utils.catalog.image_record import ImageRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import (
    MachineRecord,
    VCenterRecord,
)
from ansible_collections.strata.layering.plugins.module_utils.common.errors import NotFound
from ansible_collections.strata.layering.plugins.module_utils.publish.machine import image_records, vm_metadata
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.published_vms import published_vm

RECORD = MachineRecord("office-1", "vm-office-1", "uuid-office-1")


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (published_vm(extra_config={}, accessible=False, instance_uuid=""), True),
        # The ID belongs to a different VM: vCenter was restored from a backup.
        (published_vm(instance_uuid="other"), False),
        (None, False),
    ],
)
def test_read_machine_that_has_no_configuration_is_found_by_its_id(monkeypatch, facts, found):
    def not_found(*_arguments, **_options):
        raise NotFound("No virtual machine has the instance UUID.", code="vsphere.not_found")

    monkeypatch.setattr(image_records, "Inventory", lambda _session: SimpleNamespace(vm=not_found))
    monkeypatch.setattr(image_records, "read_facts", lambda _session, _vm: facts or not_found())
    session = SimpleNamespace(object=lambda _kind, moid: moid)
    assert (image_records.read_machine(session, RECORD) is not None) is found


def test_read_machine_without_instance_uuid_is_none():
    assert image_records.read_machine(None, MachineRecord("office-1", path="/DC/vm/office-1")) is None


def image(digest: str, vm: str, vcenter: str = "UUID-1", template: str = "office") -> ImageRecord:
    """Return the record of an image."""
    return ImageRecord(
        template=template,
        image_digest=digest,
        content_digest="sha256:content",
        layers={},
        connector="desktops",
        vcenter=VCenterRecord("vc", vcenter),
        vm=MachineRecord(vm, moid=vm, instance_uuid=f"uuid-{vm}"),
        snapshot="strata-1",
        datastore_path=None,
        published="2026-01-01T00:00:00Z",
    )


@pytest.fixture
def repository(tmp_path):
    return Repository.open(str(tmp_path / "repository"), create=True)


def recorded(repository: Repository, template: str = "office", vcenter: str = "UUID-1") -> list[ImageRecord]:
    return image_records.images_of(repository, template, VCenterRecord("vc", vcenter))


def test_record_use_changes_only_the_image_of_the_vcenter(repository):
    """Managed object IDs of two vCenters may be equal."""
    here, elsewhere, other = image("sha256:1", "vm-1"), image("sha256:1", "vm-1", "UUID-2"), image("sha256:2", "vm-2")
    for record in (other, elsewhere, here):
        image_records.record_image(repository, record)
    assert record_use(repository, "uuid-1", "vm-1", "2026-02-01T00:00:00Z") is True
    used = dataclasses.replace(here, last_used="2026-02-01T00:00:00Z")
    assert recorded(repository) == [used, other]
    assert recorded(repository, vcenter="UUID-2") == [elsewhere]
    assert find_image(repository, "UUID-1", "vm-1") == used


def test_record_use_keeps_a_later_time(repository):
    image_records.record_image(repository, image("sha256:1", "vm-1"))
    for moment in ("2026-02-02T00:00:00Z", "2026-02-01T00:00:00Z"):
        record_use(repository, "UUID-1", "vm-1", moment)
    assert recorded(repository)[0].last_used == "2026-02-02T00:00:00Z"


def test_record_use_of_an_unknown_vm_changes_nothing(repository):
    image_records.record_image(repository, image("sha256:1", "vm-1"))
    assert record_use(repository, "UUID-1", "vm-2") is False
    assert record_use(repository, "UUID-2", "vm-1") is False
    assert recorded(repository)[0].last_used is None


@pytest.mark.parametrize(("vm", "last_used"), [("vm-1", "2026-02-01T00:00:00Z"), ("vm-9", None)])
def test_record_image_keeps_the_last_use_of_the_same_vm(repository, vm, last_used):
    image_records.record_image(repository, image("sha256:1", "vm-1"))
    record_use(repository, "UUID-1", "vm-1", "2026-02-01T00:00:00Z")
    image_records.record_image(repository, image("sha256:1", vm))
    assert [record.last_used for record in recorded(repository)] == [last_used]


def test_forget_images_removes_the_document_with_its_last_record(repository):
    for record in (image("sha256:1", "vm-1"), image("sha256:1", "vm-1", "UUID-2")):
        image_records.record_image(repository, record)
    for vcenter, remaining in (("UUID-1", ["office"]), ("UUID-2", [])):
        image_records.forget_images(repository, "office", VCenterRecord("vc", vcenter), lambda record: True)
        assert repository.catalog.names("image") == remaining


def test_snapshot_moid_is_that_of_the_oldest_snapshot_of_the_name():
    snapshots = tuple(
        SimpleNamespace(name=name, moid=f"snapshot-{number}", id=number)
        for number, name in ((7, "strata-1"), (5, "strata-1"), (2, "other"))
    )
    assert vm_metadata.snapshot_moid(published_vm(snapshots=snapshots), "strata-1") == "snapshot-5"
    assert vm_metadata.snapshot_moid(published_vm(snapshots=()), "strata-1") is None
