# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random requests, sessions, faults and times: the simulator obeys its contract, and machines reach their image."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.tests.simulator_horizon.api import Api, Request
from ansible_collections.strata.layering.tests.simulator_horizon.contract import VERSIONS, Contract
from ansible_collections.strata.layering.tests.simulator_horizon.faults import Fault
from ansible_collections.strata.layering.tests.simulator_horizon.images import Images
from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod

_CONTRACTS = {version: Contract.load(version) for version in VERSIONS}
_DAY = 86400


class _World:
    """A pod with a pool and a farm on the first of three snapshots, without a server."""

    def __init__(self, version: str) -> None:
        self.pod = Pod(version, "pod-1")
        self.api = Api(self.pod, _CONTRACTS[version])
        self.vm = self.pod.add_vcenter("vcenter1.example.com").add_vm("golden", ["A", "B", "C"], {})
        fields: dict[str, Any] = {"vm": "golden", "snapshot": "A", "machines": 4}
        self.owners = [
            self.pod.add_owner("pool", {"name": "sales", **fields}),
            self.pod.add_owner("farm", {"name": "apps", "min_ready_vms": 1, **fields}),
        ]

    def send(self, method: str, path: str, body: object = None, query: dict[str, str] | None = None) -> Any:
        """Send a request, which must obey the contract, and return the body of the answer."""
        request = Request(method, path, query or {}, b"" if body is None else json.dumps(body).encode(), trusted=True)
        answer = self.api.answer(request)
        assert request.problems == []
        assert answer.status in (200, 204, 400, 404)
        return answer.body

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.pod.timeline.clock.advance(seconds)
        self.pod.timeline.run()

    def read(self) -> None:
        """Read everything."""
        for path in ("v6/desktop-pools", "v4/farms", "v3/machines", "v1/rds-servers", "v1/sessions"):
            self.send("GET", f"/inventory/{path}")
        self.send("GET", f"/inventory/v1/desktop-pools/{self.owners[0].id}/tasks")


def _act(world: _World, owner: Images, step: tuple[Any, ...]) -> None:
    kind, number, flag, delay = step
    base = f"/inventory/v1/{'desktop-pools' if owner.kind == 'pool' else 'farms'}/{owner.id}"
    members = [member.id for member in owner.members[: number + 1]]
    if kind == "push":
        _push(world, owner, number, flag, delay)
    elif kind == "cancel" and owner.kind == "pool":
        world.send("POST", f"{base}/action/cancel-scheduled-push-image")
    elif kind == "cancel":
        mode = "RECURRING" if flag else "IMMEDIATE"
        world.send("POST", f"{base}/action/cancel-scheduled-maintenance", {"maintenance_mode": mode})
    elif kind == "promote":
        world.send("POST", f"{base}/action/promote-pending-image")
    elif kind == "apply":
        world.send("POST", f"{base}/action/apply-image", members, {"pending_image": str(flag).lower()})
    elif kind == "session":
        world.pod.add_session({"machine": owner.members[number].name, "ends": delay or None, "stuck": flag})
    elif kind == "fault":
        fault = Fault(owner.name if flag else f"{owner.name}-*", 1, "fault", 50 if flag and number else None)
        (world.pod.faults.add_publish if flag else world.pod.faults.add_machine)(fault)
    elif kind == "task" and owner.kind == "pool":
        for task in world.send("GET", f"{base}/tasks"):
            action = ("cancel", "pause", "resume")[number % 3]
            body = {"retry_failed_vms": flag} if action == "resume" else None
            world.send("POST", f"{base}/tasks/{task['id']}/action/{action}", body)
    elif kind == "provisioning":
        world.pod.change_owner(owner, {"enable_provisioning": flag})
    else:
        world.advance(delay)


def _push(world: _World, owner: Images, number: int, flag: bool, delay: int) -> None:
    body: dict[str, Any] = {
        "parent_vm_id": world.vm["moid"],
        "snapshot_id": world.vm["snapshots"][number % 3]["moid"],
        "logoff_policy": "FORCE_LOGOFF" if flag else "WAIT_FOR_LOGOFF",
        "stop_on_first_error": flag,
    }
    start = {} if delay % 2 else {"start": world.pod.timeline.now + delay * 1000}
    members = [member.id for member in owner.members[:number]]
    if owner.kind == "pool":
        body |= {"start_time": start["start"]} if start else {}
        body |= {"selective_push_image": True, "machine_ids": members} if number == 3 else {}
        world.send("POST", f"/inventory/v2/desktop-pools/{owner.id}/action/schedule-push-image", body)
        return
    recurring = {"maintenance_period": "DAILY", "start_time": "02:00"}
    body |= {"next_scheduled_time": start["start"]} if start else {}
    body |= {"selective_schedule_maintenance": True, "rds_server_ids": members} if number == 3 else {}
    body |= {"maintenance_mode": "RECURRING", "recurring_maintenance_settings": recurring} if delay == 600 else {}
    world.send(
        "POST", f"/inventory/v2/farms/{owner.id}/action/schedule-maintenance", {"maintenance_mode": "IMMEDIATE", **body}
    )


_KINDS = ("push", "cancel", "promote", "apply", "session", "fault", "task", "provisioning", "time", "time")
_STEPS = st.lists(
    st.tuples(
        st.sampled_from((0, 1)),
        st.tuples(
            st.sampled_from(_KINDS), st.integers(0, 3), st.booleans(), st.sampled_from((0, 1, 7, 30, 65, 101, 600))
        ),
    ),
    max_size=25,
)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=_STEPS)
def test_machines_reach_the_image_of_their_pool(version: str, steps: list[tuple[int, tuple[Any, ...]]]) -> None:
    world = _World(version)
    for target, step in steps:
        _act(world, world.owners[target], step)
        world.read()
    _settle(world)
    for owner in world.owners:
        assert {member.image for member in owner.members} == {owner.current}
        assert {member.data.get("operation_state") for member in owner.members} == {None}
        assert [rollout for rollout in owner.rollouts if not rollout.ended] == []
    world.read()


def _settle(world: _World) -> None:
    """End sessions and faults, cancel what is held, push the first snapshot and wait for it."""
    world.pod.faults.clear()
    for session in list(world.pod.sessions.values()):
        world.pod.end_session(session, "")
    for owner in world.owners:
        world.pod.change_owner(owner, {"enable_provisioning": True})
        for step in (("cancel", 0, False, 0), ("cancel", 0, True, 0)):
            _act(world, owner, step)
        _act(world, owner, ("push", 0, False, 1))
    world.advance(2 * 3600)
    for owner in world.owners:
        # A task that was halted or canceled leaves machines behind; they get the image again.
        for rollout in owner.rollouts:
            rollout.resume(retry_failed=True, stop_on_error=False)
        world.advance(3600)
        left = [member.id for member in owner.members if member.image != owner.current]
        owner.apply(left, pending=False)
    world.advance(3600)
