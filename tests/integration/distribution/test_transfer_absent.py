# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer versions and templates are deleted from a remote, unless something at the remote needs them."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.tests.support.modules import converges, fails, run
from ansible_collections.strata.layering.tests.support.sites import TEMPLATE
from ansible_collections.strata.layering.tests.support.transfers import (
    EVERYTHING,
    OFFICE,
    actions,
    layer,
    layers_of,
    offered,
    pull,
    push,
)

ALL_LAYERS = {"layers": [layer("Windows 11", kind="os"), layer("Runtime"), layer("Tool")]}


@pytest.fixture
def folder(tmp_path) -> dict:
    """A folder as a remote."""
    (tmp_path / "share").mkdir()
    return {"file_share": os.fspath(tmp_path / "share")}


@pytest.fixture(params=["registry", "folder"])
def remote(request, berlin) -> dict:
    """A remote with everything that the first site has."""
    found = request.getfixturevalue(request.param)
    push(berlin, found, **EVERYTHING)
    return found


def test_unneeded_version_is_deleted(berlin, remote):
    before = layers_of(berlin)
    result = converges(
        "layer_transfer",
        lambda: offered(remote),
        **berlin.options,
        **remote,
        state="absent",
        layers=[layer("Tool", "1.9")],
    )
    assert actions(result) == {("app", "Tool", "1.9"): "deleted"}
    versions = [
        version["version"]
        for item in offered(remote)["layers"]
        for version in item["versions"]
        if item["name"] == "Tool"
    ]
    assert versions == ["1.10"]
    assert layers_of(berlin) == before
    record = run("audit_info", **berlin.options, kind="app_layer", name="Tool")["records"][0]
    assert (record["action"], record["version"]) == ("delete", "1.9")


def test_everything_is_deleted_with_its_template(berlin, remote):
    result = converges(
        "layer_transfer", lambda: offered(remote), **berlin.options, **remote, state="absent", **OFFICE, **ALL_LAYERS
    )
    assert set(actions(result).values()) == {"deleted"}
    names = [name for _kind, name, _version in actions(result)]
    assert names == [TEMPLATE, "Tool", "Tool", "Runtime", "Windows 11"]
    assert offered(remote) == {"layers": [], "templates": []}


def test_deleted_version_can_be_pushed_again(berlin, madrid, registry):
    push(berlin, registry, **OFFICE)
    run("layer_transfer", **berlin.options, **registry, state="absent", **OFFICE)
    assert actions(push(berlin, registry, **OFFICE))["template", TEMPLATE, None] == "copied"
    pull(madrid, registry, **OFFICE)


@pytest.mark.parametrize(
    ("selected", "users"),
    [
        (layer("Tool", "1.10"), {"image template office"}),
        (layer("Runtime"), {"image template office", "app layer Tool 1.9", "app layer Tool 1.10"}),
    ],
    ids=["by_template", "by_layers"],
)
def test_version_in_use_is_not_deleted(berlin, remote, selected, users):
    before = offered(remote)
    for check in (True, False):
        options = berlin.options | remote | {"state": "absent", "layers": [selected]}
        error = fails("layer_transfer", "distribution.needed", **options, check=check)
        assert {needed["by"] for needed in error["details"]["needed"]} == users
    assert offered(remote) == before


def test_former_name_of_a_renamed_layer_can_be_deleted(berlin, madrid, folder):
    push(berlin, folder, **OFFICE)
    run("layer_metadata", **berlin.options, kind="app", name="Tool 2", rename_from={"name": "Tool"})
    push(berlin, folder, **OFFICE)
    fails("layer_transfer", "distribution.needed", **berlin.options, **folder, state="absent", layers=[layer("Tool 2")])
    former = {"layers": [layer("Tool", "1.10")]}
    deleted = run("layer_transfer", **berlin.options, **folder, state="absent", **former)
    assert set(actions(deleted).values()) == {"deleted"}
    assert actions(pull(madrid, folder, **OFFICE))["app", "Tool 2", "1.10"] == "copied"


def test_registry_without_deletion_is_an_error(berlin, registry, simulated_registry):
    push(berlin, registry, **OFFICE)
    simulated_registry.configure(deletion="none")
    before = offered(registry)
    fails("layer_transfer", "oci_registry.delete", **berlin.options, **registry, state="absent", **OFFICE)
    assert offered(registry) == before


def test_layers_of_a_different_repository_are_not_deleted(berlin, madrid):
    options = berlin.options | OFFICE | {"other_repository": madrid.options["repository"], "state": "absent"}
    fails("layer_transfer", "operations.transfer_absent", **options)
