# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vsphere_selftest, its role and its playbook."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest
from pyVim.task import WaitForTask

from ansible_collections.strata.layering.plugins.module_utils.common.findings import FAIL
from ansible_collections.strata.layering.plugins.module_utils.preflight import checks
from ansible_collections.strata.layering.plugins.module_utils.selftest import machine
from ansible_collections.strata.layering.plugins.module_utils.vsphere.privileges import PRIVILEGES
from ansible_collections.strata.layering.tests.support.least_privilege import USERNAME, restrict
from ansible_collections.strata.layering.tests.support.module_options import connector
from ansible_collections.strata.layering.tests.support.modules import attempt, fails, run
from ansible_collections.strata.layering.tests.support.playbooks import run_plays
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.vcenter import machines, options_of

PLACEMENT = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0", "vm_template": "windows-template"}


@pytest.fixture
def options(simulator, tmp_path) -> dict:
    """The options of a self-test with little data, in a fresh vCenter."""
    return PLACEMENT | options_of(simulator) | {"size_mb": 1, "report": os.fspath(tmp_path / "report")}


def test_selftest_passes_and_changes_nothing(simulator, options, tmp_path):
    before = machines(simulator)
    for _number in range(2):
        result = run("vsphere_selftest", **options)
        assert result["changed"] is False
        assert result["usable"] is True
        assert result["report_files"] == [str(tmp_path / "report.md"), str(tmp_path / "report.json")]
        assert json.loads((tmp_path / "report.json").read_text()) == result["report"]
        assert (tmp_path / "report.md").read_text() == result["report_text"]
        assert result["headline"] in result["report_text"]
    assert machines(simulator) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_selftest_passes_with_the_documented_privileges(simulator, options):
    restrict(simulator)
    result = run("vsphere_selftest", **options | options_of(simulator))
    assert result["headline"] == "The site can be used."
    assert USERNAME not in result["report_text"]


def test_selftest_without_the_privilege_to_export_is_a_warning(simulator, options):
    restrict(simulator, [entry for entry in PRIVILEGES if entry.id != "VApp.Export"])
    result = run("vsphere_selftest", **options | options_of(simulator))
    steps = {row["name"]: row["result"] for row in result["report"]["steps"]}
    assert (steps["export"], steps["compare"], steps["remove"]) == ("warn", "warn", "pass")
    assert any("VApp.Export" in sentence for sentence in result["report"]["warnings"])


def test_selftest_missing_privilege_is_found_before_anything_is_created(simulator, options):
    restrict(simulator, [entry for entry in PRIVILEGES if entry.id != "VirtualMachine.Inventory.Delete"])
    result = fails("vsphere_selftest", "operations.selftest_failed", **options | options_of(simulator))
    assert result["details"]["cause"] == "preflight.failed"
    assert simulator.journal(method="ImportVApp") == []


def test_selftest_check_mode_writes_no_report(simulator, options, tmp_path):
    before = machines(simulator)
    result = run("vsphere_selftest", check=True, **options)
    assert result["changed"] is False
    assert result["checks"]
    assert result["report_files"] == []
    assert list(tmp_path.iterdir()) == []
    assert machines(simulator) == before


def test_selftest_stored_connector_is_tested(workspace, simulator, tmp_path):
    options = options_of(simulator) | {"size_mb": 1, "report": os.fspath(tmp_path / "report.md")}
    result = run("vsphere_selftest", **workspace.options, **options, connector="desktops")
    assert result["usable"] is True
    assert (tmp_path / "report.md").exists()
    # The folder of the connector does not exist, and is not created.
    assert "Images" not in str(simulator.connect().content.rootFolder.childEntity[0].vmFolder.childEntity)


def test_selftest_failed_step_returns_code_and_report(simulator, options, tmp_path):
    simulator.rules.add(method="CreateSnapshot*", fault="NoDiskSpace", task=True)
    result = fails("vsphere_selftest", "operations.selftest_failed", **options)
    details = result["details"]
    assert (details["step"], details["cause"]) == ("snapshot", "vsphere.no_space")
    assert details["left_behind"] == []
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["error"]["code"] == "vsphere.no_space"
    assert report["headline"] in result["msg"]


def test_selftest_failed_check_in_check_mode_returns_the_report(options, monkeypatch):
    monkeypatch.setitem(checks.CHECKS, "hosts", lambda subject: (FAIL, "no host was reached", "Open port 443."))
    result = fails("vsphere_selftest", "operations.selftest_failed", check=True, **options)
    assert result["details"]["cause"] == "preflight.failed"
    assert "hosts" in result["details"]["report_text"]


