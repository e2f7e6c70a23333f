# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run resumes from the state in vSphere, however the previous run ended."""

from __future__ import annotations

import json
import shutil

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.background import Background, eventually
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import fails, run
from ansible_collections.strata.layering.tests.support.vcenter import link_clone, machine_of, machines

STATE, FRESH = "strata.layering.state", "strata.layering.powered_on"


def publish(workspace, vcenter, **options) -> dict:
    """Publish the template office."""
    return run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], **options)


def methods(simulator) -> set[str]:
    """Return the calls since the journal was cleared."""
    return {entry["method"] for entry in simulator.journal(kind="soap")}


@pytest.fixture
def left(workspace, vcenter, simulator):
    """Publishes an image, then puts its VM into the state in which an interrupted run leaves it, and removes the records."""
    add_app(workspace)
    add_template(workspace)
    task = publish(workspace, vcenter)["tasks"][0]
    machine = machine_of(simulator.connect(), task["vm"]["moid"])

    def leave(state: str, *, snapshot: bool = False, **settings: str) -> dict:
        if not snapshot:
            WaitForTask(machine.RemoveAllSnapshots_Task())
        options = [vim.option.OptionValue(key=key, value=value) for key, value in {STATE: state, **settings}.items()]
        WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=options)))
        shutil.rmtree(workspace.path / "catalog" / "image")
        shutil.rmtree(workspace.path / "catalog" / "task")
        simulator.clear_journal()
        return task["vm"]

    return leave


def ends_well(workspace, vcenter, simulator) -> dict:
    """Publish: exactly one VM with one snapshot remains, and the next run changes nothing; return the task."""
    done = publish(workspace, vcenter)
    task = done["tasks"][0]
    assert done["changed"] is True
    assert task["status"] == "Complete"
    found = [machine for machine in simulator.machines() if not machine["template"]]
    assert [(machine["moid"], machine["power"], len(machine["snapshots"])) for machine in found] == [
        (task["vm"]["moid"], "poweredOff", 1)
    ]
    called = methods(simulator)
    assert publish(workspace, vcenter)["changed"] is False
    return task | {"called": called}


def test_resume_incomplete_disk_creates_the_vm_again(workspace, vcenter, simulator, left):
    vm = left("uploading")
    task = ends_well(workspace, vcenter, simulator)
    assert task["vm"]["moid"] != vm["moid"]
    assert {"ImportVApp", "Destroy_Task"} <= task["called"]


def test_resume_vm_that_never_ran_powers_it_on(workspace, vcenter, simulator, left):
    vm = left("ready", **{FRESH: "1000000"})
    task = ends_well(workspace, vcenter, simulator)
    assert task["vm"]["moid"] == vm["moid"]
    assert "PowerOnMultiVM_Task" in task["called"]
    assert "ImportVApp" not in task["called"]


def test_resume_vm_that_ran_unrecorded_takes_the_snapshot(workspace, vcenter, simulator, left):
    vm = left("ready")
    task = ends_well(workspace, vcenter, simulator)
    assert task["vm"]["moid"] == vm["moid"]
    assert "PowerOnMultiVM_Task" not in task["called"]


def test_resume_stopped_vm_takes_the_snapshot(workspace, vcenter, simulator, left):
    left("started")
    assert "PowerOnMultiVM_Task" not in ends_well(workspace, vcenter, simulator)["called"]


def test_resume_failed_script_powers_the_vm_on_again(workspace, vcenter, simulator, left):
    left("failed")
    seen = workspace.path.parent / "guestinfo"
    simulator.guest(f'echo "$STRATA_VM_GUESTINFO" > {seen}')
    task = ends_well(workspace, vcenter, simulator)
    assert "PowerOnMultiVM_Task" in task["called"]
    # The guest was asked to repeat its report; clones of the image are not asked.
    again = "guestinfo.strata.layering.again"
    assert json.loads(seen.read_text())[again] == task["content_digest"].removeprefix("sha256:")[:16]
    assert again not in {
        option.key for option in machine_of(simulator.connect(), task["vm"]["moid"]).config.extraConfig
    }


def test_resume_finished_vm_takes_the_missing_snapshot(workspace, vcenter, simulator, left):
    left("complete")
    called = ends_well(workspace, vcenter, simulator)["called"]
    assert "CreateSnapshot_Task" in called
    assert not called & {"PowerOnMultiVM_Task", "ImportVApp"}


def test_resume_unrecorded_image_records_it(workspace, vcenter, simulator, left):
    left("complete", snapshot=True)
    assert not ends_well(workspace, vcenter, simulator)["called"] & {
        "CreateSnapshot_Task",
        "PowerOnMultiVM_Task",
        "ImportVApp",
    }


def set_settings(machine, settings: dict[str, str]) -> None:
    options = [vim.option.OptionValue(key=key, value=value) for key, value in settings.items()]
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=options)))


