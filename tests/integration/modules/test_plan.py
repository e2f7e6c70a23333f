# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run, compared with what the run then does."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support.module_options import add_app, connector
from ansible_collections.strata.layering.tests.support.modules import attempt, run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

pytestmark = pytest.mark.usefixtures("workspace")


def template(name: str = "office", apps: tuple = (("Tool", "latest"),), **options) -> dict:
    """Return the definition of an image template."""
    layers = [{"name": app, "version": version} for app, version in apps]
    return {
        "name": name,
        "connector": "desktops",
        "os_layer": {"name": "Windows 11", "version": "1.0"},
        "app_layers": layers,
    } | options


class Bench:
    """A repository and a vCenter: plan a run with definitions, then run it."""

    def __init__(self, workspace, vcenter, simulator):
        self.workspace, self.vcenter, self.simulator = workspace, vcenter, simulator

    def plan(self, *templates: dict, placement: dict | None = None, **options) -> dict:
        """Return the plan, which changes nothing, by template; ``placement`` changes the connector."""
        before = state_of(self.workspace.path), machines(self.simulator)
        plan = run(
            "layered_image_plan",
            check=True,
            diff=True,
            **self.workspace.options,
            **self.vcenter,
            vsphere=True,
            templates=list(templates),
            connectors=[connector(**placement or {})],
            **options,
        )
        assert (state_of(self.workspace.path), machines(self.simulator)) == before
        assert plan["changed"] is False
        return plan | {"by_name": {image["template"]: image for image in plan["images"]}}

    def carry_out(self, *templates: dict, **options) -> dict:
        """Do what the role does: store the templates, and publish those that are stored; return the images that were published."""
        stored = [
            definition["name"]
            for definition in templates
            if not attempt("image_template", **self.workspace.options, **definition).get("failed")
            and definition.get("state") != "absent"
        ]
        before, images = machines(self.simulator), self.newest()
        done = attempt("layered_image_publish", **self.workspace.options, **self.vcenter, templates=stored, **options)
        assert not done.get("failed"), done
        after = machines(self.simulator)
        return {
            "stored": set(stored),
            "published": {name for name, image in self.newest().items() if images.get(name) != image},
            "removed": before.keys() - after.keys(),
            "changed": done["changed"],
        }

    def newest(self) -> dict:
        """Return the newest image of each template."""
        found = run("layered_image_info", **self.workspace.options)["images"]
        return {image["template"]: (image["image_digest"], image["vm"]["moid"]) for image in reversed(found)}

    def agrees(self, *templates: dict, keep: int | None = None, pending=()) -> dict:
        """Plan and carry out; check that both agree, and return the plan."""
        plan = self.plan(*templates, keep=keep, pending_layers=list(pending))
        for layer in pending:
            add_app(self.workspace, layer["name"], layer["version"])
        done = self.carry_out(*templates, keep=keep)
        images = plan["by_name"].values()
        assert {image["template"] for image in images if image["publish"]} == done["published"]
        assert {name for image in images for name in image["remove_vms"]} == done["removed"]
        assert any(image["changes_vsphere"] or image["publish"] for image in images) == done["changed"]
        assert {image["template"] for image in images if image["error"] is None and not image["absent"]} == done[
            "stored"
        ]
        assert {
            (image["template"], image["planned"]["vm"])
            for image in images
            if image["publish"] and image["planned"]["vm"]
        } <= {(vm.rpartition("-")[0], vm) for vm in machines(self.simulator)}
        return plan


@pytest.fixture
def bench(workspace, vcenter, simulator):
    return Bench(workspace, vcenter, simulator)


