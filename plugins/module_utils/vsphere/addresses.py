# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The address by which a VM can be connected to.

``guest.ipAddress`` is the first address that VMware Tools have reported: while Windows waits for DHCP, it is a link-local address
(169.254.0.0/16 or fe80::/10), which other computers cannot use.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

#: The properties of a VM that ``reachable_address`` needs.
ADDRESS_PROPERTIES = ("guest.ipAddress", "guest.net")


def reachable_address(values: Mapping[str, Any]) -> str | None:
    """Return the first IPv4 address of the guest, otherwise its first IPv6 address, that is not link-local; None without one.

    ``values`` are the properties ``ADDRESS_PROPERTIES``; the primary address of the guest precedes those of its adapters.
    """
    usable = [address for address in _addresses(values) if _is_reachable(address)]
    return next((address for address in usable if ":" not in address), usable[0] if usable else None)


def _addresses(values: Mapping[str, Any]) -> Iterator[str]:
    if values.get("guest.ipAddress"):
        yield values["guest.ipAddress"]
    for adapter in values.get("guest.net") or []:
        yield from adapter.ipAddress or []


def _is_reachable(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return not (address.is_link_local or address.is_loopback or address.is_unspecified or address.is_multicast)
