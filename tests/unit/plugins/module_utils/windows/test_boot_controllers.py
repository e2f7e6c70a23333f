# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk controllers from which Windows can start, for hives with each driver off."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.disk_controllers import KINDS
from ansible_collections.strata.layering.plugins.module_utils.windows import boot_controllers as boot
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    REG_BINARY,
    REG_DWORD,
    REG_EXPAND_SZ,
    REG_SZ,
    current_control_set,
    encode_string,
)
from ansible_collections.strata.layering.tests.sample import hives
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_bytes
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword

DRIVERS = {"pvscsi": "pvscsi", "lsi_sas": "LSI_SAS", "nvme": "stornvme", "ahci": "storahci"}


def _any_file(_path: str) -> bool:
    return True


@pytest.fixture(name="control")
def _control():
    """The control set of a Windows installation that can start from each controller for which Windows has a driver."""
    control = current_control_set(hives.small_system())
    for name in DRIVERS.values():
        service = control.key(f"Services\\{name}")
        if service.key("StartOverride") is not None:
            service.delete("StartOverride")
    return control


def _found(control, exists=_any_file):
    return boot.boot_controllers(control, exists)


def test_controllers_are_those_of_vsphere():
    assert set(boot.DRIVERS) == {kind.name for kind in KINDS}


def test_real_windows_10_starts_only_from_controllers_that_it_had():
    """The VM of this hive has NVMe and AHCI. LSI_SAS has Start=0 and StartOverride, and pvscsi a key without values."""
    control = current_control_set(read_hive(sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz")))
    assert _found(control) == ("nvme", "ahci")
    problems = {
        name: [state.problem for state in boot.driver_states(control, name, _any_file)] for name in boot.DRIVERS
    }
    assert "StartOverride" in problems["lsi_sas"][0]
    assert problems["pvscsi"] and problems["lsi_logic"] and problems["bus_logic"] == []


def test_sample_os_machine_starts_from_pvscsi():
    assert _found(current_control_set(hives.small_system())) == ("pvscsi", "ahci")


def test_machine_without_vmware_tools_does_not_start_from_pvscsi():
    system = hives.small_system()
    hives.neglect_system(system.root)
    assert _found(current_control_set(system)) == ("lsi_sas", "ahci")


@pytest.mark.parametrize("controller", DRIVERS)
@pytest.mark.parametrize(
    "off",
    [
        lambda service: service.set_value("Start", REG_DWORD, encode_dword(3)),
        lambda service: service.set_value("Start", REG_DWORD, encode_dword(4)),
        lambda service: service.set_value("Start", REG_SZ, encode_string("0")),
        lambda service: service.delete_value("Start"),
        lambda service: service.set_value("DeleteFlag", REG_DWORD, encode_dword(1)),
        lambda service: service.create("StartOverride").set_value("0", REG_DWORD, encode_dword(3)),
        lambda service: service.create("startoverride").set_value("1", REG_DWORD, encode_dword(4)),
        lambda service: service.set_value("ImagePath", REG_EXPAND_SZ, encode_string("D:\\driver.sys")),
    ],
)
def test_driver_switched_off_removes_its_controller(control, controller, off):
    off(control.key(f"Services\\{DRIVERS[controller]}"))
    assert set(_found(control)) == set(DRIVERS) - {controller}


@pytest.mark.parametrize("controller", DRIVERS)
@pytest.mark.parametrize(
    "harmless",
    [
        lambda service: service.create("StartOverride"),
        lambda service: service.create("StartOverride").set_value("0", REG_DWORD, encode_dword(0)),
        lambda service: service.set_value("Start", REG_BINARY, b"\0\0\0\0"),
        lambda service: service.set_value(
            "ImagePath", REG_EXPAND_SZ, encode_string("\\SystemRoot\\System32\\drivers\\other.sys")
        ),
    ],
)
def test_driver_that_is_loaded_at_boot_keeps_its_controller(control, controller, harmless):
    harmless(control.key(f"Services\\{DRIVERS[controller]}"))
    assert set(_found(control)) == set(DRIVERS)


@pytest.mark.parametrize(("controller", "service"), DRIVERS.items())
def test_missing_driver_file_removes_its_controller(control, controller, service):
    missing = f"Windows/System32/drivers/{service.lower()}.sys"
    assert set(_found(control, lambda path: path != missing)) == set(DRIVERS) - {controller}


def test_lsi_logic_of_older_windows_versions_is_found(control):
    service = control.key("Services").create("LSI_SCSI")
    service.set_value("Start", REG_DWORD, encode_dword(0))
    assert "lsi_logic" in _found(control)


def test_stored_fact_keeps_only_known_controllers():
    assert boot.known(["ahci", "future", "pvscsi", 7]) == ("pvscsi", "ahci")
