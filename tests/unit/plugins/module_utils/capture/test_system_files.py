# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of Windows that a running Windows marks, that servicing changes, or that an installer replaces."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.system_files import ChangedNames, SystemFiles
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.layers.extended_attributes import pack_eas, unpack_eas
from ansible_collections.strata.layering.plugins.module_utils.ntfs import attribute_records, file_security
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    decode_multi_string,
    encode_multi_string,
)
from ansible_collections.strata.layering.tests.sample.hives import put as put_values
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    capture_change,
    left_out,
    make_windows_disk,
)
from ansible_collections.strata.layering.tests.support.volume_changes import edit_hive, existing, put, rename

COMPONENT = "Windows/WinSxS/amd64_microsoft-windows-ntdll_31bf3856ad364e35_10.0.22631.3007_none_a1"
UPDATE = "Windows/WinSxS/amd64_microsoft-windows-ntdll_31bf3856ad364e35_10.0.22631.4890_none_b2"
RUNTIME = "Windows/WinSxS/amd64_microsoft.vc90.crt_1fc8b3b9a1e18e3b_9.0.21022.8_none_750b"
SERVICES = "Windows/System32/drivers/etc/services"
NAMES = ("ntdll.dll", "win32u.dll", "notepad.exe")
CACHE = (b"$KERNEL.PURGE.ESBCACHE", 0, b"level" * 9)
HINT = (b"$CI.CATALOGHINT", 0, b"\1\0\x0a\0Client.cat")
USER_EA = (b"LXUID", 0, b"\0\0\0\0")


def link(volume, source: str, target: str) -> None:
    folder, _slash, name = target.rpartition("/")
    with existing(volume, source) as node, existing(volume, folder) as parent:
        parent.link(node, name).close()


def delete(volume, path: str) -> None:
    existing(volume, path).delete()


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    """A repository with an OS layer in which servicing owns files of System32 and of a program folder."""
    folder = tmp_path_factory.mktemp("system")
    raw = str(folder / "raw")
    make_windows_disk(raw)
    with FileDevice(raw, writable=True) as device:
        window = max(read_partitions(device).partitions, key=lambda partition: partition.size).window(device)
        with Volume.mount(window, writable=True) as volume:
            for name in NAMES:
                put(volume, f"{COMPONENT}/{name}", b"MZ" + name.encode() * 100)
                with existing(volume, f"{COMPONENT}/{name}") as node:
                    node.set_eas(pack_eas([HINT]))
                link(volume, f"{COMPONENT}/{name}", f"Windows/System32/{name}")
            put(volume, f"{COMPONENT}/viewer.exe", b"MZ viewer")
            put(volume, f"{COMPONENT}/old.dll", b"MZ old")
            put(volume, "Program Files/Viewer/own.txt")
            link(volume, f"{COMPONENT}/viewer.exe", "Program Files/Viewer/viewer.exe")
            put(volume, f"{COMPONENT}/services", b"echo 7/tcp\r\n")
            put(volume, "Windows/System32/drivers/etc/own.txt")
            link(volume, f"{COMPONENT}/services", SERVICES)
            put(volume, "Windows/System32/plain.dll", b"MZ plain")
            put(volume, "Windows/WinSxS/Manifests/first.manifest")
    return Packaging(str(folder), raw)


def test_capture_marks_of_a_running_windows_take_nothing(packaging):
    """Code Integrity caches its verdict, Explorer makes a shortcut, compact.exe and a copy change form and times."""

    def change(volume):
        with existing(volume, "Windows/System32/ntdll.dll") as node:
            node.set_eas(pack_eas([HINT, CACHE]))
            node.set_attributes(node.attributes | attribute_records.HAS_EAS)
        with existing(volume, "Windows/System32/win32u.dll") as node:
            node.set_object_id(bytes(range(16)) + bytes(48))
        with existing(volume, "Windows/System32/plain.dll") as node:
            node.set_eas(pack_eas([USER_EA]))
            node.set_times(node.times._replace(created=node.times.created + 1, written=node.times.written + 1))
        with existing(volume, "Program Files/Alpha/file number 3.dat") as node:
            node.set_eas(pack_eas([CACHE]))
        put(volume, "Program Files/Alpha/app.exe", b"MZ app")

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {"Program Files/Alpha/app.exe": "file"}
    assert result.left_out == [] and result.hazards == []


