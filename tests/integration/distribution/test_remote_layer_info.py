# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a remote has, compared with a repository."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.signing_keys import key_pair
from ansible_collections.strata.layering.tests.support.sites import LAYERS, TEMPLATE, add_template, add_version
from ansible_collections.strata.layering.tests.support.transfers import EVERYTHING, OFFICE, layer, layers_of, pull, push


def _states(result: dict) -> dict[tuple, str]:
    return {
        (item["kind"], item["name"], version["version"]): version["local"]
        for item in result["layers"]
        for version in item["versions"]
    }


def test_layers_and_templates_are_listed(berlin, registry):
    push(berlin, registry, **EVERYTHING)
    found = run("remote_layer_info", **registry)
    digests = {
        (item["kind"], item["name"], version["version"]): version["digest"]
        for item in found["layers"]
        for version in item["versions"]
    }
    assert digests == layers_of(berlin)
    assert [
        version["version"] for item in found["layers"] for version in item["versions"] if item["name"] == "Tool"
    ] == [
        "1.9",
        "1.10",
    ]
    assert {item["newer"] for item in found["layers"]} == {None}
    [template] = found["templates"]
    assert (template["name"], template["revision"], template["problem"]) == (TEMPLATE, 1, None)
    assert {(item["kind"], item["name"], item["version"]) for item in template["layers"]} == set(LAYERS) - {
        ("app", "Tool", "1.9")
    }


def test_remote_is_compared_with_the_repository(berlin, madrid, registry):
    push(berlin, registry, **EVERYTHING)
    before = run("remote_layer_info", **madrid.options, **registry)
    assert set(_states(before).values()) == {"missing"}
    assert {item["newer"] for item in before["layers"]} == {True}
    pull(madrid, registry, layers=[layer("Tool", "1.9")])
    add_version(madrid, "Tool", "1.10", content="different")
    after = run("remote_layer_info", **madrid.options, **registry)
    assert _states(after) == dict.fromkeys(LAYERS, "same") | {("app", "Tool", "1.10"): "different"}
    assert {item["newer"] for item in after["layers"]} == {False}
    assert [template["local"] for template in after["templates"]] == ["missing"]


def test_template_is_compared(berlin, madrid, registry):
    push(berlin, registry, **OFFICE)
    pull(madrid, registry, **OFFICE)
    for description, state in (("", "same"), ("Changed", "different")):
        add_template(madrid, description=description) if description else None
        [template] = run("remote_layer_info", **madrid.options, **registry, kind="template")["templates"]
        assert template["local"] == state


@pytest.mark.parametrize(
    ("filters", "names"),
    [({"kind": "app"}, ["Runtime", "Tool"]), ({"name": "Tool"}, ["Tool"]), ({"kind": "os"}, ["Windows 11"])],
)
def test_filters_select_layers(berlin, registry, filters, names):
    push(berlin, registry, **EVERYTHING)
    found = run("remote_layer_info", **registry, **filters)
    assert [item["name"] for item in found["layers"]] == names
    assert found["templates"] == []


def test_misspelled_name_is_a_warning(berlin, registry):
    push(berlin, registry, **EVERYTHING)
    found = run("remote_layer_info", **registry, name="tool")
    assert found["layers"] == []
    assert "Tool" in str(found["warnings"])


def test_damaged_layer_is_listed_with_its_problem(berlin, registry, simulated_registry):
    push(berlin, registry, **EVERYTHING)
    digest = layers_of(berlin)["app", "Tool", "1.10"]
    path = simulated_registry.data / "windows" / "app" / "tool" / "_manifests" / digest.partition(":")[2]
    path.write_bytes(path.read_bytes().replace(b"1.10", b"1.11"))
    found = run("remote_layer_info", **registry, kind="app")
    assert {item["name"]: item["problem"] is None for item in found["layers"]} == {"Runtime": True, "Tool": False}


def test_unsigned_version_is_listed_with_its_problem(berlin, registry):
    push(berlin, registry, **OFFICE)
    found = run("remote_layer_info", **registry, verify_keys=[key_pair().public])
    assert all(version["problem"] for item in found["layers"] for version in item["versions"])
    assert all(template["problem"] for template in found["templates"])
