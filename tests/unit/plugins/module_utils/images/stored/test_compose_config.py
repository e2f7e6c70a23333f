# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config of thin images: documents of earlier and newer versions, and damaged documents."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.plugins.module_utils.images.stored.compose_config import ComposeConfig

DIGEST = "sha256:" + "ab" * 32
OS_LAYER = {"kind": "os", "name": "Windows 11", "version": "24H2", "digest": "sha256:" + "1" * 64}
APP_LAYER = {"kind": "app", "name": "Tool", "version": "2.1", "digest": "sha256:" + "2" * 64}
STATISTICS = {
    "files": 3,
    "links": 1,
    "directories": 2,
    "removed": 4,
    "bytes": 5000,
    "dropped": ["8.3 name A~1 of b (c has it)"],
    "grains": 7,
    "plain_bytes": 458752,
    "compressed_bytes": 1234,
    "incremental": True,
}
#: Of a template that sets all options, as version 0.1.0 stored it.
TEMPLATE_IMAGE = {
    "content_digest": DIGEST,
    "os_layer": OS_LAYER,
    "layers": [APP_LAYER],
    "disk_size_gb": 64,
    "outdated_files": "newest",
    "registry_lists": [{"hive": "SOFTWARE", "key": "A", "kind": "separated", "value": "b", "separator": ";"}],
    "scripts": [{"label": "app layer Tool 2.1", "name": "a.cmd", "digest": DIGEST, "size": 5}],
    "statistics": STATISTICS,
    "registry": {"hives": {"SOFTWARE": DIGEST}, "findings": [{"key": "A", "outcome": "merged"}], "finding_count": 1},
    "skipped": [[0, 17], [1, 2]],
}
#: Of a packaging VM, and of an image that grew on it.
STACK_IMAGE = {
    key: TEMPLATE_IMAGE[key] for key in ("content_digest", "os_layer", "layers", "statistics", "registry", "skipped")
} | {"disk_size_gb": None}
GROWN_IMAGE = STACK_IMAGE | {"ancestor": "sha256:" + "3" * 64}


def stored(document) -> bytes:
    return json.dumps(document, sort_keys=True, indent=1).encode()


@pytest.mark.parametrize("document", [TEMPLATE_IMAGE, STACK_IMAGE, GROWN_IMAGE], ids=["template", "stack", "grown"])
def test_config_of_earlier_version_is_written_byte_for_byte(document):
    config = ComposeConfig.from_dict(copy.deepcopy(document), DIGEST)
    assert stored(config.to_dict()) == stored(document)


def test_config_without_results_of_earlier_version_round_trip():
    document = {key: value for key, value in STACK_IMAGE.items() if key not in ("registry", "skipped")}
    config = ComposeConfig.from_dict(document, DIGEST)
    assert config.skipped == ()
    assert config.registry.hives == {}
    assert stored(config.to_dict()) == stored(document)


def test_config_of_newer_version_keeps_unknown_keys():
    document = copy.deepcopy(TEMPLATE_IMAGE) | {"later": [1, 2]}
    document["statistics"] |= {"seconds": 1.5}
    document["registry"] |= {"keys": 3}
    assert ComposeConfig.from_dict(document, DIGEST).to_dict() == document


def test_config_fields_are_typed():
    config = ComposeConfig.from_dict(copy.deepcopy(TEMPLATE_IMAGE), DIGEST)
    assert config.os_layer.label == "os layer Windows 11 24H2"
    assert [layer.label for layer in config.layers] == ["app layer Tool 2.1"]
    assert config.statistics.compressed_bytes == 1234
    assert config.statistics.incremental
    assert config.registry.finding_count == 1
    assert config.skipped == ((0, 17), (1, 2))
    assert config.scripts is not None
    assert config.scripts[0].name == "a.cmd"


def test_config_without_results_has_optional_keys_only_if_set():
    config = ComposeConfig.from_dict(copy.deepcopy(STACK_IMAGE), DIGEST)
    assert not {"outdated_files", "registry_lists", "scripts", "ancestor"} & config.to_dict().keys()
    assert dataclasses.replace(config, scripts=()).to_dict()["scripts"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"content_digest": "sha256:" + "0" * 64}, "content_digest"),
        ({"os_layer": {"digest": DIGEST}}, "os_layer"),
        ({"layers": {}}, "layers"),
        ({"layers": [APP_LAYER, 5]}, "layers[1]"),
        ({"disk_size_gb": "64"}, "disk_size_gb"),
        ({"outdated_files": 1}, "outdated_files"),
        ({"registry_lists": [1]}, "registry_lists[0]"),
        ({"ancestor": None}, "ancestor"),
        ({"statistics": STATISTICS | {"files": "3"}}, "statistics.files"),
        ({"statistics": STATISTICS | {"dropped": None}}, "statistics.dropped"),
        ({"statistics": None}, "statistics"),
        ({"registry": {"hives": {"SOFTWARE": 1}, "findings": [], "finding_count": 0}}, "registry.hives[SOFTWARE]"),
        ({"skipped": [[1, 2], [1]]}, "skipped[1]"),
        ({"skipped": [[1, True]]}, "skipped[0]"),
    ],
)
def test_damaged_config_names_the_field(change, field):
    with pytest.raises(Corrupt) as caught:
        ComposeConfig.from_dict(TEMPLATE_IMAGE | change, DIGEST)
    assert caught.value.details["field"] == field


@pytest.mark.parametrize("key", ["content_digest", "os_layer", "layers", "disk_size_gb", "statistics"])
def test_config_without_required_field_is_corrupt(key):
    document = {name: value for name, value in TEMPLATE_IMAGE.items() if name != key}
    with pytest.raises(Corrupt) as caught:
        ComposeConfig.from_dict(document, DIGEST)
    assert caught.value.details["field"] == key


def test_config_with_damaged_script_is_corrupt():
    with pytest.raises(Corrupt):
        ComposeConfig.from_dict(TEMPLATE_IMAGE | {"scripts": [{"name": "a.cmd"}]}, DIGEST)
