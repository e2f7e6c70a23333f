# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Windows stores about the hardware of the packaging machine: no layer takes it.

Windows finds hardware again at each start and installs its drivers from the driver store. Software devices, which it
does not find again, are exceptions, see ``devices``.
"""

from __future__ import annotations

from .model import Database

_CONTROL = "SYSTEM\\CurrentControlSet\\Control\\"
_SERVICES = "SYSTEM\\CurrentControlSet\\Services\\"

HARDWARE = Database(
    name="hardware",
    text="devices of the packaging machine with the settings of their drivers. The keys below Control\\Class are numbered "
    "per computer: without the device that owns it, a key would become the settings of a different device",
    keys=(
        "SYSTEM\\CurrentControlSet\\Enum",
        _CONTROL + "DeviceClasses",
        _CONTROL + "DeviceContainers",
        # The instances of a device class, which are numbered. The key of the class, with its filters, is taken.
        _CONTROL + "Class\\*\\????",
        _CONTROL + "Video",
        "SYSTEM\\CurrentControlSet\\Hardware Profiles",
        # Windows switches boot drivers off that the packaging machine does not need, such as those of other disk controllers.
        _SERVICES + "*\\StartOverride",
        _CONTROL + "GraphicsDrivers",
        _CONTROL + "CriticalDeviceDatabase",
        # Devices that were connected once, and the ports that they got.
        _CONTROL + "UsbFlags",
        _CONTROL + "COM Name Arbiter\\Devices",
        "SOFTWARE\\Microsoft\\Windows Portable Devices\\Devices",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\EMDMgmt",
        # A bitmap of the used numbers of published INF files (oemNN.inf). The packages of layers have numbers outside of
        # it, see driver_packages.
        ("SYSTEM\\DriverDatabase", "OemInfMap"),
        ("DRIVERS\\DriverDatabase", "OemInfMap"),
    ),
    # Rules of the user may include single devices.
    divisible=True,
)
