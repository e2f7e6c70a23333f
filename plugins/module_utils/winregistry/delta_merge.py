# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge the deltas that several layers hold for one hive, in the layers' order.

The merge visits all layers together, key by key. The last layer that removes or replaces a key ends what earlier
layers changed in it. Changes to different values are combined. If several layers set the same value, the rules
decide whether the values are joined or the last layer wins. ``merge_decisions`` holds these decisions.

No hive is needed. If the hive that the result is for is known, changes that it underwent since the layers were
captured count as those of the lowest layer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import InternalError
from . import findings, upcase
from .delta import REMOVE, Delta, KeyDelta
from .delta_apply import Applied, apply_delta
from .delta_compute import flags_of
from .findings import CONFLICTS, Finding
from .hive_model import Hive, Key
from .key_patterns import PatternState
from .merge_decisions import (
    ABSENT,
    PRESENT,
    UNKNOWN,
    Absence,
    BaseKnowledge,
    Fate,
    Item,
    KeyChange,
    Lineage,
    ValueChange,
    decide_key,
    decide_value,
)
from .merge_rules import Rules, rule_at

#: The attributes of a key that a delta may set, with their names in findings.
_ATTRIBUTES = (("security", "security"), ("class_data", "class"), ("flags", "flags"))
_OUTCOMES = {Fate.REPLACED: findings.OVERRULED, Fate.REMOVED: findings.REMOVED, Fate.RESTORED: findings.RESTORED}


@dataclass
class Merged:
    """The result of a merge.

    ``delta`` has the effect of all layers' deltas, ``findings`` describe how disagreements were settled. ``applied``
    is set if the delta was applied to a hive.
    """

    delta: Delta
    findings: list[Finding] = field(default_factory=list)
    applied: Applied | None = None
    _origins: dict[tuple[str, str | None], tuple[str, ...]] = field(default_factory=dict)
    _absences: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def conflicts(self) -> list[Finding]:
        """The findings in which a layer's change is lost."""
        return [finding for finding in self.findings if finding.is_conflict]

    def origin(self, key: str, value: str | None = None) -> tuple[str, ...]:
        """Return the labels of the layers that the key at ``key``, or its ``value``, owes its state to.

        The result is empty if no layer changed it. The content of a removed or replaced key owes its absence to the
        layers that removed or replaced the key.
        """
        fold = self.delta.upcase.fold
        names = [fold(name) for name in key.split("\\") if name]
        path = "\\".join(names)
        if value is not None and (path, fold(value)) in self._origins:
            return self._origins[path, fold(value)]
        if value is None and (path, None) in self._origins:
            return self._origins[path, None]
        for depth in range(len(names), 0, -1):
            above = "\\".join(names[:depth])
            if above in self._absences:
                return self._absences[above]
        return ()

    def record_origin(self, key: str, value: str | None, labels: Sequence[str]) -> None:
        """Record the layers that a key or a value owes its state to."""
        fold = self.delta.upcase.fold
        self._origins[fold(key), None if value is None else fold(value)] = tuple(dict.fromkeys(labels))

    def record_absence(self, key: str, labels: tuple[str, ...]) -> None:
        """Record the layers that removed what the base has in a key."""
        self._absences[self.delta.upcase.fold(key)] = labels


def combine_deltas(
    layers: Sequence[tuple[str, Delta]],
    rules: Rules,
    *,
    base: Hive | None = None,
    base_label: str = "base",
    seen: Mapping[str, Collection[str]] | None = None,
) -> Merged:
    """Merge ``layers`` (label and delta, the lowest first) into one delta.

    With ``base``, the hive that the result will be applied to, content that differs from what a layer was captured
    on counts as changed by ``base_label``. Without it, all layers are assumed to be captured on the same hive.
    ``seen`` holds by label the layers that a layer was built on: changing their settings is not a conflict.

    Raises:
        InternalError: the deltas are of different hives, or two labels are equal.
    """
    labels = [label for label, _delta in layers]
    if len({*labels, base_label}) != len(labels) + 1:
        raise InternalError(
            f"The labels of the merged layers are not distinct: {', '.join([base_label, *labels])}.",
            code="winregistry.labels",
        )
    hives = {delta.hive.upper() for _label, delta in layers}
    if len(hives) > 1:
        raise InternalError(
            f"Deltas of different registry hives cannot be merged: {', '.join(sorted(hives))}.",
            code="winregistry.hives",
        )
    return _Merger(layers, rules, base, Lineage(base_label, seen or {})).merge()


