# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RDS farms: a push is the schedule of a maintenance, and no operation shows it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError
from ansible_collections.strata.layering.tests.simulator_horizon.images import (
    Images,
    Pending,
    compute_profile,
    requested_image,
)
from ansible_collections.strata.layering.tests.simulator_horizon.inventory import VCenter
from ansible_collections.strata.layering.tests.simulator_horizon.machines import Image, Member, Rollout
from ansible_collections.strata.layering.tests.simulator_horizon.recurring import Recurring, following, occurrence_after

if TYPE_CHECKING:
    from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod

IMMEDIATE, RECURRING = "IMMEDIATE", "RECURRING"
_SCHEDULE = "instant_clone_scheduled_maintenance_data"


class Farm(Images):
    """A farm of RDS servers. ``recurring``: its recurring maintenance; ``refresh``: a scheduled maintenance without a new image."""

    kind = "farm"
    owner_field = "farm_id"
    member_field = "rds_server_id"
    members_key = "rds_server_ids"
    operation_canceling = "CANCEL_SCHEDULED_MAINTENANCE"

    def __init__(self, pod: Pod, record: dict[str, Any], provisioning: dict[str, Any], status: dict[str, Any]) -> None:
        super().__init__(pod, record, provisioning, status)
        self.recurring: Recurring | None = None
        self.refresh: Rollout | None = None

    @property
    def automated(self) -> dict[str, Any]:
        """The settings of an automated farm; those of a manual farm are empty."""
        settings: dict[str, Any] = self.record.get("automated_farm_settings", {})
        return settings

    @property
    def vcenter(self) -> VCenter:
        """The vCenter of its servers."""
        return self.pod.vcenter(self.automated.get("vcenter_id", ""))

    @property
    def provisioning_enabled(self) -> bool:
        """Whether servers are created and rebuilt."""
        return bool(self.automated.get("enable_provisioning"))

    @property
    def parallel(self) -> int:
        """How many servers are rebuilt at once, so that the farm keeps its minimum of ready servers."""
        return max(1, min(super().parallel, len(self.members) - int(self.automated.get("min_ready_vms", 0))))

    @property
    def idle_operation(self) -> str:
        """A farm with a recurring maintenance always shows it."""
        return "NONE" if self.recurring is None else "RECURRING_SCHEDULED_MAINTENANCE"

    def check_source(self) -> None:
        """Refuse the maintenance of a manual farm."""
        if self.record["type"] != "AUTOMATED":
            raise ApiError(400, "inventory.farm.not.automated", "The farm is not an automated farm.")

    def show_schedule(self, pending: Pending | None) -> None:
        """Show the next maintenance, and the settings of the recurring one."""
        schedule: dict[str, Any] = {}
        if self.recurring is not None:
            schedule = {
                "immediate_maintenance_scheduled": False,
                "next_scheduled_time": self.recurring.next,
                "logoff_policy": self.recurring.logoff_policy,
                "stop_on_first_error": self.recurring.stop_on_first_error,
                "recurring_maintenance_settings": self.recurring.settings,
            }
        due = pending if pending is not None and pending.requested["mode"] == IMMEDIATE else None
        if due is not None or self.refresh is not None:
            schedule |= {"immediate_maintenance_scheduled": True, **_times(due or self.refresh)}
        self.status.pop(_SCHEDULE, None)
        if schedule:
            self.status[_SCHEDULE] = schedule

    def request(self, body: dict[str, Any]) -> Pending | None:
        """Return the image that a body of schedule-maintenance publishes, or None for a maintenance without a new image."""
        if body["maintenance_mode"] == RECURRING:
            self._check_recurring(body)
        elif "recurring_maintenance_settings" in body:
            raise ApiError(400, "inventory.farm.recurring.not.allowed", "An immediate maintenance does not recur.")
        if "parent_vm_id" not in body and "snapshot_id" not in body and "im_stream_id" not in body:
            return None
        servers = body.get("rds_server_ids", [])
        pending = Pending(
            image=requested_image(body),
            logoff_policy=body["logoff_policy"],
            start=max(body.get("next_scheduled_time", 0), self.pod.timeline.now),
            stop_on_first_error=body.get("stop_on_first_error", True),
            selective=body.get("selective_schedule_maintenance", False),
            member_ids=servers,
            add_virtual_tpm=False,
            compute=compute_profile(body),
            requested={},
        )
        pending.requested = {
            "mode": body["maintenance_mode"],
            "image": pending.image,
            "logoff_policy": pending.logoff_policy,
            "stop_on_first_error": pending.stop_on_first_error,
            "selective": pending.selective,
            "members": sorted(servers),
            "compute": pending.compute,
        }
        return pending

    def schedule(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Schedule a maintenance; return the results of the listed servers."""
        self.check_source()
        pending = self.request(body)
        results = []
        before = self.recurring
        if body["maintenance_mode"] == RECURRING:
            self._set_recurring(body)
        try:
            if pending is not None:
                if body["maintenance_mode"] == RECURRING and self.recurring is not None:
                    pending.start = self.recurring.next
                results = self.push(pending)
            elif body["maintenance_mode"] == IMMEDIATE:
                self._schedule_refresh(body)
        except ApiError:
            self.recurring = before
            raise
        self.show_schedule(self.pending)
        return results

    def cancel_maintenance(self, mode: str) -> None:
        """Cancel the immediate or the recurring maintenance. An image that is published remains as the current image."""
        if mode == RECURRING:
            if self.recurring is None:
                raise ApiError(400, "inventory.farm.no.recurring.maintenance", "No recurring maintenance is set up.")
            idle = self.status.get("instant_clone_operation") == self.idle_operation
            self.recurring = None
            if idle:
                self.status["instant_clone_operation"] = self.idle_operation
            self.show_schedule(self.pending)
        elif self.refresh is not None:
            self.rollouts.remove(self.refresh)
            self.refresh = None
            self.show_schedule(self.pending)
        else:
            pending, published = self.pending, self.state == "READY"
            self.cancel()
            if published and pending is not None:
                self.make_current(pending)

    def _check_recurring(self, body: dict[str, Any]) -> None:
        if "recurring_maintenance_settings" not in body:
            raise ApiError(400, "inventory.farm.recurring.missing", "recurring_maintenance_settings is required.")

    def _set_recurring(self, body: dict[str, Any]) -> None:
        settings = {"maintenance_period_frequency": 1, "start_index": 1, **body["recurring_maintenance_settings"]}
        recurring = Recurring(
            settings,
            body["logoff_policy"],
            body.get("stop_on_first_error", True),
            occurrence_after(settings, self.pod.timeline.now),
        )
        if self.status.get("instant_clone_operation", "NONE") == self.idle_operation:
            self.recurring = recurring
            self.status["instant_clone_operation"] = self.idle_operation
        self.recurring = recurring
        self.pod.timeline.at(recurring.next, lambda: self._recur(recurring))

    def _recur(self, recurring: Recurring) -> None:
        if self.recurring is not recurring:
            return
        recurring.next = following(recurring.settings, recurring.next)
        self.pod.timeline.at(recurring.next, lambda: self._recur(recurring))
        # An immediate maintenance that is scheduled puts the recurring one on hold.
        if self.pending is None and self.refresh is None and self.members:
            self._roll_out(self.current, recurring.logoff_policy, recurring.stop_on_first_error, list(self.members))
        self.show_schedule(self.pending)

    def _schedule_refresh(self, body: dict[str, Any]) -> None:
        if self._is_busy() or self.refresh is not None:
            raise ApiError(400, "inventory.image.operation.in.progress", "A maintenance is scheduled on the farm.")
        start = max(body.get("next_scheduled_time", 0), self.pod.timeline.now)
        task = self._task(self.current, body["logoff_policy"], body.get("stop_on_first_error", True), start)
        self.refresh = task
        self.pod.timeline.at(start, lambda: self._refresh(task))

    def _refresh(self, task: Rollout) -> None:
        if self.refresh is task:
            self.refresh = None
            task.start(list(self.members))
            self.show_schedule(self.pending)


def _times(due: Pending | Rollout | None) -> dict[str, Any]:
    if due is None:
        return {}
    return {
        "next_scheduled_time": due.start if isinstance(due, Pending) else due.schedule_time,
        "logoff_policy": due.logoff_policy,
        "stop_on_first_error": due.stop_on_first_error,
    }


def new_farm(pod: Pod, name: str, vcenter: VCenter, image: Image, datacenter: str) -> Farm:
    """Return an automated farm without servers."""
    provisioning = {"parent_vm_id": image.vm, "base_snapshot_id": image.snapshot, "datacenter_id": datacenter}
    status = {"instant_clone_operation": "NONE", "instant_clone_current_image_state": "READY"}
    record = {
        "id": str(uuid.uuid4()),
        "name": name,
        "display_name": name,
        "type": "AUTOMATED",
        "enabled": True,
        "delete_in_progress": False,
        "server_error_threshold": 0,
        "automated_farm_settings": {
            "enable_provisioning": True,
            "stop_provisioning_on_error": True,
            "vcenter_id": vcenter.id,
            "min_ready_vms": 0,
            "image_source": "VIRTUAL_CENTER",
            "operating_system": "WINDOWS_SERVER_2016_OR_ABOVE",
            "max_session_type": "UNLIMITED",
            "pattern_naming_settings": {"naming_pattern": f"{name}-{{n}}", "max_number_of_rds_servers": 0},
            "provisioning_settings": provisioning,
            "provisioning_status_data": status,
        },
    }
    return Farm(pod, record, provisioning, status)


def new_server(farm: Farm, number: int) -> Member:
    """Return an RDS server of a farm, on the farm's current image."""
    name = f"{farm.name}-{number}"
    record = {
        "id": str(uuid.uuid4()),
        "name": name,
        "dns_name": f"{name.lower()}.example.com",
        "farm_id": farm.id,
        "enabled": True,
        "state": "AVAILABLE",
        "operating_system": "WINDOWS_SERVER_2016_OR_ABOVE",
        "max_sessions_type": "UNLIMITED",
    }
    return Member(farm, record, record, farm.current)
