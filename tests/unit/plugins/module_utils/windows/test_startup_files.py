# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.windows.startup_files import boot_drivers
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive, Key
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    REG_DWORD,
    REG_EXPAND_SZ,
    encode_string,
)
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword


def control_set(start: int = 0, image: str | None = None) -> Key:
    control = Hive.new("SYSTEM").root.create("ControlSet001")
    service = control.create("Services\\Driver")
    service.set_value("Start", REG_DWORD, encode_dword(start))
    if image is not None:
        service.set_value("ImagePath", REG_EXPAND_SZ, encode_string(image))
    return control


@pytest.mark.parametrize(
    "image, path",
    [
        (None, "Windows/System32/drivers/Driver.sys"),
        ("", "Windows/System32/drivers/Driver.sys"),
        ("System32\\drivers\\x.sys", "Windows/System32/drivers/x.sys"),
        ("system32\\DRIVERS\\x.sys", "Windows/System32/DRIVERS/x.sys"),
        ("\\SystemRoot\\System32\\drivers\\x.sys", "Windows/System32/drivers/x.sys"),
        ("%systemroot%\\System32\\drivers\\x.sys", "Windows/System32/drivers/x.sys"),
        ("\\??\\C:\\Program Files\\App\\x.sys", "Program Files/App/x.sys"),
        ('"C:\\Windows\\x.sys"', "Windows/x.sys"),
    ],
)
def test_boot_driver_path_is_that_on_the_volume(image, path):
    assert boot_drivers(control_set(image=image)) == {path: "Driver"}


@pytest.mark.parametrize("start, image", [(1, None), (3, None), (4, None), (0, "\\Device\\x.sys"), (0, "D:\\x.sys")])
def test_driver_that_the_boot_loader_does_not_load_from_the_volume_is_left_out(start, image):
    assert boot_drivers(control_set(start, image)) == {}


def test_driver_that_is_deleted_at_the_next_start_is_left_out():
    control = control_set()
    control.key("Services\\Driver").set_value("DeleteFlag", REG_DWORD, encode_dword(1))
    assert boot_drivers(control) == {}
    assert boot_drivers(Hive.new("SYSTEM").root) == {}
