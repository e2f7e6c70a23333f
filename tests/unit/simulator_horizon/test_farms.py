# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Farms of the simulated Connection Server: maintenance, immediate and recurring."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support.horizon_rest import RestClient
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator

_PUBLISHED = 70
_REBUILT = 40
_HOUR = 3600


@pytest.fixture
def farm(rest: RestClient, horizon: HorizonSimulator) -> str:
    """Provide a farm of three servers on the snapshot Old."""
    return str(horizon.add_farm("apps", "golden", "Old", 3)["name"])


def _state(horizon: HorizonSimulator) -> tuple[object, object]:
    found = horizon.farm("apps")
    return found["operation"], found["pending_state"]


def _status(horizon: HorizonSimulator) -> dict[str, object]:
    settings = horizon.farm("apps")["record"]["automated_farm_settings"]
    return dict(settings["provisioning_status_data"])


def _schedule(horizon: HorizonSimulator) -> dict[str, object]:
    schedule = _status(horizon).get("instant_clone_scheduled_maintenance_data", {})
    assert isinstance(schedule, dict)
    return schedule


def _on(horizon: HorizonSimulator, rest: RestClient, snapshot: str) -> int:
    expected = rest.image(snapshot)["snapshot_id"]
    return sum(server["snapshot"] == expected for server in horizon.servers("apps"))


def _cancel(rest: RestClient, horizon: HorizonSimulator, mode: str = "IMMEDIATE") -> int:
    path = f"/inventory/v1/farms/{horizon.farm('apps')['id']}/action/cancel-scheduled-maintenance"
    return rest.status("POST", path, {"maintenance_mode": mode})


