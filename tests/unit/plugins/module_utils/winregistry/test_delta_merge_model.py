# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare merges with a model that knows nothing of deltas: it applies the layers' final trees one after the other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_apply import apply_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta, flags_of
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_merge import (
    combine_deltas,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.merge_rules import compile_rules
from ansible_collections.strata.layering.plugins.module_utils.winregistry.upcase import WINDOWS

from .delta_helpers import changed, content, few_names, trees

NO_RULES = compile_rules(builtin=())


def copy(hive: Hive) -> Hive:
    return Hive(hive.root.copy(), base_block=bytes(hive.base_block))


def snapshot(hive: Hive) -> dict:
    """Return attributes and values, by folded path and folded name."""
    return {
        WINDOWS.fold(path): (
            {"security": key.security, "class": key.class_data, "flags": flags_of(key)},
            {WINDOWS.fold(value.name): (value.type, value.data) for value in key.values.values()},
        )
        for path, key in hive.root.walk()
    }


def parent(path: str) -> str:
    return path.rpartition("\\")[0]


def lies_in(path: str, key: str) -> bool:
    return not key or path == key or path.startswith(key + "\\")


def removed_keys(base: dict, after: dict) -> list:
    return [path for path in base if path not in after and parent(path) in after]


def value_changes(base: dict, after: dict) -> dict:
    result = {}
    for path, (_attributes, values) in after.items():
        old = base.get(path, (None, {}))[1]
        result.update({(path, name): values.get(name) for name in {*old, *values} if old.get(name) != values.get(name)})
    return result


def attribute_changes(base: dict, after: dict) -> dict:
    return {
        (path, name): attribute
        for path, (attributes, _values) in after.items()
        for name, attribute in attributes.items()
        if path not in base or base[path][0][name] != attribute
    }


def pair_conflicts(base: dict, lower: dict, upper: dict) -> set:
    """Return the values, attributes and keys that two layers set differently."""
    result = set()
    for changes in (value_changes, attribute_changes):
        first, second = changes(base, lower), changes(base, upper)
        result |= {
            (path, name if changes is value_changes else None, name if changes is attribute_changes else None)
            for path, name in first.keys() & second.keys()
            if first[path, name] != second[path, name]
        }
    for remover, other in ((lower, upper), (upper, lower)):
        changed_paths = {path for path, _name in attribute_changes(base, other)} | {
            path for (path, _name), want in value_changes(base, other).items() if want is not None
        }
        result |= {
            (key, None, None)
            for key in removed_keys(base, remover)
            if key in other and any(lies_in(path, key) for path in changed_paths)
        }
    return result


def outside(conflicts: set) -> set:
    """Return the conflicts that are not within a key with a conflict."""
    keys = [path for path, value, attribute in conflicts if value is None and attribute is None]
    return {item for item in conflicts if not any(lies_in(item[0], key) and item != (key, None, None) for key in keys)}


def applied_in_turn(base: dict, layers: list) -> dict:
    """Return the values by path after programs have made the changes of the layers in turn."""
    state = {path: dict(values) for path, (_attributes, values) in base.items()}
    for after in layers:
        for key in removed_keys(base, after):
            state = {path: values for path, values in state.items() if not lies_in(path, key)}
        created = [path for path in after if path not in base]
        changes = value_changes(base, after)
        created += [path for (path, _name), want in changes.items() if want is not None]
        for path in created:
            while path not in state:
                state[path] = {}
                path = parent(path)
        for (path, name), want in changes.items():
            if want is not None:
                state[path][name] = want
            elif path in state:
                state[path].pop(name, None)
    return state


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_merge_result_and_conflicts_equal_the_model(data):
    base = data.draw(trees(name=few_names, most=10))
    hives = [data.draw(changed(base, name=few_names, most=6)) for _layer in range(data.draw(st.integers(2, 3)))]
    layers = [(str(number), compute_delta(base, hive, name="SOFTWARE")) for number, hive in enumerate(hives)]
    start, states = snapshot(base), [snapshot(hive) for hive in hives]
    planned = combine_deltas(layers, NO_RULES)
    known = combine_deltas(layers, NO_RULES, base=base)
    assert planned.findings == known.findings
    result = copy(base)
    apply_delta(result, planned.delta)
    apply_delta(base, known.delta)
    assert content(result.root, times=True) == content(base.root, times=True)
    assert {path: values for path, (_attributes, values) in snapshot(result).items()} == applied_in_turn(start, states)
    expected = set()
    for number, state in enumerate(states):
        for other in states[:number]:
            expected |= pair_conflicts(start, state, other)
    reported = {
        (WINDOWS.fold(finding.key), None if finding.value is None else WINDOWS.fold(finding.value), finding.attribute)
        for finding in planned.conflicts
    }
    assert outside(reported) == outside(expected)
    # Exactly the values that differ from the base have an origin.
    changed_values = value_changes(start, snapshot(result))
    for (path, name), _want in changed_values.items():
        assert planned.origin(path, name), (path, name)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_merge_without_conflicts_does_not_depend_on_order_or_grouping(data):
    base = data.draw(trees(name=few_names, most=10))
    deltas = [
        compute_delta(base, data.draw(changed(base, name=few_names, most=4)), name="SOFTWARE") for _layer in range(3)
    ]
    layers = list(zip("abc", deltas))
    merged = combine_deltas(layers, NO_RULES)
    if merged.findings:
        return
    expected = snapshot_of(base, merged.delta)
    for order in ((1, 0, 2), (2, 1, 0), (1, 2, 0)):
        assert snapshot_of(base, combine_deltas([layers[index] for index in order], NO_RULES).delta) == expected
        in_turn = copy(base)
        for index in order:
            apply_delta(in_turn, deltas[index])
        assert snapshot(in_turn) == expected
    left = combine_deltas([("ab", combine_deltas(layers[:2], NO_RULES).delta), layers[2]], NO_RULES).delta
    right = combine_deltas([layers[0], ("bc", combine_deltas(layers[1:], NO_RULES).delta)], NO_RULES).delta
    assert snapshot_of(base, left) == snapshot_of(base, right) == expected


def snapshot_of(base: Hive, delta) -> dict:
    result = copy(base)
    apply_delta(result, delta)
    return snapshot(result)
