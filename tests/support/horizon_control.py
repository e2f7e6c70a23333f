# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control endpoint of the Horizon simulator, for tests."""

from __future__ import annotations

import re
import secrets
import urllib.parse
from collections.abc import Sequence
from typing import Any

from ansible_collections.strata.layering.tests.support.simulated_server import (
    ControlEndpoint,
    ControlError,
    ControlRules,
)


class HorizonRules(ControlRules):
    """The rules of a Horizon simulator: requests that fail, wait or lose their answer."""

    def add(
        self,
        method: str,
        path: str,
        *,
        skip: int = 0,
        count: int | None = 1,
        status: int | None = None,
        key: str = "",
        message: str = "",
        form: str = "errors",
        body: object = None,
        html: bool = False,
        headers: dict[str, str] | None = None,
        drop_connection: bool = False,
        after: bool = False,
        delay_ms: int = 0,
        expire_tokens: str = "",
        act: list[dict[str, Any]] | None = None,
    ) -> int:
        r"""Let requests fail, wait or lose their answer, and return the rule's number.

        tests/simulator_horizon/README.md describes the fields. ``method`` \* is any; ``path`` is a regular expression that is
        searched in the path below /rest. ``count=None`` hits every request.
        """
        rule = {
            "method": method,
            "path": path,
            "skip": skip,
            "count": -1 if count is None else count,
            "status": status,
            "key": key,
            "message": message,
            "form": form,
            "body": body,
            "html": html,
            "headers": headers or {},
            "drop_connection": drop_connection,
            "after": after,
            "delay_ms": delay_ms,
            "expire_tokens": expire_tokens,
            "act": act or [],
        }
        return int(self._simulator.ask("POST", "/rules", rule)["id"])

    def throttle(self, method: str, path: str, *, retry_after: int = 1, count: int | None = 1, skip: int = 0) -> int:
        """Answer 429 with the header of Horizon."""
        headers = {"X-Rate-Limit-Retry-After-Seconds": str(retry_after)}
        return self.add(method, path, status=429, headers=headers, count=count, skip=skip)


class HorizonClock:
    """The clock of a Horizon simulator. It moves only when a test advances it, unless it has a speed."""

    def __init__(self, horizon: HorizonControl) -> None:
        self._horizon = horizon

    def advance(self, seconds: float) -> int:
        """Move the clock forward and return its time in milliseconds since 1970."""
        return int(self._horizon.ask("POST", "/clock", {"advance": seconds})["now"])

    @property
    def now(self) -> int:
        """The time of the clock in milliseconds since 1970."""
        return int(self._horizon.ask("GET", "/clock")["now"])

    @property
    def speed(self) -> float:
        """How many seconds pass in a second of real time; 0: only tests move the clock."""
        return float(self._horizon.ask("GET", "/clock")["speed"])

    @speed.setter
    def speed(self, speed: float) -> None:
        self._horizon.ask("POST", "/clock", {"speed": speed})