def test_plan_agrees_with_the_run(bench):
    """One repository through a life: new, unchanged, a new version, a changed template, a VM that was deleted, absent."""
    add_app(bench.workspace)
    office, kiosk = template(), template("kiosk", (("Tool", "1.0"),), publish_mode="automatic")

    first = bench.agrees(office, kiosk)
    assert first["by_name"]["office"]["current"] is None
    assert first["by_name"]["office"]["template_action"] == "create"

    unchanged = bench.agrees(office, kiosk)
    assert not unchanged["would_change"]
    assert unchanged["diff"] == {"before": {}, "after": {}} if "diff" in unchanged else True
    [line] = unchanged["summary"]
    assert line.endswith("office, kiosk")

    # A version that an earlier step creates: the template with latest is published, and its older VM expires.
    version = bench.agrees(office, kiosk, keep=0, pending=[{"kind": "app", "name": "Tool", "version": "1.1"}])
    image = version["by_name"]["office"]
    assert image["changes"] == [{"kind": "app", "name": "Tool", "before": "1.0", "after": "1.1", "latest": True}]
    assert (image["planned"]["vm"], image["planned"]["image_digest"]) == (None, None)
    assert image["current"]["layers"][1] == {"kind": "app", "name": "Tool", "version": "1.0"}
    assert image["template_action"] == "change"
    assert len(image["remove_vms"]) == 1
    assert version["by_name"]["kiosk"]["publish"] is False

    # Only the template changed: with a new image, and without one.
    smaller, described = template(apps=()), template("kiosk", (("Tool", "1.0"),), description="In the lobby")
    changed = bench.agrees(smaller, described)
    assert changed["by_name"]["office"]["changes"] == [
        {"kind": "app", "name": "Tool", "before": "1.1", "after": None, "latest": False}
    ]
    assert changed["by_name"]["kiosk"]["template_changes"] == ["description"]
    assert changed["by_name"]["kiosk"]["publish"] is False
    assert changed["diff"]["after"]["image template kiosk"]["description"] == "In the lobby"

    # The VM of an unchanged image was deleted.
    lost = machines(bench.simulator)[changed["by_name"]["kiosk"]["current"]["vm"]]
    machine_of(bench.simulator.connect(), lost["moid"]).Destroy_Task()
    rebuilt = bench.agrees(smaller, described)
    assert rebuilt["by_name"]["kiosk"]["publish"] is True
    assert rebuilt["by_name"]["kiosk"]["changes"] == []
    assert "create" in rebuilt["by_name"]["kiosk"]["steps"]

    # A wrong template stops only itself, and a template is deleted.
    wrong = template("lab", (("Absent", "1"),))
    mixed = bench.agrees(template(), wrong, {"name": "kiosk", "state": "absent"})
    assert mixed["by_name"]["lab"]["error"]["code"] == "catalog.layer_missing"
    assert [(problem["kind"], problem["name"]) for problem in mixed["problems"]] == [("image_template", "lab")]
    assert mixed["by_name"]["kiosk"]["template_action"] == "delete"


def test_plan_reports_what_composing_refuses(bench):
    """The folder has the 8.3 name of a folder of the OS layer."""
    add_app(bench.workspace, tree={"PROGRA~1/tool.txt": "tool"})
    planned = bench.plan(template())["by_name"]["office"]
    assert planned["publish"] is False
    run("image_template", **bench.workspace.options, **template())
    done = attempt("layered_image_publish", **bench.workspace.options, **bench.vcenter, templates=["office"])
    assert done["failed"]
    assert planned["error"]["code"] == done["code"]


def test_plan_reports_manual_action_as_the_run_does(bench):
    """The snapshot of a published VM was removed."""
    add_app(bench.workspace)
    bench.carry_out(template())
    [name] = [name for name in machines(bench.simulator) if name.startswith("office-")]
    machine = machine_of(bench.simulator.connect(), machines(bench.simulator)[name]["moid"])
    machine.RemoveAllSnapshots_Task()
    planned = bench.plan(template())["by_name"]["office"]
    done = run("layered_image_publish", **bench.workspace.options, **bench.vcenter, templates=["office"])
    assert done["tasks"][0]["status"] == "ActionRequired"
    assert (planned["publish"], planned["action_required"]) == (None, done["tasks"][0]["description"])


def test_plan_of_pending_layers_looks_up_the_connector(bench):
    pending = [{"kind": "app", "name": "Tool", "version": "2", "os_layer": {"name": "Windows 11"}}]
    plan = bench.plan(template(), pending_layers=pending)
    assert plan["by_name"]["office"]["publish"] is True
    plan = bench.plan(template(), pending_layers=pending, placement={"datastore": "absent"})
    assert plan["by_name"]["office"]["error"]["code"] == "vsphere.not_found"
    assert plan["by_name"]["office"]["publish"] is False
