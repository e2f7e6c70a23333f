# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role layered_image when an administrator has to act."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines
from ansible_collections.strata.layering.tests.support.webhooks import WebServer, served

_COLLECTIONS = pathlib.Path(__file__).resolve().parents[3] / ".build" / "collections"


@pytest.fixture
def play(workspace, vcenter):
    """Runs the playbook layered_image with variables; returns the exit code, the number of changed tasks, and the output."""
    template = {
        "name": "office",
        "connector": "desktops",
        "os_layer": {"name": "Windows 11", "version": "1.0"},
        "app_layers": [{"name": "Tool", "version": "1.0"}],
        "publish_mode": "manual",
    }
    values = {f"layering_{name}": value for name, value in vcenter.items()} | {
        "layering_repository": os.fspath(workspace.path),
        "layered_image_connectors": [connector()],
        "layered_image_templates": [template],
    }
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}

    def run_playbook(*flags: str, **more: object) -> tuple[int, int, str]:
        inventory = workspace.tmp_path / "inventory.yml"
        inventory.write_text(json.dumps({"all": {"hosts": {"localhost": host}, "vars": values | more}}))
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "ansible",
                "playbook",
                "strata.layering.layered_image",
                "-i",
                str(inventory),
                *flags,
            ],
            cwd=workspace.tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(_COLLECTIONS),
                "ANSIBLE_HOME": str(workspace.tmp_path / "ansible"),
                "ANSIBLE_NOCOLOR": "1",
            },
        )
        return (
            done.returncode,
            sum(int(number) for number in re.findall(r"changed=(\d+)", done.stdout)),
            done.stdout + done.stderr,
        )

    return run_playbook


@pytest.fixture
def web():
    with served(WebServer()) as server:
        yield server


def test_role_stops_when_action_is_required_and_resumes(workspace, simulator, play, web):
    simulator.guest(mode="hang")
    add_app(workspace)
    notify = {"notifications_webhooks": [web.hook("chat")]}
    code, changed, output = play(**notify)
    [name] = [name for name in machines(simulator) if name.startswith("office-")]
    assert code != 0
    assert changed == 2
    assert f"Windows runs in the VM {name}" in output
    machine_of(simulator.connect(), machines(simulator)[name]["moid"]).PowerOffVM_Task()
    code, changed, output = play(**notify)
    assert (code, changed) == (0, 1), output
    assert len(machines(simulator)[name]["snapshots"]) == 1
    expected = [[("action_required", "office")], [("image_published", "office")]]
    assert web.events("chat") == expected
    # A run that changes nothing sends nothing.
    assert play(**notify)[:2] == (0, 0)
    assert web.events("chat") == expected


def test_role_continues_when_asked_and_cancels(workspace, simulator, play):
    simulator.guest(mode="hang")
    add_app(workspace)
    code, changed, output = play(layered_image_action_required="continue")
    assert (code, changed) == (0, 2)
    assert "ActionRequired: Windows runs" in output
    assert play(layered_image_state="canceled")[:2] == (0, 1)
    assert list(machines(simulator)) == ["windows-template"]


def test_role_removes_the_images_of_named_templates_only(workspace, vcenter, simulator, play):
    add_app(workspace)
    add_template(workspace)
    vm = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]["vm"]["name"]
    removal = {"layered_image_state": "absent", "layered_image_connectors": [], "layered_image_templates": []}
    before = state_of(workspace.path)
    for unnamed in ({}, {"layered_image_publish": ""}):
        code, changed, output = play(**removal, **unnamed)
        assert code != 0 and changed == 0, output
        assert "layered_image_publish" in output
    removal |= {"layered_image_publish": "office", "layered_image_templates": [{"name": "office", "state": "absent"}]}
    code, changed, output = play("--check", **removal | {"layered_image_publish": "office\nkiosk \n"})
    assert (code, changed) == (0, 1), output
    assert vm in output
    assert state_of(workspace.path) == before
    assert vm in machines(simulator)
    code, changed, output = play(**removal)
    assert (code, changed) == (0, 2), output
    assert "[WARNING]" not in output
    assert list(machines(simulator)) == ["windows-template"]
    assert not run("image_template_info", **workspace.options)["templates"]
