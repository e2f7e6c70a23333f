# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named warnings where a captured layer holds, or had to leave out, what cannot be layered.

Databases that Windows keeps in single files cannot be merged: the layer on top would replace what
other layers and the OS layer put there. What a layer leaves out for that reason is named too,
because an application may need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from ..windows.readiness import WARN, Finding
from ..winregistry.delta import Delta
from .rules import LeftOut

_LISTED = 5


@dataclass
class Contents:
    """What a capture took: ``paths`` brought and ``removed`` ("/" between names), ``deltas`` by hive, and what was left out, with ``WATCHED``."""

    paths: list[str]
    removed: list[str]
    deltas: Mapping[str, Delta]
    left_out: LeftOut


@dataclass(frozen=True)
class _Hazard:
    """``paths`` are beginnings of paths, ``keys`` (hive, key) pairs in deltas, ``reasons`` those of what was left out, in lower case."""

    found: str
    action: str
    paths: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    reasons: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


_OS_LAYER = "Install it in the OS layer (a new version of it), or accept that the application works without."

HAZARDS: dict[str, _Hazard] = {
    "wmi_repository": _Hazard(
        "the WMI repository changed",
        "Let the application register its providers at the first start of an image (mofcomp in the layer's script).",
        ("windows/system32/wbem/repository/",),
        (),
        (),
        ("windows\\system32\\wbem\\repository",),
    ),
    "catalogs": _Hazard(
        "signature catalogues changed",
        "Catalogues in CatRoot are files and layered; the database catroot2 is left out and Windows makes it anew.",
        ("windows/system32/catroot2/",),
        (),
        (),
        ("windows\\system32\\catroot2",),
    ),
    "driver_store": _Hazard(
        "drivers were installed",
        "Install drivers in the OS layer or the platform layer: the driver store and its database cannot be merged.",
        ("windows/system32/driverstore/filerepository/", "windows/inf/oem", "windows/system32/driverstore/"),
        (("SYSTEM", "DriverDatabase"),),
        (),
        ("windows\\system32\\config\\drivers",),
    ),
    "servicing": _Hazard(
        "Windows features or updates were installed",
        "Install updates and features in the OS layer: the component store cannot be merged.",
        ("windows/winsxs/", "windows/servicing/"),
        (),
        ("servicing_database",),
    ),
    "accounts": _Hazard(
        "local users, groups or their rights changed",
        "Local accounts belong to the OS layer; use accounts of the domain, virtual service accounts (NT SERVICE\\name) or LocalService in applications.",
        (),
        (),
        ("account_database",),
    ),
    "com_plus": _Hazard(
        "the COM+ catalogue changed",
        "Register COM+ applications in the OS layer, or by the layer's script at the first start.",
        ("windows/registration/r",),
        (("SOFTWARE", "Microsoft\\COM3"),),
    ),
    "store_apps": _Hazard(
        "Store apps (AppX, MSIX) were installed or updated",
        "Provision Store apps in the OS layer: their registration is one database.",
        ("program files/windowsapps/", "programdata/microsoft/windows/apprepository/"),
        (("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\Appx"),),
    ),
    "user_profiles": _Hazard(
        "files of the user who installed were left out",
        "Put settings for all users into ProgramData, or into C:\\Users\\Default for every new user; take single files in with a rule.",
        (),
        (),
        ("user_profile",),
    ),
    "activation": _Hazard(
        "licence data of Windows or Office changed",
        "Activate by KMS or Active Directory; a licence in a layer would be that of one machine.",
        ("programdata/microsoft/officesoftwareprotectionplatform/",),
        (("SYSTEM", "WPA"),),
        (),
        ("windows\\system32\\spp\\store", "softwareprotectionplatform"),
    ),
    "performance_counters": _Hazard(
        "performance counters were registered",
        "Their numbers cannot be merged: run 'lodctr /R' in the layer's script.",
        ("windows/system32/perfc009.dat", "windows/system32/perfh009.dat"),
        (("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Perflib"),),
    ),
    "network_protocols": _Hazard(
        "Winsock protocols or network components were installed",
        "Install VPN and firewall software in the OS layer or the platform layer.",
        (),
        (
            ("SYSTEM", "CurrentControlSet\\Services\\WinSock2\\Parameters"),
            ("SYSTEM", "CurrentControlSet\\Control\\Network"),
        ),
    ),
    "task_cache": _Hazard(
        "scheduled tasks were registered",
        "They are layered as files and keys; two layers must not register tasks of the same name.",
        (),
        (("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache"),),
    ),
    "native_images": _Hazard(
        "compiled .NET assemblies were taken",
        "They hold for this OS layer version only; .NET makes them anew when they do not fit.",
        ("windows/assembly/nativeimages",),
    ),
    "names_in_case": _Hazard(
        "files whose names differ only in case were left out",
        "Rename them: Windows programs cannot tell them apart.",
        (),
        (),
        ("case",),
    ),
    "spelling": _Hazard(
        "folders changed only the case of their names, and keep that of the OS layer",
        "Nothing is to be done: Windows treats both the same.",
        (),
        (),
        ("spelling",),
    ),
}


#: What a LeftOut has to look out for.
WATCHED = tuple(part for hazard in HAZARDS.values() for part in hazard.examples)


def find_hazards(contents: Contents) -> list[dict]:
    """The hazards that hold, JSON-compatible, in the order of ``HAZARDS``; every result is "warn"."""
    lowered = [path.lower() for path in (*contents.paths, *contents.removed)]
    report = contents.left_out.report()
    findings = []
    for name, hazard in HAZARDS.items():
        taken = [path for path in lowered if path.startswith(hazard.paths)] if hazard.paths else []
        keys = [
            place
            for hive, key in hazard.keys
            if hive in contents.deltas
            for place in _changed(contents.deltas[hive], key)
        ]
        reasons = [entry for entry in report if entry["reason"] in hazard.reasons]
        examples = [example for part in hazard.examples for example in contents.left_out.seen(part)]
        if taken or keys or reasons or examples:
            findings.append(asdict(Finding(name, WARN, _found(hazard, taken, keys, reasons, examples), hazard.action)))
    return findings


def _changed(delta: Delta, path: str) -> Iterator[str]:
    """Where a delta has a key; of control sets it has only the one that Windows starts with."""
    first, _separator, rest = path.partition("\\")
    places = [f"{key.name}\\{rest}" for key in delta.root.subkeys.values() if key.name.lower().startswith("controlset")]
    yield from (
        f"{delta.hive}\\{place}"
        for place in (places if first == "CurrentControlSet" else [path])
        if delta.key(place) is not None
    )


def _found(hazard: _Hazard, taken: list[str], keys: list[str], reasons: list[dict], examples: list[str]) -> str:
    parts = []
    if taken:
        parts.append(f"{len(taken)} paths, such as {taken[0]}")
    parts += keys[:_LISTED]
    parts += [f"{entry['count']} left out, such as {entry['examples'][0]}" for entry in reasons[:_LISTED]]
    parts += [f"{example} was left out" for example in examples[:2]]
    return f"{hazard.found}: {', '.join(parts)}"
