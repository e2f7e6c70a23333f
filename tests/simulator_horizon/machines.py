# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of pools and RDS servers of farms, and how they follow an image."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError
from ansible_collections.strata.layering.tests.simulator_horizon.sessions import CONNECTED, DISCONNECTED, Session

if TYPE_CHECKING:
    from ansible_collections.strata.layering.tests.simulator_horizon.images import Images
    from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod

WAITING, PROGRESSING, FAULT, HALTED, STANDBY = "SCHEDULED", "PROGRESSING", "FAULT", "HOLDING", "STANDBY"


@dataclass(frozen=True)
class Image:
    """The managed object IDs of a VM and its snapshot."""

    vm: str
    snapshot: str


class Member:
    """A machine of a pool, or an RDS server of a farm. ``data`` is the part of the record that describes its image."""

    def __init__(self, owner: Images, record: dict[str, Any], data: dict[str, Any], image: Image) -> None:
        self.owner = owner
        self.record = record
        self.data = data
        self.rebuilding = False
        self.rollout: Rollout | None = None
        self.sessions: list[Session] = []
        self._set_image(image)

    @property
    def id(self) -> str:
        """The ID of the record."""
        return str(self.record["id"])

    @property
    def name(self) -> str:
        """The name of the record."""
        return str(self.record["name"])

    @property
    def image(self) -> Image:
        """The image from which it was built."""
        return Image(self.data["base_vm_id"], self.data["base_vm_snapshot_id"])

    def session_fields(self) -> dict[str, str]:
        """Return the fields of a session that name this member and its pool or farm."""
        return {self.owner.owner_field: self.owner.id, self.owner.member_field: self.id}

    def answer(self) -> dict[str, Any]:
        """Return the record with what follows from the sessions."""
        record = self.record
        if self.owner.member_field == "rds_server_id":
            return {**record, "session_count": len(self.sessions)}
        if not self.sessions:
            return record
        record = {**record, "session_id": self.sessions[0].id}
        if record["state"] == "AVAILABLE":
            connected = any(session.state == CONNECTED for session in self.sessions)
            record["state"] = CONNECTED if connected else DISCONNECTED
        return record

    def schedule(self, state: str, image: Image, logoff_policy: str) -> None:
        """Show that it is to be rebuilt from an image."""
        self.data |= {
            "operation": "PUSH_IMAGE",
            "operation_state": state,
            "pending_base_vm_id": image.vm,
            "pending_base_vm_snapshot_id": image.snapshot,
            "logoff_policy": logoff_policy,
        }

    def clear_operation(self) -> None:
        """Remove what ``schedule`` shows."""
        for name in (
            "operation",
            "operation_state",
            "pending_base_vm_id",
            "pending_base_vm_snapshot_id",
            "logoff_policy",
        ):
            self.data.pop(name, None)

    def rebuilt(self, image: Image, now: int) -> None:
        """Make it a new clone of an image."""
        self._set_image(image)
        self.record["state"] = "AVAILABLE"
        for name in ("clone_error_message", "clone_error_time"):
            self.data.pop(name, None)
        if "create_time" in self.data:
            self.data["create_time"] = now

    def _set_image(self, image: Image) -> None:
        self.data |= {"base_vm_id": image.vm, "base_vm_snapshot_id": image.snapshot}


