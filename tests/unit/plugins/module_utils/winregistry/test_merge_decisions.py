# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta import (
    CREATE,
    KEEP,
    REMOVE,
    REPLACE,
    Before,
    KeyDelta,
    ValueDelta,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_items import Value
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Key
from ansible_collections.strata.layering.plugins.module_utils.winregistry.merge_decisions import (
    ABSENT,
    PRESENT,
    UNKNOWN,
    Absence,
    BaseKnowledge,
    Fate,
    Lineage,
    decide_key,
    decide_value,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.merge_rules import (
    COUNTER,
    DROPPED,
    MANUAL,
    MULTI_STRING,
    SEPARATED,
    VERSION,
    Rule,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    REG_DWORD,
    REG_MULTI_SZ,
    REG_SZ,
    encode_multi_string,
    encode_string,
)
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword

EXISTS = BaseKnowledge(True, Key("k"))
REMOVED_ABOVE = Absence("x")
REPORTED_ABOVE = Absence("x", is_reported=True)


def key(action: int = KEEP, data: bytes | None = None) -> KeyDelta:
    """A change of a key; ``data`` is what it sets the value v to."""
    node = KeyDelta("k", action)
    if data is not None:
        node.values["V"] = ValueDelta("v", REG_SZ, data)
    return node


def no_change() -> KeyDelta:
    """A change that removes the value v."""
    node = KeyDelta("k")
    node.values["V"] = ValueDelta("v", 0, None)
    return node


def keys(*changes: KeyDelta) -> list[tuple[str, KeyDelta]]:
    return list(zip("abc", changes))


# changes, base, state of the key above; fate, action, labels that count, winners, losers, ended by
KEY_CASES = {
    "changed, base unknown": (keys(key(data=b"1")), UNKNOWN, PRESENT, Fate.KEPT, KEEP, "a", "", "", ""),
    "changed, base exists": (keys(key(data=b"1")), EXISTS, PRESENT, Fate.KEPT, KEEP, "a", "", "", ""),
    "changed by two layers": (keys(key(), key(data=b"1")), EXISTS, PRESENT, Fate.KEPT, KEEP, "ab", "", "", ""),
    "created, base unknown": (keys(key(CREATE)), UNKNOWN, PRESENT, Fate.KEPT, CREATE, "a", "", "", ""),
    "created, base absent": (keys(key(CREATE)), ABSENT, PRESENT, Fate.KEPT, CREATE, "a", "", "", ""),
    "created, base exists": (keys(key(CREATE)), EXISTS, PRESENT, Fate.KEPT, KEEP, "a", "", "", ""),
    "changed, then created, base unknown": (
        keys(key(), key(CREATE)), UNKNOWN, PRESENT, Fate.KEPT, KEEP, "ab", "", "", "",
    ),
    "changed, then created, base absent": (
        keys(key(), key(CREATE)), ABSENT, PRESENT, Fate.KEPT, CREATE, "ab", "", "", "",
    ),
    "created below a removed key": (
        keys(key(CREATE)), EXISTS, REMOVED_ABOVE, Fate.KEPT, CREATE, "a", "", "", "",
    ),
    "removed, base unknown": (keys(key(REMOVE)), UNKNOWN, PRESENT, Fate.REMOVED, REMOVE, "", "a", "", "a"),
    "removed, base exists": (keys(key(REMOVE)), EXISTS, PRESENT, Fate.REMOVED, REMOVE, "", "a", "", "a"),
    "removed, base absent": (keys(key(REMOVE)), ABSENT, PRESENT, Fate.REMOVED, None, "", "a", "", "a"),
    "removed below a removed key": (
        keys(key(REMOVE)), EXISTS, REMOVED_ABOVE, Fate.REMOVED, None, "", "a", "", "",
    ),
    "changed, then removed": (
        keys(key(data=b"1"), key(REMOVE)), EXISTS, PRESENT, Fate.REMOVED, REMOVE, "", "b", "a", "b",
    ),
    "removed twice": (
        keys(key(REMOVE), key(REMOVE)), EXISTS, PRESENT, Fate.REMOVED, REMOVE, "", "ab", "", "ab",
    ),
    "removed, then a value removed": (
        keys(key(REMOVE), no_change()), EXISTS, PRESENT, Fate.REMOVED, REMOVE, "", "a", "", "a",
    ),
    "removed, then changed": (
        keys(key(REMOVE), key(data=b"1")), EXISTS, PRESENT, Fate.RESTORED, REPLACE, "b", "b", "a", "a",
    ),
    "removed, then changed, below a removed key": (
        keys(key(REMOVE), key(data=b"1")), EXISTS, REMOVED_ABOVE, Fate.RESTORED, CREATE, "b", "b", "a", "",
    ),
    "changed, removed, changed": (
        keys(key(data=b"1"), key(REMOVE), key(data=b"2")), EXISTS, PRESENT, Fate.RESTORED, REPLACE, "c", "c", "ab", "b",
    ),
    "removed, changed, a value removed": (
        keys(key(REMOVE), key(data=b"1"), no_change()), EXISTS, PRESENT, Fate.RESTORED, REPLACE, "bc", "b", "a", "a",
    ),
    "replaced": (keys(key(REPLACE)), EXISTS, PRESENT, Fate.REPLACED, REPLACE, "a", "a", "", "a"),
    "replaced, base absent": (keys(key(REPLACE)), ABSENT, PRESENT, Fate.REPLACED, REPLACE, "a", "a", "", "a"),
    "replaced below a removed key": (
        keys(key(REPLACE)), EXISTS, REMOVED_ABOVE, Fate.REPLACED, CREATE, "a", "a", "", "",
    ),
    "changed, then replaced": (
        keys(key(data=b"1"), key(REPLACE)), EXISTS, PRESENT, Fate.REPLACED, REPLACE, "b", "b", "a", "b",
    ),
    "created with the content that replaces it": (
        keys(key(CREATE, b"1"), key(REPLACE, b"1")), EXISTS, PRESENT, Fate.REPLACED, REPLACE, "b", "b", "", "b",
    ),
    "created with other content than replaces it": (
        keys(key(CREATE, b"1"), key(REPLACE, b"2")), EXISTS, PRESENT, Fate.REPLACED, REPLACE, "b", "b", "a", "b",
    ),
    "replaced, then changed": (
        keys(key(REPLACE), key(data=b"1")), EXISTS, PRESENT, Fate.REPLACED, REPLACE, "ab", "ab", "", "a",
    ),
    "set, base absent": (keys(key(data=b"1")), ABSENT, PRESENT, Fate.RESTORED, CREATE, "a", "a", ["base"], ""),
    "a value removed, base absent": (
        keys(no_change()), ABSENT, PRESENT, Fate.REMOVED, None, "", ["base"], "", "",
    ),
    "set below a removed key": (
        keys(key(data=b"1")), EXISTS, REMOVED_ABOVE, Fate.RESTORED, CREATE, "a", "a", "x", "",
    ),
    "set below a removed key that is reported": (
        keys(key(data=b"1")), EXISTS, REPORTED_ABOVE, Fate.RESTORED, CREATE, "a", "a", "", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KEY_CASES.values(), ids=KEY_CASES.keys())
def test_decide_key_changes_of_layers_give_the_decision(case):
    changes, base, absence, fate, action, live, winners, losers, ended_by = case
    decision = decide_key(changes, base, absence)
    assert decision.fate is fate
    assert decision.action == action
    assert [label for label, _node in decision.live] == list(live)
    assert list(decision.winners) == list(winners)
    assert list(decision.losers) == list(losers)
    assert list(decision.ended_by) == list(ended_by)


@pytest.mark.parametrize(
    "changes, base, above, below",
    [
        (keys(key()), EXISTS, PRESENT, PRESENT),
        (keys(key(CREATE)), EXISTS, REMOVED_ABOVE, REMOVED_ABOVE),
        (keys(key(REPLACE)), EXISTS, PRESENT, Absence("a")),
        (keys(key(REMOVE), key(data=b"1")), EXISTS, PRESENT, Absence("a", is_reported=True)),
        (keys(key(data=b"1")), ABSENT, PRESENT, Absence("base", is_reported=True)),
    ],
    ids=["changed", "created", "replaced", "restored", "absent"],
)
def test_decide_key_passes_the_absence_of_the_base_to_its_subkeys(changes, base, above, below):
    assert decide_key(changes, base, above).absence == below


def test_decide_key_restored_keeps_only_removals_of_layers_that_set_nothing():
    follower = no_change()
    follower.security = b"sd"
    decision = decide_key(keys(key(REMOVE), key(data=b"1"), follower), EXISTS, PRESENT)
    node = decision.live[1][1]
    assert list(node.values) == ["V"]
    assert node.security is None


def text(content: str | None, before: str | None = "old") -> ValueDelta:
    """A change of a text, from ``before`` to ``content``; None means that there is no value."""
    data = None if content is None else encode_string(content)
    return ValueDelta("v", 0 if data is None else REG_SZ, data, known(before))


def known(content: str | None) -> Before | None:
    return Before.of(stored(content).item)


def stored(content: str | None) -> BaseKnowledge[Value]:
    return BaseKnowledge(True, None if content is None else Value("v", REG_SZ, encode_string(content)))


def rule(kind: str, separator: str = "") -> Rule:
    return Rule(kind, separator, "advice", lambda _name: True)


LIST = rule(SEPARATED, ";")
# changes, rule, base, absence; text of the result (None: removed), outcome, winners, losers
VALUE_CASES = {
    "one layer": ([text("new")], None, UNKNOWN, PRESENT, "new", "restored", "a", ""),
    "one layer, base as the layer knew it": ([text("new")], None, stored("old"), PRESENT, "new", "restored", "a", ""),
    "the last layer wins": ([text("1"), text("2")], None, UNKNOWN, PRESENT, "2", "overruled", "b", "a"),
    "equal changes": ([text("1"), text("1")], None, UNKNOWN, PRESENT, "1", "restored", "ab", ""),
    "removed last": ([text("1"), text(None)], None, UNKNOWN, PRESENT, None, "removed", "b", "a"),
    "removed first": ([text(None), text("1")], None, UNKNOWN, PRESENT, "1", "restored", "b", "a"),
    "the last layer found the first layer's value": (
        [text("1"), text("2", "1")], None, UNKNOWN, PRESENT, "2", "restored", "b", "",
    ),
    "base changed": ([text("new")], None, stored("other"), PRESENT, "new", "overruled", "a", ["base"]),
    "base removed": ([text("new")], None, stored(None), PRESENT, "new", "restored", "a", ["base"]),
    "base changed to the same text": ([text("new")], None, stored("new"), PRESENT, "new", "restored", "a", ""),
    "key removed by another layer": (
        [text("new")], None, stored("old"), REMOVED_ABOVE, "new", "restored", "a", "x",
    ),
    "key removed, reported already": (
        [text("new")], None, stored("old"), REPORTED_ABOVE, "new", "restored", "a", "",
    ),
    "list": ([text("1;old"), text("old;2")], LIST, UNKNOWN, PRESENT, "1;old;2", "merged", "ab", ""),
    "list, base changed": ([text("old;2")], LIST, stored("old;3"), PRESENT, "old;3;2", "merged", ["base", "a"], ""),
    "list, one layer": ([text("old;2")], LIST, stored("old"), PRESENT, "old;2", "restored", "a", ""),
    "list that a layer removed": ([text("1;old"), text(None)], LIST, UNKNOWN, PRESENT, None, "removed", "b", "a"),
    "version": ([text("9.10", "9.0"), text("9.9", "9.0")], rule(VERSION), UNKNOWN, PRESENT, "9.10", "merged", "ab", ""),
    "version of a newer base": (
        [text("9.1", "9.0")], rule(VERSION), stored("9.2"), PRESENT, "9.2", "merged", ["base", "a"], "",
    ),
    "manual": ([text("1"), text("2")], rule(MANUAL), UNKNOWN, PRESENT, "2", "manual", "b", "a"),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUE_CASES.values(), ids=VALUE_CASES.keys())
def test_decide_value_changes_of_layers_give_the_decision(case):
    changes, applied_rule, base, absence, content, outcome, winners, losers = case
    decision = decide_value(list(zip("abc", changes)), applied_rule, base, absence, Lineage())
    assert decision.value.data == (None if content is None else encode_string(content))
    assert decision.outcome == outcome
    assert list(decision.winners) == list(winners)
    assert list(decision.losers) == list(losers)
    assert decision.advice == ("advice" if outcome == "manual" else "")


def test_decide_value_layer_built_on_another_does_not_overrule_it():
    changes = [("a", text("1")), ("b", text("2"))]
    decision = decide_value(changes, None, UNKNOWN, PRESENT, Lineage("base", {"b": ["a"]}))
    assert list(decision.losers) == []


def test_decide_value_dropped_keeps_only_removals():
    changes = [("a", text("1")), ("b", text(None))]
    decision = decide_value(changes, rule(DROPPED), UNKNOWN, PRESENT, Lineage())
    assert decision.value.data is None
    assert list(decision.dropped) == ["a"]
    decision = decide_value(changes[:1], rule(DROPPED), UNKNOWN, PRESENT, Lineage())
    assert decision.value is None
    assert decision.outcome is None
    assert list(decision.dropped) == ["a"]


def test_decide_value_counter_adds_equal_changes():
    change = ValueDelta("v", REG_DWORD, encode_dword(3), Before(REG_DWORD, 4, encode_dword(2), None))
    decision = decide_value([("a", change), ("b", change)], rule(COUNTER), UNKNOWN, PRESENT, Lineage())
    assert decision.value.data == encode_dword(4)
    assert decision.outcome == "summed"
    assert list(decision.origins) == ["a", "b"]


def test_decide_value_multi_string_equal_changes_are_not_joined():
    change = ValueDelta("v", REG_MULTI_SZ, encode_multi_string(["p", "p"]), None)
    decision = decide_value([("a", change), ("b", change)], rule(MULTI_STRING), UNKNOWN, PRESENT, Lineage())
    assert decision.value.data == change.data
    assert decision.outcome == "restored"


def test_decide_value_new_spelling_applies_to_the_last_layers_data():
    respelled = ValueDelta("V", REG_SZ, encode_string("old"), known("old"), renamed=True)
    decision = decide_value([("a", text("new")), ("b", respelled)], None, UNKNOWN, PRESENT, Lineage())
    assert decision.value.name == "V"
    assert decision.value.renamed
    assert decision.value.data == encode_string("new")
    assert list(decision.losers) == []
