# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hazards are judged by content: what an installer added raises them, what each start of Windows changes does not."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.hazards.accounts import accounts_of
from ansible_collections.strata.layering.plugins.module_utils.capture.hazards.all import HAZARDS, find_hazards
from ansible_collections.strata.layering.plugins.module_utils.capture.hazards.files import FileWatch
from ansible_collections.strata.layering.plugins.module_utils.capture.hazards.observed import Observed
from ansible_collections.strata.layering.plugins.module_utils.capture.hazards.registry import observe_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta import CREATE, KEEP, Delta, KeyDelta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.tests.sample import hives
from ansible_collections.strata.layering.tests.support.captured import capture_change
from ansible_collections.strata.layering.tests.support.hive_samples import windows_10_system
from ansible_collections.strata.layering.tests.support.volume_changes import edit_hive, put
from ansible_collections.strata.layering.tests.support.windows_start import CONFIG, combined, start

CBS = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing"
APPX = "Microsoft\\Windows\\CurrentVersion\\Appx\\AppxAllUserStore"
NT = "Microsoft\\Windows NT\\CurrentVersion"
WINSOCK = "ControlSet001\\Services\\WinSock2\\Parameters"
NETWORK = "ControlSet001\\Control\\Network"
FOLDER = "Windows/System32/DriverStore/FileRepository/x.inf_amd64_1"


def keys(hive: str, path: str, action: int = CREATE, **values: object) -> Observed:
    """Observe the change of a key: ``action`` applies to the last name of the path."""
    delta = Delta(hive)
    key = delta.root
    for name in path.split("\\"):
        key.subkeys[name.upper()] = key = KeyDelta(name, KEEP)
    key.action = action
    made = Hive.new("X", minor=5)
    for name, value in values.items():
        hives.put_all(made.root, "x", {name: value})
    if values:
        key.values = compute_delta(Hive.new("X", minor=5), made, name="X").root.subkeys["X"].values
    observed = Observed()
    observe_delta(delta, observed)
    return observed


def taken(*paths: str) -> Observed:
    observed = Observed()
    watch = FileWatch(observed)
    for path in paths:
        watch.taken(path)
    return observed


def excluded(path: str, reason: str = "rule", **watched: object) -> Observed:
    observed = Observed()
    FileWatch(observed, **watched).left_out("file", reason, path)
    return observed


def names(observed: Observed) -> list[str]:
    return [finding["name"] for finding in find_hazards(observed)]


@pytest.mark.parametrize(
    ("name", "observed"),
    [
        ("wmi_repository", taken("Program Files/App/provider.mof")),
        ("wmi_repository", excluded("Windows/System32/wbem/AutoRecover/0123.mof")),
        ("wmi_repository", keys("SOFTWARE", "Microsoft\\WBEM\\CIMOM", KEEP, **{"Autorecover MOFs": ["a.mof"]})),
        ("catalogs", excluded("Windows/System32/CatRoot/{F750E6C3}/app.cat")),
        ("driver_store", keys("SYSTEM", "DriverDatabase\\DriverPackages\\x.inf_amd64_1")),
        ("driver_store", keys("DRIVERS", "DriverDatabase\\DriverPackages\\x.inf_amd64_1")),
        ("driver_store", excluded(f"{FOLDER}/x.inf")),
        ("servicing", keys("SOFTWARE", f"{CBS}\\Packages\\Package_for_KB5034123~31bf3856ad364e35~amd64~~1.0")),
        ("servicing", keys("SOFTWARE", f"{CBS}\\Packages\\NetFx3~31bf3856ad364e35", KEEP, CurrentState=112)),
        ("servicing", taken("Windows/servicing/Packages/NetFx3~31bf3856ad364e35.mum")),
        ("com_plus", taken("Windows/Registration/R000000000001.clb")),
        ("store_apps", excluded("Program Files/WindowsApps/App_1.0/AppxManifest.xml")),
        ("store_apps", keys("SOFTWARE", f"{APPX}\\Applications\\App_1.0_x64__8wekyb3d8bbwe")),
        ("user_profiles", excluded("Users/Installer/Documents/license.txt", "user_profile")),
        ("user_profiles", excluded("Users/Installer/AppData/Roaming/App/settings.xml", "user_profile")),
        ("user_profiles", excluded("Users/Installer/AppData/Local/Programs/App/app.exe", "user_profile")),
        ("user_profiles", excluded("Users/Installer/license.lic", "user_profile")),
        ("activation", taken("Program Files/Microsoft Office/root/Licenses16/ProPlus2021VL_KMS_Client-ul.xrm-ms")),
        (
            "activation",
            keys("SOFTWARE", f"{NT}\\SoftwareProtectionPlatform\\0ff1ce15-a989-479d-af46-f275c6370663\\fbdb3e18"),
        ),
        ("activation", keys("SOFTWARE", f"{NT}\\SoftwareProtectionPlatform", KEEP, BackupProductKeyDefault="AAAAA")),
        ("performance_counters", keys("SYSTEM", "ControlSet001\\Services\\App\\Performance")),
        ("network_protocols", keys("SYSTEM", f"{WINSOCK}\\Protocol_Catalog9\\Catalog_Entries64\\000000000099")),
        (
            "network_protocols",
            keys("SYSTEM", f"{NETWORK}\\{{4d36e974-e325-11ce-bfc1-08002be10318}}\\{{0378D977-BE68}}"),
        ),
        ("task_cache", keys("SOFTWARE", f"{NT}\\Schedule\\TaskCache\\Tree\\App\\Update", Id="{1}")),
        ("native_images", taken("Windows/assembly/NativeImages_v4.0.30319_64/App/x.ni.dll")),
        ("system_files", excluded("Windows/System32/ntdll.dll", "system_files")),
        ("names_in_case", excluded("a differs only in case from A", "case")),
        ("spelling", excluded("Folder", "spelling")),
        ("machine_certificates", keys("SOFTWARE", "Microsoft\\SystemCertificates\\MY\\Certificates\\0123")),
    ],
)
def test_hazard_content_is_reported(name, observed):
    assert names(observed) == [name]


