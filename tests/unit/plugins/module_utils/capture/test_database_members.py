# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures of changes that installers, services and administrators make: what belongs together is taken or left out whole."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.databases.group_policies import read_policy
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import encode_string
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    capture_change,
    left_out,
    make_windows_disk,
    read_software,
)
from ansible_collections.strata.layering.tests.support.volume_changes import edit_hive, existing, put

CONFIG = "Windows/System32/config/"
CURRENT = "Microsoft\\Windows\\CurrentVersion\\"
NT = "Microsoft\\Windows NT\\CurrentVersion\\"
CACHE = NT + "Schedule\\TaskCache\\"
KNOWN, NEW, UPDATE = (f"{{{digit * 8}-0000-0000-0000-000000000000}}" for digit in "123")
DEFENDER = "ProgramData/Microsoft/Windows Defender/Platform/"
CLASS = "Classes\\CLSID\\{2781761E-28E0-4109-99FE-B9D127C57AFE}"


def text(content: str) -> tuple[int, bytes]:
    return 1, encode_string(content)


def number(value: int) -> tuple[int, bytes]:
    return 4, struct.pack("<I", value)


def change(files=(), software=None, system=None):
    """Return the change of a volume that writes files, and values of SOFTWARE and of the control set."""

    def apply(volume: Volume) -> None:
        for path in files:
            put(volume, path, f"{path} changed".encode() if isinstance(files, (list, tuple)) else files[path])
        for hive, prefix, items in (("SOFTWARE", "", software), ("SYSTEM", "ControlSet001\\", system)):
            if items:
                edit_hive(volume, CONFIG + hive, lambda root, prefix=prefix, items=items: _set(root, prefix, items))

    return apply


def _set(root, prefix, items):
    for (key, name), (kind, data) in items.items():
        root.create(prefix + key).set_value(name, kind, data)


def taken(entries, deltas) -> set[str]:
    """Return the files of a layer, and the values that its deltas set."""
    files = {path for path, kind in entries.items() if kind == "file"}
    values = {
        f"{path}@{value.name}"
        for delta in deltas.values()
        for path, key in delta.walk()
        for value in key.values.values()
    }
    return files | values


def task(path: str, identifier: str, state: bytes) -> dict:
    return {
        (f"{CACHE}Tree\\{path}", "Id"): text(identifier),
        (f"{CACHE}Tasks\\{identifier}", "Path"): text(f"\\{path}"),
        (f"{CACHE}Tasks\\{identifier}", "DynamicInfo"): (3, state),
        (f"{CACHE}Boot\\{identifier}", ""): text(""),
    }


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packaging")
    raw = str(folder / "raw")
    make_windows_disk(raw)
    prepare = change(
        [f"{DEFENDER}4.18.1/MsMpEng.exe"],
        {
            **task("Microsoft\\Windows\\Known", KNOWN, b"old"),
            **task("Microsoft\\Windows\\UpdateOrchestrator\\Scan", UPDATE, b"old"),
            (f"{CLASS}\\InprocServer32", ""): text(
                "C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.1\\MpOav.dll"
            ),
        },
        {
            ("Services\\Netlogon", "Start"): number(3),
            ("Services\\WinDefend", "Start"): number(2),
            ("Services\\WmiApRpl\\Performance", "First Counter"): number(2),
        },
    )
    with FileDevice(raw, writable=True) as device:
        partition = max(read_partitions(device).partitions, key=lambda partition: partition.size)
        with Volume.mount(partition.window(device), writable=True) as volume:
            prepare(volume)
    return Packaging(str(folder), raw)


def policy(*entries: tuple[str, str]) -> bytes:
    """Return a policy file that sets a number for each (key, value)."""

    def encode(content: str) -> bytes:
        return content.encode("utf-16-le")

    data = b"PReg\x01\0\0\0"
    for key, name in entries:
        data += encode("[") + encode(f"{key}\0;{name}\0;") + struct.pack("<I", 4) + encode(";") + struct.pack("<I", 4)
        data += encode(";") + struct.pack("<I", 1) + encode("]")
    return data


