# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the networks of the hosts, and of the storage policy."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.findings import FAIL, PASS, WARN
from ansible_collections.strata.layering.plugins.module_utils.preflight import network, storage_policy

POLICY = "vSAN Default Storage Policy"


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [(["DC0_C0"], PASS), (["DC0_C0_H1"], WARN), (["DC0_H0"], FAIL)],
    ids=["every-host", "some-hosts", "no-host"],
)
def test_network_is_compared_with_those_of_the_hosts(simulator, subject, hosts, expected):
    simulator.ask("POST", "/networks", {"kind": "distributed", "name": "VDI", "switch": "Blue", "compute": hosts})
    result, found, _action = network.check(subject(network="VDI"))
    assert result == expected
    if expected != PASS:
        assert "DC0_C0_H0" in found
    # The network of the VM template, and a host that is named.
    assert network.check(subject(network=None))[0] == PASS
    named = network.check(subject(network="VDI", cluster=None, esxi_host="DC0_C0_H0"))[0]
    assert named == (PASS if expected == PASS else FAIL)


def test_storage_policy_is_compared_with_the_datastore(simulator, subject):
    assert storage_policy.check(subject())[0] == PASS
    assert storage_policy.check(subject(storage_policy=POLICY))[0] == PASS
    simulator.ask("POST", "/settings", {"policy_datastores": {POLICY: ["LocalDS_1"]}})
    result, found, action = storage_policy.check(subject(storage_policy=POLICY))
    assert result == FAIL
    assert POLICY in found
    assert "storage_policy" in action
    assert storage_policy.check(subject(storage_policy=POLICY, datastore="LocalDS_1"))[0] == PASS
