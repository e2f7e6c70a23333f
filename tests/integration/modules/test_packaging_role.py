# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles app_layer and platform_layer with packaging machines, manual and unattended."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from ansible_collections.strata.layering.tests.support.module_options import add_app, connector
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.packaging_workspace import install, work_in
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines
from ansible_collections.strata.layering.tests.support.windows_guest import model

_COLLECTIONS = pathlib.Path(__file__).resolve().parents[3] / ".build" / "collections"


@pytest.fixture(name="play")
def _play(office):
    """Runs the playbook of a kind with these packages; returns how many tasks changed something, and the output."""
    values = {
        "layering_repository": os.fspath(office.path),
        "layering_file_share": office.share,
        "layering_hostname": office.simulator.host,
        "layering_port": office.simulator.port,
        "layering_username": office.simulator.login[0],
        "layering_password": office.simulator.login[1],
        "layering_ca_path": os.fspath(office.simulator.ca_file),
        **{f"{kind}_layer_os_layer": {"name": "Windows 11"} for kind in ("app", "platform")},
        **{f"{kind}_layer_connector": "packaging" for kind in ("app", "platform", "os")},
        "layered_image_connectors": [connector(name="packaging", folder="Packaging")],
    }
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    group = {"hosts": {}, "vars": local}
    inventory = {"all": {"hosts": {"localhost": local}, "vars": values, "children": {"packaging_machines": group}}}
    path = office.tmp_path / "inventory.json"

    def play(
        packages: list[dict], *flags: str, kind: str = "app", windows: pathlib.Path | None = None, **variables: object
    ) -> tuple[int, str]:
        values.update(variables)
        if windows is not None:
            group["vars"] = {"ansible_connection": "windows_guest", "windows_guest_state": os.fspath(windows)}
        values["os_layer_updates" if kind == "os" else f"{kind}_layer_packages"] = packages
        path.write_text(json.dumps(inventory))
        path.rename(path.with_suffix(".yml"))
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "ansible",
                "playbook",
                f"strata.layering.{kind}_layer",
                "-i",
                str(path.with_suffix(".yml")),
                *flags,
            ],
            cwd=office.tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(_COLLECTIONS),
                "ANSIBLE_CONNECTION_PLUGINS": os.path.join(os.path.dirname(model.__file__), "connection"),
                "ANSIBLE_HOME": str(office.tmp_path / "ansible"),
                "ANSIBLE_NOCOLOR": "1",
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return sum(int(number) for number in re.findall(r"changed=(\d+)", done.stdout)), done.stdout

    return play


def versions(office, name: str) -> list[str]:
    """Return the versions of a layer."""
    return [
        entry["version"]
        for layer in run("layer_info", **office.options, name=name)["layers"]
        for entry in layer["versions"]
    ]


def test_role_manual_packaging_requires_action_and_captures(office, play):
    add_app(office, "Base")
    package = {
        "name": "App",
        "version": "1",
        "prerequisites": [{"name": "Base", "version": "1.0"}],
        "priority": 600,
        "minimum_run": 0,
    }
    # The connector and the layer, whose packaging machine needs the connector.
    assert play([package], "--check")[0] == 2
    with pytest.raises(AssertionError, match=r"repository\.catalog_missing"):
        play([package | {"connector": "nowhere"}], "--check")
    changed, output = play([package])
    assert changed == 2
    assert "Install the software of the layer in it" in output
    [name] = [name for name in machines(office.simulator) if name.startswith("App-1-packaging-")]
    changed, output = play([package])
    assert changed == 0
    assert name in output
    assert versions(office, "App") == []

    machine = machines(office.simulator)[name]
    machine_of(office.simulator.connect(), machine["moid"]).PowerOff()
    work_in(office, machine, install)
    changed, output = play([package], "--check")
    assert changed == 1
    assert "would package app layer App 1" in output
    changed, output = play([package])
    assert changed == 3
    assert versions(office, "App") == ["1"]
    assert name not in machines(office.simulator)
    assert os.listdir(office.share) == []
    assert play([package])[0] == 0
    assert play([package | {"priority": 700}])[0] == 1


def test_role_unattended_packaging_captures(office, play):
    path_of_vm = "{{ hostvars[app_layer_machine.machine.name].packaging_machine.path }}"
    tasks = [
        {
            "name": "Install",
            "ansible.builtin.copy": {"content": path_of_vm, "dest": os.fspath(office.tmp_path / "installed")},
        }
    ]
    path = office.tmp_path / "install.yml"
    path.write_text(json.dumps(tasks))
    package = {"name": "App", "version": "1", "install_tasks": os.fspath(path)}
    # The tasks run on this host and not in the VM: nothing was installed in it, and the VM is kept for diagnosis.
    with pytest.raises(AssertionError, match="operations.layer_empty"):
        play([package])
    assert versions(office, "App") == []
    assert [name for name in machines(office.simulator) if "packaging" in name]
    package["finalize"] = "warn"
    changed, output = play([package])
    assert changed == 2, output
    assert (office.tmp_path / "installed").read_text().startswith("/DC0/vm/Packaging/App-1-packaging-")
    assert versions(office, "App") == ["1"]
    assert not [name for name in machines(office.simulator) if "packaging" in name]
    assert play([package])[0] == 0


