# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture changes of hives: deltas, transaction logs, and the composed hives."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.captured import (
    INCLUDE_EVERYTHING,
    capture_change,
    left_out,
    read_software,
)
from ansible_collections.strata.layering.tests.support.transaction_logs import (
    entry,
    new_log,
    stamped,
)
from ansible_collections.strata.layering.tests.support.volume_changes import edit_hive, put


def test_capture_hives_become_deltas_without_excluded_keys(packaging):
    def system(root):
        root.create("ControlSet001\\Services\\AppService").set_value("ImagePath", 2, "app.exe\0".encode("utf-16-le"))
        root.create("ControlSet001\\Enum\\PCI\\VEN_15AD")
        root.create("MountedDevices").set_value("\\DosDevices\\D:", 3, b"disk")
        root.create("ControlSet002\\Services\\AppService")

    def software(root):
        root.create("App").set_value("Version", 4, b"\1\0\0\0")
        root.create("Microsoft\\Cryptography").set_value("MachineGuid", 1, "x\0".encode("utf-16-le"))
        root.create("Microsoft\\Cryptography").set_value("Other", 1, "x\0".encode("utf-16-le"))

    def change(volume):
        edit_hive(volume, "Windows/System32/config/SYSTEM", system)
        edit_hive(volume, "Windows/System32/config/SOFTWARE", software)
        edit_hive(
            volume, "Windows/System32/config/SAM", lambda root: root.create("SAM\\Domains\\Account\\Users\\000003E9")
        )
        edit_hive(volume, "Users/Default/NTUSER.DAT", lambda root: root.create("Software\\App"))
        put(volume, "Windows/System32/config/SOFTWARE.LOG1", b"log")
        put(volume, "Users/Default/NTUSER.DAT.LOG2", b"log")

    result, entries, deltas = capture_change(packaging, change)
    assert entries == {}
    assert sorted(deltas) == ["NTUSER.DAT", "SOFTWARE", "SYSTEM"]
    assert deltas["SYSTEM"].key("ControlSet001\\Services\\AppService").values["IMAGEPATH"].data == "app.exe\0".encode(
        "utf-16-le"
    )
    assert [path for path, key in deltas["SYSTEM"].walk() if not key.subkeys] == ["ControlSet001\\Services\\AppService"]
    assert deltas["SOFTWARE"].key("Microsoft\\Cryptography").values.keys() == {"OTHER"}
    assert deltas["SOFTWARE"].key("App")
    assert deltas["NTUSER.DAT"].key("Software\\App")
    assert "SOFTWARE\\Microsoft\\Cryptography\\MachineGuid" in left_out(result, "value")["machine_identity"]
    assert left_out(result, "file") == {"account_database": ["Windows/System32/config/SAM"]}
    assert [finding["name"] for finding in result.hazards] == ["accounts"]
    assert result.changes["keys"]["added"] >= 3
    assert result.changes["values"]["added"] == 3


def test_composed_hives_equal_the_packaged_hives(packaging):
    """Except for excluded keys, the composed hive equals that of the packaging machine."""

    def software(root):
        root.create("App\\Deep\\Key").set_value("\u00e4", 7, "a\0b\0\0".encode("utf-16-le"))
        profiles = root.key("Microsoft\\Windows NT\\CurrentVersion\\ProfileList")
        for profile in list(profiles.subkeys):
            profiles.delete(profile)
        for value in list(root.key("Microsoft\\Windows NT\\CurrentVersion").values)[:3]:
            root.key("Microsoft\\Windows NT\\CurrentVersion").set_value(value, 1, b"changed")

    with packaging.changed(lambda volume: edit_hive(volume, "Windows/System32/config/SOFTWARE", software)) as device:
        layer = capture(
            packaging.repository,
            packaging.base_image,
            lambda: device,
            LayerVersion("app", "App", "1"),
            INCLUDE_EVERYTHING,
        ).layer
        expected = read_software(packaging, device)
    with packaging.compose([layer]).open_disk() as disk:
        assert read_software(packaging, disk) == expected


def test_capture_hive_with_changes_in_its_log(packaging):
    def change(volume):
        with volume.find("Windows/System32/config/SOFTWARE") as node:
            old = node.read()
        hive = read_hive(old)
        hive.root.create("FromTheLog")
        put(volume, "Windows/System32/config/SOFTWARE", stamped(old, 8, 7))
        put(volume, "Windows/System32/config/SOFTWARE.LOG1", new_log(old, 7, entry(7, old, write_hive(hive))))

    _result, _entries, deltas = capture_change(packaging, change)
    assert [path for path, key in deltas["SOFTWARE"].walk() if not key.subkeys] == ["FromTheLog"]


@pytest.mark.parametrize("hive", ["SOFTWARE", "DEFAULT"])
@pytest.mark.parametrize("broken", ["log", "no log"])
def test_capture_hive_with_damaged_log_is_rejected(packaging, hive, broken):
    path = f"Windows/System32/config/{hive}"

    def change(volume):
        with volume.find(path) as node:
            old = node.read()
        changed = read_hive(old)
        changed.root.create("FromTheLog")
        put(volume, path, stamped(old, 8, 7))
        if broken == "log":
            log = bytearray(new_log(old, 7, entry(7, old, write_hive(changed))))
            log[600] ^= 1
            put(volume, path + ".LOG1", bytes(log))

    with packaging.changed(change) as device, pytest.raises(StrataError) as caught:
        capture(packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "Broken", "1"))
    assert caught.value.code == "capture.hive_log"
    assert path in caught.value.message
    assert stored_layers.find_version(packaging.repository, "app", "Broken", "1") is None
