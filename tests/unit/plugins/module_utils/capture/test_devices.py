# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of the packaging machine: software devices come with all their parts, hardware stays out."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.databases.compared import Compared
from ansible_collections.strata.layering.plugins.module_utils.capture.numbering import Numbering
from ansible_collections.strata.layering.plugins.module_utils.capture.rule import Rule
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_merge import merge_deltas
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.merge_rules import compile_rules
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    current_control_set,
    decode_string,
)
from ansible_collections.strata.layering.tests.sample import hives
from ansible_collections.strata.layering.tests.support.devices import (
    COMPUTER,
    CONTROL_SET,
    NETWORK_CLASS,
    USB_CLASS,
    NewDevice,
    captured_delta,
    installation,
)
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_bytes

HUB = NewDevice("ROOT\\VIRTUALHUB\\0000")
OWN = "{0a568158-2954-f19c-89f3-03acaee1f85e}"


def _system(*devices: NewDevice) -> Hive:
    hive = hives.small_system()
    NewDevice("PCI\\VEN_15AD\\1", f"{USB_CLASS}\\0000", "pci", "pci.inf").add(hive.root)
    for device in devices:
        device.add(hive.root)
    return hive


def _taken(delta) -> set[str]:
    """Return the keys of a delta below the control set that are created, with the keys in which values are set."""
    return {path.removeprefix(CONTROL_SET) for path, key in delta.walk() if key.is_fresh or key.values}


@pytest.mark.parametrize(
    ("device", "taken"),
    [
        (HUB, True),
        (NewDevice("ROOT\\SYSTEM\\0042", inf="swenum.inf"), True),
        (NewDevice("SWD\\AGENT\\Audio", inf="oem7.inf"), True),
        # Windows creates the device again, or its agent does and needs no driver.
        (NewDevice("SWD\\AGENT\\Raw", inf="c_swdevice.inf"), False),
        (NewDevice("SWD\\PRINTENUM\\{30D69C51-C860-4590-80A2-59FC3BABC16A}", inf="oem7.inf"), False),
        (NewDevice("SWD\\MMDEVAPI\\MicrosoftGSWavetableSynth", inf="c_swdevice.inf"), False),
        (NewDevice("PCI\\VEN_15AD&DEV_07B0\\00"), False),
        (NewDevice("USB\\VID_0E0F\\5"), False),
        (NewDevice("DISPLAY\\Default_Monitor\\1&8&0&UID0", inf="monitor.inf"), False),
        (NewDevice("SCSI\\Disk&Ven_VMware\\5&25", inf="disk.inf"), False),
        (NewDevice("STORAGE\\Volume\\{6251}#0000", inf="volume.inf"), False),
        (NewDevice("ACPI\\PNP0A03\\2&da"), False),
    ],
)
def test_new_device_has_one_verdict_for_all_its_parts(device, taken):
    delta, rules, _left_out = captured_delta(_system(), _system(device))
    keys = [key for key in device.keys() if not key.startswith("Services\\") or taken]
    assert {rules.key("SYSTEM", CONTROL_SET + key) is None for key in keys} == {taken}
    container = f"{CONTROL_SET}Control\\DeviceContainers\\{COMPUTER}\\BaseContainers\\{COMPUTER}"
    assert (rules.value("SYSTEM", container, device.path) is None) is taken
    assert [key for key in keys if (key in _taken(delta)) is not taken] == []


def test_device_with_its_own_container_takes_the_container():
    device = NewDevice("ROOT\\VIRTUALHUB\\0000", container=OWN)
    delta, _rules, _left_out = captured_delta(_system(), _system(device))
    assert f"Control\\DeviceContainers\\{OWN}\\BaseContainers\\{OWN}" in _taken(delta)


def test_device_that_did_not_change_is_not_taken():
    after = _system(HUB)
    hives.put(after.root, f"{CONTROL_SET}Enum\\{HUB.path}", ConfigFlags=4)
    hives.put(after.root, f"{CONTROL_SET}Control\\Class\\{HUB.driver}", Setting=1)
    delta, _rules, _left_out = captured_delta(_system(HUB), after)
    assert _taken(delta) == set()


