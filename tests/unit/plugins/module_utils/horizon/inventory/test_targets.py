# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools and farms as the model has them, finding them by name, and the requests for pushes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    InternalError,
    InvalidInput,
    NotFound,
    StrataError,
    Unavailable,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.farms import Farms, read_farm
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.pools import Pools, read_pool
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.targets import machine_results
from ansible_collections.strata.layering.plugins.module_utils.horizon.model import (
    FARM,
    FORCE_LOGOFF,
    POOL,
    WAIT_FOR_LOGOFF,
    ComputeProfile,
    CurrentState,
    ImageRef,
    MachineResult,
    Operation,
    PendingState,
    PushRequest,
    PushSettings,
)
from ansible_collections.strata.layering.tests.support.horizon_answers import (
    FARMS,
    POOLS,
    RecordedClient,
    farm_answer,
    machine_answer,
    pool_answer,
)

OLD, IMAGE = ImageRef("vm-1", "snapshot-1"), ImageRef("vm-2", "snapshot-2")
NOW = 1_700_000_000_000
PENDING = {
    "instant_clone_pending_image_parent_vm_id": "vm-2",
    "instant_clone_pending_image_snapshot_id": "snapshot-2",
}
SETTINGS = {
    "start_time": NOW,
    "logoff_policy": "FORCE_LOGOFF",
    "add_virtual_tpm": False,
    "stop_on_first_error": False,
}
PROFILE_FIELDS = {
    "compute_profile_num_cpus": 4,
    "compute_profile_num_cores_per_socket": 2,
    "compute_profile_ram_mb": 8192,
}
PROFILE = ComputeProfile(4, 2, 8192)


def scheduled_pool(**status: Any) -> dict[str, Any]:
    fields = {
        "instant_clone_operation": "SCHEDULE_PUSH_IMAGE",
        "instant_clone_pending_image_state": "READY",
        "instant_clone_push_image_settings": SETTINGS,
        **PENDING,
    }
    return pool_answer(status=fields | status)


def maintained_farm(
    state: str | None, *, recurring: bool, immediate: bool | None = None, **status: Any
) -> dict[str, Any]:
    maintenance: dict[str, Any] = {
        "next_scheduled_time": NOW,
        "logoff_policy": "WAIT_FOR_LOGOFF",
        "stop_on_first_error": True,
    }
    if immediate is not None:
        maintenance["immediate_maintenance_scheduled"] = immediate
    if recurring:
        maintenance["recurring_maintenance_settings"] = {"maintenance_period": "DAILY", "start_time": "02:00"}
    fields: dict[str, Any] = {
        "instant_clone_operation": "RECURRING_SCHEDULED_MAINTENANCE" if recurring else "NONE",
        "instant_clone_scheduled_maintenance_data": maintenance,
    }
    if state is not None:
        fields |= {"instant_clone_pending_image_state": state, **PENDING}
    return farm_answer(status=fields | status)


