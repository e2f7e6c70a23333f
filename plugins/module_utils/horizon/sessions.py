# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of users in a pool or farm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from .answers import Answer
from .client import HorizonClient
from .model import POOL, SessionCounts, Target

SESSIONS = "/inventory/v1/sessions"
_DISCONNECTED, _PENDING = "DISCONNECTED", "PENDING"


@dataclass(frozen=True)
class TargetSessions:
    """The sessions of a target: all of them, and by the ID of the machine or RDS server."""

    total: SessionCounts = SessionCounts()
    by_machine: Mapping[str, SessionCounts] = field(default_factory=dict)


def read_sessions(client: HorizonClient, target: Target) -> TargetSessions:
    """Return the sessions of a pool or farm, with a request for each page.

    A session in a state that Horizon added later counts as connected, so that ``max_sessions`` protects it.
    """
    kind, machine = ("desktop_pool_id", "machine_id") if target.kind == POOL else ("farm_id", "rds_server_id")
    states: Counter[str] = Counter()
    machines: dict[str, Counter[str]] = {}
    for value in client.pages(SESSIONS, filter={kind: target.id}):
        answer = Answer(value, f"a session of the {target.label}")
        state = answer.text_or_none("session_state") or ""
        states[state] += 1
        machine_id = answer.text_or_none(machine)
        if machine_id:
            machines.setdefault(machine_id, Counter())[state] += 1
    return TargetSessions(_counts(states), {machine_id: _counts(found) for machine_id, found in machines.items()})


def _counts(states: Counter[str]) -> SessionCounts:
    disconnected, pending = states[_DISCONNECTED], states[_PENDING]
    return SessionCounts(states.total() - disconnected - pending, disconnected, pending)
