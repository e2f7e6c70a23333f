# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture software devices with their drivers from a disk, and compose images with them."""

from __future__ import annotations

import contextlib

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
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    capture_change,
    left_out,
    make_windows_disk,
)
from ansible_collections.strata.layering.tests.support.devices import NETWORK_CLASS, NewDevice
from ansible_collections.strata.layering.tests.support.volume_changes import put

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


@pytest.mark.parametrize(("kind", "database"), [("platform", "SYSTEM"), ("app", "DRIVERS")])
def test_captured_software_device_is_complete_in_the_image(packaging, kind, database):
    result = _capture(packaging, kind, f"Agent {kind}", lambda volume: HUB.install(volume, database))
    with _volume(packaging, packaging.compose([result.layer])) as volume:
        system, drivers = load_hive(volume, CONFIG + "SYSTEM"), load_hive(volume, CONFIG + "DRIVERS")
        assert [key for key in HUB.keys() if system.key("ControlSet001\\" + key) is None] == []
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
    assert deltas["SYSTEM"].key(f"ControlSet001\\Enum\\{HUB.path}") is not None
    assert result.changes["files"]["added"] >= 3


def test_rule_about_software_devices_leaves_out_all_their_parts(packaging):
    rule = {"database": "software_devices", "action": "exclude"}
    _result, entries, deltas = capture_change(packaging, lambda volume: HUB.install(volume, "DRIVERS"), rule)
    assert [path for path, kind in entries.items() if kind != "directory"] == []
    assert [path for delta in deltas.values() for path, key in delta.walk() if key.values] == []
    assert [key for key in HUB.keys() if deltas["SYSTEM"].key(f"ControlSet001\\{key}") is not None] == []