def move(machine) -> None:
    """Rename a VM and move it to a new folder."""
    WaitForTask(machine.Rename_Task("golden"))
    WaitForTask(machine.parent.CreateFolder("Kept").MoveIntoFolder_Task([machine]))


CHANGES = {
    "template": (lambda machine: machine.MarkAsTemplate(), False),
    "moved template": (lambda machine: machine.MarkAsTemplate(), True),
    "snapshot removed, moved": (lambda machine: WaitForTask(machine.RemoveAllSnapshots_Task()), True),
    "state of an incomplete disk": (lambda machine: set_settings(machine, {STATE: "uploading"}), False),
    "digest changed, moved": (lambda machine: set_settings(machine, {"strata.layering.image_digest": "x"}), True),
}


@pytest.mark.parametrize(("change", "moved"), CHANGES.values(), ids=CHANGES)
def test_changed_image_is_kept_and_requires_action(workspace, vcenter, simulator, change, moved):
    add_app(workspace)
    add_template(workspace)
    vm = publish(workspace, vcenter)["tasks"][0]["vm"]
    machine = machine_of(simulator.connect(), vm["moid"])
    change(machine)
    if moved:
        move(machine)
    simulator.clear_journal()
    looked = publish(workspace, vcenter, check=True)
    required = publish(workspace, vcenter, keep=0)
    for done in (looked, required):
        assert done["changed"] is False
        assert done["tasks"][0]["status"] == "ActionRequired"
        assert done["tasks"][0]["vm"]["moid"] == vm["moid"]
    # A new name of the VM makes a different image; the changed VM is then an older image.
    publish(workspace, vcenter, state="canceled")
    assert not methods(simulator) & {"Destroy_Task", "ImportVApp", "ReconfigVM_Task", "PowerOffVM_Task"}
    add_template(workspace, vm_name="second")
    second = publish(workspace, vcenter, keep=0)
    assert second["tasks"][0]["status"] == "Complete"
    assert {vm["moid"], second["tasks"][0]["vm"]["moid"]} <= {found["moid"] for found in simulator.machines()}
    assert second["tasks"][0]["warnings"]
    assert len(run("layered_image_info", **workspace.options)["images"]) == 2


