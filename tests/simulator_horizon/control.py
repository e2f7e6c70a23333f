# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control endpoint: tests describe pools, move the clock, add faults and read the journal."""

from __future__ import annotations

import http.server
import json
import re
import secrets
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.api import Api
from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError, ControlError
from ansible_collections.strata.layering.tests.simulator_horizon.farms import Farm
from ansible_collections.strata.layering.tests.simulator_horizon.faults import Fault
from ansible_collections.strata.layering.tests.simulator_horizon.images import Images
from ansible_collections.strata.layering.tests.simulator_horizon.machines import Member
from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod, merge
from ansible_collections.strata.layering.tests.simulator_horizon.rules import Rules
from ansible_collections.strata.layering.tests.simulator_horizon.tokens import User

_Handler = Callable[["Control", dict[str, Any], tuple[str, ...]], Any]
_ROUTES: list[tuple[str, re.Pattern[str], _Handler]] = []


def _route(method: str, path: str) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        _ROUTES.append((method, re.compile(path), handler))
        return handler

    return register


class Control:
    """Carries out requests to the control endpoint. Its address contains a secret."""

    def __init__(self, api: Api, rules: Rules) -> None:
        self.api = api
        self.pod: Pod = api.pod
        self.rules = rules
        self.info: dict[str, Any] = {}
        self.token = secrets.token_hex(16)
        control = self

        class Handler(_ControlHandler):
            """Belongs to this control endpoint."""

            owner = control

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/{self.token}"

    def start(self) -> None:
        """Answer requests in a thread."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def carry_out(self, method: str, path: str, fields: dict[str, Any]) -> Any:
        """Carry out a request and return its answer."""
        for expected, pattern, handler in _ROUTES:
            found = pattern.fullmatch(path) if expected == method else None
            if found:
                with self.pod.lock:
                    self.pod.timeline.run()
                    answer = handler(self, fields, found.groups())
                    # Without a delay what was requested happens at once.
                    self.pod.timeline.run()
                    return answer
        raise ControlError(f"There is no {method} {path}.")


class _ControlHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: Control

    def log_message(self, format: str, *args: Any) -> None:  # pylint: disable=redefined-builtin
        """Write no log."""

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        prefix = f"/{self.owner.token}"
        status, value = 200, None
        try:
            if not self.path.startswith(prefix):
                raise ControlError("The address is wrong.")
            parts = urllib.parse.urlsplit(self.path[len(prefix) :])
            fields = dict(urllib.parse.parse_qsl(parts.query)) | (json.loads(raw) if raw else {})
            value = self.owner.carry_out(self.command, urllib.parse.unquote(parts.path), fields)
        except (ControlError, ApiError) as error:
            status, value = 400, {"error": str(error)}
        except (KeyError, TypeError, ValueError) as error:
            status, value = 400, {"error": f"The request is wrong: {error!r}"}
        data = json.dumps(value).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self._headers_buffer: list[bytes]
        self._headers_buffer += [b"\r\n", data]
        self.flush_headers()

    do_GET = do_POST = do_PUT = do_DELETE = _serve


def member_view(member: Member) -> dict[str, Any]:
    """Return a machine or RDS server in one form: name, id, image, state, operation_state, sessions."""
    return {
        "id": member.id,
        "name": member.name,
        "state": member.answer()["state"],
        "vm": member.image.vm,
        "snapshot": member.image.snapshot,
        "operation_state": member.data.get("operation_state"),
        "sessions": [{"id": session.id, "user": session.user, "state": session.state} for session in member.sessions],
    }


def owner_view(owner: Images) -> dict[str, Any]:
    """Return a pool or farm in one form, with Horizon's answer in ``record``."""
    return {
        "kind": owner.kind,
        "id": owner.id,
        "name": owner.name,
        "vcenter_id": owner.vcenter.id,
        "vm": owner.current.vm,
        "snapshot": owner.current.snapshot,
        "operation": owner.status.get("instant_clone_operation"),
        "pending_state": owner.state,
        "pending_vm": owner.status.get("instant_clone_pending_image_parent_vm_id"),
        "pending_snapshot": owner.status.get("instant_clone_pending_image_snapshot_id"),
        "machines": len(owner.members),
        "record": owner.answer(),
    }