def test_maintenance_publishes_without_an_operation(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    start = horizon.clock.now + _HOUR * 1000
    assert rest.maintain(farm, next_scheduled_time=start).json() == []
    assert _state(horizon) == ("NONE", "PENDING_PUBLISH")
    assert _schedule(horizon)["immediate_maintenance_scheduled"] is True
    assert _schedule(horizon)["next_scheduled_time"] == start
    horizon.clock.advance(_PUBLISHED)
    assert _state(horizon) == ("NONE", "READY")
    horizon.clock.advance(_HOUR)
    assert (_state(horizon), _schedule(horizon)) == (("NONE", None), {})
    assert (_on(horizon, rest, "New"), horizon.farm(farm)["snapshot"]) == (3, rest.image("New")["snapshot_id"])


def test_farm_keeps_its_minimum_of_ready_servers(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    horizon.change_farm(farm, min_ready_vms=2)
    rest.maintain(farm)
    horizon.clock.advance(_PUBLISHED)
    for _server in range(3):
        busy = [server for server in horizon.servers(farm) if server["operation_state"] == "PROGRESSING"]
        assert len(busy) == 1
        horizon.clock.advance(30)
    assert _on(horizon, rest, "New") == 3


def test_scheduled_maintenance_is_moved_but_not_replaced(
    rest: RestClient, horizon: HorizonSimulator, farm: str
) -> None:
    start = horizon.clock.now + _HOUR * 1000
    rest.maintain(farm, next_scheduled_time=start)
    assert rest.maintain(farm, next_scheduled_time=start + 60_000).status_code == 200
    assert rest.maintain(farm, "Old", next_scheduled_time=start).status_code == 400
    assert _schedule(horizon)["next_scheduled_time"] == start + 60_000


def test_canceled_maintenance_does_not_publish(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    rest.maintain(farm)
    assert _cancel(rest, horizon) == 204
    assert (_state(horizon), _schedule(horizon)) == (("NONE", None), {})
    assert _cancel(rest, horizon) == 400
    horizon.clock.advance(_HOUR)
    assert _on(horizon, rest, "Old") == 3


def test_published_image_remains_after_a_cancellation(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    rest.maintain(farm, next_scheduled_time=horizon.clock.now + _HOUR * 1000)
    horizon.clock.advance(_PUBLISHED)
    assert _cancel(rest, horizon) == 204
    horizon.clock.advance(2 * _HOUR)
    assert horizon.farm(farm)["snapshot"] == rest.image("New")["snapshot_id"]
    assert _on(horizon, rest, "Old") == 3


def test_selective_maintenance_is_promoted(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    server = horizon.servers(farm)[0]["id"]
    results = rest.maintain(farm, selective_schedule_maintenance=True, rds_server_ids=[server]).json()
    assert [(result["id"], result["status_code"]) for result in results] == [(server, 200)]
    horizon.clock.advance(_PUBLISHED + _REBUILT)
    assert (_state(horizon), _on(horizon, rest, "New")) == (("NONE", "READY_HELD"), 1)
    path = f"/inventory/v1/farms/{horizon.farm(farm)['id']}/action/promote-pending-image"
    assert rest.status("POST", path) == 204
    horizon.clock.advance(_REBUILT)
    assert (_state(horizon), _on(horizon, rest, "New")) == (("NONE", None), 3)


def test_server_waits_for_its_sessions(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    horizon.add_session("apps-1")
    horizon.add_session("apps-1", "DISCONNECTED")
    rest.maintain(farm)
    horizon.clock.advance(_PUBLISHED + _REBUILT)
    servers = rest.get("/inventory/v1/rds-servers", filter=rest.equals("farm_id", horizon.farm(farm)["id"]))
    found = [(server["session_count"], server.get("operation_state")) for server in servers]
    assert found == [(2, "SCHEDULED"), (0, None), (0, None)]
    horizon.end_session()
    horizon.clock.advance(_REBUILT)
    assert _on(horizon, rest, "New") == 3


def test_server_that_fails_has_a_state(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    horizon.fail_machine(name="apps-2")
    rest.maintain(farm)
    horizon.clock.advance(_PUBLISHED + _REBUILT)
    server = rest.get("/inventory/v1/rds-servers", filter=rest.equals("name", "apps-2"))[0]
    assert (server["state"], server["operation_state"]) == ("PROVISIONING_ERROR", "FAULT")


def test_recurring_maintenance_takes_place_daily(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    horizon.add_recurring(farm, "DAILY", "02:00")
    assert _state(horizon) == ("RECURRING_SCHEDULED_MAINTENANCE", None)
    first = _schedule(horizon)["next_scheduled_time"]
    assert isinstance(first, int)
    assert first % 86_400_000 == 2 * _HOUR * 1000
    horizon.clock.advance((first - horizon.clock.now) / 1000 + 1)
    assert {server["operation_state"] for server in horizon.servers(farm)} == {"PROGRESSING"}
    assert _schedule(horizon)["next_scheduled_time"] == first + 86_400_000
    horizon.clock.advance(_REBUILT)
    assert _on(horizon, rest, "Old") == 3


def test_immediate_maintenance_is_possible_besides_the_recurring(
    rest: RestClient, horizon: HorizonSimulator, farm: str
) -> None:
    horizon.add_recurring(farm, "WEEKLY", "02:00")
    recurring = _schedule(horizon)["next_scheduled_time"]
    assert rest.maintain(farm).status_code == 200
    assert _state(horizon) == ("RECURRING_SCHEDULED_MAINTENANCE", "PENDING_PUBLISH")
    assert _schedule(horizon)["immediate_maintenance_scheduled"] is True
    horizon.clock.advance(_PUBLISHED + _REBUILT)
    assert _state(horizon) == ("RECURRING_SCHEDULED_MAINTENANCE", None)
    assert (_schedule(horizon)["next_scheduled_time"], _on(horizon, rest, "New")) == (recurring, 3)
    assert _cancel(rest, horizon) == 400
    assert _cancel(rest, horizon, "RECURRING") == 204
    assert (_state(horizon), _schedule(horizon)) == (("NONE", None), {})


def test_recurring_maintenance_publishes_a_new_image(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    settings = {"maintenance_period": "MONTHLY", "start_time": "23:30", "start_index": 31}
    answer = rest.maintain(farm, maintenance_mode="RECURRING", recurring_maintenance_settings=settings)
    assert answer.status_code == 200
    due = _schedule(horizon)["next_scheduled_time"]
    assert isinstance(due, int)
    horizon.clock.advance((due - horizon.clock.now) / 1000 + _REBUILT)
    assert (_on(horizon, rest, "New"), _state(horizon)) == (3, ("RECURRING_SCHEDULED_MAINTENANCE", None))


def test_maintenance_without_an_image_rebuilds_servers(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    start = horizon.clock.now + _HOUR * 1000
    assert rest.maintain(farm, None, next_scheduled_time=start).status_code == 200
    assert _state(horizon) == ("NONE", None)
    assert _schedule(horizon)["immediate_maintenance_scheduled"] is True
    horizon.clock.advance(_HOUR)
    assert {server["operation_state"] for server in horizon.servers(farm)} == {"PROGRESSING"}
    assert _schedule(horizon) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"maintenance_mode": "RECURRING"},
        {"recurring_maintenance_settings": {"maintenance_period": "DAILY", "start_time": "02:00"}},
        {
            "maintenance_mode": "RECURRING",
            "recurring_maintenance_settings": {"maintenance_period": "DAILY", "start_time": "2 o'clock"},
        },
        {"rds_server_ids": ["some"]},
    ],
)
def test_wrong_maintenance_is_refused(
    rest: RestClient, horizon: HorizonSimulator, farm: str, fields: dict[str, object]
) -> None:
    assert rest.maintain(farm, **fields).status_code == 400
    assert (_state(horizon), _schedule(horizon)) == (("NONE", None), {})


def test_manual_farm_has_no_maintenance(rest: RestClient, horizon: HorizonSimulator, farm: str) -> None:
    horizon.change_farm(farm, type="MANUAL")
    assert rest.maintain(farm).status_code == 400
