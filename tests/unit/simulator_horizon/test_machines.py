# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of the simulated Connection Server: sessions, faults and tasks."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support.horizon_rest import RestClient
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator

_PUBLISHED = 70
_REBUILT = 40


@pytest.fixture
def pool(rest: RestClient, horizon: HorizonSimulator) -> str:
    """Provide a pool of four machines on the snapshot Old."""
    return str(horizon.add_pool("sales", "golden", "Old", 4)["name"])


def _push(rest: RestClient, horizon: HorizonSimulator, **fields: object) -> None:
    """Push the snapshot New, and let the time pass until the machines have followed."""
    assert rest.push("sales", **fields).status_code == 200
    horizon.clock.advance(_PUBLISHED + _REBUILT)


def _new(rest: RestClient, horizon: HorizonSimulator) -> list[bool]:
    """Return for each machine whether it is on the snapshot New."""
    snapshot = rest.image("New")["snapshot_id"]
    return [machine["snapshot"] == snapshot for machine in horizon.machines("sales")]


@pytest.mark.parametrize("state", ["CONNECTED", "DISCONNECTED", "PENDING"])
def test_machine_with_a_session_waits_for_its_end(
    rest: RestClient, horizon: HorizonSimulator, pool: str, state: str
) -> None:
    session = horizon.add_session("sales-1", state)
    _push(rest, horizon)
    assert _new(rest, horizon) == [False, True, True, True]
    assert horizon.machines(pool)[0]["operation_state"] == "SCHEDULED"
    horizon.end_session(session)
    horizon.clock.advance(_REBUILT)
    assert _new(rest, horizon) == [True] * 4
    assert horizon.logoffs() == []


def test_session_ends_by_itself(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.add_session("sales-1", ends=200)
    _push(rest, horizon)
    assert not _new(rest, horizon)[0]
    horizon.clock.advance(200)
    assert _new(rest, horizon)[0]


def test_forced_logoff_gives_users_time(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.settings(forced_logoff_minutes=3)
    horizon.add_session("sales-1", user="mia")
    horizon.add_session("sales-2", "DISCONNECTED", user="ben")
    _push(rest, horizon, logoff_policy="FORCE_LOGOFF")
    assert (_new(rest, horizon), horizon.logoffs()) == ([False, False, True, True], [])
    horizon.clock.advance(180)
    assert _new(rest, horizon) == [True] * 4
    assert [(entry["user"], entry["reason"]) for entry in horizon.logoffs()] == [
        ("mia", "FORCE_LOGOFF"),
        ("ben", "FORCE_LOGOFF"),
    ]


def test_stuck_session_keeps_its_machine(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    session = horizon.add_session("sales-1", stuck=True)
    _push(rest, horizon, logoff_policy="FORCE_LOGOFF")
    horizon.clock.advance(1000)
    assert _new(rest, horizon) == [False, True, True, True]
    assert rest.status("POST", "/inventory/v1/sessions/action/logoff", [session], forced="true") == 200
    assert len(horizon.sessions()) == 1


def test_logoff_by_an_administrator_is_recorded(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    session = horizon.add_session("sales-1")
    results = rest.send("POST", "/inventory/v1/sessions/action/logoff", [session, "unknown"], forced="true").json()
    assert [result["status_code"] for result in results] == [200, 404]
    assert [(entry["machine"], entry["reason"]) for entry in horizon.logoffs()] == [("sales-1", "FORCED")]


def test_machine_shows_its_session(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    session = horizon.add_session("sales-2", "DISCONNECTED")
    machines = rest.get("/inventory/v3/machines", filter=rest.equals("state", "DISCONNECTED"))
    assert [(machine["name"], machine["session_id"]) for machine in machines] == [("sales-2", session)]
    pool_id = horizon.pool(pool)["id"]
    found = rest.get("/inventory/v1/sessions", filter=rest.equals("desktop_pool_id", pool_id))
    assert [(item["id"], item["session_state"], item["machine_id"]) for item in found] == [
        (session, "DISCONNECTED", machines[0]["id"])
    ]


def test_first_fault_halts_the_task_until_it_is_resumed(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.settings(parallel=1)
    horizon.fail_machine("IC Agent missing", name="sales-2")
    _push(rest, horizon)
    task = rest.tasks(pool)[0]
    counts = [task[f"{name}_vmtask_count"] for name in ("remaining", "error", "halted", "cancelled")]
    assert counts == [3, 0, 0, 0]
    horizon.clock.advance(_REBUILT)
    task = rest.tasks(pool)[0]
    counts = [task[f"{name}_vmtask_count"] for name in ("remaining", "error", "halted", "cancelled")]
    assert counts == [0, 1, 2, 0]
    machine = rest.get("/inventory/v3/machines", filter=rest.equals("name", "sales-2"))[0]
    data = machine["managed_machine_data"]
    assert (machine["state"], data["operation_state"]) == ("PROVISIONING_ERROR", "FAULT")
    assert data["clone_error_message"] == "IC Agent missing"
    horizon.clock.advance(1000)
    assert _new(rest, horizon) == [True, False, False, False]
    path = f"/inventory/v1/desktop-pools/{horizon.pool(pool)['id']}/tasks/{task['id']}/action/resume"
    assert rest.status("POST", path, {"retry_failed_vms": True}) == 204
    horizon.clock.advance(4 * _REBUILT)
    assert _new(rest, horizon) == [True] * 4
    assert rest.tasks(pool) == []


def test_task_continues_after_a_fault_unless_it_stops(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.settings(parallel=1)
    horizon.fail_machine()
    _push(rest, horizon, stop_on_first_error=False)
    horizon.clock.advance(4 * _REBUILT)
    assert _new(rest, horizon) == [False, True, True, True]


def test_task_is_paused_and_canceled(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    horizon.settings(parallel=1)
    rest.push(pool)
    horizon.clock.advance(_PUBLISHED)
    path = f"/inventory/v1/desktop-pools/{horizon.pool(pool)['id']}/tasks/{rest.tasks(pool)[0]['id']}/action"
    assert rest.status("POST", f"{path}/pause") == 204
    assert rest.status("POST", f"{path}/pause") == 400
    assert rest.tasks(pool)[0]["halted_vmtask_count"] == 3
    horizon.clock.advance(1000)
    assert _new(rest, horizon) == [True, False, False, False]
    assert rest.status("POST", f"{path}/cancel") == 204
    assert rest.tasks(pool) == []
    assert {machine["operation_state"] for machine in horizon.machines(pool)} == {None}


def test_next_push_overtakes_the_task_of_the_last(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    session = horizon.add_session("sales-1")
    horizon.add_snapshot("golden", "Newest")
    _push(rest, horizon)
    assert rest.push(pool, "Newest").status_code == 200
    horizon.clock.advance(_PUBLISHED + _REBUILT)
    horizon.end_session(session)
    horizon.clock.advance(_REBUILT)
    assert {machine["snapshot"] for machine in horizon.machines(pool)} == {rest.image("Newest")["snapshot_id"]}
    assert rest.tasks(pool) == []


def test_image_is_applied_again_to_some_machines(rest: RestClient, horizon: HorizonSimulator, pool: str) -> None:
    first = horizon.machines(pool)[0]["id"]
    assert rest.act(pool, "apply-image", [first]) == 200
    assert horizon.machines(pool)[0]["operation_state"] == "PROGRESSING"
    assert rest.act(pool, "apply-image", [first], pending_image="true") == 400
    horizon.clock.advance(_REBUILT)
    assert horizon.machines(pool)[0]["operation_state"] is None
