# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture software devices with their drivers from a disk, and compose images with them."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.capture.rules import parse_rules
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.windows.installation import load_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    current_control_set,
    decode_integer,
    decode_multi_string,
    decode_string,
)
from ansible_collections.strata.layering.tests.sample.hives import put as put_values
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    capture_change,
    left_out,
    make_windows_disk,
)
from ansible_collections.strata.layering.tests.support.devices import (
    COMPUTER,
    INTERFACE,
    NETWORK_CLASS,
    USB_CLASS,
    NewDevice,
)
from ansible_collections.strata.layering.tests.support.volume_changes import edit_hive, existing, put

CONFIG = "Windows/System32/config/"
HUB = NewDevice("ROOT\\VIRTUALHUB\\0000")
VPN = NewDevice(
    "ROOT\\NET\\0000",
    f"{NETWORK_CLASS}\\0011",
    "vpn",
    package="vpn.inf_amd64_fedcba9876543210",
    adapter="{C8B9AF47-6AB5-4F40-9E0C-7E8C0C6F4D11}",
)


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    """A packaging machine whose OS layer has a driver database and a published driver package."""
    folder = tmp_path_factory.mktemp("packaging")
    make_windows_disk(str(folder / "raw"))
    with FileDevice(str(folder / "raw"), writable=True) as device:
        partition = max(read_partitions(device).partitions, key=lambda partition: partition.size)
        with Volume.mount(partition.window(device), writable=True) as volume:
            drivers = Hive.new("DRIVERS")
            drivers.root.create("DriverDatabase\\DriverPackages\\own.inf_amd64_1")
            put(volume, CONFIG + "DRIVERS", write_hive(drivers))
            put(volume, "Windows/INF/oem3.inf", b"[Version]")
    return Packaging(str(folder), str(folder / "raw"))


@contextlib.contextmanager
def _volume(packaging, image):
    with image.open_disk() as disk, Volume.mount(packaging.partition.window(disk)) as volume:
        yield volume


def _capture(packaging, kind, name, change, *rules):
    with packaging.changed(change) as device:
        layer = LayerVersion(kind, name, "1")
        return capture(packaging.repository, packaging.base_image, lambda: device, layer, parse_rules(rules))


def _complete(volume, path):
    """Return the program of a device after all names in its parts led to each other."""
    system, drivers = load_hive(volume, CONFIG + "SYSTEM"), load_hive(volume, CONFIG + "DRIVERS")
    control = current_control_set(system)
    device = control.key(f"Enum\\{path}")
    driver, service = decode_string(device.value("Driver")), decode_string(device.value("Service"))
    settings = control.key(f"Control\\Class\\{driver}")
    inf = decode_string(settings.value("InfPath"))
    assert decode_string(device.value("DeviceDesc")).startswith(f"@{inf},")
    assert decode_multi_string(control.key(f"Services\\{service}").value("Owners")) == [inf]
    published = [key for hive in (system, drivers) if (key := hive.key(f"DriverDatabase\\DriverInfFiles\\{inf}"))]
    package = decode_string(published[0].value("Active"))
    database = system if system.key(f"DriverDatabase\\DriverPackages\\{package}") else drivers
    assert decode_string(database.key(f"DriverDatabase\\DriverPackages\\{package}").value("")) == inf
    kind = path.split("\\")[1].lower()
    assert inf in database.key(f"DriverDatabase\\DeviceIds\\root\\{kind}").values
    interface = f"##?#{path.replace(chr(92), '#')}#{INTERFACE}"
    owner = control.key(f"Control\\DeviceClasses\\{INTERFACE}\\{interface}").value("DeviceInstance")
    assert decode_string(owner) == path
    members = control.key(f"Control\\DeviceContainers\\{COMPUTER}\\BaseContainers\\{COMPUTER}")
    assert members.value(path) is not None
    catalogs = "Windows/System32/CatRoot/{F750E6C3-38EE-11D1-85E5-00C04FC295EE}"
    for file in (f"Windows/INF/{inf}", f"{catalogs}/{inf[:-4]}.cat"):
        assert volume.find(file) is not None, file
    assert volume.find(f"Windows/System32/DriverStore/FileRepository/{package}/virtual.inf") is not None
    assert volume.find(f"Windows/INF/{inf[:-4]}.PNF") is None
    program = f"Windows/System32/drivers/{service}.sys"
    assert volume.find(program) is not None
    return program.rpartition("/")[2]


