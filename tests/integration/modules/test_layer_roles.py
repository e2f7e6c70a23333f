# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles of layers: they run modules only for versions that may differ, and know in check mode what earlier roles would create."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.strata.layering.tests.support.module_options import OS_LAYER, add_app
from ansible_collections.strata.layering.tests.support.modules import state_of
from ansible_collections.strata.layering.tests.support.webhooks import WebServer, served

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_COLLECTIONS = _ROOT / ".build" / "collections"
#: The callback that records results.
_RECORD = _ROOT / "tests" / "demo" / "callback"


@pytest.fixture
def play(tmp_path):
    """Run playbooks of the collection in one run; return the results of its modules and of changes as (action, result)."""

    def run_playbooks(*names: str, flags: tuple[str, ...] = (), code: int = 0, environment=None, **variables) -> list:
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory, record = tmp_path / "inventory.yml", tmp_path / "record.jsonl"
        inventory.write_text(json.dumps({"all": {"hosts": {"localhost": host}, "vars": variables}}))
        record.write_text("")
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), *flags]
        settings = {
            "ANSIBLE_COLLECTIONS_PATH": str(_COLLECTIONS),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_CALLBACK_PLUGINS": str(_RECORD),
            "ANSIBLE_CALLBACKS_ENABLED": "record",
            "DEMO_RECORD": str(record),
        }
        done = subprocess.run(
            [*command, *(f"strata.layering.{name}" for name in names)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | settings | (environment or {}),
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "s3cret" not in done.stdout + done.stderr
        records = [json.loads(line) for line in record.read_text().splitlines()]
        return [(found["action"], found["result"]) for found in records]

    return run_playbooks


def _of(results: list, action: str) -> list[dict]:
    return [result for name, result in results if name == action]


def _changed(results: list, action: str) -> list[str]:
    return [f"{found['item']['name']} {found['item']['version']}" for found in _of(results, action) if found["changed"]]


def test_unchanged_versions_call_no_module_and_a_problem_is_the_error_of_the_module(workspace, play):
    add_app(workspace)
    entry = {"name": "Tool", "version": "1.0", "files": os.fspath(workspace.tmp_path / "Tool-1.0")}
    variables = {"layering_repository": os.fspath(workspace.path), "app_layer_os_layer": {"name": "Windows 11"}}
    before = state_of(workspace.path)
    results = play("app_layer", app_layer_versions=[entry], **variables)
    assert [action for action, _result in results] == ["role_variables", "layer_changes_info"]
    assert state_of(workspace.path) == before
    pathlib.Path(entry["files"], "new.txt").write_text("new")
    results = play("app_layer", app_layer_versions=[entry], code=2, **variables)
    [item] = _of(results, "app_layer")
    assert item["code"] == "operations.layer_other_source"


def test_new_version_is_notified_once(workspace, play):
    entry = {"name": "Tool", "version": "1.0", "files": workspace.files("tool", {"x.txt": "x"})}
    with served(WebServer()) as web:
        variables = {
            "layering_repository": os.fspath(workspace.path),
            "app_layer_os_layer": {"name": "Windows 11"},
            "notifications_webhooks": [web.hook("chat")],
        }
        play("app_layer", app_layer_versions=[entry], **variables)
        play("app_layer", app_layer_versions=[entry | {"description": "changed"}], **variables)
        assert web.events("chat") == [[("layer_created", "Tool 1.0")]]


def test_check_mode_of_a_new_repository_lists_all_layers(tmp_path, exported, workspace, play):
    entry = {"name": "Tool", "version": "1.0", "files": workspace.files("tool", {"x.txt": "x"})}
    results = play(
        "file_share",
        "os_layer",
        "app_layer",
        "platform_layer",
        flags=("--check", "--diff"),
        layering_repository=os.fspath(tmp_path / "new"),
        layering_file_share=os.fspath(exported),
        file_share_folders=["more"],
        os_layer_versions=[OS_LAYER | {"ovf_package": "gold/gold-w11.ovf"}],
        app_layer_os_layer={"name": "Windows 11"},
        app_layer_versions=[entry, entry | {"name": "Gone", "state": "absent"}],
        platform_layer_os_layer={"name": "Windows 11"},
        platform_layer_versions=[entry | {"name": "Agent"}],
    )
    [share] = _of(results, "file_share")
    assert share["changed"]
    versions = [version for found in _of(results, "layer_changes_info") for version in found["versions"]]
    layers = [version["pending"] for version in versions if version["changed"]]
    assert [found["changed"] for found in _of(results, "ansible.builtin.set_fact")] == [True, True, True]
    assert [(layer["kind"], layer["name"], layer["version"], layer["action"]) for layer in layers] == [
        ("os", "Windows 11", "1.0", "create"),
        ("app", "Tool", "1.0", "create"),
        ("platform", "Agent", "1.0", "create"),
    ]
    assert not (tmp_path / "new").exists()
    assert not (exported / "more").exists()


def test_check_mode_of_a_new_os_layer_waits_only_where_it_must(workspace, play, exported):
    entry = {"name": "Tool", "version": "1.0", "files": workspace.files("tool", {"x.txt": "x"})}
    new = {"name": "Windows 12", "version": "1", "max_layer_size_gb": 1, "ovf_package": "gold/gold-w11.ovf"}
    results = play(
        "os_layer",
        "app_layer",
        flags=("--check",),
        layering_repository=os.fspath(workspace.path),
        layering_file_share=os.fspath(exported),
        os_layer_versions=[OS_LAYER | {"ovf_package": "gold/gold-w11.ovf"}, new],
        app_layer_versions=[
            entry | {"os_layer": {"name": "Windows 11"}},
            entry | {"name": "Other", "os_layer": {"name": "Windows 12"}},
        ],
    )
    assert _changed(results, "os_layer") == ["Windows 12 1"]
    assert _changed(results, "app_layer") == ["Tool 1.0"]
    assert _changed(results, "ansible.builtin.set_fact") == ["Other 1.0"]


def test_check_mode_runs_no_module_before_the_libraries_are_installed(play):
    entry = {"name": "Tool", "version": "1.0", "files": "/x"}
    pending = ["repository", "libraries"]
    results = play("app_layer", flags=("--check",), app_layer_versions=[entry], strata_layering_pending=pending)
    [(action, checked)] = results
    assert (action, checked["idle"]) == ("role_variables", True)


def test_variable_of_something_else_gives_a_warning(play):
    results = play("app_layer", app_layer_versions=[], app_layer_department="it", layering_vault_password="s3cret")
    [(action, checked)] = results
    assert (action, checked["idle"], checked["problems"]) == ("role_variables", True, [])
    assert [warning.split()[0] for warning in checked["warnings"]] == [
        "app_layer_department",
        "layering_vault_password",
    ]
    assert "s3cret" not in str(checked)


def test_mistakes_in_variables_fail_before_the_role_starts(play):
    entry = {"name": "VPN", "version": 1.1, "files": "/x"}
    results = play("app_layer", code=2, app_layers_versions=[], app_layer_versions=[entry, {"name": "B"}])
    [(_action, checked)] = results
    assert [(problem["problem"], problem["variable"]) for problem in checked["problems"]] == [
        ("unknown", "app_layers_versions"),
        ("not_text", "app_layer_versions[0].version"),
        ("missing", "app_layer_versions[1]"),
    ]


def test_empty_answers_count_as_not_set_and_the_environment_of_ansible_is_used(workspace, play):
    connector = {
        "name": "vdi",
        "datacenter": "DC0",
        "datastore": "d",
        "vm_template": "t",
        "esxi_hostname": "h",
        "test": True,
    }
    empty = ("test", "state", "action_required", "script_timeout", "shutdown_timeout", "retries", "retry_pause")
    empty += ("timeouts", "parallel", "keep", "validate_certs", "proxy_port", "publish")
    results = play(
        "layered_image",
        code=2,
        environment={"VMWARE_HOST": "127.0.0.1", "VMWARE_PORT": "1", "VMWARE_USER": "u", "VMWARE_PASSWORD": "s3cret"},
        layering_repository=os.fspath(workspace.path),
        layered_image_connectors=[connector],
        **{f"layered_image_{name}": "" for name in empty},
    )
    [checked] = _of(results, "role_variables")
    assert not checked["problems"]
    [item] = _of(results, "connector")
    assert item["code"].startswith("vsphere.")
    assert "127.0.0.1" in item["msg"]
