# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of every kind: reading and writing them, what is kept of other versions, and errors that name the field."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.catalog import kinds
from ansible_collections.strata.layering.plugins.module_utils.catalog.cancellation_record import CancellationRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.connector_document import ConnectorDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.image_record import ImagesDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_document import LayerDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.noise_profile_record import NoiseProfileRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.packaging_record import PackagingRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.publish_task_record import PublishTaskRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.template_document import TemplateDocument
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors

DIGEST = "sha256:" + "1" * 64
SCRIPT = {"name": "setup.cmd", "digest": DIGEST, "size": 8}
VCENTER = {"hostname": "vcenter.example.com", "instance_uuid": "4f1c"}
VM = {"name": "vdi-11111111", "moid": "vm-7", "instance_uuid": "50ab", "path": "/DC0/vm/x", "datacenter": "DC0"}
RUN = {"path": "/opt/after.sh", "done": True, "output": "ok"}
OS_NAME = {"name": "Windows 11", "version": "1.0"}
OS_REFERENCE = {"kind": "os", **OS_NAME, "digest": DIGEST}
ENTRY = {
    "digest": DIGEST,
    "status": "Deployable",
    "size": 7,
    "version_description": "",
    "created": "2026-01-01T00:00:00Z",
    "source": {"files": "/srv/files"},
    "script": SCRIPT,
}
SOFTWARE_ENTRY = ENTRY | {
    "content_digest": DIGEST,
    "os_layer": OS_NAME,
    "prerequisites": [{"name": "Base", "version": "2"}],
    "changes": {"files": 1},
}
LAYER = {"name": "Layer", "description": "", "icon": None}
#: A document of every kind: how it is read, and its JSON object.
DOCUMENTS = {
    "os_layer": (
        lambda value, name: LayerDocument.from_dict(value, "os", name),
        LAYER
        | {
            "kind": "os",
            "connector": "vdi",
            "versions": {"1.0": ENTRY | {"size_gb": 60, "windows": {"build": 22631, "firmware": None}}},
        },
    ),
    "app_layer": (
        lambda value, name: LayerDocument.from_dict(value, "app", name),
        LAYER | {"kind": "app", "priority": 500, "versions": {"1.0": SOFTWARE_ENTRY}},
    ),
    "platform_layer": (
        lambda value, name: LayerDocument.from_dict(value, "platform", name),
        LAYER | {"kind": "platform", "versions": {"8": SOFTWARE_ENTRY | {"confirmed_for": ["2.0"]}}},
    ),
    "image_template": (
        TemplateDocument.from_dict,
        {
            "name": "office",
            "description": "",
            "os_layer": OS_NAME,
            "app_layers": [{"name": "Tool", "version": "1"}],
            "platform_layer": {"name": "Agent", "version": "8"},
            "outdated_files": "newest",
            "registry_lists": [{"keys": ["x"]}],
            "connector": "vdi",
            "disk_size_gb": None,
            "vm_name": "office",
            "publish_mode": "automatic",
            "icon": DIGEST,
            "created": "2026-01-01T00:00:00Z",
            "script": SCRIPT,
        },
    ),
    "connector": (
        ConnectorDocument.from_dict,
        {
            "name": "vdi",
            "type": "vsphere",
            "description": "",
            "datacenter": "DC0",
            "cluster": "C0",
            "esxi_hostname": None,
            "resource_pool": None,
            "datastore": "ds",
            "folder": "Images",
            "network": None,
            "vm_template": "windows",
            "script": "/opt/after.sh",
            "custom_attributes": {"Layers": "$layers"},
        },
    ),
    "image": (
        ImagesDocument.from_dict,
        {
            "template": "office",
            "images": [
                {
                    "template": "office",
                    "image_digest": DIGEST,
                    "content_digest": DIGEST,
                    "layers": {"os/Windows 11": "1.0"},
                    "connector": "vdi",
                    "vcenter": VCENTER,
                    "vm": VM,
                    "snapshot": "strata-11111111",
                    "datastore_path": "[ds] x/x.vmx",
                    "published": "2026-01-01T00:00:00Z",
                    "checks": [{"name": "vmxnet3", "passed": True}],
                    "scripts": {"state": "finished"},
                    "script": RUN,
                    "snapshot_moid": "snapshot-8",
                    "last_used": "2026-01-02T00:00:00Z",
                }
            ],
        },
    ),
    "task": (
        PublishTaskRecord.from_dict,
        {
            "id": "20260101T000000Z-1",
            "template": "office",
            "digest": DIGEST,
            "content_digest": DIGEST,
            "connector": "vdi",
            "vcenter": VCENTER,
            "publish_mode": "automatic",
            "status": "Running",
            "step": "upload",
            "description": "The disk is uploaded.",
            "created": "2026-01-01T00:00:00Z",
            "updated": "2026-01-01T00:00:00Z",
            "vm": {"name": "vdi-11111111", "path": "/DC0/vm/x", "datacenter": "DC0"},
            "snapshot": None,
            "snapshot_moid": "snapshot-8",
            "datastore_path": None,
            "timings": {"compose": 1.5},
            "bytes": {"disk": 7},
            "progress": {"step": "upload", "done": 1},
            "scripts": {"state": "running"},
            "checks": [{"name": "vmxnet3", "passed": True}],
            "script": RUN,
            "warnings": ["A warning."],
            "error": {"code": "x", "message": "m", "hint": None},
        },
    ),
    "packaging": (
        PackagingRecord.from_dict,
        {
            "kind": "app",
            "layer": "App",
            "version": "1",
            "os_layer": OS_REFERENCE,
            "prerequisites": [OS_REFERENCE | {"kind": "app"}],
            "start_from": OS_REFERENCE | {"kind": "app"},
            "connector": "vdi",
            "given": {"content_digest": DIGEST, "manifest": DIGEST},
            "vm": VM,
            "package": "/share/x",
            "finalizing": True,
            "created": "2026-01-01T00:00:00Z",
            "export_begun_after": 4,
            "exported_after": None,
        },
    ),
    "cancellation": (
        CancellationRecord.from_dict,
        {"template": "office", "requested": "2026-01-01T00:00:00Z", "comment": "CHG-8"},
    ),
    "noise_profile": (
        NoiseProfileRecord.from_dict,
        {
            "os_layer": OS_REFERENCE,
            "digest": DIGEST,
            "size": 7,
            "source": {"packaged_disk": "/srv/x.ovf"},
            "changes": {"paths": 3},
            "created": "2026-01-01T00:00:00Z",
        },
    ),
}
#: Keys that earlier versions did not write, by kind and path.
LATER = [
    ("os_layer", "versions.1.0", ("script", "windows")),
    ("app_layer", "versions.1.0", ("script", "content_digest", "changes")),
    ("platform_layer", "versions.8", ("confirmed_for",)),
    ("image_template", "", ("outdated_files", "registry_lists", "script", "icon")),
    ("connector", "", ("script", "custom_attributes", "network")),
    ("image", "images", ("scripts", "script", "checks", "snapshot_moid", "last_used")),
    ("task", "", ("progress", "scripts", "script", "checks", "warnings", "snapshot_moid")),
    ("packaging", "", ("finalizing", "package", "export_begun_after", "exported_after")),
    ("cancellation", "", ("comment",)),
]


