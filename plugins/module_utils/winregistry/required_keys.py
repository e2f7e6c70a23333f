# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry keys without which Windows does not start, or does not let anyone log in.

A layer must not remove them. Requirements are relative to the hive of the OS layer: what that hive lacks is not
required, so that the table fits every version of Windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..common.errors import Corrupt
from . import upcase
from .delta import REMOVE, REPLACE, Delta
from .hive_model import Hive, Key
from .registry_values import current_control_set, decode_integer

_CURRENT = "CurrentControlSet"
_DISABLED = 4


@dataclass(frozen=True, slots=True)
class RequiredKey:
    """A key that Windows needs, and what for.

    ``path`` is below the root of ``hive``; CurrentControlSet is the control set that Windows starts with. The key of a
    ``service`` must not be disabled either.
    """

    hive: str
    path: str
    reason: str
    service: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """The names of the values that the requirement depends on, in upper case."""
        if self.service:
            return ("START",)
        return ("CURRENT", "DEFAULT") if self.path == "Select" else ()


def _keys(hive: str, reasons: dict[str, str]) -> tuple[RequiredKey, ...]:
    return tuple(RequiredKey(hive, path, reason) for path, reason in reasons.items())


def _services(reason: str, *names: str) -> tuple[RequiredKey, ...]:
    return tuple(RequiredKey("SYSTEM", f"{_CURRENT}\\Services\\{name}", reason, service=True) for name in names)


#: Sources: Microsoft's "Windows Internals" and the documentation of CurrentControlSet, for what each key is used for.
REQUIRED_KEYS: tuple[RequiredKey, ...] = (
    *_keys(
        "SYSTEM",
        {
            "Select": "the boot loader reads from it which control set to start with",
            _CURRENT: "it has the settings and drivers that Windows starts with",
            f"{_CURRENT}\\Control": "the kernel reads its settings from it",
            f"{_CURRENT}\\Control\\Class": "it has the settings of all device classes, such as disks",
            f"{_CURRENT}\\Control\\GroupOrderList": "it has the order in which boot drivers are loaded",
            f"{_CURRENT}\\Control\\Lsa": "the local security authority reads its settings from it",
            f"{_CURRENT}\\Control\\Nls": "the boot loader reads from it which code pages to load",
            f"{_CURRENT}\\Control\\Nls\\CodePage": "the boot loader reads from it which code pages to load",
            f"{_CURRENT}\\Control\\ProductOptions": "the kernel stops if it cannot read the type of the product",
            f"{_CURRENT}\\Control\\ServiceGroupOrder": "it has the order in which boot drivers are loaded",
            f"{_CURRENT}\\Control\\Session Manager": "the session manager reads from it what to start",
            f"{_CURRENT}\\Control\\Session Manager\\Environment": "it has the environment of all processes",
            f"{_CURRENT}\\Control\\Session Manager\\SubSystems": "the session manager starts the Windows subsystem from it",
            f"{_CURRENT}\\Enum": "it has the devices of the VM, such as its disk",
            f"{_CURRENT}\\Services": "it has all drivers and services",
            "DriverDatabase": "it has the drivers for the devices that Windows finds at the start",
            "Setup": "it has the state of Windows Setup",
        },
    ),
    *_services(
        "Windows cannot read its disk without this driver",
        "ACPI",
        "CLFS",
        "disk",
        "FltMgr",
        "mountmgr",
        "Ntfs",
        "partmgr",
        "pci",
        "volmgr",
        "volume",
    ),
    *_services("the kernel needs this driver", "CNG", "KSecDD", "Wdf01000"),
    *_services("no service and no logon works without it", "DcomLaunch", "RpcEptMapper", "RpcSs", "SamSs"),
    *_keys(
        "SOFTWARE",
        {
            "Classes": "it has all file types and COM classes",
            "Classes\\AppID": "it has the settings of all COM servers",
            "Classes\\CLSID": "it has all COM classes",
            "Classes\\Interface": "it has all COM interfaces",
            "Microsoft": "it has the settings of Windows",
            "Microsoft\\Cryptography": "it has the cryptographic providers",
            "Microsoft\\Ole": "it has the permissions of COM",
            "Microsoft\\Rpc": "it has the settings of remote procedure calls",
            "Microsoft\\Windows": "it has the settings of Windows",
            "Microsoft\\Windows\\CurrentVersion": "it has the settings of Windows",
            "Microsoft\\Windows\\CurrentVersion\\SideBySide": "programs find their libraries through it",
            "Microsoft\\Windows NT": "it has the settings of Windows",
            "Microsoft\\Windows NT\\CurrentVersion": "it has the version and the settings of Windows",
            "Microsoft\\Windows NT\\CurrentVersion\\ProfileList": "it has the profiles of all users",
            "Microsoft\\Windows NT\\CurrentVersion\\Svchost": "it has the groups in which services start",
            "Microsoft\\Windows NT\\CurrentVersion\\Winlogon": "it has what a logon starts",
        },
    ),
    *_keys(
        "DEFAULT",
        {
            "Control Panel": "it has the settings of the system account",
            "Software": "it has the settings of the system account",
            "Software\\Microsoft": "it has the settings of the system account",
        },
    ),
    *_keys(
        "NTUSER.DAT",
        {
            "Control Panel": "new users get it",
            "Software": "new users get it",
            "Software\\Microsoft": "new users get it",
        },
    ),
)


