# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run goes on from what stands in vSphere, whatever the run before it left."""

from __future__ import annotations

import json
import shutil

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.integration.modules.conftest import add_app, add_template
from ansible_collections.strata.layering.tests.support.background import Background, eventually
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

STATE, FRESH = "strata.layering.state", "strata.layering.powered_on"


def publish(workspace, vcenter, **options) -> dict:
    """Publish the template office."""
    return run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], **options)


def methods(simulator) -> set[str]:
    """The calls that were made since the journal was cleared."""
    return {entry["method"] for entry in simulator.journal(kind="soap")}


@pytest.fixture
def left(workspace, vcenter, simulator):
    """Publishes an image, then makes its machine one that a run left in the state asked for and forgets the image."""
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
    """Publish: exactly one machine with one snapshot remains, and the next run changes nothing; returns the task."""
    done = publish(workspace, vcenter)
    task = done["tasks"][0]
    assert done["changed"] is True and task["status"] == "Complete"
    found = [machine for machine in simulator.machines() if not machine["template"]]
    assert [(machine["moid"], machine["power"], len(machine["snapshots"])) for machine in found] == [
        (task["vm"]["moid"], "poweredOff", 1)
    ]
    called = methods(simulator)
    assert publish(workspace, vcenter)["changed"] is False
    return task | {"called": called}


def test_a_machine_whose_disk_may_not_be_whole_is_made_anew(workspace, vcenter, simulator, left):
    vm = left("uploading")
    task = ends_well(workspace, vcenter, simulator)
    assert task["vm"]["moid"] != vm["moid"] and {"ImportVApp", "Destroy_Task"} <= task["called"]


def test_a_machine_that_never_ran_is_powered_on(workspace, vcenter, simulator, left):
    vm = left("ready", **{FRESH: "1000000"})
    task = ends_well(workspace, vcenter, simulator)
    assert (
        task["vm"]["moid"] == vm["moid"] and "PowerOnVM_Task" in task["called"] and "ImportVApp" not in task["called"]
    )


def test_a_machine_that_ran_before_that_could_be_noted_gets_its_snapshot(workspace, vcenter, simulator, left):
    vm = left("ready")
    task = ends_well(workspace, vcenter, simulator)
    assert task["vm"]["moid"] == vm["moid"] and "PowerOnVM_Task" not in task["called"]


def test_a_machine_that_is_off_after_its_scripts_gets_its_snapshot(workspace, vcenter, simulator, left):
    left("started")
    assert "PowerOnVM_Task" not in ends_well(workspace, vcenter, simulator)["called"]


def test_a_machine_whose_script_failed_is_powered_on_again(workspace, vcenter, simulator, left):
    left("failed")
    seen = workspace.path.parent / "guestinfo"
    simulator.guest(f'echo "$STRATA_VM_GUESTINFO" > {seen}')
    task = ends_well(workspace, vcenter, simulator)
    assert "PowerOnVM_Task" in task["called"]
    # Its guest was asked to say again that it has finished, the image's clones will not be.
    again = "guestinfo.strata.layering.again"
    assert json.loads(seen.read_text())[again] == task["content_digest"].removeprefix("sha256:")[:16]
    assert again not in {
        option.key for option in machine_of(simulator.connect(), task["vm"]["moid"]).config.extraConfig
    }


def test_a_finished_machine_gets_the_snapshot_that_is_missing(workspace, vcenter, simulator, left):
    left("complete")
    called = ends_well(workspace, vcenter, simulator)["called"]
    assert "CreateSnapshot_Task" in called and not called & {"PowerOnVM_Task", "ImportVApp"}


def test_a_finished_image_that_was_not_recorded_is_taken_over(workspace, vcenter, simulator, left):
    left("complete", snapshot=True)
    assert not ends_well(workspace, vcenter, simulator)["called"] & {
        "CreateSnapshot_Task",
        "PowerOnVM_Task",
        "ImportVApp",
    }


