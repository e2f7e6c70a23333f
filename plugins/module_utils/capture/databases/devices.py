# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Software devices: root-enumerated devices and software devices that agents install.

No bus reports them, so Windows does not find them again: a layer without them loses the virtual USB hub or the audio
device of an agent for good. A device is taken with everything that belongs to it, or not at all.

Sources: Microsoft Learn, "Using Device Installation Functions" (root-enumerated devices), "Software Device API";
Citrix CTX228981 (devices of an agent that exist only in the registry). That Windows creates the devices in
``WINDOWS_OWN`` by itself is knowledge without such a source, confirmed by the INF files of a real installation.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...windows.startup_files import volume_path
from ...winregistry.hive_model import Key
from ..rule import Rule
from . import driver_packages
from .compared import Compared
from .device_tree import NETWORK_CLASS, Device, container_members, interface_owners, read_devices
from .driver_packages import new_packages, package_rules, removal_rules

NAME = "software_devices"
#: Software devices (SWD\<name>) that services of Windows create when they start: for print queues, audio endpoints, ...
WINDOWS_OWN = frozenset(
    (
        *("BTH", "COMPUTER", "DAFUPNPPROVIDER", "DAFWSDPROVIDER", "DRIVERENUM", "GENERIC", "IP_TUNNEL_VBUS", "IVSS"),
        *("MMDEVAPI", "MSDAS", "MSRRAS", "PRINTENUM", "RADIO", "SCDEVICEENUM", "SENSORSANDLOCATIONENUM"),
        *("WPDBUSENUM",),
    )
)
_MAX_NAMES, _MAX_PATH = 60, 4000
_SET = "SYSTEM\\CurrentControlSet\\"
#: Below these keys, the settings of a network adapter are in a key with its ID.
_ADAPTER_KEYS = (
    f"Control\\Network\\{NETWORK_CLASS}",
    "Control\\NetworkSetup2\\Interfaces",
    "Services\\Tcpip\\Parameters\\Interfaces",
    "Services\\Tcpip6\\Parameters\\Interfaces",
)


@dataclass(frozen=True)
class SoftwareDevices:
    """The software devices that a layer takes, by folded instance path.

    ``added`` are new or have a different driver, ``removed`` existed in the image only, or were a different network adapter there.
    """

    added: dict[str, Device]
    removed: dict[str, Device]

    @property
    def adapters(self) -> frozenset[str]:
        """The IDs of the network adapters among them, in lower case."""
        devices = (*self.added.values(), *self.removed.values())
        return frozenset(device.adapter for device in devices if device.adapter)


@functools.lru_cache(maxsize=1)
def software_devices(compared: Compared) -> SoftwareDevices:
    """Return the software devices that differ between the image and the packaging machine."""
    before = read_devices(compared.before.control) if compared.before is not None else {}
    after = read_devices(compared.after.control)
    added = {
        path: device
        for path, device in after.items()
        if is_software(device) and (path not in before or before[path].installation() != device.installation())
    }
    removed = {
        path: device
        for path, device in before.items()
        if is_software(device) and (path not in after or path in added and device.adapter != after[path].adapter)
    }
    return SoftwareDevices(added, removed)


def is_software(device: Device) -> bool:
    """Return whether a device exists only in the registry, and Windows does not create it by itself.

    A software device is that of an agent if its driver is not one of Windows.
    """
    if device.enumerator == "ROOT":
        return True
    return device.enumerator == "SWD" and device.kind not in WINDOWS_OWN and device.inf.startswith("oem")


def find_devices(compared: Compared) -> list[Rule]:
    """Return the rules that take software devices with everything that belongs to them, and new driver packages."""
    devices = software_devices(compared)
    used = {device.inf for device in devices.added.values()}
    rules = list(_rules(compared.after.control, devices.added))
    if compared.before is not None:
        rules += _removals(compared.before.control, compared.after.control, devices.removed)
    rules += _services(compared, devices.added)
    rules += removal_rules(compared)
    for package in new_packages(compared):
        # Packages of hardware and printers are taken as well: Windows installs them again from the driver store.
        rules += package_rules(package, NAME if package.inf in used else driver_packages.NAME)
    return [rule for rule in rules if _is_path(rule.pattern)]


def _is_path(pattern: str) -> bool:
    """Return whether a path that values of the registry name can exist."""
    names = pattern.split("\\")
    return all(names) and len(names) < _MAX_NAMES and len(pattern) < _MAX_PATH


def _rules(control: Key, devices: dict[str, Device]) -> Iterator[Rule]:
    """Yield the rules for the keys of ``devices``, which have their names in ``control``."""
    for path, owner in interface_owners(control):
        if owner in devices:
            yield _take(f"Control\\DeviceClasses\\{path}")
    for device in devices.values():
        yield _take(f"Enum\\{device.path}")
        if device.driver:
            yield _take(f"Control\\Class\\{device.driver}")
        if device.video:
            yield _take(f"Control\\Video\\{device.video}")
        if device.adapter:
            yield from (_take(f"{key}\\{device.adapter}") for key in _ADAPTER_KEYS)
        yield from _container(control, device, devices)


def _removals(before: Key, after: Key, devices: dict[str, Device]) -> Iterator[Rule]:
    """Yield the rules that remove ``devices`` of the image. A key that is gone with the keys above it is named by these."""
    numbers = {device.driver.lower() for device in devices.values() if device.driver}
    for rule in _rules(before, devices):
        names = rule.pattern.removeprefix(_SET).split("\\")
        if rule.value is None and "\\".join(names[2:]).lower() in numbers and after.key("\\".join(names)) is not None:
            continue  # The number belongs to a different device now.
        while len(names) > 2 and after.key("\\".join(names[:-1])) is None:
            names.pop()
        yield replace(rule, pattern=_SET + "\\".join(names), value=rule.value if after.key("\\".join(names)) else None)


def _container(control: Key, device: Device, devices: dict[str, Device]) -> Iterator[Rule]:
    members = container_members(control, device.container)
    if members and members <= devices.keys():
        yield _take(f"Control\\DeviceContainers\\{device.container}")
    elif members:
        # The computer itself is the container of most software devices; it has a value for each device.
        key = f"{_SET}Control\\DeviceContainers\\{device.container}\\BaseContainers\\{device.container}"
        yield Rule(key, NAME, True, device.path, True, NAME, literal=True)


def _services(compared: Compared, devices: dict[str, Device]) -> Iterator[Rule]:
    """Yield the rules for the services that came with ``devices``, and their programs."""
    before = compared.before.control if compared.before is not None else None
    for service in sorted({device.service for device in devices.values() if device.service}):
        # The value can also be the name of a driver object, \\Driver\\X.
        if "\\" not in service and (before is None or before.key(f"Services\\{service}") is None):
            yield _take(f"Services\\{service}")
            program = volume_path(compared.after.service(service)[1], service)
            if program is not None:
                yield Rule(program.replace("/", "\\"), NAME, include=True, database=NAME, literal=True)


def _take(path: str) -> Rule:
    return Rule(_SET + path, NAME, True, None, True, NAME, literal=True)
