# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a push has to know about a pool or farm: its state, and its machines and sessions as far as the decision needs them."""

from __future__ import annotations

from collections.abc import Callable

from ..inventory.machines import MachineCounts, choose_canary, count_machines, is_halted, runs_image
from ..model import FORCE_LOGOFF, POOL, Machine, Operation, PendingState, SessionCounts, Target, is_same_state
from .decision import Action, DesiredState, Observation
from .push_results import PushGoal


class PushObserver:
    """Reads the pool or farm of ``goal``. The first observation uses the state in which the caller found it.

    ``target`` is the pool or farm as it was read last. ``in_session`` is the number of machines with a session when they were counted.
    """

    def __init__(self, goal: PushGoal, server_time: Callable[[], int]) -> None:
        self._goal, self._server_time = goal, server_time
        self.target = goal.target
        self.in_session = 0
        self._found = self._unconfirmed = True
        self._chosen: tuple[Machine, ...] | None = None

    def machine_ids(self, action: Action, observation: Observation) -> tuple[str, ...]:
        """Return the IDs of the machines that a request names: those that lack the image, or the canary."""
        if action is Action.APPLY:
            return observation.machines_without_image
        return tuple(machine.id for machine in self._chosen or ())

    def observe(self, *, find_halted: bool) -> Observation:
        """Read the pool, and what the decision needs about its machines and sessions.

        ``find_halted``: also find machines for which an earlier push of the current image stopped.
        """
        goal = self._goal
        target = goal.target if self._found else goal.api.read(goal.target.id)
        self._found, self._unconfirmed = False, self._found
        self.target = target
        halting, staged = find_halted and self._may_be_halted(target), self._is_policy_hidden(target)
        staging = goal.wish.state is DesiredState.STAGED and self._may_stage(target)
        machines = goal.api.machines(target) if halting or staged or staging else ()
        missing = self._choose(machines) if staging else ()
        connected = 0
        if goal.wish.max_sessions is not None and goal.wish.logoff_policy == FORCE_LOGOFF:
            connected = self._connected(target)
        halted = self._halted(machines) if halting else []
        concerned = halted + (self._staged(machines) if staged else [])
        return Observation(
            target=target,
            now=self._server_time(),
            same_datacenter=goal.same_datacenter,
            machines_without_image=missing,
            halted=bool(halted),
            forced=(staged and goal.staged_with_force)
            or any(machine.logoff_policy == FORCE_LOGOFF for machine in concerned),
            connected=connected,
        )

    def confirm(self) -> bool:
        """Return whether the pool is still as it was observed, if the observation was the state in which the caller found it.

        The caller finds the images of all pools before the first request: an administrator may have changed the pool since.
        """
        if not self._unconfirmed:
            return True
        self._unconfirmed = False
        return is_same_state(self._goal.api.read(self.target.id), self.target)

    @staticmethod
    def _may_stage(target: Target) -> bool:
        state = target.pending.state if target.pending else None
        return target.operation is Operation.NONE and state in (None, PendingState.FAILED, PendingState.READY_HELD)

    def _choose(self, machines: tuple[Machine, ...]) -> tuple[str, ...]:
        """Choose the machines of the canary; return the IDs of those that neither have the image nor are about to get it."""
        image = self._goal.wish.image
        if image is None:
            return ()
        self._chosen = choose_canary(machines, image, names=self._goal.machines, count=self._goal.canary)
        return tuple(
            machine.id for machine in self._chosen if not runs_image(machine, image) and machine.pending != image
        )

    def _may_be_halted(self, target: Target) -> bool:
        """Return whether a push of the current image of a pool may have stopped; Horizon does not resume those of a farm."""
        goal = self._goal
        found = target.current is not None and target.current == goal.wish.image and target.pending is None
        return found and goal.api.kind == POOL

    def _halted(self, machines: tuple[Machine, ...]) -> list[Machine]:
        """Return the machines of a pool for which the push of its current image stopped."""
        image = self._goal.wish.image
        return [] if image is None else [machine for machine in machines if is_halted(machine, image)]

    def _is_policy_hidden(self, target: Target) -> bool:
        """Return whether the logoff policy of a staged image matters: only its machines may show it.

        Horizon reports the settings of a push until the image is published.
        """
        wish, pending = self._goal.wish, target.pending
        return (
            wish.state is not DesiredState.CANCELED
            and wish.logoff_policy != FORCE_LOGOFF
            and pending is not None
            and pending.state is PendingState.READY_HELD
            and pending.image == wish.image
            and pending.settings.logoff_policy is None
        )

    def _staged(self, machines: tuple[Machine, ...]) -> list[Machine]:
        """Return the machines that have the image, or are about to get it."""
        image = self._goal.wish.image
        return [] if image is None else [machine for machine in machines if image in (machine.pending, machine.image)]

    def _connected(self, target: Target) -> int:
        """Return the number of sessions with a user, who may be logging on; of a canary, those on its machines.

        An RDS server has many sessions.
        """
        machine_ids = None if self._chosen is None else {machine.id for machine in self._chosen}
        found = self._goal.api.sessions(target, machine_ids)
        return found.connected + found.pending

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