def test_domain_join_of_the_packaging_machine_is_left_out_whole(packaging):
    group_policies = "Windows/System32/GroupPolicy/"
    domain = policy(
        ("Software\\Policies\\Microsoft\\Windows\\System", "FromTheDomain"),
        ("Software\\Policies\\Microsoft\\Windows\\System", "**del.Deleted"),
        ("Software\\Policies\\Microsoft\\Windows\\System", "Both"),
    )
    files = {
        f"{group_policies}DataStore/0/sysvol/corp.example.com/Policies/{{1}}/Machine/Registry.pol": domain,
        f"{group_policies}Machine/Registry.pol": policy(("Software\\Policies\\Microsoft\\Windows\\System", "Both")),
    }
    software = {
        (NT + "Winlogon", "DefaultDomainName"): text("CORP"),
        (CURRENT + "Group Policy\\DataStore\\Machine", "x"): text("y"),
        ("Policies\\Microsoft\\Windows\\System", "FromTheDomain"): number(1),
        ("Policies\\Microsoft\\Windows\\System", "Deleted"): number(1),
        ("Policies\\Microsoft\\Windows\\System", "Both"): number(1),
        ("Policies\\Microsoft\\Windows\\System", "OfTheApplication"): number(1),
    }
    system = {
        ("Services\\Tcpip\\Parameters", "Domain"): text("corp.example.com"),
        ("Services\\Tcpip\\Parameters", "NV Domain"): text("corp.example.com"),
        ("Services\\Netlogon", "Start"): number(2),
        ("Services\\Netlogon\\Parameters", "DomainSid"): (3, bytes(24)),
        ("Services\\W32Time\\Parameters", "Type"): text("NT5DS"),
    }
    result, entries, deltas = capture_change(packaging, change(files, software, system))
    key = "Policies\\Microsoft\\Windows\\System"
    assert taken(entries, deltas) == {f"{group_policies}Machine/Registry.pol", f"{key}@Both", f"{key}@OfTheApplication"}
    assert {entry["reason"] for entry in result.left_out} == {"domain_membership"}


def test_policy_that_is_damaged_gives_its_valid_entries():
    data = policy(("Software\\A", "one"), ("Software\\B", "two"))
    assert list(read_policy(data)) == [("SOFTWARE\\A", "one"), ("SOFTWARE\\B", "two")]
    for length in range(len(data)):
        assert list(read_policy(data[:length])) in (
            [],
            [("SOFTWARE\\A", "one")],
            [("SOFTWARE\\A", "one"), ("SOFTWARE\\B", "two")],
        )
    assert list(read_policy(b"PReg\x02\0\0\0" + data[8:])) == []
    assert list(read_policy(policy(("Other\\A", "one"), ("Software\\A", "**delvals.")))) == []
    assert list(read_policy(policy((f"Software\\{'x' * 5000}", "one"), ("Software" + "\\A" * 60, "two")))) == []


def test_secrets_profiles_and_trace_state_are_left_out_and_providers_are_taken(packaging):
    files = [
        "ProgramData/Microsoft/Crypto/RSA/MachineKeys/1_2",
        "Users/MSSQL$SQLEXPRESS/AppData/x",
        "Windows/ServiceProfiles/NetworkService/AppData/Local/x",
    ]
    software = {
        ("Microsoft\\SystemCertificates\\MY\\Certificates\\AB", "Blob"): (3, b"certificate"),
        ("Microsoft\\SystemCertificates\\ROOT\\Certificates\\CD", "Blob"): (3, b"certificate"),
        (NT + "ProfileList\\S-1-5-80-1-2", "ProfileImagePath"): text("C:\\Users\\MSSQL$SQLEXPRESS"),
        (NT + "ProfileList\\S-1-5-18", "State"): number(7),
    }
    logger = "Control\\WMI\\Autologger\\EventLog-Application"
    system = {
        (f"{logger}\\{{1}}", "Enabled"): number(1),
        (f"{logger}\\{{1}}", "Status"): number(0),
        (logger, "FileCounter"): number(3),
    }
    result, entries, deltas = capture_change(packaging, change(files, software, system))
    assert taken(entries, deltas) == {
        "Microsoft\\SystemCertificates\\ROOT\\Certificates\\CD@Blob",
        f"{NT}ProfileList\\S-1-5-18@State",
        f"ControlSet001\\{logger}\\{{1}}@Enabled",
    }
    assert set(left_out(result, "file")) == {"machine_secret", "user_profile", "service_profiles"}
    assert set(left_out(result, "key")) == {"machine_secret", "user_profile"}