@pytest.mark.parametrize(
    "observed",
    [
        excluded("Windows/System32/wbem/Repository/OBJECTS.DATA", "machine_state"),
        excluded("Windows/System32/catroot2/edb.log", "windows_update"),
        excluded("Windows/System32/DriverStore/infpub.dat"),
        excluded("Windows/System32/config/COMPONENTS", "servicing_database"),
        excluded("Windows/System32/spp/store/2.0/data.dat", "machine_state"),
        excluded("Users/Administrator/NTUSER.DAT", "user_profile"),
        excluded("Users/Administrator/AppData/Local/Microsoft/Windows/WebCache/WebCacheV01.dat", "user_profile"),
        excluded("Users/Administrator/Desktop", "user_profile"),
        excluded("Users/Administrator/Links/Downloads.lnk", "user_profile"),
        excluded("Users/Administrator/Searches/Everywhere.search-ms", "user_profile"),
        excluded(
            "Users/New/Favorites/Bing.url",
            "user_profile",
            exists=lambda path: path == "Users/Default/Favorites/Bing.url",
        ),
        excluded("Windows/System32/ntdll.dll", "system_files", expected={"WINDOWS/SYSTEM32/NTDLL.DLL"}),
        excluded("Program Files/App/provider.mof", "noise_profile"),
        keys("SYSTEM", "DriverDatabase", KEEP, UpdateDate=b"12345678"),
        keys("SYSTEM", f"{WINSOCK}\\Protocol_Catalog9", KEEP, Serial_Access_Num=7),
        keys("SYSTEM", f"{NETWORK}\\{{4d36e972-e325-11ce-bfc1-08002be10318}}\\{{0378D977-BE68}}"),
        keys("SYSTEM", "ControlSet001\\Services\\WmiApRpl\\Performance"),
        keys("SOFTWARE", f"{CBS}\\SessionsPending", KEEP, Exclusive=1),
        keys("SOFTWARE", f"{NT}\\Schedule\\TaskCache\\Tasks\\{{1}}", KEEP, DynamicInfo=b"1234"),
        keys("SOFTWARE", f"{NT}\\SoftwareProtectionPlatform", KEEP, ServiceSessionId=b"1"),
        keys("SOFTWARE", f"{APPX}\\S-1-5-21-1-2-3-500\\App_1.0_x64__8wekyb3d8bbwe"),
        taken("Program Files/App/app.exe", "Windows/System32/app.dll", "Windows/System32/CatRoot/x.cat"),
    ],
)
def test_content_that_windows_writes_by_itself_is_no_hazard(observed):
    assert names(observed) == []


