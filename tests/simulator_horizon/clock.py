# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock of the simulator, and what happens at which time.

Times are in milliseconds since 1970, as in Horizon's API.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable


class Clock:
    """A clock that moves when a test advances it, and by itself with a speed greater than 0.

    Speed 60 lets a minute pass in each second of real time.
    """

    def __init__(self, speed: float = 0.0) -> None:
        self._base = int(time.time() * 1000)
        self._started = time.monotonic()
        self._speed = speed

    @property
    def speed(self) -> float:
        """Simulated seconds in a real second."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._base, self._started = self.read(), time.monotonic()
        self._speed = speed

    def read(self) -> int:
        """Return the time of the clock."""
        return self._base + int((time.monotonic() - self._started) * 1000 * self._speed)

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._base += int(seconds * 1000)


class Timeline:
    """Actions at times of the clock. They run in their order, when the clock is read the next time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        #: The time of the action that runs, or of the request that is answered.
        self.now = clock.read()
        self._actions: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run an action a number of seconds from now. Without a delay it runs before the next request is answered."""
        self.at(self.now + int(seconds * 1000), action)

    def at(self, moment: int, action: Callable[[], None]) -> None:
        """Run an action at a time; a time in the past is now."""
        heapq.heappush(self._actions, (max(moment, self.now), next(self._numbers), action))

    def run(self) -> None:
        """Run the actions that are due, each at its own time."""
        end = max(self.clock.read(), self.now)
        while self._actions and self._actions[0][0] <= end:
            self.now, _number, action = heapq.heappop(self._actions)
            action()
        self.now = end

    def clear(self) -> None:
        """Forget all actions."""
        self._actions.clear()
