# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a pod: vCenters, pools, farms, machines, sessions and users."""

from __future__ import annotations

import re
import threading
import uuid
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.clock import Clock, Timeline
from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError, ControlError
from ansible_collections.strata.layering.tests.simulator_horizon.farms import Farm, new_farm, new_server
from ansible_collections.strata.layering.tests.simulator_horizon.faults import Faults
from ansible_collections.strata.layering.tests.simulator_horizon.images import Images
from ansible_collections.strata.layering.tests.simulator_horizon.inventory import VCenter, find_snapshot
from ansible_collections.strata.layering.tests.simulator_horizon.journal import Journal
from ansible_collections.strata.layering.tests.simulator_horizon.machines import Image, Member
from ansible_collections.strata.layering.tests.simulator_horizon.pools import Pool, new_machine, new_pool
from ansible_collections.strata.layering.tests.simulator_horizon.sessions import (
    CONNECTED,
    DISCONNECTED,
    PENDING,
    Session,
)
from ansible_collections.strata.layering.tests.simulator_horizon.settings import Settings
from ansible_collections.strata.layering.tests.simulator_horizon.tokens import Tokens


class Pod:
    """A pod with one Connection Server. All of it is used while ``lock`` is held."""

    def __init__(self, version: str, name: str, *, federated: bool = False, speed: float = 0.0) -> None:
        self.lock = threading.RLock()
        self.version = version
        self.name = name
        self.federated = federated
        self.speed = speed
        self.cluster_guid = str(uuid.uuid4())
        self.timeline = Timeline(Clock(speed))
        self.settings = Settings()
        self.journal = Journal()
        self.tokens = Tokens(self.timeline, self.settings)
        self.faults = Faults()
        self.vcenters: list[VCenter] = []
        self.pools: dict[str, Pool] = {}
        self.farms: dict[str, Farm] = {}
        self.sessions: dict[str, Session] = {}

    # vCenters and images

    def add_vcenter(self, server_name: str, control: str = "") -> VCenter:
        """Register a vCenter."""
        vcenter = VCenter(str(uuid.uuid4()), server_name, control)
        self.vcenters.append(vcenter)
        return vcenter

    def vcenter(self, vcenter_id: str) -> VCenter:
        """Return a vCenter by Horizon's ID."""
        for vcenter in self.vcenters:
            if vcenter.id == vcenter_id:
                return vcenter
        raise ApiError(404, "config.vcenter.not.found", "The vCenter was not found.")

    def find_vcenter(self, name: object) -> VCenter:
        """Return a vCenter by its ID, server name, instance UUID or index."""
        for number, vcenter in enumerate(self.vcenters):
            if name in (number, vcenter.id, vcenter.server_name, vcenter.instance_uuid):
                return vcenter
        raise ControlError(f"There is no vCenter {name!r}.")

    # Pools and farms

    def owners(self) -> list[Images]:
        """Return all pools and farms."""
        return [*self.pools.values(), *self.farms.values()]

    def find_owner(self, name: str, kind: str = "") -> Images:
        """Return a pool or farm by its name or ID."""
        for owner in self.owners():
            if name in (owner.id, owner.name) and kind in ("", owner.kind):
                return owner
        raise ControlError(f"There is no {kind or 'pool or farm'} {name!r}.")

    def add_owner(self, kind: str, fields: dict[str, Any]) -> Images:
        """Create a pool or a farm with machines on an image; other fields are merged into its record."""
        fields = dict(fields)
        name, number = fields.pop("name"), fields.pop("machines", 3)
        if any(owner.name == name and owner.kind == kind for owner in self.owners()):
            raise ControlError(f"There is a {kind} {name!r} already.")
        vcenter = self.find_vcenter(fields.pop("vcenter", 0))
        vm = vcenter.find(fields.pop("vm"))
        image = Image(vm["moid"], find_snapshot(vm, fields.pop("snapshot"))["moid"])
        owner: Images
        if kind == "pool":
            owner = self.pools[name] = new_pool(self, name, vcenter, image, vm["datacenter"])
        else:
            owner = self.farms[name] = new_farm(self, name, vcenter, image, vm["datacenter"])
        self.change_owner(owner, fields)
        self.add_machines(owner, number)
        return owner

    def add_machines(self, owner: Images, number: int) -> None:
        """Create machines on the current image."""
        for _count in range(number):
            position = len(owner.members) + 1
            if isinstance(owner, Pool):
                owner.members.append(new_machine(owner, position))
            elif isinstance(owner, Farm):
                owner.members.append(new_server(owner, position))

    def change_owner(self, owner: Images, fields: dict[str, Any]) -> None:
        """Merge fields into the record of a pool or farm; None removes a field.

        A field that belongs to the provisioning settings or to the status may be given without its group.
        """
        groups = [owner.provisioning, owner.status]
        for name, value in fields.items():
            if name.startswith(("instant_clone_", "pending_compute_", "last_provisioning_")):
                merge(owner.status, {name: value})
            elif re.match(
                r"(add_virtual_tpm|compute_profile_\w+|im_\w+_id|datacenter_id|parent_vm_id|base_snapshot_id)$", name
            ):
                merge(groups[0], {name: value})
            elif isinstance(owner, Farm) and name in ("enable_provisioning", "min_ready_vms", "vcenter_id"):
                merge(owner.automated, {name: value})
            else:
                merge(owner.record, {name: value})
        for rollout in owner.rollouts:
            rollout.pump()

    def remove_owner(self, owner: Images) -> None:
        """Remove a pool or farm with its machines and sessions."""
        for member in owner.members:
            for session in member.sessions:
                self.sessions.pop(session.id, None)
        owner.members.clear()
        owner.pending = None
        (self.pools if isinstance(owner, Pool) else self.farms).pop(owner.name, None)

    def members(self, kind: str) -> list[Member]:
        """Return the machines of all pools, or the servers of all farms."""
        return [member for owner in self.owners() if owner.kind == kind for member in owner.members]

    def find_member(self, name: str) -> Member:
        """Return a machine or RDS server by its name or ID."""
        for owner in self.owners():
            for member in owner.members:
                if name in (member.id, member.name):
                    return member
        raise ControlError(f"There is no machine or RDS server {name!r}.")

    # Sessions

    def add_session(self, fields: dict[str, Any]) -> Session:
        """Log a user in to a machine; the session ends by itself after ``ends`` seconds."""
        fields = {"state": CONNECTED, "user": f"user-{len(self.sessions) + 1}", "ends": None, "stuck": False, **fields}
        if fields["state"] not in (CONNECTED, DISCONNECTED, PENDING):
            raise ControlError(f"A session cannot be {fields['state']!r}.")
        member = self.find_member(fields["machine"])
        session = Session(
            str(uuid.uuid4()), member, fields["user"], fields["state"], self.timeline.now, stuck=fields["stuck"]
        )
        if session.state == DISCONNECTED:
            session.disconnected = self.timeline.now
        member.sessions.append(session)
        self.sessions[session.id] = session
        if fields["ends"] is not None:
            self.timeline.after(fields["ends"], lambda: self.end_session(session, ""))
        return session

    def end_session(self, session: Session, reason: str) -> None:
        """End a session. A reason is given when it did not end by itself: the journal records it then."""
        if session.id not in self.sessions or (session.stuck and reason):
            return
        del self.sessions[session.id]
        session.member.sessions.remove(session)
        if reason:
            self.journal.add_logoff(
                {
                    "session": session.id,
                    "user": session.user,
                    "state": session.state,
                    "machine": session.member.name,
                    "owner": session.member.owner.name,
                    "reason": reason,
                    "time": self.timeline.now,
                }
            )
        for rollout in session.member.owner.rollouts:
            rollout.pump()

    # Answers

    def item(self, member: Member | str, status: int) -> dict[str, Any]:
        """Return the result for one machine of a request about several."""
        texts = {
            400: ("inventory.machine.operation.in.progress", "An operation is in progress on the machine."),
            404: ("inventory.machine.not.found", "The machine was not found."),
        }
        result: dict[str, Any] = {
            "id": member if isinstance(member, str) else member.id,
            "status_code": status,
            "timestamp": self.timeline.now,
        }
        if status in texts:
            result["errors"] = [{"error_key": texts[status][0], "error_message": texts[status][1]}]
        return result

    def reset(self) -> None:
        """Remove pools, farms, sessions, described VMs, faults and what is planned; log all users out."""
        for owner in self.owners():
            self.remove_owner(owner)
        for vcenter in self.vcenters:
            vcenter.reset()
        self.timeline.clear()
        self.timeline.clock.speed = self.speed
        self.faults.clear()
        self.tokens.expire(refresh=True)
        self.settings.change(Settings().values())
        self.journal.clear()
        self.journal.forget_problems()


def merge(record: dict[str, Any], changes: dict[str, Any]) -> None:
    """Change a record in place, at all its levels; None removes a field."""
    for name, value in changes.items():
        if value is None:
            record.pop(name, None)
        elif isinstance(value, dict) and isinstance(record.get(name), dict):
            merge(record[name], value)
        else:
            record[name] = value
