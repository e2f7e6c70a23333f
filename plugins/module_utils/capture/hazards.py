# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named warnings about content that cannot be layered, whether a capture stored it or excluded it.

Databases that Windows stores in a single file cannot be merged: the highest layer would replace the entries of
other layers and of the OS layer. Excluded content is reported as well, because an application may need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from ..common.counting import counted_examples
from ..common.findings import WARN, Finding
from ..winregistry.delta import Delta
from .rules import LeftOut

_LISTED = 5


@dataclass
class Contents:
    """The content of a capture.

    ``paths`` were stored, ``removed`` are removals ("/" between names). ``deltas`` are by hive. ``left_out`` was
    excluded; it watches ``WATCHED``.
    """

    paths: list[str]
    removed: list[str]
    deltas: Mapping[str, Delta]
    left_out: LeftOut


@dataclass(frozen=True)
class _Hazard:
    """A warning and the conditions for it.

    ``paths`` are prefixes of paths in lower case, ``keys`` are (hive, key) pairs in deltas, ``reasons`` are reasons of
    exclusions, ``examples`` are parts of excluded paths in lower case.
    """

    found: str
    action: str
    paths: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    reasons: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


HAZARDS: dict[str, _Hazard] = {
    "wmi_repository": _Hazard(
        "the WMI repository changed",
        "Register the providers of the application at the first start of an image (mofcomp in the layer's script).",
        ("windows/system32/wbem/repository/",),
        (),
        (),
        ("windows\\system32\\wbem\\repository",),
    ),
    "catalogs": _Hazard(
        "signature catalogs changed",
        "No action is needed: catalogs in CatRoot are captured; the database catroot2 is excluded and Windows re-creates it.",
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
        "Create local accounts in the OS layer; run applications with domain accounts, virtual service accounts "
        "(NT SERVICE\\name) or LocalService.",
        (),
        (),
        ("account_database",),
    ),
    "com_plus": _Hazard(
        "the COM+ catalog changed",
        "Register COM+ applications in the OS layer, or with the layer's script at the first start.",
        ("windows/registration/r",),
        (("SOFTWARE", "Microsoft\\COM3"),),
    ),
    "store_apps": _Hazard(
        "Store apps (AppX, MSIX) were installed or updated",
        "Provision Store apps in the OS layer: their registrations are in a single database.",
        ("program files/windowsapps/", "programdata/microsoft/windows/apprepository/"),
        (("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\Appx"),),
    ),
    "user_profiles": _Hazard(
        "files of the user who ran the installer were excluded",
        "Store settings for all users in ProgramData, or in C:\\Users\\Default for new users; include single files "
        "with a rule of the option exclusions.",
        (),
        (),
        ("user_profile",),
    ),
    "activation": _Hazard(
        "license data of Windows or Office changed",
        "Activate with KMS or Active Directory: a license in a layer would be that of a single VM.",
        ("programdata/microsoft/officesoftwareprotectionplatform/",),
        (("SYSTEM", "WPA"),),
        (),
        ("windows\\system32\\spp\\store", "softwareprotectionplatform"),
    ),
    "performance_counters": _Hazard(
        "performance counters were registered",
        "Run 'lodctr /R' in the layer's script: the numbers of performance counters cannot be merged.",
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
        "Make sure that no two layers register tasks of the same name; tasks are layered as files and keys.",
        (),
        (("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache"),),
    ),
    "native_images": _Hazard(
        "compiled .NET assemblies were captured",
        "No action is needed: they are valid for this OS layer version only, and .NET compiles them again otherwise.",
        ("windows/assembly/nativeimages",),
    ),
    "system_files": _Hazard(
        "files of Windows were changed, replaced or removed",
        "Install updates and features in the OS layer. If the application needs a file of its own in place of a file of "
        "Windows, include the path with a rule of the option exclusions.",
        (),
        (),
        ("system_files",),
    ),
    "names_in_case": _Hazard(
        "files whose names differ only in case were excluded",
        "Rename the files: Windows programs cannot distinguish them.",
        (),
        (),
        ("case",),
    ),
    "spelling": _Hazard(
        "folders changed only the case of their names; the layer keeps the names of the image",
        "No action is needed: Windows treats both names as equal.",
        (),
        (),
        ("spelling",),
    ),
}


#: The parts of excluded paths that a LeftOut must watch.
WATCHED = tuple(part for hazard in HAZARDS.values() for part in hazard.examples)


def find_hazards(contents: Contents) -> list[dict]:
    """Return the hazards that apply, JSON-compatible, in the order of ``HAZARDS``; every result is "warn"."""
    lowered = [path.lower() for path in (*contents.paths, *contents.removed)]
    report = contents.left_out.report()
    findings = []
    for name, hazard in HAZARDS.items():
        taken = [path for path in lowered if path.startswith(hazard.paths)] if hazard.paths else []
        keys = [
            path
            for hive, key in hazard.keys
            if hive in contents.deltas
            for path in _changed(contents.deltas[hive], key)
        ]
        reasons = [entry for entry in report if entry["reason"] in hazard.reasons]
        examples = [example for part in hazard.examples for example in contents.left_out.seen(part)]
        if taken or keys or reasons or examples:
            findings.append(asdict(Finding(name, WARN, _found(hazard, taken, keys, reasons, examples), hazard.action)))
    return findings


def _changed(delta: Delta, path: str) -> Iterator[str]:
    """Yield the paths at which a delta has a key. Deltas contain only the control set that Windows starts with."""
    first, _separator, rest = path.partition("\\")
    paths = [path]
    if first == "CurrentControlSet":
        names = [key.name for key in delta.root.subkeys.values() if key.name.lower().startswith("controlset")]
        paths = [f"{name}\\{rest}" for name in names]
    yield from (f"{delta.hive}\\{found}" for found in paths if delta.key(found) is not None)


def _found(hazard: _Hazard, taken: list[str], keys: list[str], reasons: list[dict], examples: list[str]) -> str:
    parts = []
    if taken:
        parts.append(counted_examples(taken[:1], len(taken), "path"))
    parts += keys[:_LISTED]
    parts += [counted_examples(entry["examples"][:1], entry["count"], "excluded item") for entry in reasons[:_LISTED]]
    parts += [f"{example} was excluded" for example in examples[:2]]
    return f"{hazard.found}: {', '.join(parts)}"
