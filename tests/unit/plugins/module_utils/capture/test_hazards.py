# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hazards are reported for content that a layer contains or excludes, and not otherwise."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.hazards import (
    HAZARDS,
    WATCHED,
    Contents,
    find_hazards,
)
from ansible_collections.strata.layering.plugins.module_utils.capture.rules import LeftOut
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta import CREATE, Delta, KeyDelta


def delta(hive: str, path: str) -> dict[str, Delta]:
    result = Delta(hive)
    key = result.root
    for name in path.split("\\"):
        key.subkeys[name.upper()] = key = KeyDelta(name, CREATE)
    return {hive: result}


def found(paths=(), removed=(), deltas=None, left=()):
    left_out = LeftOut(watched=WATCHED)
    for kind, reason, item in left:
        left_out.add(kind, reason, item)
    return [finding["name"] for finding in find_hazards(Contents(list(paths), list(removed), deltas or {}, left_out))]


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("wmi_repository", {"paths": ["Windows/System32/wbem/Repository/INDEX.BTR"]}),
        ("wmi_repository", {"left": [("file", "machine_state", "Windows/System32/wbem/Repository/OBJECTS.DATA")]}),
        ("catalogs", {"left": [("file", "windows_update", "Windows/System32/catroot2/edb.log")]}),
        ("driver_store", {"paths": ["Windows/System32/DriverStore/FileRepository/x.inf_amd64_1/x.sys"]}),
        ("driver_store", {"deltas": delta("SYSTEM", "DriverDatabase\\DriverPackages\\x")}),
        ("servicing", {"removed": ["Windows/WinSxS/x"]}),
        ("servicing", {"left": [("file", "servicing_database", "Windows/System32/config/COMPONENTS")]}),
        ("accounts", {"left": [("file", "account_database", "Windows/System32/config/SAM")]}),
        ("com_plus", {"paths": ["Windows/Registration/R000000000001.clb"]}),
        ("store_apps", {"paths": ["Program Files/WindowsApps/App_1.0/app.exe"]}),
        ("store_apps", {"deltas": delta("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\Appx\\AppxAllUserStore")}),
        ("user_profiles", {"left": [("file", "user_profile", "Users/Installer/x")]}),
        ("activation", {"left": [("file", "machine_state", "Windows/System32/spp/store/2.0/data.dat")]}),
        ("performance_counters", {"deltas": delta("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Perflib\\009")}),
        ("network_protocols", {"deltas": delta("SYSTEM", "ControlSet001\\Services\\WinSock2\\Parameters")}),
        ("network_protocols", {"deltas": delta("SYSTEM", "ControlSet002\\Control\\Network\\x")}),
        (
            "catalogs",
            {
                "left": [("file", "windows_update", f"Windows/SoftwareDistribution/{number}") for number in range(30)]
                + [("file", "windows_update", "Windows/System32/catroot2/edb.log")]
            },
        ),
        (
            "task_cache",
            {"deltas": delta("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache\\Tree\\App")},
        ),
        ("native_images", {"paths": ["Windows/assembly/NativeImages_v4.0.30319_64/App/x.ni.dll"]}),
        ("names_in_case", {"left": [("file", "case", "a differs only in case from A")]}),
        ("spelling", {"left": [("file", "spelling", "Folder")]}),
    ],
)
def test_hazard_content_is_reported(name, contents):
    assert found(**contents) == [name]


def test_every_hazard_has_an_action():
    assert all(hazard.found and hazard.action.endswith(".") for hazard in HAZARDS.values())


def test_hazard_ordinary_application_has_none():
    assert (
        found(
            paths=[
                "Program Files/App/app.exe",
                "ProgramData/App/x",
                "Windows/System32/app.dll",
                "Windows/Installer/1.msi",
                "Windows/System32/CatRoot/x.cat",
            ],
            deltas=delta("SOFTWARE", "App\\Settings"),
            left=[("file", "temporary", "Windows/Temp/x"), ("value", "machine_state", "SYSTEM\\Select\\Current")],
        )
        == []
    )