def test_item_of_the_noise_profile_is_no_hazard():
    observed = keys("SYSTEM", "DriverDatabase\\DriverPackages\\x.inf_amd64_1")
    assert find_hazards(observed, {"driver_store": ["x.inf_amd64_1"]}) == []
    assert [finding["name"] for finding in find_hazards(observed, {"servicing": ["x.inf_amd64_1"]})] == ["driver_store"]


def test_compiled_file_that_was_listed_before_is_no_hazard():
    before, after = Hive.new("X", minor=5), Hive.new("X", minor=5)
    hives.put_all(before.root, "Microsoft\\WBEM\\CIMOM", {"Autorecover MOFs": ["a.mof", "b.mof"]})
    hives.put_all(after.root, "Microsoft\\WBEM\\CIMOM", {"Autorecover MOFs": ["B.mof", "a.mof"]})
    observed = Observed()
    observe_delta(compute_delta(before, after, name="SOFTWARE"), observed)
    assert names(observed) == []


def test_keys_of_hazards_exist_in_a_hive_of_windows():
    found = read_hive(windows_10_system())
    observed = Observed()
    empty = Hive.new("SYSTEM", minor=5, security=found.root.security, root_name=found.root.name)
    observe_delta(compute_delta(empty, found, name="SYSTEM"), observed)
    assert len(observed.items("driver_store")) == 239
    assert "Winsock entry 000000000001" in observed.items("network_protocols")
    assert ".NET CLR Data" in observed.items("performance_counters")


def test_every_hazard_has_an_action():
    assert all(hazard.found and hazard.action.endswith(".") for hazard in HAZARDS.values())


def test_started_machine_has_no_hazard(started):
    result, _entries, _deltas = capture_change(started, start())
    assert result.hazards == []


def _add_user(root):
    hives.put_all(root, "SAM\\Domains\\Account\\Users\\Names\\Installer", {"": (1001, b"")})
    hives.put(root, "SAM\\Domains\\Account\\Users\\000003E9", F=bytes(80))


def _add_member(root):
    members = "SAM\\Domains\\Builtin\\Aliases\\Members\\S-1-5-21-1-2-3"
    hives.put_all(root, f"{members}\\000001F4", {"": (0x220, struct.pack("<I", 0x220))})


@pytest.mark.parametrize("add", [_add_user, _add_member])
def test_account_that_an_installer_added_is_a_hazard(started, add):
    change = combined(start(), lambda volume: edit_hive(volume, f"{CONFIG}/SAM", add))
    result, _entries, _deltas = capture_change(started, change)
    assert [finding["name"] for finding in result.hazards] == ["accounts"]


def test_right_that_an_installer_granted_is_a_hazard(started):
    def grant(root):
        hives.put_all(root, "Policy\\Accounts\\S-1-5-80-1\\Privilgs", {"": (0, b"\1\2")})

    change = combined(start(), lambda volume: edit_hive(volume, f"{CONFIG}/SECURITY", grant))
    result, _entries, _deltas = capture_change(started, change)
    assert [finding["name"] for finding in result.hazards] == ["accounts"]


def test_accounts_of_damaged_database_are_a_hazard(started):
    change = combined(start(), lambda volume: put(volume, f"{CONFIG}/SAM", b"no hive"))
    result, _entries, _deltas = capture_change(started, change)
    assert [finding["name"] for finding in result.hazards] == ["accounts"]


@pytest.mark.parametrize(
    ("name", "is_touched"), [("SAM", True), ("SAM.LOG1", True), ("SECURITY.LOG2", True), ("SOFTWARE.LOG1", False)]
)
def test_accounts_are_compared_if_only_a_log_changed(name, is_touched):
    watch = FileWatch(Observed())
    watch.left_out("file", "registry_file", f"{CONFIG}/{name}")
    assert watch.accounts_touched == is_touched


def test_accounts_do_not_depend_on_counters():
    before, after = hives.sam(), hives.sam()
    hives.put(after.root, "SAM\\Domains\\Account\\Users\\000001F4", F=b"\1" * 80, V=b"\2" * 300)
    assert accounts_of(before, None) == accounts_of(after, None)
    assert "user Administrator" in accounts_of(before, None)
