# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM gets all hardware of its template, and differences that the server makes are reported."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import read_hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware_compare import differences
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.templates import (
    CONTROLLERS,
    adapter,
    controller,
    make_template,
)

device = vim.vm.device
passthrough = device.VirtualPCIPassthrough
#: Settings by their path in ConfigSpec, with the value of the template with everything.
SETTINGS = {
    "alternateGuestName": "Windows of the office",
    "cpuHotAddEnabled": True,
    "memoryHotAddEnabled": True,
    "memoryReservationLockedToMax": True,
    "nestedHVEnabled": True,
    "vPMCEnabled": True,
    "maxMksConnections": 2,
    "guestAutoLockEnabled": False,
    "swapPlacement": "hostLocal",
    "migrateEncryption": "disabled",
    "ftEncryptionMode": "ftEncryptionDisabled",
    "sevEnabled": True,
    "vmOpNotificationToAppEnabled": True,
    "vmOpNotificationTimeout": 60,
    "fixedPassthruHotPlugEnabled": True,
    "rebootPowerOff": True,
    "vmxStatsCollectionEnabled": False,
    "virtualSMCPresent": True,
    "simultaneousThreads": 2,
    "motherboardLayout": "acpiHostBridges",
}
EXTRA_CONFIG = {
    "numa.nodeAffinity": "0",
    "numa.vcpu.preferHT": "TRUE",
    "sched.mem.lpage.enable1GPage": "TRUE",
    "sched.swap.vmxSwapEnabled": "FALSE",
    "pciPassthru.use64bitMMIO": "TRUE",
    "devices.hotplug": "false",
}
#: extraConfig of the template that belongs to one VM.
OWN_CONFIG = {
    "sched.swap.derivedName": "/vmfs/volumes/1/t/t.vswp",
    "numa.autosize.cookie": "20012",
    "ethernet0.pciSlotNumber": "160",
    "guestinfo.x": "1",
    "strata.digest": "2",
    "hostCPUID.0": "0000000d756e65476c65746e49656e69",
    "vm.genid": "-4121246211734203512",
}