class HorizonControl(ControlEndpoint):
    """Describes pools, machines, sessions and faults to a Horizon simulator, and reads its state and its journal."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.control = ""
        self.rules = HorizonRules(self)
        self.clock = HorizonClock(self)

    def ask(self, method: str, path: str, value: object = None) -> Any:
        """Send a request to the control endpoint; names in the path may have any characters."""
        return super().ask(method, urllib.parse.quote(path, safe="/?=&"), value)

    def request(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Send a request to the REST API as another administrator, and return the body of the answer.

        No rule acts on it, and ``journal`` leaves it out.

        :raises ControlError: if the status is 400 or greater.
        """
        sent = {"method": method, "path": path, "body": body, "query": query}
        answer = self.ask("POST", "/requests", sent)
        if answer["status"] >= 400:
            raise ControlError(f"{method} {path}: {answer['status']} {answer['body']}")
        return answer["body"]

    def request_later(self, seconds: float, method: str, path: str, body: object = None) -> None:
        """Send a request to the REST API as another administrator when the clock has advanced by ``seconds``."""
        self.ask("POST", "/requests", {"method": method, "path": path, "body": body, "after": seconds})

    # Journal

    def journal(self, method: str | None = None, path: str = "", *, others: bool = False) -> list[dict[str, Any]]:
        """Return the requests, in order: number, method, path (below /rest), query, body, status (None: no answer), problems.

        ``path`` is a regular expression; with ``others`` the requests of other administrators are included.
        """
        return [
            entry
            for entry in self.ask("GET", "/journal")
            if (others or entry["actor"] == "client")
            and method in (None, entry["method"])
            and re.search(path, entry["path"])
        ]

    def problems(self) -> list[str]:
        """Return how requests and answers contradicted the contract. Clearing the journal does not remove them."""
        return list(self.ask("GET", "/problems"))

    def take_problems(self) -> list[str]:
        """Return the contradictions and remove them, so that the fixture ``horizon`` does not fail because of them."""
        problems = self.problems()
        self.ask("DELETE", "/problems")
        return problems

    def logoffs(self) -> list[dict[str, Any]]:
        """Return the sessions that were logged off: session, user, state, machine, owner, reason, time.

        The reason is FORCE_LOGOFF (by a push), FORCED or REQUESTED (by the action logoff).
        """
        return list(self.ask("GET", "/logoffs"))

    def clear_journal(self) -> None:
        """Clear the journal, with the sessions that were logged off."""
        self.ask("DELETE", "/journal")

    # State

    def settings(self, **changes: object) -> dict[str, Any]:
        """Change and return the settings; tests/simulator_horizon/README.md lists them."""
        return dict(self.ask("POST", "/settings", changes))

    def add_vm(self, name: str, snapshots: Sequence[str] = ("Image",), *, vcenter: object = 0, **fields: object) -> Any:
        """Describe a VM and return it: moid, path, snapshots (moid, name, path). Only without a vSphere simulator."""
        return self.ask("POST", "/vms", {"name": name, "snapshots": list(snapshots), "vcenter": vcenter, **fields})

    def add_snapshot(self, vm: str, name: str, *, above: str | None = None, vcenter: object = 0) -> Any:
        """Describe a snapshot of a described VM, below the snapshot ``above``."""
        return self.ask("POST", "/vms/snapshots", {"vm": vm, "name": name, "above": above, "vcenter": vcenter})

    def remove_vm(self, vm: str, snapshot: str | None = None, *, vcenter: object = 0) -> None:
        """Remove a described VM, or one of its snapshots."""
        self.ask("POST", "/vms/remove", {"vm": vm, "snapshot": snapshot, "vcenter": vcenter})

    def set_reasons(self, vm: str, reasons: Sequence[str], *, vcenter: object = 0) -> None:
        """Add incompatible reasons to those that follow from a VM."""
        self.ask("POST", "/vms/reasons", {"vm": vm, "reasons": list(reasons), "vcenter": vcenter})

    def vcenters(self) -> list[dict[str, Any]]:
        """Return the vCenters: id, server_name, instance_uuid, datacenters, vms."""
        return list(self.ask("GET", "/vcenters"))

    def add_pool(
        self, name: str, vm: str, snapshot: str, machines: int = 3, *, vcenter: object = 0, **fields: object
    ) -> Any:
        """Create a pool of instant clones whose machines are on an image, and return it as ``pool`` does.

        ``vm`` and ``snapshot`` are names, paths or managed object IDs, ``vcenter`` is an index, ID, server name or instance
        UUID. ``fields`` are merged into Horizon's record: ``display_name``, ``enabled``, ``source``, ``add_virtual_tpm``,
        ``compute_profile_num_cpus``, ``instant_clone_operation`` and so on.
        """
        given = {"name": name, "vm": vm, "snapshot": snapshot, "machines": machines, "vcenter": vcenter, **fields}
        return self.ask("POST", "/pools", given)

    def add_farm(
        self, name: str, vm: str, snapshot: str, servers: int = 2, *, vcenter: object = 0, **fields: object
    ) -> Any:
        """Create an automated farm whose servers are on an image, and return it as ``farm`` does."""
        given = {"name": name, "vm": vm, "snapshot": snapshot, "machines": servers, "vcenter": vcenter, **fields}
        return self.ask("POST", "/farms", given)

    def pool(self, name: str) -> Any:
        """Return a pool: id, vm, snapshot, operation, pending_state, pending_vm, pending_snapshot, and Horizon's ``record``."""
        return self.ask("GET", f"/pools/{name}")

    def farm(self, name: str) -> Any:
        """Return a farm as ``pool`` does."""
        return self.ask("GET", f"/farms/{name}")

    def change_pool(self, name: str, **fields: object) -> Any:
        """Merge fields into the record of a pool, as in ``add_pool``; None removes a field."""
        return self.ask("POST", f"/pools/{name}", fields)

    def change_farm(self, name: str, **fields: object) -> Any:
        """Merge fields into the record of a farm; None removes a field."""
        return self.ask("POST", f"/farms/{name}", fields)

    def interrupt(self, name: str, operation: str, seconds: float, kind: str = "pool") -> None:
        """Let a pool or farm have an operation that is not a push, such as INFRASTRUCTURE_CHANGE, for a time of the clock."""
        self.ask("POST", f"/{kind}s/{name}/operation", {"operation": operation, "seconds": seconds})

    def remove_pool(self, name: str) -> None:
        """Remove a pool with its machines and sessions."""
        self.ask("DELETE", f"/pools/{name}")

    def remove_farm(self, name: str) -> None:
        """Remove a farm with its servers and sessions."""
        self.ask("DELETE", f"/farms/{name}")

    def add_recurring(self, farm: str, period: str = "DAILY", start_time: str = "02:00", **fields: object) -> Any:
        """Set up a recurring maintenance of a farm, as an administrator does."""
        settings = {"maintenance_period": period, "start_time": start_time}
        return self.ask("POST", f"/farms/{farm}/recurring", {"recurring_maintenance_settings": settings, **fields})

    def machines(self, pool: str) -> list[dict[str, Any]]:
        """Return the machines of a pool: id, name, state, vm, snapshot, operation_state, sessions."""
        return list(self.ask("GET", f"/pools/{pool}/machines"))

    def servers(self, farm: str) -> list[dict[str, Any]]:
        """Return the RDS servers of a farm as ``machines`` does."""
        return list(self.ask("GET", f"/farms/{farm}/machines"))

    def change_machine(self, name: str, **fields: object) -> Any:
        """Merge fields into the record of a machine or RDS server: ``state``, ``operation_state``, ``missing_in_vcenter`` and so on."""
        return self.ask("POST", f"/machines/{name}", fields)

    def add_session(
        self,
        machine: str,
        state: str = "CONNECTED",
        ends: float | None = None,
        *,
        user: str | None = None,
        stuck: bool = False,
    ) -> str:
        """Log a user in to a machine or RDS server, and return the session's ID.

        The session ends by itself after ``ends`` seconds of the clock. A ``stuck`` session does not end when it is logged off.
        """
        given = {"machine": machine, "state": state, "ends": ends, "stuck": stuck, **({"user": user} if user else {})}
        return str(self.ask("POST", "/sessions", given)["id"])

    def sessions(self) -> list[dict[str, Any]]:
        """Return the sessions as Horizon describes them."""
        return list(self.ask("GET", "/sessions"))

    def change_session(self, session: str, **fields: object) -> None:
        """Change ``state`` or ``stuck`` of a session."""
        self.ask("POST", f"/sessions/{session}", fields)

    def end_session(self, session: str | None = None) -> None:
        """End a session, or all of them, as the users do themselves."""
        self.ask("DELETE", "/sessions" if session is None else f"/sessions/{session}")

    # Faults

    def fail_publish(self, error: str, *, target: str = "*", count: int | None = 1) -> None:
        """Let the next publishes for a pool or farm fail with a text; ``count=None`` is all of them."""
        self.ask("POST", "/faults/publish", {"name": target, "error": error, "count": -1 if count is None else count})

    def stick_publish(self, *, target: str = "*", progress: int = 43) -> None:
        """Let the next publish for a pool or farm remain at a progress, in percent, until ``release_publish``."""
        self.ask("POST", "/faults/publish", {"name": target, "stuck_at": progress})

    def release_publish(self, target: str, kind: str = "pool") -> None:
        """Let a publish that is stuck begin again."""
        self.ask("POST", f"/{kind}s/{target}/release")

    def fail_machine(self, error: str = "AGENT_CUSTOMIZATION_FAULT", *, name: str = "*", count: int | None = 1) -> None:
        """Let the next rebuilds of machines fail."""
        self.ask("POST", "/faults/machine", {"name": name, "error": error, "count": -1 if count is None else count})

    def clear_faults(self) -> None:
        """Remove the faults of publishes and machines."""
        self.ask("DELETE", "/faults")

    def expire_tokens(self, *, refresh: bool = False) -> int:
        """Make all access tokens invalid, with ``refresh`` also the refresh tokens; return their number."""
        return int(self.ask("POST", "/tokens/expire", {"refresh": refresh})["expired"])

    def logged_in(self) -> int:
        """Return the number of sessions of the REST API: logins without logout."""
        return int(self.ask("GET", "/tokens")["sessions"])

    def add_user(self, username: str, *, read_only: bool = True, password: str | None = None) -> str:
        """Create a user and return the password. A read-only user is refused with 403 when it changes something."""
        password = password or secrets.token_urlsafe(12)
        user = {"domain": self.domain, "username": username, "password": password, "read_only": read_only}
        self.ask("POST", "/users", user)
        return password

    def reset(self) -> None:
        """Remove pools, farms, sessions, rules, faults and the journal, restore the settings, and log all users out."""
        self.ask("POST", "/reset")
