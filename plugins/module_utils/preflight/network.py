# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the hosts that may receive the VM have its networks."""

from __future__ import annotations

from typing import Any

from ..common.counting import counted_examples
from ..common.findings import FAIL, PASS, WARN
from ..vsphere.inventory.compute import receiving_hosts
from .subject import Subject

_LISTED = 3


def check(subject: Subject) -> tuple[str, str, str]:
    """Compare the networks of the new VM with those of each host on which vCenter can create it."""
    placement = subject.placement
    networks: list[tuple[str, Any]] = (
        [(placement.network_name or "", placement.network)] if placement.network else list(subject.hardware.networks)
    )
    hosts = receiving_hosts(subject.session, placement.pool, placement.host, placement.datastore)
    if not hosts:
        return WARN, "no host can receive the VM, so that its networks were not compared", ""
    names = ", ".join(dict.fromkeys(name for name, _network in networks))
    lacking = {
        host.name: missing
        for host in hosts
        if (missing := list(dict.fromkeys(name for name, network in networks if network not in host.networks)))
    }
    if not lacking:
        return PASS, f"{names} on {counted_examples([host.name for host in hosts[:_LISTED]], len(hosts), 'host')}", ""
    texts = [f"{host} lacks {', '.join(missing)}" for host, missing in lacking.items()]
    found = counted_examples(texts[:_LISTED], len(texts), "host", separator="; ")
    if len(lacking) == len(hosts):
        advice = "Set network of the connector to a network of its cluster or host, or add the network to the hosts."
        return FAIL, f"no host has all networks: {found}", advice
    return WARN, found, "Add the network to these hosts, or set esxi_host of the connector to a host that has it."
