# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge the deltas that several layers hold for one hive, in the layers' order.

All layers are looked at together, key by key: what the last one removed or replaced ends what
came before it, what the others set lives side by side, and where several set the same thing the
rules say whether it is joined or the last one wins. No hive is needed for that; with the hive
that the result is for, changes that it has undergone since the layers were made count as those
of the lowest layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..common.errors import InvalidInput
from . import upcase
from .delta import (
    CREATE,
    KEEP,
    REMOVE,
    REPLACE,
    Before,
    Delta,
    KeyDelta,
    ValueDelta,
    changes_something,
    sets_something,
)
from .delta_apply import Applied, apply_delta
from .delta_compute import flags_of
from .findings import CONFLICTS, MERGED, OVERRULED, REMOVED, RESTORED, SUMMED, Finding
from .findings import DROPPED as FOUND_DROPPED
from .findings import MANUAL as FOUND_MANUAL
from .hive_model import Hive, Key
from .key_patterns import State
from .merge_rules import COUNTER, DROPPED, MANUAL, MULTI_STRING, SEPARATED, Rule, Rules, rule_at
from .three_way import merge_value

_UNKNOWN = object()
_ATTRIBUTES = (("security", "security"), ("class_data", "class"), ("flags", "flags"))


@dataclass
class Merged:
    """The result: one ``delta`` that does what all did, what was found on the way, and where every change comes from.

    ``applied`` is set where the delta was applied to a hive.
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
        """Labels of the layers that the key at ``key``, or its ``value``, owes its state to; empty where no layer changed it.

        What was in a key that was removed or replaced owes its absence to the layers that did that.
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


def combine_deltas(
    layers: Sequence[tuple[str, Delta]],
    rules: Rules,
    *,
    base: Hive | None = None,
    base_label: str = "base",
    seen: Mapping[str, Collection[str]] | None = None,
) -> Merged:
    """Merge ``layers`` (label and delta, the lowest first) into one delta.

    With ``base``, the hive that the result will be applied to, what it holds differently from
    what a layer found counts as changed by ``base_label``; without it, layers are taken to
    have been made from the same hive. ``seen`` gives the labels of the layers that a layer was made on top
    of: what it changes of theirs is no conflict. Raises InvalidInput for deltas of different hives or a label given twice.
    """
    labels = [label for label, _delta in layers]
    if len({*labels, base_label}) != len(labels) + 1:
        raise InvalidInput(
            f"The layers {', '.join(labels)} cannot be told apart by their labels.", code="winregistry.labels"
        )
    hives = {delta.hive.upper() for _label, delta in layers}
    if len(hives) > 1:
        raise InvalidInput(
            f"The changes of the registry hives {', '.join(sorted(hives))} cannot be merged into one.",
            code="winregistry.hives",
        )
    return _Merger(layers, rules, base, base_label, seen or {}).merge()


def merge_deltas(
    base: Hive,
    layers: Sequence[tuple[str, Delta]],
    rules: Rules,
    *,
    base_label: str = "base",
    seen: Mapping[str, Collection[str]] | None = None,
) -> Merged:
    """Merge ``layers`` as combine_deltas does and apply the result to ``base``, which becomes the result hive."""
    merged = combine_deltas(layers, rules, base=base, base_label=base_label, seen=seen)
    merged.applied = apply_delta(base, merged.delta)
    return merged


@dataclass(slots=True)
class _Place:
    """Where the merger is: the path, what the layers say about the key there, and what is known of it.

    ``gone_by`` is the layer that removed what was in the key above, so that nothing of the base is here;
    ``reported`` says that a finding tells so already.
    """

    path: str
    folded: str
    entries: list[tuple[str, KeyDelta]]
    parent: KeyDelta
    base: object
    gone_by: str | None
    reported: bool
    state: State


