# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is copied from the ConfigInfo of a VM template to the ConfigSpec of a VM, as a clone by vCenter would copy it.

A setting that vCenter writes by itself, or that identifies one VM, is not copied. Settings with a default are sent only if
the template has a different value, so that an old host does not see a setting that it does not know.
Source: vim.vm.ConfigInfo and vim.vm.ConfigSpec of the vSphere Web Services API.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any

from ...common.optional_imports import pyvmomi
from ..inventory.guest_offers import hardware_number
from .disk_controllers import controller_kind, is_storage_controller

#: Settings of the same name in ConfigInfo and ConfigSpec that are always copied.
_SETTINGS = (
    "cpuAllocation",
    "memoryAllocation",
    "latencySensitivity",
    "memoryHotAddEnabled",
    "cpuHotAddEnabled",
    "cpuHotRemoveEnabled",
    "memoryReservationLockedToMax",
    "nestedHVEnabled",
    "vPMCEnabled",
    "maxMksConnections",
    "guestAutoLockEnabled",
    "messageBusTunnelEnabled",
    "vmxStatsCollectionEnabled",
)
#: Settings that are copied if they differ from the default; an empty value is never copied.
_DEFAULTS = {
    "alternateGuestName": "",
    "consolePreferences": None,
    # Setting it needs a privilege of its own.
    "swapPlacement": "inherit",
    "rebootPowerOff": False,
    "vAssertsEnabled": False,
    "migrateEncryption": "opportunistic",
    "ftEncryptionMode": "ftEncryptionOpportunistic",
    "sevEnabled": False,
    "sevSnpEnabled": False,
    "tdxEnabled": False,
    "pmemFailoverEnabled": False,
    "vmOpNotificationToAppEnabled": False,
    "vmOpNotificationTimeout": 0,
    "fixedPassthruHotPlugEnabled": False,
}
#: The same for settings in ``config.hardware``.
_HARDWARE_DEFAULTS = {
    "virtualICH7MPresent": False,
    "virtualSMCPresent": False,
    "motherboardLayout": "i440bxHostBridge",
    "simultaneousThreads": 1,
}
_FLAGS = (
    "disableAcceleration",
    "enableLogging",
    "diskUuidEnabled",
    "virtualMmuUsage",
    "virtualExecUsage",
    "vvtdEnabled",
    "vbsEnabled",
    "cbrcCacheEnabled",
)
#: An image needs a snapshot, so that snapshotDisabled is not copied.
_FLAG_DEFAULTS = {
    "useToe": False,
    "runWithDebugInfo": False,
    "monitorType": "release",
    "htSharing": "any",
    "snapshotPowerOffBehavior": "powerOff",
}
_BOOT = ("bootDelay", "bootRetryEnabled", "bootRetryDelay", "networkBootProtocol")
_TOOLS = (
    "afterPowerOn",
    "afterResume",
    "beforeGuestStandby",
    "beforeGuestShutdown",
    "beforeGuestReboot",
    "toolsUpgradePolicy",
    "syncTimeWithHostAllowed",
    "syncTimeWithHost",
)
_POWER_OPERATIONS = ("powerOffType", "suspendType", "resetType", "standbyAction")

#: Properties of a passthrough device that the host reports: its choice at the last power-on, and what the profile of a vGPU can do.
_REPORTED_BY_HOST = ("assignedId", "vgpuMigrateDataSizeMB", "migrateSupported", "enhancedMigrateCapability")

#: The hardware version of ESXi 8.0, since which the topology of processors can be automatic.
_TOPOLOGY = 20

#: extraConfig that vSphere writes for one VM: slots, identities, state of the host, reports of VMware Tools.
_OWN = re.compile(
    r"guestinfo\..*|nvram|guestos\.detailed\..*|vmware\.tools\..*|toolsInstallManager\..*|migrate\..*|uuid\..*|vc\.uuid|vmotion\..*"
    r"|sched\.swap\.(derivedName|dir)|sched\.(scsi|sata|nvme|ide)\d+:\d+\..*"
    r"|(host|guest|user)CPUID\..*|evcCompatibilityMode|featureCompat\..*|vm\.(genidX?|createDate)|monitor\.phys_bits_used"
    r"|numa\.autosize\.(cookie|vcpu\.maxPerVirtualNode)|softPowerOff|viv\.moid|replay\..*|cleanShutdown|checkpoint\..*"
    r"|tools\.(remindInstall|syncTime|deployPkg\..*)|hgfs\..*|pciBridge\d+(:\d+)?\..*"
    r"|.*\.pciSlotNumber|.*\.redo|.*\.(generatedAddress|generatedAddressOffset|addressType|uptCompatibility|sasWWID|subnqnUUID)"
    r"|svga\.(present|guestBackedPrimaryAware)|cpuid\.coresPerSocket(\.cookie)?|(usb|usb_xhci|ehci):\d+(:\d+)*\..*|hpet0\.present|vmxstats\.filename"
    r"|ctkEnabled|.*\.ctkEnabled|govcsim|strata\..*",
    re.IGNORECASE,
)


