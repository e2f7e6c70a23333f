# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which the app layers of an image are applied."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.catalog.resolved_template import apply_order
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerReference


def order(*layers):
    """Return the names in order; a layer is (priority, "name version", "name version" of prerequisites...)."""
    found = []
    for priority, name, *below in layers:
        found.append(
            (
                priority,
                LayerReference("app", *name.split(), "sha256:" + "0" * 64),
                [tuple(prerequisite.split()) for prerequisite in below],
            )
        )
    return [layer.name for layer in apply_order(found)]


def test_order_is_priority_then_name():
    assert order((500, "b 1"), (500, "C 1"), (500, "a 1"), (100, "z 1"), (900, "A 1")) == ["z", "a", "b", "C", "A"]


def test_layer_is_above_its_prerequisites():
    assert order((500, "a 1", "b 1"), (500, "b 1")) == ["b", "a"]
    assert order((500, "a 1", "c 1"), (500, "b 1"), (500, "c 1", "d 1"), (500, "d 1")) == ["b", "d", "c", "a"]


def test_other_version_of_prerequisite_is_below():
    assert order((500, "a 1", "b 1"), (500, "b 2")) == ["b", "a"]


def test_priority_overrides_prerequisites():
    assert order((500, "a 1", "b 1"), (600, "b 1")) == ["a", "b"]


def test_absent_prerequisite_is_ignored():
    assert order((500, "b 1", "x 1"), (500, "a 1", "b 7", "y 1")) == ["b", "a"]


def test_circular_prerequisites_compare_versions():
    assert order((500, "a 1", "b 1"), (500, "b 2", "a 1")) == ["a", "b"]
    assert order((500, "a 2", "b 1"), (500, "b 1", "a 1")) == ["b", "a"]
    assert order((500, "a 3", "b 1"), (500, "b 3", "a 1")) == ["a", "b"]


@given(
    st.permutations(range(6)),
    st.lists(st.tuples(st.sampled_from([100, 500]), st.sets(st.integers(0, 5), max_size=3)), min_size=6, max_size=6),
)
def test_order_does_not_depend_on_input_order(shuffled, layers):
    """Prerequisites are always older layers, so that they are not circular."""
    found = [
        (priority, f"l{number} 1", *(f"l{below} 1" for below in below_it if below < number))
        for number, (priority, below_it) in enumerate(layers)
    ]
    result = order(*found)
    assert order(*(found[number] for number in shuffled)) == result
    positions = {name: position for position, name in enumerate(result)}
    priorities = {f"l{number}": priority for number, (priority, _below) in enumerate(layers)}
    for number, (priority, below_it) in enumerate(layers):
        for below in below_it:
            if below < number and priorities[f"l{below}"] == priority:
                assert positions[f"l{below}"] < positions[f"l{number}"]
    assert [priorities[name] for name in result] == sorted(priorities.values())