class _Merger:
    def __init__(
        self,
        layers: Sequence[tuple[str, Delta]],
        rules: Rules,
        base: Hive | None,
        base_label: str,
        seen: Mapping[str, Collection[str]],
    ) -> None:
        self.layers = layers
        self.base = base
        self.base_label = base_label
        self.seen = seen
        self.order = {label: number for number, (label, _delta) in enumerate(layers)}
        self.hive = layers[0][1].hive if layers else ""
        self.tree = rules.tree(self.hive)
        self.merged = Merged(Delta(self.hive, table=layers[0][1].upcase if layers else upcase.WINDOWS))
        self.stack: list[_Place] = []

    def merge(self) -> Merged:
        root = self.merged.delta.root
        entries = [(label, delta.root) for label, delta in self.layers]
        place = _Place(
            "",
            "",
            entries,
            root,
            self.base.root if self.base else _UNKNOWN,
            None,
            False,
            self.tree.start if self.tree else (),
        )
        self.fill(place, root, entries, place.base)
        while self.stack:
            self.key(self.stack.pop())
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

    def key(self, place: _Place) -> None:
        """Decide whether the key exists in the result, and fill it."""
        entries = place.entries
        exists = place.gone_by is None and (
            place.base is not None if place.base is not _UNKNOWN else entries[0][1].action != CREATE
        )
        last = max(
            (index for index, (_label, node) in enumerate(entries) if node.action in (REMOVE, REPLACE)), default=None
        )
        was_gone = place.gone_by is not None
        if last is not None and entries[last][1].action == REPLACE:
            live = entries[last:]
            lost = [(label, node) for label, node in entries[:last] if changes_something(node)]
            if lost:
                stands = _content(live[0][1])
                lost = [(label, node) for label, node in lost if not node.is_fresh or _content(node) != stands]
            self.find(place.path, None, OVERRULED, _labels(live), _labels(lost))
            place.gone_by, place.reported = entries[last][0], False
        elif last is not None:
            setting = [entry for entry in entries[last + 1 :] if sets_something(entry[1])]
            lost = _labels(
                entries[:last] + [entry for entry in entries[last + 1 :] if entry not in setting], changes_something
            )
            if not setting:
                self.removed(place, exists, [label for label, node in entries if node.action == REMOVE], lost)
                return
            self.find(place.path, None, RESTORED, _labels(setting), [*lost, entries[last][0]])
            live = _brought_back(entries[last + 1 :], setting)
            place.gone_by, place.reported = entries[last][0], True
        else:
            live = entries
            absent_by = place.gone_by or (self.base_label if place.base is None else None)
            if absent_by and not any(node.is_fresh for _label, node in entries):
                # All that is here was made for a key that is not.
                setting = [entry for entry in entries if sets_something(entry[1])]
                lost = _labels([entry for entry in entries if entry not in setting], changes_something)
                if not setting:
                    self.find(place.path, None, REMOVED, (absent_by,), [] if place.reported else lost)
                    return
                self.find(place.path, None, RESTORED, _labels(setting), [] if place.reported else [*lost, absent_by])
                live = _brought_back(entries, setting)
                place.gone_by, place.reported = absent_by, True
        made = KeyDelta(live[-1][1].name)
        if place.gone_by is not None and not was_gone and (exists or last is not None):
            made.action = REPLACE
            self.merged._absences[self.folded(place.path)] = (place.gone_by,)
        elif not exists and (place.gone_by is not None or any(node.is_fresh for _label, node in live)):
            made.action = CREATE
        place.parent.subkeys[place.folded] = made
        self.fill(place, made, live, None if made.is_fresh and place.base is not _UNKNOWN else place.base)

    def removed(self, place: _Place, exists: bool, removers: list[str], lost: list[str]) -> None:
        if place.gone_by is None:
            if exists or place.base is _UNKNOWN:
                place.parent.subkeys[place.folded] = KeyDelta(place.entries[0][1].name, REMOVE)
            self.note(place.path, None, removers)
            self.merged._absences[self.folded(place.path)] = tuple(removers)
        self.find(place.path, None, REMOVED, removers, lost)

    def fill(self, place: _Place, made: KeyDelta, live: list[tuple[str, KeyDelta]], base: object) -> None:
        """Merge attributes and values of the layers ``live`` into ``made``, and put its subkeys on the stack."""
        self.attributes(place.path, made, live, base)
        touching = [
            label
            for label, node in live
            if made.is_fresh or node.is_fresh or node.changes_attributes or node.last_written is not None or node.values
        ]
        if touching:
            self.note(place.path, None, touching)
        wants: dict[str, list[tuple[str, ValueDelta]]] = {}
        below: dict[str, list[tuple[str, KeyDelta]]] = {}
        for label, node in live:
            for folded, value in node.values.items():
                wants.setdefault(folded, []).append((label, value))
            for folded, child in node.subkeys.items():
                below.setdefault(folded, []).append((label, child))
        known = base.values.by_folded_name() if isinstance(base, Key) and wants else {}
        for folded, changes in wants.items():
            was = _UNKNOWN if base is _UNKNOWN else known.get(folded)
            value = self.value(place, rule_at(self.tree, place.state, folded), changes, was)
            if value is not None and (value.data is not None or not made.is_fresh):
                made.values[folded] = value
        keys = base.subkeys.by_folded_name() if isinstance(base, Key) and below else {}
        for folded, entries in below.items():
            name = entries[0][1].name
            self.stack.append(
                _Place(
                    f"{place.path}\\{name}" if place.path else name,
                    folded,
                    entries,
                    made,
                    _UNKNOWN if base is _UNKNOWN else keys.get(folded),
                    place.gone_by,
                    place.reported,
                    self.tree.advance(place.state, folded) if place.state else (),
                )
            )

    def attributes(self, path: str, made: KeyDelta, live: list[tuple[str, KeyDelta]], base: object) -> None:
        fresh = [node for _label, node in live if node.is_fresh]
        renamed = [node for _label, node in live if node.renamed]
        if renamed or fresh:
            made.name = (renamed or fresh)[-1 if renamed else 0].name
            made.renamed = bool(renamed) and made.action == KEEP
        for attribute, shown in _ATTRIBUTES:
            wants = [(label, getattr(node, attribute)) for label, node in live if getattr(node, attribute) is not None]
            if isinstance(base, Key) and wants and fresh:
                present = flags_of(base) if attribute == "flags" else getattr(base, attribute)
                wants.insert(0, (self.base_label, present))
            if wants:
                final = wants[-1][1]
                setattr(made, attribute, final)
                self.find(
                    path,
                    None,
                    OVERRULED,
                    [label for label, want in wants if want == final],
                    [label for label, want in wants if want != final],
                    attribute=shown,
                )
        times = [node.last_written for _label, node in live if node.last_written is not None]
        made.last_written = max(times, default=None)
        made.order = next((node.order for _label, node in reversed(live) if node.order), None)

    # Values

    def value(
        self, place: _Place, rule: Rule | None, wants: list[tuple[str, ValueDelta]], was: object
    ) -> ValueDelta | None:
        """Settle what becomes of one value; None where nothing does."""
        path = place.path
        name = next((want.name for _label, want in reversed(wants) if want.renamed), wants[0][1].name)
        if rule is not None and rule.kind == DROPPED:
            dropped = [label for label, want in wants if want.data is not None]
            wants = [(label, want) for label, want in wants if want.data is None]
            if dropped:
                self.find(path, name, FOUND_DROPPED, (), dropped, advice=rule.advice)
            if not wants:
                return None
        renamed = any(want.renamed for _label, want in wants)
        wants = [(label, want) for label, want in wants if not want.only_renames] or wants
        current = wants[0][1].before if was is _UNKNOWN else Before.of(was)
        moved = False
        if place.gone_by is not None:
            current = None
            if not place.reported:
                wants = _with_removal(wants, place.gone_by)
        elif was is not _UNKNOWN:
            moved = any(
                want.before != current and not self.known_to(wants[:number], label, want)
                for number, (label, want) in enumerate(wants)
            )
        final = wants[-1][1]
        moved = moved and not _is(current, final)
        known = {
            label for number, (later, want) in enumerate(wants) for label in self.known_to(wants[:number], later, want)
        }
        apart = [(label, want) for label, want in wants if label not in known]
        if (
            rule is not None
            and rule.kind in (SEPARATED, MULTI_STRING, COUNTER)
            and (
                moved
                or len(apart) > 1
                and (rule.kind == COUNTER or not all(want.same_effect(final) for _label, want in apart))
            )
        ):
            joined = self.joined(path, name, rule, wants, current, moved)
            if joined is not None:
                return joined
        losers = [(label, want.data is None) for label, want in apart if not want.same_effect(final)]
        if moved:
            losers.insert(0, (self.base_label, current is None))
        winners = [label for label, want in wants if want.same_effect(final)]
        if final.data is None:
            outcome = REMOVED
        else:
            outcome = RESTORED if all(removed for _label, removed in losers) else OVERRULED
        manual = rule is not None and rule.kind == MANUAL
        self.find(
            path,
            name,
            FOUND_MANUAL if manual else outcome,
            winners,
            [label for label, _removed in losers],
            advice=rule.advice if manual else "",
        )
        self.note(path, name, winners)
        return ValueDelta(
            name, final.type, final.data, current, wide=final.wide, renamed=final.data is not None and renamed
        )

    def known_to(self, earlier: list[tuple[str, ValueDelta]], label: str, want: ValueDelta) -> list[str]:
        """Labels of the ``earlier`` layers that the layer ``label`` was made on top of, or whose value is what it found."""
        return [
            other
            for other, change in earlier
            if other in self.seen.get(label, ()) or want.before != change.before and _is(want.before, change)
        ]

    def joined(
        self, path: str, name: str, rule: Rule, wants: list[tuple[str, ValueDelta]], current: Before | None, moved: bool
    ) -> ValueDelta | None:
        """The value with the changes of all layers in it, or None where they cannot be joined."""
        if current is not None and current.data is None:
            return None
        content = None if current is None else (current.type, current.data)
        for _label, want in wants:
            possible, content = merge_value(rule, want.before, content, want)
            if not possible:
                return None
        layers = ([self.base_label] if moved else []) + [label for label, _want in wants]
        self.find(path, name, SUMMED if rule.kind == COUNTER else MERGED, layers, ())
        self.note(path, name, [label for label, _want in wants])
        last = next((want for _label, want in reversed(wants) if want.data is not None), wants[-1][1])
        kind, data = content or (0, None)
        return ValueDelta(
            name, kind, data, current, wide=last.wide and data is not None, renamed=data is not None and last.renamed
        )

    # What is reported

    def find(
        self,
        key: str,
        value: str | None,
        outcome: str,
        layers: Collection[str],
        overruled: Collection[str],
        *,
        attribute: str | None = None,
        advice: str = "",
    ) -> None:
        """Report a matter, unless it is a conflict in which nothing is lost that the winners had not seen."""
        overruled = [label for label in overruled if not any(label in self.seen.get(winner, ()) for winner in layers)]
        if outcome in CONFLICTS and not overruled:
            return
        ordered = (
            tuple(sorted(dict.fromkeys(labels), key=lambda label: self.order.get(label, -1)))
            for labels in (layers, overruled)
        )
        self.merged.findings.append(Finding(self.hive, key, value, outcome, *ordered, attribute, advice))

    def note(self, key: str, value: str | None, labels: list[str]) -> None:
        self.merged._origins[self.folded(key), None if value is None else self.folded(value)] = tuple(
            dict.fromkeys(labels)
        )

    def folded(self, name: str) -> str:
        return self.merged.delta.upcase.fold(name)


