# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on pools, their tasks, and farms."""

from __future__ import annotations

from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError
from ansible_collections.strata.layering.tests.simulator_horizon.farms import Farm
from ansible_collections.strata.layering.tests.simulator_horizon.images import Images
from ansible_collections.strata.layering.tests.simulator_horizon.machines import Rollout
from ansible_collections.strata.layering.tests.simulator_horizon.operations import (
    HANDLERS,
    Answer,
    Call,
    flag,
    operation,
)
from ansible_collections.strata.layering.tests.simulator_horizon.paging import select
from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod
from ansible_collections.strata.layering.tests.simulator_horizon.pools import Pool

# Pools


def _pool(pod: Pod, call: Call) -> Pool:
    for pool in pod.pools.values():
        if pool.id == call.arguments["id"]:
            return pool
    raise ApiError(404, "inventory.desktop.pool.not.found", "The desktop pool was not found.")


@operation("GET /inventory/v6/desktop-pools")
def pools(pod: Pod, call: Call) -> Answer:
    """List the desktop pools."""
    rows, headers = select([pool.answer() for pool in pod.pools.values()], call.query, call.filters, pod.version)
    return Answer(body=rows, headers=headers)


@operation("GET /inventory/v6/desktop-pools/{id}")
def pool(pod: Pod, call: Call) -> Answer:
    """Return a desktop pool."""
    return Answer(body=_pool(pod, call).answer())


@operation("POST /inventory/v2/desktop-pools/{id}/action/schedule-push-image")
def push_image(pod: Pod, call: Call) -> Answer:
    """Schedule an image."""
    target = _pool(pod, call)
    return Answer(body=target.push(target.request(call.body)))


@operation("POST /inventory/v1/desktop-pools/{id}/action/cancel-scheduled-push-image")
def cancel_push(pod: Pod, call: Call) -> Answer:
    """Cancel the pending image."""
    _pool(pod, call).cancel()
    return Answer(204)


@operation("POST /inventory/v1/desktop-pools/{id}/action/promote-pending-image")
def promote_in_pool(pod: Pod, call: Call) -> Answer:
    """Promote the held image."""
    _pool(pod, call).promote()
    return Answer(204)


@operation("POST /inventory/v1/desktop-pools/{id}/action/apply-image")
def apply_in_pool(pod: Pod, call: Call) -> Answer:
    """Rebuild some machines."""
    return Answer(body=_pool(pod, call).apply(call.body, pending=flag(call.query.get("pending_image"))))


def _switch(name: str, field_name: str, value: bool) -> None:
    def switch(pod: Pod, call: Call) -> Answer:
        results = []
        for pool_id in call.body:
            found = [item for item in pod.pools.values() if item.id == pool_id]
            for item in found:
                pod.change_owner(item, {field_name: value})
                if field_name == "enable_provisioning" and value:
                    pod.change_owner(item, {"last_provisioning_error": None})
            result: dict[str, Any] = {
                "id": pool_id,
                "status_code": 200 if found else 404,
                "timestamp": pod.timeline.now,
            }
            if not found:
                error = {"error_key": "inventory.desktop.pool.not.found", "error_message": "The pool was not found."}
                result["errors"] = [error]
            results.append(result)
        return Answer(body=results)

    HANDLERS[f"POST /inventory/v1/desktop-pools/action/{name}"] = switch


_switch("enable", "enabled", True)
_switch("disable", "enabled", False)
_switch("enable-provisioning", "enable_provisioning", True)
_switch("disable-provisioning", "enable_provisioning", False)


# Tasks


def _task(pod: Pod, call: Call) -> tuple[Pool, Rollout]:
    owner = _pool(pod, call)
    for rollout in _tasks(pod, owner):
        if rollout.id == call.arguments["taskId"]:
            return owner, rollout
    raise ApiError(404, "inventory.task.not.found", "The task was not found.")


def _tasks(pod: Pod, owner: Images) -> list[Rollout]:
    return [rollout for rollout in owner.rollouts if pod.settings.task_history or not rollout.ended]


@operation("GET /inventory/v1/desktop-pools/{id}/tasks")
def tasks(pod: Pod, call: Call) -> Answer:
    """List the tasks of a pool."""
    return Answer(body=[rollout.answer() for rollout in _tasks(pod, _pool(pod, call))])


@operation("GET /inventory/v1/desktop-pools/{id}/tasks/{taskId}")
def task(pod: Pod, call: Call) -> Answer:
    """Return a task."""
    return Answer(body=_task(pod, call)[1].answer())


@operation("POST /inventory/v1/desktop-pools/{id}/tasks/{taskId}/action/cancel")
def cancel_task(pod: Pod, call: Call) -> Answer:
    """Cancel the machines of a task that are not rebuilt yet."""
    owner, rollout = _task(pod, call)
    if not rollout.started:
        owner.cancel()
    else:
        rollout.cancel()
    return Answer(204)


@operation("POST /inventory/v1/desktop-pools/{id}/tasks/{taskId}/action/pause")
def pause_task(pod: Pod, call: Call) -> Answer:
    """Hold the machines of a task that are not rebuilt yet."""
    rollout = _task(pod, call)[1]
    if rollout.halted or not rollout.started:
        raise ApiError(400, "inventory.task.cannot.be.paused", "The task cannot be paused.")
    rollout.pause()
    return Answer(204)


@operation("POST /inventory/v1/desktop-pools/{id}/tasks/{taskId}/action/resume")
def resume_task(pod: Pod, call: Call) -> Answer:
    """Continue with a task."""
    rollout, body = _task(pod, call)[1], call.body or {}
    if not rollout.halted:
        raise ApiError(400, "inventory.task.cannot.be.resumed", "The task is not halted.")
    rollout.resume(retry_failed=body.get("retry_failed_vms", False), stop_on_error=body.get("stop_on_error", True))
    return Answer(204)


# Farms


def _farm(pod: Pod, call: Call) -> Farm:
    for farm in pod.farms.values():
        if farm.id == call.arguments["id"]:
            return farm
    raise ApiError(404, "inventory.farm.not.found", "The farm was not found.")


@operation("GET /inventory/v4/farms")
def farms(pod: Pod, call: Call) -> Answer:
    """List the farms."""
    rows, headers = select([farm.answer() for farm in pod.farms.values()], call.query, call.filters, pod.version)
    return Answer(body=rows, headers=headers)


@operation("GET /inventory/v4/farms/{id}")
def farm(pod: Pod, call: Call) -> Answer:
    """Return a farm."""
    return Answer(body=_farm(pod, call).answer())


@operation("POST /inventory/v2/farms/{id}/action/schedule-maintenance")
def schedule_maintenance(pod: Pod, call: Call) -> Answer:
    """Schedule an image or a maintenance."""
    return Answer(body=_farm(pod, call).schedule(call.body))


@operation("POST /inventory/v1/farms/{id}/action/cancel-scheduled-maintenance")
def cancel_maintenance(pod: Pod, call: Call) -> Answer:
    """Cancel a maintenance."""
    _farm(pod, call).cancel_maintenance(call.body["maintenance_mode"])
    return Answer(204)


@operation("POST /inventory/v1/farms/{id}/action/promote-pending-image")
def promote_in_farm(pod: Pod, call: Call) -> Answer:
    """Promote the held image."""
    _farm(pod, call).promote()
    return Answer(204)


@operation("POST /inventory/v1/farms/{id}/action/apply-image")
def apply_in_farm(pod: Pod, call: Call) -> Answer:
    """Rebuild some servers."""
    return Answer(body=_farm(pod, call).apply(call.body, pending=flag(call.query.get("pending_image"))))