def test_task_is_taken_with_all_keys_and_update_tasks_are_not(packaging):
    software = {
        **task("App\\Update", NEW, b"new"),
        **task("Microsoft\\Windows\\Known", KNOWN, b"run"),
        **task("Microsoft\\Windows\\UpdateOrchestrator\\Scan", UPDATE, b"run"),
        **task("Microsoft\\Windows\\UpdateOrchestrator\\Reboot", NEW.replace("2", "4"), b"run"),
    }
    files = ["Windows/System32/Tasks/App/Update", "Windows/System32/Tasks/Microsoft/Windows/UpdateOrchestrator/Reboot"]
    expected = {
        "Windows/System32/Tasks/App/Update",
        f"{CACHE}Tree\\App\\Update@Id",
        *(f"{CACHE}Tasks\\{NEW}@{name}" for name in ("Path", "DynamicInfo")),
        f"{CACHE}Boot\\{NEW}@",
    }
    _result, entries, deltas = capture_change(packaging, change(files, software))
    assert taken(entries, deltas) == expected
    _result, entries, deltas = capture_change(packaging, change(files, software), {"database": "scheduled_tasks"})
    assert taken(entries, deltas) == set()


def test_update_of_defender_is_left_out_whole(packaging):
    program = "C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.2\\MpOav.dll"
    software = {
        (f"{CLASS}\\InprocServer32", ""): text(program),
        ("Classes\\CLSID\\{1}\\InprocServer32", ""): text("C:\\App\\app.dll"),
    }
    system = {
        ("Services\\WinDefend", "ImagePath"): text(program.replace("MpOav.dll", "MsMpEng.exe")),
        ("Services\\WinDefend", "Start"): number(4),
        ("Services\\MDCoreSvc", "Start"): number(2),
    }
    result, entries, deltas = capture_change(packaging, change([f"{DEFENDER}4.18.2/MsMpEng.exe"], software, system))
    assert taken(entries, deltas) == {
        "Classes\\CLSID\\{1}\\InprocServer32@",
        "ControlSet001\\Services\\WinDefend@Start",
    }
    assert {entry["reason"] for entry in result.left_out} == {"antivirus_state"}


@pytest.mark.parametrize("service", ["WmiApRpl", "App"])
def test_performance_counters_are_taken_with_counters_of_an_application(packaging, service):
    files = ["Windows/System32/perfc009.dat", "Windows/System32/PerfStringBackup.INI"]
    software = {(NT + "Perflib", "Last Counter"): number(9000)}
    system = {
        (f"Services\\{service}\\Performance", "First Counter"): number(8000),
        (f"Services\\{service}\\Performance", "Library"): text("app.dll"),
    }
    _result, entries, deltas = capture_change(packaging, change(files, software, system))
    services = f"ControlSet001\\Services\\{service}\\Performance@"
    expected = {*files, f"{NT}Perflib@Last Counter", f"{services}First Counter", f"{services}Library"}
    assert taken(entries, deltas) == (expected if service == "App" else set())


