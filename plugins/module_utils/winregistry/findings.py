# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of a merge: how it was settled that several layers changed the same key or value."""

from __future__ import annotations

from dataclasses import dataclass

# The outcome for a key or value that several layers changed
MERGED = "merged"  # a list: all changes are in the result
SUMMED = "summed"  # a counter: all changes are in the result
OVERRULED = "overruled"  # set differently: the last layer wins
REMOVED = "removed"  # it is removed, although other layers set something
RESTORED = "restored"  # it exists, although another layer removed it
MANUAL = "manual"  # set differently: the last layer wins, but an administrator has to act; see the advice
DROPPED = "dropped"  # a rule discards the change of every layer

CONFLICTS = frozenset((OVERRULED, REMOVED, RESTORED, MANUAL))


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about a value of a key ("" is the default value), or about the key (``value`` None) or an ``attribute``.

    ``layers`` are the labels whose change is in the result, ``overruled`` the labels whose change is lost, both
    in the layers' order. ``advice`` says what to do, if an administrator has to act.
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
        """Return the finding as a JSON-compatible dictionary, without fields that are not set."""
        result: dict = {"hive": self.hive, "key": self.key, "outcome": self.outcome, "layers": list(self.layers)}
        for name in ("value", "attribute"):
            if getattr(self, name) is not None:
                result[name] = getattr(self, name)
        if self.overruled:
            result["overruled"] = list(self.overruled)
        if self.advice:
            result["advice"] = self.advice
        return result