def read(kind, value):
    """Read a document as the kind says."""
    return DOCUMENTS[kind][0](value, "stored name")


def sample(kind):
    """Return a JSON object of a kind that may be changed."""
    return copy.deepcopy(DOCUMENTS[kind][1])


def objects(value, path=""):
    """Yield (path, object) for each object of the document's format, the outermost first."""
    if isinstance(value, dict):
        yield path, value
        for key, child in value.items():
            if key not in ("source", "windows", "changes", "checks", "scripts", "progress", "error", "registry_lists"):
                yield from objects(child, f"{path}.{key}")
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from objects(child, f"{path}[{number}]")


def text(value):
    return json.dumps(value, sort_keys=True)


def test_every_kind_of_document_has_a_sample():
    stored = {kinds.CONNECTOR, kinds.TEMPLATE, kinds.TASK, kinds.IMAGE, kinds.PACKAGING, kinds.CANCELLATION}
    stored.add(kinds.NOISE_PROFILE)
    assert DOCUMENTS.keys() == stored | kinds.LAYER_KINDS.keys()


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_to_dict_returns_the_document_that_was_read(kind):
    assert text(read(kind, sample(kind)).to_dict()) == text(sample(kind))


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_to_dict_keeps_keys_that_this_version_does_not_know(kind):
    maps = ("versions", "layers", "custom_attributes", "timings", "bytes")
    references = ("os_layer", "prerequisites", "start_from") if kind in ("packaging", "noise_profile") else ()
    changed = sample(kind)
    for path, value in list(objects(changed)):
        name = path.rpartition(".")[2].partition("[")[0]
        if name not in maps and name not in references:
            value["from_a_newer_version"] = {"kept": [1]}
    assert text(read(kind, changed).to_dict()) == text(changed)
    assert read(kind, changed) != read(kind, sample(kind))


@pytest.mark.parametrize("kind, path, keys", LATER)
def test_document_of_an_earlier_version_without_new_keys_is_unchanged(kind, path, keys):
    document = sample(kind)
    value = document
    if path.startswith("versions."):
        value = document["versions"][path.removeprefix("versions.")]
    elif path:
        value = document[path][0]
    for key in keys:
        del value[key]
    assert text(read(kind, document).to_dict()) == text(document)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_damaged_field_raises_corrupt_that_names_document_and_field(kind):
    refused = set()
    for path, value in list(objects(sample(kind))):
        for key in value:
            damaged = sample(kind)
            target = dict(objects(damaged))[path]
            target[key] = 3.5
            try:
                read(kind, damaged)
            except Corrupt as error:
                assert error.code == "catalog.field"
                assert error.details["kind"] == kind
                assert error.details["name"] == "stored name"
                field = error.details["field"]
                assert field.replace("[", ".").replace("]", "") in f"{path}.{key}".replace("[", ".").replace("]", "")
                assert field in error.message
                assert error.hint
                refused.add(path + "." + key)
    numbers = {"timings.compose", "bytes.disk"}
    assert {f"{path}.{key}" for path, value in objects(sample(kind)) for key in value} - refused <= {
        f".{number}" for number in numbers
    }


