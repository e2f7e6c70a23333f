# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the VM template's disk controller and firmware against the OS layer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.preflight import boot_controller, firmware
from ansible_collections.strata.layering.plugins.module_utils.preflight.subject import BootDrivers, ImageNeeds
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware


def _subject(controller="pvscsi", boot=None, template_firmware="efi", os_firmware="efi", with_image=True):
    drivers = BootDrivers(controllers=None) if boot is None else boot
    image = ImageNeeds(os_layer="Windows 11 1.0", firmware=os_firmware, boot=drivers, capacity=1, stored=1)
    return SimpleNamespace(
        connector=SimpleNamespace(vm_template="golden-template"),
        hardware=Hardware(disk_controller=controller, firmware=template_firmware),
        image=image if with_image else None,
    )


@pytest.mark.parametrize(
    ("controller", "boot", "result"),
    [
        ("pvscsi", BootDrivers(controllers=("pvscsi", "ahci")), "pass"),
        ("ahci", BootDrivers(controllers=("pvscsi", "ahci")), "pass"),
        ("lsi_sas", BootDrivers(controllers=("pvscsi", "ahci")), "fail"),
        ("nvme", BootDrivers(controllers=()), "fail"),
        ("lsi_sas", BootDrivers(controllers=("pvscsi",), changed_by=("platform layer Agent 1",)), "warn"),
        ("lsi_sas", BootDrivers(controllers=None), "warn"),
        (None, BootDrivers(controllers=("pvscsi",)), "fail"),
    ],
)
def test_controller_is_compared_with_the_boot_drivers_of_the_os_layer(controller, boot, result):
    found, text, action = boot_controller.check(_subject(controller, boot))
    assert found == result
    assert "golden-template" in text
    assert bool(action) == (result != "pass")
    if boot.controllers and controller and result != "pass":
        assert all(name in text for name in (controller, *boot.controllers, "Windows 11 1.0", *boot.changed_by))


@pytest.mark.parametrize(("controller", "result"), [("nvme", "pass"), (None, "fail")])
def test_controller_without_an_image_must_exist(controller, result):
    assert boot_controller.check(_subject(controller, with_image=False))[0] == result


@pytest.mark.parametrize(
    ("template_firmware", "os_firmware", "result"),
    [("efi", "efi", "pass"), ("bios", "efi", "fail"), ("efi", "bios", "fail"), ("efi", None, "warn")],
)
def test_firmware_is_compared_with_that_of_the_os_layer(template_firmware, os_firmware, result):
    found = firmware.check(_subject(template_firmware=template_firmware, os_firmware=os_firmware))
    assert found[0] == result
    assert bool(found[2]) == (result != "pass")


def test_firmware_without_an_image_passes():
    assert firmware.check(_subject(with_image=False))[0] == "pass"
