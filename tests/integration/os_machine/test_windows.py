# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role os_machine in Windows, on a model of Windows that checks options against those of the real modules."""

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


def test_windows_is_configured_and_then_unchanged(windows):
    before = windows.windows()
    planned = windows.prepare_windows("--check")
    assert not planned.failed, planned.output
    assert planned.tasks == [
        "Set the registry values",
        "Remove the registry values that images must not have",
        "Disable the scheduled tasks of updates",
        "Delete the shadow copies",
        "Set a fixed size for the page file",
        "Copy the OS machine tools",
    ]
    after_check = windows.windows()
    assert all(after_check[part] == before[part] for part in ("registry", "tasks", "seen"))
    assert not any(entry["changed"] and not entry["check"] for entry in after_check["log"])

    additional = {"path": "HKLM:\\SOFTWARE\\Example", "name": "Colour", "data": "blue", "type": "string"}
    done = windows.prepare_windows(registry=[additional], pagefile_mb=2048)
    assert not done.failed, done.output
    state = windows.windows()
    value = {
        path: {entry["name"]: entry["data"] for entry in key["values"].values()}
        for path, key in state["registry"].items()
    }
    assert value[_UPDATES] == {"NoAutoUpdate": 1}
    assert value["hklm:\\software\\example"] == {"Colour": "blue"}
    assert [
        value[_SERVICES + name]["Start"]
        for name in ("wuauserv", "usosvc", "waasmedicsvc", "bdesvc", "edgeupdate", "vmtools")
    ] == [4, 4, 4, 4, 3, 2]
    assert _SERVICES + "uhssvc" not in value, "a missing service was created"
    assert value["hklm:\\system\\currentcontrolset\\control\\power"]["HibernateEnabled"] == 0
    assert value["hklm:\\software\\microsoft\\windows\\currentversion\\windowsupdate"] == {}
    assert value["hklm:\\system\\setup\\labconfig"] == {}
    assert value["hklm:\\system\\currentcontrolset\\control\\ci\\policy"] == {"VerifiedAndReputablePolicyState": 0}
    assert value["hklm:\\software\\policies\\microsoft\\windows nt\\systemrestore"] == {"DisableSR": 1}
    assert state["seen"]["shadow_copies"] == 0
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
    for path in sorted((_ROLE / "files" / "scripts").rglob("*.*")):
        name = "C:\\Windows\\Setup\\scripts\\" + str(path.relative_to(_ROLE / "files" / "scripts")).replace("/", "\\")
        assert copied.pop(name) == b"\r\n".join(path.read_bytes().replace(b"\r", b"").split(b"\n")), name
    assert not copied

    again = windows.prepare_windows(registry=[additional], pagefile_mb=2048)
    assert not again.failed, again.output
    assert again.changed == 0, again.output

    # Tools of an earlier version have a different startup task.
    windows.windows(lambda state: state["files"]["c:\\windows\\setup\\scripts\\run-scripts.cmd"].update(data="b2xk"))
    limits = {"network": 300, "devices": 0}
    renewed = windows.prepare_windows(registry=[additional], pagefile_mb=2048, first_start=limits)
    assert not renewed.failed, renewed.output
    assert renewed.tasks == [
        "Copy the OS machine tools",
        "Install the OS machine tools",
        "Set the limits of the first start",
    ]
    file = windows.windows()["files"]["c:\\windows\\setup\\scripts\\first-start.txt"]
    assert base64.b64decode(file["data"]) == b"devices=0\r\nnetwork=300\r\n"


def test_answer_file_missing_passwords_are_refused(windows):
    blank = windows.prepare_windows("--check", unattend=True)
    assert blank.failed
    assert "os_machine_unattend_administrator_password" in blank.output
    assert not windows.prepare_windows("--check", unattend=True, unattend_administrator_enabled=False).failed


def test_answer_file_is_written_protected_and_hidden(windows):
    values = {
        f"unattend_{name}": value
        for name, value in {
            "activation": "retail",
            "product_key": "AAAAA-BBBBB",
            "time_zone": "W. Europe Standard Time",
            "administrator_password": "very secret",
        }.items()
    } | {"unattend": True}
    done = windows.prepare_windows("-vvv", "--diff", **values)
    assert not done.failed, done.output
    assert "very secret" not in done.output
    file = windows.windows()["files"]["c:\\windows\\panther\\unattend.xml"]
    assert not file["inherits"]
    assert file["allowed"] == [["S-1-5-18", "FullControl"], ["S-1-5-32-544", "FullControl"]]
    text = base64.b64decode(file["data"]).decode()
    assert "<TimeZone>W. Europe Standard Time</TimeZone>\r\n" in text
    assert "\n" not in text.replace("\r\n", "")
    again = windows.prepare_windows(**values)
    assert not again.failed, again.output
    assert again.changed == 0
    assert again.results["answer_files"]["result"] == "pass"
    assert windows.prepare_windows(**values, unattend_domain="example.com").failed
    join = {"unattend_domain": "example.com", "unattend_join_password": "x"}
    without_domain = windows.prepare_windows("--check", **values, **join, unattend_join_username="joiner")
    assert without_domain.failed
    assert "os_machine_unattend_join_username" in without_domain.output
    assert not windows.prepare_windows("--check", **values, **join, unattend_join_username="EXAMPLE\\joiner").failed


