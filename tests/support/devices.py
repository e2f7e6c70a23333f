# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices and driver packages as an installer adds them to the hives and the volume of a packaging machine."""

from __future__ import annotations

import types
from dataclasses import dataclass

from ...plugins.module_utils.capture.databases.all import cleanings, database_rules, found_rules
from ...plugins.module_utils.capture.databases.compared import Compared
from ...plugins.module_utils.capture.hive_changes import filter_delta
from ...plugins.module_utils.capture.rules import LeftOut, RuleSet, default_rules, windows_rules
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.windows.installation import WindowsInstallation
from ...plugins.module_utils.winregistry.delta import Delta
from ...plugins.module_utils.winregistry.delta_compute import compute_delta
from ...plugins.module_utils.winregistry.hive_model import Hive, Key
from ...plugins.module_utils.winregistry.registry_values import current_control_set
from ..sample.hives import put, put_all
from .volume_changes import edit_hive
from .volume_changes import put as put_file

USB_CLASS = "{36fc9e60-c465-11cf-8056-444553540000}"
NETWORK_CLASS = "{4d36e972-e325-11ce-bfc1-08002be10318}"
#: The device container of the computer itself.
COMPUTER = "{00000000-0000-0000-ffff-ffffffffffff}"
INTERFACE = "{f18a0e88-c30c-11d0-8815-00a0c906bed8}"
CONTROL_SET = "ControlSet001\\"


