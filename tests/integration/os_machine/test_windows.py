# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role os_machine: what it does in Windows, on a model of Windows that checks options against those of the real modules."""

from __future__ import annotations

import base64
import pathlib

import pytest
import tree_sitter
import tree_sitter_powershell
import yaml

from ansible_collections.strata.layering.tests.support.windows_guest import model

_ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "os_machine"
_CHECKS = yaml.safe_load((_ROLE / "vars" / "main" / "checks.yml").read_text(encoding="utf-8"))
_UPDATES = "hklm:\\software\\policies\\microsoft\\windows\\windowsupdate\\au"
_SERVICES = "hklm:\\system\\currentcontrolset\\services\\"


def test_settings_tools_and_checks(windows):
    before = windows.windows()
    planned = windows.prepare_windows("--check")
    assert not planned.failed, planned.output
    assert planned.tasks == [
        "Set the registry",
        "Forget what clones must not share",
        "Disable scheduled tasks",
        "Give the page file a fixed size",
        "Copy the tools",
    ]
    after_check = windows.windows()
    assert all(after_check[part] == before[part] for part in ("registry", "tasks", "seen"))
    assert not any(entry["changed"] and not entry["check"] for entry in after_check["log"])

    own = {"path": "HKLM:\\SOFTWARE\\Example", "name": "Colour", "data": "blue", "type": "string"}
    done = windows.prepare_windows(registry=[own], pagefile_mb=2048)
    assert not done.failed, done.output
    state = windows.windows()
    value = {
        path: {entry["name"]: entry["data"] for entry in key["values"].values()}
        for path, key in state["registry"].items()
    }
    assert value[_UPDATES] == {"NoAutoUpdate": 1} and value["hklm:\\software\\example"] == {"Colour": "blue"}
    assert [
        value[_SERVICES + name]["Start"]
        for name in ("wuauserv", "usosvc", "waasmedicsvc", "bdesvc", "edgeupdate", "vmtools")
    ] == [4, 4, 4, 4, 3, 2]
    assert _SERVICES + "uhssvc" not in value, "a service that is not there was made"
    assert value["hklm:\\system\\currentcontrolset\\control\\power"]["HibernateEnabled"] == 0
    assert value["hklm:\\software\\microsoft\\windows\\currentversion\\windowsupdate"] == {}
    assert {task["name"]: task["enabled"] for task in state["tasks"]} == {
        "Schedule Scan": False,
        "Scheduled Start": False,
        "ScanForUpdates": False,
        "ScheduledDefrag": True,
        "MicrosoftEdgeUpdateTaskMachineCore{1}": False,
        "startup": True,
    }
    assert state["seen"]["pagefile"] == {
        "automatic": False,
        "files": [{"name": "C:\\pagefile.sys", "initial_mb": 2048, "maximum_mb": 2048}],
    }
    copied = {
        file["path"]: base64.b64decode(file["data"]) for file in state["files"].values() if "scripts" in file["path"]
    }
    for path in sorted((_ROLE / "files" / "scripts").rglob("*.cmd")):
        name = "C:\\Windows\\Setup\\scripts\\" + str(path.relative_to(_ROLE / "files" / "scripts")).replace("/", "\\")
        assert copied.pop(name) == b"\r\n".join(path.read_bytes().replace(b"\r", b"").split(b"\n")), name
    assert not copied

    again = windows.prepare_windows(registry=[own], pagefile_mb=2048)
    assert not again.failed and again.changed == 0, again.output


def test_answer_file(windows):
    blank = windows.prepare_windows("--check", unattend=True)
    assert blank.failed and "a password for the built-in administrator" in blank.output
    assert not windows.prepare_windows("--check", unattend=True, unattend_administrator_enabled=False).failed
    wanted = {
        f"unattend_{name}": value
        for name, value in {
            "activation": "retail",
            "product_key": "AAAAA-BBBBB",
            "time_zone": "W. Europe Standard Time",
            "administrator_password": "very secret",
        }.items()
    } | {"unattend": True}
    done = windows.prepare_windows("-vvv", "--diff", **wanted)
    assert not done.failed and "very secret" not in done.output
    file = windows.windows()["files"]["c:\\windows\\panther\\unattend.xml"]
    assert not file["inherits"] and file["allowed"] == [["S-1-5-18", "FullControl"], ["S-1-5-32-544", "FullControl"]]
    text = base64.b64decode(file["data"]).decode()
    assert "<TimeZone>W. Europe Standard Time</TimeZone>\r\n" in text and "\n" not in text.replace("\r\n", "")
    again = windows.prepare_windows(**wanted)
    assert not again.failed and again.changed == 0 and "Delete them, or sysprep takes them" not in again.output
    assert windows.prepare_windows(**wanted, unattend_domain="example.com").failed
    join = {"unattend_domain": "example.com", "unattend_join_password": "x"}
    nowhere = windows.prepare_windows("--check", **wanted, **join, unattend_join_username="joiner")
    assert nowhere.failed and "an account with its domain and password" in nowhere.output
    assert not windows.prepare_windows("--check", **wanted, **join, unattend_join_username="EXAMPLE\\joiner").failed


