# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a pool or a farm: publishing, holding, promoting and canceling.

The states are those of the pending image: PENDING_PUBLISH, PUBLISHING, then READY until the start, or READY_HELD for a
selective push, or FAILED. ``Pool`` and ``Farm`` add how they show the operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError
from ansible_collections.strata.layering.tests.simulator_horizon.inventory import VCenter, snapshot_reasons
from ansible_collections.strata.layering.tests.simulator_horizon.machines import STANDBY, Image, Member, Rollout

if TYPE_CHECKING:
    from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod

_COMPUTE = ("num_cpus", "num_cores_per_socket", "ram_mb")
_IN_PROGRESS = "inventory.image.operation.in.progress"


@dataclass
class Pending:
    """An image that is to become the current one. ``start`` is in milliseconds; ``requested`` is all that the request said except the start."""

    image: Image
    logoff_policy: str
    start: int
    stop_on_first_error: bool
    selective: bool
    member_ids: list[str]
    add_virtual_tpm: bool
    compute: dict[str, int]
    requested: dict[str, Any]
    publishing_since: int = 0
    stuck_at: int | None = None
    task: Rollout | None = None


class Images:
    """What pools and farms have in common. ``record`` is the answer of Horizon, except ``provisioning`` and ``status``, which are parts of it."""

    kind = ""
    owner_field = ""
    member_field = ""
    members_key = ""
    operation_canceling = ""

    def __init__(self, pod: Pod, record: dict[str, Any], provisioning: dict[str, Any], status: dict[str, Any]) -> None:
        self.pod = pod
        self.record = record
        self.provisioning = provisioning
        self.status = status
        self.pending: Pending | None = None
        self.members: list[Member] = []
        self.rollouts: list[Rollout] = []

    @property
    def id(self) -> str:
        """The ID of the record."""
        return str(self.record["id"])

    @property
    def name(self) -> str:
        """The name of the record."""
        return str(self.record["name"])

    @property
    def current(self) -> Image:
        """The current image."""
        return Image(self.provisioning.get("parent_vm_id", ""), self.provisioning.get("base_snapshot_id", ""))

    @property
    def state(self) -> str | None:
        """The state of the pending image."""
        return self.status.get("instant_clone_pending_image_state")

    @property
    def vcenter(self) -> VCenter:
        """The vCenter of its machines."""
        raise NotImplementedError

    @property
    def provisioning_enabled(self) -> bool:
        """Whether machines are created and rebuilt."""
        raise NotImplementedError

    @property
    def parallel(self) -> int:
        """How many machines are rebuilt at once."""
        return self.pod.settings.parallel

    @property
    def operation_running(self) -> str:
        """The operation that is shown while an image is pending."""
        return self.idle_operation

    @property
    def idle_operation(self) -> str:
        """The operation that is shown while no image is pending."""
        return "NONE"

    def show_schedule(self, pending: Pending | None) -> None:
        """Show how the push was requested, or that there is none."""
        raise NotImplementedError

    def check_source(self) -> None:
        """Refuse a push if this kind of pool or farm has no image that can be pushed."""
        raise NotImplementedError

    # Answers

    def answer(self) -> dict[str, Any]:
        """Return the record as Horizon answers it now."""
        pending = self.pending
        if pending is not None and self.state == "PUBLISHING":
            self.status["instant_clone_pending_image_progress"] = self._progress(pending)
        return self.record

    def image_name(self, image: Image) -> str:
        """Return the paths of a VM and its snapshot, as in the description of a task."""
        found = self.vcenter.image(image.vm, image.snapshot)
        return f"{found[0]['path']} - {found[1]['path']}" if found else f"{image.vm} - {image.snapshot}"

    def _progress(self, pending: Pending) -> int:
        if pending.stuck_at is not None:
            return pending.stuck_at
        duration = max(1.0, self.pod.settings.publish_seconds * 1000)
        return min(99, int(100 * (self.pod.timeline.now - pending.publishing_since) / duration))

    # Requests

    def push(self, pending: Pending) -> list[dict[str, Any]]:
        """Schedule an image, or move the start of the scheduled one; return the results of the listed machines."""
        self.check_source()
        if self.record.get("delete_in_progress"):
            raise ApiError(400, f"inventory.{self.kind}.delete.in.progress", f"The {self.kind} is being deleted.")
        self._check_image(pending)
        if pending.member_ids and not pending.selective:
            raise ApiError(400, "inventory.push.image.machines.not.selective", "Machine IDs need a selective push.")
        scheduled = self.pending
        if scheduled is not None and self._can_move(scheduled, pending):
            self._move(scheduled, pending.start)
        elif self._is_busy():
            raise ApiError(400, _IN_PROGRESS, f"Another operation is in progress on the {self.kind}.")
        else:
            self._begin(pending)
        known = {member.id for member in self.members}
        return [self.pod.item(member, 200 if member in known else 404) for member in pending.member_ids]

    def cancel(self) -> None:
        """Cancel the pending image."""
        pending = self.pending
        if pending is None or self.state not in ("PENDING_PUBLISH", "PUBLISHING", "READY", "READY_HELD"):
            raise ApiError(400, f"inventory.{self.kind}.no.scheduled.image", "No image is scheduled.")
        if pending.task is not None and pending.task in self.rollouts:
            self.rollouts.remove(pending.task)
        if self.pod.settings.cancel_seconds > 0:
            self.status["instant_clone_operation"] = self.operation_canceling
            self.status["instant_clone_pending_image_state"] = "UNPUBLISHING"
            self.pod.timeline.after(self.pod.settings.cancel_seconds, lambda: self._canceled(pending))
        else:
            self._canceled(pending)

    def promote(self) -> None:
        """Make the held image the current one."""
        pending = self._held()
        pending.selective, pending.start = False, self.pod.timeline.now
        self.status["instant_clone_pending_image_state"] = "READY"
        self.status["instant_clone_operation"] = self.operation_running
        self.show_schedule(pending)
        self._plan_task(pending)
        self.pod.timeline.at(pending.start, lambda: self._become_current(pending))

    def apply(self, member_ids: list[str], *, pending: bool) -> list[dict[str, Any]]:
        """Rebuild machines from the held or the current image; return a result for each."""
        if pending:
            held = self._held()
            image, policy, stop = held.image, held.logoff_policy, held.stop_on_first_error
        else:
            image, policy, stop = self.current, "WAIT_FOR_LOGOFF", True
        results, members = [], []
        known = {member.id: member for member in self.members}
        for member_id in member_ids:
            member = known.get(member_id)
            if member is None:
                results.append(self.pod.item(member_id, 404))
            elif member.rollout is not None:
                results.append(self.pod.item(member_id, 400))
            else:
                members.append(member)
                results.append(self.pod.item(member_id, 200))
        if members:
            self._roll_out(image, policy, stop, members)
        return results

    # Steps

    def _is_busy(self) -> bool:
        operation = self.status.get("instant_clone_operation", "NONE")
        return operation != self.idle_operation or self.state not in (None, "FAILED")

    def _can_move(self, scheduled: Pending, requested: Pending) -> bool:
        return (
            self.status.get("instant_clone_operation") == self.operation_running
            and self.state in ("PENDING_PUBLISH", "PUBLISHING", "READY")
            and scheduled.start > self.pod.timeline.now
            and scheduled.requested == requested.requested
        )

    def _move(self, pending: Pending, start: int) -> None:
        pending.start = max(start, self.pod.timeline.now)
        if pending.task is not None:
            pending.task.schedule_time = pending.start
        self.show_schedule(pending)
        if self.state == "READY":
            self.pod.timeline.at(pending.start, lambda: self._become_current(pending))

    def _begin(self, pending: Pending) -> None:
        self._forget()
        self.pending = pending
        pending.start = max(pending.start, self.pod.timeline.now)
        self.status |= {
            "instant_clone_operation": self.operation_running,
            "instant_clone_pending_image_state": "PENDING_PUBLISH",
            "instant_clone_pending_image_parent_vm_id": pending.image.vm,
            "instant_clone_pending_image_snapshot_id": pending.image.snapshot,
            "instant_clone_pending_image_progress": 0,
            **{f"pending_compute_profile_{name}": value for name, value in pending.compute.items()},
        }
        self.show_schedule(pending)
        if not pending.selective:
            self._plan_task(pending)
        for member in self._selected(pending):
            member.schedule(STANDBY, pending.image, pending.logoff_policy)
        self.pod.timeline.after(self.pod.settings.pending_seconds, lambda: self._publish(pending))

    def _publish(self, pending: Pending) -> None:
        if self.pending is not pending or self.state != "PENDING_PUBLISH":
            return
        self.status["instant_clone_pending_image_state"] = "PUBLISHING"
        pending.publishing_since = self.pod.timeline.now
        fault = self.pod.faults.publish(self.name)
        if fault is not None and fault.stuck_at is not None:
            pending.stuck_at = fault.stuck_at
            return
        error = fault.error if fault is not None else None
        self.pod.timeline.after(self.pod.settings.publish_seconds, lambda: self._published(pending, error))

    def interrupt(self, operation: str, seconds: float) -> None:
        """Show an operation that is not a push for a time."""
        self.status["instant_clone_operation"] = operation

        def end() -> None:
            if self.status.get("instant_clone_operation") == operation:
                self.status["instant_clone_operation"] = self.idle_operation

        self.pod.timeline.after(seconds, end)

    def release(self) -> None:
        """Let a publish that is stuck continue from its beginning."""
        pending = self.pending
        if pending is not None and pending.stuck_at is not None:
            pending.stuck_at, pending.publishing_since = None, self.pod.timeline.now
            self.pod.timeline.after(self.pod.settings.publish_seconds, lambda: self._published(pending, None))

    def _published(self, pending: Pending, error: str | None) -> None:
        if self.pending is not pending or self.state != "PUBLISHING":
            return
        if error is None and self.vcenter.image(pending.image.vm, pending.image.snapshot) is None:
            error = f"Fault type is VC_FAULT_FATAL - The snapshot {pending.image.snapshot} was not found."
        if error is not None:
            self._fail(pending, error)
            return
        self.status["instant_clone_pending_image_progress"] = 100
        if pending.selective:
            self.status["instant_clone_pending_image_state"] = "READY_HELD"
            self.status["instant_clone_operation"] = self.idle_operation
            self.show_schedule(None)
            members = self._selected(pending)
            if members:
                self._roll_out(pending.image, pending.logoff_policy, pending.stop_on_first_error, members)
        else:
            self.status["instant_clone_pending_image_state"] = "READY"
            self.pod.timeline.at(pending.start, lambda: self._become_current(pending))

    def _fail(self, pending: Pending, error: str) -> None:
        self.status["instant_clone_pending_image_state"] = "FAILED"
        self.status["instant_clone_pending_image_error"] = error
        self.status["instant_clone_operation"] = self.idle_operation
        self.status.pop("instant_clone_pending_image_progress", None)
        self.show_schedule(None)
        self._drop_plans(pending)
        self.pending = None

    def _become_current(self, pending: Pending) -> None:
        due = self.state == "READY" and pending.start <= self.pod.timeline.now
        if self.pending is not pending or not due:
            return
        self.make_current(pending)
        self._forget()
        members = [member for member in self.members if member.image != pending.image or member.rebuilding]
        task = pending.task
        if members and task is not None:
            task.start(members)
        elif task in self.rollouts:
            self.rollouts.remove(task)

    def make_current(self, pending: Pending) -> None:
        """Change the settings to those of an image: a vTPM or a compute profile that was not requested is taken away."""
        for name in _COMPUTE:
            self.provisioning.pop(f"compute_profile_{name}", None)
        for name in ("im_stream_id", "im_tag_id"):
            self.provisioning.pop(name, None)
        self.provisioning |= {
            "parent_vm_id": pending.image.vm,
            "base_snapshot_id": pending.image.snapshot,
            **{f"compute_profile_{name}": value for name, value in pending.compute.items()},
        }

    def _canceled(self, pending: Pending) -> None:
        if self.pending is not pending:
            return
        self._drop_plans(pending)
        self._forget()
        self.status["instant_clone_operation"] = self.idle_operation
        members = [member for member in self.members if member.image == pending.image != self.current]
        if members:
            self._roll_out(self.current, pending.logoff_policy, pending.stop_on_first_error, members)

    def _forget(self) -> None:
        self.pending = None
        for name in [name for name in self.status if name.startswith(("instant_clone_pending", "pending_compute"))]:
            del self.status[name]
        self.status["instant_clone_operation"] = self.idle_operation
        self.show_schedule(None)

    def _drop_plans(self, pending: Pending) -> None:
        if pending.task in self.rollouts:
            self.rollouts.remove(pending.task)
        for member in self._selected(pending):
            if member.data.get("operation_state") == STANDBY:
                member.clear_operation()

    def _plan_task(self, pending: Pending) -> None:
        pending.task = self._task(pending.image, pending.logoff_policy, pending.stop_on_first_error, pending.start)

    def _roll_out(self, image: Image, policy: str, stop: bool, members: list[Member]) -> None:
        self._task(image, policy, stop, self.pod.timeline.now).start(members)

    def _task(self, image: Image, policy: str, stop: bool, start: int) -> Rollout:
        if not self.pod.settings.task_history:
            self.rollouts = [rollout for rollout in self.rollouts if not rollout.ended]
        rollout = Rollout(self.pod, self, image, policy, stop, start)
        self.rollouts.append(rollout)
        return rollout

    def _selected(self, pending: Pending) -> list[Member]:
        return [member for member in self.members if pending.selective and member.id in pending.member_ids]

    def _held(self) -> Pending:
        if self.pending is None or self.state != "READY_HELD":
            raise ApiError(400, f"inventory.{self.kind}.no.held.image", "There is no image that is held.")
        return self.pending

    def _check_image(self, pending: Pending) -> None:
        found = self.vcenter.image(pending.image.vm, pending.image.snapshot)
        if found is None:
            raise ApiError(400, "inventory.push.image.invalid", "The parent VM or its snapshot was not found.")
        vm, snapshot = found
        if vm["datacenter"] != self.provisioning.get("datacenter_id"):
            raise ApiError(400, "inventory.push.image.datacenter", "The parent VM is in another datacenter.")
        if snapshot_reasons(vm, snapshot):
            raise ApiError(400, "inventory.push.image.snapshot.incompatible", "The snapshot is incompatible.")


def compute_profile(body: dict[str, Any]) -> dict[str, int]:
    """Return the compute profile of a request, which has all of its fields or none."""
    found = {name: body[f"compute_profile_{name}"] for name in _COMPUTE if f"compute_profile_{name}" in body}
    if found and len(found) < len(_COMPUTE):
        raise ApiError(400, "inventory.compute.profile.incomplete", "A compute profile needs all of its fields.")
    if found and found["num_cpus"] % found["num_cores_per_socket"]:
        raise ApiError(400, "inventory.compute.profile.cores", "The CPUs must be a multiple of the cores per socket.")
    return found


def requested_image(body: dict[str, Any]) -> Image:
    """Return the image of a request by its VM and snapshot."""
    if "im_stream_id" in body or "im_tag_id" in body:
        raise ApiError(400, "inventory.push.image.catalog", "The simulator has no image catalog.")
    if not body.get("parent_vm_id") or not body.get("snapshot_id"):
        raise ApiError(400, "inventory.push.image.missing", "The parent VM and its snapshot are required.")
    return Image(body["parent_vm_id"], body["snapshot_id"])
