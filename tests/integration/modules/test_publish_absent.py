# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State absent removes the published and unfinished VMs of a template, or nothing."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask

from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import link_clone, machine_of, machines


def publish(workspace, vcenter, **options) -> dict:
    """Publish the template office, or remove its images."""
    return run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], **options)


def names(simulator) -> list[str]:
    """Return the names of all VMs except templates."""
    return [machine["name"] for machine in simulator.machines() if not machine["template"]]


@pytest.fixture
def look(workspace, simulator):
    return lambda: (machines(simulator), state_of(workspace.path))


def test_absent_removes_every_image_of_a_deleted_template(workspace, vcenter, simulator, look):
    vms = []
    for version in ("1.0", "1.1"):
        add_app(workspace, version=version)
        add_template(workspace, apps=(("Tool", version),))
        vms.append(publish(workspace, vcenter)["tasks"][0]["vm"])
    run("image_template", **workspace.options, name="office", state="absent")
    absent = {**workspace.options, **vcenter, "templates": ["office"], "state": "absent"}
    planned = run("layered_image_publish", check=True, **absent)
    done = converges("layered_image_publish", look, **absent)
    for result in (planned, done):
        assert sorted(vm["moid"] for vm in result["removed"]) == sorted(vm["moid"] for vm in vms)
        assert all(vm["template"] == "office" for vm in result["removed"])
    assert not names(simulator)
    assert not run("layered_image_info", **workspace.options)["images"]
    record = run("audit_info", **workspace.options)["records"][0]
    assert (record["action"], record["kind"], record["name"]) == ("delete", "image", "office")
    assert len(record["details"]["vms"]) == 2


def test_absent_removes_an_unfinished_vm_and_ends_its_task(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace, publish_mode="manual")
    simulator.guest(mode="hang")
    assert publish(workspace, vcenter)["tasks"][0]["status"] == "ActionRequired"
    assert publish(workspace, vcenter, state="absent")["changed"]
    assert not names(simulator)
    assert [task["status"] for task in run("task_info", **workspace.options)["tasks"]] == ["Canceled"]
    assert not publish(workspace, vcenter, state="absent")["changed"]


def power_on(simulator, machine) -> None:
    simulator.guest(mode="hang")
    WaitForTask(machine.PowerOnVM_Task())


CHANGES = {
    "clone": lambda simulator, machine: link_clone(simulator.connect(), simulator, machine.name),
    "powered on": power_on,
    "template": lambda _simulator, machine: machine.MarkAsTemplate(),
    "renamed": lambda _simulator, machine: WaitForTask(machine.Rename_Task("golden")),
    "without snapshot": lambda _simulator, machine: WaitForTask(machine.RemoveAllSnapshots_Task()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_absent_of_a_vm_in_use_removes_nothing(workspace, vcenter, simulator, look, change):
    add_app(workspace)
    add_template(workspace)
    vm = publish(workspace, vcenter)["tasks"][0]["vm"]
    change(simulator, machine_of(simulator.connect(), vm["moid"]))
    before = look()
    options = {**workspace.options, **vcenter, "templates": ["office"], "state": "absent"}
    for check in (True, False):
        failed = fails("layered_image_publish", "publish.not_removable", check=check, **options)
        assert failed["details"]["vms"][0]["moid"] == vm["moid"]
    assert look() == before


def test_absent_of_a_vm_that_was_deleted_forgets_the_image(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    vm = publish(workspace, vcenter)["tasks"][0]["vm"]
    WaitForTask(machine_of(simulator.connect(), vm["moid"]).Destroy_Task())
    done = publish(workspace, vcenter, state="absent")
    assert done["changed"]
    assert not done["removed"]
    assert not run("layered_image_info", **workspace.options)["images"]


def test_absent_of_an_unknown_template_warns(workspace, vcenter):
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=["ofice"], state="absent")
    assert done["changed"] is False
    assert done["warnings"]
