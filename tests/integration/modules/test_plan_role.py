# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role layered_image in check mode, and with connectors and templates that are wrong."""

from __future__ import annotations

import json

import pytest

from ansible_collections.strata.layering.tests.support.module_options import add_app, connector
from ansible_collections.strata.layering.tests.support.modules import run, state_of
from ansible_collections.strata.layering.tests.support.playbooks import keep_variables, run_plays
from ansible_collections.strata.layering.tests.support.vcenter import machines


@pytest.fixture
def play(workspace, vcenter):
    """Runs the role with variables; returns the exit code, variables of the role, and the output."""
    kept = workspace.tmp_path / "variables.json"
    tasks = [
        {
            "name": "Run the role",
            "block": [{"ansible.builtin.import_role": {"name": "strata.layering.layered_image"}}],
            "always": [keep_variables(kept, "layered_image_planned", "layered_image_published")],
        }
    ]
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    values = {f"layering_{name}": value for name, value in vcenter.items()}

    def run_role(*flags: str, **more: object) -> tuple[int, dict, str]:
        variables = values | {"layering_repository": str(workspace.path)} | more
        done = run_plays(workspace.tmp_path, plays, variables, *flags)
        assert done.variables, done.output
        return done.code, done.variables, done.output

    return run_role


def template(name: str, app: str = "Tool", **options) -> dict:
    """Return the definition of an image template that asks for the newest versions."""
    return {
        "name": name,
        "connector": "desktops",
        "os_layer": {"name": "Windows 11", "version": "latest"},
        "app_layers": [{"name": app, "version": "latest"}],
    } | options


def by_name(facts: dict) -> dict:
    return {image["template"]: image for image in facts["layered_image_planned"]["images"]}


def test_plan_of_a_new_repository_knows_pending_layers(workspace, simulator, play):
    before = machines(simulator)
    absent = workspace.tmp_path / "new"
    pending = [
        {"kind": "os", "name": "Windows 11", "version": "24H2", "action": "create"},
        {"kind": "app", "name": "Tool", "version": "2", "action": "create", "os_layer": {"name": "Windows 11"}},
        {"kind": "app", "name": "Reader", "version": "11", "action": "create", "unknown": "is installed manually"},
    ]
    code, facts, output = play(
        "--check",
        "--diff",
        layering_repository=str(absent),
        strata_layering_pending_layers=pending,
        layered_image_connectors=[connector()],
        layered_image_templates=[template("office"), template("lab", "Reader")],
    )
    assert code == 0, output
    plan, images = facts["layered_image_planned"], by_name(facts)
    assert plan["new_repository"] and plan["changed"] and plan["compared_with_vsphere"]
    assert {name: image["publish"] for name, image in images.items()} == {"office": True, "lab": None}
    assert images["office"]["planned"]["layers"] == [
        {"kind": "os", "name": "Windows 11", "version": "24H2"},
        {"kind": "app", "name": "Tool", "version": "2"},
    ]
    assert len(images["lab"]["unknown"]) == 1
    assert plan["connectors"] == [{"name": "desktops", "action": "create", "error": None}]
    assert all(json.dumps(line) in output for line in plan["summary"])
    assert not absent.exists()
    assert machines(simulator) == before


def test_wrong_connector_and_template_stop_only_themselves(workspace, simulator, play):
    add_app(workspace)
    definitions = {
        "layered_image_connectors": [connector(name="gone", vm_template="absent", test=True), connector()],
        "layered_image_templates": [
            template("lab", "Absent"),
            template("elsewhere", connector="gone"),
            template("office"),
            {"name": "old", "state": "absent"},
        ],
    }
    run("image_template", **workspace.options, **template("old"))
    wrong = [("connector", "gone"), ("image_template", "lab"), ("image_template", "elsewhere")]

    code, facts, output = play(**definitions)
    assert code != 0
    assert [task["template"] for task in facts["layered_image_published"]["tasks"]] == ["office"]
    last = output.split("TASK [")[-2]
    assert all(f"{name}: " in last for _kind, name in wrong[:2]), last
    assert [name.rpartition("-")[0] for name in machines(simulator)] == ["office", "windows"]
    names = [found["name"] for found in run("image_template_info", **workspace.options)["templates"]]
    assert "old" not in names and "office" in names and "lab" not in names

    stored = state_of(workspace.path)
    definitions["layered_image_templates"][-1] = {"name": "office", "state": "absent"}
    definitions["layered_image_templates"][2] = template("kiosk")
    code, facts, output = play("--check", **definitions)
    plan, images = facts["layered_image_planned"], by_name(facts)
    assert code != 0
    assert [(problem["kind"], problem["name"]) for problem in plan["problems"]] == wrong
    assert {name for name, image in images.items() if image["publish"]} == {"kiosk"}
    assert images["office"]["template_action"] == "delete"
    assert [task["status"] for task in facts["layered_image_published"]["tasks"]] == ["NotStarted"]
    assert state_of(workspace.path) == stored
