# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of the VM template's hardware version and guest ID against the hosts."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.layering.plugins.module_utils.preflight import checks, guest


@pytest.mark.parametrize(
    ("version", "guest_id", "result"),
    [
        ("vmx-19", "windows9_64Guest", "pass"),
        ("vmx-20", "windows11_64Guest", "pass"),
        ("vmx-19", "windows11_64Guest", "fail"),
        ("vmx-22", "windows11_64Guest", "fail"),
        ("", "windows11_64Guest", "fail"),
    ],
)
def test_guest_of_the_template_is_compared_with_the_offer(subject, version, guest_id, result):
    tested = subject()
    hardware = dataclasses.replace(tested.hardware, version=version, guest_id=guest_id)
    found, text, action = guest.check(dataclasses.replace(tested, hardware=hardware))
    assert found == result
    assert guest_id in text
    assert bool(action) == (result != "pass")


@pytest.mark.parametrize(("versions", "result"), [({"DC0_C0_H0": "7.0.0"}, "warn"), ({}, "pass")])
def test_guest_hardware_version_of_some_hosts_is_a_warning(simulator, subject, versions, result):
    simulator.settings(host_versions=versions)
    assert guest.check(subject())[0] == result


def test_guest_of_an_old_host_is_refused(simulator, subject):
    simulator.settings(host_versions={"DC0_C0_H0": "7.0.0"})
    assert guest.check(subject(esxi_host="DC0_C0_H0"))[0] == "fail"
    assert guest.check(subject(esxi_host="DC0_C0_H1"))[0] == "pass"


def test_guest_offer_that_cannot_be_read_is_a_warning(simulator, subject):
    simulator.rules.add("QueryConfigOptionDescriptor", count=None, fault="NoPermission")
    finding = next(item for item in checks.run_checks(subject()) if item["name"] == "guest_id")
    assert finding["result"] == "warn"
