# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layer_metadata: rename layers and versions, and edit what describes them."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.catalogs import (
    digests,
    documents,
    store_connector,
    store_layer,
    store_template,
)
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of

ICON = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.fixture
def repository(tmp_path):
    repository = Repository.open(os.fspath(tmp_path / "repository"), create=True)
    store_connector(repository)
    windows = store_layer(repository, "os", "Windows", "1")
    tool = store_layer(repository, "app", "Tool", "1", os_layer=windows)
    store_layer(repository, "app", "Tool", "2", os_layer=windows)
    reader = store_layer(repository, "app", "Reader", "1", os_layer=windows, prerequisites=(tool,))
    store_template(repository, "office", windows, tool, reader)
    return repository


def convert(repository, **options):
    return converges(
        "layer_metadata", lambda: state_of(repository.path), **{"repository": repository.path, "kind": "app", **options}
    )


def test_layer_is_renamed_once_in_everything_that_names_it(repository):
    before = digests(repository)
    result = convert(repository, name="Zoom", rename_from={"name": "Tool"}, comment="CHG-1")
    assert result["layer"]["versions"] == ["1", "2"]
    assert {"kind": "image_template", "name": "office"} in result["renamed_in"]
    assert digests(repository) == before
    assert "app_layer/Tool" not in documents(repository)


def test_version_is_renamed(repository):
    result = convert(repository, name="Tool", version="1.0", rename_from={"version": "1"})
    assert result["layer"]["version"] == "1.0"
    template = run("image_template_info", repository=repository.path)["templates"][0]
    assert {"name": "Tool", "version": "1.0"}.items() <= template["app_layers"][0].items()


def test_layer_and_version_are_renamed_and_described_in_one_run(repository):
    icon = os.path.join(repository.path, "..", "icon.png")
    with open(icon, "wb") as stream:
        stream.write(ICON)
    result = convert(
        repository,
        name="Zoom",
        version="3",
        rename_from={"name": "Tool", "version": "2"},
        description="Meetings",
        version_description="Update",
        priority=700,
        icon=icon,
    )
    assert result["layer"]["description"] == "Meetings"
    assert result["layer"]["version_description"] == "Update"
    assert result["layer"]["priority"] == 700
    assert result["layer"]["icon"].startswith("sha256:")


def test_name_that_differs_only_in_case_can_be_set(repository):
    assert convert(repository, name="TOOL", rename_from={"name": "Tool"})["layer"]["name"] == "TOOL"


def test_audit_history_finds_a_renamed_layer_by_its_former_name(repository):
    run("layer_metadata", repository=repository.path, kind="app", name="Zoom", rename_from={"name": "Tool"})
    (record,) = run("audit_info", repository=repository.path, kind="app", name="Tool")["records"]
    assert (record["action"], record["name"]) == ("rename", "Zoom")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"name": "None"}, "operations.metadata_layer_missing"),
        ({"name": "New", "rename_from": {"name": "None"}}, "operations.metadata_layer_missing"),
        ({"name": "Tool", "version": "9"}, "operations.metadata_version_missing"),
        ({"name": "Tool", "version": "9", "rename_from": {"version": "8"}}, "operations.metadata_version_missing"),
        ({"name": "Reader", "rename_from": {"name": "Tool"}}, "operations.rename_both_exist"),
        ({"name": "Tool", "version": "2", "rename_from": {"version": "1"}}, "operations.rename_both_exist"),
        ({"name": "READER", "rename_from": {"name": "Tool"}}, "catalog.other_spelling"),
        ({"name": "Tool", "connector": "site"}, "operations.metadata_kind"),
        ({"name": "Tool", "version_description": "x"}, "operations.metadata_version"),
        ({"name": "Tool", "rename_from": {"version": "1"}}, "operations.metadata_version"),
        ({"name": "Tool", "priority": -1}, "catalog.layer_priority"),
        ({"name": "a/b", "rename_from": {"name": "Tool"}}, "layers.name"),
        ({"name": "Tool", "version": "latest", "rename_from": {"version": "1"}}, "layers.version"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(repository, options, code):
    before = state_of(repository.path)
    fails("layer_metadata", code, **{"repository": repository.path, "kind": "app", **options})
    assert state_of(repository.path) == before
