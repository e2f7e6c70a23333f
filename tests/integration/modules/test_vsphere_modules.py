# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that use vSphere, on the simulator."""

from __future__ import annotations

import json
import os
import shutil
import uuid

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines


def test_connector_test_looks_up_every_object(workspace, vcenter, simulator):
    before = machines(simulator)
    result = run("connector", **workspace.options, **connector(), **vcenter, test=True)
    assert result["tested"]["folder"].startswith("Images/Desktops")
    assert machines(simulator) == before


@pytest.mark.parametrize("option", ["datacenter", "cluster", "datastore", "vm_template", "network"])
def test_connector_test_missing_object_is_named(workspace, vcenter, option):
    result = attempt("connector", **workspace.options, **connector(**{option: "elsewhere"}), **vcenter, test=True)
    assert result["failed"]
    assert "elsewhere" in result["msg"]


def test_connector_test_vm_template_without_network_requires_one(workspace, vcenter, simulator):
    simulator.settings(settle_delay_ms=0)
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
    assert "windows-template" in result["msg"]
    assert "desktops" in result["msg"]
    assert "network" in result["hint"]
    run("connector", **workspace.options, **connector(network="VM Network"), **vcenter, test=True)


def test_connector_test_wrong_password_is_not_shown(workspace, vcenter):
    options = dict(vcenter, password="S3cret-not-to-be-seen")
    result = attempt("connector", **workspace.options, **connector(), **options, test=True)
    assert result["failed"]
    assert "S3cret" not in json.dumps({key: value for key, value in result.items() if key != "invocation"})


def test_connector_test_untrusted_certificate_fails(workspace, vcenter):
    options = {key: value for key, value in vcenter.items() if key != "ca_path"}
    result = attempt("connector", **workspace.options, **connector(), **options, test=True)
    assert result["failed"]
    assert "certificate" in result["msg"]
    run("connector", **workspace.options, **connector(), **options, validate_certs=False, test=True)


def test_publish_creates_a_powered_off_vm_and_its_records(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)

    def snapshot() -> tuple:
        return machines(simulator), state_of(workspace.path)

    done = converges(
        "layered_image_publish", snapshot, **workspace.options, **vcenter, templates=["office"], comment="CHG-10"
    )
    task = done["tasks"][0]
    assert task["status"] == "Complete"
    assert task["snapshot"] in task["description"]
    assert task["datastore_path"] in task["description"]
    assert machines(simulator)[task["vm"]["name"]]["power"] == "poweredOff"
    image = run("layered_image_info", **workspace.options, template="office")["images"][0]
    assert image["image_digest"] == task["digest"]
    assert image["layers"] == {"os/Windows 11": "1.0", "app/Tool": "1.0"}
    assert run("task_info", **workspace.options, status=["Complete"])["tasks"][0]["id"] == task["id"]
    assert run("audit_info", **workspace.options, limit=1)["records"][0]["comment"] == "CHG-10"


def test_publish_changed_layer_creates_a_new_vm_and_removes_expired_vms(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    first = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    add_app(workspace, version="1.1")
    add_template(workspace, apps=(("Tool", "1.1"),))
    second = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], keep=1)["tasks"][0]
    assert second["digest"] != first["digest"]
    assert {first["vm"]["name"], second["vm"]["name"]} <= machines(simulator).keys()
    add_app(workspace, version="1.2")
    add_template(workspace, apps=(("Tool", "1.2"),))
    third = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], keep=1)["tasks"][0]
    names = machines(simulator).keys()
    assert {second["vm"]["name"], third["vm"]["name"]} <= names
    assert first["vm"]["name"] not in names
    assert [image["vm"]["name"] for image in run("layered_image_info", **workspace.options)["images"]] == [
        third["vm"]["name"],
        second["vm"]["name"],
    ]


def test_publish_deleted_vm_is_published_again(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    task = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    session = simulator.connect()
    machine_of(session, task["vm"]["moid"]).Destroy_Task()
    again = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    assert again["changed"] is True
    assert again["tasks"][0]["vm"]["moid"] != task["vm"]["moid"]


def test_publish_failed_template_does_not_stop_the_others(workspace, vcenter, simulator):
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
    assert result["failed"]
    assert "elsewhere" in result["msg"]
    assert [task["status"] for task in result["details"]["tasks"]] == ["Complete", "Failed", "Complete"]
    assert any(name.startswith("Better Desktop-") for name in machines(simulator))


def test_publish_name_of_a_foreign_vm_fails(workspace, vcenter, simulator):
    add_app(workspace)
    template = add_template(workspace)["template"]
    name = f"office-{template['image_digest'][7:15]}"
    add_template(workspace, "other", vm_name="x")
    first = run("layered_image_publish", **workspace.options, **vcenter, templates=["other"])["tasks"][0]
    session = simulator.connect()
    machine_of(session, first["vm"]["moid"]).Rename_Task(name)
    result = fails("layered_image_publish", "publish.name_in_use", **workspace.options, **vcenter, templates=["office"])
    assert name in result["msg"]
    assert machines(simulator)[name]["moid"] == first["vm"]["moid"]


def test_publish_guest_does_not_shut_down_requires_action(workspace, vcenter, simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace)
    waiting = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], shutdown_timeout=1)[
        "tasks"
    ][0]
    assert waiting["status"] == "ActionRequired"
    assert waiting["vm"]["name"] in waiting["description"]
    assert run("task_info", **workspace.options)["tasks"][0]["status"] == "ActionRequired"
    machine_of(simulator.connect(), waiting["vm"]["moid"]).PowerOffVM_Task()
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    assert done["tasks"][0]["status"] == "Complete"
    assert done["tasks"][0]["vm"]["moid"] == waiting["vm"]["moid"]
    assert len([name for name in machines(simulator) if name.startswith("office-")]) == 1


