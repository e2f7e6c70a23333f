# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator refuses hardware that vCenter refuses, and keeps all other settings."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from ansible_collections.strata.layering.plugins.module_utils.vsphere.faults import fault_name
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.templates import adapter, controller, make_template

device = vim.vm.device


@pytest.fixture(scope="module")
def content():
    with Simulator() as simulator:
        simulator.settings(settle_delay_ms=0)
        yield simulator.connect().RetrieveContent()


@pytest.fixture(scope="module")
def names():
    return (f"vm-{number}" for number in range(1000))


def disk(controller_key=-101, unit=0, key=-150):
    backing = device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent", thinProvisioned=True)
    return device.VirtualDisk(
        key=key, controllerKey=controller_key, unitNumber=unit, capacityInKB=1024, backing=backing
    )


def precision_clock():
    return device.VirtualPrecisionClock(key=-115, backing=device.VirtualPrecisionClock.SystemClockBackingInfo())


def dynamic_passthrough():
    return device.VirtualPCIPassthrough(
        key=-118, backing=device.VirtualPCIPassthrough.DynamicBackingInfo(deviceName="", allowedDevice=[])
    )


@pytest.mark.parametrize(
    ("devices", "settings", "fault"),
    [
        ([controller("pvscsi"), adapter(key=-101)], {}, vmodl.fault.InvalidArgument),
        ([controller("pvscsi"), disk(controller_key=-99)], {}, vim.fault.InvalidController),
        ([controller("pvscsi"), disk(controller_key=100)], {}, vim.fault.InvalidController),
        ([controller("pvscsi"), disk(controller_key=None)], {}, vim.fault.MissingController),
        ([controller("pvscsi"), disk(), disk(key=-151)], {}, vim.fault.InvalidDeviceSpec),
        ([controller("pvscsi"), disk(unit=7)], {}, vim.fault.InvalidDeviceSpec),
        ([controller("lsi_sas"), disk(unit=16)], {}, vim.fault.InvalidDeviceSpec),
        ([controller("pvscsi"), disk(unit=16)], {"version": "vmx-13"}, vim.fault.InvalidDeviceSpec),
        ([controller("nvme"), disk(unit=15)], {"version": "vmx-20"}, vim.fault.InvalidDeviceSpec),
        ([controller("ahci"), disk(unit=30)], {}, vim.fault.InvalidDeviceSpec),
        ([disk(controller_key=200, unit=2)], {}, vim.fault.InvalidDeviceSpec),
        ([controller("pvscsi"), controller("lsi_sas", key=-102)], {}, vim.fault.InvalidDeviceSpec),
        ([controller("nvme", bus=4)], {}, vim.fault.InvalidDeviceSpec),
        ([controller("nvme")], {"version": "vmx-12"}, vim.fault.DeviceUnsupportedForVmVersion),
        ([controller("ahci")], {"version": "vmx-09"}, vim.fault.DeviceUnsupportedForVmVersion),
        ([precision_clock()], {"version": "vmx-15"}, vim.fault.DeviceUnsupportedForVmVersion),
        (
            [device.VirtualWDT(key=-1, runOnBoot=True, running=False)],
            {"version": "vmx-15"},
            vim.fault.DeviceUnsupportedForVmVersion,
        ),
        ([dynamic_passthrough()], {"version": "vmx-15"}, vim.fault.DeviceUnsupportedForVmVersion),
        ([device.VirtualTPM(key=-1)], {"version": "vmx-13"}, vim.fault.DeviceUnsupportedForVmVersion),
        ([device.VirtualTPM(key=-1)], {"firmware": "bios"}, vim.fault.InvalidVmConfig),
        (
            [],
            {"firmware": "bios", "bootOptions": vim.vm.BootOptions(efiSecureBootEnabled=True)},
            vim.fault.InvalidVmConfig,
        ),
        ([], {"firmware": "bios", "flags": vim.vm.FlagInfo(vbsEnabled=True)}, vim.fault.InvalidVmConfig),
        ([], {"version": "vmx-19", "numCoresPerSocket": 0}, vmodl.fault.InvalidArgument),
        (
            [],
            {"version": "vmx-19", "virtualNuma": vim.vm.VirtualNuma(coresPerNumaNode=2)},
            vmodl.fault.InvalidArgument,
        ),
    ],
)
def test_create_vm_with_impossible_hardware_is_refused(content, names, devices, settings, fault):
    with pytest.raises(fault) as caught:
        make_template(content, next(names), devices, **settings)
    assert fault_name(caught.value) == fault.__name__.rpartition(".")[2]


@pytest.mark.parametrize(
    ("devices", "settings"),
    [
        ([controller("pvscsi"), disk(unit=64)], {"version": "vmx-14"}),
        ([controller("nvme"), disk(unit=63)], {"version": "vmx-21"}),
        (
            [controller("pvscsi"), controller("lsi_sas", key=-102, bus=3), disk(), disk(controller_key=-102, key=-151)],
            {},
        ),
        ([controller("nvme"), controller("ahci", key=-102), disk(), disk(controller_key=-102, key=-151)], {}),
        ([disk(controller_key=200), disk(controller_key=201, key=-151)], {}),
    ],
)
def test_create_vm_with_possible_hardware_succeeds(content, names, devices, settings):
    vm = make_template(content, next(names), devices, template=False, **settings)
    assert len([item for item in vm.config.hardware.device if isinstance(item, device.VirtualDisk)]) == len(
        [item for item in devices if isinstance(item, device.VirtualDisk)]
    )


def test_reconfigure_with_a_taken_place_is_refused(content, names):
    vm = make_template(content, next(names), [controller("pvscsi"), disk()], template=False)
    (scsi,) = [item for item in vm.config.hardware.device if isinstance(item, device.ParaVirtualSCSIController)]
    change = device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk(controller_key=scsi.key))
    with pytest.raises(vim.fault.InvalidDeviceSpec):
        WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    change.device.unitNumber = 1
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))


def test_reconfigure_changes_only_what_the_spec_sets(content, names):
    flags = vim.vm.FlagInfo(vvtdEnabled=True, diskUuidEnabled=True)
    vm = make_template(content, next(names), [], template=False, flags=flags, swapPlacement="hostLocal")
    spec = vim.vm.ConfigSpec(
        flags=vim.vm.FlagInfo(diskUuidEnabled=False),
        powerOpInfo=vim.vm.DefaultPowerOpInfo(powerOffType="hard"),
        tools=vim.vm.ToolsConfigInfo(syncTimeWithHost=True),
    )
    WaitForTask(vm.ReconfigVM_Task(spec))
    config = vm.config
    assert (config.flags.vvtdEnabled, config.flags.diskUuidEnabled) == (True, False)
    assert (config.defaultPowerOps.powerOffType, config.defaultPowerOps.suspendType) == ("hard", "hard")
    assert (config.tools.syncTimeWithHost, config.tools.afterPowerOn) == (True, True)
    assert config.swapPlacement == "hostLocal"