def _labels(entries: list[tuple[str, KeyDelta]], condition: Callable[[KeyDelta], bool] | None = None) -> list[str]:
    return [label for label, node in entries if condition is None or condition(node)]


def _content(node: KeyDelta) -> list:
    """What a key that is made anew holds, with all below it."""
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


def _brought_back(
    entries: list[tuple[str, KeyDelta]], setting: list[tuple[str, KeyDelta]]
) -> list[tuple[str, KeyDelta]]:
    """``setting``, the entries that make a key which is not there, and of those of ``entries`` that follow what they take of it again."""
    later = itertools.dropwhile(lambda entry: entry not in setting, entries)
    return [entry if entry in setting else (entry[0], _removals(entry[1])) for entry in later]


def _removals(node: KeyDelta) -> KeyDelta:
    bare = KeyDelta(node.name)
    bare.values = {folded: value for folded, value in node.values.items() if value.is_removal}
    bare.subkeys = node.subkeys
    return bare


def _with_removal(wants: list[tuple[str, ValueDelta]], gone_by: str) -> list[tuple[str, ValueDelta]]:
    """Add that ``gone_by`` removed the value with its key, where another layer changed what was there."""
    if any(label == gone_by for label, _want in wants) or not any(
        want.before is not None and want.data is not None for _label, want in wants
    ):
        return wants
    return [(gone_by, ValueDelta(wants[0][1].name, 0, None)), *wants]


def _is(current: Before | None, value: ValueDelta) -> bool:
    """True when ``current`` is what ``value`` leaves."""
    if current is None or value.data is None:
        return current is None and value.data is None
    return current.is_same(value.type, value.data)
