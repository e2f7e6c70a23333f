# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that are the same for desktop pools and RDS farms, apart from their paths."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ..model import Machine, MachineResult, SessionCounts, Target
from ..rest.client import HorizonClient
from .sessions import count_sessions
from .targets import find_targets, item_path, machine_results, require_success


class SharedRequests:
    """The part of ``TargetApi`` that pools and farms share.

    ``kind`` is "pool" or "farm"; ``_targets`` is the path of the list, ``_actions`` that of the requests.
    """

    kind: str
    _targets: str
    _actions: str

    def __init__(self, client: HorizonClient) -> None:
        self._client = client
        self._machine_names: dict[str, str] = {}

    def _read(self, value: Any) -> Target:
        """Return the pool or farm that an answer describes."""
        raise NotImplementedError

    def _members(self, target: Target) -> Iterable[Machine]:
        """Read the machines or RDS servers."""
        raise NotImplementedError

    def all(self) -> list[Target]:
        """Return all pools or farms that the user may see, by name."""
        return sorted(map(self._read, self._client.pages(self._targets)), key=lambda target: target.name)

    def find(self, names: Sequence[str]) -> list[Target]:
        """Return the pools or farms with exactly these names. Raises NotFound (horizon.no_such_target)."""
        return find_targets(self._client, self._targets, names, self._read, self.kind)

    def read(self, target_id: str) -> Target:
        """Return a pool or farm as it is now."""
        return self._read(self._client.get(item_path(self._targets, target_id)))

    def _send_push(self, path: str, body: dict[str, Any], target: Target) -> tuple[MachineResult, ...]:
        """Request a push. Raises Unavailable (horizon.machines_refused) if it was accepted, but not for all machines."""
        results = machine_results(self._client.post(path, body), f"the push to the {target.label}")
        return require_success(results, target, "push the image to", self._machine_names)

    def promote(self, target: Target) -> None:
        """Make the image that is held the current image."""
        self._client.post(item_path(self._actions, target.id, "action/promote-pending-image"))

    def apply(self, target: Target, machine_ids: Sequence[str]) -> tuple[MachineResult, ...]:
        """Apply the image that is held to machines. Raises Unavailable (horizon.machines_refused)."""
        path = item_path(self._actions, target.id, "action/apply-image")
        answer = self._client.post(path, list(dict.fromkeys(machine_ids)), pending_image="true")
        results = machine_results(answer, f"the machines of the {target.label}")
        return require_success(results, target, "apply the image to", self._machine_names)

    def machines(self, target: Target) -> tuple[Machine, ...]:
        """Return the machines of a pool or the RDS servers of a farm, by name."""
        found = tuple(self._members(target))
        self._machine_names.update((machine.id, machine.name) for machine in found)
        return found

    def sessions(self, target: Target, machine_ids: Collection[str] | None = None) -> SessionCounts:
        """Return the number of sessions of all machines, or of those with these IDs."""
        return count_sessions(self._client, target, machine_ids)
