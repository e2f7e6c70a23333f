# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of Horizon's API: which requests and responses each version accepts."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.simulator_horizon.api import REGISTERED
from ansible_collections.strata.layering.tests.simulator_horizon.contract import VERSIONS, Contract, Operation
from ansible_collections.strata.layering.tests.simulator_horizon.operations import HANDLERS

PUSH = "/inventory/v2/desktop-pools/p1/action/schedule-push-image"
CANCEL = "/inventory/v1/desktop-pools/p1/action/cancel-scheduled-push-image"


def operation(method: str, path: str, version: str = "2512") -> Operation:
    """Return the operation of a path that the version has."""
    found = Contract.load(version).match(method, path)
    assert found is not None
    return found[0]


def test_match_path_with_arguments_returns_them():
    found = Contract.load().match("post", "/inventory/v1/desktop-pools/p1/tasks/t7/action/pause")
    assert found is not None
    assert found[1] == {"id": "p1", "taskId": "t7"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", PUSH), ("GET", "/inventory/v7/desktop-pools"), ("GET", "/inventory/v6/desktop-pools/"), ("GET", "/login")],
)
def test_match_unknown_operation_returns_none(method, path):
    assert Contract.load().match(method, path) is None


def test_methods_of_a_path():
    assert Contract.load().methods(PUSH) == ["POST"]


@pytest.mark.parametrize(("version", "exists"), [("2206", False), ("2309", True), ("2512", True)])
def test_operation_of_later_version_is_absent_before(version, exists):
    found = Contract.load(version).match("POST", "/inventory/v1/desktop-pools/action/enable-provisioning")
    assert (found is not None) == exists


def test_load_version_too_old_fails():
    with pytest.raises(ValueError, match="2206"):
        Contract.load("2111")


@pytest.mark.parametrize("version", VERSIONS)
def test_check_request_complete_push_is_accepted(version):
    body = {
        "logoff_policy": "WAIT_FOR_LOGOFF",
        "parent_vm_id": "vm-1",
        "snapshot_id": "snapshot-2",
        "start_time": 1764500000000,
        "stop_on_first_error": True,
        "add_virtual_tpm": True,
        "compute_profile_num_cpus": 4,
        "compute_profile_num_cores_per_socket": 2,
        "compute_profile_ram_mb": 4096,
        "selective_push_image": True,
        "machine_ids": ["m1", "m2"],
    }
    assert operation("POST", PUSH, version).check_request({}, body) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"logoff_policy": None}, "body/logoff_policy"),
        ({"logoff_policy": "LATER"}, "body/logoff_policy"),
        ({"start_tme": 1}, "body/start_tme"),
        ({"start_time": 1.5}, "body/start_time"),
        ({"start_time": True}, "body/start_time"),
        ({"start_time": 1 << 63}, "body/start_time"),
        ({"stop_on_first_error": 1}, "body/stop_on_first_error"),
        ({"parent_vm_id": 7}, "body/parent_vm_id"),
        ({"compute_profile_ram_mb": 512}, "body/compute_profile_ram_mb"),
        ({"machine_ids": "m1"}, "body/machine_ids"),
        ({"machine_ids": [1]}, "body/machine_ids/0"),
        ({"machine_ids": ["m1", "m1"]}, "body/machine_ids"),
    ],
)
def test_check_request_wrong_field_is_reported(change, problem):
    body = {"logoff_policy": "FORCE_LOGOFF"} | change
    assert [found.partition(": ")[0] for found in operation("POST", PUSH).check_request({}, body)] == [problem]


@pytest.mark.parametrize("body", [None, [], "text"])
def test_check_request_body_of_wrong_kind_is_reported(body):
    assert len(operation("POST", PUSH).check_request({}, body)) == 1


def test_check_request_body_of_operation_without_body_is_reported():
    assert len(operation("POST", CANCEL).check_request({}, {})) == 1
    assert operation("POST", CANCEL).check_request({}, None) == []


def test_check_request_optional_body_may_be_missing():
    resume = operation("POST", "/inventory/v1/desktop-pools/p1/tasks/t7/action/resume")
    assert resume.check_request({}, None) == []
    assert resume.check_request({}, {"retry_failed_vms": True}) == []


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ({"vcenter_id": "v1"}, []),
        ({"vcenter_id": "v1", "filter_incompatible_vms": "false"}, []),
        ({}, ["query/vcenter_id"]),
        ({"vcenter_id": "v1", "page": "1"}, ["query/page"]),
        ({"vcenter_id": "v1", "filter_incompatible_vms": "no"}, ["query/filter_incompatible_vms"]),
    ],
)
def test_check_request_query_parameters(query, problems):
    found = operation("GET", "/external/v1/base-vms").check_request(query, None)
    assert [text.partition(": ")[0] for text in found] == problems


def test_check_request_parameter_of_later_version_is_reported():
    query = {"page": "1", "size": "100", "sort_by": "name"}
    assert operation("GET", "/inventory/v3/machines", "2312").check_request(query, None) == []
    assert len(operation("GET", "/inventory/v3/machines", "2206").check_request(query, None)) == 1


def test_check_request_login_takes_the_password_as_text():
    login = {"domain": "EXAMPLE", "username": "admin", "password": "secret"}
    assert operation("POST", "/login").check_request({}, login) == []


@pytest.mark.parametrize(("version", "declared"), [("2312", False), ("2406", True)])
def test_check_response_throttling_since_2406(version, declared):
    assert (operation("POST", "/login", version).check_response(429, {"errors": []}) == []) == declared


def test_check_response_status_of_real_servers_is_accepted_although_undeclared():
    cancel = operation("POST", CANCEL)
    assert cancel.check_response(400, {"errors": []}) == []
    assert 400 in cancel.undeclared
    assert len(cancel.check_response(409, None)) == 1


def test_check_response_empty_answer_must_be_empty():
    assert operation("POST", CANCEL).check_response(204, None) == []
    assert len(operation("POST", CANCEL).check_response(204, {})) == 1


def test_check_response_unknown_field_is_reported():
    problems = operation("GET", "/inventory/v6/desktop-pools").check_response(200, [{"id": "p1"}, {"idd": "p2"}])
    assert [text.partition(": ")[0] for text in problems] == ["body/1/idd"]


def test_fill_adapts_an_answer_to_the_version():
    answer = [{"id": "vm-1", "operating_system": "WINDOWS_11"}]
    assert operation("GET", "/external/v1/base-vms", "2206").fill(answer) == [
        {"id": "vm-1", "operating_system": "UNKNOWN"}
    ]
    assert operation("GET", "/external/v1/base-vms", "2209").fill(answer) == answer


def test_fill_keeps_fields_that_no_version_has():
    filled = operation("GET", "/inventory/v6/desktop-pools/p1").fill({"idd": "p1"})
    assert filled == {"idd": "p1"}


def test_fill_adds_required_fields():
    assert operation("POST", "/refresh", "2206").fill({}) == {}
    assert operation("POST", "/refresh", "2512").fill({}) == {"access_token": ""}


def test_simulator_has_exactly_the_operations_of_the_contract():
    assert REGISTERED
    assert HANDLERS.keys() == {str(operation) for operation in Contract.load().operations}