def everything():
    """The ConfigSpec fields and the devices of a template with all hardware that is copied."""
    share = vim.SharesInfo(level="high", shares=0)
    fields = {
        **SETTINGS,
        "version": "vmx-20",
        "numCPUs": 4,
        "numCoresPerSocket": 2,
        "memoryMB": 8192,
        "cpuAllocation": vim.ResourceAllocationInfo(
            reservation=2000, limit=-1, shares=share, expandableReservation=False
        ),
        "memoryAllocation": vim.ResourceAllocationInfo(
            reservation=8192, limit=-1, shares=vim.SharesInfo(level="custom", shares=77), expandableReservation=False
        ),
        "latencySensitivity": vim.LatencySensitivity(level="high"),
        "cpuAffinity": vim.vm.AffinityInfo(affinitySet=[0, 1, 2, 3]),
        "cpuFeatureMask": [
            vim.vm.ConfigSpec.CpuIdInfoSpec(
                operation="add", info=vim.host.CpuIdInfo(level=1, ecx="--------------------------------")
            ),
            vim.vm.ConfigSpec.CpuIdInfoSpec(
                operation="add",
                info=vim.host.CpuIdInfo(level=-2147483647, vendor="amd", edx="-----------H--------------------"),
            ),
        ],
        "flags": vim.vm.FlagInfo(
            diskUuidEnabled=True,
            vvtdEnabled=True,
            vbsEnabled=True,
            virtualMmuUsage="on",
            htSharing="none",
            snapshotPowerOffBehavior="prompt",
            enableLogging=False,
        ),
        "bootOptions": vim.vm.BootOptions(
            bootDelay=1500,
            bootRetryEnabled=True,
            bootRetryDelay=20000,
            efiSecureBootEnabled=True,
            networkBootProtocol="ipv6",
        ),
        "tools": vim.vm.ToolsConfigInfo(
            afterPowerOn=False, beforeGuestReboot=True, toolsUpgradePolicy="upgradeAtPowerCycle", syncTimeWithHost=True
        ),
        "powerOpInfo": vim.vm.DefaultPowerOpInfo(
            powerOffType="hard", suspendType="soft", resetType="hard", standbyAction="powerOnSuspend"
        ),
        "virtualNuma": vim.vm.VirtualNuma(coresPerNumaNode=2, exposeVnumaOnCpuHotadd=True),
        "sgxInfo": vim.vm.SgxInfo(epcSize=64, flcMode="unlocked"),
        "scheduledHardwareUpgradeInfo": vim.vm.ScheduledHardwareUpgradeInfo(
            upgradePolicy="always", versionKey="vmx-21"
        ),
        "vAppConfig": vim.vApp.VmConfigSpec(
            property=[
                vim.vApp.PropertySpec(
                    operation="add", info=vim.vApp.PropertyInfo(key=0, id="site", type="string", value="Bonn")
                )
            ]
        ),
        "extraConfig": [
            vim.option.OptionValue(key=key, value=value) for key, value in (EXTRA_CONFIG | OWN_CONFIG).items()
        ],
    }
    devices = [
        controller("ahci", -100),
        controller("pvscsi", -101),
        controller("pvscsi", -102, bus=1),
        controller("nvme", -103),
        device.VirtualCdrom(
            key=-110,
            controllerKey=-100,
            unitNumber=0,
            backing=device.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", exclusive=False),
            connectable=device.VirtualDevice.ConnectInfo(startConnected=False, allowGuestControl=True, connected=False),
        ),
        device.VirtualFloppy(
            key=-111,
            controllerKey=400,
            unitNumber=0,
            backing=device.VirtualFloppy.RemoteDeviceBackingInfo(deviceName=""),
            connectable=device.VirtualDevice.ConnectInfo(startConnected=False, allowGuestControl=True, connected=False),
        ),
        device.VirtualVideoCard(
            key=500,
            videoRamSizeInKB=262144,
            numDisplays=4,
            useAutoDetect=False,
            enable3DSupport=True,
            use3dRenderer="hardware",
            graphicsMemorySizeInKB=2097152,
        ),
        device.VirtualUSBController(key=-112, busNumber=0, autoConnectDevices=False, ehciEnabled=True),
        device.VirtualUSBXHCIController(key=-113, busNumber=0, autoConnectDevices=True),
        device.VirtualHdAudioCard(
            key=-114, backing=device.VirtualSoundCard.DeviceBackingInfo(deviceName="", useAutoDetect=True)
        ),
        device.VirtualPrecisionClock(
            key=-115, backing=device.VirtualPrecisionClock.SystemClockBackingInfo(protocol="ptp")
        ),
        device.VirtualWDT(key=-116, runOnBoot=True, running=False),
        passthrough(key=-117, backing=passthrough.VmiopBackingInfo(vgpu="grid_t4-2q"), numaNode=0),
        passthrough(
            key=-118,
            backing=passthrough.DynamicBackingInfo(
                deviceName="",
                allowedDevice=[passthrough.AllowedDevice(vendorId=4318, deviceId=7864)],
                customLabel="vdi",
                assignedId="0000:3b:00.0",
            ),
        ),
        passthrough(
            key=-119,
            backing=passthrough.DeviceBackingInfo(
                deviceName="GPU", id="0000:af:00.0", deviceId="1eb8", systemId="6230c4f2", vendorId=4318
            ),
        ),
        device.VirtualSerialPort(
            key=-120,
            controllerKey=400,
            unitNumber=1,
            yieldOnPoll=True,
            backing=device.VirtualSerialPort.URIBackingInfo(serviceURI="tcp://:2000", direction="server"),
        ),
        adapter(),
    ]
    return fields, devices


@pytest.fixture(scope="module")
def running():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running):
    running.settings(drop_settings=[])
    return running


