# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image templates and connectors, on documents without blobs."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.connector_document import ConnectorDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.image_record import ImageRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_document import LayerDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.template_document import TemplateDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.templates import require_resolved
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName, VersionRequest
from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import (
    MachineRecord,
    VCenterRecord,
)
from ansible_collections.strata.layering.plugins.module_utils.common.arguments import template_arguments
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, InvalidInput, NotFound
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import APP, OS, PLATFORM
from ansible_collections.strata.layering.plugins.module_utils.operations.connector import (
    ConnectorOptions,
    ensure_connector,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.image_template import (
    ImageTemplateOptions,
    TemplateOptions,
    ensure_image_template,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.options import RepositoryOptions
from ansible_collections.strata.layering.plugins.module_utils.publish.machine import image_records
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.expectations import raises
from ansible_collections.strata.layering.tests.support.layer_documents import os_entry, software_entry

VDI = ConnectorDocument(name="vdi", datacenter="DC0", cluster="C0", datastore="ds", vm_template="windows")
OFFICE = TemplateOptions(
    description="",
    os_layer=VersionRequest("Windows", "latest"),
    app_layers=(VersionRequest("Tool", None), VersionRequest("base", "1")),
    platform_layer=VersionRequest("Agent", "8"),
    connector="vdi",
    disk_size_gb=None,
    vm_name="office",
    outdated_files="layer",
    registry_lists=(),
    publish_mode="automatic",
)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with the OS layers Windows 1 and Linux 1, the app layers Tool and base, and the platform layer Agent."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened = Repository.open(str(tmp_path / "repository"), create=True)
    for name in ("Windows", "Linux"):
        add(opened, OS, name, {"1": os_entry()})
    add(opened, APP, "Tool", {"1.9": software_entry(), "1.10": software_entry()})
    add(opened, APP, "base", {"1": software_entry()})
    add(opened, APP, "Foreign", {"1": software_entry(os_layer=VersionName("Linux", "1"))})
    add(opened, PLATFORM, "Agent", {"8": software_entry()})
    document_collections.connectors(opened).store("vdi", VDI)
    return opened


def add(repository, kind, name, versions):
    document = dataclasses.replace(LayerDocument.new(kind, name), versions=versions)
    document_collections.layers(repository, kind).store(name, document)


def ensure(repository, template=OFFICE, *, check_mode=False, **changes):
    if template is not None and changes:
        template = dataclasses.replace(template, **changes)
    options = ImageTemplateOptions(
        repository=RepositoryOptions(repository.path, "CHG-7"), name="office", template=template, script=None, icon=None
    )
    return ensure_image_template(options, check_mode=check_mode)


def test_template_is_stored_with_the_versions_that_latest_means_now(repository):
    planned = ensure(repository, check_mode=True)
    assert planned.changed
    assert document_collections.templates(repository).get("office") is None
    outcome = ensure(repository)
    stored = document_collections.templates(repository).require("office")
    assert stored.os_layer == VersionName("Windows", "1")
    assert stored.app_layers == (VersionName("base", "1"), VersionName("Tool", "1.10"))
    assert outcome.before is None
    assert outcome.after == stored.to_dict()
    assert outcome.result["template"]["image_digest"].startswith("sha256:")
    assert not ensure(repository).changed


def test_template_difference_is_recorded(repository):
    ensure(repository)
    assert ensure(repository, description="Desktops").changed
    record = repository.audit.read(kinds=["image_template"])[-1]
    assert record["details"] == {"description": {"before": "", "after": "Desktops"}}
    assert (record["action"], record["comment"]) == ("update", "CHG-7")


def test_template_is_deleted_once(repository):
    ensure(repository)
    assert ensure(repository, None).changed
    assert not ensure(repository, None).changed
    assert repository.audit.read(kinds=["image_template"])[-1]["action"] == "delete"


def test_deleting_a_template_warns_about_vms_that_remain(repository):
    vcenter = VCenterRecord(hostname="vc", instance_uuid="1")
    image = ImageRecord(
        template="office",
        image_digest="sha256:" + "1" * 64,
        content_digest="sha256:" + "2" * 64,
        layers={},
        connector="vdi",
        vcenter=vcenter,
        vm=MachineRecord(name="office-11111111"),
        snapshot="strata-11111111",
        datastore_path=None,
        published="2026-11-01T00:00:00Z",
    )
    ensure(repository)
    assert not ensure(repository, None, check_mode=True).warnings
    image_records.record_image(repository, image)
    for check_mode in (True, False):
        [warning] = ensure(repository, None, check_mode=check_mode).warnings
        assert "office-11111111" in warning
    assert not ensure(repository, None).warnings


@pytest.mark.parametrize("name", ["a/b", "x" * 72, "a\tb", "50%"])
def test_impossible_vm_name_is_refused(repository, name):
    with raises(InvalidInput, "operations.template_vm_name"):
        ensure(repository, vm_name=name)


@pytest.mark.parametrize("size", [0, 59, 70_000])
def test_impossible_disk_size_is_refused(repository, size):
    with raises(InvalidInput, "operations.template_disk_size") as caught:
        ensure(repository, disk_size_gb=size)
    assert f"{size} GiB" in caught.value.message
    assert ensure(repository, disk_size_gb=60).changed


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        ({"connector": "none"}, NotFound, "repository.catalog_missing"),
        ({"app_layers": (VersionRequest("None", None),)}, NotFound, "catalog.layer_missing"),
        ({"app_layers": (VersionRequest("Tool", "7"),)}, NotFound, "catalog.layer_version_missing"),
        (
            {"app_layers": (VersionRequest("Tool", "1.9"), VersionRequest("Tool", None))},
            Conflict,
            "catalog.layer_twice",
        ),
        ({"app_layers": (VersionRequest("Foreign", None),)}, Conflict, "catalog.other_os_layer"),
    ],
)
def test_template_with_layers_that_do_not_fit_is_refused(repository, changes, error, code):
    with raises(error, code):
        ensure(repository, **changes)
    assert document_collections.templates(repository).all() == []


