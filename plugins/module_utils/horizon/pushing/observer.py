# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a push has to know about a pool or farm: its state, and its machines and sessions as far as the decision needs them."""

from __future__ import annotations

from collections.abc import Callable

from ..inventory.machines import MachineCounts, choose_canary, count_machines, is_halted, runs_image
from ..model import FORCE_LOGOFF, POOL, Machine, Operation, PendingState, SessionCounts, Target
from .decision import DesiredState, Observation
from .push_results import PushGoal


class PushObserver:
    """Reads the pool or farm of ``goal``. The first observation uses the state in which the caller found it.

    ``target`` is the pool or farm as it was read last. ``in_session`` is the number of machines with a session when they were counted.
    """

    def __init__(self, goal: PushGoal, server_time: Callable[[], int]) -> None:
        self._goal, self._server_time = goal, server_time
        self.target = goal.target
        self.in_session = 0
        self._fresh = True
        self._chosen: tuple[Machine, ...] | None = None

    @property
    def chosen_ids(self) -> tuple[str, ...]:
        """The IDs of the machines of the canary."""
        return tuple(machine.id for machine in self._chosen or ())

    def observe(self, *, find_halted: bool) -> Observation:
        """Read the pool, and what the decision needs about its machines and sessions.

        ``find_halted``: also find machines for which an earlier push of the current image stopped.
        """
        goal = self._goal
        target = goal.target if self._fresh else goal.api.read(goal.target.id)
        self._fresh = False
        self.target = target
        missing: tuple[str, ...] = ()
        if goal.wish.state is DesiredState.STAGED and self._may_stage(target):
            missing = self._choose(target)
        connected = 0
        if goal.wish.max_sessions is not None and goal.wish.logoff_policy == FORCE_LOGOFF:
            connected = self._connected(target)
        halted = self._halted(target) if find_halted else []
        return Observation(
            target=target,
            now=self._server_time(),
            same_datacenter=goal.same_datacenter,
            machines_without_image=missing,
            halted=bool(halted),
            forced=any(machine.logoff_policy == FORCE_LOGOFF for machine in halted),
            connected=connected,
        )

    @staticmethod
    def _may_stage(target: Target) -> bool:
        state = target.pending.state if target.pending else None
        return target.operation is Operation.NONE and state in (None, PendingState.FAILED, PendingState.READY_HELD)

    def _choose(self, target: Target) -> tuple[str, ...]:
        """Choose the machines of the canary; return the IDs of those that neither have the image nor are about to get it."""
        image = self._goal.wish.image
        if image is None:
            return ()
        machines = self._goal.api.machines(target)
        self._chosen = choose_canary(machines, image, names=self._goal.machines, count=self._goal.canary)
        return tuple(
            machine.id for machine in self._chosen if not runs_image(machine, image) and machine.pending != image
        )

    def _halted(self, target: Target) -> list[Machine]:
        """Return the machines of a pool for which the push of its current image stopped."""
        goal = self._goal
        image = goal.wish.image
        if goal.api.kind != POOL or image is None or target.current != image or target.pending is not None:
            return []
        return [machine for machine in goal.api.machines(target) if is_halted(machine, image)]

    def _connected(self, target: Target) -> int:
        """Return the number of connected sessions; of a canary, those on its machines. An RDS server has many sessions."""
        if self._chosen is not None:
            machine_ids = {machine.id for machine in self._chosen}
            return self._goal.api.sessions(target, machine_ids).connected
        return self._goal.api.sessions(target).connected

    def sessions(self) -> SessionCounts:
        """Count the sessions of the pool or farm."""
        return self._goal.api.sessions(self.target)

    def count(self) -> MachineCounts | None:
        """Count the machines with the image; of a staged image, those that it is applied to."""
        image = self._goal.wish.image
        target = self.target
        if image is None or target.current is None:
            return None
        machines = self._goal.api.machines(target)
        self.in_session = sum(machine.in_session for machine in machines)
        if self._chosen is not None and target.current != image:
            chosen = {machine.id for machine in self._chosen}
            machines = tuple(machine for machine in machines if machine.id in chosen)
        return count_machines(machines, image)
