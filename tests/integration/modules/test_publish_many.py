# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several publishings at once, and canceling them."""

from __future__ import annotations

import os

from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.tests.integration.modules.conftest import add_app, add_template
from ansible_collections.strata.layering.tests.support.background import Background, eventually
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

NAMES = ("one", "two", "three")


def unfinished(simulator) -> list[str]:
    """Names of all machines that are no templates."""
    return [machine["name"] for machine in simulator.machines() if not machine["template"]]


def stuck(simulator) -> dict | None:
    """The machine that runs."""
    return next((machine for machine in simulator.machines() if machine["power"] == "poweredOn"), None)


def test_templates_are_published_side_by_side_within_a_bound(workspace, vcenter, simulator):
    simulator.guest("sleep 2")
    add_app(workspace)
    for name in NAMES:
        add_template(workspace, name, disk_size_gb=4 + NAMES.index(name))
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=list(NAMES), parallel=2)
    assert [task["template"] for task in done["tasks"]] == list(NAMES) and {
        task["status"] for task in done["tasks"]
    } == {"Complete"}
    events = [
        entry["method"]
        for entry in simulator.journal(kind="soap")
        if entry["method"] in ("PowerOnVM_Task", "CreateSnapshot_Task")
    ]
    # Two ran before the first was done, and the third only after that.
    assert (
        events[:3] == ["PowerOnVM_Task", "PowerOnVM_Task", "CreateSnapshot_Task"]
        and events.count("CreateSnapshot_Task") == 3
    )
    again = run("layered_image_publish", **workspace.options, **vcenter, templates=list(NAMES))
    assert again["changed"] is False


def test_one_that_fails_keeps_no_other_from_being_published(workspace, vcenter, simulator):
    add_app(workspace)
    digests = {name: add_template(workspace, name)["template"]["image_digest"] for name in NAMES}
    simulator.rules.add("CreateSnapshot_Task", object=f"two-{digests['two'][7:15]}", fault="NoPermission", count=None)
    result = attempt("layered_image_publish", **workspace.options, **vcenter, templates=[*NAMES, "nowhere"], retries=0)
    assert result["failed"] and [task["status"] for task in result["details"]["tasks"]] == [
        "Complete",
        "Failed",
        "Complete",
        "Failed",
    ]
    assert "nowhere" in result["details"]["tasks"][3]["description"] and "1 more of the 4" in result["msg"]
    simulator.rules.clear()
    assert (
        run("layered_image_publish", **workspace.options, **vcenter, templates=list(NAMES))["tasks"][1]["status"]
        == "Complete"
    )
    assert len(unfinished(simulator)) == 3


def test_two_composers_do_not_publish_the_same_template(workspace, vcenter, simulator):
    simulator.guest("sleep 3")
    add_app(workspace)
    add_template(workspace)
    with Background("layered_image_publish", **workspace.options, **vcenter, templates=["office"]) as first:
        eventually(lambda: stuck(simulator))
        second = fails(
            "layered_image_publish", "repository.lock_held", **workspace.options, **vcenter, templates=["office"]
        )
        assert "publish office" in second["msg"]
        assert first.result()["tasks"][0]["status"] == "Complete"
    assert len(unfinished(simulator)) == 1


def test_a_publishing_that_runs_is_canceled(workspace, vcenter, simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace)
    before = state_of(workspace.path)
    options = {**workspace.options, **vcenter, "templates": ["office"], "state": "canceled"}
    assert run("layered_image_publish", **options)["changed"] is False and state_of(workspace.path) == before
    with Background(
        "layered_image_publish", **workspace.options, **vcenter, templates=["office"], script_timeout=1
    ) as running:
        eventually(lambda: stuck(simulator))
        done = run("layered_image_publish", **options, comment="not today")
        assert done["changed"] is True and done["tasks"][0]["status"] == "Canceled"
        task = running.result()["tasks"][0]
    assert task["status"] == "Canceled" and "not today" in task["description"]
    assert unfinished(simulator) == [] and os.listdir(workspace.path / "catalog" / "cancellation") == []
    assert run("layered_image_publish", **options)["changed"] is False
    simulator.guest("true")
    assert (
        run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]["status"]
        == "Complete"
    )
    assert run("layered_image_publish", **options)["changed"] is False and len(unfinished(simulator)) == 1


def test_an_upload_is_canceled(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    simulator.rules.add("NFC:PUT", after_bytes=1000, delay_ms=4000)
    with Background("layered_image_publish", **workspace.options, **vcenter, templates=["office"]) as running:
        eventually(lambda: [lease for lease in simulator.leases() if lease["state"] == "ready"])
        assert (
            run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], state="canceled")[
                "changed"
            ]
            is True
        )
        assert running.result()["tasks"][0]["status"] == "Canceled"
    assert unfinished(simulator) == [] and not any(lease["state"] == "ready" for lease in simulator.leases())


def test_a_template_that_nobody_knows_is_not_canceled(workspace, vcenter, simulator):
    """A mistake in writing must not look as if there were nothing to cancel; what is left of a template that was removed can be."""
    for check in (True, False):
        result = fails(
            "layered_image_publish",
            "repository.catalog_missing",
            check=check,
            **workspace.options,
            **vcenter,
            templates=["ofice"],
            state="canceled",
        )
        assert "ofice" in result["msg"]
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace, publish_mode="manual")
    run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    run("image_template", **workspace.options, name="office", state="absent")
    assert (
        run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], state="canceled")["tasks"][
            0
        ]["status"]
        == "Canceled"
    )
    assert unfinished(simulator) == []


def test_what_waits_for_a_person_is_canceled_at_once(workspace, vcenter, simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace, publish_mode="manual")
    run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])

    def look() -> tuple:
        return machines(simulator), state_of(workspace.path)

    done = converges(
        "layered_image_publish", look, **workspace.options, **vcenter, templates=["office"], state="canceled"
    )
    assert done["tasks"][0]["status"] == "Canceled" and unfinished(simulator) == []
    assert run("task_info", **workspace.options, status=["Canceled"])["tasks"][0]["template"] == "office"


def test_a_changed_template_leaves_no_unfinished_machine(workspace, vcenter, simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_app(workspace, version="1.1")
    add_template(workspace, publish_mode="manual")
    first = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    simulator.guest("true")
    add_template(workspace, apps=(("Tool", "1.1"),))
    second = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    assert second["status"] == "Complete" and unfinished(simulator) == [second["vm"]["name"]] != [first["vm"]["name"]]
    assert {task["id"]: task["status"] for task in run("task_info", **workspace.options)["tasks"]} == {
        first["id"]: "Canceled",
        second["id"]: "Complete",
    }


def test_what_somebody_has_cloned_from_an_unfinished_machine_stays(workspace, vcenter, simulator):
    """A clone has the marks of the machine that it was made from."""
    simulator.guest(mode="hang")
    add_app(workspace)
    add_app(workspace, version="1.1")
    add_template(workspace, publish_mode="manual")
    vm = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]["vm"]
    machine = machine_of(simulator.connect(), vm["moid"])
    WaitForTask(machine.PowerOffVM_Task())
    where = vim.vm.RelocateSpec(pool=machine.resourcePool)
    WaitForTask(
        machine.CloneVM_Task(
            machine.parent, "office-copy", vim.vm.CloneSpec(location=where, template=False, powerOn=False)
        )
    )
    simulator.guest("true")
    add_template(workspace, apps=(("Tool", "1.1"),))
    task = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    assert task["status"] == "Complete" and set(unfinished(simulator)) == {task["vm"]["name"], "office-copy"}