def copied_settings(config: Any) -> dict[str, Any]:
    """Return the values of a ConfigSpec by name that ``config`` (vim.vm.ConfigInfo) determines; without flags and boot options."""
    settings = _values(config, _SETTINGS)
    settings |= _changed(config, _DEFAULTS)
    settings |= _changed(config.hardware, _HARDWARE_DEFAULTS)
    for name in ("cpuAllocation", "memoryAllocation"):
        if name in settings:
            # Only a running VM has this limit.
            settings[name] = copy.copy(settings[name])
            settings[name].overheadLimit = None
    for name in ("cpuAffinity", "memoryAffinity"):
        affinity = getattr(config, name, None)
        if affinity is not None and affinity.affinitySet:
            settings[name] = affinity
    vm = pyvmomi.vim.vm
    if config.tools is not None and (tools := _values(config.tools, _TOOLS)):
        settings["tools"] = vm.ToolsConfigInfo(**tools)
    if config.defaultPowerOps is not None and (operations := _values(config.defaultPowerOps, _POWER_OPERATIONS)):
        settings["powerOpInfo"] = vm.DefaultPowerOpInfo(**operations)
    if masks := getattr(config, "cpuFeatureMask", None):
        settings["cpuFeatureMask"] = [vm.ConfigSpec.CpuIdInfoSpec(operation="add", info=mask) for mask in masks]
    sgx = getattr(config, "sgxInfo", None)
    if sgx is not None and sgx.epcSize:
        settings["sgxInfo"] = sgx
    processors = getattr(config, "vcpuConfig", None) or []
    if any(processor.latencySensitivity is not None for processor in processors):
        settings["vcpuConfig"] = processors
    upgrade = getattr(config, "scheduledHardwareUpgradeInfo", None)
    if upgrade is not None and upgrade.upgradePolicy not in (None, "never"):
        settings["scheduledHardwareUpgradeInfo"] = vm.ScheduledHardwareUpgradeInfo(
            upgradePolicy=upgrade.upgradePolicy, versionKey=upgrade.versionKey
        )
    return settings | _numa(config) | _vapp(config)


def copied_flags(config: Any) -> dict[str, Any]:
    """Return the fields of vim.vm.FlagInfo that are copied."""
    return _values(config.flags, _FLAGS) | _changed(config.flags, _FLAG_DEFAULTS)


def copied_boot_options(config: Any) -> dict[str, Any]:
    """Return the fields of vim.vm.BootOptions that are copied, without secure boot."""
    return _values(config.bootOptions, _BOOT)


def copied_extra_config(config: Any) -> dict[str, str]:
    """Return the extraConfig of a template without the keys that vSphere, VMware Tools or this collection write for one VM.

    Keys without a value are left out: in a ConfigSpec, an empty value removes a key.
    """
    options = {option.key: str(option.value) for option in config.extraConfig or [] if option.value is not None}
    return {key: value for key, value in options.items() if value and not _OWN.fullmatch(key)}


def copied_devices(devices: Iterable[Any], boot: Any | None) -> list[Any]:
    """Return copies of the devices that a VM gets from its template, with the template's keys.

    ``boot`` is the controller of the image's disk, which OVF describes; like network adapters it is not in the result.
    Disks, TPMs, NVDIMMs, devices of a client or host behind USB or SCSI, and ports to files are not copied.
    """
    kept = (_portable(device) for device in devices if boot is None or device.key != boot.key)
    return [device for device in kept if device is not None]


def free_unit(devices: Iterable[Any], controller: Any) -> int:
    """Return the lowest unit number on a storage controller that no device in ``devices`` uses; unit 7 is the SCSI controller."""
    used = {device.unitNumber for device in devices if device.controllerKey == controller.key}
    if isinstance(controller, pyvmomi.vim.vm.device.VirtualSCSIController):
        used.add(7)
    return next(unit for unit in range(len(used) + 1) if unit not in used)


def apply_adapter(template: Any, adapter: Any) -> None:
    """Set the settings of a template's network adapter on an adapter of a ConfigSpec; network and addresses stay."""
    if template.connectable is not None:
        adapter.connectable = pyvmomi.vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=template.connectable.startConnected,
            allowGuestControl=template.connectable.allowGuestControl,
            connected=False,
            migrateConnect=getattr(template.connectable, "migrateConnect", None),
        )
    if template.wakeOnLanEnabled is not None:
        adapter.wakeOnLanEnabled = template.wakeOnLanEnabled
    node = getattr(template, "numaNode", None)
    if node is not None and node >= 0:
        adapter.numaNode = node
    if has_own_bandwidth(template):
        adapter.resourceAllocation = template.resourceAllocation
    if isinstance(template, pyvmomi.vim.vm.device.VirtualVmxnet3):
        for name in ("uptCompatibilityEnabled", "uptv2Enabled", "strictLatencyConfig"):
            if getattr(template, name, None) is not None:
                setattr(adapter, name, getattr(template, name))


