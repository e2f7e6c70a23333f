# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of users on machines and RDS servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.strata.layering.tests.simulator_horizon.machines import Member

CONNECTED, DISCONNECTED, PENDING = "CONNECTED", "DISCONNECTED", "PENDING"


@dataclass
class Session:
    """A session. One that is ``stuck`` does not end when Horizon logs it off, as a hanging program can cause."""

    id: str
    member: Member
    user: str
    state: str
    started: int
    disconnected: int | None = None
    stuck: bool = False

    def answer(self) -> dict[str, Any]:
        """Return the session as Horizon describes it."""
        record: dict[str, Any] = {
            "id": self.id,
            "user_id": self.user,
            "session_type": "DESKTOP",
            "session_state": self.state,
            "session_protocol": "BLAST",
            "start_time": self.started,
            "unauthenticated": False,
            **self.member.session_fields(),
        }
        if self.state == DISCONNECTED:
            record["disconnected_time"] = self.disconnected
        return record
