# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers that a layer gives to devices and driver packages instead of those of Windows."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.databases.compared import Compared
from ansible_collections.strata.layering.plugins.module_utils.capture.numbering import Numbering
from ansible_collections.strata.layering.plugins.module_utils.capture.path_changes import PathChanges, Taken
from ansible_collections.strata.layering.plugins.module_utils.ntfs.file_state import Name
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import encode_string
from ansible_collections.strata.layering.tests.sample import hives
from ansible_collections.strata.layering.tests.support.devices import (
    CONTROL_SET,
    NETWORK_CLASS,
    USB_CLASS,
    NewDevice,
    installation,
)

VPN = NewDevice("ROOT\\NET\\0000", f"{NETWORK_CLASS}\\0011", "vpn")
TEXTS = {
    "oem11.inf": "oem41711.inf",
    "root\\net\\0000": "ROOT\\NET\\4711",
    f"{NETWORK_CLASS}\\0011": f"{NETWORK_CLASS}\\5000",
}


def _numbering(before: list[NewDevice], after: list[NewDevice]) -> Numbering:
    systems = []
    for devices in (before, after):
        hive = hives.small_system()
        for device in devices:
            device.add(hive.root)
        systems.append(installation(hive))
    return Numbering.of(Compared(systems[0], systems[1], "app"))


def test_numbers_depend_on_the_device_and_not_on_the_image():
    first, second = (
        _numbering([], [VPN]),
        _numbering([NewDevice("ROOT\\OWN\\0000")], [NewDevice("ROOT\\OWN\\0000"), VPN]),
    )
    assert first.keys == second.keys
    assert first.keys.keys() == {"enum\\root\\net\\0000", f"control\\class\\{NETWORK_CLASS}\\0011"}
    assert all(1000 <= int(number) <= 9999 for number in first.keys.values())
    other = NewDevice(VPN.path, VPN.driver, "dlp", hardware_id="root\\dlp")
    assert not set(_numbering([], [other]).keys.items()) & set(first.keys.items())


def test_device_with_a_name_of_its_own_keeps_its_path():
    hub = NewDevice("ROOT\\VIRTUALHUB\\0000")
    assert _numbering([], [hub]).keys.keys() == {f"control\\class\\{USB_CLASS}\\0007"}


def test_devices_of_the_image_and_hardware_keep_their_numbers():
    changed = NewDevice(VPN.path, VPN.driver, VPN.service, inf="oem12.inf")
    assert _numbering([VPN], [changed]).keys == {}
    assert _numbering([], [NewDevice("PCI\\VEN_15AD\\1", f"{USB_CLASS}\\0003", "pci")]).keys == {}


def test_several_devices_of_a_class_have_different_numbers():
    devices = [
        NewDevice(f"ROOT\\NET\\{number:04d}", f"{NETWORK_CLASS}\\{number:04d}", "vpn") for number in range(50, 250)
    ]
    numbering = _numbering([], devices)
    assert len({key.rpartition("\\")[0] + new for key, new in numbering.keys.items()}) == 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oem11.inf", "oem41711.inf"),
        ("@OEM11.INF,%name%;Virtual", "@oem41711.inf,%name%;Virtual"),
        ("oem11.inf:9c00c72dcc21f565:vmci", "oem41711.inf:9c00c72dcc21f565:vmci"),
        ("oem111.inf xoem11.inf oem11.inf2", "oem111.inf xoem11.inf oem11.inf2"),
        ("Root\\NET\\0000", "ROOT\\NET\\4711"),
        ("ROOT\\NET\\00001", "ROOT\\NET\\00001"),
        (f"\\Control\\Class\\{NETWORK_CLASS.upper()}\\0011", f"\\Control\\Class\\{NETWORK_CLASS}\\5000"),
    ],
)
def test_text_has_the_new_numbers(text, expected):
    assert Numbering("ControlSet001", dict(TEXTS)).text(text) == expected