@pytest.fixture
def publish(simulator, session, disk):
    """Create a VM with the hardware of a template; return the ConfigInfo of both, and the warnings."""
    inventory = Inventory(session)
    placement = inventory.placement(datacenter="DC0", cluster="DC0_C0", datastore="LocalDS_0")
    made = []

    def create(template):
        hardware = read_hardware(session, template)
        name = f"image-{len(made)}"
        found = deploy_vm(
            session,
            placement,
            name=name,
            hardware=hardware,
            capacity=disk.capacity,
            blocks=disk.blocks,
            length=disk.length,
        )
        made.append(found.vm)
        config = read(session, found.vm, "config")["config"]
        return hardware.template, config, found.warnings

    yield create
    simulator.reset()


@pytest.fixture(scope="module")
def template_number():
    return iter(range(1000))


@pytest.fixture
def template(session, template_number):
    """Create a template; templates stay when the simulator is reset."""

    def create(devices, **settings):
        return make_template(session.content, f"template-{next(template_number)}", devices, **settings)

    return create


@pytest.fixture
def full_template(template):
    fields, devices = everything()
    return template(devices, **fields)


def devices_of(config, kind):
    return [item for item in config.hardware.device if isinstance(item, kind)]


def value_at(item, path):
    for name in path.split("."):
        item = getattr(item, name)
    return item


def test_vm_has_all_settings_of_its_template(publish, full_template):
    _template, made, _warnings = publish(full_template)
    in_hardware = ("virtualSMCPresent", "simultaneousThreads", "motherboardLayout")
    found = {name: getattr(made.hardware if name in in_hardware else made, name) for name in SETTINGS}
    assert found == SETTINGS
    expected = {
        "hardware.numCPU": 4,
        "hardware.numCoresPerSocket": 2,
        "hardware.memoryMB": 8192,
        "cpuAllocation.reservation": 2000,
        "cpuAllocation.shares.level": "high",
        "memoryAllocation.shares.shares": 77,
        "latencySensitivity.level": "high",
        "cpuAffinity.affinitySet": [0, 1, 2, 3],
        "flags.diskUuidEnabled": True,
        "flags.vvtdEnabled": True,
        "flags.vbsEnabled": True,
        "flags.virtualMmuUsage": "on",
        "flags.htSharing": "none",
        "flags.snapshotPowerOffBehavior": "prompt",
        "flags.enableLogging": False,
        "bootOptions.bootDelay": 1500,
        "bootOptions.efiSecureBootEnabled": True,
        "bootOptions.networkBootProtocol": "ipv6",
        "tools.afterPowerOn": False,
        "tools.beforeGuestReboot": True,
        "tools.toolsUpgradePolicy": "upgradeAtPowerCycle",
        "tools.syncTimeWithHost": True,
        "defaultPowerOps.powerOffType": "hard",
        "defaultPowerOps.standbyAction": "powerOnSuspend",
        "numaInfo.coresPerNumaNode": 2,
        "numaInfo.vnumaOnCpuHotaddExposed": True,
        "sgxInfo.epcSize": 64,
        "scheduledHardwareUpgradeInfo.upgradePolicy": "always",
        "firmware": "efi",
    }
    assert {path: value_at(made, path) for path in expected} == expected
    assert [(mask.level, mask.vendor or None) for mask in made.cpuFeatureMask] == [(1, None), (-2147483647, "amd")]
    assert [(item.id, item.value) for item in made.vAppConfig.property] == [("site", "Bonn")]
    options = {option.key: option.value for option in made.extraConfig}
    assert options.items() >= EXTRA_CONFIG.items()
    assert not options.keys() & OWN_CONFIG.keys()


