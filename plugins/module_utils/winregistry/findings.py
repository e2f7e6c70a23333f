# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What merging deltas found: which layer stands where several had something to say, and where each change comes from."""

from __future__ import annotations

from dataclasses import dataclass

# How a matter that more than one layer touched was settled
MERGED = "merged"  # a list: all changes are in the result
SUMMED = "summed"  # a counter: likewise
OVERRULED = "overruled"  # set differently: the last layer wins
REMOVED = "removed"  # it goes, although other layers set something
RESTORED = "restored"  # it stays, although another layer removed it
MANUAL = "manual"  # set differently, and it is not enough that the last layer wins: see the advice
DROPPED = "dropped"  # not taken from any layer

CONFLICTS = frozenset((OVERRULED, REMOVED, RESTORED, MANUAL))


@dataclass(frozen=True, slots=True)
class Finding:
    """One matter: a value of a key ("" the default value), or the key itself (``value`` None) or one ``attribute`` of it.

    ``layers`` are the labels whose change stands, ``overruled`` those whose change is lost, both
    in the layers' order; ``advice`` says what to do where there is something to be done.
    """

    hive: str
    key: str
    value: str | None
    outcome: str
    layers: tuple[str, ...]
    overruled: tuple[str, ...] = ()
    attribute: str | None = None
    advice: str = ""

    @property
    def is_conflict(self) -> bool:
        """True when a layer's change is lost."""
        return self.outcome in CONFLICTS

    def as_dict(self) -> dict:
        """The finding as a JSON-compatible dictionary without what is not set."""
        result: dict = {"hive": self.hive, "key": self.key, "outcome": self.outcome, "layers": list(self.layers)}
        for name in ("value", "attribute"):
            if getattr(self, name) is not None:
                result[name] = getattr(self, name)
        if self.overruled:
            result["overruled"] = list(self.overruled)
        if self.advice:
            result["advice"] = self.advice
        return result