class TestReadPool:
    def test_pool_without_pending_image_has_current_image(self):
        pool = read_pool(pool_answer())
        assert (pool.kind, pool.id, pool.name, pool.display_name) == (POOL, "id-sales", "sales", "Sales")
        assert (pool.operation, pool.current, pool.current_state) == (Operation.NONE, OLD, CurrentState.READY)
        assert (pool.pending, pool.provisioning, pool.add_virtual_tpm) == (None, True, True)
        assert (pool.vcenter_id, pool.datacenter_id, pool.image_stream) == ("vc-1", "datacenter-2", False)

    def test_pool_with_scheduled_push_has_its_settings(self):
        status = {f"pending_{key}": value for key, value in PROFILE_FIELDS.items()}
        pool = read_pool(scheduled_pool(instant_clone_pending_image_progress=43, **status))
        assert pool.operation is Operation.PUSH
        assert pool.pending is not None
        assert (pool.pending.state, pool.pending.image, pool.pending.progress) == (PendingState.READY, IMAGE, 43)
        assert pool.pending.settings == PushSettings(NOW, FORCE_LOGOFF, False, False)
        assert pool.pending.compute_profile == PROFILE

    def test_pool_with_held_image_has_no_operation(self):
        pool = read_pool(pool_answer(status={"instant_clone_pending_image_state": "READY_HELD", **PENDING}))
        assert pool.operation is Operation.NONE
        assert pool.pending is not None
        assert pool.pending.state is PendingState.READY_HELD

    def test_pool_with_failed_image_has_error(self):
        status = {"instant_clone_pending_image_state": "FAILED", "instant_clone_pending_image_error": "No space."}
        pool = read_pool(pool_answer(status={**status, **PENDING}))
        assert pool.pending is not None
        assert pool.pending.error == "No space."

    def test_image_without_state_is_not_pending(self):
        assert read_pool(pool_answer(status=PENDING)).pending is None

    @pytest.mark.parametrize(
        ("status", "found"),
        [
            ({"instant_clone_operation": "DEFRAGMENT"}, lambda pool: pool.operation is Operation.UNKNOWN),
            ({"instant_clone_current_image_state": "ODD"}, lambda pool: pool.current_state is CurrentState.UNKNOWN),
            ({"instant_clone_pending_image_state": "ODD"}, lambda pool: pool.pending.state is PendingState.UNKNOWN),
        ],
    )
    def test_unknown_state_is_unknown_and_kept(self, status, found):
        pool = read_pool(pool_answer(status=status))
        assert found(pool)
        assert status.items() <= pool.raw.items()

    def test_instant_clones_without_operation_are_unknown(self):
        assert read_pool(pool_answer(provisioning_status_data=None)).operation is Operation.UNKNOWN

    def test_manual_pool_has_neither_image_nor_operation(self):
        pool = read_pool({"id": "1", "name": "lab", "type": "MANUAL", "source": "UNMANAGED"})
        assert (pool.operation, pool.current, pool.pending) == (Operation.NONE, None, None)
        assert (pool.provisioning, pool.enabled) == (None, True)

    @pytest.mark.parametrize(
        "changes",
        [{"image_source": "IMAGE_CATALOG"}, {"settings": {"im_stream_id": "stream-1"}}],
        ids=["source", "stream"],
    )
    def test_pool_of_image_catalog_has_image_stream(self, changes):
        assert read_pool(pool_answer(**changes)).image_stream

    def test_incomplete_compute_profile_is_none(self):
        settings = {**PROFILE_FIELDS, "compute_profile_ram_mb": None}
        assert read_pool(pool_answer(settings=settings)).compute_profile is None

    def test_provisioning_error_without_text_is_a_leftover(self):
        status = {"last_provisioning_error": "", "last_provisioning_error_time": NOW}
        assert read_pool(pool_answer(status=status)).error is None

    def test_raw_fields_are_bounded(self):
        status = {f"field{number}": "x" * 60_000 for number in range(1000)} | {"deep": {"a": {"b": {"c": {"d": 1}}}}}
        assert len(json.dumps(dict(read_pool(pool_answer(status=status)).raw))) < 200_000

    @pytest.mark.parametrize("answer", [None, [], {"name": "sales"}, {"id": "1"}, pool_answer(id=7)])
    def test_pool_without_id_or_name_is_corrupt(self, answer):
        with pytest.raises(Corrupt) as caught:
            read_pool(answer)
        assert caught.value.code == "horizon.answer"


class TestReadFarm:
    def test_farm_has_image_and_settings(self):
        farm = read_farm(farm_answer(settings=PROFILE_FIELDS))
        assert (farm.kind, farm.type, farm.source) == (FARM, "AUTOMATED", "INSTANT_CLONE")
        assert (farm.operation, farm.current, farm.current_state) == (Operation.NONE, OLD, CurrentState.READY)
        assert (farm.vcenter_id, farm.datacenter_id, farm.provisioning) == ("vc-1", "datacenter-2", True)
        assert (farm.compute_profile, farm.add_virtual_tpm, farm.pending) == (PROFILE, None, None)

    @pytest.mark.parametrize("recurring", [False, True])
    @pytest.mark.parametrize(
        ("state", "operation"),
        [
            (None, Operation.NONE),
            ("PENDING_PUBLISH", Operation.PUSH),
            ("PUBLISHING", Operation.PUSH),
            ("READY", Operation.PUSH),
            ("READY_HELD", Operation.NONE),
            ("FAILED", Operation.NONE),
            ("UNPUBLISHING", Operation.NONE),
        ],
    )
    def test_operation_follows_pending_image(self, state, operation, recurring):
        assert read_farm(maintained_farm(state, recurring=recurring, immediate=True)).operation is operation

    @pytest.mark.parametrize(
        ("text", "operation"),
        [
            ("INITIAL_PUBLISH", Operation.INITIAL_PUBLISH),
            ("CANCEL_SCHEDULED_MAINTENANCE", Operation.CANCELING),
            ("INFRASTRUCTURE_CHANGE", Operation.INFRASTRUCTURE_CHANGE),
            ("FINAL_UNPUBLISH", Operation.FINAL_UNPUBLISH),
            ("SCHEDULE_PUSH_IMAGE", Operation.UNKNOWN),
            ("DEFRAGMENT", Operation.UNKNOWN),
            (None, Operation.UNKNOWN),
        ],
    )
    def test_other_operation_prevails_over_pending_image(self, text, operation):
        answer = maintained_farm("PUBLISHING", recurring=False, instant_clone_operation=text)
        assert read_farm(answer).operation is operation

    def test_pending_image_has_settings_of_maintenance(self):
        farm = read_farm(maintained_farm("READY", recurring=False, immediate=True))
        assert farm.pending is not None
        assert farm.pending.settings == PushSettings(NOW, WAIT_FOR_LOGOFF, True, None)

    def test_manual_farm_has_neither_image_nor_operation(self):
        farm = read_farm({"id": "1", "name": "lab", "type": "MANUAL"})
        assert (farm.source, farm.operation, farm.current) == ("", Operation.NONE, None)


