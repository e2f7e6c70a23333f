# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of the REST API, by method and path as the contract names them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError
from ansible_collections.strata.layering.tests.simulator_horizon.farms import Farm
from ansible_collections.strata.layering.tests.simulator_horizon.images import Images
from ansible_collections.strata.layering.tests.simulator_horizon.inventory import (
    VCenter,
    hardware_version,
    operating_system,
    snapshot_reasons,
    vm_reasons,
)
from ansible_collections.strata.layering.tests.simulator_horizon.machines import Rollout
from ansible_collections.strata.layering.tests.simulator_horizon.paging import select
from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod
from ansible_collections.strata.layering.tests.simulator_horizon.pools import Pool

#: local_connection_server_version of a version; those that are not listed are unknown.
_SERVER_VERSIONS = {
    "2206": "8.6.0",
    "2209": "8.7.0",
    "2212": "8.8.0",
    "2303": "8.9.0",
    "2306": "8.10.0",
    "2309": "8.11.0",
    "2312": "8.12.0",
    "2406": "8.13.0",
    "2412": "8.14.0",
    "2503": "8.15.0",
    "2506": "8.16.0",
    "2512": "8.17.0",
}


@dataclass
class Call:
    """A request, after its check."""

    arguments: dict[str, str]
    query: dict[str, str]
    body: Any


