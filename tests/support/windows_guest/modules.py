# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The effects of the modules of ansible.windows and community.windows that the role uses, applied to the model.

Their options are checked against the documentation of the real modules; the PowerShell code of the modules does not run.
"""

from __future__ import annotations

import base64
import fnmatch
import functools
import hashlib
import importlib
import pathlib
import re
from collections.abc import Callable

import yaml

from ansible_collections.strata.layering.tests.support.windows_guest.model import RESTART_PENDING, Session, set_value

_ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "os_machine"
_SERVICES = "HKLM:\\SYSTEM\\CurrentControlSet\\Services\\"
_DOCUMENTATION = re.compile(r"^DOCUMENTATION = r?(?:'''|\"\"\")(.*?)(?:'''|\"\"\")", re.DOTALL | re.MULTILINE)
#: The user of the connection cannot change these tasks.
_SYSTEMS_TASKS = "\\Microsoft\\Windows\\UpdateOrchestrator\\"


class _Failed(Exception):
    """The module fails with a message."""


def run(windows: Session, name: str, arguments: dict, user: str | None) -> dict:
    """Apply a module; ``name`` is its full name, ``user`` the user if it is not that of the connection."""
    short = name.removeprefix("ansible_collections.").replace(".plugins.modules.", ".")
    check = bool(arguments.get("_ansible_check_mode"))
    options = {key: value for key, value in arguments.items() if not key.startswith("_ansible_") and value is not None}
    try:
        do = _MODULES.get(short)
        if do is None:
            raise _Failed(f"The model has no module {short}")
        if short != _PING:
            _check_options(short, options)
        result = do(windows, options, check, user)
    except _Failed as error:
        result = {"failed": True, "msg": str(error)}
    windows.state["log"].append(
        {"module": short, "options": options, "check": check, "user": user, "changed": bool(result.get("changed"))}
    )
    return {"changed": False, "invocation": {"module_args": options}} | result


@functools.cache
def _documented(name: str) -> dict[str, dict]:
    namespace, collection, module = name.split(".")
    package = importlib.import_module(f"ansible_collections.{namespace}.{collection}.plugins.modules")
    for folder in package.__path__:
        documentation = pathlib.Path(folder) / f"{module}.yml"
        if documentation.exists():
            return yaml.safe_load(documentation.read_text(encoding="utf-8"))["DOCUMENTATION"]["options"]
        source = pathlib.Path(folder) / f"{module}.py"
        if source.exists():
            text = _DOCUMENTATION.search(source.read_text(encoding="utf-8"))
            if text is None:
                raise _Failed(f"The module {name} has no documentation")
            return yaml.safe_load(text[1]).get("options") or {}
    raise _Failed(f"There is no module {name}")


def _check_options(name: str, options: dict) -> None:
    documented = _documented(name)
    known = {alias: option for option, about in documented.items() for alias in [option, *about.get("aliases", [])]}
    for option, value in options.items():
        if option.startswith("_") or (name.endswith("win_copy") and option in ("files", "directories", "symlinks")):
            continue  # what an action plugin passes to its own module
        if option not in known:
            raise _Failed(f"{name} has no option {option}")
        choices = documented[known[option]].get("choices")
        if choices and str(value).lower() not in [str(choice).lower() for choice in choices]:
            raise _Failed(
                f"value of {option} must be one of: {', '.join(map(str, choices))}. Got no match for: {value}"
            )
    missing = [
        option
        for option, about in documented.items()
        if about.get("required") and option not in {known[key] for key in options if key in known}
    ]
    if missing:
        raise _Failed(f"missing required arguments: {', '.join(missing)}")


def _ping(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    return {"ping": options.get("data", "pong")}


def _regedit(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    path, name = options["path"], options.get("name", "")
    key = windows.key(path)
    value = key["values"].get(name.lower()) if key else None
    if options.get("state", "present") == "absent":
        if options.get("delete_key", True) and not name:
            raise _Failed("The model deletes no keys")
        if value is None:
            return {}
        if not check:
            del windows.state["registry"][path.lower()]["values"][name.lower()]
        return {"changed": True}
    if path.lower() in windows.state.get("protected", []):
        raise _Failed("Unhandled exception while executing module: Requested registry access is not allowed.")
    kind = options.get("type", "string")
    data = int(options["data"]) if kind in ("dword", "qword") else options["data"]
    if value and value["data"] == data and value["type"] == kind:
        return {"data_changed": False, "data_type_changed": False}
    if not check:
        set_value(windows.state, path, name, data, kind)
    other_type = value is not None and value["type"] != kind
    return {"changed": True, "data_changed": True, "data_type_changed": other_type}


def _scheduled_task(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    found = [
        task
        for task in windows.state["tasks"]
        if (task["path"].lower(), task["name"].lower()) == (options.get("path", "\\").lower(), options["name"].lower())
    ]
    if not found:
        raise _Failed(
            "Failed to create the task: The task XML is missing a required element or attribute. (exception from HRESULT: 0x8004131B)"
        )
    if options.get("enabled") is None or found[0]["enabled"] == bool(options["enabled"]):
        return {}
    if found[0]["path"] == _SYSTEMS_TASKS and user != "SYSTEM":
        raise _Failed(
            "Failed to modify scheduled task: Access is denied. (Exception from HRESULT: 0x80070005 (E_ACCESSDENIED))"
        )
    if not check:
        found[0]["enabled"] = bool(options["enabled"])
    return {"changed": True}


def _pagefile(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    seen = windows.state["seen"]
    if options.get("state", "query") != "present":
        raise _Failed("The model only makes page files")
    if not check:
        entry = {
            "name": f"{options['drive']}:\\pagefile.sys",
            "initial_mb": options["initial_size"],
            "maximum_mb": options["maximum_size"],
        }
        others = (
            []
            if options.get("remove_all")
            else [file for file in seen["pagefile"]["files"] if file["name"] != entry["name"]]
        )
        seen["pagefile"] = {
            "automatic": options.get("automatic", seen["pagefile"]["automatic"]),
            "files": [*others, entry],
        }
    return {"changed": True}


def _copy(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    if options.get("_copy_mode") == "query":
        changed = [
            file
            for file in options["files"]
            if _digest(windows, _join(options["dest"], file["dest"])) != file["checksum"]
        ]
        return {"files": changed, "directories": [], "symlinks": []}
    if options.get("_copy_mode") == "remote":
        if options["src"].startswith("\\\\") and user != windows.state.get("share_user", user):
            raise _Failed(f"Access to the path '{options['src']}' is denied.")
        if windows.file(options["src"]) is None:
            raise _Failed(f"Cannot copy src file: '{options['src']}' as it does not exist")
        if not check:
            windows.write(options["dest"], windows.read(options["src"]))
        return {"changed": True}
    if options.get("_copy_mode") != "single":
        raise _Failed("The model takes one file at a time")
    dest = _join(options["dest"], options["_original_basename"]) if options["dest"].endswith("\\") else options["dest"]
    same = _digest(windows, dest) == _digest(windows, options["src"])
    if not check and not same:
        windows.write(dest, windows.read(options["src"]))
    return {"changed": not same, "dest": dest, "operation": "file_copy"}


def _acl(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    file = windows.file(options["path"])
    if file is None:
        raise _Failed(f"{options['path']} file or directory does not exist on the host")
    rule = [options["user"], options["rights"]]
    if (options["type"], options.get("state", "present")) != ("allow", "present"):
        raise _Failed("The model only allows")
    changed = rule not in file["allowed"]
    if changed and not check:
        file["allowed"].append(rule)
    return {"changed": changed}


def _acl_inheritance(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    file = windows.file(options["path"])
    if file is None:
        raise _Failed(f"{options['path']} file or directory does not exist")
    if options.get("state", "absent") != "absent" or options.get("reorganize"):
        raise _Failed("The model only ends inheritance")
    changed = file["inherits"]
    if not check:
        file["inherits"] = False
    return {"changed": changed}


def _join(folder: str, name: str) -> str:
    return folder.rstrip("\\") + "\\" + name.replace("/", "\\")


def _digest(windows: Session, path: str) -> str | None:
    if windows.file(path) is None:
        return None
    return hashlib.sha1(windows.read(path)).hexdigest()


def _command(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    if check:
        return {"skipped": True, "msg": "remote module does not support check mode"}
    line = options.get("cmd") or options.get("_raw_params") or " ".join(options.get("argv", []))
    if line.startswith("wusa.exe "):
        code = _wusa(windows, line, user)
        return {"changed": True, "rc": code, "failed": code != 0, "stdout": "", "stderr": "", "cmd": line}
    for pattern, effect in _COMMANDS.items():
        if re.fullmatch(pattern, line, re.IGNORECASE):
            effect(windows)
            return {"changed": True, "rc": 0, "stdout": "", "stderr": "", "cmd": line}
    raise _Failed(f"The model does not know the command {line}")


def _wusa(windows: Session, line: str, user: str | None) -> int:
    path = line.split('"')[1]
    if user != "SYSTEM":
        return 5  # The Windows Update agent refuses remote logons.
    if _disabled(windows, "wuauserv"):
        return 0x80070422
    if windows.file(path) is None:
        return 2
    found = re.search(r"kb\d+", path, re.IGNORECASE)
    if found is None or b"not applicable" in windows.read(path):
        return 0x80240017
    return _install_update(windows, found[0].upper())


def _install_update(windows: Session, number: str) -> int:
    windows.state["seen"]["hotfixes"].append(number)
    set_value(windows.state, RESTART_PENDING, "x", 1, "dword")
    return 3010


def _disabled(windows: Session, service: str) -> bool:
    return windows.value(_SERVICES + service, "Start") == 4


def _service(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    start = {"auto": 2, "delayed": 2, "manual": 3, "disabled": 4}[options["start_mode"]]
    before = windows.value(_SERVICES + options["name"], "Start")
    if before is None:
        raise _Failed(f"Service '{options['name']}' is not installed")
    if before != start and not check:
        set_value(windows.state, _SERVICES + options["name"], "Start", start, "dword")
    return {"changed": before != start}


def _updates(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    """Search or install the offered updates; the action plugin starts this, polls for its output and ends it."""
    if options["_operation"] == "cancel":
        return {}
    if options["_operation"] == "poll":
        return {"output": windows.state["update_results"].pop(0)}
    if _disabled(windows, "wuauserv") or windows.state.get("no_internet"):
        code = 0x80070422 if _disabled(windows, "wuauserv") else 0x8024402C
        error = {"message": "Failed to search for updates", "hresult": code - (1 << 32)}
        done = {"changed": False, "reboot_required": False, "failed": True, "exception": error}
        windows.state["update_results"].append([{"task": "exit", "result": done}])
        return {"poll_options": {}, "cancel_options": {}}
    offered = [number for number in windows.state["offered"] if number not in windows.state["seen"]["hotfixes"]]
    updates = [{"id": number, "title": number, "kb": [number], "categories": []} for number in offered]
    output = [{"task": "search_result", "result": {"updates": updates, "filtered": []}}]
    if offered and not check:
        info = [{"id": number, "result_code": 2, "hresult": 0} for number in offered]
        output += [{"task": f"{phase}_result", "result": {"info": info}} for phase in ("download", "install")]
        for number in offered:
            _install_update(windows, number)
    done = {"changed": bool(offered), "reboot_required": bool(offered) and not check, "failed": False}
    windows.state["update_results"].append([*output, {"task": "exit", "result": done}])
    return {"poll_options": {}, "cancel_options": {}}


def _file(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    if options.get("state") == "directory":
        return {"changed": False}  # Files of the model need no folders.
    if options.get("state") != "absent":
        raise _Failed("The model only creates folders and removes files")
    return {"changed": not check and windows.remove(options["path"])}


def _hibernate_off(windows: Session) -> None:
    set_value(windows.state, "HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Power", "HibernateEnabled", 0, "dword")
    windows.remove("C:\\hiberfil.sys")


def _install(windows: Session) -> None:
    for name in (
        "install.cmd",
        "run-scripts.cmd",
        "wait.cmd",
        "finalize.cmd",
        "officeactivate.cmd",
        "startup.xml",
        "kmsdir\\kmssetup.cmd",
    ):
        file = windows.file(f"C:\\Windows\\Setup\\scripts\\{name}")
        if file is None or b"\n" in base64.b64decode(file["data"]).replace(b"\r\n", b""):
            raise _Failed(f"{name} does not exist or does not have the line ends that cmd.exe needs")
    task = {"path": "\\strata.layering\\", "name": "startup", "enabled": True}
    if task not in windows.state["tasks"]:
        windows.state["tasks"].append(task)


_COMMANDS = {
    r"powercfg\.exe /hibernate off": _hibernate_off,
    r'(cmd\.exe /d? ?/c )?"?C:\\Windows\\Setup\\scripts\\install\.cmd"?': _install,
}


def _powershell(windows: Session, options: dict, check: bool, user: str | None) -> dict:
    script = options["script"].strip()
    name = next(
        (path.stem for path in (_ROLE / "scripts").glob("*.ps1") if path.read_text(encoding="utf-8").strip() == script),
        None,
    )
    if check and "SupportsShouldProcess" not in script:
        return {"skipped": True, "msg": "remote module does not support check mode"}
    if name in _REMOVED:
        fact = _REMOVED[name]
        found = windows.state["seen"][fact]
        if not check:
            windows.state["seen"][fact] = type(found)()
        return {"changed": bool(found)}
    if name != "gather_windows_facts":
        raise _Failed("The model does not know this script")
    parameters = options.get("parameters", {})
    tasks = [
        dict(task)
        for observed in parameters["Tasks"]
        for task in windows.state["tasks"]
        if task["path"].lower() == observed["path"].lower()
        and fnmatch.fnmatch(task["name"].lower(), observed["name"].lower())
    ]
    files = [
        file["path"]
        for observed in parameters["Files"]
        for name, file in windows.state["files"].items()
        if name.count("\\") == observed.count("\\") and fnmatch.fnmatch(name, observed.lower())
    ]
    registry = [_observe_value(windows, observed) for observed in parameters["Registry"]]
    return {"result": {**windows.state["seen"], "registry": registry, "tasks": tasks, "files": files}, "changed": False}


def _observe_value(windows: Session, observed: dict) -> dict:
    name = observed.get("name")
    key = windows.key(observed["path"])
    state = {"path": observed["path"], "name": name, "exists": False, "key": key is not None, "data": None}
    if key is None:
        return state
    if name == "*":
        names = [value["name"] for value in key["values"].values()]
        return state | {"data": names, "exists": bool(names)}
    if not name:
        return state | {"exists": True}
    value = key["values"].get(name.lower())
    return state | ({"exists": True, "data": value["data"]} if value else {})


#: Scripts that remove things, and the fact that counts or lists these things.
_REMOVED = {
    "delete_shadow_copies": "shadow_copies",
    "remove_recovery_partition": "recovery_partitions",
    "remove_ghost_adapters": "ghost_adapters",
}
_PING = "ansible.windows.win_ping"
_MODULES: dict[str, Callable[[Session, dict, bool, str | None], dict]] = {
    _PING: _ping,
    "ansible.windows.win_regedit": _regedit,
    "ansible.windows.win_copy": _copy,
    "ansible.windows.win_acl": _acl,
    "ansible.windows.win_acl_inheritance": _acl_inheritance,
    "ansible.windows.win_command": _command,
    "ansible.windows.win_file": _file,
    "ansible.windows.win_powershell": _powershell,
    "ansible.windows.win_service": _service,
    "ansible.windows.win_updates": _updates,
    "community.windows.win_scheduled_task": _scheduled_task,
    "community.windows.win_pagefile": _pagefile,
}
