# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be on the volume of an image so that Windows starts, relative to what the OS layer has.

Paths are those on the Windows volume. The EFI system partition is not part of it, because layers change only the
Windows volume.
"""

from __future__ import annotations

from ..winregistry.hive_model import Key
from ..winregistry.registry_values import decode_integer, decode_string
from .installation import CONFIG
from .protected_paths import STARTUP_FILES

_SYSTEM32 = "Windows/System32"
_BOOT_START = 0

#: Registry hives that Windows loads at every start or logon. All of them must be valid.
REQUIRED_HIVES: tuple[str, ...] = (
    *(f"{CONFIG}/{name}" for name in ("SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT")),
    "Users/Default/NTUSER.DAT",
)
#: Files that must exist. The boot manager is on the Windows volume only if there is no system partition.
REQUIRED_FILES: tuple[str, ...] = ("bootmgr", "Boot/BCD", *STARTUP_FILES)


def boot_drivers(control: Key) -> dict[str, str]:
    """Return the paths of the drivers that the boot loader loads, and their services; ``control`` is the control set."""
    services = control.key("Services")
    found: dict[str, str] = {}
    for service in services.subkeys.values() if services is not None else ():
        # A service with DeleteFlag is removed at the next start.
        if decode_integer(service.value("Start")) == _BOOT_START and service.value("DeleteFlag") is None:
            path = volume_path(decode_string(service.value("ImagePath")), service.name)
            if path is not None:
                found[path] = service.name
    return found


def volume_path(image: str | None, service: str) -> str | None:
    """Return the path on the volume of a driver's ImagePath; None if it is not a path on drive C."""
    if not image:
        return f"{_SYSTEM32}/drivers/{service}.sys"
    path = image.strip('"').replace("\\", "/")
    for prefix, replacement in (
        ("/SystemRoot/", "Windows/"),
        ("%SystemRoot%/", "Windows/"),
        ("System32/", f"{_SYSTEM32}/"),
        ("/??/C:/", ""),
        ("C:/", ""),
        ("/Windows/", "Windows/"),
        ("Windows/", "Windows/"),
    ):
        if path.lower().startswith(prefix.lower()):
            return replacement + path[len(prefix) :]
    return None
