# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that vCenter reports for VMs of real hosts: what is sent in a ConfigSpec, and compared."""

from __future__ import annotations

import copy

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware, apply_hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware_compare import differences
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware_copy import (
    apply_adapter,
    copied_devices,
    copied_extra_config,
    copied_settings,
    has_automatic_topology,
)

device = vim.vm.device
passthrough = device.VirtualPCIPassthrough


def option(key, value):
    return vim.option.OptionValue(key=key, value=value)


def allocation(shares):
    return vim.ResourceAllocationInfo(
        reservation=0,
        limit=-1,
        expandableReservation=False,
        overheadLimit=37,
        shares=vim.SharesInfo(level="normal", shares=shares),
    )


@pytest.fixture
def config():
    """ConfigInfo as an ESXi host 8.0 reports it for a VM on which nothing was changed (test data of govmomi, serialization_test.go)."""
    return vim.vm.ConfigInfo(
        version="vmx-20",
        guestId="windows9_64Guest",
        firmware="efi",
        flags=vim.vm.FlagInfo(enableLogging=True, monitorType="release", htSharing="any"),
        tools=vim.vm.ToolsConfigInfo(toolsUpgradePolicy="manual"),
        defaultPowerOps=vim.vm.DefaultPowerOpInfo(powerOffType="soft", standbyAction="checkpoint"),
        bootOptions=vim.vm.BootOptions(networkBootProtocol="ipv4", bootRetryDelay=10000),
        hardware=vim.vm.VirtualHardware(
            numCPU=2, numCoresPerSocket=1, memoryMB=4096, simultaneousThreads=1, motherboardLayout="i440bxHostBridge"
        ),
        cpuAllocation=allocation(2000),
        memoryAllocation=allocation(40960),
        maxMksConnections=-1,
        vmOpNotificationToAppEnabled=False,
        vmOpNotificationTimeout=-1,
        vFlashCacheReservation=0,
        swapPlacement="inherit",
        migrateEncryption="opportunistic",
        ftEncryptionMode="ftEncryptionOpportunistic",
        sgxInfo=vim.vm.SgxInfo(flcMode="unlocked", requireAttestation=False),
        numaInfo=vim.vm.VirtualNumaInfo(autoCoresPerNumaNode=True, vnumaOnCpuHotaddExposed=False),
        guestMonitoringModeInfo=vim.vm.GuestMonitoringModeInfo(),
        deviceGroups=vim.vm.VirtualDeviceGroups(),
        scheduledHardwareUpgradeInfo=vim.vm.ScheduledHardwareUpgradeInfo(upgradePolicy="never"),
        extraConfig=[option("disk.EnableUUID", "TRUE"), option("devices.hotplug", "false")],
    )


def test_settings_negative_numbers_are_not_sent(config):
    settings = copied_settings(config)
    assert not settings.keys() & {"maxMksConnections", "vmOpNotificationTimeout", "sgxInfo", "virtualNuma"}
    assert {settings[name].overheadLimit for name in ("cpuAllocation", "memoryAllocation")} == {None}
    assert settings["cpuAllocation"].limit == -1
    assert config.cpuAllocation.overheadLimit == 37
    config.maxMksConnections, config.vmOpNotificationTimeout = 2, 60
    settings = copied_settings(config)
    assert (settings["maxMksConnections"], settings["vmOpNotificationTimeout"]) == (2, 60)


def test_settings_of_processors_that_older_hardware_versions_refuse_are_not_sent(config):
    config.numaInfo = vim.vm.VirtualNumaInfo(coresPerNumaNode=1, autoCoresPerNumaNode=False)
    assert copied_settings(config)["virtualNuma"].coresPerNumaNode == 1
    assert has_automatic_topology(config)
    config.version = "vmx-19"
    assert "virtualNuma" not in copied_settings(config)
    assert not has_automatic_topology(config)


def test_extra_config_without_a_value_or_of_a_customization_is_neither_sent_nor_compared(config):
    template = copy.copy(config)
    template.extraConfig = [
        *config.extraConfig,
        option("vmotion.checkpointFBSize", "4194304"),
        option("tools.deployPkg.fileName", "imcf-xyz"),
        option("monitor_control.x", ""),
        option("RemoteDisplay.maxConnections", "-1"),
    ]
    assert copied_extra_config(template) == {
        "disk.EnableUUID": "TRUE",
        "devices.hotplug": "false",
        "RemoteDisplay.maxConnections": "-1",
    }
    made = copy.copy(config)
    made.extraConfig = [
        option("disk.enableUuid", "true"),
        option("devices.hotplug", "FALSE"),
        option("RemoteDisplay.maxConnections", "-1"),
    ]
    assert differences(template, made) == []


@pytest.mark.parametrize(
    "key",
    [
        "cpuid.coresPerSocket.cookie",
        "migrate.hostLogState",
        "monitor.phys_bits_used",
        "numa.autosize.cookie",
        "nvme0.subnqnUUID",
        "nvram",
        "pciBridge1:0.pxm",
        "sched.swap.derivedName",
        "scsi0.pciSlotNumber",
        "scsi0.sasWWID",
        "softPowerOff",
        "svga.guestBackedPrimaryAware",
        "toolsInstallManager.updateCounter",
        "usb_xhci:4.parent",
        "viv.moid",
        "vm.genidX",
        "vmotion.svga.mobMaxSize",
        "vmware.tools.requiredversion",
        "vmxstats.filename",
    ],
)
def test_extra_config_that_a_host_writes_for_one_vm_is_not_sent(config, key):
    """The keys are those that VMs of vSphere 7 and 8 have, which were powered on (samples of community.vmware and vmware.vmware)."""
    config.extraConfig = [option(key, "1")]
    assert copied_extra_config(config) == {}


def test_settings_of_an_adapter_s_connection_are_copied():
    connection = device.VirtualDevice.ConnectInfo(
        startConnected=True, allowGuestControl=True, connected=True, migrateConnect="disconnect", status="ok"
    )
    made = device.VirtualVmxnet3()
    apply_adapter(device.VirtualVmxnet3(connectable=connection), made)
    found = made.connectable
    assert (found.startConnected, found.migrateConnect, found.connected, found.status) == (
        True,
        "disconnect",
        False,
        None,
    )


def test_device_of_a_vgpu_is_sent_without_what_the_host_reports():
    backing = passthrough.VmiopBackingInfo(
        vgpu="grid_t4-2q", vgpuMigrateDataSizeMB=2048, migrateSupported=True, enhancedMigrateCapability=True
    )
    (copied,) = copied_devices([passthrough(key=13000, controllerKey=100, unitNumber=18, backing=backing)], None)
    assert copied.backing.vgpu == "grid_t4-2q"
    assert [
        copied.backing.vgpuMigrateDataSizeMB,
        copied.backing.migrateSupported,
        copied.backing.enhancedMigrateCapability,
    ] == [None] * 3
    assert backing.vgpuMigrateDataSizeMB == 2048


def test_device_video_card_of_the_template_replaces_that_of_the_specification():
    card = device.VirtualVideoCard(key=500, controllerKey=100, videoRamSizeInKB=262144)
    described = device.VirtualVideoCard(key=-7, controllerKey=100, useAutoDetect=True)
    spec = vim.vm.ConfigSpec(deviceChange=[device.VirtualDeviceSpec(operation="add", device=described)])
    apply_hardware(Hardware(devices=[card]), spec)
    (change,) = spec.deviceChange
    assert (change.device.key, change.device.videoRamSizeInKB) == (500, 262144)
