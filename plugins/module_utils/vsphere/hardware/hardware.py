# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardware of a VM template, which VMs that are created from it get."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from ...common.optional_imports import pyvmomi
from ..inventory.names import plain_name
from ..properties import read
from ..session import Session
from .disk_controllers import boot_controller, controller_kind
from .hardware_copy import (
    apply_adapter,
    copied_boot_options,
    copied_devices,
    copied_extra_config,
    copied_flags,
    copied_settings,
    free_unit,
    has_automatic_topology,
    on_storage,
)

#: Keys of devices that every VM has: controllers for PCI, IDE, PS/2 and super I/O, to which copied devices are attached.
_DEFAULT_CONTROLLERS = (100, 200, 201, 300, 400)
#: The first temporary key of a copied device; those of CreateImportSpec are between -1 and some hundreds below.
_FIRST_KEY = -1000


@dataclass(slots=True)
class Hardware:
    """The hardware that is copied from a VM template; it can be changed before a VM is created with it.

    ``disk_controller`` is the kind of the controller of the disk: pvscsi, lsi_sas, lsi_logic, bus_logic, nvme or ahci; None if
    the template has no disk controller. ``controller`` is that controller of the template, ``disk_unit`` the unit number of the
    disk on it. ``nic_count`` adapters of type VMXNET3 are created, on ``networks`` (name and managed object, in the order of the
    adapters), with the settings of ``adapters``. ``settings``, ``flags``, ``boot`` and ``devices`` are pyVmomi values.
    ``template`` is the vim.vm.ConfigInfo with which VMs are compared. ``remarks`` are warnings about the hardware.
    """

    guest_id: str = "windows9_64Guest"
    version: str = "vmx-13"
    cpus: int = 2
    cores_per_socket: int = 1
    memory_mib: int = 4096
    firmware: str = "bios"
    secure_boot: bool = False
    disk_controller: str | None = "lsi_sas"
    controller: Any = None
    disk_unit: int = 0
    nic_count: int = 1
    networks: list[tuple[str, Any]] = field(default_factory=list)
    adapters: list[Any] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    flags: dict[str, Any] = field(default_factory=dict)
    boot: dict[str, Any] = field(default_factory=dict)
    extra_config: dict[str, str] = field(default_factory=dict)
    devices: list[Any] = field(default_factory=list)
    name: str = ""
    template: Any = None
    remarks: list[str] = field(default_factory=list)


def read_hardware(session: Session, vm: Any) -> Hardware:
    """Return the hardware of a VM template or VM without its disks, identities and MAC addresses."""
    values = read(session, vm, "name", "config", "network", subject="Reading the VM template")
    config = values["config"]
    devices = list(config.hardware.device or [])
    nics = [device for device in devices if isinstance(device, pyvmomi.vim.vm.device.VirtualEthernetCard)]
    controller = boot_controller(devices)
    copied = copied_devices(devices, controller)
    automatic_cores = bool(getattr(config.hardware, "autoCoresPerSocket", None)) and has_automatic_topology(config)
    hardware = Hardware(
        guest_id=config.guestId or "windows9_64Guest",
        version=config.version,
        cpus=config.hardware.numCPU,
        # 0: vCenter chooses the number.
        cores_per_socket=0 if automatic_cores else config.hardware.numCoresPerSocket or 1,
        memory_mib=config.hardware.memoryMB,
        firmware=config.firmware or "bios",
        secure_boot=bool(config.bootOptions and config.bootOptions.efiSecureBootEnabled),
        disk_controller=None if controller is None else controller_kind(controller),
        controller=controller,
        disk_unit=0 if controller is None else free_unit(copied, controller),
        nic_count=len(nics) or 1,
        networks=_networks(session, nics, values.get("network", [])),
        adapters=nics,
        settings=copied_settings(config),
        flags=copied_flags(config),
        boot=copied_boot_options(config),
        extra_config=copied_extra_config(config),
        devices=copied,
        name=plain_name(values.get("name", "the template")),
        template=config,
    )
    hardware.remarks = _remarks(hardware, devices)
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
    adapters = [change.device for change in spec.deviceChange or [] if _is_adapter(change.device)]
    for template, adapter in zip(hardware.adapters, adapters, strict=False):
        apply_adapter(template, adapter)
    _apply_devices(hardware, spec)


def option_values(options: dict[str, str]) -> list[Any]:
    """Return extraConfig for a ConfigSpec."""
    return [pyvmomi.vim.option.OptionValue(key=key, value=str(value)) for key, value in options.items()]