def test_apply_to_delta_replaces_names_values_and_lists():
    before, after = Hive.new("SOFTWARE"), Hive.new("SOFTWARE")
    before.root.create("Old\\oem11.inf").set_value("Package", 1, encode_string("old"))
    before.root.create("Ids").set_value("oem11.inf", 3, b"\1")
    after.root.create("Old\\oem11.inf").set_value("Package", 1, encode_string("new"))
    after.root.create("Ids").set_value("oem11.inf", 3, b"\2")
    hives.put(after.root, "Lock\\app.sys", Owners=["oem7.inf", "oem11.inf"], Size=b"o\0e\0m\0001\0001\0.\0i\0n\0f\0")
    after.root.create("Odd").set_value("x", 1, "oem11.inf".encode("utf-16-le") + b"\0")
    after.root.create("Odd").set_value("y", 0xFFFF0012, encode_string("oem11.inf"))
    delta = compute_delta(before, after, name="SOFTWARE")
    Numbering("ControlSet001", dict(TEXTS)).apply_to_delta(delta, after)
    # In the image, the number belonged to a different package, which is removed.
    assert delta.key("Old\\oem11.inf").action == 2
    assert delta.key("Old\\oem41711.inf").values["PACKAGE"].data == encode_string("new")
    assert delta.key("Ids").values["OEM11.INF"].is_removal
    assert delta.key("Ids").values["OEM41711.INF"].data == b"\2"
    lock = delta.key("Lock\\app.sys").values
    assert lock["OWNERS"].data == b"".join(map(encode_string, ("oem7.inf", "oem41711.inf", "")))
    assert lock["SIZE"].data == b"o\0e\0m\0001\0001\0.\0i\0n\0f\0"
    assert delta.key("Odd").values["X"].data == "oem41711.inf".encode("utf-16-le") + b"\0"
    assert delta.key("Odd").values["Y"].data == encode_string("oem41711.inf")


def test_class_key_of_other_hardware_in_the_image_stays():
    """In the image, the number belongs to hardware that the packaging machine does not have."""
    adapter = NewDevice("PCI\\VEN_8086\\1", VPN.driver, "e1000", inf="net1ic64.inf")
    before, after = hives.small_system(), hives.small_system()
    adapter.add(before.root)
    VPN.add(after.root)
    numbering = Numbering.of(Compared(installation(before), installation(after), "app"))
    delta = compute_delta(before, after, name="SYSTEM")
    numbering.apply_to_delta(delta, after)
    classes = delta.key(f"{CONTROL_SET}Control\\Class\\{NETWORK_CLASS}").subkeys
    new = numbering.keys[f"control\\class\\{NETWORK_CLASS}\\0011"]
    assert list(classes) == [new]
    assert classes[new].is_fresh
    assert classes[new].values["INFPATH"].data == encode_string("oem11.inf")


def test_apply_to_paths_renames_published_files():
    changes = PathChanges()
    for path, existed in (
        ("Windows/INF/OEM11.inf", True),
        ("Windows/System32/CatRoot/{F750}/oem11.cat", False),
        ("Program Files/App/oem11.inf", False),
    ):
        changes.taken[path.upper()] = Taken(path, 1, Name(5, path.rpartition("/")[2]), False, existed)
    Numbering("ControlSet001", {"oem11.inf": "oem41711.inf", "oem11.cat": "oem41711.cat"}).apply_to_paths(changes)
    assert {folded: taken.path for folded, taken in changes.taken.items()} == {
        "WINDOWS/INF/OEM41711.INF": "Windows/INF/oem41711.inf",
        "WINDOWS/SYSTEM32/CATROOT/{F750}/OEM41711.CAT": "Windows/System32/CatRoot/{F750}/oem41711.cat",
        "PROGRAM FILES/APP/OEM11.INF": "Program Files/App/oem11.inf",
    }
    assert changes.whiteouts == {"WINDOWS/INF/OEM11.INF": "Windows/INF/OEM11.inf"}
