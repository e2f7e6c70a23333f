# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desktop pools."""

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
from ansible_collections.strata.layering.tests.simulator_horizon.machines import Image, Member

if TYPE_CHECKING:
    from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod


class Pool(Images):
    """A desktop pool."""

    kind = "pool"
    owner_field = "desktop_pool_id"
    member_field = "machine_id"
    members_key = "machine_ids"
    operation_canceling = "CANCEL_SCHEDULED_PUSH_IMAGE"

    @property
    def vcenter(self) -> VCenter:
        """The vCenter of its machines."""
        return self.pod.vcenter(self.record.get("vcenter_id", ""))

    @property
    def operation_running(self) -> str:
        """The operation that is shown while an image is pending."""
        return "SCHEDULE_PUSH_IMAGE"

    @property
    def provisioning_enabled(self) -> bool:
        """Whether machines are created and rebuilt."""
        return bool(self.record["enable_provisioning"])

    def check_source(self) -> None:
        """Refuse a push to a pool that is not a pool of instant clones."""
        if self.record["type"] != "AUTOMATED" or self.record["source"] != "INSTANT_CLONE":
            raise ApiError(400, "inventory.pool.not.instant.clone", "The pool is not a pool of instant clones.")

    def show_schedule(self, pending: Pending | None) -> None:
        """Show how the push was requested, or that there is none."""
        self.status.pop("instant_clone_push_image_settings", None)
        if pending is not None:
            self.status["instant_clone_push_image_settings"] = {
                "start_time": pending.start,
                "logoff_policy": pending.logoff_policy,
                "add_virtual_tpm": pending.add_virtual_tpm,
                "stop_on_first_error": pending.stop_on_first_error,
            }

    def make_current(self, pending: Pending) -> None:
        """Change the settings to those of an image."""
        super().make_current(pending)
        self.record["image_source"] = "VIRTUAL_CENTER"
        self.provisioning["add_virtual_tpm"] = pending.add_virtual_tpm

    def request(self, body: dict[str, Any]) -> Pending:
        """Return the push that a body of schedule-push-image describes, with the defaults of Horizon."""
        members = body.get("machine_ids", [])
        pending = Pending(
            image=requested_image(body),
            logoff_policy=body["logoff_policy"],
            start=max(body.get("start_time", 0), self.pod.timeline.now),
            stop_on_first_error=body.get("stop_on_first_error", True),
            selective=body.get("selective_push_image", False),
            member_ids=members,
            add_virtual_tpm=body.get("add_virtual_tpm", False),
            compute=compute_profile(body),
            requested={},
        )
        pending.requested = {
            "image": pending.image,
            "logoff_policy": pending.logoff_policy,
            "stop_on_first_error": pending.stop_on_first_error,
            "selective": pending.selective,
            "members": sorted(members),
            "add_virtual_tpm": pending.add_virtual_tpm,
            "compute": pending.compute,
        }
        return pending


def new_pool(pod: Pod, name: str, vcenter: VCenter, image: Image, datacenter: str) -> Pool:
    """Return an automated pool of instant clones without machines."""
    provisioning = {
        "parent_vm_id": image.vm,
        "base_snapshot_id": image.snapshot,
        "datacenter_id": datacenter,
        "add_virtual_tpm": False,
    }
    status = {"instant_clone_operation": "NONE", "instant_clone_current_image_state": "READY"}
    record = {
        "id": str(uuid.uuid4()),
        "name": name,
        "display_name": name,
        "type": "AUTOMATED",
        "source": "INSTANT_CLONE",
        "user_assignment": "FLOATING",
        "session_type": "DESKTOP",
        "image_source": "VIRTUAL_CENTER",
        "enabled": True,
        "enable_provisioning": True,
        "stop_provisioning_on_error": True,
        "delete_in_progress": False,
        "vcenter_id": vcenter.id,
        "naming_method": "PATTERN",
        "pattern_naming_settings": {"naming_pattern": f"{name}-{{n}}", "provisioning_time": "UP_FRONT"},
        "provisioning_settings": provisioning,
        "provisioning_status_data": status,
    }
    return Pool(pod, record, provisioning, status)


def new_machine(pool: Pool, number: int) -> Member:
    """Return a machine of a pool, on the pool's current image."""
    name = f"{pool.name}-{number}"
    data = {
        "virtual_center_id": pool.record["vcenter_id"],
        "missing_in_vcenter": False,
        "create_time": pool.pod.timeline.now,
        "virtual_machine_power_state": "POWERED_ON",
    }
    record = {
        "id": str(uuid.uuid4()),
        "name": name,
        "dns_name": f"{name.lower()}.example.com",
        "desktop_pool_id": pool.id,
        "type": "MANAGED_MACHINE",
        "state": "AVAILABLE",
        "held_machine": False,
        "managed_machine_data": data,
    }
    return Member(pool, record, data, pool.current)
