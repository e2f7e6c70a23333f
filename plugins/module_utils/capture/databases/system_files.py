# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of Windows that servicing owns: they come from the OS layer, unless a rule of the user includes them.

That servicing installs the files in ``SETTINGS`` but administrators and installers edit them is knowledge without a source.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from ...ntfs.volume import Volume
from ...windows.component_store import is_serviced
from ...windows.installation import WindowsInstallation, exists
from ...windows.startup_files import volume_path
from ...winregistry.hive_model import Key
from ..rule import Rule
from .compared import Compared
from .servicing import SERVICING

#: The name of the database, and the reason that a capture reports.
SYSTEM_FILES = "system_files"

#: Settings in text form, which installers extend: ports of services, addresses of hosts, data providers of .NET. A layer has such
#: a file only if it changed; the copy in the component store stays that of the OS layer.
SETTINGS = (
    "Windows\\System32\\drivers\\etc\\*",
    "Windows\\Microsoft.NET\\Framework*\\*\\Config\\*",
    "Windows\\win.ini",
    "Windows\\system.ini",
)


def system_file_rules(_compared: Compared) -> list[Rule]:
    """Return the rules that leave out files of Windows.

    An update replaces these files in the OS layer. An older file of a layer over the update gives a Windows installation
    with files of two versions. A user's rule about the database of servicing decides about the files as well: their
    components are members of it.
    """
    rules = []
    for name in (SERVICING.name, SYSTEM_FILES):
        rules.append(Rule("**", name, database=name, serviced=True))
        # What is not a member of a database is decided by the rules before those of this database only.
        rules += [Rule(path, name, database=name, serviced=True, is_member=False) for path in SETTINGS]
    return rules


def system_service_rules(compared: Compared) -> list[Rule]:
    """Return the rules that leave out services with a new program that servicing installed: for a feature or an update.

    The layer does not have the program. Windows does not start without the program of a critical boot driver.
    """
    keys = [f"SYSTEM\\CurrentControlSet\\Services\\{name}" for name in new_system_services(compared)]
    return [
        Rule(key, name, True, database=name, literal=True) for name in (SERVICING.name, SYSTEM_FILES) for key in keys
    ]


@functools.lru_cache(maxsize=1)
def new_system_services(compared: Compared) -> tuple[str, ...]:
    """Return the names of services with a new program that servicing installed."""
    return tuple(_system_services(compared))


def _system_services(compared: Compared) -> Iterator[str]:
    before, after = compared.before, compared.after
    services = after.control.key("Services") if before is not None else None
    for service in services.subkeys.values() if services is not None else ():
        program = _program(after, service)
        if before is None or program is None:
            continue
        known = before.control.key(f"Services\\{service.name}")
        if known is not None and _program(before, known) == program:
            continue
        if _is_new_system_file(program, before.volume, after.volume):
            yield service.name


def _program(windows: WindowsInstallation, service: Key) -> str | None:
    """Return the path on the volume of the library, driver or program of a service."""
    library = windows.setting(service.key("Parameters"), "ServiceDll") or windows.setting(service, "ServiceDll")
    image = library or windows.setting(service, "ImagePath")
    if not isinstance(image, str):
        return None if image is not None else volume_path(None, service.name)
    end = image.lower().find(".exe")
    return volume_path(image[: end + len(".exe")] if end >= 0 else image, service.name)


def _is_new_system_file(path: str, before: Volume, after: Volume) -> bool:
    node = None if exists(before, path) else after.find(path)
    if node is None:
        return False
    with node:
        return is_serviced(after, node)
