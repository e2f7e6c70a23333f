# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of device classes that name services of Windows which a layer does not contain.

Windows does not start the devices of a class if the service of a filter is missing (Microsoft Learn, "Filter drivers").
"""

from __future__ import annotations

from collections.abc import Callable

from ...winregistry.delta import Delta
from ...winregistry.registry_values import REG_MULTI_SZ
from ...winregistry.upcase import WINDOWS
from .compared import Compared
from .lists import without_items
from .system_files import new_system_services

_FILTERS = tuple(WINDOWS.fold(name) for name in ("UpperFilters", "LowerFilters"))


def filter_cleaning(compared: Compared) -> Callable[[Delta], None]:
    """Return the step that removes from the filters in a delta the services that ``system_service_rules`` leave out."""
    services = {WINDOWS.fold(name) for name in new_system_services(compared)}

    def clean(delta: Delta) -> None:
        if not services or delta.hive != "SYSTEM":
            return
        for _path, key in delta.walk():
            for name in _FILTERS:
                value = key.values.get(name)
                if value is None or value.type != REG_MULTI_SZ or value.data is None:
                    continue
                cleaned = without_items(value, lambda item: WINDOWS.fold(item) in services)
                if cleaned is not None:
                    key.values[name] = cleaned
                    continue
                del key.values[name]
                if not key.is_fresh:
                    key.forget_time()

    return clean
