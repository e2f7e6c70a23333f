# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that work on vSphere, against the simulator."""

from __future__ import annotations

import json
import os

from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines


def test_connector_test_finds_everything(workspace, vcenter, simulator):
    before = machines(simulator)
    result = run("connector", **workspace.options, **connector(), **vcenter, test=True)
    assert result["tested"]["folder"] == "Images/Desktops (will be created)" and machines(simulator) == before
    for wrong in ("datacenter", "cluster", "datastore", "vm_template", "network"):
        result = attempt("connector", **workspace.options, **connector(**{wrong: "elsewhere"}), **vcenter, test=True)
        assert result["failed"] and "elsewhere" in result["msg"], wrong


def test_a_template_without_a_network_needs_one_of_the_connector(workspace, vcenter, simulator):
    session = simulator.connect()
    golden = machine_of(session, machines(simulator)["windows-template"]["moid"])
    host = golden.runtime.host
    golden.MarkAsVirtualMachine(host.parent.resourcePool, host)
    card = next(
        device for device in golden.config.hardware.device if isinstance(device, vim.vm.device.VirtualEthernetCard)
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=card)
    WaitForTask(golden.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    golden.MarkAsTemplate()
    result = fails("connector", "publish.connector_network", **workspace.options, **connector(), **vcenter, test=True)
    assert "windows-template" in result["msg"] and "desktops" in result["msg"] and "network" in result["hint"]
    run("connector", **workspace.options, **connector(network="VM Network"), **vcenter, test=True)


def test_wrong_password_is_said_and_not_shown(workspace, vcenter):
    options = dict(vcenter, password="S3cret-not-to-be-seen")
    result = attempt("connector", **workspace.options, **connector(), **options, test=True)
    assert result["failed"] and "S3cret" not in json.dumps(
        {key: value for key, value in result.items() if key != "invocation"}
    )


def test_certificates_are_checked(workspace, vcenter):
    options = {key: value for key, value in vcenter.items() if key != "ca_path"}
    result = attempt("connector", **workspace.options, **connector(), **options, test=True)
    assert result["failed"] and "certificate" in result["msg"]
    run("connector", **workspace.options, **connector(), **options, validate_certs=False, test=True)


def test_publish(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)

    def look() -> tuple:
        return machines(simulator), state_of(workspace.path)

    done = converges(
        "layered_image_publish", look, **workspace.options, **vcenter, templates=["office"], comment="CHG-10"
    )
    task = done["tasks"][0]
    assert (
        task["status"] == "Complete"
        and task["snapshot"] in task["description"]
        and task["datastore_path"] in task["description"]
    )
    machine = machines(simulator)[task["vm"]["name"]]
    assert machine["power"] == "poweredOff"
    image = run("layered_image_info", **workspace.options, template="office")["images"][0]
    assert image["image_digest"] == task["digest"] and image["layers"] == {"os/Windows 11": "1.0", "app/Tool": "1.0"}
    assert run("task_info", **workspace.options, status=["Complete"])["tasks"][0]["id"] == task["id"]
    assert run("audit_info", **workspace.options, limit=1)["records"][0]["comment"] == "CHG-10"


def test_changed_app_layer_is_published_anew(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    first = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    add_app(workspace, version="1.1")
    add_template(workspace, apps=(("Tool", "1.1"),))
    second = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], keep=1)["tasks"][0]
    assert (
        second["digest"] != first["digest"]
        and {first["vm"]["name"], second["vm"]["name"]} <= machines(simulator).keys()
    )
    add_app(workspace, version="1.2")
    add_template(workspace, apps=(("Tool", "1.2"),))
    third = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], keep=1)["tasks"][0]
    names = machines(simulator).keys()
    assert {second["vm"]["name"], third["vm"]["name"]} <= names and first["vm"]["name"] not in names
    assert [image["vm"]["name"] for image in run("layered_image_info", **workspace.options)["images"]] == [
        third["vm"]["name"],
        second["vm"]["name"],
    ]


