# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of the simulated Connection Server: the states of a push."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support.horizon_rest import RestClient
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator

#: Longer than an image is published.
_PUBLISHED = 70
#: Longer than all machines of a small pool are rebuilt.
_REBUILT = 40


@pytest.fixture
def pool(rest: RestClient, horizon: HorizonSimulator) -> str:
    """Provide a pool of three machines on the snapshot Old."""
    return str(horizon.add_pool("sales", "golden", "Old")["name"])


def _state(horizon: HorizonSimulator, name: str = "sales") -> tuple[object, object]:
    found = horizon.pool(name)
    return found["operation"], found["pending_state"]


def _on(horizon: HorizonSimulator, rest: RestClient, snapshot: str) -> int:
    expected = rest.image(snapshot)["snapshot_id"]
    return sum(machine["snapshot"] == expected for machine in horizon.machines("sales"))


def test_push_is_published_and_machines_follow(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    answer = rest.push(pool, add_virtual_tpm=True)
    assert (answer.status_code, answer.json()) == (200, [])
    assert _state(horizon) == ("SCHEDULE_PUSH_IMAGE", "PENDING_PUBLISH")
    horizon.clock.advance(35)
    status = horizon.pool(pool)["record"]["provisioning_status_data"]
    assert _state(horizon) == ("SCHEDULE_PUSH_IMAGE", "PUBLISHING")
    assert status["instant_clone_pending_image_progress"] == 50
    assert status["instant_clone_push_image_settings"]["add_virtual_tpm"] is True
    horizon.clock.advance(30)
    assert _state(horizon) == ("NONE", None)
    assert horizon.pool(pool)["snapshot"] == rest.image("New")["snapshot_id"]
    assert horizon.pool(pool)["record"]["provisioning_settings"]["add_virtual_tpm"] is True
    assert _on(horizon, rest, "New") == 0
    assert rest.tasks(pool)[0]["remaining_vmtask_count"] == 3
    horizon.clock.advance(_REBUILT)
    assert _on(horizon, rest, "New") == 3
    assert rest.tasks(pool) == []


def test_reads_do_not_advance_a_push(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    rest.push(pool)
    for _read in range(50):
        rest.get("/inventory/v6/desktop-pools")
    assert _state(horizon) == ("SCHEDULE_PUSH_IMAGE", "PENDING_PUBLISH")


def test_push_waits_for_its_start_and_can_be_moved(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    start = horizon.clock.now + 3600_000
    assert rest.push(pool, start_time=start).status_code == 200
    horizon.clock.advance(_PUBLISHED)
    assert _state(horizon) == ("SCHEDULE_PUSH_IMAGE", "READY")
    assert rest.push(pool, "Old", start_time=start).status_code == 400
    assert rest.push(pool, start_time=start + 1800_000).status_code == 200
    horizon.clock.advance(3600)
    assert _state(horizon) == ("SCHEDULE_PUSH_IMAGE", "READY")
    horizon.clock.advance(1800)
    assert _state(horizon) == ("NONE", None)
    assert len(horizon.journal("POST", "schedule-push-image")) == 3


def test_running_push_cannot_be_moved(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    rest.push(pool)
    assert rest.push(pool, start_time=horizon.clock.now + 3600_000).status_code == 400


def test_push_is_canceled(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    rest.push(pool, start_time=horizon.clock.now + 3600_000)
    assert len(rest.tasks(pool)) == 1
    assert rest.act(pool, "cancel-scheduled-push-image") == 204
    assert (_state(horizon), rest.tasks(pool)) == (("NONE", None), [])
    assert rest.act(pool, "cancel-scheduled-push-image") == 400
    horizon.clock.advance(7200)
    assert _on(horizon, rest, "Old") == 3


def test_cancellation_takes_time(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.settings(cancel_seconds=20)
    rest.push(pool)
    rest.act(pool, "cancel-scheduled-push-image")
    assert _state(horizon) == ("CANCEL_SCHEDULED_PUSH_IMAGE", "UNPUBLISHING")
    assert rest.push(pool).status_code == 400
    horizon.clock.advance(20)
    assert _state(horizon) == ("NONE", None)


def test_failed_publish_allows_another_push(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.fail_publish("Could not authenticate with domain administrator credentials", target=pool)
    rest.push(pool)
    horizon.clock.advance(_PUBLISHED)
    assert _state(horizon) == ("NONE", "FAILED")
    error = horizon.pool(pool)["record"]["provisioning_status_data"]["instant_clone_pending_image_error"]
    assert error.startswith("Could not authenticate")
    assert rest.push(pool).status_code == 200
    horizon.clock.advance(_PUBLISHED + _REBUILT)
    assert _on(horizon, rest, "New") == 3


def test_publish_is_stuck_until_released(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.stick_publish(progress=43)
    rest.push(pool)
    horizon.clock.advance(86400)
    assert _state(horizon) == ("SCHEDULE_PUSH_IMAGE", "PUBLISHING")
    horizon.release_publish(pool)
    horizon.clock.advance(_PUBLISHED)
    assert _state(horizon) == ("NONE", None)


def test_snapshot_removed_while_publishing_fails_the_push(
    rest: RestClient, horizon: HorizonSimulator, pool: str
) -> None:
    rest.push(pool)
    horizon.clock.advance(10)
    horizon.remove_vm("golden", "New")
    horizon.clock.advance(_PUBLISHED)
    assert _state(horizon) == ("NONE", "FAILED")


def test_held_image_is_applied_and_promoted(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    first, second, third = (machine["id"] for machine in horizon.machines(pool))
    results = rest.push(pool, selective_push_image=True, machine_ids=[first, "unknown"]).json()
    assert [result["status_code"] for result in results] == [200, 404]
    assert horizon.machines(pool)[0]["operation_state"] == "STANDBY"
    horizon.clock.advance(_PUBLISHED + _REBUILT)
    assert _state(horizon) == ("NONE", "READY_HELD")
    assert (_on(horizon, rest, "New"), horizon.pool(pool)["snapshot"]) == (1, rest.image("Old")["snapshot_id"])
    assert rest.push(pool, "Old").status_code == 400
    assert rest.act(pool, "apply-image", [second], pending_image="true") == 200
    horizon.clock.advance(_REBUILT)
    assert _on(horizon, rest, "New") == 2
    assert rest.act(pool, "promote-pending-image") == 204
    horizon.clock.advance(_REBUILT)
    assert (_state(horizon), _on(horizon, rest, "New")) == (("NONE", None), 3)
    assert horizon.pool(pool)["snapshot"] == rest.image("New")["snapshot_id"]


def test_canceled_held_image_returns_machines_to_the_current_image(
    rest: RestClient, horizon: HorizonSimulator, pool: str
) -> None:
    rest.push(pool, selective_push_image=True, machine_ids=[horizon.machines(pool)[0]["id"]])
    horizon.clock.advance(_PUBLISHED + _REBUILT)
    assert rest.act(pool, "cancel-scheduled-push-image") == 204
    assert _state(horizon) == ("NONE", None)
    horizon.clock.advance(_REBUILT)
    assert _on(horizon, rest, "Old") == 3


def test_vtpm_and_compute_profile_that_are_left_out_are_taken_away(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.add_pool(
        "sales",
        "golden",
        "Old",
        add_virtual_tpm=True,
        compute_profile_num_cpus=4,
        compute_profile_num_cores_per_socket=2,
        compute_profile_ram_mb=8192,
    )
    rest.push("sales")
    horizon.clock.advance(_PUBLISHED)
    settings = horizon.pool("sales")["record"]["provisioning_settings"]
    assert settings["add_virtual_tpm"] is False
    assert "compute_profile_num_cpus" not in settings


@pytest.mark.parametrize(
    "fields",
    [
        {"parent_vm_id": "vm-9999"},
        {"snapshot_id": "snapshot-9999"},
        {"machine_ids": ["some"]},
        {"compute_profile_num_cpus": 4},
        {"compute_profile_num_cpus": 3, "compute_profile_num_cores_per_socket": 2, "compute_profile_ram_mb": 2048},
        {"im_stream_id": "stream", "im_tag_id": "tag"},
    ],
)
def test_push_with_wrong_fields_is_refused(
    rest: RestClient, horizon: HorizonSimulator, pool: str, fields: dict[str, object]
) -> None:
    assert rest.push(pool, **fields).status_code == 400
    assert _state(horizon) == ("NONE", None)


@pytest.mark.parametrize(
    "record",
    [
        {"source": "LINKED_CLONE"},
        {"type": "MANUAL", "source": "UNMANAGED"},
        {"delete_in_progress": True},
        {"instant_clone_operation": "INITIAL_PUBLISH"},
        {"instant_clone_operation": "FINAL_UNPUBLISH"},
        {"datacenter_id": "datacenter-77"},
    ],
)
def test_pool_that_cannot_get_an_image_refuses_the_push(
    rest: RestClient, horizon: HorizonSimulator, pool: str, record: dict[str, object]
) -> None:
    horizon.change_pool(pool, **record)
    assert rest.push(pool).status_code == 400


def test_operation_of_horizon_ends_after_its_time(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.interrupt(pool, "INFRASTRUCTURE_CHANGE", 60)
    assert rest.push(pool).status_code == 400
    horizon.clock.advance(60)
    assert rest.push(pool).status_code == 200


def test_machines_wait_for_provisioning(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.change_pool(pool, enable_provisioning=False)
    rest.push(pool)
    horizon.clock.advance(_PUBLISHED + _REBUILT)
    assert (_state(horizon), _on(horizon, rest, "Old")) == (("NONE", None), 3)
    ids = [horizon.pool(pool)["id"], "unknown"]
    results = rest.send("POST", "/inventory/v1/desktop-pools/action/enable-provisioning", ids).json()
    assert [result["status_code"] for result in results] == [200, 404]
    horizon.clock.advance(_REBUILT)
    assert _on(horizon, rest, "New") == 3


def test_request_of_another_administrator_happens_later(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    path = f"/inventory/v1/desktop-pools/{horizon.pool(pool)['id']}/action/cancel-scheduled-push-image"
    horizon.request_later(30, "POST", path)
    rest.push(pool)
    horizon.clock.advance(20)
    assert _state(horizon) == ("SCHEDULE_PUSH_IMAGE", "PUBLISHING")
    horizon.clock.advance(10)
    assert _state(horizon) == ("NONE", None)
    assert horizon.journal(path="cancel") == []
    assert [entry["status"] for entry in horizon.journal(path="cancel", others=True)] == [204]