def test_capture_user_eas_outside_of_windows_are_taken_without_kernel_eas(packaging):
    def change(volume):
        with existing(volume, "Program Files/Alpha/file number 4.dat") as node:
            node.set_eas(pack_eas([CACHE, USER_EA]))

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {"Program Files/Alpha/file number 4.dat": "file"}
    (stored,) = (
        record.entry
        for record in stored_layers.records(packaging.repository, result.layer)
        if record.entry.kind == "file"
    )
    assert unpack_eas(stored.eas) == [(USER_EA[0], USER_EA[1], USER_EA[2])]


def test_capture_taken_file_has_no_attribute_of_kernel_eas(packaging):
    def change(volume):
        put(volume, "Program Files/Alpha/new.exe", b"MZ new")
        with existing(volume, "Program Files/Alpha/new.exe") as node:
            node.set_eas(pack_eas([CACHE]))
            node.set_attributes(node.attributes | attribute_records.HAS_EAS)

    result, _entries, _deltas = capture_change(packaging, change)
    (stored,) = (
        record.entry
        for record in stored_layers.records(packaging.repository, result.layer)
        if record.entry.kind == "file"
    )
    assert stored.eas is None and not stored.attributes & attribute_records.HAS_EAS


def test_capture_changed_security_below_windows_is_taken(packaging):
    def change(volume):
        with existing(volume, "Windows/System32/plain.dll") as node:
            node.set_security(file_security.default(False))

    assert capture_change(packaging, change)[1] == {"Windows/System32/plain.dll": "file"}


def replaced(volume) -> None:
    """Replace a system file in System32 as an installer does: by a file record of its own."""
    delete(volume, "Windows/System32/ntdll.dll")
    put(volume, "Windows/System32/ntdll.dll", b"MZ of the installer")


def overwritten(volume) -> None:
    with existing(volume, "Windows/System32/ntdll.dll") as node:
        node.write(b"MZ of the installer")


@pytest.mark.parametrize("change", [replaced, overwritten])
def test_capture_changed_system_file_is_left_out_and_named(packaging, change):
    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {}
    assert "Windows/System32/ntdll.dll" in left_out(result, "file")["system_files"]
    (hazard,) = (finding for finding in result.hazards if finding["name"] == "system_files")
    assert "ntdll.dll" in hazard["found"]


@pytest.mark.parametrize(
    "rule",
    [{"path": "Windows\\System32\\ntdll.dll", "action": "include"}, {"database": "system_files", "action": "include"}],
)
def test_capture_rule_includes_replaced_system_file(packaging, rule):
    assert capture_change(packaging, replaced, rule)[1] == {"Windows/System32/ntdll.dll": "file"}


def test_capture_rule_for_one_name_leaves_the_component_alone(packaging):
    rule = {"path": "Windows\\System32\\ntdll.dll", "action": "include"}
    assert capture_change(packaging, overwritten, rule)[1] == {"Windows/System32/ntdll.dll": "file"}
    rule = {"database": "system_files", "action": "include"}
    assert capture_change(packaging, overwritten, rule)[1] == {"Windows/System32/ntdll.dll": "file"}
    rule = {"database": "servicing_database", "action": "include"}
    entries = capture_change(packaging, overwritten, rule)[1]
    assert entries == {"Windows/System32/ntdll.dll": "file", f"{COMPONENT}/ntdll.dll": "link"}


