# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging a stack of layers, compared with applying the layers in order to a dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.images.stack.layer_stack import StackedLayer, merge_stack
from ansible_collections.strata.layering.plugins.module_utils.images.stack.stack_merge import merge
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.file_index import Record
from ansible_collections.strata.layering.tests.support.expectations import raises

JUNCTION = bytes.fromhex("030000a000000000")


def file(path, **more):
    return Entry(path, "file", **more)


def folder(path, **more):
    return Entry(path, "directory", **more)


def final(*layers):
    """Return the merged stack as {path: (layer number, entry kind)}, removals as None."""
    tree = merge([(f"layer {number}", layer) for number, layer in enumerate(layers)], str.upper)
    return {
        path: (node.layer, node.entry.kind) if node.entry else ("implied" if node.exists else None)
        for path, node in tree.nodes()
    }


def test_later_layer_wins_with_its_spelling():
    assert final([file("A/x.dll")], [file("a/X.DLL")]) == {"A": "implied", "A/X.DLL": (1, "file")}


def test_directory_metadata_wins_unless_implied():
    assert final([folder("d")], [folder("D", implied=True)])["d"] == (0, "directory")
    assert final([folder("d")], [folder("D")])["d"] == (1, "directory")
    assert final([folder("d", implied=True)], [folder("d", implied=True)])["d"] == (0, "directory")


def test_file_over_directory_removes_subtree():
    tree = merge([("a", [folder("d"), file("d/x")]), ("b", [file("d")])], str.upper)
    node = tree.root.children["D"]
    assert node.is_leaf
    assert node.hides
    assert not node.children


def test_directory_over_file_hides_base():
    node = merge([("a", [file("d")]), ("b", [folder("d"), file("d/x")])], str.upper).root.children["D"]
    assert node.hides
    assert node.exists
    assert not node.is_leaf
    assert list(node.children) == ["X"]


def test_whiteout_removes_only_from_lower_layers():
    assert final([file("d/x"), file("d/y")], [file("d/x"), Entry("d", "whiteout")]) == {
        "d": "implied",
        "d/x": (1, "file"),
    }


def test_whiteout_of_missing_path_creates_no_folder():
    tree = merge([("a", [Entry("none/at/all", "whiteout")])], str.upper)
    assert not any(node.exists for _path, node in tree.nodes())


def test_whiteout_below_file_is_ignored():
    assert final([file("a")], [Entry("a/b", "whiteout")]) == {"a": (0, "file")}


def test_folder_of_whiteout_does_not_set_spelling():
    assert "Tool" in final([Entry("TOOL/old", "whiteout")], [file("Tool/new")])


def test_file_below_junction_is_refused():
    junction = folder("link", reparse=JUNCTION)
    with raises(Conflict, "images.layer_below_link") as caught:
        merge([("lower", [junction]), ("upper", [file("link/x")])], str.upper)
    assert (caught.value.details["layer"], caught.value.details["path"]) == ("upper", "link")
    with pytest.raises(Conflict):
        merge([("lower", [junction]), ("upper", [folder("link", implied=True), file("link/x")])], str.upper)
    assert final([junction], [folder("link"), file("link/x")])["link/x"] == (1, "file")


def test_too_deep_path_is_refused():
    with raises(InvalidInput, "images.layer_too_deep") as caught:
        merge([("deep", [file("/".join("a" * 300))])], str.upper)
    assert caught.value.details["depth"] == 300