@dataclass(frozen=True)
class NewDevice:
    """A device that an installer adds, with a driver package if ``package`` is not empty."""

    path: str
    driver: str = f"{USB_CLASS}\\0007"
    service: str = "virtualhub"
    inf: str = "oem11.inf"
    package: str = "virtualhub.inf_amd64_0123456789abcdef"
    adapter: str = ""
    container: str = COMPUTER
    hardware_id: str = ""

    @property
    def interface(self) -> str:
        """The key of its device interface below ``Control\\DeviceClasses``."""
        return f"{INTERFACE}\\##?#{self.path.replace(chr(92), '#')}#{INTERFACE}"

    def keys(self) -> list[str]:
        """Return the keys that belong to the device, below the control set."""
        keys = [f"Enum\\{self.path}", f"Control\\Class\\{self.driver}", f"Control\\DeviceClasses\\{self.interface}"]
        keys.append(f"Services\\{self.service}")
        if self.adapter:
            keys.append(f"Control\\Network\\{NETWORK_CLASS}\\{self.adapter}")
            keys.append(f"Control\\NetworkSetup2\\Interfaces\\{self.adapter}")
            keys.append(f"Services\\Tcpip\\Parameters\\Interfaces\\{self.adapter}")
        return keys

    def add(self, root: Key) -> None:
        """Add the device to a hive SYSTEM, as Plug and Play does."""
        control = CONTROL_SET + "Control\\"
        name = self.path.split("\\")[1]
        put(
            root,
            f"{CONTROL_SET}Enum\\{self.path}",
            DeviceDesc=f"@{self.inf},%name%;Virtual",
            HardwareID=[self.hardware_id or f"root\\{name.lower()}"],
            ClassGUID=self.driver.partition("\\")[0],
            Driver=self.driver,
            Service=self.service,
            ContainerID=self.container,
            ConfigFlags=0,
        )
        class_id = self.driver.partition("\\")[0]
        put(root, f"{control}Class\\{class_id}", Class="Net" if class_id == NETWORK_CLASS else "USB")
        put(root, f"{control}Class\\{self.driver}", DriverDesc="Virtual", InfPath=self.inf, DriverVersion="1.0")
        put(root, f"{control}DeviceClasses\\{self.interface}", DeviceInstance=self.path)
        put(root, f"{control}DeviceClasses\\{self.interface}\\#", SymbolicLink=self.interface.partition("\\")[2])
        container = f"{control}DeviceContainers\\{self.container}\\BaseContainers\\{self.container}"
        put_all(root, container, {self.path: (0, b"")})
        put(root, f"{CONTROL_SET}Services\\{self.service}", Type=1, Start=3, Owners=[self.inf])
        image = f"\\SystemRoot\\System32\\drivers\\{self.service}.sys"
        put(root, f"{CONTROL_SET}Services\\{self.service}", ImagePath=image)
        if self.adapter:
            put(root, f"{control}Class\\{self.driver}", NetCfgInstanceId=self.adapter, DeviceInstanceID=self.path)
            put(root, f"{control}Class\\{self.driver}", NetLuidIndex=0x8003)
            put(root, f"{control}Network\\{NETWORK_CLASS}\\{self.adapter}\\Connection", PnPInstanceId=self.path)
            put(root, f"{control}NetworkSetup2\\Interfaces\\{self.adapter}\\Kernel", IfType=6, NetLuidIndex=0x8003)
            put(root, f"{CONTROL_SET}Services\\Tcpip\\Parameters\\Interfaces\\{self.adapter}", EnableDHCP=1)
            put(root, f"{CONTROL_SET}Services\\Tcpip\\Parameters\\Adapters\\{self.adapter}", LLInterface="")

    def add_package(self, root: Key) -> None:
        """Add the driver package to a driver database (the hive SYSTEM or DRIVERS)."""
        name = self.path.split("\\")[1].lower()
        put_all(root, f"DriverDatabase\\DriverPackages\\{self.package}", {"": self.inf, "InfName": "virtual.inf"})
        put_all(root, f"DriverDatabase\\DriverInfFiles\\{self.inf}", {"": [self.package], "Active": self.package})
        put_all(root, f"DriverDatabase\\DeviceIds\\root\\{name}", {self.inf: b"\1\xff\0\0"})
        put_all(root, "DriverDatabase", {"OemInfMap": b"\xff\xf0"})

    def install(self, volume: Volume, database: str = "SYSTEM") -> None:
        """Add the device to a volume, with its driver package in the driver database ``database``."""
        config = "Windows/System32/config/"
        edit_hive(volume, config + "SYSTEM", self.add)
        edit_hive(volume, config + database, self.add_package)
        put_file(volume, f"Windows/System32/DriverStore/FileRepository/{self.package}/virtual.inf", b"[Version]")
        put_file(volume, f"Windows/System32/drivers/{self.service}.sys", b"MZ")
        put_file(volume, f"Windows/INF/{self.inf}", b"[Version]")
        put_file(volume, f"Windows/INF/{self.inf.removesuffix('.inf')}.PNF", b"compiled")
        catalogs = "Windows/System32/CatRoot/{F750E6C3-38EE-11D1-85E5-00C04FC295EE}/"
        put_file(volume, f"{catalogs}{self.inf.removesuffix('.inf')}.cat", b"catalog")


def installation(system: Hive) -> WindowsInstallation:
    """Return an installation with this hive, an empty hive SOFTWARE, and an empty volume."""
    volume = types.SimpleNamespace(find=lambda path: None)
    return WindowsInstallation(volume, system, Hive.new("SOFTWARE"), current_control_set(system))  # type: ignore[arg-type]


def captured_delta(before: Hive, after: Hive, *given: object) -> tuple[Delta, RuleSet, list[dict]]:
    """Return the delta of the hive SYSTEM of a capture before it gets numbers, the rules, and the report of what was left out."""
    compared = Compared(installation(before), installation(after), "app")
    delta = compute_delta(before, after, name="SYSTEM")
    control = current_control_set(before)
    defaults = [*windows_rules(control), *default_rules(), *database_rules("app"), *found_rules(compared)]
    rules = RuleSet([*defaults, *given], current=control.name)  # type: ignore[list-item]
    for step in cleanings(compared, ()):
        step(delta)
    left_out = LeftOut(examples=1000)
    filter_delta(delta, rules, left_out)
    return delta, rules, left_out.report()
