# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled tasks: a file, a key in the tree of names, and keys named after the ID of the task.

Tasks of installed programs are taken. Windows registers its update tasks again at each scan; they belong to the database
of Windows Update. The state of tasks that the image has (DynamicInfo: times and result of the last run) is not taken.

Source: E. Zimmerman, RegistryPlugin.TaskCache.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ...windows.installation import WindowsInstallation
from ...winregistry.upcase import WINDOWS
from ..rule import Rule
from .compared import Compared
from .windows_state import WINDOWS_UPDATE

NAME = "scheduled_tasks"

_CACHE = "Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache"
#: Keys with a subkey per task: all tasks, and tasks by the kind of their trigger.
_LISTS = ("Tasks", "Plain", "Boot", "Logon", "Maintenance")
_UPDATES = "MICROSOFT\\WINDOWS\\UPDATEORCHESTRATOR\\"
_ID = re.compile(r"\{[0-9A-Fa-f-]{36}\}")
#: A pattern has at most 64 names and 4096 characters.
_MAX_DEPTH, _MAX_PATH = 50, 3500


def find_tasks(compared: Compared) -> list[Rule]:
    """Return the rules about new tasks, update tasks, and the state of known tasks."""
    before = _tasks(compared.before) if compared.before is not None else {}
    after = _tasks(compared.after)
    task = Rule("", NAME, include=True, database=NAME, literal=True)
    rules = [
        Rule(f"SOFTWARE\\{_CACHE}\\Tasks\\{identifier}", "machine_state", True, "DynamicInfo", literal=True)
        for identifier in _known(compared)
    ]
    for folded, (path, identifier) in after.items():
        if folded not in before:
            rules.append(replace(task, pattern=f"Windows\\System32\\Tasks\\{path}"))
            rules.append(replace(task, pattern=f"SOFTWARE\\{_CACHE}\\Tree\\{path}", registry=True))
            rules += _listed(task, identifier)
    updates = Rule("", WINDOWS_UPDATE.name, database=WINDOWS_UPDATE.name, literal=True)
    for tasks in (before, after):
        for folded, (_path, identifier) in tasks.items():
            if folded.startswith(_UPDATES):
                rules += _listed(updates, identifier)
    return rules + [rule for rule in WINDOWS_UPDATE.rules(compared.kind) if "UpdateOrchestrator" in rule.pattern]


def _listed(rule: Rule, identifier: str) -> list[Rule]:
    return [replace(rule, pattern=f"SOFTWARE\\{_CACHE}\\{name}\\{identifier}", registry=True) for name in _LISTS]


def _known(compared: Compared) -> list[str]:
    """Return the IDs of tasks that both sides have."""
    tasks = [
        windows.software.root.key(f"{_CACHE}\\Tasks")
        for windows in (compared.before, compared.after)
        if windows is not None
    ]
    names = [
        {WINDOWS.fold(key.name) for key in parent.subkeys.values()} if parent is not None else set() for parent in tasks
    ]
    return sorted(names[0] & names[1]) if len(names) == 2 else []


def _tasks(windows: WindowsInstallation) -> dict[str, tuple[str, str]]:
    """Return (path, ID) of all tasks, by folded path."""
    tree = windows.software.root.key(f"{_CACHE}\\Tree")
    tasks: dict[str, tuple[str, str]] = {}
    for path, key in tree.walk() if tree is not None else ():
        is_path = path.count("\\") < _MAX_DEPTH and len(path) < _MAX_PATH
        identifier = windows.setting(key, "Id") if is_path else None
        if isinstance(identifier, str) and _ID.fullmatch(identifier):
            tasks[WINDOWS.fold(path)] = path, identifier
    return tasks