def test_moved_image_is_unchanged(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    vm = publish(workspace, vcenter)["tasks"][0]["vm"]
    move(machine_of(simulator.connect(), vm["moid"]))
    again = publish(workspace, vcenter)
    assert again["changed"] is False
    assert again["tasks"][0]["vm"] == vm | {"name": "golden", "path": "/DC0/vm/Images/Desktops/Kept/golden"}


def test_image_without_settings_is_published_again(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    vm = publish(workspace, vcenter)["tasks"][0]["vm"]
    machine = machine_of(simulator.connect(), vm["moid"])
    marks = {entry.key: "" for entry in machine.config.extraConfig if entry.key.startswith("strata.layering.")}
    set_settings(machine, marks)
    fails("layered_image_publish", "publish.name_in_use", **workspace.options, **vcenter, templates=["office"])
    WaitForTask(machine.Rename_Task("golden"))
    # vcsim does not create a VM in the folder of another VM's files; vCenter uses a different folder.
    planned = publish(workspace, vcenter, check=True)
    assert planned["changed"] is True
    assert planned["tasks"][0]["vm"] == {"name": vm["name"]}
    assert planned["warnings"]


def test_leftover_that_was_changed_is_kept(workspace, vcenter, simulator, left):
    """An unfinished VM of an earlier form of the template that no task records is removed only while its settings prove that."""
    left("kept")
    kept = next(found["moid"] for found in simulator.machines() if not found["template"])
    add_template(workspace, description="changed", disk_size_gb=1)
    publish(workspace, vcenter)
    assert kept in {found["moid"] for found in simulator.machines()}


def test_publish_powered_on_image_requires_action(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    vm = publish(workspace, vcenter)["tasks"][0]["vm"]
    simulator.guest(mode="hang")
    machine = machine_of(simulator.connect(), vm["moid"])
    WaitForTask(machine.PowerOnVM_Task())
    again = publish(workspace, vcenter)
    assert again["changed"] is False
    assert again["tasks"][0]["status"] == "ActionRequired"
    assert "is powered on" in again["tasks"][0]["description"]
    WaitForTask(machine.PowerOffVM_Task())
    assert publish(workspace, vcenter)["tasks"][0]["vm"]["moid"] == vm["moid"]
    assert {task["status"] for task in run("task_info", **workspace.options)["tasks"]} == {"Complete"}


@pytest.mark.parametrize("steps", [("ImportVApp", "poweredOff"), ("PowerOnMultiVM_Task", "poweredOn")])
def test_resume_killed_composer(workspace, vcenter, simulator, steps):
    """The composer is killed during the upload, or while the guest runs."""
    method, power = steps
    add_app(workspace)
    add_template(workspace)
    simulator.settings(lease_timeout=2)
    simulator.guest("sleep 2")
    if method == "ImportVApp":
        simulator.rules.add("NFC:PUT", after_bytes=1000, delay_ms=1500)
    with Background("layered_image_publish", **workspace.options, **vcenter, templates=["office"]) as running:
        eventually(
            lambda: [
                machine
                for machine in simulator.machines()
                if machine["power"] == power and not machine["template"] and method in methods(simulator)
            ]
        )
        assert [task["alive"] for task in run("task_info", **workspace.options)["tasks"]] == [True]
        running.kill()
    interrupted = run("task_info", **workspace.options)["tasks"][0]
    assert (interrupted["status"], interrupted["alive"]) == ("Running", False)
    first = machines(simulator)
    task = ends_well(workspace, vcenter, simulator)
    assert (task["vm"]["name"] in first and first[task["vm"]["name"]]["moid"] == task["vm"]["moid"]) is (
        method == "PowerOnMultiVM_Task"
    )
    assert len(run("task_info", **workspace.options)["tasks"]) == 1
    assert not any(lease["state"] in ("ready", "initializing") for lease in simulator.leases())


def test_publish_transient_error_is_retried(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    simulator.rules.add("CreateSnapshot_Task", fault="HostCommunication", task=True, count=2)
    done = publish(workspace, vcenter, retry_pause=0)
    assert done["tasks"][0]["status"] == "Complete"
    assert any("tried again" in sentence for sentence in done["tasks"][0]["warnings"])
    assert len([entry for entry in simulator.journal(kind="soap") if entry["method"] == "PowerOnMultiVM_Task"]) == 1


def test_publish_lost_completion_creates_a_complete_task(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    task = publish(workspace, vcenter)["tasks"][0]
    catalog = Repository.open(workspace.options["repository"]).catalog
    name, document = next(iter(catalog.documents("task")))
    catalog.put("task", name, document | {"status": "Failed"})
    looked = publish(workspace, vcenter, check=True)
    done = publish(workspace, vcenter)
    assert looked["changed"]
    assert done["changed"]
    assert done["tasks"][0]["vm"] == task["vm"]
    found = run("task_info", **workspace.options, template="office")["tasks"]
    assert sorted(task["status"] for task in found) == ["Complete", "Failed"]
    assert publish(workspace, vcenter)["changed"] is False


def test_cancel_unknown_template_fails_before_the_login(workspace, vcenter):
    options = vcenter | {"password": "wrong", "templates": ["unknown"], "state": "canceled"}
    fails("layered_image_publish", "repository.catalog_missing", **workspace.options, **options)


@pytest.mark.parametrize("running", [False, True])
def test_cancel_keeps_an_image_without_its_snapshot(workspace, vcenter, simulator, running):
    add_app(workspace)
    add_template(workspace)
    vm = publish(workspace, vcenter)["tasks"][0]["vm"]
    machine = machine_of(simulator.connect(), vm["moid"])
    WaitForTask(machine.RemoveAllSnapshots_Task())
    if running:
        simulator.guest(mode="hang")
        WaitForTask(machine.PowerOnVM_Task())
    required = publish(workspace, vcenter)["tasks"][0]
    assert required["status"] == "ActionRequired"
    assert required["vm"]["moid"] == vm["moid"]
    assert publish(workspace, vcenter, state="canceled", check=True)["warnings"]
    canceled = publish(workspace, vcenter, state="canceled")
    assert canceled["tasks"][0]["status"] == "Canceled"
    assert canceled["warnings"]
    assert machines(simulator)[vm["name"]]["moid"] == vm["moid"]


def test_retention_keeps_vms_with_clones_and_running_vms(workspace, vcenter, simulator):
    simulator.guest("true")
    names = []
    for version in ("1.0", "1.1", "1.2", "1.3"):
        add_app(workspace, version=version)
        add_template(workspace, apps=(("Tool", version),))
        done = publish(workspace, vcenter, **({"keep": 0} if version == "1.3" else {}))
        names.append(done["tasks"][0]["vm"]["name"])
        if version == "1.2":
            session = simulator.connect()
            link_clone(session, simulator, names[0])
            simulator.guest(mode="hang")
            WaitForTask(machine_of(session, machines(simulator)[names[1]]["moid"]).PowerOnVM_Task())
            simulator.guest("true")
    kept = machines(simulator).keys()
    assert {names[0], names[1], names[3], "clone"} <= kept
    assert names[2] not in kept
    assert all(
        any(part in sentence for sentence in done["tasks"][0]["warnings"])
        for part in ("clone depends on its disk", "not powered off")
    )
    again = publish(workspace, vcenter, keep=0)
    assert again["changed"] is False
    assert len(run("layered_image_info", **workspace.options)["images"]) == 3
