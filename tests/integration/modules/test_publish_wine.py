# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A published VM runs its scripts in wine, with the tools of the OS machine, and reports their results."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from ansible_collections.strata.layering.tests.support import wine_guest
from ansible_collections.strata.layering.tests.support.background import eventually
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

_TOOLS = pathlib.Path(__file__).resolve().parents[3] / "roles" / "os_machine" / "files" / "scripts"
_SCRIPTS = "Windows/Setup/scripts"

_FAILS_ONCE = b"@if exist %~dp0tried exit /b 0\r\n@echo x >%~dp0tried\r\n@exit /b 7\r\n"

pytestmark = pytest.mark.skipif(shutil.which("wine") is None, reason="needs wine")


def test_publish_scripts_restart_windows_and_fail_once(workspace, vcenter, simulator):
    add_app(
        workspace,
        "Tools",
        tree={
            f"{_SCRIPTS}/{path.relative_to(_TOOLS)}": path.read_bytes() for path in _TOOLS.rglob("*") if path.is_file()
        }
        | {f"{_SCRIPTS}/first-start.txt": "tries=2\r\npause=0\r\n", f"{_SCRIPTS}/kmsdir/runato.cmd": _FAILS_ONCE},
    )
    first, second = workspace.tmp_path / "first.cmd", workspace.tmp_path / "second.cmd"
    first.write_text("@echo off\r\necho configured\r\nexit /b 3010\r\n")
    tried = "C:\\Windows\\Setup\\scripts\\tried"
    second.write_text(
        f"@echo off\r\nif exist {tried} exit /b 0\r\necho x >{tried}\r\necho no license server\r\nexit /b 7\r\n"
    )
    add_app(workspace, "Editor", script=str(first))
    add_template(workspace, apps=(("Tools", "1.0"), ("Editor", "1.0")), script=str(second))
    simulator.guest(wine_guest.command())

    task = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], script_timeout=60)[
        "tasks"
    ][0]
    assert task["status"] == "ActionRequired", task
    assert "second.cmd" in task["description"]
    assert "exit code 7" in task["description"]
    assert "no license server" in task["description"]
    assert task["scripts"]["results"] == {"activation": "0", "1": "3010", "2": "7"}
    assert task["scripts"]["waits"] == dict.fromkeys(("setup", "servicing", "devices", "network"), "ready")
    name = task["vm"]["name"]
    assert machines(simulator)[name]["power"] == "poweredOn"
    assert not machines(simulator)[name]["snapshots"]

    machine_of(simulator.connect(), task["vm"]["moid"]).PowerOffVM_Task()
    task = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], script_timeout=60)[
        "tasks"
    ][0]
    assert task["status"] == "Complete"
    assert task["scripts"]["state"] == "finished"
    assert task["vm"]["name"] == name
    assert len(machines(simulator)[name]["snapshots"]) == 1
    assert task["warnings"] == []
    assert run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["changed"] is False


def test_publish_manual_mode_keeps_windows_running(workspace, vcenter, simulator):
    add_app(
        workspace,
        "Tools",
        tree={
            f"{_SCRIPTS}/{path.relative_to(_TOOLS)}": path.read_bytes() for path in _TOOLS.rglob("*") if path.is_file()
        },
    )
    add_template(workspace, apps=(("Tools", "1.0"),), publish_mode="manual")
    simulator.guest(wine_guest.command())
    task = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    assert task["status"] == "ActionRequired"
    machine = machine_of(simulator.connect(), task["vm"]["moid"])
    state = "guestinfo.strata.layering.scripts.state"
    eventually(lambda: (state, "finished") in [(option.key, option.value) for option in machine.config.extraConfig], 60)
    assert machines(simulator)[task["vm"]["name"]]["power"] == "poweredOn"
    machine.ShutdownGuest()
    eventually(lambda: machines(simulator)[task["vm"]["name"]]["power"] == "poweredOff", 60)
    assert (
        run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]["status"]
        == "Complete"
    )