def has_own_bandwidth(adapter: Any) -> bool:
    """Return whether an adapter has shares, a reservation or a limit that differ from the default."""
    allocation = adapter.resourceAllocation
    if allocation is None:
        return False
    return bool(
        allocation.reservation or allocation.limit not in (None, -1) or allocation.share.level not in (None, "normal")
    )


def _values(source: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return the values that are set; a negative number means the default of the server, and is not sent."""
    found = {name: getattr(source, name, None) for name in names}
    return {
        name: value for name, value in found.items() if value is not None and not (isinstance(value, int) and value < 0)
    }


def _changed(source: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the values that are neither empty nor the default."""
    return {name: value for name, value in _values(source, defaults).items() if value and value != defaults[name]}


def has_automatic_topology(config: Any) -> bool:
    """Return whether the hardware version lets vCenter choose sockets and NUMA nodes, and a VM set them; older versions refuse that."""
    return hardware_number(config.version or "") >= _TOPOLOGY


def _numa(config: Any) -> dict[str, Any]:
    numa = getattr(config, "numaInfo", None)
    if numa is None or not has_automatic_topology(config):
        return {}
    values: dict[str, Any] = {}
    if numa.autoCoresPerNumaNode is False and numa.coresPerNumaNode:
        values["coresPerNumaNode"] = numa.coresPerNumaNode
    if numa.vnumaOnCpuHotaddExposed:
        values["exposeVnumaOnCpuHotadd"] = True
    return {"virtualNuma": pyvmomi.vim.vm.VirtualNuma(**values)} if values else {}


def _vapp(config: Any) -> dict[str, Any]:
    """Return the vApp options: products and properties of an appliance, and how it gets its addresses."""
    info = getattr(config, "vAppConfig", None)
    if info is None:
        return {}
    vapp = pyvmomi.vim.vApp
    spec = vapp.VmConfigSpec(
        product=[vapp.ProductSpec(operation="add", info=item) for item in info.product or []],
        property=[vapp.PropertySpec(operation="add", info=item) for item in info.property or []],
        ovfSection=[vapp.OvfSectionSpec(operation="add", info=item) for item in info.ovfSection or []],
        ipAssignment=info.ipAssignment,
        eula=info.eula,
        ovfEnvironmentTransport=info.ovfEnvironmentTransport,
        installBootRequired=info.installBootRequired,
        installBootStopDelay=info.installBootStopDelay,
    )
    return {"vAppConfig": spec}


def _portable(device: Any) -> Any | None:
    """Return a copy of a device for a new VM, None if the device is not copied."""
    kinds = pyvmomi.vim.vm.device
    if isinstance(device, (kinds.VirtualCdrom, kinds.VirtualFloppy)):
        return _empty_drive(device)
    if isinstance(device, (kinds.VirtualSerialPort, kinds.VirtualParallelPort)):
        in_file = isinstance(device.backing, kinds.VirtualDevice.FileBackingInfo)
        return None if in_file else _copy(device)
    if isinstance(device, kinds.VirtualPCIPassthrough):
        return _passthrough(device)
    if isinstance(device, kinds.VirtualWDT):
        watchdog = _copy(device)
        watchdog.running = False
        return watchdog
    plain = (
        kinds.VirtualVideoCard,
        kinds.VirtualUSBController,
        kinds.VirtualUSBXHCIController,
        kinds.VirtualSoundCard,
        kinds.VirtualPrecisionClock,
    )
    return _copy(device) if isinstance(device, plain) or controller_kind(device) is not None else None


def _copy(device: Any) -> Any:
    """Return a copy without label, slot and group, which belong to one VM."""
    copied = copy.copy(device)
    copied.deviceInfo = copied.slotInfo = None
    if hasattr(copied, "deviceGroupInfo"):
        copied.deviceGroupInfo = None
    if isinstance(copied, pyvmomi.vim.vm.device.VirtualController):
        copied.device = []
    return copied


def _empty_drive(device: Any) -> Any:
    """Return a copy of a CD or floppy drive; a drive with an image file becomes an empty drive of a client."""
    kinds = pyvmomi.vim.vm.device
    drive = _copy(device)
    if isinstance(device.backing, kinds.VirtualDevice.FileBackingInfo):
        drive.backing = (
            kinds.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", exclusive=False)
            if isinstance(device, kinds.VirtualCdrom)
            else kinds.VirtualFloppy.RemoteDeviceBackingInfo(deviceName="")
        )
        allowed = device.connectable is None or device.connectable.allowGuestControl
        drive.connectable = kinds.VirtualDevice.ConnectInfo(
            startConnected=False, allowGuestControl=allowed, connected=False
        )
    return drive


def _passthrough(device: Any) -> Any:
    copied = _copy(device)
    backing = copied.backing = copy.copy(device.backing)
    for name in _REPORTED_BY_HOST:
        if getattr(backing, name, None) is not None:
            setattr(backing, name, None)
    return copied


def on_storage(device: Any, controllers: dict[int, Any]) -> bool:
    """Return whether a device is attached to a storage controller in ``controllers`` (by key), where its unit number counts."""
    controller = controllers.get(device.controllerKey)
    return controller is not None and is_storage_controller(controller)
