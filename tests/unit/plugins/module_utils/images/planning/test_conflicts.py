# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflicts and provenance, compared with applying every layer to every kind of tree."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.images.planning.conflicts import StackClaims
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.extended_attributes import pack_eas
from ansible_collections.strata.layering.plugins.module_utils.layers.file_index import Record


def file(path, content="a", **more):
    return Record(Entry(path, "file", **more), content.encode() * 32)


def folder(path, **more):
    return Record(Entry(path, "directory", **more))


def removal(path):
    return Record(Entry(path, "whiteout"))


def conflicts(*layers, built_on=None):
    return [
        (item.path, item.winner, item.losers, item.outcome)
        for item in StackClaims(layers, str.upper, built_on).conflicts()
    ]


def test_different_content_is_a_conflict():
    assert conflicts([file("x", "a")], [file("X", "b")]) == [("X", 1, (0,), "brings")]
    assert conflicts([file("x", "a", written=1)], [file("x", "a", written=2)]) == []


def test_kernel_attributes_of_a_file_are_no_conflict():
    kernel, user = pack_eas([(b"$KERNEL.PURGE.ESBCACHE", 0, b"1")]), pack_eas([(b"LXUID", 0, b"1")])
    assert conflicts([file("x", attributes=0x20)], [file("x", eas=kernel, attributes=0x40020)]) == []
    assert conflicts([file("x", attributes=0x20)], [file("x", eas=user, attributes=0x40020)]) != []


def test_conflict_lists_all_losers():
    assert conflicts([file("x", "a")], [file("x", "b")], [file("x", "c")]) == [("x", 2, (0, 1), "brings")]
    assert conflicts([file("x", "a")], [file("x", "b")], [file("x", "a")]) == [("x", 2, (1,), "brings")]


def test_removed_file_of_lower_layer_is_a_conflict():
    assert conflicts([file("d/x")], [removal("d")]) == [("d/x", 1, (0,), "removes")]
    assert conflicts([removal("d/x")], [file("d/x")]) == [("d/x", 1, (0,), "brings")]
    assert conflicts([removal("x")], [removal("x")]) == []


def test_layer_that_removes_and_provides_folder_replaces_it():
    assert conflicts([file("d/x"), file("d/y")], [removal("d"), file("d/x", "b")]) == [
        ("d/x", 1, (0,), "brings"),
        ("d/y", 1, (0,), "removes"),
    ]


def test_file_over_folder_is_a_conflict():
    assert conflicts([file("a/b")], [file("a")]) == [("a", 1, (0,), "brings"), ("a/b", 1, (0,), "removes")]
    assert conflicts([file("a")], [file("a/b")]) == [("a", 1, (0,), "makes a folder of"), ("a/b", 1, (0,), "brings")]


def test_folders_with_same_metadata_merge():
    assert conflicts([folder("a"), file("a/x")], [folder("a", implied=True), file("a/y")]) == []
    assert conflicts([folder("a", attributes=0x10)], [folder("a", attributes=0x12)]) == [("a", 1, (0,), "brings")]


def test_link_is_compared_by_content():
    linked = [file("x", "a"), Record(Entry("y", "link", link_target="x"))]
    assert conflicts([file("y", "a")], linked) == []
    assert conflicts([file("y", "b")], linked) == [("y", 1, (0,), "brings")]


def test_layer_over_its_prerequisite_is_not_a_conflict():
    assert conflicts([file("d/x")], [removal("d")], built_on=[set(), {0}]) == []
    assert conflicts([file("x", "a")], [file("x", "b")], built_on=[set(), {0}]) == []
    assert conflicts([file("x", "a")], [file("x", "b")], [file("x", "c")], built_on=[set(), {0}, set()]) == [
        ("x", 2, (1,), "brings")
    ]
    assert conflicts([file("x", "a")], [file("x", "b")], [file("x", "c")], built_on=[set(), set(), {0}]) == [
        ("x", 2, (1,), "brings")
    ]


