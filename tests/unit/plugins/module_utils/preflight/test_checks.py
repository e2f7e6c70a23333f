# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a preflight: space, specification, custom attributes; faults while they read."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, Unavailable
from ansible_collections.strata.layering.plugins.module_utils.common.findings import FAIL, PASS, WARN
from ansible_collections.strata.layering.plugins.module_utils.preflight import (
    checks,
    custom_attributes,
    datastore,
    import_specification,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere.custom_attributes import define_attributes

from .conftest import IMAGE

#: SOAP methods of a preflight; everything else would change something.
_READS = {
    "CreateContainerView",
    "CreateImportSpec",
    "DestroyView",
    "HasPrivilegeOnEntities",
    "HasUserPrivilegeOnEntities",
    "Login",
    "RetrievePropertiesEx",
    "ContinueRetrievePropertiesEx",
    "RetrieveServiceContent",
    "QueryConfigOptionDescriptor",
    "QueryConfigOptionEx",
}


def test_preflight_passes_and_only_reads(simulator, subject):
    findings = checks.run_checks(subject(image=IMAGE, custom_attributes={"Image": "x"}))
    assert [finding["name"] for finding in findings] == list(checks.CHECKS)
    assert FAIL not in {finding["result"] for finding in findings}
    assert {entry["method"] for entry in simulator.journal(kind="soap")} <= _READS
    checks.require_passed("desktops", findings)


def test_page_describes_every_check():
    page = (pathlib.Path(__file__).resolve().parents[5] / "docs" / "publishing.md").read_text(encoding="utf-8")
    assert [name for name in checks.CHECKS if f"\n| {name} | " not in page] == []


def test_free_space_is_compared_with_disk_and_swap_file(subject):
    target = subject(image=IMAGE)
    left = target.placement.datastore.summary.freeSpace - (target.hardware.memory_mib << 20)
    for stored, capacity, expected in (
        (1, left, PASS),
        (1, left + 1, WARN),
        (left, left, PASS),
        (left + 1, left + 1, FAIL),
    ):
        image = dataclasses.replace(IMAGE, stored=stored, capacity=capacity)
        assert datastore.check_free_space(dataclasses.replace(target, image=image))[0] == expected
    assert datastore.check_free_space(subject())[0] == PASS


def test_reserved_memory_has_no_swap_file(subject):
    target = subject(image=IMAGE)
    free = target.placement.datastore.summary.freeSpace
    image = dataclasses.replace(IMAGE, stored=free, capacity=free)
    for settings, expected in (
        ({}, FAIL),
        ({"memoryReservationLockedToMax": True}, PASS),
        ({"memoryAllocation": vim.ResourceAllocationInfo(reservation=target.hardware.memory_mib)}, PASS),
    ):
        hardware = dataclasses.replace(target.hardware, settings=settings)
        changed = dataclasses.replace(target, image=image, hardware=hardware)
        assert datastore.check_free_space(changed)[0] == expected


@pytest.mark.parametrize(("lacking", "expected"), [(1, FAIL), (0, PASS)])
def test_free_space_of_a_full_datastore_fails_without_an_image(simulator, subject, lacking, expected):
    target = subject()
    free = (1 << 30) + (target.hardware.memory_mib << 20) - lacking
    simulator.ask("POST", "/datastores", {"name": "LocalDS_0", "free": free})
    assert datastore.check_free_space(target)[0] == expected


def test_specification_that_vcenter_rejects_fails(subject):
    target = subject()
    assert import_specification.check(target)[0] == PASS
    refused = dataclasses.replace(target, hardware=dataclasses.replace(target.hardware, version="vmx-999"))
    result, _found, action = import_specification.check(refused)
    assert (result, bool(action)) == (FAIL, True)


def test_missing_custom_attributes_are_named_and_defined(session, subject):
    target = subject(custom_attributes={"Image": "$template", "Layers": "$layers"})
    result, found, _action = custom_attributes.check(target)
    assert result == PASS
    assert "Image, Layers" in found
    assert define_attributes(session, ["Image", "Layers"]) is True
    assert define_attributes(session, ["Image", "Layers"]) is False
    assert custom_attributes.check(target)[1] != found


def test_fault_of_a_check_is_a_warning(simulator, subject):
    target = subject()
    simulator.rules.add("CreateImportSpec", fault="NoPermission", count=-1)
    findings = {finding["name"]: finding for finding in checks.run_checks(target)}
    assert findings["import_specification"]["result"] == WARN
    assert checks.warnings("desktops", list(findings.values()))
    checks.require_passed("desktops", list(findings.values()))


def test_vcenter_that_does_not_answer_ends_the_preflight(simulator, subject):
    target = subject()
    simulator.stop()
    with pytest.raises(Unavailable) as caught:
        checks.run_checks(target)
    assert caught.value.code == "vsphere.refused"


def test_failed_checks_are_one_error_with_all_findings(simulator, subject):
    simulator.set_host_address(name="esx-7.invalid")
    findings = checks.run_checks(subject(image=dataclasses.replace(IMAGE, stored=1 << 60)))
    with pytest.raises(Conflict) as caught:
        checks.require_passed("desktops", findings)
    assert caught.value.code == "preflight.failed"
    assert caught.value.details["checks"] == findings
    assert "esx-7.invalid" in caught.value.message
    assert "free_space" in caught.value.message
