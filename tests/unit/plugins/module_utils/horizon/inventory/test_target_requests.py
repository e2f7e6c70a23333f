# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All requests about pools and farms, and the recorded answers, fit the contract of each version of Horizon."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.farms import Farms
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.pools import Pools
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.targets import TargetApi
from ansible_collections.strata.layering.plugins.module_utils.horizon.model import (
    FORCE_LOGOFF,
    ComputeProfile,
    ImageRef,
    PushRequest,
)
from ansible_collections.strata.layering.tests.simulator_horizon.contract import VERSIONS, Contract
from ansible_collections.strata.layering.tests.support.horizon_answers import (
    FARMS,
    MACHINES,
    POOLS,
    RDS_SERVERS,
    RecordedClient,
    farm_answer,
    machine_answer,
    pool_answer,
    server_answer,
)

NOW = 1_700_000_000_000
PLAIN = PushRequest(ImageRef("vm-2", "snapshot-2"))
FULL = PushRequest(PLAIN.image, FORCE_LOGOFF, NOW, False, None, ComputeProfile(4, 2, 8192), ("m1",))
PROFILE = {"compute_profile_num_cpus": 4, "compute_profile_num_cores_per_socket": 2, "compute_profile_ram_mb": 8192}
STATUS = {
    "instant_clone_pending_image_state": "READY",
    "instant_clone_pending_image_parent_vm_id": "vm-2",
    "instant_clone_pending_image_snapshot_id": "snapshot-2",
    "instant_clone_pending_image_progress": 100,
    "instant_clone_pending_image_error": "No space.",
    "last_provisioning_error": "No space.",
    **{f"pending_{key}": value for key, value in PROFILE.items()},
}
PUSH_SETTINGS = {
    "start_time": NOW,
    "logoff_policy": "FORCE_LOGOFF",
    "add_virtual_tpm": True,
    "stop_on_first_error": True,
}
MAINTENANCE = {
    "immediate_maintenance_scheduled": True,
    "next_scheduled_time": NOW,
    "logoff_policy": "FORCE_LOGOFF",
    "stop_on_first_error": True,
}
POOL = pool_answer(
    settings=PROFILE | {"im_stream_id": "stream-1"},
    status=STATUS
    | {"instant_clone_operation": "SCHEDULE_PUSH_IMAGE", "instant_clone_push_image_settings": PUSH_SETTINGS},
)
FARM = farm_answer(
    settings=PROFILE | {"im_stream_id": "stream-1"},
    status=STATUS | {"instant_clone_scheduled_maintenance_data": MAINTENANCE},
)
IMAGES = {
    "pending_base_vm_id": "vm-2",
    "pending_base_vm_snapshot_id": "snapshot-2",
    "operation": "PUSH_IMAGE",
    "operation_state": "SCHEDULED",
}
LISTS = {
    POOLS: [POOL],
    FARMS: [FARM],
    MACHINES: [
        machine_answer("m1", managed={**IMAGES, "missing_in_vcenter": False, "clone_error_message": "No space."})
    ],
    RDS_SERVERS: [server_answer("s1", **IMAGES)],
}


def make_all_requests(client: RecordedClient) -> None:
    apis: list[TargetApi] = [Pools(client), Farms(client)]  # type: ignore[arg-type]
    for api in apis:
        (found,) = api.all()
        target = api.read(found.id)
        api.machines(target)
        api.sessions(target)
        api.push(target, PLAIN)
        api.push(target, FULL)
        api.promote(target)
        api.apply(target, ["m1"])
        api.cancel(target)
        api.resume(target, stop_on_first_error=True)
    pools = apis[0]
    pools.enable_provisioning(pools.all()[0])


@pytest.mark.parametrize("version", VERSIONS)
def test_requests_fit_the_contract(version):
    contract = Contract.load(version)
    client = RecordedClient(
        {
            **LISTS,
            "/inventory/v1/desktop-pools/id-sales/tasks": [
                {"id": "1", "operation": "PUSH_IMAGE", "halted_vmtask_count": 1}
            ],
        }
    )
    make_all_requests(client)
    missing, problems = [], []
    for method, path, body, query in client.requests:
        found = contract.match(method, path)
        if found is None:
            missing.append(path)
        else:
            problems += found[0].check_request(query, None if method == "GET" else body)
    assert problems == []
    # Horizon has had this request since 2309.
    assert missing == (["/inventory/v1/desktop-pools/action/enable-provisioning"] if version == "2206" else [])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", LISTS)
def test_recorded_answers_fit_the_contract(path, version):
    found = Contract.load(version).match("GET", path)
    assert found is not None
    assert found[0].check_response(200, found[0].fill(LISTS[path])) == []