def test_performance_counters_are_whole_if_servicing_installed_a_file_of_them(packaging):
    """Windows writes into its file, which has a name in the component store."""
    names = "Windows/System32/perfc009.dat"
    component = "Windows/WinSxS/amd64_microsoft-windows-perf_31bf3856ad364e35_10.0.22631.1_none_a1"
    system = {("Services\\App\\Performance", "First Counter"): number(8000)}

    def install(volume):
        change([names, f"{component}/other.dat"], {}, system)(volume)
        with existing(volume, names) as node, existing(volume, component) as folder:
            folder.link(node, "perfc009.dat").close()

    result, entries, deltas = capture_change(packaging, install)
    expected = {names, "ControlSet001\\Services\\App\\Performance@First Counter"}
    assert taken(entries, deltas) == expected
    assert {entry["reason"] for entry in result.left_out} == {"servicing_database"}


def test_assemblies_of_two_layers_are_found_in_the_image(packaging, tmp_path):
    """Each layer installs a version of the runtime of Visual C++ 2008; a component of Windows changed as well."""
    winners = f"{CURRENT}SideBySide\\Winners\\"
    assembly = f"{winners}x86_microsoft.vc90.crt_1fc8b3b9a1e18e3b_none_ea33c8f0b247cd77"
    windows = f"{winners}amd64_microsoft.windows.gdiplus_6595b64144ccf1df_none_8a6b0e2ac0ff5dd0"
    layers, expected = [], set()
    for version in ("9.0.30729.1", "9.0.21022.8"):
        name = f"x86_microsoft.vc90.crt_1fc8b3b9a1e18e3b_{version}_none_d08d0375"
        files = [
            f"Windows/WinSxS/{name}/msvcr90.dll",
            f"Windows/WinSxS/Manifests/{name}.manifest",
            f"Windows/WinSxS/Catalogs/{version}.cat",
        ]
        component = "amd64_microsoft.windows.gdiplus_6595b64144ccf1df_1.1.1.1_none_1"
        noise = [f"Windows/WinSxS/{component}/gdiplus.dll", f"Windows/WinSxS/Manifests/{component}.manifest"]
        software = {
            (assembly, ""): text("9.0"),
            (f"{assembly}\\9.0", ""): text(version),
            (f"{assembly}\\9.0", version): (3, b"\x01"),
            (f"{windows}\\1.1", ""): text("1.1.1.1"),
            (CURRENT + "SideBySide", "LastScavengeFlags"): number(1),
        }
        result, entries, deltas = capture_change(packaging, change([*files, *noise], software), name=version)
        values = {f"{assembly}@", f"{assembly}\\9.0@", f"{assembly}\\9.0@{version}"}
        assert taken(entries, deltas) == {*files, *values}
        layers.append(result.layer)
        expected.update(files)
    image = packaging.compose(layers)
    with image.open_disk() as disk:
        values = {name: data for name, _kind, data, *_rest in read_software(packaging, disk)[f"{assembly}\\9.0"][-1]}
        assert expected <= packaging.tree(disk).keys()
    assert values == {"": encode_string("9.0.30729.1"), "9.0.30729.1": b"\x01", "9.0.21022.8": b"\x01"}


def test_rule_that_divides_a_database_is_reported(packaging):
    files = ["ProgramData/Microsoft/Windows/AppRepository/StateRepository-Machine.srd"]
    software = {(f"{CURRENT}Appx\\AppxAllUserStore\\Applications\\App", "Path"): text("C:\\App")}
    rule = {"path": "ProgramData\\Microsoft\\Windows\\AppRepository", "action": "include"}
    result, entries, deltas = capture_change(packaging, change(files, software), rule)
    assert taken(entries, deltas) == set(files)
    (finding,) = [hazard for hazard in result.hazards if hazard["name"] == "split_database"]
    assert all(part in finding["found"] for part in ("store_apps", "AppRepository", "Appx"))
    result, entries, deltas = capture_change(
        packaging, change(files, software), {"database": "store_apps", "action": "include"}
    )
    assert len(taken(entries, deltas)) == 2
    assert "split_database" not in [hazard["name"] for hazard in result.hazards]


def test_catalogs_of_windows_updates_are_left_out(packaging):
    _result, entries, deltas = capture_change(packaging, change(["Windows/WinSxS/Catalogs/1.cat", "App/app.exe"]))
    assert taken(entries, deltas) == {"App/app.exe"}
