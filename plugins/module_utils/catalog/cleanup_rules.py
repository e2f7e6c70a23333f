# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules by which layer versions are deleted: which versions go, and why each other version stays."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from .layer_document import LayerDocument
from .layer_usage import UseHistory, User, VersionKey

#: Reasons for which a version stays: it is one of the newest; an object or another version needs it; it was created or used
#: recently; it was part of an image.
NEWEST, IN_USE, NEEDED, RECENT, WAS_USED = "newest", "in_use", "needed", "recent", "was_used"


@dataclass(frozen=True, kw_only=True)
class CleanupRules:
    """A version goes if every rule that is set allows it.

    ``keep_newest`` is the number of the newest deployable versions of each layer that stay, at least 1. A version must not have been
    created or used within ``unused_for_days`` days, and with ``never_used`` must never have been part of an image.
    """

    keep_newest: int = 1
    unused_for_days: int | None = None
    never_used: bool = False


@dataclass(frozen=True)
class Reason:
    """A reason for which a version stays, and the objects that it names."""

    reason: str
    objects: tuple[User, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object."""
        return {
            "reason": self.reason,
            "objects": [{"kind": user.kind, "name": user.name} for user in self.objects],
        }


@dataclass(frozen=True)
class Usage:
    """What uses layer versions now, what was built on them, and when they were used."""

    users: Mapping[VersionKey, Set[User]]
    dependents: Mapping[VersionKey, Set[VersionKey]]
    history: UseHistory


@dataclass
class CleanupDecision:
    """The versions that go, dependents first, and the reasons for which each other version stays."""

    removed: list[VersionKey] = field(default_factory=list)
    kept: dict[VersionKey, list[Reason]] = field(default_factory=dict)


def decide(
    layers: Iterable[LayerDocument], rules: CleanupRules, usage: Usage, now: datetime.datetime
) -> CleanupDecision:
    """Apply the rules to all versions of ``layers``."""
    decision = CleanupDecision()
    candidates: set[VersionKey] = set()
    for layer in layers:
        newest = _newest(layer, rules.keep_newest)
        for version in layer.sorted_versions():
            key = (layer.kind, layer.name, version)
            reasons = _reasons(layer, version, rules, usage, now)
            if version in newest:
                reasons.insert(0, Reason(NEWEST))
            if reasons:
                decision.kept[key] = reasons
            else:
                candidates.add(key)
    _keep_needed(candidates, usage.dependents, decision)
    decision.removed = _ordered(candidates, usage.dependents)
    return decision


def _newest(layer: LayerDocument, count: int) -> set[str]:
    """Return the newest versions: of the deployable versions, or of all if none is deployable."""
    versions = layer.deployable_versions() or layer.sorted_versions()
    return set(versions[-max(count, 1) :])


def _reasons(
    layer: LayerDocument, version: str, rules: CleanupRules, usage: Usage, now: datetime.datetime
) -> list[Reason]:
    key = (layer.kind, layer.name, version)
    reasons = []
    if users := usage.users.get(key):
        reasons.append(Reason(IN_USE, tuple(sorted(users))))
    if rules.unused_for_days is not None:
        used = max(layer.versions[version].created, usage.history.last.get(key, ""))
        if _days_since(used, now) < rules.unused_for_days:
            reasons.append(Reason(RECENT))
    if rules.never_used and key in usage.history.in_images:
        reasons.append(Reason(WAS_USED))
    return reasons


def _days_since(time: str, now: datetime.datetime) -> float:
    """Return the age of a time in days, 0 for a time that cannot be read."""
    try:
        moment = datetime.datetime.fromisoformat(time)
    except ValueError:
        return 0
    return (now - (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC))).total_seconds() / 86400


def _keep_needed(
    candidates: set[VersionKey], dependents: Mapping[VersionKey, Set[VersionKey]], decision: CleanupDecision
) -> None:
    """Keep every version on which a version that stays was built."""
    while True:
        needed = {key: dependents.get(key, set()) - candidates for key in candidates}
        needed = {key: by for key, by in needed.items() if by}
        if not needed:
            return
        for key, by in needed.items():
            objects = tuple(sorted(User(f"{kind}_layer", f"{name} {version}") for kind, name, version in by))
            decision.kept[key] = [Reason(NEEDED, objects)]
        candidates.difference_update(needed)


def _ordered(candidates: set[VersionKey], dependents: Mapping[VersionKey, Set[VersionKey]]) -> list[VersionKey]:
    """Return the versions so that each follows its dependents; versions that were built on each other are in order of names."""
    waiting, ordered = sorted(candidates), list[VersionKey]()
    while waiting:
        free = [key for key in waiting if not (set(dependents.get(key, ())) & set(waiting)) - {key}] or waiting[:1]
        ordered += free
        waiting = [key for key in waiting if key not in free]
    return ordered
