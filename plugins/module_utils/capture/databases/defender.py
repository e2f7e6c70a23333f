# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes and event sources of Microsoft Defender that name the folder of its current program.

A platform update creates a folder below ``Windows Defender\\Platform`` and changes these keys. A layer has neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...ntfs.volume import Volume
from ...windows.installation import WindowsInstallation
from ...winregistry.hive_model import Key
from ...winregistry.registry_values import decode_string
from ..rule import Rule
from .compared import Compared
from .windows_state import ANTIVIRUS, DEFENDER_SERVICES

_PLATFORM = "ProgramData/Microsoft/Windows Defender/Platform"
_MENTION = "\\windows defender\\platform\\"
#: Keys with a subkey per object, and the subkeys of an object whose values name a program.
_PARENTS = (
    ("Classes\\CLSID", ("InprocServer32", "LocalServer32")),
    ("Classes\\WOW6432Node\\CLSID", ("InprocServer32", "LocalServer32")),
    ("Microsoft\\Windows\\CurrentVersion\\WINEVT\\Publishers", ("",)),
)


def find_defender(compared: Compared) -> list[Rule]:
    """Return the rules that leave out what names a program folder of Defender, if a folder was added or removed.

    Whether a known service starts is a setting of the administrator, which is taken.
    """
    rules = []
    if compared.before is not None:
        start = Rule("", ANTIVIRUS.name, True, "Start", database=ANTIVIRUS.name, literal=True, is_member=False)
        rules = [
            replace(start, pattern=f"SYSTEM\\CurrentControlSet\\Services\\{name}")
            for name in DEFENDER_SERVICES
            if compared.before.control.key(f"Services\\{name}") is not None
        ]
    return [*rules, *_references(compared)]


def _references(compared: Compared) -> list[Rule]:
    sides = [windows for windows in (compared.before, compared.after) if windows is not None]
    if len(sides) == 2 and _programs(sides[0].volume) == _programs(sides[1].volume):
        return []
    keys = sorted({path for windows in sides for path in _mentions(windows)})
    return [Rule(f"SOFTWARE\\{key}", ANTIVIRUS.name, True, database=ANTIVIRUS.name, literal=True) for key in keys]


def _programs(volume: Volume) -> set[str]:
    folder = volume.find(_PLATFORM)
    if folder is None:
        return set()
    with folder:
        return {child.name for child in folder.children()} if folder.is_directory else set()


def _mentions(windows: WindowsInstallation) -> Iterator[str]:
    for path, names in _PARENTS:
        parent = windows.software.root.key(path)
        for key in parent.subkeys.values() if parent is not None else ():
            if any(_names_program(key.key(name) if name else key) for name in names):
                yield f"{path}\\{key.name}"


def _names_program(key: Key | None) -> bool:
    return key is not None and any(_MENTION in (decode_string(value) or "").lower() for value in key.values.values())