WRONG = {
    "vmxnet3": lambda seen: seen["adapters"][0].update(service="e1g6032e"),
    "ghost_adapters": lambda seen: seen["ghost_adapters"].append("Intel(R) 82574L Gigabit Network Connection"),
    "vmware_tools": lambda seen: seen["tools"].update(running=False),
    "bitlocker": lambda seen: seen.update(encryption=1),
    "installers": lambda seen: seen["processes"].append("TiWorker.exe"),
    "not_domain_joined": lambda seen: seen["domain"].update(joined=True, name="example.com"),
    "profiles": lambda seen: seen["profiles"].append("C:\\Users\\someone"),
    "in_place_upgrade": lambda seen: seen.update(upgraded=True),
    "free_space": lambda seen: seen.update(free_gb=9.9),
    "recovery_partition": lambda seen: seen.update(recovery_partitions=1),
    "store_apps": lambda seen: seen["unprovisioned_apps"].append("Example.App"),
}
_CURRENT = "HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\"
_SESSION = "HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Session Manager"
WRONG_VALUES = {
    "pending_reboot": [(_CURRENT + "Component Based Servicing\\RebootPending", "x", 1)],
    "pending_renames": [(_SESSION, "PendingFileRenameOperations", ["\\??\\C:\\old", ""])],
    "run_once": [(_CURRENT + "RunOnce", "Finish", "setup.exe")],
    "setup_complete": [("HKLM:\\SYSTEM\\Setup\\Status\\SysprepStatus", "GeneralizationState", 4)],
}
WRONG_FILES = {
    "no_done_markers": "C:\\Windows\\Setup\\scripts\\kmsdir\\runipkato_done",
    "answer_files": "C:\\Windows\\System32\\Sysprep\\unattend.xml",
    "identity": "C:\\Windows\\SMSCFG.INI",
}
SETTINGS = {
    "updates_off",
    "update_tasks",
    "store_updates_off",
    "settings",
    "hibernation_off",
    "pagefile",
    "tools_installed",
}


def spoil(state: dict, names) -> None:
    """Make Windows as these checks do not want it."""
    for name in names:
        if name in WRONG:
            WRONG[name](state["seen"])
        for path, value, data in WRONG_VALUES.get(name, []):
            model.set_value(state, path, value, data, "string")
        if name in WRONG_FILES:
            state["files"][WRONG_FILES[name].lower()] = {"path": WRONG_FILES[name], "data": ""}


def test_every_check_can_fail(windows):
    spoilt = set(WRONG) | set(WRONG_VALUES) | set(WRONG_FILES)
    every = {check["name"]: check["level"] for check in _CHECKS["os_machine_windows_checks"]}
    assert set(every) == spoilt | SETTINGS
    windows.windows(lambda state: spoil(state, spoilt))
    refused = windows.prepare_windows()
    sentence = refused.output[refused.output.index("is not ready:") :]
    assert refused.failed
    for name in spoilt:
        assert (f"{name}: " in sentence) is (every[name] == "enforce"), name
    assert "pending_reboot: a restart is pending: RebootPending. Restart Windows until nothing is pending" in sentence
    for words in (
        "Intel(R) 82574L Gigabit Network Connection",
        "C:\\\\Users\\\\someone",
        "Example.App",
        "recovery partitions on the disk: 1",
    ):
        assert words in refused.output, words
    enforced = {name: "warn" for name in spoilt if every[name] == "enforce"}
    warned = windows.prepare_windows(checks=enforced)
    assert not warned.failed and "a member of the domain example.com. Leave the domain" in warned.output, warned.output
    silent = windows.prepare_windows(checks=dict.fromkeys(spoilt, "ignore"))
    assert not silent.failed and "example.com" not in silent.output


def test_a_service_that_windows_protects_is_told_of(windows):
    windows.windows(lambda state: state.update(protected=[_SERVICES + "waasmedicsvc"]))
    refused = windows.prepare_windows()
    assert refused.failed and "updates_off: automatic updates are on: WaaSMedicSvc. " in refused.output, refused.output
    warned = windows.prepare_windows(checks={"updates_off": "warn"})
    assert not warned.failed, warned.output
    windows.windows(lambda state: state.update(protected=["hklm:\\software\\example"]))
    wrong = windows.prepare_windows(registry=[{"path": "HKLM:\\SOFTWARE\\Example", "name": "Colour", "data": 1}])
    assert wrong.failed and "registry access is not allowed" in wrong.output and "is not ready" not in wrong.output


def test_settings_are_checked_where_they_are_not_made(windows):
    windows.windows(
        lambda state: state["tasks"].append(
            {"path": "\\Microsoft\\Windows\\WindowsUpdate\\", "name": "sih", "enabled": True}
        )
    )
    tasks = [
        {
            "name": step,
            "ansible.builtin.include_role": {
                "name": "strata.layering.os_machine",
                "tasks_from": step,
                "rolespec_validate": False,
            },
        }
        for step in ("observe", "checks")
    ]
    playbook = windows.folder / "checks.yml"
    playbook.write_text(
        yaml.safe_dump([{"hosts": "os_machines", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
    )
    refused = windows.play(playbook=str(playbook))
    assert refused.failed
    sentence = refused.output[refused.output.index("is not ready:") :]
    for name in ("updates_off", "hibernation_off", "tools_installed"):
        assert f"{name}: " in sentence
    for words in (
        "scheduled tasks of updates that are enabled: Schedule Scan",
        "page files: chosen by Windows",
        "updates of Store apps are on",
    ):
        assert words in refused.output, words


@pytest.mark.parametrize("path", sorted((_ROLE / "scripts").glob("*.ps1")), ids=lambda path: path.name)
def test_powershell_parses(path):
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    tree = parser.parse(path.read_bytes())
    assert not tree.root_node.has_error, tree.root_node
    assert parser.parse(b"foreach ($x in {").root_node.has_error
