# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what a merge leaves of one key and of one value.

The functions are pure: they read the changes of the layers and return a decision. ``delta_merge`` walks the keys,
writes the decisions into the merged delta and reports them. A change is a pair of the layer's label and its delta;
sequences of changes have the lowest layer first and are never empty.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from . import findings
from .delta import CREATE, KEEP, REMOVE, REPLACE, Before, KeyDelta, ValueDelta, changes_something, sets_something
from .hive_items import Value
from .merge_rules import COUNTER, DROPPED, MANUAL, MULTI_STRING, SEPARATED, VERSION, Rule
from .three_way import merge_value

Item = TypeVar("Item")
KeyChange = tuple[str, KeyDelta]
ValueChange = tuple[str, ValueDelta]

_JOINED = frozenset((SEPARATED, MULTI_STRING, COUNTER, VERSION))


class BaseKnowledge(NamedTuple, Generic[Item]):
    """The known state of a key or value of the base hive. A known ``item`` of None does not exist there."""

    is_known: bool
    item: Item | None

    @property
    def is_absent(self) -> bool:
        """True when the base is known and does not have the item."""
        return self.is_known and self.item is None


#: The merge has no base hive.
UNKNOWN: BaseKnowledge[Any] = BaseKnowledge(False, None)
#: The base hive does not have the item, or nothing of it is left.
ABSENT: BaseKnowledge[Any] = BaseKnowledge(True, None)


class Absence(NamedTuple):
    """Why nothing of the base is left in a key: the label that removed it, and whether a finding reports that already.

    The default means that the content of the base is still there.
    """

    by: str | None = None
    is_reported: bool = False


