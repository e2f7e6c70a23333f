# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk controllers of vSphere from which an offline Windows installation can start.

The boot loader loads only drivers whose service has the start type "boot". Windows changes that at run time: it writes
Start=0 for all its disk drivers, and a value 3 below the key StartOverride of those that the computer did not need. A
driver without its controller is then left out at the next start, and Windows stops with INACCESSIBLE_BOOT_DEVICE when
its disk is attached to that controller. VMware Tools add the package of PVSCSI to the driver store; its service is
installed when a VM has that controller.

Sources: the SYSTEM hive of a VM with Windows 10 in the test data of dissect.regf (LSI_SAS has Start=0 and
StartOverride\\0=3, pvscsi has a key without values), Broadcom KB 310144, and the repair scripts of Azure, which reset
StartOverride of disk drivers (Azure/SAP-on-Azure-Scripts-and-Utilities#147, Azure/repair-script-library#156).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..winregistry.hive_model import Key
from ..winregistry.registry_values import decode_integer, decode_string
from .startup_files import volume_path

_BOOT_START = 0
#: The values of a service that decide whether the boot loader loads it.
SERVICE_VALUES = ("START", "IMAGEPATH", "DELETEFLAG")
START_OVERRIDE = "StartOverride"

#: Services that drive a disk controller of vSphere, by the name of the controller in this collection. The LSI Logic SAS
#: controller of vSphere (PCI 1000:0054) is a device of LSI_SAS only; LSI_SAS2i and LSI_SAS3i drive other chips. Windows 10
#: and later have no driver for LSI Logic Parallel (LSI_SCSI was part of Windows 7), and no 64-bit edition has one for BusLogic.
DRIVERS: dict[str, tuple[str, ...]] = {
    "pvscsi": ("pvscsi",),
    "lsi_sas": ("LSI_SAS",),
    "lsi_logic": ("LSI_SCSI",),
    "bus_logic": (),
    "nvme": ("stornvme",),
    "ahci": ("storahci",),
}


@dataclass(frozen=True, slots=True)
class DriverState:
    """A disk driver: its service, its path on the volume, and why Windows cannot start with it (empty if it can)."""

    service: str
    path: str | None
    problem: str


def driver_states(control: Key, controller: str, exists: Callable[[str], bool]) -> tuple[DriverState, ...]:
    """Return the states of the drivers of a controller.

    ``control`` is the key of the current control set; ``exists`` returns whether the volume has a file at a path.
    """
    return tuple(_state(control, service, exists) for service in DRIVERS[controller])


def boot_controllers(control: Key, exists: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the names of the controllers from which Windows can start; the parameters are those of ``driver_states``."""
    return tuple(name for name in DRIVERS if any(not state.problem for state in driver_states(control, name, exists)))


def driver_names(controller: str) -> str:
    """Return the names of a controller's drivers as text; "none" if Windows has no driver for it."""
    return " or ".join(DRIVERS[controller]) or "none"


def known(controllers: Iterable[object]) -> tuple[str, ...]:
    """Return the controllers of a stored fact that this version of the collection knows, in the order of ``DRIVERS``."""
    stored = set(controllers)
    return tuple(name for name in DRIVERS if name in stored)


def _state(control: Key, service: str, exists: Callable[[str], bool]) -> DriverState:
    key = control.key(f"Services\\{service}")
    start = decode_integer(key.value("Start")) if key is not None else None
    if key is None or start is None or key.value("DeleteFlag") is not None:
        # A driver that was removed, or that is only in the driver store, can leave a key without values.
        return DriverState(service, None, f"the service {service} is not installed")
    path = volume_path(decode_string(key.value("ImagePath")), service)
    if start != _BOOT_START:
        return DriverState(service, path, f"the service {service} has the start type {start} instead of 0 (boot)")
    override = _override(key)
    if override is not None:
        name, value = override
        problem = f"the value {name} of {service}\\{START_OVERRIDE} is {value} instead of 0, so that the driver is not loaded at boot"
        return DriverState(service, path, problem)
    if path is None or not exists(path):
        return DriverState(service, path, f"the driver file {path or service + '.sys'} is missing")
    return DriverState(service, path, "")


def _override(service: Key) -> tuple[str, int] | None:
    """Return name and start type of a value that overrides Start, None without such a value.

    The name is the number of a hardware configuration (the value Id of a key below HardwareConfig). An image starts in VMs
    that Windows has not seen, so that every number counts.
    """
    overrides = service.key(START_OVERRIDE)
    for value in overrides.values.values() if overrides is not None else ():
        start = decode_integer(value)
        if start is not None and start != _BOOT_START:
            return value.name, start
    return None
