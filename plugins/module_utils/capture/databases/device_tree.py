# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices that a Windows installation knows, and what belongs to each of them in the hive SYSTEM.

A device is the key ``Enum\\<enumerator>\\<device>\\<instance>``. Its value Driver names the key below ``Control\\Class``
that it owns; this key is numbered per computer. Source: Microsoft Learn, "Registry Trees and Keys for Devices and
Drivers", "Device Instance IDs" and "Device Identification Strings".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...winregistry.hive_model import Key
from ...winregistry.registry_values import decode_string
from ...winregistry.upcase import WINDOWS

#: The setup class of network adapters (GUID_DEVCLASS_NET).
NETWORK_CLASS = "{4d36e972-e325-11ce-bfc1-08002be10318}"
#: Values of a class key that change only when another driver is installed.
_DRIVER_VALUES = ("InfPath", "InfSection", "DriverVersion", "DriverDate", "ProviderName", "NetCfgInstanceId")


@dataclass(frozen=True)
class Device:
    """A device: its instance path (``ROOT\\NET\\0000``) and its key below Enum.

    ``driver`` is the path of its key below ``Control\\Class`` ("" if it has none), ``settings`` that key, ``service`` the
    name of the service that drives it, ``container`` the ID of its device container.
    """

    path: str
    key: Key
    driver: str
    settings: Key | None
    service: str
    container: str

    @property
    def enumerator(self) -> str:
        """The bus or component that found the device, in upper case."""
        return self.path.partition("\\")[0].upper()

    @property
    def kind(self) -> str:
        """The device ID without the enumerator, in upper case."""
        return self.path.split("\\")[1].upper()

    @property
    def inf(self) -> str:
        """The name of the INF file that the device was installed with, in lower case."""
        return self.setting("InfPath").lower()

    @property
    def adapter(self) -> str:
        """The ID of a network adapter in lower case, "" for other devices."""
        is_network = self.driver.lower().startswith(NETWORK_CLASS)
        return self.setting("NetCfgInstanceId").lower() if is_network else ""

    @property
    def video(self) -> str:
        """The ID that a display adapter has below ``Control\\Video``, "" for other devices."""
        return _text(self.key.key("Device Parameters"), "VideoID")

    def setting(self, name: str) -> str:
        """Return a text of the class key, "" if it does not exist."""
        return _text(self.settings, name)

    def installation(self) -> tuple[str, ...]:
        """Return what changes only when a driver is installed for the device."""
        return self.driver.lower(), self.service.lower(), *(self.setting(name) for name in _DRIVER_VALUES)


def read_devices(control: Key) -> dict[str, Device]:
    """Return the devices of a control set by folded instance path."""
    devices = {}
    for enumerator in _subkeys(control.key("Enum")):
        for kind in _subkeys(enumerator):
            for instance in _subkeys(kind):
                path = f"{enumerator.name}\\{kind.name}\\{instance.name}"
                driver = _text(instance, "Driver")
                settings = control.key(f"Control\\Class\\{driver}") if driver.count("\\") == 1 else None
                devices[WINDOWS.fold(path)] = Device(
                    path,
                    instance,
                    driver if settings is not None else "",
                    settings,
                    _text(instance, "Service"),
                    _text(instance, "ContainerID"),
                )
    return devices


def interface_owners(control: Key) -> Iterator[tuple[str, str]]:
    """Yield (path below ``Control\\DeviceClasses``, folded instance path of the owner) of device interfaces."""
    for interface_class in _subkeys(control.key("Control\\DeviceClasses")):
        for interface in _subkeys(interface_class):
            owner = _text(interface, "DeviceInstance")
            if owner:
                yield f"{interface_class.name}\\{interface.name}", WINDOWS.fold(owner)


def container_members(control: Key, container: str) -> set[str]:
    """Return the folded instance paths of the devices in a device container."""
    base = control.key(f"Control\\DeviceContainers\\{container}\\BaseContainers") if container else None
    return {WINDOWS.fold(value.name) for below in _subkeys(base) for value in below.values.values()}


def _subkeys(key: Key | None) -> list[Key]:
    return list(key.subkeys.values()) if key is not None else []


def _text(key: Key | None, name: str) -> str:
    return (decode_string(key.value(name)) or "") if key is not None else ""