def test_capture_settings_of_windows_that_an_installer_extends_are_taken(packaging):
    """Installers add the ports of their services to this file, in place, so that the copy of servicing changes as well."""

    def change(volume):
        put(volume, SERVICES, b"echo 7/tcp\r\nsapdp00 3200/tcp\r\n")
        put(volume, "Windows/System32/msvcp140.dll", b"MZ, of no component")

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {SERVICES: "file", "Windows/System32/msvcp140.dll": "file"}
    assert left_out(result, "file") == {"servicing_database": [f"{COMPONENT}/services"]} and result.hazards == []
    rule = {"database": "system_files", "action": "exclude"}
    assert SERVICES in capture_change(packaging, change, rule)[1]


FEATURE = "Windows/WinSxS/amd64_microsoft-hyper-v-drivers_31bf3856ad364e35_10.0.22631.1_none_c3"
DISKS = "ControlSet001\\Control\\Class\\{4d36e967-e325-11ce-bfc1-08002be10318}"
SERVICE = "ControlSet001\\Services\\"


def enable_feature(volume) -> None:
    """Install a feature of Windows with a driver, a program and a library, and a driver of an application."""
    put(volume, "Windows/System32/drivers/vendor.sys", b"MZ vendor")
    for path in ("drivers/hvboot.sys", "hvsvc.exe", "hvlib.dll"):
        name = path.rpartition("/")[2]
        put(volume, f"{FEATURE}/{name}", b"MZ feature")
        link(volume, f"{FEATURE}/{name}", f"Windows/System32/{path}")

    def register(root) -> None:
        put_values(root, f"{SERVICE}hvboot", Type=1, Start=0, ErrorControl=3)
        put_values(root, f"{SERVICE}hvsvc", ImagePath="%SystemRoot%\\System32\\hvsvc.exe -run")
        put_values(root, f"{SERVICE}hvlib", ImagePath="%SystemRoot%\\system32\\svchost.exe -k netsvcs")
        put_values(root, f"{SERVICE}hvlib\\Parameters", ServiceDll="%SystemRoot%\\System32\\hvlib.dll")
        put_values(root, f"{SERVICE}vendor", ImagePath="System32\\drivers\\vendor.sys", Start=3)
        put_values(root, f"{SERVICE}odd", ImagePath="System32\\\\..\\\\" + "x" * 300 + ":\1.exe")
        put_values(root, f"{SERVICE}plain", ImagePath="%SystemRoot%\\System32\\notepad.exe")
        root.create(DISKS).set_value("UpperFilters", 7, encode_multi_string(["HVBoot", "vendor"]))
        root.create(DISKS).set_value("LowerFilters", 7, encode_multi_string(["hvboot"]))

    edit_hive(volume, "Windows/System32/config/SYSTEM", register)


@pytest.mark.parametrize(
    ("rules", "services"),
    [
        ([], {"vendor", "odd", "plain"}),
        ([{"database": "system_files", "action": "include"}], {"vendor", "odd", "plain", "hvboot", "hvsvc", "hvlib"}),
        (
            [{"database": "servicing_database", "action": "include"}],
            {"vendor", "odd", "plain", "hvboot", "hvsvc", "hvlib"},
        ),
    ],
    ids=["default", "files", "servicing"],
)
def test_capture_service_of_a_feature_comes_with_its_program_or_not_at_all(packaging, rules, services):
    """Windows does not start if the file of a critical boot driver is missing."""
    _result, entries, deltas = capture_change(packaging, enable_feature, *rules)
    assert {key.name for key in deltas["SYSTEM"].key(SERVICE.rstrip("\\")).subkeys.values()} == services
    assert ("Windows/System32/drivers/hvboot.sys" in entries) == ("hvboot" in services)
    # A filter without its service would stop all disks.
    filters = {value.name: decode_multi_string(value) for value in deltas["SYSTEM"].key(DISKS).values.values()}
    assert filters == (
        {"UpperFilters": ["HVBoot", "vendor"], "LowerFilters": ["hvboot"]}
        if "hvboot" in services
        else {"UpperFilters": ["vendor"]}
    )
    assert "Windows/System32/drivers/vendor.sys" in entries


