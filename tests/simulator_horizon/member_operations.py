# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on machines, RDS servers and sessions."""

from __future__ import annotations

from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.operations import Answer, Call, flag, operation
from ansible_collections.strata.layering.tests.simulator_horizon.paging import select
from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod


@operation("GET /inventory/v3/machines")
def machines(pod: Pod, call: Call) -> Answer:
    """List machines."""
    rows, headers = select([member.answer() for member in pod.members("pool")], call.query, call.filters, pod.version)
    return Answer(body=rows, headers=headers)


@operation("GET /inventory/v1/rds-servers")
def rds_servers(pod: Pod, call: Call) -> Answer:
    """List RDS servers."""
    rows, headers = select([member.answer() for member in pod.members("farm")], call.query, call.filters, pod.version)
    return Answer(body=rows, headers=headers)


@operation("GET /inventory/v1/sessions")
def sessions(pod: Pod, call: Call) -> Answer:
    """List sessions."""
    rows, headers = select(
        [session.answer() for session in pod.sessions.values()], call.query, call.filters, pod.version
    )
    return Answer(body=rows, headers=headers)


def _session_results(pod: Pod, ids: list[str], ends: bool, reason: str) -> Answer:
    results = []
    for session_id in ids:
        session = pod.sessions.get(session_id)
        result: dict[str, Any] = {
            "id": session_id,
            "status_code": 200 if session else 404,
            "timestamp": pod.timeline.now,
        }
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
    reason = "FORCED" if flag(call.query.get("forced")) else "REQUESTED"
    return _session_results(pod, call.body, True, reason)


@operation("POST /inventory/v1/sessions/action/send-message")
def send_message(pod: Pod, call: Call) -> Answer:
    """Send a message to users."""
    return _session_results(pod, call.body["session_ids"], False, "")
