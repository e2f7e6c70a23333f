# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the simulator that tests change."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ControlError


@dataclass
class Settings:
    """Durations, limits and guesses about Horizon. Durations are in seconds of the simulator's clock unless the name differs."""

    #: How long an image is PENDING_PUBLISH, and how long it is PUBLISHING.
    pending_seconds: float = 5.0
    publish_seconds: float = 60.0
    #: How long a machine is rebuilt, and how many machines of a pool or farm at once.
    rebuild_seconds: float = 30.0
    parallel: int = 10
    #: How long a cancellation shows CANCEL_SCHEDULED_PUSH_IMAGE and UNPUBLISHING. 0: it has ended when it is answered.
    cancel_seconds: float = 0.0
    #: Horizon's general settings on forced logoff.
    forced_logoff_minutes: int = 5
    forced_logoff_warning: bool = True
    access_token_seconds: float = 1800.0
    refresh_token_minutes: float = 480.0
    #: The value of local_connection_server_version; empty: that of the contract.
    version: str = ""
    #: Whether tasks remain in the list when they have ended.
    task_history: bool = False
    #: Requests in a second of real time before 429 is answered. 0: no limit.
    requests_per_second: float = 0.0

    def change(self, changes: dict[str, Any]) -> None:
        """Set some of the settings."""
        types = {field.name: type(getattr(self, field.name)) for field in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in types:
                raise ControlError(f"There is no setting {name!r}.")
            if types[name] is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            # A boolean is also an int for isinstance.
            if not isinstance(value, types[name]) or isinstance(value, bool) is not (types[name] is bool):
                raise ControlError(f"The setting {name} must be of type {types[name].__name__}, not {value!r}.")
            setattr(self, name, value)

    def values(self) -> dict[str, Any]:
        """Return all settings."""
        return dataclasses.asdict(self)