def test_capture_update_is_left_out_as_a_whole(packaging):
    def change(volume):
        delete(volume, "Windows/System32/ntdll.dll")
        put(volume, f"{UPDATE}/ntdll.dll", b"MZ patched")
        put(volume, f"{UPDATE}/added.dll", b"MZ added")
        put(volume, "Windows/WinSxS/Manifests/amd64_microsoft-windows-ntdll_31bf3856ad364e35_10.manifest")
        link(volume, f"{UPDATE}/ntdll.dll", "Windows/System32/ntdll.dll")
        link(volume, f"{UPDATE}/added.dll", "Program Files/Viewer/added.dll")
        delete(volume, COMPONENT)
        framework = "Microsoft\\NET Framework Setup\\NDP\\v4\\Full"
        for key, values in (("Microsoft\\Windows NT\\CurrentVersion", {"UBR": 4890}), (framework, {"Release": 533320})):
            edit_hive(
                volume,
                "Windows/System32/config/SOFTWARE",
                lambda root, key=key, values=values: put_values(root, key, **values),
            )

    result, entries, deltas = capture_change(packaging, change)
    assert entries == deltas == {}
    assert COMPONENT in left_out(result, "removal")["servicing_database"]
    assert "Windows/System32/ntdll.dll" in left_out(result, "file")["system_files"]


def test_capture_cleaned_component_store_raises_no_warning_about_system_files(packaging):
    """Servicing removes components that an update replaced; their files have no other names."""

    def change(volume):
        delete(volume, f"{COMPONENT}/old.dll")

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {} and "system_files" not in left_out(result, "removal")
    assert not [finding for finding in result.hazards if finding["name"] == "system_files"]


def test_capture_rule_about_servicing_decides_about_all_names(packaging):
    def change(volume):
        put(volume, f"{UPDATE}/added.dll", b"MZ added")
        link(volume, f"{UPDATE}/added.dll", "Windows/System32/added.dll")

    entries = capture_change(packaging, change, {"database": "servicing_database", "action": "include"})[1]
    assert entries["Windows/System32/added.dll"] == "file" and entries[f"{UPDATE}/added.dll"] == "link"


def test_capture_removed_folder_with_system_files_is_left_out(packaging):
    def change(volume):
        delete(volume, "Program Files/Viewer")

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {"Program Files/Viewer/own.txt": "whiteout"}
    assert set(left_out(result, "removal")["system_files"]) == {
        "Program Files/Viewer",
        "Program Files/Viewer/viewer.exe",
    }


def test_capture_renamed_folder_with_system_files_is_left_out(packaging):
    def change(volume):
        rename(volume, "Program Files/Viewer", "Program Files", "Old viewer")

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {}
    assert left_out(result, "file")["system_files"] == ["Program Files/Old viewer"]
    entries = capture_change(packaging, change, {"path": "Program Files", "action": "include"})[1]
    assert entries["Program Files/Old viewer/viewer.exe"] == "file"


def test_capture_link_of_an_installer_to_a_system_file_is_taken(packaging):
    def change(volume):
        link(volume, f"{COMPONENT}/ntdll.dll", "Program Files/Alpha/ntdll.dll")

    assert capture_change(packaging, change)[1] == {"Program Files/Alpha/ntdll.dll": "file"}


def test_capture_assembly_of_another_publisher_is_no_system_file(packaging):
    def change(volume):
        put(volume, f"{RUNTIME}/msvcr90.dll", b"MZ runtime")

    assert f"{RUNTIME}/msvcr90.dll" not in left_out(capture_change(packaging, change)[0], "file").get(
        "system_files", []
    )


def test_system_files_are_found_by_all_names():
    names = [
        ChangedNames(("WINDOWS/WINSXS/X_31BF3856AD364E35_1/A.DLL", "WINDOWS/A.DLL"), ("WINDOWS/B.DLL", "DATA/B.DLL")),
        ChangedNames((), ("WINDOWS/C.DLL",)),
    ]
    found = SystemFiles.find(names, str.upper)
    assert found.paths == {"WINDOWS/A.DLL", "WINDOWS/B.DLL"}
    assert found.own("WINDOWS/A.DLL") and found.own("WINDOWS") and not found.own("DATA")