NAMES = st.sampled_from(["a", "A", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def layer_entries(draw):
    """Return a layer as an archive contains it: each path once, nothing below files, parents before children."""
    chosen = draw(
        st.dictionaries(
            PATHS.map(str.upper), st.tuples(st.sampled_from(["file", "directory"]), st.booleans()), max_size=6
        )
    )
    spell = draw(st.sampled_from([str.upper, str.lower]))
    leaves = {path for path, (kind, _implied) in chosen.items() if kind == "file"}
    entries = [
        Entry(spell(path), kind, implied=implied and kind == "directory")
        for path, (kind, implied) in sorted(chosen.items())
        if not any("/".join(path.split("/")[:depth]) in leaves for depth in range(1, path.count("/") + 1))
    ]
    whiteouts = [Entry(path, "whiteout") for path in draw(st.lists(PATHS, max_size=3))]
    return whiteouts + entries if draw(st.booleans()) else entries + whiteouts


def drop(tree, path):
    for other in [other for other in tree if other == path or other.startswith(path + "/")]:
        del tree[other]


def one_after_the_other(layers):
    """Apply the rules by brute force; return {folded path: (layer, kind)}; a folder without an entry belongs to layer -1."""
    tree = {}
    for number, entries in enumerate(layers):
        for entry in entries:
            if entry.kind == "whiteout":
                drop(tree, entry.path.upper())
        for entry in entries:
            path = entry.path.upper()
            if entry.kind == "whiteout":
                continue
            parts = path.split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                if tree.get(parent, (0, "file"))[1] == "file":
                    drop(tree, parent)
                    tree[parent] = (-1, "directory")
            if entry.kind == "file":
                drop(tree, path)
                tree[path] = (number, "file")
            elif tree.get(path, (0, "file"))[1] == "file":
                drop(tree, path)
                tree[path] = (number, "directory")
            elif not entry.implied or tree[path][0] < 0:
                tree[path] = (number, "directory")
    return tree


@settings(max_examples=400, deadline=None)
@given(st.lists(layer_entries(), min_size=1, max_size=4))
def test_merge_equals_applying_layers_in_order(layers):
    tree = merge([(str(number), entries) for number, entries in enumerate(layers)], str.upper)
    merged = {
        path.upper(): (node.layer, node.entry.kind if node.entry else "directory")
        for path, node in tree.nodes()
        if node.exists
    }
    assert merged == one_after_the_other(layers)


@settings(max_examples=200, deadline=None)
@given(st.lists(layer_entries(), min_size=1, max_size=3), layer_entries())
def test_base_is_hidden_only_where_removed_or_replaced(layers, base):
    """A file of the base survives in the brute-force model if and only if no node on its path hides it or makes it a folder."""
    whole = one_after_the_other([base, *layers])
    tree = merge([(str(number), entries) for number, entries in enumerate(layers)], str.upper)
    for path, (_layer, kind) in one_after_the_other([base]).items():
        if kind != "file":
            continue
        node, survives = tree.root, True
        for part in path.split("/"):
            node = node.children.get(part) if node else None
            survives = survives and not (node and node.hides)
        becomes_folder = node is not None and node.exists and not node.is_leaf
        assert (whole.get(path) == (0, "file")) == (survives and not becomes_folder)


def test_journals_of_a_lower_layer_are_hidden_by_a_new_main_file():
    """A journal belongs to one state of its main file; journals of other files and of the same layer stay."""
    guid = "{0a1b2c3d-0000-1111-2222-333344445555}"
    journals = ["x.db-wal", "X.DB-shm", "x.db.LOG1", f"x.db{guid}.TM.blf"]
    lower = [file(path) for path in ("x.db", *journals, "y.db", "y.db-wal", "readme-journal")]
    assert final(lower, [file("x.db")]) == {
        "x.db": (1, "file"),
        **dict.fromkeys(journals),
        "y.db": (0, "file"),
        "y.db-wal": (0, "file"),
        "readme-journal": (0, "file"),
    }
    for order in ([file("x.db"), file("x.db-wal")], [file("x.db-wal"), file("x.db")]):
        found = final(lower, order)
        assert (found["x.db"], found["x.db-wal"], found["X.DB-shm"]) == ((1, "file"), (1, "file"), None)
    assert final([file("x.db-wal")], [Entry("x.db", "whiteout")])["x.db-wal"] is None


def test_journal_of_a_skipped_main_file_is_skipped():
    stack = [[Record(file("d/X.db")), Record(file("d/x.db-wal")), Record(file("d/y"))]]
    for skipped, expected in (({(0, 0)}, ["d", "d/y"]), ({(0, 1)}, ["d", "d/X.db", "d/x.db-wal", "d/y"])):
        layer = StackedLayer("layer", "sha256:0", b"", b"")
        assert [path for path, _node in merge_stack([layer], stack, str.upper, skipped).nodes()] == expected
