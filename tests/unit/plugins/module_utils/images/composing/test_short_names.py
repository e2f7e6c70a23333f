# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""8.3 names that several files of a folder have; the tests of applying and composing cover all other cases."""

from __future__ import annotations

from ansible_collections.strata.layering.plugins.module_utils.images.composing.short_names import (
    Clash,
    find_clashes,
    settle,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.layer_stacks import changed, stacked
from ansible_collections.strata.layering.tests.support.tree_model import Item


def settled(claims, kept, others=()):
    spelled = {name: name.lower() for name in (*claims, *kept)}
    return {
        (folded, short): holder for folded, short, holder in settle(str.upper, claims, spelled, kept, dict(others).get)
    }


def test_lower_layer_gets_short_name():
    assert settled({"A": (1, "S~1"), "B": (0, "S~1"), "C": (2, "S~1")}, {}) == {("A", "S~1"): "b", ("C", "S~1"): "b"}


def test_first_long_name_of_layer_gets_short_name():
    assert settled({"B": (0, "S~1"), "A": (0, "s~1")}, {}) == {("B", "S~1"): "a"}


def test_existing_file_keeps_short_name_unless_replaced():
    assert settled({"A": (0, "S~1")}, {"B": "S~1"}) == {("A", "S~1"): "b"}
    assert settled({"A": (0, "S~1"), "B": (1, "T~1")}, {"B": "S~1"}) == {}
    assert settled({"A": (0, "S~1")}, {}, {"S~1": "untouched"}) == {("A", "S~1"): "untouched"}


def test_file_without_new_short_name_keeps_old_short_name():
    claims = {"A": (0, "S~1"), "B": (1, "T~1"), "C": (0, "T~1")}
    assert settled(claims, {"B": "S~1"}) == {("B", "T~1"): "c", ("A", "S~1"): "b"}


def test_two_files_can_swap_short_names():
    assert settled({"A": (0, "T~1"), "B": (0, "S~1")}, {"A": "S~1", "B": "T~1"}) == {}


def test_long_name_is_never_a_short_name():
    assert settled({"A": (0, "B"), "B": (5, "X")}, {}) == {("A", "B"): "b"}
    assert settled({"B": (5, "X")}, {"A": "B"}) == {("A", "B"): "b"}


def test_stack_clashes_are_found_before_writing(blank):
    def folder(path, short_name=None):
        return Item(Entry(path, "directory", 0x10, 1, 2, 3, 4, short_name=short_name))

    base = [folder("Programs"), folder("Programs/Strata Base", "STRATA~1")]
    first = [folder("Programs/Strata One", "STRATA~2"), folder("Programs/Own", "OWN~1")]
    second = [
        folder("Programs/Strata Two", "STRATA~2"),
        folder("Programs/Strata Again", "STRATA~1"),
        folder("New"),
        folder("New/Own", "OWN~1"),
    ]
    with changed(blank, [base]) as (device, _applied):
        with Volume.mount(device) as volume:
            tree, _archives, _records = stacked([first, second], volume.upcase)
            assert sorted(find_clashes(tree, volume), key=lambda clash: clash.path) == [
                Clash("Programs/Strata Again", "STRATA~1", 1, "Strata Base"),
                Clash("Programs/Strata Two", "STRATA~2", 1, "Strata One"),
            ]


def test_new_folder_named_as_old_short_name_is_distinct(blank):
    def item(path, kind, short_name=None):
        return Item(Entry(path, kind, 0x10 if kind == "directory" else 0x20, 1, 2, 3, 4, short_name=short_name))

    base = [item("Strata Base", "directory", "STRATA~1"), item("Strata Base/a", "directory")]
    layer = [item("Strata Base", "file"), item("STRATA~1", "directory"), item("STRATA~1/a long name", "directory", "A")]
    with changed(blank, [base]) as (device, _applied):
        with Volume.mount(device) as volume:
            tree, _archives, _records = stacked([layer], volume.upcase)
            assert list(find_clashes(tree, volume)) == [Clash("Strata Base", "STRATA~1", 0, "STRATA~1")]
