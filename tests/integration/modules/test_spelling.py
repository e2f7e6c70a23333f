# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that differ only in case: refused for new objects, named in hints, reported when something is to be deleted."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.module_options import (
    OS_LAYER,
    add_app,
    add_template,
    connector,
)
from ansible_collections.strata.layering.tests.support.modules import fails, run, state_of


@pytest.fixture
def named(workspace, exported):
    """A repository with an app layer, an image template, a connector and an OS layer; and options for each module."""
    add_app(workspace, "VPN", "5-RC1")
    add_template(workspace, "Office", (("VPN", "5-RC1"),))
    files = workspace.files("new", {"a": "b"})
    package = {"file_share": os.fspath(exported), "packaging_disk": "gold/gold-w11.ovf"}
    app = {"os_layer": {"name": "Windows 11"}, "files": files}
    template = {"os_layer": {"name": "Windows 11", "version": "1.0"}, "connector": "desktops"}
    return workspace, {
        "layer": ("app_layer", {"name": "vpn", "version": "6", **app}, "VPN"),
        "version": ("app_layer", {"name": "VPN", "version": "5-rc1", **app}, "5-RC1"),
        "os_layer": ("os_layer", {**OS_LAYER, **package, "name": "WINDOWS 11"}, "Windows 11"),
        "template": ("image_template", {"name": "office", **template}, "Office"),
        "connector": ("connector", connector(name="Desktops"), "desktops"),
    }


@pytest.mark.parametrize("kind", ["layer", "version", "os_layer", "template", "connector"])
def test_new_name_that_differs_only_in_case_is_refused(named, kind):
    workspace, objects = named
    module, options, existing = objects[kind]
    before = state_of(workspace.path)
    for check in (True, False):
        result = fails(module, "catalog.other_spelling", check=check, **workspace.options, **options)
        assert result["details"]["existing"] == existing
        absent = {"name": options["name"], "state": "absent"}
        if module.endswith("layer"):
            absent["version"] = options["version"]
        result = run(module, check=check, **workspace.options, **absent)
        assert not result["changed"]
        assert repr(existing) in str(result["warnings"])
    assert state_of(workspace.path) == before


def test_missing_name_in_other_case_names_the_existing_spelling(named):
    workspace, _objects = named
    template = {"name": "new", "os_layer": {"name": "Windows 11", "version": "1.0"}, "connector": "desktops"}
    for code, changes, existing in (
        ("catalog.layer_missing", {"os_layer": {"name": "windows 11", "version": "1.0"}}, "Windows 11"),
        ("catalog.layer_missing", {"app_layers": [{"name": "Vpn", "version": "5-RC1"}]}, "VPN"),
        ("catalog.layer_version_missing", {"app_layers": [{"name": "VPN", "version": "5-rc1"}]}, "5-RC1"),
        ("catalog.layer_version_missing", {"app_layers": [{"name": "VPN", "version": "Latest"}]}, "latest"),
        ("repository.catalog_missing", {"connector": "DESKTOPS"}, "desktops"),
    ):
        result = fails("image_template", code, **workspace.options, **{**template, **changes})
        assert result["hint"].startswith(f"Write {existing!r} instead of ")
    result = fails("layered_image_plan", "repository.catalog_missing", **workspace.options, template="office")
    assert result["hint"].startswith("Write 'Office' instead of ")


def test_info_modules_report_the_existing_spelling(named):
    workspace, _objects = named
    for module, name, existing in (
        ("layer_info", "vpn", "VPN"),
        ("image_template_info", "office", "Office"),
        ("connector_info", "DESKTOPS", "desktops"),
    ):
        result = run(module, **workspace.options, name=name)
        assert repr(existing) in str(result["warnings"])
        assert not run(module, **workspace.options, name=existing).get("warnings")
        assert not run(module, **workspace.options, name="other").get("warnings")


def test_names_that_an_earlier_release_stored_in_two_spellings_stay_usable(workspace):
    folder = workspace.files("files", {"a": "b"})
    options = {**workspace.options, "version": "1", "os_layer": {"name": "Windows 11"}, "files": folder}
    run("app_layer", name="VPN", **options)
    layers = document_collections.layers(Repository.open(os.fspath(workspace.path), writable=True), "app")
    layers.store("vpn", layers.require("VPN"))
    for name in ("VPN", "vpn"):
        assert not run("app_layer", name=name, **options)["changed"]
    fails("app_layer", "catalog.other_spelling", name="Vpn", **options)