def test_ovf_export_is_imported_as_an_os_layer(workspace, vcenter, simulator, tmp_path):
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
        package="desktop",
        repository=workspace.options["repository"],
    )
    assert done["packaging_disk"] == "desktop/desktop.ovf"
    files = set(os.listdir(share / "desktop")) - {"desktop.export.json", "desktop.mf"}
    assert {file["name"] for file in done["files"]} == files
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
    result = fails("ovf_export", "vsphere.not_found", **vcenter, name="no such VM", file_share=os.fspath(share))
    assert "no such VM" in result["msg"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("by", ["name", "moid", "instance_uuid"])
def test_ovf_export_of_a_template_is_refused(vcenter, simulator, tmp_path, by, check):
    template = next(vm for vm in simulator.machines() if vm["template"])
    values = {"name": template["name"], "moid": template["moid"]}
    values["instance_uuid"] = machine_of(simulator.connect(), template["moid"]).config.instanceUuid
    options = vcenter | {"name": values[by], "package": "gold", "file_share": os.fspath(tmp_path)}
    code = "vsphere.vm_kind" if by == "name" else "operations.ovf_template"
    assert template["name"] in fails("ovf_export", code, check=check, **options)["msg"]
    assert os.listdir(tmp_path) == []


@pytest.fixture
def two_vms(workspace, vcenter):
    """The names of two published VMs, which are powered off."""
    add_app(workspace)
    add_template(workspace)
    add_template(workspace, "kiosk", ())
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=["office", "kiosk"])
    return [task["vm"]["name"] for task in done["tasks"]]


def test_ovf_export_never_replaces_another_package(two_vms, vcenter, simulator, tmp_path):
    share = tmp_path / "share"
    share.mkdir()
    options = vcenter | {"file_share": os.fspath(share), "package": "win11-os"}
    first, second = two_vms

    def refuses(name, code):
        before = state_of(share)
        for check in (True, False):
            result = fails("ovf_export", code, check=check, **options, name=name)
        assert state_of(share) == before
        return result["details"]

    assert run("ovf_export", **options, name=first)["changed"]
    assert refuses(second, "vsphere.ovf_other_vm")["vm"] == first

    # Records of release 0.1 do not name the VM.
    record = share / "win11-os" / "win11-os.export.json"
    known = json.loads(record.read_text())
    old = {key: value for key, value in known.items() if key not in ("vm_name", "vcenter")}
    record.write_text(json.dumps(old))
    assert refuses(second, "vsphere.ovf_other_vm")["vm"] == "win11-os"
    assert run("ovf_export", **options, name=first)["changed"] is False

    # The disk may have changed while the VM ran, although its configuration is the same.
    simulator.settings(settle_delay_ms=0)
    simulator.guest(mode="off", vm=first)
    vm = machine_of(simulator.connect(), machines(simulator)[first]["moid"])
    WaitForTask(vm.PowerOnVM_Task())
    WaitForTask(vm.PowerOffVM_Task())
    assert run("ovf_export", check=True, **options, name=first)["changed"]
    assert run("ovf_export", **options, name=first)["changed"]
    for check in (True, False):
        assert run("ovf_export", check=check, **options, name=first)["changed"] is False

    # A VM of the same name replaces the package only if the first VM no longer exists in this vCenter.
    for changes in ({"vm_name": second}, {"vm_name": second, "vcenter": "x", "instance_uuid": str(uuid.uuid4())}):
        record.write_text(json.dumps(known | changes))
        assert refuses(second, "vsphere.ovf_other_vm")["vm"] == second
    record.write_text(json.dumps(known | {"vm_name": second, "instance_uuid": str(uuid.uuid4())}))
    assert run("ovf_export", check=True, **options, name=second)["changed"]

    # Without a record, the files are not known to be an export.
    record.unlink()
    assert "win11-os.ovf" in refuses(first, "vsphere.ovf_foreign")["files"]
    record.write_text("damaged")
    refuses(first, "vsphere.ovf_foreign")
    shutil.rmtree(record.parent)
    record.parent.write_bytes(b"")
    refuses(first, "operations.ovf_kind")
    record.parent.unlink()
    assert run("ovf_export", **options, name=second)["changed"]


def test_ovf_export_vm_name_is_not_a_file_name_gets_a_package_name(workspace, vcenter, simulator, tmp_path):
    add_app(workspace)
    add_template(workspace)
    published = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]["vm"]
    WaitForTask(machine_of(simulator.connect(), published["moid"]).Rename_Task("gold: 1"))
    options = {**vcenter, "name": "gold: 1", "file_share": os.fspath(tmp_path)}
    planned, done = run("ovf_export", check=True, **options), run("ovf_export", **options)
    assert (tmp_path / done["packaging_disk"]).is_file()
    assert planned["packaging_disk"] == done["packaging_disk"]
    assert run("ovf_export", **options)["changed"] is False