def test_role_platform_layer_is_packaged(office, play):
    add_app(office, "Base")
    # A VM that is powered off before its tasks have ended is powered on, and the tasks run again.
    path = office.tmp_path / "install.yml"
    path.write_text(json.dumps([{"name": "Fail", "ansible.builtin.fail": {"msg": "interrupted"}}]))
    package = {
        "name": "Agent",
        "version": "1",
        "prerequisites": [{"name": "Base", "version": "1.0"}],
        "install_tasks": os.fspath(path),
    }
    with pytest.raises(AssertionError, match="interrupted"):
        play([package], kind="platform")
    [machine] = [
        machine for name, machine in machines(office.simulator).items() if name.startswith("Agent-1-packaging-")
    ]
    machine_of(office.simulator.connect(), machine["moid"]).PowerOff()
    work_in(office, machine, install)
    copy = {"content": "{{ app_layer_package.name }}", "dest": os.fspath(office.tmp_path / "done")}
    path.write_text(json.dumps([{"name": "Install", "ansible.builtin.copy": copy}]))
    play([package], kind="platform")
    assert (office.tmp_path / "done").read_text() == "Agent"
    assert machine["name"] not in machines(office.simulator)
    [layer] = run("layer_info", **office.options, name="Agent")["layers"]
    assert layer["kind"] == "platform"
    assert layer["versions"][0]["changes"]["files"] == 2
    assert play([package], kind="platform")[0] == 0
    assert play([package | {"confirmed_for": ["2.0"]}], kind="platform")[0] == 1


def test_role_os_layer_is_updated_manually_without_the_os_machine(office, play):
    update = {"name": "Windows 11", "version": "2.0", "minimum_run": 0}
    # The connector and the layer, whose packaging machine needs the connector.
    assert play([update], "--check", kind="os")[0] == 2
    changed, output = play([update], kind="os")
    assert changed == 2
    assert "Update or configure Windows in it" in output
    [name] = [name for name in machines(office.simulator) if name.startswith("Windows-11-2.0-packaging-")]
    machine = machines(office.simulator)[name]
    machine_of(office.simulator.connect(), machine["moid"]).PowerOff()
    work_in(office, machine, install)
    # The readiness checks decide: the VM is kept until its disk is accepted.
    with pytest.raises(AssertionError, match=r"operations\.os_not_ready"):
        play([update], kind="os")
    assert name in machines(office.simulator)
    assert play([update | {"readiness": "warn"}], kind="os")[0] == 2
    assert versions(office, "Windows 11") == ["1.0", "2.0"]
    assert name not in machines(office.simulator)
    assert os.listdir(office.share) == []
    assert play([update], kind="os")[0] == 0


def test_role_os_layer_is_updated_by_tasks(office, play):
    """The update services, which are disabled in an OS layer, are enabled only while updates are installed."""
    windows = office.tmp_path / "windows.json"
    state = model.installed()
    services = "hklm:\\system\\currentcontrolset\\services\\"
    for name in ("wuauserv", "UsoSvc"):
        model.set_value(state, services + name, "Start", 4, "dword")
    state["seen"]["ghost_adapters"] = ["vmxnet3 Ethernet Adapter"]
    model.keep(windows, state | {"offered": ["KB5031455"]})
    value = {"path": "HKLM:\\SOFTWARE\\Example", "name": "Version", "data": "{{ os_layer_update.version }}"}
    path = office.tmp_path / "update.yml"
    path.write_text(json.dumps([{"name": "Configure", "ansible.windows.win_regedit": value}]))
    update = {"name": "Windows 11", "version": "2.0", "start_from": "1.0", "readiness": "warn"}
    update |= {"windows_update": True, "update_tasks": os.fspath(path)}
    # An empty answer of a survey counts as not set.
    play([update], kind="os", windows=windows, os_layer_noise_profile="", os_layer_noise_run="")
    state = model.load(windows)
    assert "KB5031455" in state["seen"]["hotfixes"]
    start_types = [state["registry"][services + name]["values"]["start"]["data"] for name in ("wuauserv", "usosvc")]
    assert start_types == [4, 4]
    assert state["seen"]["ghost_adapters"] == []
    assert state["registry"]["hklm:\\software\\microsoft\\windows\\currentversion\\windowsupdate"]["values"] == {}
    assert state["seen"]["pagefile"]["automatic"]
    assert state["registry"]["hklm:\\software\\example"]["values"]["version"]["data"] == "2.0"
    assert not [name for name in machines(office.simulator) if "packaging" in name]
    assert versions(office, "Windows 11") == ["1.0", "2.0"]


def test_role_os_layer_gets_a_noise_profile(office, play):
    profile = {
        "os_layer_versions": [
            {"name": "Windows 11", "version": "1.0"},
            {"name": "Windows 11", "version": "0", "state": "absent"},
        ],
        # A survey answers with text.
        "os_layer_noise_profile": "true",
        "os_layer_noise_run": "1",
    }
    # The connector and the packaging machine.
    changed, output = play([], "--check", kind="os", **profile)
    assert changed == 2, output
    changed, output = play([], kind="os", **profile)
    assert changed == 5, output
    assert not [name for name in machines(office.simulator) if "packaging" in name]
    assert os.listdir(office.share) == []
    assert play([], kind="os", **profile)[0] == 0