@dataclass(frozen=True, slots=True)
class HiveState:
    """The requirements that a hive meets; ``control`` is the name of its current control set."""

    name: str
    met: frozenset[RequiredKey]
    control: str | None

    @classmethod
    def of(cls, name: str, hive: Hive) -> HiveState:
        """Return the state of the hive ``name`` (see hive_names)."""
        control = control_set(hive) if name == "SYSTEM" else None
        met = frozenset(
            required for required in REQUIRED_KEYS if required.hive == name and _is_met(required, hive, control)
        )
        return cls(name, met, None if control is None else control.name)

    def lost(self, hive: Hive) -> list[RequiredKey]:
        """Return the requirements that ``hive``, the hive after changes, does not meet any more, in the table's order."""
        after = HiveState.of(self.name, hive).met
        return [required for required in REQUIRED_KEYS if required in self.met and required not in after]


def control_set(system: Hive) -> Key | None:
    """Return the control set that Windows would start with, None if there is none."""
    try:
        return current_control_set(system)
    except Corrupt:
        return None


def resolved_names(required: RequiredKey, control: str | None) -> list[str]:
    """Return the names of the keys that lead to a required key; ``control`` is the name of the current control set."""
    names = required.path.split("\\")
    if control is not None and names[0] == _CURRENT:
        names[0] = control
    return names


def leads_to(names: Sequence[str], target: Sequence[str]) -> bool:
    """Return whether the key at ``names`` is the key at ``target`` or a key above it."""
    fold = upcase.WINDOWS.fold
    return len(names) <= len(target) and [fold(name) for name in names] == [fold(name) for name in target[: len(names)]]


def breaks(delta: Delta, required: RequiredKey, control: str | None) -> bool:
    """Return whether ``delta`` removes a required key, or changes a value that the requirement depends on."""
    fold = delta.upcase.fold
    node, replaced = delta.root, False
    for name in resolved_names(required, control):
        below = node.subkeys.get(fold(name))
        if below is None:
            return replaced
        if below.action == REMOVE:
            return True
        replaced = replaced or below.action == REPLACE
        node = below
    return replaced or any(value in node.values for value in required.values)


def is_suspicious(hive: str, delta: Delta) -> bool:
    """Return whether ``delta`` may break a key that Windows needs in the hive ``hive``, for any control set.

    No hive has to be read for this.
    """
    names = [None] if hive != "SYSTEM" else [key.name for key in delta.root.subkeys.values()]
    return any(
        breaks(delta, required, control) for required in REQUIRED_KEYS if required.hive == hive for control in names
    )


def _is_met(required: RequiredKey, hive: Hive, control: Key | None) -> bool:
    if required.path == "Select":
        return control is not None
    first, _separator, rest = required.path.partition("\\")
    key: Key | None
    if first == _CURRENT:
        key = control.key(rest) if control is not None else None
    else:
        key = hive.key(required.path)
    if key is None:
        return False
    return not required.service or decode_integer(key.value("Start")) != _DISABLED
