# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM templates whose disk controller has no boot driver in the OS layer or in the image."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.preflight.checks import CHECKS
from ansible_collections.strata.layering.plugins.module_utils.publish import execution
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import fails, run, state_of
from ansible_collections.strata.layering.tests.support.packaging_workspace import present
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

_SERVICES = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services"


@pytest.fixture(name="lsi_sas")
def _lsi_sas(workspace, vcenter, simulator):
    """A connector whose VM template has LSI Logic SAS instead of PVSCSI, as the OS layer has it."""
    change_controller(simulator, vim.vm.device.VirtualLsiLogicSASController)
    run("connector", **workspace.options, **connector())


def change_controller(simulator, kind: type) -> None:
    """Replace the disk controller of the VM template."""
    simulator.settings(settle_delay_ms=0)
    session = simulator.connect()
    template = machine_of(session, machines(simulator)["windows-template"]["moid"])
    host = next(iter(template.datastore[0].host)).key
    template.MarkAsVirtualMachine(host.parent.resourcePool, host)
    changes = [
        vim.vm.device.VirtualDeviceSpec(operation="remove", device=device)
        for device in template.config.hardware.device
        if isinstance(device, vim.vm.device.ParaVirtualSCSIController)
    ]
    added = kind(key=-1, busNumber=0, sharedBus="noSharing")
    changes.append(vim.vm.device.VirtualDeviceSpec(operation="add", device=added))
    WaitForTask(template.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=changes)))
    template.MarkAsTemplate()


def registry(workspace, name: str, text: str) -> str:
    """Write a .reg file; return its path."""
    path = workspace.tmp_path / f"{name}.reg"
    path.write_text(f"Windows Registry Editor Version 5.00\n\n{text}\n")
    return str(path)


def uploads(simulator) -> int:
    return sum(1 for call in simulator.journal() if call["method"] == "NFC:PUT")


@pytest.mark.parametrize("check_mode", [True, False])
def test_publish_other_controller_fails_before_composing(workspace, vcenter, simulator, lsi_sas, check_mode):
    add_app(workspace)
    add_template(workspace)
    before = state_of(workspace.path)
    failed = fails(
        "layered_image_publish",
        "preflight.failed",
        **workspace.options,
        **vcenter,
        templates=["office"],
        check=check_mode,
    )
    checks = {check["name"]: check for check in failed["details"]["checks"]}
    assert checks["boot_controller"]["result"] == "fail"
    assert checks["firmware"]["result"] == "pass"
    assert "lsi_sas" in checks["boot_controller"]["found"] and "pvscsi" in checks["boot_controller"]["found"]
    assert not uploads(simulator)
    assert list(machines(simulator)) == ["windows-template"]
    if check_mode:
        assert state_of(workspace.path) == before


def test_guest_without_boot_driver_does_not_start(workspace, vcenter, simulator, lsi_sas, monkeypatch):
    """Without the checks, the VM stays on, and Windows reports nothing: this is what they are for."""
    add_app(workspace)
    add_template(workspace)
    monkeypatch.setitem(CHECKS, "boot_controller", lambda _subject: ("pass", "", ""))
    monkeypatch.setattr(execution, "check_boot_controller", lambda *_arguments: None)
    task = run(
        "layered_image_publish",
        **workspace.options,
        **vcenter,
        templates=["office"],
        shutdown_timeout=1,
        script_timeout=1,
    )["tasks"][0]
    assert task["status"] == "ActionRequired"
    assert machines(simulator)[task["vm"]["name"]]["power"] == "poweredOn"
    guest = simulator.guests(task["vm"]["name"])[-1]
    assert (guest["mode"], guest["boots"]) == ("stop", 0)
    assert "lsi_sas" in guest["output"]


def test_publish_layer_that_enables_the_driver_is_published(workspace, vcenter, simulator, lsi_sas):
    # As docs/publishing.md, "Boot controller", says.
    text = f'[{_SERVICES}\\LSI_SAS]\n"Start"=dword:00000000\n\n[-{_SERVICES}\\LSI_SAS\\StartOverride]'
    add_app(workspace, registry=[registry(workspace, "lsi", text)])
    add_template(workspace)
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    assert done["tasks"][0]["status"] == "Complete"
    checks = {check["name"]: check for check in done["tasks"][0]["preflight"]}
    assert checks["boot_controller"]["result"] == "warn"
    assert "app layer Tool 1.0" in checks["boot_controller"]["found"]


def test_publish_layer_that_disables_the_driver_fails_before_the_upload(workspace, vcenter, simulator):
    add_app(workspace, registry=[registry(workspace, "off", f'[{_SERVICES}\\pvscsi]\n"Start"=dword:00000004')])
    add_template(workspace)
    failed = fails(
        "layered_image_publish", "publish.connector_controller", **workspace.options, **vcenter, templates=["office"]
    )
    assert failed["details"]["layer"] == "app layer Tool 1.0"
    assert failed["details"]["boot_controllers"] == ["ahci"]
    assert not uploads(simulator)
    assert list(machines(simulator)) == ["windows-template"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_packaging_machine_other_controller_fails_before_composing(office, check_mode):
    change_controller(office.simulator, vim.vm.device.VirtualLsiLogicSASController)
    before = office.look()
    failed = fails("packaging_machine", "preflight.failed", **present(office), check=check_mode)
    checks = {check["name"]: check["result"] for check in failed["details"]["checks"]}
    assert (checks["boot_controller"], checks["firmware"]) == ("fail", "pass")
    assert office.look() == before
