# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations: login, configuration and vCenter."""

from __future__ import annotations

from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError
from ansible_collections.strata.layering.tests.simulator_horizon.inventory import (
    VCenter,
    hardware_version,
    operating_system,
    snapshot_reasons,
    vm_reasons,
)
from ansible_collections.strata.layering.tests.simulator_horizon.operations import Answer, Call, flag, operation
from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod

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


@operation("GET /federation/v1/pods")
def pods(pod: Pod, call: Call) -> Answer:
    """List the pods; the simulator knows only its own."""
    if not pod.federated:
        raise ApiError(409, "federation.not.enabled", "Cloud Pod Architecture is not enabled.")
    return Answer(body=[{"id": pod.cluster_guid, "name": pod.name, "local_pod": True, "endpoints": []}])


# vCenter


@operation("GET /external/v1/datacenters")
def datacenters(pod: Pod, call: Call) -> Answer:
    """List the datacenters of a vCenter."""
    vcenter = _read_vcenter(pod, call)
    return Answer(
        body=[{"id": item["moid"], "name": item["name"], "path": item["path"]} for item in vcenter.datacenters]
    )


@operation("GET /external/v1/base-vms")
def base_vms(pod: Pod, call: Call) -> Answer:
    """List the VMs of a vCenter, except templates."""
    vcenter = _read_vcenter(pod, call)
    rows = []
    for vm in vcenter.vms:
        reasons = vm_reasons(vcenter, vm, pod.version)
        skipped = flag(call.query.get("filter_incompatible_vms")) and reasons
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