class TestFind:
    @pytest.mark.parametrize(
        ("api", "path", "answer"), [(Pools, POOLS, pool_answer), (Farms, FARMS, farm_answer)], ids=["pool", "farm"]
    )
    def test_single_name_takes_one_filtered_request(self, api, path, answer):
        client = RecordedClient({path: [answer("one"), answer("two")]})
        assert [found.name for found in api(client).find(["two"])] == ["two"]
        assert client.requests == [("GET", path, {"name": "two"}, {})]

    def test_several_names_take_one_list_and_keep_their_order(self):
        client = RecordedClient({POOLS: [pool_answer(name) for name in ("a", "b", "c")]})
        assert [pool.name for pool in Pools(client).find(["c", "a", "c"])] == ["c", "a"]
        assert client.requests == [("GET", POOLS, None, {})]

    def test_no_names_take_no_request(self):
        client = RecordedClient()
        assert Pools(client).find([]) == []
        assert client.requests == []

    def test_name_in_other_case_is_not_found(self):
        with pytest.raises(NotFound) as caught:
            Pools(RecordedClient({POOLS: [pool_answer("Sales")]})).find(["sales"])
        assert caught.value.code == "horizon.no_such_target"
        assert caught.value.details["similar"] == ["Sales"]

    def test_filter_that_ignores_case_does_not_find_a_different_pool(self):
        client = RecordedClient()
        client.pages = lambda path, filter=None: iter([pool_answer("SALES")])  # type: ignore[method-assign]
        with pytest.raises(NotFound):
            Pools(client).find(["sales"])

    def test_version_that_cannot_filter_by_name_is_asked_for_all_pools(self):
        client = RecordedClient({POOLS: [pool_answer("sales"), pool_answer("lab")]})
        unfiltered = client.pages

        def pages(path, filter=None):
            if filter:
                raise Unavailable("The filter is invalid.", code="horizon.refused")
            return unfiltered(path)

        client.pages = pages  # type: ignore[method-assign]
        assert [pool.name for pool in Pools(client).find(["lab"])] == ["lab"]

    def test_missing_names_are_all_reported(self):
        with pytest.raises(NotFound) as caught:
            Pools(RecordedClient({POOLS: [pool_answer("sales"), pool_answer("lab")]})).find(["slaes", "lab", "x"])
        assert caught.value.details["missing"] == ["slaes", "x"]
        assert caught.value.details["similar"] == ["sales"]

    def test_display_name_of_one_pool_names_that_pool(self):
        with pytest.raises(NotFound) as caught:
            Pools(RecordedClient({POOLS: [pool_answer("w11", display_name="Desktop")]})).find(["Desktop"])
        assert caught.value.details["display_names"] == {"Desktop": ["w11"]}

    def test_display_name_of_two_pools_names_both(self):
        pools = [pool_answer(name, display_name="Desktop") for name in ("w11-b", "w11-a", "w10")]
        pools[2]["display_name"] = "Old"
        with pytest.raises(NotFound) as caught:
            Pools(RecordedClient({POOLS: pools})).find(["Desktop"])
        assert caught.value.details["display_names"] == {"Desktop": ["w11-a", "w11-b"]}

    def test_all_is_sorted_by_name(self):
        client = RecordedClient({FARMS: [farm_answer("b"), farm_answer("a")]})
        assert [farm.name for farm in Farms(client).all()] == ["a", "b"]

    def test_read_asks_for_one_object_by_its_quoted_id(self):
        client = RecordedClient({POOLS: [pool_answer(id="a%2F..%3Fb")]})
        Pools(client).read("a/..?b")
        assert client.requests[0][1] == f"{POOLS}/a%2F..%3Fb"