def _paths(volume, kind):
    control = current_control_set(load_hive(volume, CONFIG + "SYSTEM"))
    return [f"{kind}\\{name}" for name in control.key(f"Enum\\{kind}").subkeys]


def test_layers_with_devices_of_the_same_numbers_merge(packaging):
    """Both were captured on the same image, where Windows gave both the numbers oem11.inf, 0011 and ROOT\\NET\\0000."""
    package, adapter = "dlp.inf_amd64_1111222233334444", "{7F6F1D10-0A55-4F1B-B8D5-1C3C1F5A9A10}"
    scanner = replace(VPN, service="dlp", package=package, adapter=adapter, hardware_id="root\\dlp")
    layers = []
    for kind, device, database in (("platform", VPN, "SYSTEM"), ("app", scanner, "DRIVERS")):
        change = functools.partial(device.install, database=database)
        layers.append(_capture(packaging, kind, device.service, change).layer)
    image = packaging.compose(layers)
    assert image.config.registry.findings == ()
    with _volume(packaging, image) as volume:
        paths = _paths(volume, "ROOT\\NET")
        assert {_complete(volume, path) for path in paths} == {"vpn.sys", "dlp.sys"}
        control = current_control_set(load_hive(volume, CONFIG + "SYSTEM"))
        indexes = set()
        for path in paths:
            driver = decode_string(control.key(f"Enum\\{path}").value("Driver"))
            adapter = decode_string(control.key(f"Control\\Class\\{driver}").value("NetCfgInstanceId"))
            index = decode_integer(control.key(f"Control\\Class\\{driver}").value("NetLuidIndex"))
            interface = control.key(f"Control\\NetworkSetup2\\Interfaces\\{adapter}\\Kernel")
            assert decode_integer(interface.value("NetLuidIndex")) == index >= 0x9000
            indexes.add(index)
            connection = control.key(f"Control\\Network\\{NETWORK_CLASS}\\{adapter}\\Connection")
            assert decode_string(connection.value("PnPInstanceId")) == path
        assert len(indexes) == 2


def test_same_device_in_two_layers_is_one_device(packaging):
    install = functools.partial(VPN.install, database="DRIVERS")
    layers = [_capture(packaging, "app", name, install).layer for name in ("One", "Two")]
    image = packaging.compose(layers)
    assert image.config.registry.findings == ()
    with _volume(packaging, image) as volume:
        assert [_complete(volume, path) for path in _paths(volume, "ROOT\\NET")] == ["vpn.sys"]


def test_device_of_an_earlier_version_keeps_its_numbers(packaging):
    """The packaging machine for a new version starts with the earlier version, but is compared with the image without it."""
    first = _capture(packaging, "app", "Earlier", functools.partial(VPN.install, database="DRIVERS")).layer
    with _volume(packaging, packaging.compose([first])) as volume:
        (path,) = _paths(volume, "ROOT\\NET")
        control = current_control_set(load_hive(volume, CONFIG + "SYSTEM"))
        driver = decode_string(control.key(f"Enum\\{path}").value("Driver"))
        inf = decode_string(control.key(f"Control\\Class\\{driver}").value("InfPath"))
    again = replace(VPN, path=path, driver=driver, inf=inf)
    second = _capture(packaging, "app", "Later", functools.partial(again.install, database="DRIVERS")).layer
    with _volume(packaging, packaging.compose([second])) as volume:
        assert _paths(volume, "ROOT\\NET") == [path]
        assert _complete(volume, path) == "vpn.sys"


