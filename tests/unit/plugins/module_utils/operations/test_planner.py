# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run, on documents without blobs and without vSphere."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.connector_document import ConnectorDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.future import LayerAction, PendingLayer
from ansible_collections.strata.layering.plugins.module_utils.catalog.image_record import ImageRecord, ImagesDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_document import LayerDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.templates import require_resolved
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionRequest
from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import (
    MachineRecord,
    VCenterRecord,
)
from ansible_collections.strata.layering.plugins.module_utils.common import arguments
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import APP, OS, PLATFORM
from ansible_collections.strata.layering.plugins.module_utils.operations.image_template import (
    ImageTemplateOptions,
    ensure_image_template,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.options import RepositoryOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.plan_summary import summary_lines
from ansible_collections.strata.layering.plugins.module_utils.operations.planner import (
    Entry,
    ImagePlanner,
    Plan,
    PlanRequest,
)
from ansible_collections.strata.layering.plugins.module_utils.publish.machine.vm_metadata import template_layers
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.layer_documents import os_entry, software_entry

VDI = {"name": "vdi", "datacenter": "DC0", "cluster": "C0", "datastore": "ds", "vm_template": "windows"}
DIGESTS = iter(f"sha256:{number:064x}" for number in range(2, 1000))


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    """A repository with the OS layer Windows 1, the app layers Tool 1.9 and Reader 1, the platform layer Agent 8 and a connector."""
    opened = Repository.open(str(tmp_path / "repository"), create=True)
    add(opened, OS, "Windows", "1")
    add(opened, APP, "Tool", "1.9")
    add(opened, APP, "Reader", "1")
    add(opened, PLATFORM, "Agent", "8")
    document_collections.connectors(opened).store("vdi", ConnectorDocument(**VDI, folder="", description=""))
    return opened


def add(repository: Repository, kind: str, name: str, *versions: str, **fields) -> None:
    """Store a layer version with a digest of its own."""
    layers = document_collections.layers(repository, kind)
    document = layers.get(name) or LayerDocument.new(kind, name)
    entry = os_entry if kind == OS else software_entry
    for version in versions:
        document = document.with_version(version, entry(digest=next(DIGESTS), **fields))
    layers.store(name, document)


def definition(name: str = "office", **options) -> dict:
    """Return the definition of a template, as in an inventory."""
    return {
        "name": name,
        "connector": "vdi",
        "os_layer": {"name": "Windows", "version": "latest"},
        "app_layers": [{"name": "Tool", "version": "latest"}, {"name": "Reader", "version": "1"}],
    } | options


def checked(*definitions: dict, connector: bool = False) -> tuple[Entry, ...]:
    """Return definitions as the module passes them on."""
    specification = arguments.connector_arguments() if connector else arguments.template_arguments()
    required = arguments.CONNECTOR_REQUIRED_IF if connector else arguments.TEMPLATE_REQUIRED_IF
    return tuple(Entry.from_checked(arguments.check_entry(value, specification, required)) for value in definitions)


def plan(repository: Repository, *definitions: dict, pending=(), connectors=(), **request) -> Plan:
    """Return the plan for definitions, by name."""
    return ImagePlanner(
        repository,
        PlanRequest(
            templates=checked(*definitions),
            connectors=checked(*connectors, connector=True),
            pending_layers=tuple(pending),
            **request,
        ),
        None,
    ).plan()


def image(planned: Plan, name: str = "office"):
    [found] = [image for image in planned.images if image.template == name]
    return found


def store(repository: Repository, value: dict) -> None:
    """Store a template as the module image_template does."""
    [entry] = checked(value)
    ensure_image_template(
        ImageTemplateOptions.from_entry(RepositoryOptions(repository.path), entry.params), check_mode=False
    )


def publish(repository: Repository, value: dict) -> None:
    """Store a template and the record of its image."""
    store(repository, value)
    template = require_resolved(repository, value["name"])
    record = ImageRecord(
        template=template.name,
        image_digest=template.image_digest,
        content_digest=template.content_digest,
        layers=template_layers(template),
        connector=template.connector.name,
        vcenter=VCenterRecord("vcenter", "uuid"),
        vm=MachineRecord(f"{template.vm_name}-1", "vm-1", "vm-uuid"),
        snapshot="strata-1",
        datastore_path=None,
        published="2026-01-01T00:00:00Z",
    )
    images = document_collections.images(repository)
    older = document.images if (document := images.get(template.name)) else ()
    images.store(template.name, ImagesDocument(template=template.name, images=(record, *older)))


def created(kind: str, name: str, version: str, **fields) -> PendingLayer:
    fields = {"os_layer": VersionRequest("Windows", None)} | fields
    return PendingLayer(kind=kind, name=name, version=version, action=LayerAction.CREATE, **fields)


def facts(changes) -> list[tuple]:
    return [(change.kind, change.name, change.before, change.after) for change in changes]


def test_template_that_is_published_is_unchanged(repository):
    publish(repository, definition())
    planned = plan(repository, definition())
    assert not planned.changed
    assert image(planned).publish is False
    assert image(planned).current.layers == image(planned).planned.layers


def test_new_template_is_created_and_published(repository):
    planned = image(plan(repository, definition()))
    assert (planned.publish, planned.template_action, planned.current) == (True, "create", None)
    assert [layer.version for layer in planned.planned.layers] == ["1", "1", "1.9"]
    assert planned.planned.image_digest is not None


def test_pending_version_is_the_newest_in_the_order_of_versions(repository):
    publish(repository, definition())
    older, newer = created(APP, "Tool", "1.10"), created(APP, "Tool", "1.2")
    planned = image(plan(repository, definition(), pending=[older, newer]))
    assert planned.publish is True
    assert facts(planned.changes) == [(APP, "Tool", "1.9", "1.10")]
    assert planned.changes[0].latest
    assert planned.planned.image_digest is None
    assert planned.template_changes == ["app_layers"]


def test_pending_version_that_the_template_does_not_use_changes_nothing(repository):
    fixed = definition(app_layers=[{"name": "Tool", "version": "1.9"}])
    publish(repository, fixed)
    assert not plan(repository, fixed, pending=[created(APP, "Tool", "1.10")]).changed


def test_pending_os_layer_changes_the_image_and_the_platform_layer_has_to_fit(repository):
    value = definition(platform_layer={"name": "Agent", "version": "8"})
    publish(repository, value)
    newer = created(OS, "Windows", "2", os_layer=None)
    planned = image(plan(repository, value, pending=[newer]))
    assert planned.error.code == "catalog.template_platform_layer"
    confirmed = PendingLayer(kind=PLATFORM, name="Agent", version="8", action=LayerAction.CHANGE, confirmed_for=("2",))
    planned = image(plan(repository, value, pending=[newer, confirmed]))
    assert (planned.publish, facts(planned.changes)) == (True, [(OS, "Windows", "1", "2")])


@pytest.mark.parametrize("os_layer", [VersionRequest("Windows", None), None], ids=["known", "unknown"])
def test_new_repository_is_planned_from_pending_layers(tmp_path, os_layer):
    pending = [
        created(APP, "Reader", "1", os_layer=os_layer),
        created(APP, "Tool", "2", os_layer=os_layer),
        created(PLATFORM, "Agent", "9", os_layer=os_layer),
        created(OS, "Windows", "24H2", os_layer=None),
    ]
    value = definition(platform_layer={"name": "Agent", "version": "latest"})
    planned = plan(Repository.planned(str(tmp_path / "new")), value, pending=pending, connectors=[VDI])
    assert image(planned).error is None
    assert image(planned).publish is True
    assert [layer.version for layer in image(planned).planned.layers] == ["24H2", "1", "2", "9"]
    assert [(connector.name, connector.action) for connector in planned.connectors] == [("vdi", "create")]
    assert not (tmp_path / "new").exists()


def test_version_that_may_not_be_created_is_not_known(repository):
    publish(repository, definition())
    planned = plan(repository, definition(), pending=[created(APP, "Tool", "2", unknown="is captured first")])
    assert image(planned).publish is None
    assert len(image(planned).unknown) == 1
    assert not any("app layer Tool 2," in line for line in summary_lines(planned.layers, [], planned.images))


def test_deleted_version_is_missing(repository):
    add(repository, APP, "Tool", "1.8")
    publish(repository, definition())
    gone = PendingLayer(kind=APP, name="Tool", version="1.9", action=LayerAction.DELETE)
    assert facts(image(plan(repository, definition(), pending=[gone])).changes) == [(APP, "Tool", "1.9", "1.8")]
    gone = dataclasses.replace(gone, version=None)
    assert image(plan(repository, definition(), pending=[gone])).error.code == "catalog.layer_missing"


def test_changed_priority_gives_another_image(repository):
    publish(repository, definition())
    higher = PendingLayer(kind=APP, name="Reader", version="1", action=LayerAction.CHANGE, priority=900)
    planned = image(plan(repository, definition(), pending=[higher]))
    assert (planned.publish, planned.changes) == (True, [])
    assert [layer.name for layer in planned.planned.layers] == ["Windows", "Tool", "Reader"]


@pytest.mark.parametrize(
    "option, change",
    [
        ({"disk_size_gb": 80}, ("setting", "disk_size_gb", "that of the OS layer", "80")),
        ({"vm_name": "desk"}, ("setting", "vm_name", "office", "desk")),
        ({"outdated_files": "os"}, ("setting", "outdated_files", "newest_system", "os")),
        ({"app_layers": [{"name": "Tool", "version": "1.9"}]}, (APP, "Reader", "1", None)),
    ],
    ids=["disk", "name", "policy", "removed"],
)
def test_setting_of_the_template_gives_another_image(repository, option, change):
    publish(repository, definition())
    planned = image(plan(repository, definition(**option)))
    assert (planned.publish, facts(planned.changes)) == (True, [change])
    assert len(planned.template_changes) == 1


def test_description_and_mode_do_not_give_another_image(repository):
    publish(repository, definition())
    planned = image(plan(repository, definition(description="Desks", publish_mode="manual")))
    assert (planned.publish, planned.template_changes) == (False, ["description", "publish_mode"])
    assert planned.changed


def test_connector_that_moves_gives_another_image(repository):
    publish(repository, definition())
    planned = plan(repository, definition(), connectors=[VDI | {"datastore": "fast", "description": "moved"}])
    assert image(planned).publish is True
    assert [change[2:] for change in facts(image(planned).changes)] == [("ds", "fast")]
    assert [connector.action for connector in planned.connectors] == ["change"]


def test_wrong_definitions_do_not_stop_the_others(repository):
    wrong = {
        "absent": definition("absent", app_layers=[{"name": "Nothing", "version": "1"}]),
        "options": definition("options", disc_size_gb=80),
        "number": definition("number", os_layer={"name": "Windows", "version": 1.10}),
        "connector": definition("connector", connector="nowhere"),
        "elsewhere": definition("elsewhere", connector="broken"),
        "size": definition("size", disk_size_gb=0),
        "other": {"name": "other", "connector": "vdi"},
    }
    planned = plan(repository, *wrong.values(), definition(), connectors=[{"name": "broken", "datacenter": "DC0"}, VDI])
    assert {(problem["name"], problem["code"]) for problem in planned.problems()} == {
        ("broken", "common.entry_invalid"),
        ("absent", "catalog.layer_missing"),
        ("options", "common.entry_invalid"),
        ("number", "common.option_not_text"),
        ("connector", "repository.catalog_missing"),
        ("elsewhere", "common.entry_invalid"),
        ("size", "operations.template_disk_size"),
        ("other", "common.entry_invalid"),
    }
    assert image(planned).publish is True


def test_absent_templates_and_connectors(repository):
    publish(repository, definition())
    store(repository, definition("kiosk"))
    gone = {"name": "vdi", "state": "absent"}
    used = plan(repository, {"name": "office", "state": "absent"}, connectors=[gone])
    assert [(problem["name"], problem["code"]) for problem in used.problems()] == [("vdi", "catalog.in_use")]
    both = [{"name": name, "state": "absent"} for name in ("office", "kiosk", "never")]
    planned = plan(repository, *both, connectors=[gone])
    assert planned.problems() == []
    assert {image.template: image.template_action for image in planned.images} == {
        "office": "delete",
        "kiosk": "delete",
        "never": "none",
    }
    assert [connector.action for connector in planned.connectors] == ["delete"]
    assert all("never" not in line for line in summary_lines([], planned.connectors, planned.images))
    assert [warning for warning in planned.warnings if "office" in warning]
    assert not [warning for warning in planned.warnings if "kiosk" in warning]


def test_stored_templates_are_published_only_by_name(repository):
    publish(repository, definition())
    store(repository, definition("kiosk"))
    planned = plan(repository, definition())
    assert (image(planned, "kiosk").selected, image(planned, "kiosk").publish) == (False, False)
    planned = plan(repository, definition(), publish=frozenset(["kiosk", "nowhere"]))
    assert image(planned, "kiosk").publish is True
    assert image(planned).selected is False
    assert image(planned, "nowhere").error.code == "repository.catalog_missing"


def test_stored_templates_without_definitions_are_all_planned(repository):
    publish(repository, definition())
    store(repository, definition("kiosk"))
    planned = ImagePlanner(repository, PlanRequest(), None).plan()
    assert {image.template: image.publish for image in planned.images} == {"kiosk": True, "office": False}
    planned = ImagePlanner(repository, PlanRequest(publish=frozenset(["kiosk"])), None).plan()
    assert [image.template for image in planned.images] == ["kiosk"]


def test_summary_has_a_line_for_each_image_that_is_published_and_names_all_others(repository):
    publish(repository, definition())
    store(repository, definition("stored"))
    values = [
        definition(),
        definition("new"),
        definition("later", app_layers=[{"name": "Base", "version": "1"}]),
        definition("wrong", connector="nowhere"),
        {"name": "stored", "state": "absent"},
    ]
    pending = [created(APP, "Base", "1", unknown="is captured first"), created(APP, "Extra", "3")]
    planned = plan(repository, *values, pending=pending)
    lines = summary_lines(planned.layers, planned.connectors, planned.images)
    for name in ("office", "new", "later", "wrong", "stored", "Extra 3"):
        assert sum(name in line for line in lines) == (2 if name in ("new", "later") else 1), (name, lines)
