# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry import delta as deltas
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta import (
    Before,
    Counts,
    Delta,
    KeyDelta,
    ValueDelta,
    changes_something,
    sets_something,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive


def tree() -> Delta:
    delta = Delta("SOFTWARE")
    keep = delta.root.subkeys["B"] = KeyDelta("b")
    keep.subkeys["EMPTY"] = KeyDelta("empty")
    keep.subkeys["EMPTY"].subkeys["TOO"] = KeyDelta("too")
    keep.subkeys["MADE"] = KeyDelta("made", deltas.CREATE)
    delta.root.subkeys["A"] = KeyDelta("a", deltas.REPLACE)
    delta.root.subkeys["GONE"] = KeyDelta("gone", deltas.REMOVE)
    keep.values = {
        "X": ValueDelta("x", 0, None, Before(1, 0, b"", None)),
        "Y": ValueDelta("y", 1, b"", Before(1, 1, b"a", None)),
        "Z": ValueDelta("z", 1, b""),
    }
    return delta


def test_delta_walk_is_ordered_and_lookup_ignores_case():
    delta = tree()
    assert [path for path, _key in delta.walk()] == ["", "a", "b", "b\\empty", "b\\empty\\too", "b\\made", "gone"]
    assert delta.key("B\\MADE").action == deltas.CREATE
    assert delta.key("\\b\\") is delta.root.subkeys["B"]
    assert delta.key("b\\none") is None
    assert delta.key("") is delta.root


def test_delta_counts_added_changed_and_removed_items():
    assert tree().counts() == Counts(
        keys_added=1, keys_changed=2, keys_removed=1, values_added=1, values_changed=1, values_removed=1
    )


def test_prune_keys_without_changes_are_dropped():
    delta = tree()
    delta.prune()
    assert [path for path, _key in delta.walk()] == ["", "a", "b", "b\\made", "gone"]
    empty = Delta("SOFTWARE")
    empty.root.subkeys["A"] = KeyDelta("a")
    assert not empty.is_empty
    empty.prune()
    assert empty.is_empty


def test_changes_something_only_for_lost_content():
    key = KeyDelta("a")
    key.values["X"] = ValueDelta("x", 0, None)
    key.subkeys["R"] = KeyDelta("r", deltas.REMOVE)
    key.values["Y"] = ValueDelta("Y", 1, b"a", Before(1, 1, b"a", None), renamed=True)
    key.last_written = 5
    assert not sets_something(key)
    assert not changes_something(key)
    key.subkeys["B"] = KeyDelta("b")
    key.subkeys["B"].security = b"sd"
    assert not sets_something(key)
    assert changes_something(key)
    key.subkeys["B"].values[""] = ValueDelta("", 1, b"")
    assert sets_something(key)
    assert changes_something(key)
    assert sets_something(KeyDelta("new", deltas.CREATE))


def test_same_effect_compares_type_and_data():
    change, two = ValueDelta("a", 1, b"x", wide=True), ValueDelta("A", 1, b"x", Before(1, 0, b"", None))
    assert change.same_effect(two)
    assert change != two
    assert not change.same_effect(ValueDelta("a", 2, b"x"))
    assert not change.same_effect(ValueDelta("a", 1, None))
    assert ValueDelta("a", 1, None).same_effect(ValueDelta("a", 0, None))


def test_set_attributes_unnamed_attributes_do_not_change():
    key = Hive.new().root.create("Key")
    key.class_data, key.flags, key.control, key.last_written = b"c", key.flags | cell_layout.KEY_VOLATILE, 1, 7
    before = (key.name, key.security, key.class_data, key.flags, key.control, key.predefined_handle, key.last_written)
    node = KeyDelta("KEY")
    node.set_attributes(key)
    assert (
        key.name,
        key.security,
        key.class_data,
        key.flags,
        key.control,
        key.predefined_handle,
        key.last_written,
    ) == before
    node.renamed, node.security, node.class_data, node.last_written = True, b"sd", b"", 0
    node.flags = (cell_layout.KEY_SYM_LINK, 2, 3)
    node.set_attributes(key)
    # A delta does not set the flags that depend on the position of a key.
    assert key.flags == cell_layout.KEY_SYM_LINK | cell_layout.KEY_VOLATILE
    assert (key.name, key.security, key.class_data, key.control, key.predefined_handle, key.last_written) == (
        "KEY",
        b"sd",
        b"",
        2,
        3,
        0,
    )