def test_software_device_with_a_new_driver_is_taken():
    after = _system(HUB)
    hives.put(after.root, f"{CONTROL_SET}Enum\\{HUB.path}", DeviceDesc="@oem12.inf,%name%;Virtual")
    hives.put(after.root, f"{CONTROL_SET}Control\\Class\\{HUB.driver}", InfPath="oem12.inf", DriverVersion="2.0")
    delta, _rules, _left_out = captured_delta(_system(HUB), after)
    assert _taken(delta) == {f"Enum\\{HUB.path}", f"Control\\Class\\{HUB.driver}"}


def test_removed_software_device_is_removed_with_all_its_parts():
    before, after = _system(HUB), _system()
    delta, rules, _left_out = captured_delta(before, after)
    merged = {path for path, key in delta.walk() if key.action == 2}
    control = CONTROL_SET + "Control\\"
    assert merged == {
        f"{CONTROL_SET}Enum\\ROOT",
        f"{control}Class\\{HUB.driver}",
        f"{control}DeviceClasses\\{HUB.interface}",
        f"{CONTROL_SET}Services\\virtualhub",
    }
    container = f"{control}DeviceContainers\\{COMPUTER}\\BaseContainers\\{COMPUTER}"
    assert delta.key(container).values[HUB.path.upper()].data is None
    assert rules.key("SYSTEM", f"{control}Class\\{HUB.driver}") is None


def test_number_of_a_removed_device_that_hardware_has_now_stays():
    printer = NewDevice("USB\\PRINTER\\1", HUB.driver, "usbprint", "usbprint.inf")
    delta, rules, _left_out = captured_delta(_system(HUB), _system(printer))
    assert rules.key("SYSTEM", f"{CONTROL_SET}Control\\Class\\{HUB.driver}").reason == "hardware"
    assert delta.key(f"{CONTROL_SET}Control\\Class") is None


@pytest.mark.parametrize("text", ["", "\\", "a\\\\b", "\\".join("a" * 70), "x" * 5000, "*", "{*}\\?"])
def test_device_with_senseless_values_is_captured(text):
    after = _system(HUB)
    key = f"{CONTROL_SET}Enum\\{HUB.path}"
    hives.put(after.root, key, Driver=text, Service=text, ContainerID=text)
    hives.put(after.root, key + "\\Device Parameters", VideoID=text)
    hives.put(after.root, f"{CONTROL_SET}Services\\virtualhub", ImagePath=f"\\SystemRoot\\{text}")
    _delta, rules, _left_out = captured_delta(_system(), after)
    assert rules.key("SYSTEM", key) is None
    assert rules.key("SYSTEM", f"{CONTROL_SET}Enum\\PCI").reason == "hardware"


def test_class_key_without_a_device_stays_out_and_the_class_is_taken():
    after = _system()
    hives.put(after.root, f"{CONTROL_SET}Control\\Class\\{USB_CLASS}", UpperFilters=["agentfilter"])
    hives.put(after.root, f"{CONTROL_SET}Control\\Class\\{USB_CLASS}\\0031", DriverDesc="left behind")
    hives.put(after.root, f"{CONTROL_SET}Control\\Class\\{OWN}", Class="AgentDevices")
    delta, _rules, left_out = captured_delta(_system(), after)
    assert _taken(delta) == {f"Control\\Class\\{USB_CLASS}", f"Control\\Class\\{OWN}"}
    assert [entry["reason"] for entry in left_out if entry["kind"] == "key"] == ["hardware"]


def test_rules_of_the_user_override_the_verdict_about_devices():
    key = f"SYSTEM\\CurrentControlSet\\Enum\\{HUB.path}"
    delta, _rules, _left_out = captured_delta(_system(), _system(HUB), Rule(key, "rule", True))
    assert f"Enum\\{HUB.path}" not in _taken(delta)
    scanner = NewDevice("USB\\SCANNER\\1", service="scanner")
    rule = Rule("SYSTEM\\CurrentControlSet\\Enum\\USB", "", True, include=True)
    delta, _rules, _left_out = captured_delta(_system(), _system(scanner), rule)
    assert f"Enum\\{scanner.path}" in _taken(delta)


