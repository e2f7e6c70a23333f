# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of one name: uplinks, and the two objects by which NSX shows a segment."""

from __future__ import annotations

from typing import Any

from ...common.optional_imports import pyvmomi
from ..properties import collect, read
from ..session import Session
from .names import plain_name

#: The tag by which vCenter marks the port groups of physical uplinks.
_UPLINK = "SYSTEM/DVS.UPLINKPG"


def is_port_group(network: Any) -> bool:
    """Return whether a network is a distributed port group."""
    return isinstance(network, pyvmomi.vim.dvs.DistributedVirtualPortgroup)


def without_uplinks(session: Session, networks: dict[Any, dict[str, Any]], name: str) -> dict[Any, dict[str, Any]]:
    """Return ``networks`` without the port groups of uplinks that have this name; without any if no network has it."""
    named = [item for item, values in networks.items() if plain_name(values["name"]) == name]
    # Without a network of this name, the error lists the others.
    tags = collect(session, [item for item in named or networks if is_port_group(item)], ["tag"])
    return {
        item: values
        for item, values in networks.items()
        if not any(tag.key == _UPLINK for tag in tags.get(item, {}).get("tag", []))
    }


def without_opaque_twins(session: Session, networks: list[Any]) -> list[Any]:
    """Return networks of one name without the opaque networks that a distributed port group of the list represents.

    NSX shows a segment as an opaque network and, on hosts that use a distributed switch, as a distributed port group too. An
    adapter can only be connected to the port group there.
    """
    opaque = [item for item in networks if isinstance(item, pyvmomi.vim.OpaqueNetwork)]
    groups = [item for item in networks if is_port_group(item)]
    if not opaque or not groups:
        return networks
    configs = collect(session, groups, ["config"])
    segments = {getattr(values.get("config"), "logicalSwitchUuid", None) for values in configs.values()}
    summaries = collect(session, opaque, ["summary"])

    def is_twin(item: Any) -> bool:
        # Older versions of vCenter do not report the segment of a port group.
        return segments == {None} or getattr(summaries[item].get("summary"), "opaqueNetworkId", None) in segments

    return [item for item in networks if item not in summaries or not is_twin(item)]


def switch_text(session: Session, network: Any) -> str:
    """Return the kind of a network and the name of its switch, as messages name them."""
    if isinstance(network, pyvmomi.vim.OpaqueNetwork):
        return "opaque network"
    if not is_port_group(network):
        return "standard port group"
    switch = read(session, network, "config.distributedVirtualSwitch").get("config.distributedVirtualSwitch")
    name = plain_name(read(session, switch, "name").get("name", "?")) if switch is not None else "?"
    return f"distributed port group of the switch {name}"
