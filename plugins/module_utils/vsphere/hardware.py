# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardware of a VM template, which VMs that are created from it get."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any

from ..common.optional_imports import pyvmomi
from .disk_controllers import boot_controller, controller_kind, ovf_type
from .names import plain_name
from .properties import read
from .session import Session

#: Settings that are copied from ConfigInfo to a ConfigSpec.
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
    "swapPlacement",
    "maxMksConnections",
    "guestAutoLockEnabled",
    "messageBusTunnelEnabled",
)
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
_BOOT = ("bootDelay", "bootRetryEnabled", "bootRetryDelay", "networkBootProtocol")

#: extraConfig that vSphere writes for one VM: slots, identities, state of the host, reports of VMware Tools.
_OWN = re.compile(
    r"guestinfo\..*|nvram|guestos\.detailed\..*|vmware\.tools\..*|toolsInstallManager\..*|sched\..*|migrate\..*|uuid\..*|vc\.uuid|vmotion\..*"
    r"|monitor\.phys_bits_used"
    r"|numa\.autosize\..*|softPowerOff|viv\.moid|replay\..*|cleanShutdown|checkpoint\..*|tools\.(remindInstall|syncTime)|hgfs\..*|pciBridge\d+\..*"
    r"|.*\.pciSlotNumber|.*\.redo|.*\.(generatedAddress|generatedAddressOffset|addressType|uptCompatibility)|svga\.present|hpet0\.present|vmxstats\.filename"
    r"|ctkEnabled|.*\.ctkEnabled|strata\..*",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Hardware:
    """The hardware that is copied from a VM template; it can be changed before a VM is created with it.

    ``disk_controller`` is the kind of the controller of the disk: pvscsi, lsi_sas, lsi_logic, bus_logic, nvme or ahci; None if
    the template has no disk controller. ``scsi_type`` is the name of a SCSI controller in OVF. ``nic_count`` adapters of type
    VMXNET3 are created, on ``networks`` (name and managed object, in the order of the adapters). ``settings``, ``flags``,
    ``boot`` and ``devices`` are pyVmomi values. ``remarks`` are warnings about hardware that is not copied.
    """

    guest_id: str = "windows9_64Guest"
    version: str = "vmx-13"
    cpus: int = 2
    cores_per_socket: int = 1
    memory_mib: int = 4096
    firmware: str = "bios"
    secure_boot: bool = False
    disk_controller: str | None = "lsi_sas"
    scsi_type: str = "lsilogicsas"
    nic_count: int = 1
    networks: list[tuple[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    flags: dict[str, Any] = field(default_factory=dict)
    boot: dict[str, Any] = field(default_factory=dict)
    extra_config: dict[str, str] = field(default_factory=dict)
    devices: list[Any] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_hardware(session: Session, vm: Any) -> Hardware:
    """Return the hardware of a VM template or VM without its disks, identities and MAC addresses."""
    values = read(session, vm, "name", "config", "network", subject="Reading the VM template")
    config = values["config"]
    devices = list(config.hardware.device or [])
    nics = [device for device in devices if isinstance(device, pyvmomi.vim.vm.device.VirtualEthernetCard)]
    boot = boot_controller(devices)
    controller = None if boot is None else controller_kind(boot)
    hardware = Hardware(
        guest_id=config.guestId or "windows9_64Guest",
        version=config.version,
        cpus=config.hardware.numCPU,
        cores_per_socket=config.hardware.numCoresPerSocket or 1,
        memory_mib=config.hardware.memoryMB,
        firmware=config.firmware or "bios",
        secure_boot=bool(config.bootOptions and config.bootOptions.efiSecureBootEnabled),
        disk_controller=controller,
        scsi_type=ovf_type(controller)
        if controller in ("pvscsi", "lsi_sas", "lsi_logic", "bus_logic")
        else "lsilogicsas",
        nic_count=len(nics) or 1,
        networks=_networks(session, nics, values.get("network", [])),
        settings={name: value for name in _SETTINGS if (value := getattr(config, name, None)) is not None},
        flags={name: value for name in _FLAGS if (value := getattr(config.flags, name, None)) is not None},
        boot={name: value for name in _BOOT if (value := getattr(config.bootOptions, name, None)) is not None},
        extra_config={
            option.key: str(option.value) for option in config.extraConfig or [] if not _OWN.fullmatch(option.key)
        },
        devices=[device for device in devices if _is_copied(device)],
    )
    name = plain_name(values.get("name", "the template"))
    if any(not isinstance(nic, pyvmomi.vim.vm.device.VirtualVmxnet3) for nic in nics):
        hardware.remarks.append(
            f"A network adapter of {name} is not of type VMXNET3; VMs that are created from it get VMXNET3."
        )
    if any(isinstance(device, pyvmomi.vim.vm.device.VirtualDisk) for device in devices):
        hardware.remarks.append(f"The disks of {name} are not copied.")
    if any(isinstance(device, pyvmomi.vim.vm.device.VirtualTPM) for device in devices):
        hardware.remarks.append(f"The virtual TPM of {name} is not copied.")
    for key, value in hardware.extra_config.items():
        # Hardening guides recommend this setting.
        if key.lower() == "isolation.tools.setinfo.disable" and value.lower() in ("true", "1"):
            hardware.remarks.append(
                f"{name} has the setting {key}, so that Windows cannot report the results of its scripts."
            )
    return hardware


def apply_hardware(hardware: Hardware, spec: Any) -> None:
    """Add the hardware that OVF cannot describe to a ConfigSpec that CreateImportSpec returned."""
    vm = pyvmomi.vim.vm
    spec.version = hardware.version
    spec.guestId = hardware.guest_id
    spec.numCPUs = hardware.cpus
    spec.numCoresPerSocket = hardware.cores_per_socket
    spec.memoryMB = hardware.memory_mib
    spec.firmware = hardware.firmware
    spec.bootOptions = vm.BootOptions(**_typed(vm.BootOptions, hardware.boot))
    if hardware.firmware == "efi":
        spec.bootOptions.efiSecureBootEnabled = hardware.secure_boot
    if hardware.flags:
        spec.flags = vm.FlagInfo(**_typed(vm.FlagInfo, hardware.flags))
    for name, value in hardware.settings.items():
        setattr(spec, name, value)
    changes = list(spec.deviceChange or [])
    for number, device in enumerate(hardware.devices):
        added = copy.copy(device)
        # Default devices keep their keys: vSphere uses the device with that key and does not create its own.
        if not isinstance(device, vm.device.VirtualVideoCard):
            added.key = -1000 - number
        added.unitNumber = None
        added.deviceInfo = None
        changes.append(vm.device.VirtualDeviceSpec(operation="add", device=added))
    spec.deviceChange = changes


def option_values(options: dict[str, str]) -> list[Any]:
    """Return extraConfig for a ConfigSpec."""
    return [pyvmomi.vim.option.OptionValue(key=key, value=str(value)) for key, value in options.items()]


def _typed(kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    known = {info.name for info in kind._GetPropertyList()}
    return {name: value for name, value in values.items() if name in known}


def _is_copied(device: Any) -> bool:
    kinds = pyvmomi.vim.vm.device
    return isinstance(device, (kinds.VirtualVideoCard, kinds.VirtualUSBController, kinds.VirtualUSBXHCIController)) or (
        isinstance(device, kinds.VirtualPCIPassthrough)
        and isinstance(device.backing, kinds.VirtualPCIPassthrough.VmiopBackingInfo)
    )


def _networks(session: Session, nics: list[Any], networks: list[Any]) -> list[tuple[str, Any]]:
    """Return name and managed object of each adapter's network; adapters refer to their network in three kinds of backing."""
    found = []
    names, by_port_group = {}, {}
    for network in networks:
        is_group = isinstance(network, pyvmomi.vim.dvs.DistributedVirtualPortgroup)
        values = read(session, network, *(("name", "key") if is_group else ("name",)))
        names[network] = plain_name(values["name"])
        by_port_group[values.get("key")] = network
    for nic in nics:
        backing = nic.backing
        network = getattr(backing, "network", None)
        port = getattr(backing, "port", None)
        if port is not None:
            network = by_port_group.get(port.portgroupKey)
        if network is None:
            device = getattr(backing, "deviceName", None)
            network = next((item for item, name in names.items() if name == device), None)
        if network is not None and network in names:
            found.append((names[network], network))
    return found