@pytest.mark.parametrize(("kind", "database"), [("platform", "SYSTEM"), ("app", "DRIVERS")])
def test_captured_software_device_is_complete_in_the_image(packaging, kind, database):
    result = _capture(packaging, kind, f"Agent {kind}", lambda volume: HUB.install(volume, database))
    with _volume(packaging, packaging.compose([result.layer])) as volume:
        system, drivers = load_hive(volume, CONFIG + "SYSTEM"), load_hive(volume, CONFIG + "DRIVERS")
        assert _complete(volume, HUB.path) == f"{HUB.service}.sys"
        hive = system if database == "SYSTEM" else drivers
        assert hive.key(f"DriverDatabase\\DriverPackages\\{HUB.package}").value("InfName")
        assert drivers.key("DriverDatabase\\DriverPackages\\own.inf_amd64_1") is not None
        store = f"Windows/System32/DriverStore/FileRepository/{HUB.package}/virtual.inf"
        for path in (store, "Windows/System32/drivers/virtualhub.sys", "Windows/INF/oem3.inf"):
            assert volume.find(path) is not None, path
    assert "servicing_database" not in left_out(result, "file")


def test_rules_that_helped_before_still_work(packaging):
    """Before devices were taken, these rules of the user were necessary."""
    rules = (
        {"key": "SYSTEM\\CurrentControlSet\\Enum\\ROOT", "action": "include"},
        {"path": "Windows\\System32\\config\\DRIVERS", "action": "include"},
    )
    result, _entries, deltas = capture_change(packaging, lambda volume: HUB.install(volume, "DRIVERS"), *rules)
    assert deltas.keys() == {"SYSTEM", "DRIVERS"}
    assert "split_database" not in [finding["name"] for finding in result.hazards]
    assert deltas["SYSTEM"].key(f"ControlSet001\\Enum\\{HUB.path}") is not None
    assert result.changes["files"]["added"] >= 3


def test_rule_about_software_devices_leaves_out_all_their_parts(packaging):
    rule = {"database": "software_devices", "action": "exclude"}
    _result, entries, deltas = capture_change(packaging, lambda volume: HUB.install(volume, "DRIVERS"), rule)
    assert [path for path, kind in entries.items() if kind != "directory"] == []
    # The device class is taken: it does not belong to a single device.
    changed = [path for delta in deltas.values() for path, key in delta.walk() if key.values]
    assert changed == [f"ControlSet001\\Control\\Class\\{USB_CLASS}"]
    assert [key for key in HUB.keys() if deltas["SYSTEM"].key(f"ControlSet001\\{key}") is not None] == []


def _uninstall(volume, device) -> None:
    def remove(root):
        for key in (*device.keys(), f"Services\\Tcpip\\Parameters\\Adapters\\{device.adapter}"):
            root.delete(f"ControlSet001\\{key}")

    def remove_package(root):
        for key in (f"DriverPackages\\{device.package}", f"DriverInfFiles\\{device.inf}", "DeviceIds\\root\\net"):
            root.delete(f"DriverDatabase\\{key}")

    edit_hive(volume, CONFIG + "SYSTEM", remove)
    edit_hive(volume, CONFIG + "DRIVERS", remove_package)
    store = f"Windows/System32/DriverStore/FileRepository/{device.package}"
    catalog = f"Windows/System32/CatRoot/{{F750E6C3-38EE-11D1-85E5-00C04FC295EE}}/{device.inf[:-4]}.cat"
    program = f"Windows/System32/drivers/{device.service}.sys"
    for path in (f"Windows/INF/{device.inf}", catalog, f"{store}/virtual.inf", store, program):
        existing(volume, path).delete()


@pytest.mark.parametrize("is_other", [True, False])
def test_driver_that_gets_the_numbers_of_a_driver_of_the_image_is_complete(tmp_path, is_other):
    """Another device, or the same again, was installed after the device of the image was removed: most values are unchanged."""
    make_windows_disk(str(tmp_path / "raw"))
    with FileDevice(str(tmp_path / "raw"), writable=True) as device:
        partition = max(read_partitions(device).partitions, key=lambda partition: partition.size)
        with Volume.mount(partition.window(device), writable=True) as volume:
            put(volume, CONFIG + "DRIVERS", write_hive(Hive.new("DRIVERS")))
            VPN.install(volume, database="DRIVERS")
            existing(volume, "Windows/INF/oem11.PNF").delete()
    packaging = Packaging(str(tmp_path), str(tmp_path / "raw"))
    other = replace(
        VPN, service="dlp", package="dlp.inf_amd64_1111222233334444", adapter=VPN.adapter.replace("C8", "D9")
    )
    installed = other if is_other else VPN

    def change(volume):
        _uninstall(volume, VPN)
        put(volume, "Program Files/Client/client.exe", b"MZ, so that the INF file gets another record")
        installed.install(volume, database="DRIVERS")

    image = packaging.compose([_capture(packaging, "app", "VPN", change).layer])
    with _volume(packaging, image) as volume:
        (path,) = _paths(volume, "ROOT\\NET")
        assert _complete(volume, path) == f"{installed.service}.sys"
        control = current_control_set(load_hive(volume, CONFIG + "SYSTEM"))
        assert list(control.key("Control\\NetworkSetup2\\Interfaces").subkeys) == [installed.adapter.upper()]