def test_a_machine_that_was_removed_is_published_again(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    task = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    session = simulator.connect()
    machine = machine_of(session, task["vm"]["moid"])
    machine.Destroy_Task()
    again = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    assert again["changed"] is True and again["tasks"][0]["vm"]["moid"] != task["vm"]["moid"]


def test_several_templates_and_one_that_fails(workspace, vcenter, simulator):
    add_app(workspace)
    run("connector", **workspace.options, **connector(name="broken", datastore="elsewhere"))
    add_template(workspace, "good")
    add_template(workspace, "better", vm_name="Better Desktop")
    run(
        "image_template",
        **workspace.options,
        name="bad",
        os_layer={"name": "Windows 11", "version": "1.0"},
        connector="broken",
    )
    result = attempt("layered_image_publish", **workspace.options, **vcenter, templates=["good", "bad", "better"])
    assert result["failed"] and "elsewhere" in result["msg"]
    assert [task["status"] for task in result["details"]["tasks"]] == ["Complete", "Failed", "Complete"]
    assert any(name.startswith("Better Desktop-") for name in machines(simulator))


def test_a_machine_of_somebody_else_is_not_touched(workspace, vcenter, simulator):
    add_app(workspace)
    template = add_template(workspace)["template"]
    name = f"office-{template['image_digest'][7:15]}"
    add_template(workspace, "other", vm_name="x")
    first = run("layered_image_publish", **workspace.options, **vcenter, templates=["other"])["tasks"][0]
    session = simulator.connect()
    machine = machine_of(session, first["vm"]["moid"])
    machine.Rename_Task(name)
    result = fails("layered_image_publish", "publish.name_in_use", **workspace.options, **vcenter, templates=["office"])
    assert name in result["msg"] and machines(simulator)[name]["moid"] == first["vm"]["moid"]


def test_a_guest_that_does_not_shut_down(workspace, vcenter, simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace)
    waiting = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], shutdown_timeout=1)[
        "tasks"
    ][0]
    assert (
        waiting["status"] == "ActionRequired"
        and "within 1 seconds" in waiting["description"]
        and waiting["vm"]["name"] in waiting["description"]
    )
    assert run("task_info", **workspace.options)["tasks"][0]["status"] == "ActionRequired"
    machine_of(simulator.connect(), waiting["vm"]["moid"]).PowerOffVM_Task()
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    assert done["tasks"][0]["status"] == "Complete" and done["tasks"][0]["vm"]["moid"] == waiting["vm"]["moid"]
    assert len([name for name in machines(simulator) if name.startswith("office-")]) == 1


def test_ovf_export_and_import_of_it(workspace, vcenter, simulator, tmp_path):
    add_app(workspace)
    add_template(workspace)
    published = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]["vm"]
    share = tmp_path / "share"
    share.mkdir()
    done = converges(
        "ovf_export",
        lambda: state_of(share),
        **vcenter,
        name=published["name"],
        file_share=os.fspath(share),
        package="machine",
        repository=workspace.options["repository"],
    )
    assert done["packaging_disk"] == "machine/machine.ovf" and {found["name"] for found in done["files"]} == set(
        os.listdir(share / "machine")
    ) - {
        "machine.export.json",
        "machine.mf",
    }
    layer = run(
        "os_layer",
        **workspace.options,
        name="Again",
        version="1",
        max_layer_size_gb=1,
        file_share=os.fspath(share),
        packaging_disk=done["packaging_disk"],
    )
    assert layer["layer"]["windows"]["build"] == 22631
    fails("ovf_export", "shares.missing", **vcenter, name=published["name"], file_share=os.fspath(tmp_path / "none"))
    result = attempt("ovf_export", **vcenter, name="no such machine", file_share=os.fspath(share))
    assert result["failed"] and "no such machine" in result["msg"]


def test_a_machine_whose_name_no_file_can_have(workspace, vcenter, simulator, tmp_path):
    add_app(workspace)
    add_template(workspace)
    published = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]["vm"]
    WaitForTask(machine_of(simulator.connect(), published["moid"]).Rename_Task("gold: 1"))
    options = {**vcenter, "name": "gold: 1", "file_share": os.fspath(tmp_path)}
    planned, done = run("ovf_export", check=True, **options), run("ovf_export", **options)
    assert (tmp_path / done["packaging_disk"]).is_file() and planned["packaging_disk"] == done["packaging_disk"]
    assert run("ovf_export", **options)["changed"] is False
