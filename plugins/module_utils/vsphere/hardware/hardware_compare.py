# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The differences between the hardware of a VM and the hardware of the VM template from which it was created.

All of ConfigInfo is compared, including settings that this collection does not know, except what must differ: see ``_OWN``,
``_OWN_OF_DEVICES`` and ``_is_compared``. What a template leaves unset is not compared: the server fills it with its default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...common.errors import StrataError
from ...common.optional_imports import pyvmomi
from ..properties import read
from ..session import Session
from .hardware import Hardware
from .hardware_copy import copied_extra_config, has_own_bandwidth, on_storage

#: Settings below ``config`` that must or may differ, with everything below them.
_OWN = frozenset(
    (
        # The identity of a VM: names, IDs, times, files, notes, and who manages it.
        *("name", "uuid", "instanceUuid", "locationId", "template", "annotation", "files", "datastoreUrl"),
        *("changeVersion", "createDate", "modified", "vmxConfigChecksum", "vmStorageObjectId", "swapStorageObjectId"),
        *("managedBy", "contentLibItemInfo", "forkConfigInfo", "npivNodeWorldWideName", "npivPortWorldWideName"),
        *("npivWorldWideNameType", "npivDesiredNodeWwns", "npivDesiredPortWwns", "ftInfo", "repConfig"),
        # The state of the last run, and what the host or VMware Tools report.
        *("initialOverhead", "vmxRuntimeConfig", "deviceSwap", "flags.snapshotLocked", "flags.faultToleranceType"),
        *("cpuAllocation.overheadLimit", "memoryAllocation.overheadLimit", "bootOptions.enterBIOSSetup"),
        *("tools.toolsVersion", "tools.toolsInstallType", "tools.lastInstallInfo", "tools.pendingCustomization"),
        *("tools.customizationKeyId", "scheduledHardwareUpgradeInfo.scheduledHardwareUpgradeStatus"),
        "scheduledHardwareUpgradeInfo.fault",
        # What follows from other settings.
        *("guestFullName", "hotPlugMemoryLimit", "hotPlugMemoryIncrementSize", "defaultPowerOps.defaultPowerOffType"),
        *("defaultPowerOps.defaultSuspendType", "defaultPowerOps.defaultResetType"),
        # Changed block tracking belongs to disks. Devices and extraConfig are compared in another way.
        *("changeTrackingEnabled", "hardware.device", "extraConfig"),
    )
)
#: The same for the properties of devices: labels, places that the host chooses, states, addresses.
_OWN_OF_DEVICES = frozenset(
    (
        *("key", "controllerKey", "unitNumber", "deviceInfo", "slotInfo", "device", "running", "id"),
        *("connectable.connected", "connectable.status", "backing.assignedId", "backing.vgpuMigrateDataSizeMB"),
        *("backing.migrateSupported", "backing.enhancedMigrateCapability"),
        *("macAddress", "addressType", "externalId", "subnetId"),
    )
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a VM that differs from its template; ``expected`` and ``found`` are texts."""

    setting: str
    expected: str
    found: str


def hardware_warnings(session: Session, vm: Any, name: str, hardware: Hardware) -> list[str]:
    """Return a sentence for each setting in which a VM differs from the template with which ``hardware`` was read.

    The VM is complete by then, so that a fault of this check is a sentence too.
    """
    if hardware.template is None:
        return []
    try:
        config = read(session, vm, "config", subject=f"Reading the hardware of {name}")["config"]
    except StrataError as error:
        return [f"The hardware of {name} was not compared with the VM template {hardware.name}: {error.message}"]
    return [
        f"The setting {entry.setting} of {name} is {entry.found}; the VM template {hardware.name} has {entry.expected}."
        for entry in differences(hardware.template, config)
    ]


def differences(template: Any, made: Any) -> list[Difference]:
    """Return the differences between two vim.vm.ConfigInfo: settings, devices, and extraConfig of the template."""
    expected, found = _settings(template), _settings(made)
    result = [*_compare(expected, found)]
    result += _compare(_devices(template.hardware.device or []), _devices(made.hardware.device or []), devices=True)
    options = {option.key.lower(): str(option.value) for option in made.extraConfig or []}
    for key, value in copied_extra_config(template).items():
        # The server may write TRUE where the template has true.
        if options.get(key.lower(), "").lower() != value.lower():
            result.append(Difference(f"extraConfig {key}", _text(value), _text(options.get(key.lower()))))
    return result


def _compare(expected: dict[str, Any], found: dict[str, Any], *, devices: bool = False) -> Iterator[Difference]:
    whole = {path for path, value in expected.items() if found.get(path) != value}
    for path, value in expected.items():
        other = found.get(path)
        if value == other or (_is_empty(value) and _is_empty(other)) or any(map(whole.__contains__, _above(path))):
            continue
        yield Difference(path, _text(value), _text(other))
    if devices:
        for path, value in found.items():
            if value is _PRESENT and path not in expected:
                yield Difference(path, "no such device", "present")


def _above(path: str) -> Iterator[str]:
    """Yield the paths above ``path``: a missing or different object is one difference, not one for each of its properties."""
    for position, character in enumerate(path):
        if character == ".":
            yield path[:position]


class _Present:
    """The value of a device itself."""

    def __str__(self) -> str:
        return "present"


_PRESENT = _Present()


def _settings(config: Any) -> dict[str, Any]:
    values = dict(_flatten(config, ""))
    if values.get("hardware.autoCoresPerSocket"):
        values.pop("hardware.numCoresPerSocket", None)
    if values.get("numaInfo.autoCoresPerNumaNode"):
        values.pop("numaInfo.coresPerNumaNode", None)
    return values


def _devices(devices: list[Any]) -> dict[str, Any]:
    """Return the properties of all compared devices by ``<class> <number>.<property>``, and each device itself."""
    controllers = {device.key: device for device in devices}
    counts: dict[str, int] = {}
    values: dict[str, Any] = {}

    def position(device: Any) -> tuple[int, int, int]:
        controller = controllers.get(device.controllerKey)
        unit = device.unitNumber if device.unitNumber is not None else -1
        bus = device if hasattr(device, "busNumber") else controller
        return (getattr(bus, "busNumber", 0), unit if on_storage(device, controllers) else -1, device.key)

    for device in sorted(filter(_is_compared, devices), key=position):
        kind = _kind(device)
        number = counts[kind] = counts.get(kind, -1) + 1
        label = f"{kind} {number}"
        values[label] = _PRESENT
        for path, value in _flatten(device, "", _OWN_OF_DEVICES | _skipped(device)):
            values[f"{label}.{path}"] = value
        if on_storage(device, controllers):
            controller = controllers[device.controllerKey]
            values[f"{label}.controller"] = f"{_kind(controller)} {controller.busNumber}"
            values[f"{label}.unitNumber"] = device.unitNumber
    return values


def _is_compared(device: Any) -> bool:
    """Return whether a device belongs to the hardware of a template; remarks are made about disks and TPMs."""
    kinds = pyvmomi.vim.vm.device
    return not isinstance(device, (kinds.VirtualDisk, kinds.VirtualTPM))


def _kind(device: Any) -> str:
    """Return the class of a device; adapters are always VMXNET3, and a remark names other types of the template."""
    if isinstance(device, pyvmomi.vim.vm.device.VirtualEthernetCard):
        return "network adapter"
    return str(device._wsdlName)


def _skipped(device: Any) -> set[str]:
    """Return properties of adapters that differ: the connector selects networks, and only some have default bandwidths."""
    if not isinstance(device, pyvmomi.vim.vm.device.VirtualEthernetCard):
        return set()
    return {"backing"} if has_own_bandwidth(device) else {"backing", "resourceAllocation"}


def _flatten(value: Any, path: str, own: frozenset[str] = _OWN) -> Iterator[tuple[str, Any]]:
    """Yield path and value of everything below a data object, without what is unset."""
    for info in value._GetPropertyList():
        if info.name in ("dynamicType", "dynamicProperty", "deviceKey"):
            # A key of a device (in the boot order) belongs to one VM.
            continue
        below = f"{path}.{info.name}" if path else info.name
        item = getattr(value, info.name, None)
        if below not in own and item is not None:
            yield from _entry(item, below, own)


def _entry(item: Any, path: str, own: frozenset[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(item, pyvmomi.vmodl.DynamicData):
        if path == "backing":
            yield "backing", str(item._wsdlName)
        if path.endswith(".shares") and item.level != "custom":
            # The number of shares follows from the level.
            yield path, str(item.level)
        else:
            yield from _flatten(item, path, own)
    elif isinstance(item, list) and any(isinstance(entry, pyvmomi.vmodl.DynamicData) for entry in item):
        for number, entry in enumerate(item):
            below = f"{path}[{_name(entry, number)}]"
            yield below, str(entry._wsdlName)
            yield from _flatten(entry, below, own)
    else:
        yield path, sorted(item) if isinstance(item, list) else item


def _name(entry: Any, number: int) -> str:
    """Return what identifies an entry of a list: a CPUID level, the key of a vApp property, or else its number."""
    level = getattr(entry, "level", None)
    if level is not None:
        return f"{level & 0xFFFFFFFF:#x}" + (f" {entry.vendor}" if getattr(entry, "vendor", None) else "")
    key = getattr(entry, "key", None)
    return str(number if key is None else key)


def _is_empty(value: Any) -> bool:
    """Return whether a value means the same as an unset one; -1 means "no limit" and "any NUMA node"."""
    return value is None or value is False or value in (0, -1, "", [])


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "empty"
    return f'"{value}"' if isinstance(value, str) else str(value)