def test_vm_has_all_devices_of_its_template(publish, full_template):
    _template, made, _warnings = publish(full_template)
    buses = {
        (type(item).__name__.rpartition(".")[2], item.busNumber) for item in devices_of(made, device.VirtualController)
    }
    assert buses >= {
        ("ParaVirtualSCSIController", 0),
        ("ParaVirtualSCSIController", 1),
        ("VirtualNVMEController", 0),
        ("VirtualAHCIController", 0),
    }
    (disk,) = devices_of(made, device.VirtualDisk)
    places = {
        item.key: (type(item).__name__.rpartition(".")[2], item.busNumber)
        for item in devices_of(made, device.VirtualController)
    }
    assert (places[disk.controllerKey], disk.unitNumber) == (("ParaVirtualSCSIController", 0), 0)
    (drive,) = devices_of(made, device.VirtualCdrom)
    assert (places[drive.controllerKey], drive.unitNumber) == (("VirtualAHCIController", 0), 0)
    (card,) = devices_of(made, device.VirtualVideoCard)
    assert (card.videoRamSizeInKB, card.numDisplays, card.use3dRenderer) == (262144, 4, "hardware")
    (clock,) = devices_of(made, device.VirtualPrecisionClock)
    assert clock.backing.protocol == "ptp"
    (watchdog,) = devices_of(made, device.VirtualWDT)
    assert watchdog.runOnBoot
    assert len(devices_of(made, device.VirtualHdAudioCard)) == len(devices_of(made, device.VirtualFloppy)) == 1
    assert len(devices_of(made, device.VirtualSerialPort)) == 1
    graphics, dynamic, fixed = devices_of(made, passthrough)
    assert (graphics.backing.vgpu, graphics.numaNode) == ("grid_t4-2q", 0)
    assert (dynamic.backing.customLabel, dynamic.backing.assignedId or None) == ("vdi", None)
    assert [(item.vendorId, item.deviceId) for item in dynamic.backing.allowedDevice] == [(4318, 7864)]
    assert fixed.backing.id == "0000:af:00.0"


def test_vm_does_not_differ_from_a_template_with_everything(publish, full_template):
    template, made, warnings = publish(full_template)
    assert differences(template, made) == []
    # The fixed PCI device and the affinity bind VMs to a host.
    assert len(warnings) == 2


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_disk_is_attached_to_the_kind_of_controller_of_the_template(publish, template, kind):
    source, made, warnings = publish(template([controller(kind, bus=1), adapter()]))
    assert warnings == ()
    (disk,) = devices_of(made, device.VirtualDisk)
    (found,) = [item for item in made.hardware.device if item.key == disk.controllerKey]
    assert (type(found), found.busNumber) == (CONTROLLERS[kind], 1)
    assert [type(item) for item in devices_of(made, device.VirtualController)].count(CONTROLLERS[kind]) == 1
    assert differences(source, made) == []


def test_disk_is_attached_behind_the_cd_drive_of_the_same_controller(publish, template):
    drive = device.VirtualCdrom(
        key=-110,
        controllerKey=-101,
        unitNumber=0,
        backing=device.VirtualCdrom.IsoBackingInfo(fileName="[LocalDS_0] windows.iso"),
    )
    source, made, warnings = publish(template([controller("ahci"), drive, adapter()]))
    (disk,) = devices_of(made, device.VirtualDisk)
    assert disk.unitNumber == 1
    # The image file is not taken over: the host of the VM need not reach it.
    changed = {"VirtualCdrom 0.backing", "VirtualCdrom 0.connectable.startConnected"}
    assert {entry.setting for entry in differences(source, made)} == changed
    assert len(warnings) == 2


