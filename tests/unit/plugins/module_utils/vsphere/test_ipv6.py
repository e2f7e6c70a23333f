# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vCenter and ESXi hosts with IPv6 addresses, directly and through a proxy."""

from __future__ import annotations

import contextlib
import socket

import pytest

from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.storage_policies import (
    find_storage_policy,
)
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm
from ansible_collections.strata.layering.tests.support.simulator import Simulator


def has_ipv6():
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="the loopback interface has no IPv6 address")


@pytest.fixture
def simulator():
    """A vCenter and hosts at ::1; the certificate of the hosts is only known by its thumbprint."""
    with Simulator(arguments=("-listen=[::1]:0", "-nfc-listen=[::1]:0")) as running:
        yield running


def create(session, disk):
    placement = Inventory(session).placement(datacenter="DC0", cluster="DC0_C0", datastore="LocalDS_0")
    return deploy_vm(
        session,
        placement,
        name="desktop",
        hardware=Hardware(),
        capacity=disk.capacity,
        blocks=disk.blocks,
        length=disk.length,
    )


@pytest.mark.parametrize("hostname", ["::1", "[::1]"])
def test_ipv6_session_and_upload(simulator, connect, disk, hostname):
    assert simulator.host == "::1"
    with connect(simulator, hostname=hostname) as session:
        assert create(session, disk).verified
        assert find_storage_policy(session, "vSAN Default Storage Policy")


@pytest.mark.parametrize("hostname", ["::1", "[::1]"])
def test_ipv6_through_a_proxy(simulator, connect, disk, proxy, hostname):
    port, targets = proxy
    with connect(simulator, hostname=hostname, proxy_host="127.0.0.1", proxy_port=port) as session:
        assert create(session, disk).verified
        assert find_storage_policy(session, "vSAN Default Storage Policy")
    assert set(targets) == {f"[::1]:{simulator.port}", f"[::1]:{simulator.nfc_url.rpartition(':')[2]}"}