def test_selftest_leftover_of_a_killed_run_is_a_change(simulator, options, monkeypatch):
    simulator.rules.add(method="CreateSnapshot*", fault="NoDiskSpace", task=True)
    failed = attempt("vsphere_selftest", **options, keep_vm_on_failure=True)
    [left] = failed["details"]["left_behind"]
    monkeypatch.setattr(machine, "_process", lambda number: "")
    for check in (True, False):
        result = run("vsphere_selftest", check=check, **options)
        assert result["changed"] is True
        assert result["removed"] == [left]
    assert run("vsphere_selftest", **options)["changed"] is False


_PROGRAM = """
import json, sys
from ansible_collections.strata.layering.tests.support.modules import attempt
attempt("vsphere_selftest", **json.load(sys.stdin))
"""


def test_selftest_vm_of_a_killed_process_is_removed_by_the_next_run(simulator, options):
    before = machines(simulator)
    simulator.rules.add(method="PowerOn*", delay_ms=60000)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    program = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment) as process:
        process.stdin.write(json.dumps(options).encode())
        process.stdin.close()
        deadline = time.monotonic() + 30
        while not simulator.journal(method="ReconfigVM_Task"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    [name] = machines(simulator).keys() - before.keys()
    simulator.rules.clear()
    result = run("vsphere_selftest", **options)
    assert result["changed"] is True
    assert [path.rpartition("/")[2] for path in result["removed"]] == [name]
    assert machines(simulator) == before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"size_mb": 0}, "operations.selftest_size"),
        ({"size_mb": 100000}, "operations.selftest_size"),
        ({"report": "/nonexistent/folder/report"}, "operations.selftest_report"),
        ({"vm_template": None}, "operations.connector_incomplete"),
    ],
)
def test_selftest_wrong_option_fails_before_a_login(simulator, options, changes, code):
    fails("vsphere_selftest", code, **options | changes)
    assert simulator.journal(method="Login") == []


def test_selftest_report_that_cannot_be_written_does_not_hide_the_failed_step(simulator, options, tmp_path):
    simulator.rules.add(method="CreateSnapshot*", fault="NoDiskSpace", task=True)
    (tmp_path / "report.json").mkdir()
    result = fails("vsphere_selftest", "operations.selftest_failed", **options)
    assert result["details"]["cause"] == "vsphere.no_space"
    assert result["details"]["report_files"] == []
    assert "vsphere.no_space" in result["details"]["report_text"]


def test_selftest_connector_without_repository_fails(options, monkeypatch):
    monkeypatch.delenv("STRATA_REPOSITORY", raising=False)
    options = {name: value for name, value in options.items() if name not in PLACEMENT}
    fails("vsphere_selftest", "operations.selftest_repository", **options, connector="desktops")


def test_selftest_connector_and_location_exclude_each_other(options):
    assert "mutually exclusive" in attempt("vsphere_selftest", **options, connector="desktops")["msg"]


#: Names that do not occur in the texts of a report, by the placeholder that they get.
_ODD_NAMES = {
    "datacenter": "Zürich (DC)*",
    "cluster": "C1|`x` 50%",
    "network": "<VLAN> & 'q'",
    "template": "gold-Ω [1]",
    "folder": "Ünits/of\\\\Qix",
    "host": "esx-quark.corp.example.com",
    "other": 'Payroll "Zq" server',
}


def _rename(simulator) -> None:
    """Give the objects of the simulator odd names."""
    content = simulator.connect().content
    datacenter = content.rootFolder.childEntity[0]
    cluster = next(item for item in datacenter.hostFolder.childEntity if item.name == "DC0_C0")
    network = next(item for item in datacenter.network if item.name == "DC0_DVPG0")
    template = next(item for item in datacenter.vmFolder.childEntity if item.name == "windows-template")
    folder = datacenter.vmFolder.CreateFolder("renamed")
    for item, kind in (
        (network, "network"),
        (template, "template"),
        (folder, "folder"),
        (cluster, "cluster"),
        (datacenter, "datacenter"),
    ):
        name = _ODD_NAMES[kind].replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")
        WaitForTask(item.Rename_Task(name))


#: Rules under which different steps fail with messages that name objects.
_FAILURES = [
    {},
    {"method": "ImportVApp", "fault": "NoPermission"},
    {"method": "NFC:PUT", "http_status": 500, "count": -1},
    {"method": "PowerOn*", "fault": "InsufficientResourcesFault", "task": True, "message": "{names}"},
    {"method": "CreateSnapshot*", "fault": "RuntimeFault", "task": True, "message": "{names}"},
]


