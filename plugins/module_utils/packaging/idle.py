# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave Windows alone until it has run long enough and is idle, as vSphere sees it: by the processor time of the VM."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..common.progress import Progress
from ..vsphere.properties import wait_for
from ..vsphere.session import Session

#: A VM is idle when it uses less than this share of its processors. Windows without users needs 1 to 3 % (an estimate, not a documented number).
IDLE_SHARE = 0.1
#: Seconds for which it has to be idle. Hosts report the usage every 20 seconds.
IDLE_TIME = 120
_NO_LIMIT = 10 * 365 * 86400
_USAGE, _CAPACITY, _POWER = "summary.quickStats.overallCpuUsage", "runtime.maxCpuUsage", "runtime.powerState"


class Ending(enum.Enum):
    """The reason why the wait ended."""

    IDLE = "Windows was idle"
    BUSY = "Windows was still busy after the maximum time"
    OFF = "the VM was powered off"


@dataclass
class IdleWatch:
    """Decides from the observed properties when the wait ends; times are seconds since its creation.

    ``run``: the minimum time. ``limit``: the additional time to wait for an idle Windows. ``idle_for``: the time for which it is idle.
    """

    run: float
    limit: float
    idle_for: float
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _last_busy: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def passed(self) -> float:
        """Seconds since the wait began."""
        return self.clock() - self._started

    def ending(self, values: dict[str, Any]) -> Ending | None:
        """Return why the wait ends now, None if it continues. A VM whose usage is not reported counts as idle."""
        passed, usage, capacity = self.passed, values.get(_USAGE), values.get(_CAPACITY)
        if values.get(_POWER) == "poweredOff":
            return Ending.OFF
        if usage is not None and capacity and usage >= capacity * IDLE_SHARE:
            self._last_busy = passed
        if passed < self.run:
            return None
        if passed - self._last_busy >= self.idle_for:
            return Ending.IDLE
        return Ending.BUSY if passed >= self.run + self.limit else None


def leave_alone(session: Session, vm: Any, watch: IdleWatch, *, subject: str, progress: Progress) -> Ending:
    """Wait as ``watch`` says; ``progress`` receives seconds."""
    endings: list[Ending] = []

    def examine(values: dict[str, Any]) -> bool:
        progress("leave Windows alone", int(watch.passed), int(watch.run))
        ending = watch.ending(values)
        if ending is not None:
            endings.append(ending)
        return ending is not None

    wait_for(
        session,
        vm,
        [_POWER, _USAGE, _CAPACITY],
        examine,
        _NO_LIMIT,
        subject=subject,
        interval=min(5, max(1, watch.run)),
    )
    return endings[0]
