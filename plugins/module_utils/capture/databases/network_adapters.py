# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network adapters of the packaging machine, and everything that names them.

An adapter of a VM with a different MAC address is a different device with a different ID (NetCfgInstanceId). Windows
writes this ID into keys, values and lists all over the registry. A layer takes none of it, and leaves the adapters of
the image alone. Adapters that are software devices, such as those of VPN clients, belong to their device.

Sources: Microsoft Learn, "Registry Keys and Values for Network Components"; the hive SYSTEM of a real installation.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence

from ...winregistry.delta import Delta, ValueDelta
from ...winregistry.registry_values import (
    REG_BINARY,
    REG_EXPAND_SZ,
    REG_LINK,
    REG_MULTI_SZ,
    REG_SZ,
)
from ..rule import Rule
from .compared import Compared
from .device_tree import NETWORK_CLASS, read_devices
from .devices import software_devices
from .lists import without_items
from .model import Database

_CONTROL = "SYSTEM\\CurrentControlSet\\Control\\"
_SERVICES = "SYSTEM\\CurrentControlSet\\Services\\"
_TEXTS = (REG_SZ, REG_EXPAND_SZ, REG_LINK)

NETWORK_ADAPTERS = Database(
    name="network_adapters",
    text="network adapters of the packaging machine, their addresses, and the database of their bindings",
    keys=(
        f"{_CONTROL}Network\\{NETWORK_CLASS}\\{{*",
        (_CONTROL + "Network", "Config"),
        _CONTROL + "NetworkSetup2\\Interfaces",
        _CONTROL + "Nsi",
        _SERVICES + "Tcpip\\Parameters\\Interfaces",
        _SERVICES + "Tcpip\\Parameters\\DNSRegisteredAdapters",
        _SERVICES + "Tcpip6\\Parameters\\Interfaces",
        _SERVICES + "Dhcp\\Configurations",
        (_SERVICES + "NDIS\\IfTypes\\*", "IfUsedNetLuidIndices"),
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\NetworkCards",
    ),
    divisible=True,
)
NAME = NETWORK_ADAPTERS.name


def hardware_adapters(compared: Compared) -> frozenset[str]:
    """Return the IDs (lower case, in braces) of adapters that only one side has, except those of software devices."""
    sides = [
        {device.adapter for device in read_devices(windows.control).values() if device.adapter}
        for windows in (compared.before, compared.after)
        if windows is not None
    ]
    different = sides[0] ^ sides[1] if len(sides) == 2 else sides[0]
    return frozenset(filter(_is_id, different - software_devices(compared).adapters))


def _is_id(text: str) -> bool:
    return _bytes(text) is not None


def _bytes(text: str) -> bytes | None:
    try:
        return uuid.UUID(text).bytes_le
    except ValueError:
        return None


def find_adapters(compared: Compared) -> list[Rule]:
    """Return the rules that leave out what is named after adapters of the hardware, and addresses of all adapters."""
    rules = []
    for adapter in sorted(hardware_adapters(compared)):
        name = f"*{adapter.strip('{}')}*"
        for hive in ("SYSTEM", "SOFTWARE"):
            rules.append(Rule(f"{hive}\\**\\{name}", NAME, True, database=NAME))
            rules.append(Rule(f"{hive}\\**", NAME, True, name, database=NAME))
    # Also below the keys of software devices, which are taken: addresses and leases belong to one computer.
    for name in ("Dhcp*", "Lease*", "T1", "T2", "AddressType"):
        rules.append(Rule(f"{_SERVICES}Tcpip*\\Parameters\\**", NAME, True, name, database=NAME))
    return rules


def adapter_cleaning(compared: Compared) -> Callable[[Delta], None]:
    """Return the step that removes mentions of adapters of the hardware from the values of a delta."""
    adapters = hardware_adapters(compared)

    def clean(delta: Delta) -> None:
        if adapters:
            clean_delta(delta, adapters)

    return clean


def clean_delta(delta: Delta, adapters: Iterable[str]) -> None:
    """Remove from ``delta`` the changes of values that are only about ``adapters`` (IDs in braces).

    In lists, the items that name them stay as they were; a text or binary value that names one does not change.
    """
    texts = [adapter.strip("{}").lower() for adapter in adapters]
    binary = [data for data in map(_bytes, adapters) if data is not None]
    for _path, key in delta.walk():
        number = len(key.values)
        for folded, value in list(key.values.items()):
            cleaned = _cleaned(value, texts, binary)
            if cleaned is None:
                del key.values[folded]
            else:
                key.values[folded] = cleaned
        if len(key.values) != number and not key.is_fresh:
            key.forget_time()


def _cleaned(value: ValueDelta, texts: Sequence[str], binary: Sequence[bytes]) -> ValueDelta | None:
    """Return the change of a value without what names adapters, None if nothing is left of it."""
    if (
        value.type == REG_MULTI_SZ
        or value.data is None
        and value.before is not None
        and value.before.type == REG_MULTI_SZ
    ):
        return without_items(value, lambda item: _names(item, texts))
    old = value.before.data if value.before is not None else None
    kind = value.type if value.data is not None or value.before is None else value.before.type
    for data in (value.data, old):
        if data is None:
            continue
        if kind in _TEXTS and _names(data.decode("utf-16-le", "replace"), texts):
            return None
        if kind == REG_BINARY and any(part in data for part in binary):
            return None
    return value


def _names(text: str, texts: Sequence[str]) -> bool:
    lowered = text.lower()
    return any(part in lowered for part in texts)