def _mentions(volume, *texts) -> list[str]:
    """Return the keys and values that contain one of the texts."""
    found = []
    for name in ("SYSTEM", "DRIVERS"):
        for path, key in load_hive(volume, CONFIG + name).root.walk():
            items = [path] + [
                f"{value.name} {value.data.decode('utf-16-le', 'replace')}" for value in key.values.values()
            ]
            found += [f"{path}: {item}" for item in items if any(text in item.lower() for text in texts)]
    return found


def test_driver_of_a_prerequisite_is_removed_with_everything_that_names_it(packaging):
    first = _capture(packaging, "app", "VPN", functools.partial(VPN.install, database="DRIVERS")).layer
    image = packaging.compose([first])
    with _volume(packaging, image) as volume:
        (path,) = _paths(volume, "ROOT\\NET")
        control = current_control_set(load_hive(volume, CONFIG + "SYSTEM"))
        driver = decode_string(control.key(f"Enum\\{path}").value("Driver"))
        inf = decode_string(control.key(f"Control\\Class\\{driver}").value("InfPath"))
    installed = replace(VPN, path=path, driver=driver, inf=inf)
    with packaging.changed(functools.partial(_uninstall, device=installed), image) as device:
        second = capture(packaging.repository, image, lambda: device, LayerVersion("app", "No VPN", "1"), ())
    with _volume(packaging, packaging.compose([first, second.layer])) as volume:
        assert (
            _mentions(volume, "vpn", inf[:-4], VPN.adapter.lower(), driver, f"root\\net\\{path[-4:]}: hardwareid") == []
        )
        assert volume.find(f"Windows/INF/{inf}") is None


def test_driver_packages_of_windows_that_an_update_replaced_are_left_out(packaging):
    """Servicing owns their files, which the layer does not have."""
    package, service = "usbxhci.inf_amd64_2222222222222222", "USBXHCI"

    def update(volume):
        store = f"Windows/System32/DriverStore/FileRepository/{package}"
        component = "Windows/WinSxS/amd64_dual_usbxhci.inf_31bf3856ad364e35_10.0.22631.1_none_a1"
        for name in ("usbxhci.inf", "usbxhci.sys"):
            put(volume, f"{component}/{name}", b"MZ")
            put(volume, f"{store}/other")
            with existing(volume, f"{component}/{name}") as node, existing(volume, store) as folder:
                folder.link(node, name).close()
        existing(volume, f"{store}/other").delete()
        image = f"\\SystemRoot\\System32\\DriverStore\\FileRepository\\{package}\\usbxhci.sys"
        values = {"Start": 0, "ImagePath": image}
        edit_hive(
            volume, CONFIG + "SYSTEM", lambda root: put_values(root, f"ControlSet001\\Services\\{service}", **values)
        )
        database = "DriverDatabase\\"
        edit_hive(
            volume,
            CONFIG + "DRIVERS",
            lambda root: (
                put_values(root, f"{database}DriverPackages\\{package}", InfName="usbxhci.inf"),
                put_values(root, f"{database}DriverInfFiles\\usbxhci.inf", Active=package),
                put_values(root, f"{database}DeviceIds\\PCI\\CC_0C0330", **{"usbxhci.inf": 1}),
            ),
        )

    result, entries, deltas = capture_change(packaging, update)
    assert [path for path, kind in entries.items() if kind == "file"] == [] and deltas == {}
    assert {entry["reason"] for entry in result.left_out} == {"system_files", "servicing_database"}