def merge_deltas(
    base: Hive,
    layers: Sequence[tuple[str, Delta]],
    rules: Rules,
    *,
    base_label: str = "base",
    seen: Mapping[str, Collection[str]] | None = None,
) -> Merged:
    """Merge ``layers`` as combine_deltas does and apply the result to ``base``, which becomes the result hive.

    Raises:
        InternalError: the deltas are of different hives, or two labels are equal.
    """
    merged = combine_deltas(layers, rules, base=base, base_label=base_label, seen=seen)
    merged.applied = apply_delta(base, merged.delta)
    return merged


@dataclass(slots=True)
class _Visit:
    """A key to merge: its path, the layers' changes, the merged delta of its parent, and what is known of the key.

    ``absence`` is the state of the key above, ``state`` that of the rules' patterns.
    """

    path: str
    folded: str
    changes: Sequence[KeyChange]
    parent: KeyDelta
    base: BaseKnowledge[Key]
    absence: Absence
    state: PatternState


def _knowledge(known: Mapping[str, Item], folded: str) -> BaseKnowledge[Item]:
    item = known.get(folded)
    return ABSENT if item is None else BaseKnowledge(True, item)


class _Merger:
    """Walks the keys that the layers name, parents first, and writes the decisions into the merged delta."""

    def __init__(self, layers: Sequence[tuple[str, Delta]], rules: Rules, base: Hive | None, lineage: Lineage) -> None:
        self.layers = layers
        self.base: BaseKnowledge[Key] = UNKNOWN if base is None else BaseKnowledge(True, base.root)
        self.lineage = lineage
        self.order = {label: number for number, (label, _delta) in enumerate(layers)}
        self.hive = layers[0][1].hive if layers else ""
        self.tree = rules.tree(self.hive)
        self.merged = Merged(Delta(self.hive, table=layers[0][1].upcase if layers else upcase.WINDOWS))
        self.stack: list[_Visit] = []

    def merge(self) -> Merged:
        root = self.merged.delta.root
        changes = [(label, delta.root) for label, delta in self.layers]
        state: PatternState = self.tree.start if self.tree else ()
        self.fill(_Visit("", "", changes, root, self.base, PRESENT, state), root, changes, self.base, PRESENT)
        while self.stack:
            self.visit_key(self.stack.pop())
        self.merged.delta.prune()
        self.merged.findings.sort(
            key=lambda finding: (
                finding.key.upper(),
                finding.key,
                finding.value is not None,
                (finding.value or "").upper(),
                finding.attribute or "",
            )
        )
        return self.merged

    # Keys

    def visit_key(self, visit: _Visit) -> None:
        """Decide about a key, write the decision, and fill the key if it exists."""
        decision = decide_key(visit.changes, visit.base, visit.absence, self.lineage.base_label)
        if decision.fate is not Fate.KEPT:
            self.report(visit.path, None, _OUTCOMES[decision.fate], decision.winners, decision.losers)
        if decision.ended_by:
            self.merged.record_absence(visit.path, decision.ended_by)
            if decision.fate is Fate.REMOVED:
                self.merged.record_origin(visit.path, None, decision.ended_by)
        if decision.action is None:
            return
        if decision.action == REMOVE:
            visit.parent.subkeys[visit.folded] = KeyDelta(visit.changes[0][1].name, REMOVE)
            return
        node = KeyDelta(decision.live[-1][1].name, decision.action)
        visit.parent.subkeys[visit.folded] = node
        base = ABSENT if node.is_fresh and visit.base.is_known else visit.base
        self.fill(visit, node, decision.live, base, decision.absence)

    def fill(
        self,
        visit: _Visit,
        node: KeyDelta,
        live: Sequence[KeyChange],
        base: BaseKnowledge[Key],
        absence: Absence,
    ) -> None:
        """Merge the attributes and values of the changes ``live`` into ``node``, and put its subkeys on the stack."""
        self.merge_attributes(visit.path, node, live, base)
        touching = [
            label
            for label, change in live
            if node.is_fresh
            or change.is_fresh
            or change.changes_attributes
            or change.last_written is not None
            or change.values
        ]
        if touching:
            self.merged.record_origin(visit.path, None, touching)
        values: dict[str, list[ValueChange]] = {}
        subkeys: dict[str, list[KeyChange]] = {}
        for label, change in live:
            for folded, value in change.values.items():
                values.setdefault(folded, []).append((label, value))
            for folded, child in change.subkeys.items():
                subkeys.setdefault(folded, []).append((label, child))
        if values:
            self.merge_values(visit, node, values, base, absence)
        known = base.item.subkeys.by_folded_name() if base.item is not None and subkeys else {}
        for folded, changes in subkeys.items():
            name = changes[0][1].name
            self.stack.append(
                _Visit(
                    f"{visit.path}\\{name}" if visit.path else name,
                    folded,
                    changes,
                    node,
                    _knowledge(known, folded) if base.is_known else UNKNOWN,
                    absence,
                    self.tree.advance(visit.state, folded) if self.tree and visit.state else (),
                )
            )

    def merge_attributes(self, path: str, node: KeyDelta, live: Sequence[KeyChange], base: BaseKnowledge[Key]) -> None:
        """Set the attributes of ``node``: the last layer's, the latest time of last writing, the last new spelling."""
        fresh = [change for _label, change in live if change.is_fresh]
        renamed = [change for _label, change in live if change.renamed]
        if renamed:
            node.name = renamed[-1].name
            node.renamed = not node.is_fresh
        elif fresh:
            node.name = fresh[0].name
        for attribute, shown in _ATTRIBUTES:
            changes: list[tuple[str, Any]] = [
                (label, getattr(change, attribute)) for label, change in live if getattr(change, attribute) is not None
            ]
            if base.item is not None and changes and fresh:
                present = flags_of(base.item) if attribute == "flags" else getattr(base.item, attribute)
                changes.insert(0, (self.lineage.base_label, present))
            if changes:
                final = changes[-1][1]
                setattr(node, attribute, final)
                winners = [label for label, setting in changes if setting == final]
                losers = [label for label, setting in changes if setting != final]
                self.report(path, None, findings.OVERRULED, winners, losers, attribute=shown)
        times = [change.last_written for _label, change in live if change.last_written is not None]
        node.last_written = max(times, default=None)
        node.order = next((change.order for _label, change in reversed(live) if change.order), None)

    # Values

    def merge_values(
        self,
        visit: _Visit,
        node: KeyDelta,
        values: Mapping[str, Sequence[ValueChange]],
        base: BaseKnowledge[Key],
        absence: Absence,
    ) -> None:
        """Decide about the values of a key and write the decisions into ``node``."""
        known = base.item.values.by_folded_name() if base.item is not None else {}
        for folded, changes in values.items():
            rule = rule_at(self.tree, visit.state, folded)
            present = _knowledge(known, folded) if base.is_known else UNKNOWN
            decision = decide_value(changes, rule, present, absence, self.lineage)
            name = decision.name
            if decision.dropped:
                advice = rule.advice if rule is not None else ""
                self.report(visit.path, name, findings.DROPPED, (), decision.dropped, advice=advice)
            if decision.outcome is not None:
                self.report(
                    visit.path, name, decision.outcome, decision.winners, decision.losers, advice=decision.advice
                )
            value = decision.value
            if value is None:
                continue
            self.merged.record_origin(visit.path, name, decision.origins)
            if value.data is not None or not node.is_fresh:
                node.values[folded] = value

    # Findings

    def report(
        self,
        key: str,
        value: str | None,
        outcome: str,
        winners: Sequence[str],
        losers: Sequence[str],
        *,
        attribute: str | None = None,
        advice: str = "",
    ) -> None:
        """Add a finding, unless it is a conflict in which the winners knew all overruled changes."""
        if losers:
            losers = [label for label in losers if not any(self.lineage.knew(winner, label) for winner in winners)]
        if outcome in CONFLICTS and not losers:
            return
        self.merged.findings.append(
            Finding(self.hive, key, value, outcome, self.ordered(winners), self.ordered(losers), attribute, advice)
        )

    def ordered(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the labels without duplicates in the layers' order; the base comes first."""
        return tuple(sorted(dict.fromkeys(labels), key=lambda label: self.order.get(label, -1)))