PRESENT = Absence()


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which layers knew of which: the label of the base, and by label the layers that a layer was built on."""

    base_label: str = "base"
    built_on: Mapping[str, Collection[str]] = field(default_factory=dict)

    def knew(self, label: str, earlier: str) -> bool:
        """Return whether the layer ``label`` was built on the layer ``earlier``."""
        return earlier in self.built_on.get(label, ())


# Keys


class Fate(enum.Enum):
    """The actions for a key."""

    KEPT = "kept"  # the changes of all layers count; they may create the key
    REPLACED = "replaced"  # a layer replaced it: the changes of earlier layers are lost
    REMOVED = "removed"  # a layer removed it, or it does not exist
    RESTORED = "restored"  # it was removed, and later changes create it again


class KeyDecision(NamedTuple):
    """The decision about one key.

    ``action`` is that of the merged delta; None leaves the key out of it. The changes in ``live`` count for
    attributes, values and subkeys, and ``absence`` applies to them. ``winners`` and ``losers`` are labels for the
    finding. ``ended_by`` are the layers that removed what the base has in the key.
    """

    fate: Fate
    action: int | None
    live: Sequence[KeyChange]
    absence: Absence
    winners: Sequence[str] = ()
    losers: Sequence[str] = ()
    ended_by: tuple[str, ...] = ()


def decide_key(
    changes: Sequence[KeyChange], base: BaseKnowledge, absence: Absence, base_label: str = "base"
) -> KeyDecision:
    """Decide whether a key exists in the result, and whose changes count there.

    1. The last layer that removes or replaces the key ends the changes of all earlier layers.
    2. After a replacement, the changes of that layer and of later layers count.
    3. After a removal, the key exists only if a later layer sets something in it.
    4. Without a removal, all changes count. If neither the base nor a layer creates the key, the changes were made
       to a key that does not exist, and rule 3 applies to all of them.

    ``absence`` is the state of the key above. Without a base, the lowest layer's change shows whether the key existed.
    """
    for last in range(len(changes) - 1, -1, -1):
        action = changes[last][1].action
        if action == REPLACE:
            return _replaced(changes, last, absence)
        if action == REMOVE:
            return _removed(changes, last, base, absence)
    absent_by = absence.by or (base_label if base.is_absent else None)
    if absent_by is not None and not any(node.is_fresh for _label, node in changes):
        return _without_key(changes, absent_by, absence)
    is_new = absent_by is not None or (not base.is_known and changes[0][1].action == CREATE)
    return KeyDecision(Fate.KEPT, CREATE if is_new else KEEP, changes, absence)


def _replaced(changes: Sequence[KeyChange], last: int, absence: Absence) -> KeyDecision:
    live = changes[last:]
    label, node = live[0]
    lost = [change for change in changes[:last] if changes_something(change[1])]
    if lost:
        content = _content(node)
        lost = [(other, change) for other, change in lost if not change.is_fresh or _content(change) != content]
    return _fresh(Fate.REPLACED, live, absence, Absence(label), _labels(live), _labels(lost))


def _removed(changes: Sequence[KeyChange], last: int, base: BaseKnowledge, absence: Absence) -> KeyDecision:
    later = changes[last + 1 :]
    setting = [change for change in later if sets_something(change[1])]
    ended = [*changes[:last], *(change for change in later if change not in setting)]
    lost = _labels(ended, changes_something)
    if setting:
        remover = changes[last][0]
        live = _brought_back(later, setting)
        return _fresh(
            Fate.RESTORED, live, absence, Absence(remover, is_reported=True), _labels(setting), [*lost, remover]
        )
    removers = [label for label, node in changes if node.action == REMOVE]
    if absence.by is not None:
        return KeyDecision(Fate.REMOVED, None, (), absence, removers, lost)
    return KeyDecision(Fate.REMOVED, None if base.is_absent else REMOVE, (), absence, removers, lost, tuple(removers))


def _without_key(changes: Sequence[KeyChange], absent_by: str, absence: Absence) -> KeyDecision:
    setting = [change for change in changes if sets_something(change[1])]
    lost = _labels([change for change in changes if change not in setting], changes_something)
    if not setting:
        losers = [] if absence.is_reported else lost
        return KeyDecision(Fate.REMOVED, None, (), absence, (absent_by,), losers)
    losers = [] if absence.is_reported else [*lost, absent_by]
    live = _brought_back(changes, setting)
    return KeyDecision(Fate.RESTORED, CREATE, live, Absence(absent_by, is_reported=True), _labels(setting), losers)


def _fresh(
    fate: Fate, live: Sequence[KeyChange], above: Absence, absence: Absence, winners: list[str], losers: list[str]
) -> KeyDecision:
    """Return the decision about a key that exists with nothing of its former content, which ``absence.by`` removed."""
    if above.by is None and absence.by is not None:
        return KeyDecision(fate, REPLACE, live, absence, winners, losers, (absence.by,))
    return KeyDecision(fate, CREATE, live, absence, winners, losers)


def _labels(changes: Sequence[KeyChange], condition: Callable[[KeyDelta], bool] | None = None) -> list[str]:
    return [label for label, node in changes if condition is None or condition(node)]


def _content(node: KeyDelta) -> list[tuple]:
    """Return what a new key contains, with everything below it."""
    return [
        (
            path,
            key.action == REMOVE,
            key.security,
            key.class_data,
            key.flags,
            {folded: (value.type, value.data) for folded, value in key.values.items()},
        )
        for path, key in node.walk()
    ]


def _brought_back(changes: Sequence[KeyChange], setting: Sequence[KeyChange]) -> list[KeyChange]:
    """Return the changes that create a missing key again: ``setting``, and the removals that follow them in ``changes``."""
    later = itertools.dropwhile(lambda change: change not in setting, changes)
    return [change if change in setting else (change[0], _removals(change[1])) for change in later]


def _removals(node: KeyDelta) -> KeyDelta:
    bare = KeyDelta(node.name)
    bare.values = {folded: value for folded, value in node.values.items() if value.is_removal}
    bare.subkeys = node.subkeys
    return bare


# Values


class ValueDecision(NamedTuple):
    """The decision about one value.

    ``name`` is the value's name for findings. ``value`` goes into the merged delta; None leaves the value out of it.
    ``outcome``, ``winners``, ``losers`` and ``advice`` are for the finding. ``dropped`` are the layers whose change a
    rule discards. ``origins`` are the layers that the value owes its state to.
    """

    name: str
    value: ValueDelta | None
    outcome: str | None = None
    winners: Sequence[str] = ()
    losers: Sequence[str] = ()
    advice: str = ""
    dropped: Sequence[str] = ()
    origins: Sequence[str] = ()


class _Effective(NamedTuple):
    """The value before the first change, the changes to make, and whether the base differs from what the layers knew."""

    before: Before | None
    changes: Sequence[ValueChange]
    base_changed: bool


def decide_value(
    changes: Sequence[ValueChange],
    rule: Rule | None,
    base: BaseKnowledge[Value],
    absence: Absence,
    lineage: Lineage,
) -> ValueDecision:
    """Decide what several changes leave of one value, in four steps.

    1. Filter: a rule of the kind ``dropped`` discards all changes that set the value.
    2. Effective base: find the value before the first change, and whether the base counts as a change of its own.
    3. Join: if a rule joins the value and layers changed it independently, apply all their changes.
    4. Choose: otherwise the last layer wins.
    """
    if len(changes) == 1:
        name, renamed = changes[0][1].name, changes[0][1].renamed
    else:
        name = next((change.name for _label, change in reversed(changes) if change.renamed), changes[0][1].name)
        renamed = any(change.renamed for _label, change in changes)
    dropped: Sequence[str] = ()
    if rule is not None and rule.kind == DROPPED:
        dropped = [label for label, change in changes if change.data is not None]
        changes = [(label, change) for label, change in changes if change.data is None]
        if not changes:
            return ValueDecision(name, None, dropped=dropped)
    effective = _effective(changes, base, absence, lineage)
    independent = _independent(effective.changes, lineage)
    if rule is not None and rule.kind in _JOINED and _needs_join(rule, effective, independent):
        joined = _joined(name, rule, effective, lineage.base_label)
        if joined is not None:
            return joined
    final = effective.changes[-1][1]
    value = ValueDelta(
        name, final.type, final.data, effective.before, wide=final.wide, renamed=renamed and final.data is not None
    )
    return _chosen(value, effective, independent, rule, lineage.base_label, dropped)


def _effective(
    changes: Sequence[ValueChange], base: BaseKnowledge[Value], absence: Absence, lineage: Lineage
) -> _Effective:
    """Return the effective base of the value. A change of the name's spelling only does not count if others do."""
    if len(changes) > 1:
        changes = [(label, change) for label, change in changes if not change.only_renames] or changes
    if absence.by is not None:
        return _Effective(None, changes if absence.is_reported else _with_removal(changes, absence.by), False)
    if not base.is_known:
        return _Effective(changes[0][1].before, changes, False)
    before = Before.of(base.item)
    changed = any(
        change.before != before and not _known_to(changes[:number], label, change, lineage)
        for number, (label, change) in enumerate(changes)
    )
    return _Effective(before, changes, changed and not _equals(before, changes[-1][1]))