@pytest.mark.parametrize("value", [None, [], "x", 3])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_document_that_is_not_an_object_raises_corrupt(kind, value):
    with pytest.raises(Corrupt) as caught:
        read(kind, value)
    assert caught.value.code == "catalog.field"


def test_missing_field_is_named_with_its_place():
    document = sample("app_layer")
    del document["versions"]["1.0"]["os_layer"]["name"]
    with pytest.raises(Corrupt) as caught:
        read("app_layer", document)
    assert caught.value.details["field"] == "versions[1.0].os_layer.name"
    assert str(caught.value) == (
        "The document of the app layer 'stored name' is damaged: the field versions[1.0].os_layer.name is missing. "
        "Restore the document from a backup of the repository, or delete it."
    )


def test_wrong_type_is_reported_with_expected_and_found_type():
    document = sample("image_template")
    document["app_layers"][0]["version"] = 11
    with pytest.raises(Corrupt) as caught:
        read("image_template", document)
    assert caught.value.message == (
        "The document of the image template 'stored name' is damaged: app_layers[0].version is an integer, not text."
    )


def test_layer_kind_of_another_folder_raises_corrupt():
    with pytest.raises(Corrupt) as caught:
        LayerDocument.from_dict(sample("app_layer"), "platform", "Layer")
    assert caught.value.details["field"] == "kind"


def test_omitted_key_is_written_once_its_field_is_changed():
    document = sample("connector")
    del document["script"], document["network"]
    connector = read("connector", document)
    changed = dataclasses.replace(connector, network="VLAN 7").to_dict()
    assert changed == document | {"network": "VLAN 7"}


def test_connector_without_a_storage_policy_is_stored_as_before():
    """The document, and with it the digest of published images, does not change while the field is not set."""
    document = sample("connector")
    connector = read("connector", document)
    made = ConnectorDocument(**{key: value for key, value in vars(connector).items() if key != "omitted"})
    assert "storage_policy" not in made.to_dict()
    assert made.placement() == connector.placement()
    chosen = dataclasses.replace(connector, storage_policy="Gold")
    assert chosen.to_dict() == document | {"storage_policy": "Gold"}
    assert read("connector", chosen.to_dict()) == chosen
    assert chosen.placement() == connector.placement() | {"storage_policy": "Gold"}


def test_connector_without_vtpm_is_stored_as_before():
    """The option decides only what a check reports: it is not part of the digest of images."""
    document = sample("connector")
    connector = read("connector", document)
    assert connector.to_dict() == document
    assert connector.result()["vtpm"] == "refuse"
    chosen = dataclasses.replace(connector, vtpm="warn")
    assert chosen.to_dict() == document | {"vtpm": "warn"}
    assert read("connector", chosen.to_dict()) == chosen
    assert chosen.placement() == connector.placement()


def test_image_without_snapshot_id_and_last_use_is_stored_as_before():
    image = read("image", sample("image")).images[0]
    unset = dataclasses.replace(image, snapshot_moid=None, last_used=None)
    assert unset.to_dict().keys() == image.to_dict().keys() - {"snapshot_moid", "last_used"}
    assert (unset.result()["snapshot_moid"], unset.result()["last_used"]) == (None, None)


def test_task_without_snapshot_id_is_stored_as_before():
    task = dataclasses.replace(read("task", sample("task")), snapshot_moid=None)
    assert "snapshot_moid" not in task.to_dict()
    assert task.result()["snapshot_moid"] is None


def test_placement_of_a_connector_omits_fields_without_effect_on_the_vm():
    placement = read("connector", sample("connector")).placement()
    assert placement.keys() == sample("connector").keys() - {"script", "description", "custom_attributes"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.sampled_from(("name", "version", "x")), values),
    max_leaves=4,
)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_changed_document_is_read_and_written_unchanged_or_raises_corrupt(data):
    kind = data.draw(st.sampled_from(sorted(DOCUMENTS)))
    document = sample(kind)
    found = dict(objects(document))
    target = found[data.draw(st.sampled_from(sorted(found)))]
    if target and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(target)))
        if data.draw(st.booleans()):
            del target[key]
        else:
            target[key] = data.draw(JSON)
    else:
        target.clear()
    before = copy.deepcopy(document)
    with only_our_errors():
        assert text(read(kind, document).to_dict()) == text(before)
    assert document == before