FACTS = {
    "vmxnet3": lambda facts: facts["adapters"][0].update(service="e1g6032e"),
    "ghost_adapters": lambda facts: facts["ghost_adapters"].append("Intel(R) 82574L Gigabit Network Connection"),
    "vmware_tools": lambda facts: facts["tools"].update(running=False),
    "bitlocker": lambda facts: facts.update(encryption=1),
    "installers": lambda facts: facts["processes"].append("TiWorker.exe"),
    "not_domain_joined": lambda facts: facts["domain"].update(joined=True, name="example.com"),
    "profiles": lambda facts: facts["profiles"].append("C:\\Users\\someone"),
    "in_place_upgrade": lambda facts: facts.update(upgraded=True),
    "free_space": lambda facts: facts.update(free_gb=9.9),
    "recovery_partition": lambda facts: facts.update(recovery_partitions=1),
    "store_apps": lambda facts: facts["unprovisioned_apps"].append("Example.App"),
}
_CURRENT = "HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\"
_SESSION = "HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Session Manager"
VALUES = {
    "pending_reboot": [(_CURRENT + "Component Based Servicing\\RebootPending", "x", 1)],
    "pending_renames": [(_SESSION, "PendingFileRenameOperations", ["\\??\\C:\\old", ""])],
    "run_once": [(_CURRENT + "RunOnce", "Finish", "setup.exe")],
    "setup_complete": [("HKLM:\\SYSTEM\\Setup\\Status\\SysprepStatus", "GeneralizationState", 4)],
}
FILES = {
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
    "shadow_copies",
    "smart_app_control",
}


def spoil(state: dict, names) -> None:
    """Change the model so that these checks fail."""
    for name in names:
        if name in FACTS:
            FACTS[name](state["seen"])
        for path, value, data in VALUES.get(name, []):
            model.set_value(state, path, value, data, "string")
        if name in FILES:
            state["files"][FILES[name].lower()] = {"path": FILES[name], "data": ""}


def test_every_check_fails_and_can_be_overridden(windows):
    spoilt = set(FACTS) | set(VALUES) | set(FILES)
    every = {check["name"]: check["level"] for check in _CHECKS["os_machine_windows_checks"]}
    assert set(every) == spoilt | SETTINGS
    windows.windows(lambda state: spoil(state, spoilt))
    refused = windows.prepare_windows()
    assert refused.failed
    message = refused.output[refused.output.index("is not ready:") :]
    for name in spoilt:
        assert refused.results[name]["result"] == ("fail" if every[name] == "enforce" else "warn"), name
        assert refused.results[name]["action"], name
        assert (f"{name}: " in message) is (every[name] == "enforce"), name
    for name, value in {
        "pending_reboot": "RebootPending",
        "ghost_adapters": "Intel(R) 82574L Gigabit Network Connection",
        "profiles": "C:\\Users\\someone",
        "store_apps": "Example.App",
        "recovery_partition": "1",
        "not_domain_joined": "example.com",
    }.items():
        assert value in refused.results[name]["found"], name
    enforced = {name: "warn" for name in spoilt if every[name] == "enforce"}
    warned = windows.prepare_windows(checks=enforced)
    assert not warned.failed, warned.output
    assert {warned.results[name]["result"] for name in spoilt} == {"warn"}
    silent = windows.prepare_windows(checks=dict.fromkeys(spoilt, "ignore"))
    assert not silent.failed, silent.output
    assert {silent.results[name]["result"] for name in spoilt} == {"ignored"}


def test_protected_service_is_reported_by_its_check(windows):
    windows.windows(lambda state: state.update(protected=[_SERVICES + "waasmedicsvc"]))
    refused = windows.prepare_windows()
    assert refused.failed, refused.output
    assert refused.results["updates_off"]["result"] == "fail"
    assert "WaaSMedicSvc" in refused.results["updates_off"]["found"]
    warned = windows.prepare_windows(checks={"updates_off": "warn"})
    assert not warned.failed, warned.output


def test_protected_value_of_the_user_fails(windows):
    windows.windows(lambda state: state.update(protected=["hklm:\\software\\example"]))
    refused = windows.prepare_windows(registry=[{"path": "HKLM:\\SOFTWARE\\Example", "name": "Colour", "data": 1}])
    assert refused.failed
    assert "registry access is not allowed" in refused.output
    assert not refused.results


def test_checks_without_settings_fail(windows):
    windows.windows(
        lambda state: state["tasks"].append(
            {"path": "\\Microsoft\\Windows\\WindowsUpdate\\", "name": "sih", "enabled": True}
        )
    )
    refused = windows.run_steps(["gather_windows_facts", "checks"])
    assert refused.failed
    for name in ("updates_off", "hibernation_off", "tools_installed"):
        assert refused.results[name]["result"] == "fail", name
    for name, value in {
        "update_tasks": "Schedule Scan",
        "pagefile": "Windows",
        "store_updates_off": "on",
        "shadow_copies": "1",
        "smart_app_control": "evaluation",
    }.items():
        assert refused.results[name]["result"] == "warn", name
        assert value in refused.results[name]["found"], name