def test_platform_layer_needs_the_confirmation_for_another_os_layer_version(repository):
    add(repository, OS, "Windows", {"2": os_entry()})
    with raises(Conflict, "catalog.template_platform_layer"):
        ensure(repository)
    add(repository, PLATFORM, "Agent", {"8": software_entry(confirmed_for=("2",))})
    assert ensure(repository).changed


def ensure_vdi(repository, document):
    options = ConnectorOptions(
        repository=RepositoryOptions(repository.path), name="vdi", document=document, connection=None
    )
    return ensure_connector(options, check_mode=False)


def test_connector_is_changed_once(repository):
    assert not ensure_vdi(repository, VDI).changed
    changed = dataclasses.replace(VDI, network="VLAN 7")
    outcome = ensure_vdi(repository, changed)
    assert outcome.before["network"] is None
    assert outcome.after["network"] == "VLAN 7"
    assert not ensure_vdi(repository, changed).changed


def test_connector_in_use_is_not_deleted(repository):
    ensure(repository)
    with raises(Conflict, "catalog.in_use") as caught:
        ensure_vdi(repository, None)
    assert caught.value.details["templates"] == ["office"]
    ensure(repository, None)
    assert ensure_vdi(repository, None).changed
    assert not ensure_vdi(repository, None).changed


def image_digest(repository) -> str:
    return require_resolved(repository, "office").image_digest


def test_default_for_outdated_files_changes_no_image_of_one_os_layer_version(repository):
    """A stored template keeps its value until the module runs again; a run in check mode stores nothing."""
    ensure(repository, outdated_files="layer")
    before = image_digest(repository)
    assert template_arguments()["outdated_files"]["default"] == "newest_system"
    assert ensure(repository, outdated_files="newest_system", check_mode=True).changed
    assert document_collections.templates(repository).require("office").outdated_files == "layer"
    assert ensure(repository, outdated_files="newest_system").changed
    assert image_digest(repository) == before
    assert not ensure(repository, outdated_files="newest_system").changed
    ensure(repository, outdated_files="newest")
    assert image_digest(repository) != before


def test_default_for_outdated_files_is_part_of_an_image_of_several_os_layer_versions(repository):
    add(repository, OS, "Windows", {"1": os_entry(), "2": os_entry()})
    digests = set()
    for policy in ("layer", "newest_system"):
        ensure(repository, outdated_files=policy, platform_layer=None)
        resolved = require_resolved(repository, "office")
        assert resolved.os_layer.version == "2"
        digests.add(resolved.image_digest)
    assert len(digests) == 2


def test_template_without_a_stored_policy_keeps_the_file_of_the_layer(repository):
    ensure(repository)
    templates = document_collections.templates(repository)
    stored = {key: value for key, value in templates.require("office").to_dict().items() if key != "outdated_files"}
    assert TemplateDocument.from_dict(stored, "office").outdated_files == "layer"
