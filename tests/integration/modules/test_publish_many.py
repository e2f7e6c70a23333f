# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing several templates in parallel, and canceling."""

from __future__ import annotations

import os

from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.tests.support.background import Background, eventually
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

NAMES = ("one", "two", "three")


def unfinished(simulator) -> list[str]:
    """Return the names of all VMs except templates."""
    return [machine["name"] for machine in simulator.machines() if not machine["template"]]


def stuck(simulator) -> dict | None:
    """Return the VM that runs."""
    return next((machine for machine in simulator.machines() if machine["power"] == "poweredOn"), None)


def test_publish_several_templates_runs_at_most_parallel(workspace, vcenter, simulator):
    simulator.guest("sleep 2")
    add_app(workspace)
    for name in NAMES:
        add_template(workspace, name, disk_size_gb=4 + NAMES.index(name))
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=list(NAMES), parallel=2)
    assert [task["template"] for task in done["tasks"]] == list(NAMES)
    assert {task["status"] for task in done["tasks"]} == {"Complete"}
    events = [
        entry["method"]
        for entry in simulator.journal(kind="soap")
        if entry["method"] in ("PowerOnMultiVM_Task", "CreateSnapshot_Task") and not entry.get("fault")
    ]
    # Two ran at the same time; the third started when the first had its snapshot.
    assert events[:3] == ["PowerOnMultiVM_Task", "PowerOnMultiVM_Task", "CreateSnapshot_Task"]
    assert events.count("CreateSnapshot_Task") == 3
    again = run("layered_image_publish", **workspace.options, **vcenter, templates=list(NAMES))
    assert again["changed"] is False


def test_publish_one_template_fails_publishes_the_others(workspace, vcenter, simulator):
    add_app(workspace)
    digests = {name: add_template(workspace, name)["template"]["image_digest"] for name in NAMES}
    simulator.rules.add("CreateSnapshot_Task", object=f"two-{digests['two'][7:15]}", fault="NoPermission", count=None)
    result = attempt("layered_image_publish", **workspace.options, **vcenter, templates=[*NAMES, "nowhere"], retries=0)
    assert result["failed"]
    assert [task["status"] for task in result["details"]["tasks"]] == [
        "Complete",
        "Failed",
        "Complete",
        "Failed",
    ]
    assert result["details"]["tasks"][3]["template"] == "nowhere"
    simulator.rules.clear()
    assert (
        run("layered_image_publish", **workspace.options, **vcenter, templates=list(NAMES))["tasks"][1]["status"]
        == "Complete"
    )
    assert len(unfinished(simulator)) == 3


def test_publish_locked_template_fails(workspace, vcenter, simulator):
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


def test_cancel_running_publish(workspace, vcenter, simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace)
    before = state_of(workspace.path)
    options = {**workspace.options, **vcenter, "templates": ["office"], "state": "canceled"}
    assert run("layered_image_publish", **options)["changed"] is False
    assert state_of(workspace.path) == before
    with Background(
        "layered_image_publish", **workspace.options, **vcenter, templates=["office"], script_timeout=1
    ) as running:
        eventually(lambda: stuck(simulator))
        done = run("layered_image_publish", **options, comment="not today")
        assert done["changed"] is True
        assert done["tasks"][0]["status"] == "Canceled"
        task = running.result()["tasks"][0]
    assert task["status"] == "Canceled"
    assert "not today" in task["description"]
    assert unfinished(simulator) == []
    assert os.listdir(workspace.path / "catalog" / "cancellation") == []
    assert run("layered_image_publish", **options)["changed"] is False
    simulator.guest("true")
    assert (
        run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]["status"]
        == "Complete"
    )
    assert run("layered_image_publish", **options)["changed"] is False
    assert len(unfinished(simulator)) == 1


def test_cancel_upload(workspace, vcenter, simulator):
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
    assert unfinished(simulator) == []
    assert not any(lease["state"] == "ready" for lease in simulator.leases())


def test_cancel_unknown_template_fails(workspace, vcenter, simulator):
    """A misspelled name is an error; the publishing of a template that was removed can be canceled."""
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


def test_cancel_publish_that_requires_action(workspace, vcenter, simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace, publish_mode="manual")
    run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])

    def look() -> tuple:
        return machines(simulator), state_of(workspace.path)

    done = converges(
        "layered_image_publish", look, **workspace.options, **vcenter, templates=["office"], state="canceled"
    )
    assert done["tasks"][0]["status"] == "Canceled"
    assert unfinished(simulator) == []
    assert run("task_info", **workspace.options, status=["Canceled"])["tasks"][0]["template"] == "office"


def test_publish_changed_template_removes_the_unfinished_vm(workspace, vcenter, simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_app(workspace, version="1.1")
    add_template(workspace, publish_mode="manual")
    first = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    simulator.guest("true")
    add_template(workspace, apps=(("Tool", "1.1"),))
    second = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    assert second["status"] == "Complete"
    assert unfinished(simulator) == [second["vm"]["name"]] != [first["vm"]["name"]]
    assert {task["id"]: task["status"] for task in run("task_info", **workspace.options)["tasks"]} == {
        first["id"]: "Canceled",
        second["id"]: "Complete",
    }


def test_publish_changed_template_keeps_clones_of_the_unfinished_vm(workspace, vcenter, simulator):
    """A clone has the metadata of the VM that it was cloned from."""
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
    assert task["status"] == "Complete"
    assert set(unfinished(simulator)) == {task["vm"]["name"], "office-copy"}