def test_recovery_partition_is_removed_only_if_asked(windows):
    windows.windows(lambda state: state["seen"].update(recovery_partitions=1))
    steps = ["gather_windows_facts", "recovery"]
    planned = windows.run_steps(steps, "--check")
    assert planned.tasks == ["Remove the recovery partition behind drive C"], planned.output
    assert windows.windows()["seen"]["recovery_partitions"] == 1
    assert windows.run_steps(steps).changed == 1
    assert windows.windows()["seen"]["recovery_partitions"] == 0
    again = windows.run_steps(steps)
    assert (again.failed, again.changed) == (False, 0), again.output


_UPDATE = ["gather_windows_facts", "update"]
_PACKAGES = [
    "\\\\files\\updates\\windows11.0-kb5031455-x64.msu",
    "D:\\KB5032007.msu",
    "D:\\windows11.0-kb5027397-x64.msu",
]


def start_types(state: dict) -> list[int]:
    """Return the start types of the services of Windows Update."""
    return [state["registry"][_SERVICES + name]["values"]["start"]["data"] for name in ("wuauserv", "usosvc")]


def disable_updates(state: dict) -> None:
    """Disable the services of Windows Update, as an earlier run of the role did."""
    for name in ("wuauserv", "UsoSvc"):
        model.set_value(state, _SERVICES + name, "Start", 4, "dword")


def test_updates_are_installed_with_restarts_and_services_disabled_again(windows):
    windows.windows(lambda state: (disable_updates(state), state.update(offered=["KB5031455", "KB5032007"])))
    planned = windows.run_steps(_UPDATE, "--check")
    assert (planned.failed, planned.changed) == (False, 0), planned.output
    assert start_types(windows.windows()) == [4, 4]
    done = windows.run_steps(_UPDATE)
    assert not done.failed, done.output
    assert done.tasks == ["Install updates from Windows Update"]
    state = windows.windows()
    assert state["seen"]["hotfixes"] == ["KB5027397", "KB5031455", "KB5032007"]
    assert (state["boots"], start_types(state)) == (2, [4, 4])
    again = windows.run_steps(_UPDATE)
    assert (again.failed, again.changed) == (False, 0), again.output
    assert (windows.windows()["boots"], start_types(windows.windows())) == (2, [4, 4])


def test_updates_fail_and_services_are_disabled_again(windows):
    """The services stay as they were before this run, whose search fails."""
    windows.windows(lambda state: (disable_updates(state), state.update(no_internet=True)))
    refused = windows.run_steps(_UPDATE)
    assert refused.failed
    assert start_types(windows.windows()) == [4, 4]
    # A new machine's services are still enabled: they stay so, and the settings disable them.
    windows.windows(
        lambda state: state.update(no_internet=False) or model.set_value(state, _SERVICES + "UsoSvc", "Start", 2)
    )
    assert not windows.run_steps(_UPDATE).failed
    assert start_types(windows.windows()) == [4, 2]


def test_update_packages_of_a_share_are_installed_without_internet(windows):
    def provide(state: dict) -> None:
        disable_updates(state)
        state.update(no_internet=True, share_user="EXAMPLE\\updates")
        for path in _PACKAGES:
            name = path.replace("\\\\", "\\")
            data = b"not applicable" if "5032007" in path else b"package"
            state["files"][name.lower()] = {"path": name, "data": base64.b64encode(data).decode()}

    windows.windows(provide)
    files = set(windows.windows()["files"])
    values = {
        "update_packages": _PACKAGES,
        "update_share_username": "EXAMPLE\\updates",
        "update_share_password": "very secret",
    }
    planned = windows.run_steps(_UPDATE, "--check", **values)
    assert planned.tasks == ["Report the update packages that a run without check mode installs"], planned.output
    assert "5027397" not in planned.output
    # A survey answers with text.
    done = windows.run_steps(_UPDATE, "-vvv", **values | {"update_packages": ", ".join(_PACKAGES)})
    assert not done.failed, done.output
    assert "very secret" not in done.output
    assert done.tasks == ["Install each update package", "Restart Windows"]
    state = windows.windows()
    assert state["seen"]["hotfixes"] == ["KB5027397", "KB5031455"]
    assert (state["boots"], start_types(state), set(state["files"])) == (2, [4, 4], files)
    again = windows.run_steps(_UPDATE, **values)
    assert (again.failed, again.changed) == (False, 0), again.output


@pytest.mark.parametrize("path", sorted((_ROLE / "scripts").glob("*.ps1")), ids=lambda path: path.name)
def test_powershell_script_is_valid(path):
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    tree = parser.parse(path.read_bytes())
    assert not tree.root_node.has_error, tree.root_node
    assert parser.parse(b"foreach ($x in {").root_node.has_error