def _with_removal(changes: Sequence[ValueChange], remover: str) -> Sequence[ValueChange]:
    """Add that ``remover`` removed the value with its key, if another layer changed the value that was there."""
    if any(label == remover for label, _change in changes) or not any(
        change.before is not None and change.data is not None for _label, change in changes
    ):
        return changes
    return [(remover, ValueDelta(changes[0][1].name, 0, None)), *changes]


def _known_to(earlier: Sequence[ValueChange], label: str, change: ValueDelta, lineage: Lineage) -> list[str]:
    """Return the ``earlier`` layers that the layer ``label`` was built on, or whose value is what it changed."""
    if not earlier:
        return []
    built_on, before = lineage.built_on.get(label, ()), change.before
    return [
        other for other, theirs in earlier if other in built_on or (before != theirs.before and _equals(before, theirs))
    ]


def _independent(changes: Sequence[ValueChange], lineage: Lineage) -> Sequence[ValueChange]:
    """Return the changes that no later layer knew."""
    if len(changes) == 1:
        return changes
    known = {
        label
        for number, (later, change) in enumerate(changes)
        for label in _known_to(changes[:number], later, change, lineage)
    }
    return [(label, change) for label, change in changes if label not in known]


def _needs_join(rule: Rule, effective: _Effective, independent: Sequence[ValueChange]) -> bool:
    if effective.base_changed:
        return True
    if len(independent) < 2:
        return False
    final = effective.changes[-1][1]
    return rule.kind == COUNTER or not all(change.same_effect(final) for _label, change in independent)


def _joined(name: str, rule: Rule, effective: _Effective, base_label: str) -> ValueDecision | None:
    """Return the value with the changes of all layers in it; None if they cannot be joined."""
    before, changes = effective.before, effective.changes
    content: tuple[int, bytes] | None = None
    if before is not None:
        if before.data is None:
            return None
        content = before.type, before.data
    for _label, change in changes:
        is_possible, content = merge_value(rule, change.before, content, change)
        if not is_possible:
            return None
    labels = [label for label, _change in changes]
    last = next((change for _label, change in reversed(changes) if change.data is not None), changes[-1][1])
    kind, data = content or (0, None)
    exists = data is not None
    return ValueDecision(
        name,
        ValueDelta(name, kind, data, before, wide=last.wide and exists, renamed=last.renamed and exists),
        findings.SUMMED if rule.kind == COUNTER else findings.MERGED,
        [base_label, *labels] if effective.base_changed else labels,
        origins=labels,
    )


def _chosen(
    value: ValueDelta,
    effective: _Effective,
    independent: Sequence[ValueChange],
    rule: Rule | None,
    base_label: str,
    dropped: Sequence[str],
) -> ValueDecision:
    """Return the decision for ``value``, the last layer's: the independent layers with another effect lose."""
    losers = [(label, change.data is None) for label, change in independent if not change.same_effect(value)]
    if effective.base_changed:
        losers.insert(0, (base_label, effective.before is None))
    winners = [label for label, change in effective.changes if change.same_effect(value)]
    advice = ""
    if rule is not None and rule.kind == MANUAL:
        outcome, advice = findings.MANUAL, rule.advice
    elif value.data is None:
        outcome = findings.REMOVED
    else:
        outcome = findings.RESTORED if all(removes for _label, removes in losers) else findings.OVERRULED
    return ValueDecision(
        value.name, value, outcome, winners, [label for label, _removes in losers], advice, dropped, winners
    )


def _equals(before: Before | None, change: ValueDelta) -> bool:
    """Return whether ``before`` is what ``change`` leaves."""
    if before is None or change.data is None:
        return before is None and change.data is None
    return before.is_same(change.type, change.data)
