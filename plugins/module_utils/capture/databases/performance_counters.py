# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Performance counters: Windows numbers them again by itself, so a layer takes them only with new counters."""

from __future__ import annotations

from ...windows.installation import WindowsInstallation
from ...winregistry.upcase import WINDOWS
from ..rule import Rule
from .compared import Compared
from .windows_state import PERFORMANCE_COUNTERS

#: The adapter to WMI, which Windows registers again whenever the classes of WMI change.
_ADAPTER = "WMIAPRPL"


def find_counters(compared: Compared) -> list[Rule]:
    """Return the rules that take the counters if an application registered or removed counters, and otherwise leave them out."""
    is_changed = compared.before is not None and _owners(compared.before) != _owners(compared.after)
    return PERFORMANCE_COUNTERS.rules(compared.kind if is_changed else "")


def _owners(windows: WindowsInstallation) -> set[str]:
    """Return the folded names of the services that have counters."""
    services = windows.control.key("Services")
    owners = set()
    for service in services.subkeys.values() if services is not None else ():
        counters = service.key("Performance")
        if counters is not None and counters.value("First Counter") is not None:
            owners.add(WINDOWS.fold(service.name))
    return owners - {_ADAPTER}
