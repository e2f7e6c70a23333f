# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs of images that desktop pools and farms of Horizon use, or used until a short time ago: they must not be removed.

vSphere does not show what Horizon uses, except for linked clones. The engine of publishing does not know Horizon: an
implementation of ``HorizonUse`` asks the Connection Servers.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

#: Horizon deletes the internal VMs of an image up to 30 minutes after the image was replaced.
WAIT_AFTER_USE = datetime.timedelta(minutes=30)
#: Pools and farms that a message lists.
_LISTED = 5
_ROLES = {"current": "it is the current image", "pending": "it is the pending image"}


@dataclass(frozen=True, order=True)
class HorizonUser:
    """A pool or farm that uses a VM.

    ``server`` is the host name of its Connection Server, ``kind`` is "pool" or "farm". ``role`` is "current" or "pending" for its image,
    "machines" if its machines use the VM; ``machines`` is their number. ``certain`` is false if the managed object ID of the VM is
    equal, but the pod reports no image in this vCenter. ``named`` is false if Horizon does not report which image the pool or farm has.
    """

    server: str
    kind: str
    name: str
    role: str
    machines: int = 0
    certain: bool = True
    named: bool = True

    @property
    def clause(self) -> str:
        """The use in a sentence."""
        owner = f"the {self.kind} {self.name} ({self.server})"
        if not self.certain:
            owner += ", which reports a different instance UUID of its vCenter"
        if not self.named:
            return f"it may be the {self.role} image of {owner}, which Horizon does not name"
        if self.role in _ROLES:
            return f"{_ROLES[self.role]} of {owner}"
        return f"{self.machines} {'machine uses' if self.machines == 1 else 'machines use'} it in {owner}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object for the details of an error."""
        return {
            "connection_server": self.server,
            "kind": self.kind,
            "name": self.name,
            "role": self.role,
            "machines": self.machines,
        }


class HorizonUse(Protocol):
    """Finds out which pools and farms use VMs."""

    def users(self, vcenter: str, moids: Collection[str]) -> Mapping[str, tuple[HorizonUser, ...]]:
        """Return who uses the VMs ``moids`` of the vCenter with the instance UUID ``vcenter``, by managed object ID, as of now.

        Raises:
            StrataError: a Connection Server did not answer as expected, so that the use of the VMs is not known.
        """


@dataclass(frozen=True)
class Need:
    """Why a VM is kept for Horizon, as a clause, and the pools and farms that use it."""

    reason: str
    users: tuple[HorizonUser, ...] = ()


def needs(
    horizon: HorizonUse | None, vcenter: str, last_uses: Mapping[str, str | None], moment: datetime.datetime
) -> dict[str, Need]:
    """Return the VMs that Horizon needs at ``moment``, by managed object ID.

    ``last_uses`` has the recorded end of the last use (RFC 3339) of each VM in question, None if there is none. Without ``horizon``,
    only these times count.

    Raises:
        StrataError: as ``HorizonUse.users``.
    """
    users = horizon.users(vcenter, last_uses.keys()) if horizon is not None and last_uses else {}
    found: dict[str, Need] = {}
    for moid, last_used in last_uses.items():
        if users.get(moid):
            found[moid] = Need(_users_clause(users[moid]), users[moid])
        elif last_used is not None and moment < datetime.datetime.fromisoformat(last_used) + WAIT_AFTER_USE:
            minutes = WAIT_AFTER_USE.total_seconds() / 60
            found[moid] = Need(
                f"Horizon used it until {last_used}, and needs up to {minutes:g} minutes to remove its internal VMs"
            )
    return found


def _users_clause(users: tuple[HorizonUser, ...]) -> str:
    clauses = [user.clause for user in users[:_LISTED]]
    if len(users) > _LISTED:
        clauses.append(f"{len(users) - _LISTED} more pools and farms need it")
    return ", and ".join(filter(None, (", ".join(clauses[:-1]), clauses[-1])))
