# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of publishing, and the next run after each way in which a run can end."""

from __future__ import annotations

import json

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

SCRIPTS = "guestinfo.strata.layering.scripts."


@pytest.fixture
def office(workspace):
    """The document of the template office."""
    add_app(workspace)
    return add_template(workspace)["template"]


def reports(template: dict, **values: str) -> str:
    """Return the shell command with which a guest reports about the scripts of a template's image."""
    values = {"image": template["content_digest"].partition(":")[2][:16]} | values
    return "; ".join(f"echo '{SCRIPTS}{key}={value}'" for key, value in values.items())


def power_off(simulator, vm: dict) -> None:
    """Power a VM off and drop its guest's report, as ESXi hosts do."""
    WaitForTask(machine_of(simulator.connect(), vm["moid"]).PowerOffVM_Task())
    simulator.set_guestinfo(
        vm["name"], dict.fromkeys([f"{SCRIPTS}{key}" for key in ("image", "state", "current", "code", "output")], "")
    )


def publish(workspace, vcenter, **options) -> dict:
    """Publish the template office; return its task."""
    return run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], **options)["tasks"][0]


def test_publish_manual_mode_requires_action_until_the_vm_is_off(workspace, vcenter, simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace, publish_mode="manual")

    def look() -> tuple:
        return machines(simulator), state_of(workspace.path)

    task = converges("layered_image_publish", look, **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    assert task["status"] == "ActionRequired"
    assert task["step"] == "power_on"
    machine = machines(simulator)[task["vm"]["name"]]
    assert task["vm"]["name"] in task["description"]
    assert "/DC0/vm/Images/Desktops" in task["description"]
    assert machine["power"] == "poweredOn"
    assert not machine["snapshots"]
    # Shutting Windows down too early would interrupt the scripts.
    assert "until the scripts of the image have ended" in task["description"]
    mark = {
        f"{SCRIPTS}image": task["content_digest"].partition(":")[2][:16],
        f"{SCRIPTS}state": "running",
        f"{SCRIPTS}current": "1/2 app layer Tool 1.0",
    }
    simulator.set_guestinfo(task["vm"]["name"], mark)
    assert "(1/2 app layer Tool 1.0 runs now)" in publish(workspace, vcenter)["description"]
    simulator.set_guestinfo(task["vm"]["name"], dict.fromkeys(mark, ""))
    WaitForTask(machine_of(simulator.connect(), task["vm"]["moid"]).PowerOffVM_Task())
    done = converges("layered_image_publish", look, **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    assert done["status"] == "Complete"
    assert done["id"] == task["id"]
    assert done["vm"]["moid"] == task["vm"]["moid"]


def test_publish_script_fails_requires_action(workspace, vcenter, simulator, office):
    failing = {"state": "failed", "current": "1/2 app layer Tool 1.0", "code": "5", "output": "no license server"}
    simulator.guest(reports(office, **failing) + "; sleep 600")
    task = publish(workspace, vcenter)
    assert task["status"] == "ActionRequired"
    assert not machines(simulator)[task["vm"]["name"]]["snapshots"]
    for part in ("app layer Tool 1.0", "exit code 5", "no license server", task["vm"]["name"]):
        assert part in task["description"]
    again = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    assert again["changed"] is False
    assert again["tasks"][0]["description"] == task["description"]
    # The cause is corrected and the VM powered off: the next run starts it again.
    WaitForTask(machine_of(simulator.connect(), task["vm"]["moid"]).PowerOffVM_Task())
    simulator.guest(
        reports(office, state="running", current="1/2 app layer Tool 1.0")
        + "; sleep 1; "
        + reports(office, state="finished")
    )
    done = publish(workspace, vcenter)
    assert done["status"] == "Complete"
    assert done["scripts"]["state"] == "finished"
    assert done["vm"]["moid"] == task["vm"]["moid"]
    assert len(machines(simulator)[done["vm"]["name"]]["snapshots"]) == 1


def test_publish_activation_fails_requires_action_and_resumes(workspace, vcenter, simulator, office):
    failing = {"current": "activation runato.cmd", "wait.network": "timeout", "result.activation": "9"}
    failing |= {"code": "9", "output": "no license server", "state": "failed"}
    simulator.guest(reports(office, **failing) + "; sleep 600")
    task = publish(workspace, vcenter)
    assert task["status"] == "ActionRequired"
    assert task["scripts"]["results"] == {"activation": "9"}
    assert task["scripts"]["waits"] == {"network": "timeout"}
    assert len(task["warnings"]) == 1
    for part in ("runato.cmd", "exit code 9", "no license server", "run-scripts.cmd skip", task["vm"]["name"]):
        assert part in task["description"]
    assert not machines(simulator)[task["vm"]["name"]]["snapshots"]
    power_off(simulator, task["vm"])
    simulator.guest(reports(office, **{"result.activation": "0", "state": "finished"}))
    done = publish(workspace, vcenter)
    assert done["status"] == "Complete"
    assert done["vm"]["moid"] == task["vm"]["moid"]
    assert done["scripts"]["results"] == {"activation": "0"}


def test_publish_script_takes_too_long_requires_action(workspace, vcenter, simulator, office):
    simulator.guest(reports(office, state="running", current="2/2 platform layer Agent 3") + "; sleep 600")
    task = publish(workspace, vcenter, script_timeout=1)
    assert task["status"] == "ActionRequired"
    assert "platform layer Agent 3" in task["description"]
    assert "more than 1 s " in task["description"]
    assert machines(simulator)[task["vm"]["name"]]["power"] == "poweredOn"
    # The script has ended in the meantime.
    simulator.set_guestinfo(task["vm"]["name"], {f"{SCRIPTS}state": "finished"})
    late = publish(workspace, vcenter, shutdown_timeout=1)
    assert late["status"] == "ActionRequired"
    assert "has not shut itself down" in late["description"]
    assert late["step"] == "shut_down"


def test_publish_script_fails_between_runs_is_remembered(workspace, vcenter, simulator, office):
    """The script fails between two runs; the second run reads the report, then the VM is powered off, which drops the report."""
    simulator.guest(reports(office, state="running", current="1/1 template office") + "; sleep 600")
    task = publish(workspace, vcenter, script_timeout=1)
    simulator.set_guestinfo(task["vm"]["name"], {f"{SCRIPTS}state": "failed", f"{SCRIPTS}code": "7"})
    for expected in (True, False):
        for check in (True, False):
            result = run("layered_image_publish", check=check, **workspace.options, **vcenter, templates=["office"])
            assert result["changed"] is expected
            assert result["tasks"][0]["status"] == "ActionRequired"
            assert "exit code 7" in result["tasks"][0]["description"]
    assert result["tasks"][0]["scripts"]["code"] == "7"
    power_off(simulator, task["vm"])
    simulator.guest(reports(office, state="finished"))
    done = publish(workspace, vcenter)
    assert done["status"] == "Complete"
    assert done["scripts"]["state"] == "finished"
    assert len(simulator.guests(task["vm"]["name"])) == 2


@pytest.mark.parametrize("ended", ["ActionRequired", "Failed"])
def test_publish_script_state_unknown_starts_the_vm_again(workspace, vcenter, simulator, office, ended):
    """The last report says that a script runs; then the VM is off, and its host has dropped the report."""
    simulator.guest(reports(office, state="running", current="1/1 template office") + "; sleep 600")
    task = publish(workspace, vcenter, script_timeout=1)
    catalog = Repository.open(workspace.options["repository"]).catalog
    catalog.put("task", task["id"], catalog.get("task", task["id"]) | {"status": ended})
    power_off(simulator, task["vm"])
    simulator.guest(reports(office, state="finished"))
    done = publish(workspace, vcenter)
    assert done["status"] == "Complete"
    assert done["scripts"]["state"] == "finished"
    assert done["vm"] == task["vm"]
    assert len(simulator.guests(task["vm"]["name"])) == 2


def test_publish_script_interrupted_is_resumed(workspace, vcenter, simulator, office):
    begun, done = reports(office, state="running", current="1/1 template office"), reports(office, state="finished")
    marker = workspace.tmp_path / "begun"
    simulator.guest(f"{begun}; sleep 0.3; [ -e {marker} ] && {{ {done}; }}; touch {marker}")
    task = publish(workspace, vcenter)
    assert task["status"] == "Complete"
    assert task["warnings"] == []
    assert len(simulator.guests(task["vm"]["name"])) == 2
    add_app(workspace, version="2.0")
    again = add_template(workspace, apps=(("Tool", "2.0"),))["template"]
    simulator.guest(reports(again, state="running", current="1/1 template office"))
    task = publish(workspace, vcenter)
    assert task["status"] == "ActionRequired"
    assert "4 times" in task["description"]
    assert not machines(simulator)[task["vm"]["name"]]["snapshots"]


def test_publish_report_about_a_different_image_is_ignored(workspace, vcenter, simulator, office):
    simulator.guest(reports(office, image="0123456789abcdef", state="failed", current="1/1", code="9"))
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    assert done["tasks"][0]["status"] == "Complete"
    assert done["tasks"][0]["scripts"] is None
    assert any("without a report" in sentence for sentence in done["tasks"][0]["warnings"])


def test_published_vm_describes_its_layers(workspace, vcenter, simulator):
    run(
        "connector", **workspace.options, **connector(custom_attributes={"Image": "$template: $layers", "Owner": "VDI"})
    )
    add_app(workspace)
    template = add_template(workspace)["template"]
    task = publish(workspace, vcenter)
    session = simulator.connect()
    machine = machine_of(session, task["vm"]["moid"])
    names = {field.key: field.name for field in session.content.customFieldsManager.field}
    assert {names[value.key]: value.value for value in machine.customValue} == {
        "Image": "office: os/Windows 11 1.0, app/Tool 1.0",
        "Owner": "VDI",
    }
    config = {option.key: option.value for option in machine.config.extraConfig}
    assert config["strata.layering.template"] == "office"
    assert config["strata.layering.image_digest"] == template["image_digest"] == task["digest"]
    assert json.loads(config["strata.layering.layers"]) == {"os/Windows 11": "1.0", "app/Tool": "1.0"}
    assert "app layer Tool 1.0" in machine.config.annotation
    assert all(check["passed"] for check in task["checks"])
    assert {check["name"] for check in task["checks"]} >= {
        "vmxnet3",
        "no_vtpm",
        "snapshot",
    }


def test_publish_vm_that_horizon_cannot_use_fails(workspace, vcenter, simulator, office):
    """A second network adapter is added while the VM runs."""
    simulator.guest(mode="hang")
    name = f"office-{office['image_digest'][7:15]}"
    publish(workspace, vcenter, shutdown_timeout=1)
    session = simulator.connect()
    machine = machine_of(session, machines(simulator)[name]["moid"])
    machine.PowerOffVM_Task()
    device = vim.vm.device.VirtualE1000(
        backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network"), key=-1
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=device)
    machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change]))
    found = fails("layered_image_publish", "publish.horizon", **workspace.options, **vcenter, templates=["office"])
    failed = [check for check in found["details"]["checks"] if not check["passed"]]
    assert [(check["name"], check["found"]) for check in failed] == [("vmxnet3", "vmxnet3, e1000")]
    assert run("layered_image_info", **workspace.options)["images"] == []
    device = next(entry for entry in machine.config.hardware.device if isinstance(entry, vim.vm.device.VirtualE1000))
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=device)
    machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change]))
    assert publish(workspace, vcenter)["status"] == "Complete"
    change = vim.vm.device.VirtualDeviceSpec(
        operation="add", device=vim.vm.device.VirtualE1000(backing=device.backing, key=-1)
    )
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    for check in (True, False):
        fails(
            "layered_image_publish",
            "publish.horizon",
            check=check,
            **workspace.options,
            **vcenter,
            templates=["office"],
        )


def test_publish_without_certificate_check_warns(workspace, vcenter, office):
    options = {key: value for key, value in vcenter.items() if key != "ca_path"}
    done = run("layered_image_publish", **workspace.options, **options, templates=["office"], validate_certs=False)
    assert "validate_certs is false" in str(done["warnings"])