def _typed(kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    known = {info.name for info in kind._GetPropertyList()}
    return {name: value for name, value in values.items() if name in known}


def _is_adapter(device: Any) -> bool:
    return isinstance(device, pyvmomi.vim.vm.device.VirtualEthernetCard)


def _remarks(hardware: Hardware, devices: list[Any]) -> list[str]:
    """Return sentences about hardware that is not copied, or whose copy restricts where VMs can run."""
    kinds, name = pyvmomi.vim.vm.device, hardware.name
    remarks = []
    if any(not isinstance(nic, kinds.VirtualVmxnet3) for nic in hardware.adapters):
        remarks.append(f"A network adapter of {name} is not of type VMXNET3; VMs that are created from it get VMXNET3.")
    if any(isinstance(device, kinds.VirtualDisk) for device in devices):
        remarks.append(f"The disks of {name} are not copied.")
    if any(isinstance(device, kinds.VirtualTPM) for device in devices):
        remarks.append(f"The virtual TPM of {name} is not copied.")
    for device in hardware.devices:
        if isinstance(device, kinds.VirtualPCIPassthrough) and isinstance(
            device.backing, kinds.VirtualPCIPassthrough.DeviceBackingInfo
        ):
            remarks.append(
                f"The PCI device {device.backing.id} of {name} belongs to one host; VMs with it run on that host only."
            )
    for setting, subject in (("cpuAffinity", "processors"), ("memoryAffinity", "NUMA nodes")):
        if setting in hardware.settings:
            places = ", ".join(map(str, hardware.settings[setting].affinitySet))
            remarks.append(
                f"{name} is bound to the {subject} {places} of a host, and so are VMs that are created from it."
            )
    for key, value in hardware.extra_config.items():
        # Hardening guides recommend this setting.
        if key.lower() == "isolation.tools.setinfo.disable" and value.lower() in ("true", "1"):
            remarks.append(f"{name} has the setting {key}, so that Windows cannot report the results of its scripts.")
    return remarks


def _apply_devices(hardware: Hardware, spec: Any) -> None:
    """Add the copied devices to a ConfigSpec, and give the controller of its disk the settings of the template's controller."""
    vm = pyvmomi.vim.vm
    changes = list(spec.deviceChange or [])
    if any(isinstance(device, vm.device.VirtualVideoCard) for device in hardware.devices):
        # A VM has one video card, which the specification of vCenter may contain already.
        changes = [change for change in changes if not isinstance(change.device, vm.device.VirtualVideoCard)]
    used = {change.device.key for change in changes}
    keys: dict[int, int] = {}
    disk = next((change.device for change in changes if isinstance(change.device, vm.device.VirtualDisk)), None)
    if disk is not None and hardware.controller is not None:
        disk.unitNumber = hardware.disk_unit
        keys[hardware.controller.key] = disk.controllerKey
        for change in changes:
            if change.device.key == disk.controllerKey:
                change.device = _disk_controller(hardware.controller, change.device)
    free = (key for key in range(_FIRST_KEY, _FIRST_KEY - 10000, -1) if key not in used)
    for device in hardware.devices:
        # Default devices keep their keys: vSphere uses the device with that key and does not create its own.
        keep = isinstance(device, vm.device.VirtualVideoCard)
        keys[device.key] = device.key if keep else next(free)
    controllers = {device.key: device for device in (*hardware.devices, hardware.controller) if device is not None}
    for device in hardware.devices:
        added = copy.copy(device)
        added.key = keys[device.key]
        if not (on_storage(device, controllers) or device.controllerKey in (200, 201)):
            # The host chooses the place on buses such as PCI.
            added.unitNumber = None
        if device.controllerKey is not None and device.controllerKey not in _DEFAULT_CONTROLLERS:
            added.controllerKey = keys.get(device.controllerKey)
        changes.append(vm.device.VirtualDeviceSpec(operation="add", device=added))
    spec.deviceChange = changes


def _disk_controller(template: Any, described: Any) -> Any:
    """Return the template's controller with the key that CreateImportSpec gave to the controller of the disk."""
    controller = copy.copy(template)
    controller.key, controller.controllerKey = described.key, described.controllerKey
    controller.unitNumber = controller.deviceInfo = controller.slotInfo = None
    controller.device = described.device
    return controller


def _networks(session: Session, nics: list[Any], networks: list[Any]) -> list[tuple[str, Any]]:
    """Return name and managed object of each adapter's network; adapters refer to their network in four kinds of backing."""
    found = []
    names, by_port_group, by_segment = {}, {}, {}
    for network in networks:
        is_group = isinstance(network, pyvmomi.vim.dvs.DistributedVirtualPortgroup)
        values = read(session, network, *(("name", "key") if is_group else ("name",)))
        names[network] = plain_name(values["name"])
        by_port_group[values.get("key")] = network
        if isinstance(network, pyvmomi.vim.OpaqueNetwork):
            summary = read(session, network, "summary").get("summary")
            by_segment[getattr(summary, "opaqueNetworkId", "")] = network
    for nic in nics:
        backing = nic.backing
        network = getattr(backing, "network", None)
        port = getattr(backing, "port", None)
        if port is not None:
            network = by_port_group.get(port.portgroupKey)
        if network is None:
            network = by_segment.get(getattr(backing, "opaqueNetworkId", None))
        if network is None:
            device = getattr(backing, "deviceName", None)
            network = next((item for item, name in names.items() if name == device), None)
        if network is not None and network in names:
            found.append((names[network], network))
    return found
