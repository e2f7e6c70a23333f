# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model of Windows as state in a file: registry, scheduled tasks, files, page file, and observable facts.

It is reachable while its virtual machine in the simulator, if it has one, is powered on.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import pathlib
import re
import urllib.request

from ansible.errors import AnsibleConnectionFailure

_MICROSOFT = "\\Microsoft\\Windows\\"
#: Servicing creates this key when a restart is pending.
RESTART_PENDING = "HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending"
_SERVICES = "HKLM:\\SYSTEM\\CurrentControlSet\\Services\\"


def installed(*, vm: str = "", control: str = "") -> dict:
    """Return the state of a Windows 11 whose setup has just ended; ``vm`` is its VM in the simulator with the control URL ``control``."""
    state: dict = {
        "vm": vm,
        "control": control,
        "registry": {},
        "files": {},
        "log": [],
        "boots": 1,
        "offered": [],
        "update_results": [],
        "tasks": [
            {"path": _MICROSOFT + "UpdateOrchestrator\\", "name": "Schedule Scan", "enabled": True},
            {"path": _MICROSOFT + "WindowsUpdate\\", "name": "Scheduled Start", "enabled": True},
            {"path": _MICROSOFT + "InstallService\\", "name": "ScanForUpdates", "enabled": False},
            {"path": _MICROSOFT + "Defrag\\", "name": "ScheduledDefrag", "enabled": True},
            {"path": "\\", "name": "MicrosoftEdgeUpdateTaskMachineCore{1}", "enabled": True},
        ],
        "seen": {
            "adapters": [
                {
                    "name": "vmxnet3 Ethernet Adapter",
                    "service": "vmxnet3ndis6",
                    "connected": True,
                    "dhcp": True,
                    "lease": True,
                    "addresses": ["192.0.2.7"],
                }
            ],
            "ghost_adapters": [],
            "tools": {"installed": True, "running": True},
            "domain": {"joined": False, "name": "WORKGROUP"},
            "pagefile": {"automatic": True, "files": []},
            "encryption": 0,
            "profiles": [],
            "processes": [],
            "free_gb": 31.5,
            "recovery_partitions": 0,
            "shadow_copies": 1,
            "hotfixes": ["KB5027397"],
            "unprovisioned_apps": [],
            "upgraded": False,
        },
    }
    for service, start in (
        ("wuauserv", 3),
        ("UsoSvc", 2),
        ("WaaSMedicSvc", 3),
        ("BDESVC", 3),
        ("edgeupdate", 2),
        ("VMTools", 2),
    ):
        set_value(state, _SERVICES + service, "Start", start, "dword")
    for path, name, data, kind in (
        ("HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Power", "HibernateEnabled", 1, "dword"),
        ("HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Power", "HiberbootEnabled", 1, "dword"),
        ("HKLM:\\SYSTEM\\CurrentControlSet\\Control\\ComputerName\\ComputerName", "ComputerName", "WIN11-OS", "string"),
        (
            "HKLM:\\SYSTEM\\CurrentControlSet\\Control\\ComputerName\\ActiveComputerName",
            "ComputerName",
            "WIN11-OS",
            "string",
        ),
        ("HKLM:\\SYSTEM\\CurrentControlSet\\Control\\CI\\Policy", "VerifiedAndReputablePolicyState", 2, "dword"),
        ("HKLM:\\SYSTEM\\Setup\\LabConfig", "BypassTPMCheck", 1, "dword"),
        ("HKLM:\\SYSTEM\\Setup\\Status\\SysprepStatus", "GeneralizationState", 7, "dword"),
        ("HKLM:\\SYSTEM\\Setup\\Status\\SysprepStatus", "CleanupState", 2, "dword"),
        ("HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate", "SusClientId", "0d1f", "string"),
    ):
        set_value(state, path, name, data, kind)
    state["files"]["c:\\hiberfil.sys"] = {"path": "C:\\hiberfil.sys", "data": ""}
    return state


def set_value(state: dict, path: str, name: str, data: object, kind: str = "string") -> None:
    """Set a value of the registry and create its key."""
    key = state["registry"].setdefault(path.lower(), {"path": path, "values": {}})
    key["values"][name.lower()] = {"name": name, "data": data, "type": kind}


def keep(path: str | os.PathLike, state: dict) -> None:
    """Write a state to its file."""
    pathlib.Path(path).write_text(json.dumps(state), encoding="utf-8")


def load(path: str | os.PathLike) -> dict:
    """Read a state from its file."""
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def files_below(state: dict, folder: str) -> dict[str, bytes]:
    """Return the files below a folder of drive C: path (with slashes) -> content."""
    start = "C:\\" + folder.replace("/", "\\") + "\\"
    return {
        f"{folder}/" + file["path"][len(start) :].replace("\\", "/"): base64.b64decode(file["data"])
        for name, file in sorted(state["files"].items())
        if name.startswith(start.lower())
    }


class Session:
    """The state during one command; it is written back when the command ends."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> Session:
        self._lock = open(self._path + ".lock", "w", encoding="utf-8")  # pylint: disable=consider-using-with
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.state = load(self._path)
        return self

    def __exit__(self, *error: object) -> None:
        keep(self._path, self.state)
        self._lock.close()

    def connect(self) -> None:
        """Raise AnsibleConnectionFailure unless the VM is powered on."""
        if not self.state["control"]:
            return
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.state["control"] + "/machines", timeout=30) as answer:
            machines = json.load(answer)
        if not any(machine["name"] == self.state["vm"] and machine["power"] == "poweredOn" for machine in machines):
            raise AnsibleConnectionFailure(f"{self.state['vm']} is not on")

    def key(self, path: str) -> dict | None:
        """Return a key of the registry, None if it does not exist."""
        folded = path.lower()
        if folded in self.state["registry"]:
            return self.state["registry"][folded]
        below = any(other.startswith(folded + "\\") for other in self.state["registry"])
        return {"path": path, "values": {}} if below else None

    def file(self, path: str) -> dict | None:
        """Return a file, None if it does not exist."""
        return self.state["files"].get(_proper(path).lower())

    def write(self, path: str, data: bytes) -> None:
        """Write a file; its folders need not exist."""
        proper = _proper(path)
        before = self.file(path) or {"inherits": True, "allowed": []}
        self.state["files"][proper.lower()] = {**before, "path": proper, "data": base64.b64encode(data).decode()}

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return base64.b64decode(self.state["files"][_proper(path).lower()]["data"])

    def remove(self, path: str) -> bool:
        """Remove a file, or a folder with its content; return whether it existed."""
        folded = _proper(path).lower()
        names = [name for name in self.state["files"] if name == folded or name.startswith(folded + "\\")]
        for name in names:
            del self.state["files"][name]
        return bool(names)

    def value(self, path: str, name: str) -> object:
        """Return the data of a value of the registry, None if it does not exist."""
        key = self.key(path)
        return key["values"].get(name.lower(), {}).get("data") if key else None

    def restart(self) -> None:
        """Start Windows again, which completes updates."""
        self.state["boots"] += 1
        self.state["registry"].pop(RESTART_PENDING.lower(), None)

    def temporary_folder(self, name: str) -> str:
        """Return the path of a temporary folder."""
        return "C:\\Users\\Administrator\\AppData\\Local\\Temp\\" + name


def _proper(path: str) -> str:
    """Return a path with single backslashes."""
    return re.sub(r"[\\/]+", r"\\", path).rstrip("\\")