@dataclass
class Answer:
    """An answer: status, JSON body (None: no body) and additional headers."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Pod, Call], Answer]
HANDLERS: dict[str, Handler] = {}


def operation(name: str) -> Callable[[Handler], Handler]:
    """Register the handler of an operation."""

    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register


def _flag(text: str | None) -> bool:
    return (text or "").lower() == "true"


# Login


@operation("POST /login")
def log_in(pod: Pod, call: Call) -> Answer:
    """Log in."""
    access, refresh = pod.tokens.log_in(call.body["domain"], call.body["username"], call.body["password"])
    return Answer(body={"access_token": access, "refresh_token": refresh})


@operation("POST /refresh")
def refresh(pod: Pod, call: Call) -> Answer:
    """Renew the access token."""
    return Answer(body={"access_token": pod.tokens.refresh(call.body["refresh_token"])})


@operation("POST /logout")
def log_out(pod: Pod, call: Call) -> Answer:
    """Log out."""
    pod.tokens.log_out(call.body["refresh_token"])
    return Answer()


# Configuration


@operation("GET /config/v2/environment-properties")
def environment(pod: Pod, call: Call) -> Answer:
    """Describe the Connection Server."""
    version = pod.settings.version or _SERVER_VERSIONS.get(pod.version, "8.99.0")
    return Answer(
        body={
            "cluster_guid": pod.cluster_guid,
            "cluster_name": f"Cluster-{pod.name.upper()}",
            "deployment_type": "GENERAL",
            "fips_mode_enabled": False,
            "ip_mode": "IPv4",
            "local_connection_server_build": "20099816",
            "local_connection_server_version": version,
            "local_pod_name": pod.name,
            "timezone_offset": 0,
        }
    )


@operation("GET /config/v2/virtual-centers")
def virtual_centers(pod: Pod, call: Call) -> Answer:
    """List the vCenters."""
    return Answer(
        body=[
            {
                "id": vcenter.id,
                "server_name": vcenter.server_name,
                "display_name": vcenter.server_name,
                "port": vcenter.port,
                "instance_uuid": vcenter.instance_uuid,
                "enabled": vcenter.enabled,
                "use_ssl": True,
                "user_name": "horizon@vsphere.local",
                "version": vcenter.version,
                "deployment_type": "GENERAL",
            }
            for vcenter in pod.vcenters
        ]
    )


@operation("GET /config/v1/settings/general")
def general_settings(pod: Pod, call: Call) -> Answer:
    """Return the global settings on forced logoff."""
    return Answer(
        body={
            "display_warning_before_forced_logoff": pod.settings.forced_logoff_warning,
            "forced_logoff_message": "Please save your work.",
            "forced_logoff_timeout_minutes": pod.settings.forced_logoff_minutes,
        }
    )


@operation("GET /federation/v1/cpa")
def federation(pod: Pod, call: Call) -> Answer:
    """Return whether there are other pods."""
    status = "ENABLED" if pod.federated else "DISABLED"
    body: dict[str, Any] = {"local_connection_server_status": status, "connection_server_statuses": [], "sites": []}
    if pod.federated:
        body |= {"guid": "3b0fd7f1-6a1d-4a0e-9f0e-5d0b7a5c8f11", "name": "federation"}
    return Answer(body=body)


# vCenter


@operation("GET /external/v1/datacenters")
def datacenters(pod: Pod, call: Call) -> Answer:
    """List the datacenters of a vCenter."""
    vcenter = _read_vcenter(pod, call)
    return Answer(body=[{"id": item["moid"], "name": item["name"], "path": item["path"]} for item in vcenter.datacenters])


@operation("GET /external/v1/base-vms")
def base_vms(pod: Pod, call: Call) -> Answer:
    """List the VMs of a vCenter, except templates."""
    vcenter = _read_vcenter(pod, call)
    rows = []
    for vm in vcenter.vms:
        reasons = vm_reasons(vcenter, vm, pod.version)
        skipped = _flag(call.query.get("filter_incompatible_vms")) and reasons
        elsewhere = call.query.get("datacenter_id") not in (None, vm["datacenter"])
        if vm["template"] or skipped or elsewhere:
            continue
        rows.append(
            {
                "id": vm["moid"],
                "name": vm["name"],
                "path": vm["path"],
                "vcenter_id": vcenter.id,
                "datacenter_id": vm["datacenter"],
                "operating_system": operating_system(vm, pod.version),
                "operating_system_display_name": vm["guest_id"],
                "network_type": "STANDARD_NETWORK",
                "incompatible_reasons": reasons,
            }
        )
    return Answer(body=rows)


@operation("GET /external/v1/base-snapshots")
def base_snapshots(pod: Pod, call: Call) -> Answer:
    """List the snapshots of a VM."""
    vcenter = _read_vcenter(pod, call)
    found = [vm for vm in vcenter.vms if vm["moid"] == call.query["base_vm_id"] and not vm["template"]]
    if not found:
        raise ApiError(404, "external.base.vm.not.found", "The VM was not found.")
    rows = [
        {
            "id": snapshot["moid"],
            "name": snapshot["name"],
            "path": snapshot["path"],
            "vcenter_id": vcenter.id,
            "description": snapshot["description"],
            "created_timestamp": snapshot["created"],
            "hardware_version": hardware_version(found[0]),
            "memory_mb": found[0]["memory_mb"],
            "incompatible_reasons": snapshot_reasons(found[0], snapshot),
        }
        for snapshot in found[0]["snapshots"]
    ]
    return Answer(body=rows)


def _read_vcenter(pod: Pod, call: Call) -> VCenter:
    vcenter = pod.vcenter(call.query["vcenter_id"])
    vcenter.read()
    return vcenter


# Pools


def _pool(pod: Pod, call: Call) -> Pool:
    for pool in pod.pools.values():
        if pool.id == call.arguments["id"]:
            return pool
    raise ApiError(404, "inventory.desktop.pool.not.found", "The desktop pool was not found.")


@operation("GET /inventory/v6/desktop-pools")
def pools(pod: Pod, call: Call) -> Answer:
    """List the desktop pools."""
    filters = {"id", "name", "display_name", "type", "source", "enabled", "vcenter_id", "user_assignment"}
    rows, headers = select([pool.answer() for pool in pod.pools.values()], call.query, filters, pod.version)
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
    return Answer(body=_pool(pod, call).apply(call.body, pending=_flag(call.query.get("pending_image"))))


def _switch(name: str, field_name: str, value: bool) -> None:
    def switch(pod: Pod, call: Call) -> Answer:
        results = []
        for pool_id in call.body:
            found = [item for item in pod.pools.values() if item.id == pool_id]
            for item in found:
                pod.change_owner(item, {field_name: value})
                if field_name == "enable_provisioning" and value:
                    pod.change_owner(item, {"last_provisioning_error": None})
            result: dict[str, Any] = {"id": pool_id, "status_code": 200 if found else 404, "timestamp": pod.timeline.now}
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
    rows, headers = select(
        [farm.answer() for farm in pod.farms.values()], call.query, {"id", "name", "type", "enabled"}, pod.version
    )
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
    return Answer(body=_farm(pod, call).apply(call.body, pending=_flag(call.query.get("pending_image"))))


# Machines and sessions


@operation("GET /inventory/v3/machines")
def machines(pod: Pod, call: Call) -> Answer:
    """List machines."""
    filters = {"id", "name", "dns_name", "desktop_pool_id", "state", "type"}
    rows, headers = select([member.answer() for member in pod.members("pool")], call.query, filters, pod.version)
    return Answer(body=rows, headers=headers)


@operation("GET /inventory/v1/rds-servers")
def rds_servers(pod: Pod, call: Call) -> Answer:
    """List RDS servers."""
    filters = {"id", "name", "dns_name", "farm_id", "state", "enabled"}
    rows, headers = select([member.answer() for member in pod.members("farm")], call.query, filters, pod.version)
    return Answer(body=rows, headers=headers)


@operation("GET /inventory/v1/sessions")
def sessions(pod: Pod, call: Call) -> Answer:
    """List sessions."""
    filters = {
        "id",
        "desktop_pool_id",
        "farm_id",
        "machine_id",
        "rds_server_id",
        "user_id",
        "session_state",
        "session_type",
    }
    rows, headers = select([session.answer() for session in pod.sessions.values()], call.query, filters, pod.version)
    return Answer(body=rows, headers=headers)


def _session_results(pod: Pod, ids: list[str], ends: bool, reason: str) -> Answer:
    results = []
    for session_id in ids:
        session = pod.sessions.get(session_id)
        result: dict[str, Any] = {"id": session_id, "status_code": 200 if session else 404, "timestamp": pod.timeline.now}
        if session is None:
            error = {"error_key": "inventory.session.not.found", "error_message": "The session was not found."}
            result["errors"] = [error]
        elif ends:
            pod.end_session(session, reason)
        results.append(result)
    return Answer(body=results)


@operation("POST /inventory/v1/sessions/action/logoff")
def log_off(pod: Pod, call: Call) -> Answer:
    """Log users off."""
    reason = "FORCED" if _flag(call.query.get("forced")) else "REQUESTED"
    return _session_results(pod, call.body, True, reason)


@operation("POST /inventory/v1/sessions/action/send-message")
def send_message(pod: Pod, call: Call) -> Answer:
    """Send a message to users."""
    return _session_results(pod, call.body["session_ids"], False, "")


def privileged(name: str) -> bool:
    """Return whether an operation changes something, so that a read-only user is refused."""
    return name.startswith("POST ") and not re.match(r"POST /(login|refresh|logout)$", name)