@_route("GET", "/")
def _info(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return control.info


@_route("GET", "/journal")
def _journal(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return control.pod.journal.entries(int(fields.get("after", 0)))


@_route("GET", "/logoffs")
def _logoffs(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return control.pod.journal.logoffs()


@_route("DELETE", "/journal")
def _clear_journal(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.journal.clear()


@_route("GET", "/problems")
def _problems(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return control.pod.journal.problems()


@_route("DELETE", "/problems")
def _forget_problems(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.journal.forget_problems()


@_route("GET", "/rules")
def _rules(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return control.rules.list()


@_route("POST", "/rules")
def _add_rule(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return control.rules.add(fields).values()


@_route("DELETE", r"/rules(?:/(\d+))?")
def _remove_rules(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.rules.remove(int(path[0] or 0))


@_route("POST", r"/rules/(\d+)/release")
def _release_rule(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.rules.release(int(path[0]))


@_route("GET", "/clock")
@_route("POST", "/clock")
def _clock(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    clock = control.pod.timeline.clock
    if "speed" in fields:
        clock.speed = float(fields["speed"])
    if "advance" in fields:
        clock.advance(float(fields["advance"]))
    control.pod.timeline.run()
    return {"now": control.pod.timeline.now, "speed": clock.speed}


@_route("GET", "/settings")
@_route("POST", "/settings")
def _settings(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.settings.change(fields)
    return control.pod.settings.values()


@_route("POST", "/users")
def _add_user(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.tokens.users.append(User(**fields))


@_route("GET", "/tokens")
def _tokens(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return {"sessions": control.pod.tokens.sessions()}


@_route("POST", "/tokens/expire")
def _expire_tokens(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return {"expired": control.pod.tokens.expire(refresh=bool(fields.get("refresh", False)))}


@_route("GET", "/(pool|farm)s")
def _owners(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return [owner_view(owner) for owner in control.pod.owners() if owner.kind == path[0]]


@_route("POST", "/(pool|farm)s")
def _add_owner(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return owner_view(control.pod.add_owner(path[0], fields))


@_route("GET", "/(pool|farm)s/(.+)/machines")
def _members(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return [member_view(member) for member in control.pod.find_owner(path[1], path[0]).members]


@_route("POST", "/(pool|farm)s/(.+)/machines")
def _add_members(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.add_machines(control.pod.find_owner(path[1], path[0]), int(fields["number"]))


@_route("POST", "/(pool|farm)s/(.+)/release")
def _release_publish(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.find_owner(path[1], path[0]).release()


@_route("POST", "/(pool|farm)s/(.+)/operation")
def _interrupt(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.find_owner(path[1], path[0]).interrupt(fields["operation"], float(fields["seconds"]))


@_route("POST", "/farms/(.+)/recurring")
def _recurring(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    farm = control.pod.find_owner(path[0], "farm")
    if isinstance(farm, Farm):
        farm.schedule({"maintenance_mode": "RECURRING", "logoff_policy": "WAIT_FOR_LOGOFF", **fields})
    return owner_view(farm)


@_route("GET", "/(pool|farm)s/([^/]+)")
def _owner(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return owner_view(control.pod.find_owner(path[1], path[0]))


@_route("POST", "/(pool|farm)s/([^/]+)")
def _change_owner(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    owner = control.pod.find_owner(path[1], path[0])
    control.pod.change_owner(owner, fields)
    return owner_view(owner)


@_route("DELETE", "/(pool|farm)s/([^/]+)")
def _remove_owner(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.remove_owner(control.pod.find_owner(path[1], path[0]))


@_route("POST", "/machines/(.+)")
def _change_member(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    member = control.pod.find_member(path[0])
    for name, value in fields.items():
        merge(member.record if name in ("state", "enabled", "held_machine") else member.data, {name: value})
    return member_view(member)


@_route("GET", "/sessions")
def _sessions(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return [session.answer() for session in control.pod.sessions.values()]


@_route("POST", "/sessions")
def _add_session(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return control.pod.add_session(fields).answer()


@_route("POST", "/sessions/(.+)")
def _change_session(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    session = control.pod.sessions[path[0]]
    session.state = fields.get("state", session.state)
    session.disconnected = control.pod.timeline.now if session.state == "DISCONNECTED" else None
    session.stuck = bool(fields.get("stuck", session.stuck))


@_route("DELETE", "/sessions(?:/(.+))?")
def _end_sessions(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    for session in list(control.pod.sessions.values()):
        if path[0] in (None, session.id):
            control.pod.end_session(session, "")


@_route("GET", "/faults")
def _faults(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return control.pod.faults.values()


@_route("DELETE", "/faults")
def _clear_faults(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.faults.clear()


@_route("POST", "/faults/(publish|machine)")
def _add_fault(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    fault = Fault(**{"name": "*", "count": 1, "error": "", **fields})
    if path[0] == "publish":
        control.pod.faults.add_publish(fault)
    else:
        control.pod.faults.add_machine(fault)


@_route("GET", "/vcenters")
def _vcenters(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    for vcenter in control.pod.vcenters:
        vcenter.read()
    names = ("id", "server_name", "instance_uuid", "port", "enabled", "datacenters", "vms")
    return [{name: getattr(vcenter, name) for name in names} for vcenter in control.pod.vcenters]


@_route("POST", "/vcenters")
def _add_vcenter(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    return {"id": control.pod.add_vcenter(fields["server_name"], fields.get("control", "")).id}


@_route("POST", "/vcenters/([^/]+)")
def _change_vcenter(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    vcenter = control.pod.find_vcenter(path[0])
    for name, value in fields.items():
        if name not in ("server_name", "port", "enabled", "instance_uuid"):
            raise ControlError(f"The field {name} of a vCenter cannot be changed.")
        setattr(vcenter, name, value)


@_route("POST", "/vms")
def _add_vm(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    vcenter = control.pod.find_vcenter(fields.pop("vcenter", 0))
    return vcenter.add_vm(fields.pop("name"), fields.pop("snapshots", ["Image"]), fields)


@_route("POST", "/vms/remove")
def _remove_vm(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.pod.find_vcenter(fields.get("vcenter", 0)).remove(fields["vm"], fields.get("snapshot"))


@_route("POST", "/vms/snapshots")
def _add_snapshot(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    vcenter = control.pod.find_vcenter(fields.get("vcenter", 0))
    created = fields.get("created", control.pod.timeline.now)
    return vcenter.add_snapshot(fields["vm"], fields["name"], fields.get("above"), created)


@_route("POST", "/vms/reasons")
def _set_reasons(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    vcenter = control.pod.find_vcenter(fields.get("vcenter", 0))
    vcenter.reasons[vcenter.find(fields["vm"])["moid"]] = list(fields["reasons"])


@_route("POST", "/requests")
def _request(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Send a request to the REST API as another administrator, now or ``after`` seconds."""
    if "after" in fields:

        def act() -> None:
            control.api.act(fields)

        control.pod.timeline.after(float(fields["after"]), act)
        return {"status": None, "body": None}
    answer = control.api.act(fields)
    return {"status": answer.status, "body": answer.body}


@_route("POST", "/reset")
def _reset(control: Control, fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    control.rules.remove()
    control.pod.reset()