@dataclass(eq=False)
class Rollout:
    """Members that are rebuilt from an image one after the other: Horizon's task.

    ``states`` has the members that are not done; ``total`` counts all. It begins with ``start``.
    """

    pod: Pod
    owner: Images
    image: Image
    logoff_policy: str
    stop_on_first_error: bool
    schedule_time: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    states: dict[Member, str] = field(default_factory=dict)
    total: int = 0
    cancelled: int = 0
    started: bool = False
    halted: bool = False
    _warned: set[str] = field(default_factory=set)

    def start(self, members: list[Member]) -> None:
        """Schedule members. They leave the rollout that they were in."""
        self.started = True
        self.total += len(members)
        for member in members:
            if member.rollout is not None and member.rollout is not self:
                member.rollout.states.pop(member, None)
            member.rollout = self
            self.states[member] = WAITING
            if not member.rebuilding:
                member.schedule(WAITING, self.image, self.logoff_policy)
        self.pump()

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do or to decide."""
        return self.started and not self.states

    def pump(self) -> None:
        """Rebuild the next members that may be rebuilt now."""
        if not self.started or self.halted or not self.owner.provisioning_enabled:
            return
        free = self.owner.parallel - sum(member.rebuilding for member in self.owner.members)
        for member, state in list(self.states.items()):
            if free <= 0:
                return
            if state != WAITING or member.rebuilding:
                continue
            if member.sessions:
                self._wait_for_sessions(member)
                continue
            free -= 1
            self._rebuild(member)

    def _wait_for_sessions(self, member: Member) -> None:
        if self.logoff_policy == "FORCE_LOGOFF" and member.id not in self._warned:
            self._warned.add(member.id)
            minutes = self.pod.settings.forced_logoff_minutes if self.pod.settings.forced_logoff_warning else 0
            self.pod.timeline.after(minutes * 60, lambda: self._force_logoff(member))

    def _force_logoff(self, member: Member) -> None:
        self._warned.discard(member.id)
        if self.states.get(member) == WAITING and not self.halted:
            for session in list(member.sessions):
                self.pod.end_session(session, "FORCE_LOGOFF")

    def _rebuild(self, member: Member) -> None:
        member.rebuilding = True
        member.record["state"] = "PROVISIONING"
        self.states[member] = PROGRESSING
        member.data["operation_state"] = PROGRESSING
        self.pod.timeline.after(self.pod.settings.rebuild_seconds, lambda: self._finish(member))

    def _finish(self, member: Member) -> None:
        if member not in self.owner.members:
            return
        member.rebuilding = False
        error = self.pod.faults.machine_error(member.name)
        if error is not None:
            self._fault(member, error)
        else:
            member.rebuilt(self.image, self.pod.timeline.now)
            self.states.pop(member, None)
            member.clear_operation()
            if member.rollout is self:
                member.rollout = None
        if member.rollout not in (None, self):
            member.schedule(WAITING, member.rollout.image, member.rollout.logoff_policy)
        for rollout in self.owner.rollouts:
            rollout.pump()

    def _fault(self, member: Member, error: str) -> None:
        now = self.pod.timeline.now
        member.record["state"] = "PROVISIONING_ERROR"
        member.data["operation_state"] = FAULT
        if member.owner.member_field == "machine_id":
            # An RDS server has no fields for its error.
            member.data |= {"clone_error_message": error, "clone_error_time": now}
        self.owner.status |= {"last_provisioning_error": error, "last_provisioning_error_time": now}
        if member in self.states:
            self.states[member] = FAULT
        if self.stop_on_first_error:
            self.pause()

    def pause(self) -> None:
        """Hold the members that wait."""
        self.halted = True
        self._change(WAITING, HALTED)

    def resume(self, *, retry_failed: bool, stop_on_error: bool) -> None:
        """Continue with the members that were held, and with those that failed if ``retry_failed``."""
        self.halted, self.stop_on_first_error = False, stop_on_error
        self._change(HALTED, WAITING)
        if retry_failed:
            self._change(FAULT, WAITING)
        self.pump()

    def cancel(self) -> None:
        """Give up the members that are not rebuilt yet."""
        if not any(state != PROGRESSING for state in self.states.values()) and self.started:
            raise ApiError(400, "inventory.task.cannot.be.cancelled", "The task has no machines that wait.")
        for member, state in list(self.states.items()):
            if state != PROGRESSING:
                del self.states[member]
                self.cancelled += 1
                member.rollout = None
                member.clear_operation()

    def _change(self, old: str, new: str) -> None:
        for member, state in self.states.items():
            if state == old:
                self.states[member] = new
                if not member.rebuilding:
                    member.data["operation_state"] = new

    def answer(self) -> dict[str, Any]:
        """Return the task as Horizon describes it."""
        states = list(self.states.values())
        waiting = len(states) if self.started else len(self.owner.members)
        names = self.owner.image_name(self.image)
        text = f'Changing {self.total if self.started else waiting} user(s) to image "{names}".'
        if not self.started:
            text += f" This task will start at {self.schedule_time}."
        return {
            "id": self.id,
            "operation": "PUSH_IMAGE",
            "schedule_time": self.schedule_time,
            "description": text,
            "remaining_vmtask_count": waiting - states.count(FAULT) - states.count(HALTED),
            "error_vmtask_count": states.count(FAULT),
            "halted_vmtask_count": states.count(HALTED),
            "cancelled_vmtask_count": self.cancelled,
        }