def test_an_image_whose_snapshot_was_removed_is_published_anew(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    vm = publish(workspace, vcenter)["tasks"][0]["vm"]
    WaitForTask(machine_of(simulator.connect(), vm["moid"]).RemoveAllSnapshots_Task())
    assert ends_well(workspace, vcenter, simulator)["vm"]["moid"] != vm["moid"]


def test_an_image_that_somebody_has_powered_on_is_left_alone(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    vm = publish(workspace, vcenter)["tasks"][0]["vm"]
    simulator.guest(mode="hang")
    machine = machine_of(simulator.connect(), vm["moid"])
    WaitForTask(machine.PowerOnVM_Task())
    again = publish(workspace, vcenter)
    assert (
        again["changed"] is False
        and again["tasks"][0]["status"] == "ActionRequired"
        and "switched on" in again["tasks"][0]["description"]
    )
    WaitForTask(machine.PowerOffVM_Task())
    assert publish(workspace, vcenter)["tasks"][0]["vm"]["moid"] == vm["moid"]
    assert {task["status"] for task in run("task_info", **workspace.options)["tasks"]} == {"Complete"}


@pytest.mark.parametrize("steps", [("ImportVApp", "poweredOff"), ("PowerOnVM_Task", "poweredOn")])
def test_a_composer_that_was_killed(workspace, vcenter, simulator, steps):
    """Killed while it uploads, or while the guest runs."""
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
                one
                for one in simulator.machines()
                if one["power"] == power and not one["template"] and method in methods(simulator)
            ]
        )
        running.kill()
    assert run("task_info", **workspace.options)["tasks"][0]["status"] == "Running"
    first = machines(simulator)
    task = ends_well(workspace, vcenter, simulator)
    assert (task["vm"]["name"] in first and first[task["vm"]["name"]]["moid"] == task["vm"]["moid"]) is (
        method == "PowerOnVM_Task"
    )
    assert len(run("task_info", **workspace.options)["tasks"]) == 1
    assert not any(lease["state"] in ("ready", "initializing") for lease in simulator.leases())


def test_what_may_pass_is_tried_again(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    simulator.rules.add("CreateSnapshot_Task", fault="HostCommunication", task=True, count=2)
    done = publish(workspace, vcenter, retry_pause=0)
    assert done["tasks"][0]["status"] == "Complete" and any(
        "tried again" in sentence for sentence in done["tasks"][0]["warnings"]
    )
    assert len([entry for entry in simulator.journal(kind="soap") if entry["method"] == "PowerOnVM_Task"]) == 1


def test_an_image_whose_run_failed_at_the_very_end_gets_its_complete_task(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    task = publish(workspace, vcenter)["tasks"][0]
    catalog = Repository.open(workspace.options["repository"]).catalog
    name, document = next(iter(catalog.documents("task")))
    catalog.put("task", name, document | {"status": "Failed"})
    looked = publish(workspace, vcenter, check=True)
    done = publish(workspace, vcenter)
    assert looked["changed"] and done["changed"] and done["tasks"][0]["vm"] == task["vm"]
    found = run("task_info", **workspace.options, template="office")["tasks"]
    assert sorted(one["status"] for one in found) == ["Complete", "Failed"]
    assert publish(workspace, vcenter)["changed"] is False


def link_clone(session, simulator, name: str) -> None:
    """Make a machine ``clone`` whose disk stands on that of another."""
    found = machine_of(session, machines(simulator)[name]["moid"])
    disk = next(device for device in found.config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk))
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    parent = backing(diskMode="persistent", fileName=disk.backing.fileName)
    child = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=-2,
        unitNumber=0,
        capacityInKB=disk.capacityInKB,
        backing=backing(diskMode="persistent", fileName="[LocalDS_0] clone/clone.vmdk", parent=parent),
    )
    golden = machine_of(session, machines(simulator)["windows-template"]["moid"])
    WaitForTask(
        golden.CloneVM_Task(
            golden.parent,
            "clone",
            vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=found.resourcePool), template=False),
        )
    )
    clone = machine_of(session, machines(simulator)["clone"]["moid"])
    controller = vim.vm.device.VirtualDeviceSpec(
        operation="add", device=vim.vm.device.ParaVirtualSCSIController(key=-2, busNumber=3, sharedBus="noSharing")
    )
    added = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=child)
    WaitForTask(clone.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[controller, added])))


def test_older_machines_stay_while_clones_depend_on_them_or_they_run(workspace, vcenter, simulator):
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
    assert {names[0], names[1], names[3], "clone"} <= kept and names[2] not in kept
    assert all(
        any(part in sentence for sentence in done["tasks"][0]["warnings"])
        for part in ("clone depend on it", "not switched off")
    )
    again = publish(workspace, vcenter, keep=0)
    assert again["changed"] is False and len(run("layered_image_info", **workspace.options)["images"]) == 3
