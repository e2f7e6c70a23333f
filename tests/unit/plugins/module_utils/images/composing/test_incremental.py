# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incremental composing: the result equals a full compose, or a full compose is requested."""

from __future__ import annotations

import contextlib
import copy

from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ansible_collections.strata.layering.plugins.module_utils.images.composing.apply import Applier
from ansible_collections.strata.layering.plugins.module_utils.images.composing.compose_modes import base_path
from ansible_collections.strata.layering.plugins.module_utils.images.composing.incremental import (
    ACTIONS,
    BasePath,
    ComparedStack,
    FullComposeNeeded,
    PathState,
    incremental_tree,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.layer_stacks import changed, layers, stacked
from ansible_collections.strata.layering.tests.support.ntfs_tree import read_fold, read_tree
from ansible_collections.strata.layering.tests.support.tree_model import Item, Refused, expect


@st.composite
def pairs(draw):
    """Return two stacks that share layers: layers of the first are kept, edited, removed, added or reordered."""
    old = draw(st.lists(layers(), min_size=1, max_size=3))
    new = []
    for items in old:
        fate = draw(st.sampled_from(["keep", "edit", "edit", "edit", "edit", "drop", "replace"]))
        if fate == "keep":
            new.append(items)
        elif fate == "edit":
            new.append(_edited(draw, items))
        elif fate == "replace":
            new.append(draw(layers()))
    if draw(st.booleans()):
        new.append(draw(layers()))
    if draw(st.integers(0, 5)) == 0:
        new.reverse()
    return old, new


def _edited(draw, items):
    """Return the next version of a layer, with removed, changed and added entries."""
    result = []
    linked = {item.entry.link_target for item in items}
    for item in items:
        fate = draw(st.integers(0, 7))
        entry = copy.copy(item.entry)
        if fate == 0 and entry.kind in ("file", "link", "whiteout") and entry.path not in linked:
            continue
        if fate == 1 and entry.kind != "whiteout":
            entry.created = entry.written = entry.accessed = entry.changed = draw(st.integers(1, 1 << 60))
        elif fate == 2 and entry.kind == "directory" and entry.reparse is None:
            entry.implied = not entry.implied
        elif fate == 3 and entry.kind == "file":
            entry.attributes ^= 2
        elif fate == 4 and entry.kind in ("file", "link") and entry.path not in linked:
            head, slash, last = entry.path.rpartition("/")
            entry.path = head + slash + last.swapcase()
        result.append(Item(entry, item.data, item.streams))
    return result


@settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(base=layers(max_size=8), pair=pairs())
def test_incremental_compose_equals_full_compose(blank, base, pair):
    old, new = pair
    fold = read_fold(blank[0])
    scratch = blank[1]
    with (
        contextlib.suppress(Conflict),
        changed(blank, [[item for item in base if item.entry.kind != "whiteout"]]) as (below, _applied),
    ):
        with changed((below, scratch), old) as (image, made):
            if made.dropped:
                return
            with CopyOnWriteDevice(image, scratch) as over, Volume.mount(below) as original:
                with Volume.mount(over, writable=True) as volume:
                    old_tree, _archives, old_records = stacked(old, volume.upcase)
                    new_tree, archives, new_records = stacked(new, volume.upcase)
                    old_stack, new_stack = ComparedStack(old_tree, old_records), ComparedStack(new_tree, new_records)
                    try:
                        change = incremental_tree(old_stack, new_stack, lambda path: base_path(original, path))
                    except FullComposeNeeded:
                        event("full compose")
                        return
                    event("incremental")
                    try:
                        applied = Applier(volume, change).run(archives)
                    except Conflict:
                        event("conflict")
                        return
                if applied.dropped:
                    return
                event(f"{min(applied.files, 3)} files")
                found = read_tree(over)
            try:
                lines = expect(read_tree(below), new, fold).differences(found)
            except Refused as refused:
                lines = [f"it had to be refused: {refused}"]
            assert not lines, "\n".join(lines)


def file(path, data=b"x", **more):
    return Item(Entry(path, "file", 0x20, 1, 2, 3, 4, size=len(data), **more), data)


def folder(path, written=2, **more):
    return Item(Entry(path, "directory", 0x10, 1, written, 3, 4, **more))


def link(path, target):
    return Item(Entry(path, "link", 0x20, link_target=target))


def whiteout(path):
    return Item(Entry(path, "whiteout"))


def changed_paths(old, new, base=()):
    """Return the changed paths, None if a full compose is needed; ``base`` lists folders (ending in "/") and files."""
    kinds = {path.rstrip("/").upper(): BasePath.FOLDER if path.endswith("/") else BasePath.OTHER for path in base}
    stacks = []
    for stack in (old, new):
        tree, _archives, records = stacked(stack, str.upper)
        stacks.append(ComparedStack(tree, records))
    try:
        change = incremental_tree(*stacks, lambda path: kinds.get(path.upper(), BasePath.NOTHING))
    except FullComposeNeeded:
        return None
    return {path for path, node in change.nodes() if node.entry is not None or node.hides}


def test_actions_are_missing_only_if_the_base_has_to_be_restored():
    bases = [base for base in BasePath if base is not BasePath.ANY]
    missing = {
        (old, new, base)
        for old in PathState
        for new in PathState
        for base in bases
        if (old, new, BasePath.ANY) not in ACTIONS and (old, new, base) not in ACTIONS
    }
    hidden = (PathState.REMOVED, PathState.LEAF, PathState.REPLACED_FOLDER)
    absent = (PathState.UNTOUCHED, PathState.REMOVALS_BELOW)
    expected = {
        (old, new, base)
        for old in hidden
        for new in (*absent, PathState.FOLDER)
        for base in (BasePath.FOLDER, BasePath.OTHER)
    }
    assert missing == expected | {(PathState.FOLDER, new, BasePath.OTHER) for new in absent}


def test_unchanged_paths_are_skipped():
    stack = [[folder("d"), file("d/a"), link("d/b", "d/a")], [whiteout("d/old")]]
    assert changed_paths(stack, stack, ["d/", "d/old"]) == set()
    assert changed_paths(stack, [*stack, [file("new")]], ["d/", "d/old"]) == {"new"}
    assert changed_paths([*stack, [file("new")]], stack, ["d/", "d/old"]) == {"new"}


def test_restored_base_file_needs_full_compose():
    assert changed_paths([[file("a")]], [[]], ["a"]) is None
    assert changed_paths([[whiteout("a")]], [[]], ["a"]) is None
    assert changed_paths([[whiteout("d/a")]], [[folder("d", implied=True), file("d/b")]], ["d/", "d/a"]) is None
    assert changed_paths([[whiteout("d"), folder("d"), file("d/x")]], [[folder("d"), file("d/x")]], ["d/"]) is None
    assert changed_paths([[folder("d")]], [[]], ["d/"]) is None


def test_changed_hard_link_rewrites_all_names():
    old = [[file("a"), link("b", "a")]]
    assert changed_paths(old, [[file("a"), link("B", "a")]]) == {"a", "B"}
    assert changed_paths(old, [[file("a"), link("b", "a"), link("c", "a")]]) == {"a", "b", "c"}
    assert changed_paths(old, [[file("a")]]) == {"a", "b"}
    together = [folder("d"), file("d/a"), link("e", "d/a")]
    assert changed_paths([together], [[whiteout("d"), *together]], ["d/"]) is None


def test_short_name_of_base_needs_full_compose():
    assert changed_paths([[file("a", short_name="A~1")]], [[file("a", b"y")]]) is None
    assert changed_paths([[file("a", short_name="A~1")]], [[file("a", b"y", short_name="A~1")]]) == {"a"}
    assert changed_paths([[whiteout("a")]], [[file("a")]], ["a"]) is None
    assert changed_paths([[whiteout("a")]], [[file("a")]]) == {"a"}
    assert changed_paths([[folder("a")]], [[file("a")]], ["a"]) is None
    assert changed_paths([[file("b"), link("a", "b")]], [[file("a"), file("b")]], ["a"]) is None


def test_folder_that_loses_metadata_needs_full_compose():
    plain = folder("d")
    for more in (
        {"eas": b"\x0c\0\0\0\0\1\1\0x\0y\0"},
        {"object_id": bytes(16)},
        {"short_name": "D~1"},
        {"security": b"other"},
    ):
        assert changed_paths([[folder("d", 1, **more)]], [[plain]]) is None
    assert changed_paths([[folder("d", 1)]], [[plain]]) == {"d"}
    assert changed_paths([[folder("d", 1)]], [[plain]], ["d/"]) == {"d"}
    assert changed_paths([[folder("d", 1, implied=True)]], [[folder("d", implied=True)]], ["d/"]) == set()
    # In place of a file of the base the implied folder is made, so its times count.
    assert changed_paths([[folder("d", 1, implied=True)]], [[folder("d", implied=True)]], ["d"]) is None
    timeless = Item(Entry("d/a", "file", 0x20), b"")
    assert changed_paths([[folder("d", 1), timeless]], [[plain, timeless]]) is None


def test_incremental_keeps_the_journal_of_a_layer_that_did_not_change(blank):
    """A new version of a layer changes only the main file of its database."""

    def version(data):
        times = {"created": 1, "written": 2, "accessed": 3, "changed": 4}
        files = {"d/x.db": data, "d/x.db-wal": b"journal", "d/other": b"other"}
        return [Item(Entry(path, "file", 32, size=len(content), **times), content) for path, content in files.items()]

    old, new = [version(b"one")], [version(b"two")]
    with changed(blank, old) as (image, _made), Volume.mount(blank[0]) as original:
        with CopyOnWriteDevice(image, blank[1]) as over:
            with Volume.mount(over, writable=True) as volume:
                old_tree, _archives, old_records = stacked(old, volume.upcase)
                new_tree, archives, new_records = stacked(new, volume.upcase)
                change = incremental_tree(
                    ComparedStack(old_tree, old_records),
                    ComparedStack(new_tree, new_records),
                    lambda path: base_path(original, path),
                )
                assert [path for path, node in change.nodes() if node.is_leaf] == ["d/x.db", "d/x.db-wal"]
                Applier(volume, change).run(archives)
            assert {path for path in read_tree(over) if "/" in path} == {"d/x.db", "d/x.db-wal", "d/other"}