@pytest.mark.parametrize(
    ("dropped", "setting"),
    [
        ("flags.vbsEnabled", "flags.vbsEnabled"),
        ("flags.htSharing", "flags.htSharing"),
        ("bootOptions.bootDelay", "bootOptions.bootDelay"),
        ("tools.toolsUpgradePolicy", "tools.toolsUpgradePolicy"),
        ("powerOpInfo.powerOffType", "defaultPowerOps.powerOffType"),
        ("cpuAffinity", "cpuAffinity.affinitySet"),
        ("cpuAllocation.reservation", "cpuAllocation.reservation"),
        ("latencySensitivity", "latencySensitivity.level"),
        ("cpuFeatureMask", "cpuFeatureMask[0x1]"),
        ("virtualNuma", "numaInfo.coresPerNumaNode"),
        ("nestedHVEnabled", "nestedHVEnabled"),
        ("memoryHotAddEnabled", "memoryHotAddEnabled"),
        ("sevEnabled", "sevEnabled"),
        ("sgxInfo", "sgxInfo.epcSize"),
        ("vmxStatsCollectionEnabled", "vmxStatsCollectionEnabled"),
        ("motherboardLayout", "hardware.motherboardLayout"),
        ("vAppConfig", "vAppConfig.property[0]"),
        ("extraConfig numa.nodeAffinity", "extraConfig numa.nodeAffinity"),
        ("device VirtualWDT", "VirtualWDT 0"),
        ("device VirtualPrecisionClock", "VirtualPrecisionClock 0"),
        ("device VirtualHdAudioCard", "VirtualHdAudioCard 0"),
        ("device VirtualNVMEController", "VirtualNVMEController 0"),
        ("device VirtualMachineVideoCard", "VirtualMachineVideoCard 0.videoRamSizeInKB"),
        ("device VirtualPCIPassthrough", "VirtualPCIPassthrough 2"),
        ("device VirtualVmxnet3", "network adapter 0"),
    ],
)
def test_setting_that_the_server_drops_is_reported(simulator, publish, full_template, dropped, setting):
    simulator.settings(drop_settings=[dropped])
    template, made, warnings = publish(full_template)
    found = differences(template, made)
    assert setting in {entry.setting for entry in found}
    assert all(entry.expected != entry.found for entry in found)
    assert len(warnings) == 2 + len(found)


def test_device_that_the_server_adds_is_reported(template):
    expected = template([controller("pvscsi")]).config
    found = template([controller("pvscsi"), adapter()]).config
    assert [(entry.setting, entry.found) for entry in differences(expected, found)] == [
        ("network adapter 0", "present")
    ]


def test_automatic_cores_per_socket_stay_automatic(publish, template):
    source, made, warnings = publish(template([controller("pvscsi"), adapter()], numCPUs=4, numCoresPerSocket=0))
    assert source.hardware.autoCoresPerSocket and made.hardware.autoCoresPerSocket
    assert (differences(source, made), warnings) == ([], ())


def test_settings_of_adapters_are_copied(publish, template):
    first, second = adapter(), adapter(key=-201)
    first.connectable.startConnected = False
    first.wakeOnLanEnabled = False
    first.uptCompatibilityEnabled = True
    second.resourceAllocation = device.VirtualEthernetCard.ResourceAllocation(
        reservation=100, limit=1000, share=vim.SharesInfo(level="high", shares=100)
    )
    source, made, warnings = publish(template([controller("pvscsi"), first, second]))
    cards = devices_of(made, device.VirtualVmxnet3)
    assert (cards[0].connectable.startConnected, cards[0].wakeOnLanEnabled, cards[0].uptCompatibilityEnabled) == (
        False,
        False,
        True,
    )
    assert cards[1].connectable.startConnected
    assert (cards[1].resourceAllocation.limit, cards[1].resourceAllocation.share.level) == (1000, "high")
    assert (differences(source, made), warnings) == ([], ())


def test_default_bandwidth_that_only_a_distributed_switch_reports_is_not_a_difference(template):
    with_default = template([controller("pvscsi"), adapter()]).config
    without = template([controller("pvscsi"), adapter()]).config
    (card,) = devices_of(without, device.VirtualVmxnet3)
    card.resourceAllocation = None
    assert devices_of(with_default, device.VirtualVmxnet3)[0].resourceAllocation.limit == -1
    assert differences(with_default, without) == []
