# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layer_changes_info: the layer versions that a run would create, change or delete."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.strata.layering.tests.support.module_options import OS_LAYER, add_app
from ansible_collections.strata.layering.tests.support.modules import run, state_of


@pytest.fixture
def tool(workspace) -> dict:
    """The entry of an app layer version that exists."""
    add_app(workspace)
    return {"name": "Tool", "version": "1.0", "files": os.fspath(workspace.tmp_path / "Tool-1.0")}


def _compare(workspace, *versions: dict, kind: str = "app", **options) -> list[dict]:
    options.setdefault("os_layer", {"name": "Windows 11"})
    before = state_of(workspace.path)
    result = run("layer_changes_info", **workspace.options, kind=kind, versions=list(versions), **options)
    assert result["changed"] is False
    assert state_of(workspace.path) == before
    return result["versions"]


@pytest.mark.parametrize(
    ("change", "action"),
    [
        ({}, "none"),
        ({"priority": 7}, "change"),
        ({"description": "An application"}, "change"),
        ({"version": "2.0"}, "create"),
        ({"name": "Other"}, "create"),
        ({"state": "absent"}, "delete"),
        ({"state": "absent", "version": None}, "delete"),
        ({"state": "absent", "version": "9"}, "none"),
        ({"state": "absent", "name": "Other"}, "none"),
    ],
)
def test_action_is_what_the_module_does(workspace, tool, change, action):
    entry = tool | change
    [found] = _compare(workspace, entry)
    assert (found["action"], found["changed"], found["problem"]) == (action, action != "none", None)
    options = {name: value for name, value in entry.items() if value is not None}
    done = run("app_layer", **workspace.options, **{"os_layer": {"name": "Windows 11"}} | options, check=True)
    assert done["changed"] is found["changed"]


@pytest.mark.parametrize(
    ("entries", "actions"),
    [
        ([{"state": "absent"}, {}], ["delete", "create"]),
        ([{"state": "absent", "version": None}, {}], ["delete", "create"]),
        ([{"state": "absent", "version": "9"}, {}], ["none", "none"]),
        ([{"version": "2.0"}, {"version": "2.0"}, {"version": "2.0", "state": "absent"}], ["create", "none", "delete"]),
        ([{"state": "absent"}, {"state": "absent"}], ["delete", "none"]),
    ],
)
def test_entries_are_compared_in_their_order(workspace, tool, entries, actions):
    versions = _compare(workspace, *(tool | entry for entry in entries))
    assert [version["action"] for version in versions] == actions


def test_os_layer_and_platform_layer_are_compared(workspace, exported):
    entry = OS_LAYER | {"file_share": os.fspath(exported), "packaging_disk": "gold/gold-w11.ovf"}
    versions = _compare(workspace, entry, entry | {"version": "2.0"}, kind="os")
    assert [version["action"] for version in versions] == ["none", "create"]
    [found] = _compare(workspace, {"name": "Agent", "version": "1", "files": "/nowhere"}, kind="platform")
    assert (found["action"], found["kind"]) == ("create", "platform")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"os_layer": {"name": "Windows 11", "version": "9"}}, "operations.layer_other_os_layer"),
        ({"name": "a/b"}, "layers.name"),
        ({"prioritty": 7}, "common.entry_invalid"),
        ({"version": None}, "common.entry_invalid"),
        ({"version": 1.1}, "common.option_not_text"),
    ],
)
def test_problem_is_returned_with_its_code_and_other_versions_are_compared(workspace, tool, change, code):
    problem, other = _compare(workspace, tool | change, tool)
    assert (problem["action"], problem["changed"], problem["code"]) == ("unknown", False, code)
    assert problem["problem"]
    assert other["action"] == "none"


def test_other_content_is_a_problem(workspace, tool):
    (pathlib.Path(tool["files"]) / "new.txt").write_text("new")
    [found] = _compare(workspace, tool)
    assert (found["action"], found["code"]) == ("unknown", "operations.layer_other_source")


def test_version_waits_for_what_earlier_steps_would_create(workspace):
    prerequisites = [{"name": "Base", "version": "1"}]
    entry = {"name": "Tool", "version": "1", "os_layer": {"name": "Windows 12"}, "files": "/x"}
    pending = [{"kind": "os", "name": "Windows 12", "version": "24H2", "action": "create"}]
    base, top = _compare(workspace, entry | {"name": "Base"}, entry | {"prerequisites": prerequisites}, pending=pending)
    assert base["waits_for"] == ["the OS layer Windows 12 24H2"]
    assert top["waits_for"] == ["the OS layer Windows 12 24H2", "the app layer Base 1"]
    pending[0]["action"] = "delete"
    [found] = _compare(workspace, entry, pending=pending)
    assert (found["action"], found["waits_for"]) == ("create", [])


def test_everything_waits_for_a_repository_that_does_not_exist(tmp_path):
    entry = {"name": "Tool", "version": "1", "files": "/x"}
    result = run(
        "layer_changes_info",
        repository=os.fspath(tmp_path / "none"),
        kind="app",
        versions=[entry, entry | {"state": "absent"}],
    )
    assert result["repository_exists"] is False
    assert [version["action"] for version in result["versions"]] == ["create", "none"]
    assert result["versions"][0]["waits_for"] == ["the repository"]
    assert not (tmp_path / "none").exists()
