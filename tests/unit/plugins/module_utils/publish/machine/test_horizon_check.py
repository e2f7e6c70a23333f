# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements of Horizon for a VM."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.publish.machine.horizon_check import (
    check_horizon,
    require_horizon,
    reservations,
)
from ansible_collections.strata.layering.tests.support.published_vms import published_vm

GOOD = published_vm()


def test_check_horizon_suitable_vm_passes():
    checks = check_horizon(GOOD, "strata-1")
    assert all(check["passed"] and check["advice"] is None for check in checks)
    assert len(checks) == 6
    require_horizon(GOOD, checks)


@pytest.mark.parametrize(
    ("name", "found", "changes"),
    [
        ("powered_off", "poweredOn", {"power_state": "poweredOn"}),
        ("snapshot", "none", {"snapshots": ()}),
        ("not_a_template", "template", {"template": True}),
        ("vmxnet3", "vmxnet3, e1000e", {"nic_types": ("vmxnet3", "e1000e")}),
        ("vmxnet3", "none", {"nic_types": ()}),
        ("hardware_version", "vmx-10", {"hardware_version": "vmx-10"}),
        ("hardware_version", "", {"hardware_version": ""}),
        ("no_vtpm", "present", {"has_tpm": True}),
    ],
)
def test_check_horizon_unsuitable_vm_fails(name, found, changes):
    facts = dataclasses.replace(GOOD, **changes)
    checks = check_horizon(facts, "strata-1")
    failed = [check for check in checks if not check["passed"]]
    assert [(check["name"], check["found"]) for check in failed] == [(name, found)]
    assert failed[0]["advice"]
    with pytest.raises(Conflict) as raised:
        require_horizon(facts, checks)
    assert raised.value.code == "publish.horizon"
    assert failed[0]["advice"] in raised.value.hint


@pytest.mark.parametrize(("vtpm", "passed", "warned"), [(None, False, 0), ("warn", True, 1), ("allow", True, 0)])
def test_check_horizon_virtual_tpm_follows_the_connector(vtpm, passed, warned):
    facts = dataclasses.replace(GOOD, has_tpm=True)
    checks = check_horizon(facts, "strata-1", vtpm)
    (check,) = [check for check in checks if check["name"] == "no_vtpm"]
    assert (check["passed"], check["found"], len(reservations(checks))) == (passed, "present", warned)
    if passed:
        require_horizon(facts, checks)


@pytest.mark.parametrize("vtpm", [None, "warn", "allow"])
def test_check_horizon_without_virtual_tpm_passes_with_every_option(vtpm):
    checks = check_horizon(GOOD, "strata-1", vtpm)
    assert all(check["passed"] for check in checks) and not reservations(checks)