class TestRequestBody:
    def test_pool_keeps_tpm_and_compute_profile(self):
        pool = read_pool(pool_answer(settings=PROFILE_FIELDS))
        assert Pools(RecordedClient()).request_body(pool, PushRequest(IMAGE)) == {
            "parent_vm_id": "vm-2",
            "snapshot_id": "snapshot-2",
            "logoff_policy": "WAIT_FOR_LOGOFF",
            "stop_on_first_error": True,
            "add_virtual_tpm": True,
            **PROFILE_FIELDS,
        }

    def test_pool_takes_all_settings_of_request(self):
        request = PushRequest(IMAGE, FORCE_LOGOFF, NOW, False, False, PROFILE, ("m-2", "m-1", "m-2"))
        assert Pools(RecordedClient()).request_body(read_pool(pool_answer()), request) == {
            "parent_vm_id": "vm-2",
            "snapshot_id": "snapshot-2",
            "logoff_policy": "FORCE_LOGOFF",
            "stop_on_first_error": False,
            "add_virtual_tpm": False,
            "start_time": NOW,
            "selective_push_image": True,
            "machine_ids": ["m-2", "m-1"],
            **PROFILE_FIELDS,
        }

    def test_pool_that_does_not_report_tpm_sends_none(self):
        pool = read_pool(pool_answer(settings={"add_virtual_tpm": None}))
        assert "add_virtual_tpm" not in Pools(RecordedClient()).request_body(pool, PushRequest(IMAGE))

    def test_no_machines_publish_without_applying(self):
        body = Pools(RecordedClient()).request_body(read_pool(pool_answer()), PushRequest(IMAGE, machine_ids=()))
        assert (body["selective_push_image"], body["machine_ids"]) == (True, [])

    def test_farm_requests_immediate_maintenance(self):
        farm = read_farm(farm_answer(settings=PROFILE_FIELDS))
        request = PushRequest(IMAGE, start_time=NOW, machine_ids=("s-1",))
        assert Farms(RecordedClient()).request_body(farm, request) == {
            "maintenance_mode": "IMMEDIATE",
            "parent_vm_id": "vm-2",
            "snapshot_id": "snapshot-2",
            "logoff_policy": "WAIT_FOR_LOGOFF",
            "stop_on_first_error": True,
            "next_scheduled_time": NOW,
            "selective_schedule_maintenance": True,
            "rds_server_ids": ["s-1"],
            **PROFILE_FIELDS,
        }

    @pytest.mark.parametrize("tpm", [True, False])
    def test_farm_refuses_tpm(self, tpm):
        with pytest.raises(InvalidInput) as caught:
            Farms(RecordedClient()).request_body(read_farm(farm_answer()), PushRequest(IMAGE, add_virtual_tpm=tpm))
        assert caught.value.code == "horizon.farm_tpm"

    @pytest.mark.parametrize(
        "profile",
        [
            ComputeProfile(3, 2, 4096),
            ComputeProfile(0, 1, 4096),
            ComputeProfile(2, 0, 4096),
            ComputeProfile(2, 2, 1023),
        ],
    )
    def test_compute_profile_that_horizon_refuses_is_refused(self, profile):
        with pytest.raises(InvalidInput) as caught:
            Pools(RecordedClient()).request_body(read_pool(pool_answer()), PushRequest(IMAGE, compute_profile=profile))
        assert caught.value.code == "horizon.compute_profile"

    def test_start_time_in_seconds_is_a_defect(self):
        with pytest.raises(InternalError) as caught:
            Pools(RecordedClient()).request_body(read_pool(pool_answer()), PushRequest(IMAGE, start_time=NOW // 1000))
        assert caught.value.code == "horizon.start_time"


APIS = [(Pools, read_pool(pool_answer())), (Farms, read_farm(farm_answer()))]
BULK = [
    {"id": "id-m1", "status_code": 200},
    {
        "id": "id-m2",
        "status_code": 404,
        "errors": [{"error_key": "machine.not.found", "error_message": "No such machine."}],
    },
    {"id": "id-m3", "status_code": 400, "error_messages": ["Busy.", "Held."]},
]


class TestRequests:
    def test_pool_push_is_posted_to_version_2(self):
        client = RecordedClient()
        assert Pools(client).push(read_pool(pool_answer()), PushRequest(IMAGE)) == ()
        ((method, path, body, query),) = client.requests
        assert (method, path) == ("POST", "/inventory/v2/desktop-pools/id-sales/action/schedule-push-image")
        assert (body["parent_vm_id"], query) == ("vm-2", {})

    def test_farm_push_is_posted_to_version_2(self):
        client = RecordedClient()
        Farms(client).push(read_farm(farm_answer()), PushRequest(IMAGE))
        assert client.requests[0][1] == "/inventory/v2/farms/id-apps/action/schedule-maintenance"

    def test_pool_cancel_has_no_body(self):
        client = RecordedClient()
        Pools(client).cancel(read_pool(scheduled_pool()))
        path = "/inventory/v1/desktop-pools/id-sales/action/cancel-scheduled-push-image"
        assert client.requests == [("POST", path, None, {})]

    @pytest.mark.parametrize("recurring", [False, True])
    @pytest.mark.parametrize("immediate", [True, None])
    @pytest.mark.parametrize("state", ["PUBLISHING", "READY", "READY_HELD"])
    def test_farm_cancel_leaves_recurring_maintenance(self, state, recurring, immediate):
        client = RecordedClient()
        Farms(client).cancel(read_farm(maintained_farm(state, recurring=recurring, immediate=immediate)))
        path = "/inventory/v1/farms/id-apps/action/cancel-scheduled-maintenance"
        assert client.requests == [("POST", path, {"maintenance_mode": "IMMEDIATE"}, {})]

    def test_farm_cancel_of_recurring_image_is_refused(self):
        client = RecordedClient()
        with pytest.raises(Conflict) as caught:
            Farms(client).cancel(read_farm(maintained_farm("READY", recurring=True, immediate=False)))
        assert caught.value.code == "horizon.recurring_maintenance"
        assert client.requests == []

    @pytest.mark.parametrize(("api", "target"), APIS, ids=["pool", "farm"])
    def test_promote_posts_without_body(self, api, target):
        client = RecordedClient()
        api(client).promote(target)
        ((method, path, body, query),) = client.requests
        assert path.endswith(f"/{target.id}/action/promote-pending-image")
        assert (method, body, query) == ("POST", None, {})

    @pytest.mark.parametrize(("api", "target"), APIS, ids=["pool", "farm"])
    def test_apply_posts_ids_for_the_pending_image(self, api, target):
        client = RecordedClient()
        assert api(client).apply(target, ["m2", "m1", "m2"]) == ()
        ((_method, path, body, query),) = client.requests
        assert path.endswith(f"/{target.id}/action/apply-image")
        assert (body, query) == (["m2", "m1"], {"pending_image": "true"})

    def test_refused_machines_are_named(self):
        pool = read_pool(pool_answer())
        client = RecordedClient({"/inventory/v3/machines": [machine_answer("m2")]})
        client.answers["/inventory/v1/desktop-pools/id-sales/action/apply-image"] = BULK
        api = Pools(client)
        api.machines(pool)
        with pytest.raises(Unavailable) as caught:
            api.apply(pool, ["id-m1", "id-m2", "id-m3"])
        assert caught.value.code == "horizon.machines_refused"
        assert caught.value.details["accepted"] == 1
        assert [(entry["id"], entry["name"], entry["status_code"]) for entry in caught.value.details["machines"]] == [
            ("id-m2", "m2", 404),
            ("id-m3", None, 400),
        ]

    def test_push_with_refused_machines_is_an_error(self):
        client = RecordedClient()
        client.answers["/inventory/v2/farms/id-apps/action/schedule-maintenance"] = BULK[1:]
        with pytest.raises(Unavailable) as caught:
            Farms(client).push(read_farm(farm_answer()), PushRequest(IMAGE, machine_ids=("id-m2", "id-m3")))
        assert caught.value.code == "horizon.machines_refused"

    def test_enable_provisioning_posts_the_pool(self):
        client = RecordedClient()
        Pools(client).enable_provisioning(read_pool(pool_answer()))
        path = "/inventory/v1/desktop-pools/action/enable-provisioning"
        assert client.requests == [("POST", path, ["id-sales"], {})]

    @pytest.mark.parametrize("kind", [NotFound, Unsupported])
    def test_enable_provisioning_of_old_horizon_names_its_version(self, kind):
        client = RecordedClient()
        missing = kind("There is no such path.", code="horizon.version")
        client.answers["/inventory/v1/desktop-pools/action/enable-provisioning"] = missing
        with pytest.raises(Unsupported) as caught:
            Pools(client).enable_provisioning(read_pool(pool_answer()))
        assert caught.value.code == "horizon.enable_provisioning"
        assert caught.value.details["version"] == "8.6.0"

    def test_enable_provisioning_that_failed_for_the_pool_is_an_error(self):
        client = RecordedClient()
        client.answers["/inventory/v1/desktop-pools/action/enable-provisioning"] = BULK[2:]
        with pytest.raises(Unavailable) as caught:
            Pools(client).enable_provisioning(read_pool(pool_answer()))
        assert caught.value.code == "horizon.provisioning_refused"

    def test_enable_provisioning_of_farm_is_unsupported(self):
        with pytest.raises(Unsupported) as caught:
            Farms(RecordedClient()).enable_provisioning(read_farm(farm_answer()))
        assert caught.value.code == "horizon.enable_provisioning"

    def test_halted_tasks_are_resumed(self):
        path = "/inventory/v1/desktop-pools/id-sales/tasks"
        operation = {"operation": "PUSH_IMAGE"}
        tasks = [
            operation | {"id": "t-1", "halted_vmtask_count": 2},
            operation | {"id": "t-2", "halted_vmtask_count": 0},
            operation | {"id": "t-3"},
            {"id": "t-4", "halted_vmtask_count": 1, "operation": "ARCHIVE"},
            {"id": "t-5", "halted_vmtask_count": 1},
        ]
        client = RecordedClient({path: tasks})
        Pools(client).resume(read_pool(pool_answer()), stop_on_first_error=True)
        body = {"retry_failed_vms": True, "stop_on_error": True}
        assert client.requests[1:] == [("POST", f"{path}/t-1/action/resume", body, {})]

    def test_farm_has_no_tasks(self):
        client = RecordedClient()
        Farms(client).resume(read_farm(farm_answer()), stop_on_first_error=True)
        assert client.requests == []


class TestMachineResults:
    def test_both_shapes_of_errors_are_read(self):
        assert machine_results(BULK, "the machines") == (
            MachineResult("id-m1", 200),
            MachineResult("id-m2", 404, "No such machine. (machine.not.found)"),
            MachineResult("id-m3", 400, "Busy.; Held."),
        )

    @pytest.mark.parametrize("entry", [{"id": "m"}, {"id": "m", "status_code": 500}, {"id": "m", "status_code": 0}])
    def test_result_without_success_is_a_failure(self, entry):
        assert machine_results([entry], "the machines")[0].error

    @pytest.mark.parametrize("answer", [{"id": "m"}, "text", [1], [{"status_code": "200"}]])
    def test_answer_of_wrong_type_is_corrupt(self, answer):
        with pytest.raises(Corrupt) as caught:
            machine_results(answer, "the machines")
        assert caught.value.code == "horizon.answer"

    @given(st.lists(st.integers(200, 299) | st.integers(300, 599)))
    def test_result_has_error_unless_status_is_success(self, statuses):
        results = machine_results([{"id": str(i), "status_code": code} for i, code in enumerate(statuses)], "x")
        assert [result.error is None for result in results] == [code < 300 for code in statuses]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("read", "answer"),
    [(read_pool, scheduled_pool()), (read_farm, maintained_farm("READY", recurring=True))],
    ids=["pool", "farm"],
)
@given(data=st.data())
def test_changed_answer_is_read_or_corrupt(read, answer, data):
    """Replace some values anywhere in an answer: only errors of this collection are raised, and raw fields stay JSON."""
    changed = json.loads(json.dumps(answer))
    for _number in range(data.draw(st.integers(1, 3))):
        record = changed
        while True:
            key = data.draw(st.sampled_from(sorted(record)))
            if isinstance(record[key], dict) and record[key] and data.draw(st.booleans()):
                record = record[key]
                continue
            record[key] = data.draw(JSON)
            break
    try:
        target = read(changed)
    except StrataError as error:
        assert error.code == "horizon.answer"
    else:
        json.dumps(dict(target.raw))
