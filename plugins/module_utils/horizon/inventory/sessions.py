# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of users in a pool or farm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from ..model import POOL, SessionCounts, Target
from ..rest.answers import Answer
from ..rest.client import HorizonClient
from .machines import members

SESSIONS = "/inventory/v1/sessions"
_DISCONNECTED, _PENDING = "DISCONNECTED", "PENDING"


def count_sessions(client: HorizonClient, target: Target, machine_ids: Collection[str] | None = None) -> SessionCounts:
    """Return the number of sessions of a pool or farm, with a request for each page.

    ``machine_ids`` limits them to the sessions on these machines or RDS servers. A session in a state that Horizon added later
    counts as connected, so that ``max_sessions`` protects it; so does a session whose machine Horizon does not report.
    """
    kind, machine = ("desktop_pool_id", "machine_id") if target.kind == POOL else ("farm_id", "rds_server_id")
    states: Counter[str] = Counter()
    for value in members(client, SESSIONS, kind, target):
        answer = Answer(value, f"a session of the {target.label}")
        machine_id = answer.text_or_none(machine)
        if machine_ids is None or machine_id is None or machine_id in machine_ids:
            states[answer.text_or_none("session_state") or ""] += 1
    disconnected, pending = states[_DISCONNECTED], states[_PENDING]
    return SessionCounts(states.total() - disconnected - pending, disconnected, pending)
