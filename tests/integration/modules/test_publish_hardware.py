# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images with the hardware of their VM template: each controller boots, and an export of the VM is an OS layer."""

from __future__ import annotations

import os

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer import deploy
from ansible_collections.strata.layering.tests.support.module_options import (
    OS_LAYER,
    add_app,
    add_template,
    connector,
)
from ansible_collections.strata.layering.tests.support.modules import fails, run
from ansible_collections.strata.layering.tests.support.templates import adapter, controller, make_template
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

_DRIVERS = {"nvme": "stornvme", "lsi_sas": "LSI_SAS"}


def use_template(workspace, simulator, devices, **settings) -> None:
    """Give the connector a VM template with ``devices``."""
    make_template(simulator.connect().RetrieveContent(), "golden", devices, **settings)
    run("connector", **workspace.options, **connector(vm_template="golden"))


def enable_driver(workspace, kind: str) -> list[str]:
    """Return the registry file of an app layer that lets Windows start from a kind of controller."""
    path = workspace.tmp_path / "driver.reg"
    key = f"HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\{_DRIVERS[kind]}"
    lines = ["Windows Registry Editor Version 5.00", "", f"[{key}]", '"Start"=dword:00000000']
    lines += ["", f"[{key}\\StartOverride]", '"0"=dword:00000000', ""]
    path.write_text("\n".join(lines))
    return [os.fspath(path)]


def end_of_the_composer(*_arguments: object) -> None:
    raise KeyboardInterrupt


def about_hardware(task) -> list[str]:
    """Return the warnings that name the VM template, without those of the preflight."""
    return [sentence for sentence in task["warnings"] if "golden" in sentence and "boot_controller" not in sentence]


@pytest.mark.parametrize("kind", ["ahci", "nvme", "lsi_sas"])
def test_image_boots_from_the_controller_of_its_template_and_is_exported(workspace, vcenter, simulator, kind):
    use_template(workspace, simulator, [controller(kind), adapter()])
    add_app(workspace, registry=enable_driver(workspace, kind) if kind in _DRIVERS else [])
    add_template(workspace)
    task = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    assert (task["status"], about_hardware(task)) == ("Complete", [])
    name = task["vm"]["name"]
    assert [entry["vm"] for entry in simulator.guests(name)] == [name]
    found = machine_of(simulator.connect(), machines(simulator)[name]["moid"]).config.hardware.device
    (disk,) = [item for item in found if isinstance(item, vim.vm.device.VirtualDisk)]
    assert [type(item) for item in found if item.key == disk.controllerKey] == [type(controller(kind))]

    share = workspace.tmp_path / "share"
    share.mkdir()
    package = run("ovf_export", **vcenter, name=name, file_share=os.fspath(share), package="image")
    assert package["changed"]
    simulator.guest("true", vm=name)
    imported = run(
        "os_layer",
        **workspace.options,
        **OS_LAYER | {"version": "2.0"},
        file_share=os.fspath(share),
        packaging_disk="image/image.ovf",
    )
    assert imported["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_template_without_disk_controller_is_refused(workspace, vcenter, simulator, check):
    use_template(workspace, simulator, [adapter()])
    add_app(workspace)
    add_template(workspace)
    options = {**workspace.options, **connector(vm_template="golden"), **vcenter}
    assert fails("connector", "vsphere.template_controller", **options, test=True, check=check)
    publish = {**workspace.options, **vcenter, "templates": ["office"]}
    assert fails("layered_image_publish", "vsphere.template_controller", **publish, check=check)
    assert set(machines(simulator)) == {"windows-template", "golden"}


@pytest.mark.parametrize("interrupted", [False, True])
def test_setting_that_vcenter_drops_is_a_warning_of_the_publish(
    workspace, vcenter, simulator, monkeypatch, interrupted
):
    flags = vim.vm.FlagInfo(htSharing="none")
    use_template(workspace, simulator, [controller("pvscsi"), adapter()], flags=flags)
    simulator.settings(drop_settings=["flags.htSharing"])
    add_app(workspace)
    add_template(workspace)
    if interrupted:
        # The upload is complete, but the run does not come to compare the hardware.
        with monkeypatch.context() as context:
            context.setattr(deploy, "wait_until_enabled", end_of_the_composer)
            with pytest.raises(KeyboardInterrupt):
                run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    task = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    assert task["status"] == "Complete"
    assert sum(call["method"] == "NFC:PUT" for call in simulator.journal()) == 1
    (warning,) = about_hardware(task)
    assert all(word in warning for word in ("flags.htSharing", '"any"', '"none"', "golden", task["vm"]["name"]))