@pytest.mark.parametrize("rule", _FAILURES, ids=lambda rule: rule.get("method", "none"))
def test_selftest_report_has_no_names(tmp_path, rule):
    with Simulator(username="quentin.zorn@corp.example.com", template="windows-template") as simulator:
        _rename(simulator)
        texts = [*_ODD_NAMES.values(), simulator.username, simulator.host, "https://10.1.2.3/x"]
        if rule:
            simulator.rules.add(**rule | ({"message": ", ".join(texts)} if "message" in rule else {}))
        names = {
            "datacenter": _ODD_NAMES["datacenter"],
            "cluster": _ODD_NAMES["cluster"],
            "datastore": "LocalDS_0",
            "network": _ODD_NAMES["network"],
            "vm_template": _ODD_NAMES["template"],
            "folder": _ODD_NAMES["folder"].replace("/", "%2f"),
        }
        options = options_of(simulator) | names | {"size_mb": 1, "report": os.fspath(tmp_path / "report")}
        result = attempt("vsphere_selftest", **options)
        assert bool(result.get("failed")) == bool(rule), result.get("msg")
        uuid = simulator.connect().content.about.instanceUuid
    secrets = [value for name, value in _ODD_NAMES.items() if name not in ("host", "other")]
    secrets += [simulator.username, "quentin", "zorn", "corp.example", simulator.password, simulator.host, uuid]
    secrets += ["10.1.2.3", "esx-quark", "LocalDS_0", "DC0_C0_H0", "windows-template"]
    for path in (tmp_path / "report.md", tmp_path / "report.json"):
        text = path.read_text(encoding="utf-8").casefold()
        if path.suffix == ".json":
            text = json.dumps(json.loads(text), ensure_ascii=False)
        for secret in secrets:
            assert secret.casefold() not in text, (secret, text)
            assert json.dumps(secret, ensure_ascii=False)[1:-1].casefold() not in text, (secret, text)


@pytest.mark.parametrize("name", ["elsewhere-quark", 'Payroll "Zq" server'])
def test_selftest_unknown_name_is_not_in_the_report(simulator, options, tmp_path, name):
    """The message lists the names of objects that exist."""
    attempt("vsphere_selftest", **options | {"datastore": name})
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "vsphere.not_found" in text
    for secret in (name, "LocalDS", "DC0", "windows-template"):
        assert secret not in text


def test_selftest_names_of_a_stored_connector_are_not_in_the_report(workspace, simulator, tmp_path):
    attributes = {"Quark-Owner": "zorn $template"}
    changes = connector(name="Quark VDI", description="for zorn", custom_attributes=attributes, folder="Quark/Sub")
    run("connector", **workspace.options, **changes)
    options = options_of(simulator) | {"size_mb": 1, "report": os.fspath(tmp_path / "report")}
    run("vsphere_selftest", **workspace.options, **options, connector="Quark VDI")
    for suffix in (".md", ".json"):
        text = (tmp_path / f"report{suffix}").read_text(encoding="utf-8").casefold()
        assert "quark" not in text
        assert "zorn" not in text


def test_selftest_playbook_shows_the_report(simulator, tmp_path):
    playbook = pathlib.Path(__file__).resolve().parents[3] / "playbooks" / "selftest.yml"
    connection = options_of(simulator)
    variables = {f"layering_{name}": value for name, value in connection.items()}
    variables |= {f"selftest_{name}": value for name, value in PLACEMENT.items()}
    variables |= {"selftest_size_mb": "1", "selftest_report": os.fspath(tmp_path / "report")}
    before = machines(simulator)
    plays = [{"ansible.builtin.import_playbook": os.fspath(playbook)}]
    done = run_plays(tmp_path, plays, variables)
    assert done.code == 0, done.output
    assert "changed=0" in done.output
    assert json.loads((tmp_path / "report.json").read_text())["composer"]["ansible-core"].startswith("2.")
    for line in (tmp_path / "report.md").read_text().splitlines():
        assert not line or json.dumps(line)[1:-1] in done.output
    simulator.rules.add(method="CreateSnapshot*", fault="NoDiskSpace", task=True)
    done = run_plays(tmp_path, plays, variables)
    assert done.code != 0
    assert "vsphere.no_space" in done.output
    assert "| snapshot | fail |" in done.output
    assert machines(simulator) == before
    assert connector()["vm_template"] not in (tmp_path / "report.md").read_text()