def _without(real: bytes, *paths: str) -> Hive:
    """Return a real hive without devices, as it was before they were installed."""
    hive = read_hive(real)
    control = current_control_set(hive)
    members = control.key(f"Control\\DeviceContainers\\{COMPUTER}\\BaseContainers\\{COMPUTER}")
    for path in paths:
        driver = decode_string(control.key(f"Enum\\{path}").value("Driver"))
        control.delete(f"Enum\\{path}")
        control.delete(f"Control\\Class\\{driver}")
        if members.value(path) is not None:
            members.delete_value(path)
    return hive


def _values(key) -> dict:
    return {
        (path, value.name): (value.type, value.data) for path, below in key.walk() for value in below.values.values()
    }


def test_device_of_a_real_hive_is_complete_after_a_merge():
    """The root-enumerated device of VMware Tools, on a hive that does not have it."""
    real = sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz")
    path = "ROOT\\VMWVMCIHOSTDEV\\0000"
    before, after = _without(real, path), read_hive(real)
    delta, _rules, left_out = captured_delta(before, after)
    numbering = Numbering.of(Compared(installation(before), installation(after), "platform"))
    numbering.apply_to_delta(delta, after)
    assert left_out == []
    merged = merge_deltas(before, [("layer", delta)], compile_rules())
    assert merged.findings == []
    control, packaged = current_control_set(before), current_control_set(after)
    device, expected = control.key(f"Enum\\{path}"), packaged.key(f"Enum\\{path}")
    driver = decode_string(device.value("Driver"))
    assert driver.endswith(numbering.keys["control\\class\\{4d36e97d-e325-11ce-bfc1-08002be10318}\\0134"])
    device.set_value("Driver", 1, expected.value("Driver").data)
    assert _values(device) == _values(expected)
    settings = packaged.key("Control\\Class\\{4d36e97d-e325-11ce-bfc1-08002be10318}\\0134")
    assert _values(control.key(f"Control\\Class\\{driver}")) == _values(settings)
    assert control.key("Control\\Class\\{4d36e97d-e325-11ce-bfc1-08002be10318}\\0134") is None


def test_hardware_of_a_real_hive_stays_out():
    paths = (
        "PCI\\VEN_15AD&DEV_0740&SUBSYS_074015AD&REV_10\\3&61aaa01&0&3F",
        "DISPLAY\\Default_Monitor\\4&427137e&0&UID0",
        "SCSI\\Disk&Ven_NVMe&Prod_VMware_Virtual_N\\5&25a13950&0&000000",
        "STORAGE\\Volume\\{62517160-f29b-11ec-85e0-806e6f6e6963}#000000000C900000",
        "SWD\\PRINTENUM\\{30D69C51-C860-4590-80A2-59FC3BABC16A}",
        "SWD\\MMDEVAPI\\MicrosoftGSWavetableSynth",
        "SWD\\RADIO\\{3DB5895D-CC28-44B3-AD3D-6F01A782B8D2}",
    )
    real = sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz")
    delta, _rules, left_out = captured_delta(_without(real, *paths), read_hive(real))
    assert [path for path, key in delta.walk() if key.is_fresh or key.values] == []
    assert {entry["reason"] for entry in left_out} == {"hardware"}


def test_software_network_adapter_comes_with_its_id():
    vpn = NewDevice(
        "ROOT\\NET\\0000", f"{NETWORK_CLASS}\\0021", "vpn", adapter="{C8B9AF47-6AB5-4F40-9E0C-7E8C0C6F4D11}"
    )
    after = _system(vpn)
    interface = f"{CONTROL_SET}Services\\Tcpip\\Parameters\\Interfaces\\{vpn.adapter}"
    hives.put(after.root, interface, DhcpIPAddress="10.0.0.7", LeaseObtainedTime=7)
    delta, rules, _left_out = captured_delta(_system(), after)
    assert [key for key in vpn.keys() if key not in _taken(delta)] == []
    assert f"Services\\Tcpip\\Parameters\\Adapters\\{vpn.adapter}" in _taken(delta)
    assert delta.key(interface).values.keys() == {"ENABLEDHCP"}
    assert rules.value("SYSTEM", interface, "DhcpIPAddress").reason == "network_adapters"
