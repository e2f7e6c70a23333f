# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connector's script: its environment, and the effect of its result."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import machines


@pytest.fixture
def script(workspace):
    """Writes the connector's script; every run of it adds its environment to the file ``ran``."""
    path, ran = workspace.tmp_path / "after.sh", workspace.tmp_path / "ran"
    ran.touch()

    def write(command: str) -> None:
        path.write_text(f"#!/bin/sh\nenv | sort >> {ran}; echo run >> {ran}\n{command}\n")
        path.chmod(0o755)

    write("true")
    run("connector", **workspace.options, **connector(script=str(path)))
    add_app(workspace)
    add_template(workspace)
    write.path, write.ran = path, ran
    return write


def test_connector_script_environment_describes_the_image(workspace, vcenter, simulator, script, monkeypatch):
    monkeypatch.setenv("VMWARE_PASSWORD", "not for scripts")
    script("echo pushed to the pool")

    def look() -> tuple:
        return machines(simulator), state_of(workspace.path), script.ran.read_text()

    task = converges("layered_image_publish", look, **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    text = script.ran.read_text()
    found = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("STRATA_"))
    assert found == {
        "STRATA_CONNECTOR": "desktops",
        "STRATA_IMAGE": task["digest"],
        "STRATA_TEMPLATE": "office",
        "STRATA_VCENTER": simulator.host,
        "STRATA_VM_NAME": task["vm"]["name"],
        "STRATA_VM_MOID": task["vm"]["moid"],
        "STRATA_VM_UUID": task["vm"]["instance_uuid"],
        "STRATA_SNAPSHOT": task["snapshot"],
        "STRATA_SNAPSHOT_MOID": task["snapshot_moid"],
    }
    assert text.splitlines().count("run") == 1
    assert simulator.password not in text
    assert "not for scripts" not in text
    assert task["script"] == {"path": str(script.path), "done": True, "output": "pushed to the pool"}


def test_connector_script_fails_is_repeated_alone(workspace, vcenter, simulator, script):
    script("echo the pool is busy >&2; exit 7")
    result = fails(
        "layered_image_publish", "publish.connector_script", **workspace.options, **vcenter, templates=["office"]
    )
    assert result["details"]["exit_code"] == 7
    assert result["details"]["output"] == "the pool is busy"
    assert result["details"]["tasks"][0]["status"] == "Failed"
    before = machines(simulator)
    simulator.clear_journal()
    script("true")
    planned = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], check=True)
    assert planned["changed"] is True
    assert "script would be run" in planned["tasks"][0]["description"]
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    assert done["changed"] is True
    assert done["tasks"][0]["status"] == "Complete"
    assert machines(simulator) == before
    assert run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["changed"] is False
    assert script.ran.read_text().splitlines().count("run") == 2
    assert not {entry["method"] for entry in simulator.journal(kind="soap")} & {
        "ImportVApp",
        "PowerOnMultiVM_Task",
        "CreateSnapshot_Task",
        "Destroy_Task",
    }


def test_connector_script_not_executable_fails_before_the_first_step(workspace, vcenter, simulator, script):
    script.path.chmod(0o644)
    for check in (True, False):
        fails(
            "layered_image_publish",
            "publish.connector_script",
            **workspace.options,
            **vcenter,
            templates=["office"],
            check=check,
        )
    assert list(machines(simulator)) == ["windows-template"]


@pytest.mark.parametrize("check", [True, False])
def test_connector_test_refuses_a_script_that_cannot_be_executed(workspace, vcenter, check):
    options = {**workspace.options, **vcenter, **connector(name="other", script="/no/such/script"), "test": True}
    before = state_of(workspace.path)
    fails("connector", "publish.connector_script", check=check, **options)
    assert state_of(workspace.path) == before


def test_connector_script_times_out(workspace, vcenter, script):
    script("sleep 600")
    result = attempt(
        "layered_image_publish", **workspace.options, **vcenter, templates=["office"], timeouts={"connector_script": 1}
    )
    assert result["failed"]
    assert "within 1 s" in result["msg"]