def test_prerequisite_above_its_layer_is_a_conflict():
    assert conflicts([file("x", "b")], [file("x", "a")], built_on=[{1}, set()]) == [("x", 1, (0,), "brings")]
    assert conflicts([file("x", "b")], [file("x", "a")], [file("x", "c")], built_on=[{1}, set(), set()]) == [
        ("x", 2, (0, 1), "brings")
    ]


def test_provenance_lists_claims_of_all_layers():
    claims = StackClaims([[file("d/x")], [file("other")], [removal("d"), file("d/x", "b")]], str.upper)
    assert claims.provenance("D\\X") == [(0, "brings"), (2, "brings")]
    assert claims.provenance("d/y") == [(2, "removes")]
    assert claims.provenance("nowhere") == []


NAMES = st.sampled_from(["a", "b"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def layers(draw):
    chosen = draw(
        st.dictionaries(PATHS, st.sampled_from(["file a", "file b", "folder 1", "folder 2", "implied"]), max_size=4)
    )
    files = {path for path, kind in chosen.items() if kind.startswith("file")}
    found = [removal(path) for path in draw(st.lists(PATHS, max_size=2, unique=True))]
    for path, kind in sorted(chosen.items()):
        if any("/".join(path.split("/")[:depth]) in files for depth in range(1, path.count("/") + 1)):
            continue
        if kind.startswith("file"):
            found.append(file(path, kind[-1]))
        else:
            found.append(folder(path, implied=kind == "implied", attributes=0 if kind == "implied" else int(kind[-1])))
    return found


def drop(tree, path):
    for other in [other for other in tree if other == path or other.startswith(path + "/")]:
        del tree[other]


def put(tree, records):
    """Apply a layer to a tree of {path: ("file", content) or ("folder", attributes or None)}."""
    for record in records:
        if record.entry.kind == "whiteout":
            drop(tree, record.entry.path)
    for record in records:
        path = record.entry.path
        if record.entry.kind == "whiteout":
            continue
        parts = path.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if tree.get(parent, ("file",))[0] == "file":
                drop(tree, parent)
                tree[parent] = ("folder", None)
        if record.entry.kind == "file":
            drop(tree, path)
            tree[path] = ("file", record.digest)
        else:
            if tree.get(path, ("file",))[0] == "file":
                drop(tree, path)
                tree[path] = ("folder", None)
            if not record.entry.implied:
                tree[path] = ("folder", record.entry.attributes)
    return tree


def bases(path):
    """Return trees in which ``path`` is a file, an empty folder, a folder with metadata, and nothing."""
    above = {"/".join(path.split("/")[:depth]): ("folder", 99) for depth in range(1, path.count("/") + 1)}
    return [{**above, path: ("file", b"base")}, {**above, path: ("folder", 99)}, above]


def claims_path(layer, path):
    return any(put(dict(base), layer).get(path) != base.get(path) for base in bases(path))


def fulfilled(state, final):
    """Return whether the state of a path after a layer is its final state."""
    if state is not None and final is not None and state[0] == final[0] == "folder":
        return state[1] is None or state == final
    return state == final


def is_superseded(number, claiming, built_on):
    """Return whether a higher layer that claims the path was built on this layer."""
    return any(number in built_on[other] for other in claiming if other > number)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(layers(), min_size=2, max_size=4), st.lists(st.sets(st.integers(0, 3), max_size=2), min_size=4, max_size=4)
)
def test_conflicts_equal_simulation_on_every_tree(stack, built_on):
    built_on = [known - {number} for number, known in enumerate(built_on[: len(stack)])]
    brought = {
        record.entry.path
        for layer in stack
        for record in layer
        if record.entry.kind != "whiteout" and not record.entry.implied
    }
    expected = {}
    for path in brought:
        claiming = [number for number, layer in enumerate(stack) if claims_path(layer, path)]
        states, tree = [], {}
        for layer in stack:
            put(tree, layer)
            states.append(tree.get(path))
        losers = tuple(
            number
            for number in claiming[:-1]
            if not is_superseded(number, claiming, built_on) and not fulfilled(states[number], states[-1])
        )
        if losers:
            expected[path] = (claiming[-1], losers)
    assert {
        path: (winner, losers) for path, winner, losers, _outcome in conflicts(*stack, built_on=built_on)
    } == expected
