# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of disk controllers, and the choice of the boot controller."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.disk_controllers import (
    KINDS,
    boot_controller,
    controller_kind,
)

device = vim.vm.device


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_controller_kind_of_each_class(kind):
    assert controller_kind(getattr(device, kind.type_name)()) == kind.name


def test_controller_kind_of_a_device_that_is_no_disk_controller():
    assert controller_kind(device.VirtualIDEController()) is None
    assert controller_kind(device.VirtualVmxnet3()) is None


def test_boot_controller_without_disks_prefers_scsi_then_nvme_then_ahci():
    sata = device.VirtualAHCIController(key=15000, busNumber=0)
    nvme = device.VirtualNVMEController(key=31000, busNumber=0)
    second = device.VirtualLsiLogicController(key=1001, busNumber=1)
    first = device.VirtualBusLogicController(key=1000, busNumber=0)
    assert boot_controller([sata, nvme, second, first]) is first
    assert boot_controller([sata, nvme]) is nvme
    assert boot_controller([sata]) is sata
    assert boot_controller([device.VirtualIDEController(key=200, busNumber=0)]) is None


def test_boot_controller_with_a_disk_is_the_controller_of_the_disk():
    nvme = device.VirtualNVMEController(key=31000, busNumber=0)
    scsi = device.ParaVirtualSCSIController(key=1000, busNumber=0)
    disk = device.VirtualDisk(key=2000, controllerKey=31000)
    assert boot_controller([scsi, nvme, disk]) is nvme
