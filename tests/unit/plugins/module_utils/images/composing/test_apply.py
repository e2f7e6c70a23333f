# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applying stacks of layers, compared with a model of the tree and read with dissect.ntfs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    InvalidInput,
    NoSpace,
)
from ansible_collections.strata.layering.plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ansible_collections.strata.layering.plugins.module_utils.images.composing.apply import Applier
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support import ntfs_check
from ansible_collections.strata.layering.tests.support.expectations import raises
from ansible_collections.strata.layering.tests.support.layer_stacks import SECURITIES, changed, layers, stacked
from ansible_collections.strata.layering.tests.support.ntfs_tree import read_fold, read_records, read_tree
from ansible_collections.strata.layering.tests.support.tree_model import Item, Refused, expect


@settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(base=layers(max_size=8), stack=st.lists(layers(), min_size=1, max_size=3))
def test_random_stack_on_random_base_gives_expected_tree(blank, base, stack):
    fold = read_fold(blank[0])
    with (
        contextlib.suppress(Conflict),
        changed(blank, [[item for item in base if item.entry.kind != "whiteout"]]) as (below, _applied),
    ):
        before = read_tree(below)
        try:
            expected = expect(before, stack, fold)
        except Refused as refused:
            with pytest.raises(Conflict) as caught, changed((below, blank[1]), stack):
                pass
            assert caught.value.code == refused.code
            assert caught.value.hint
            return
        with changed((below, blank[1]), stack) as (device, _applied):
            lines = expected.differences(read_tree(device))
            assert not lines, "\n".join(lines)
            assert ntfs_check.check(device, entries_follow=True) == []


def folder(path, **more):
    return Item(Entry(path, "directory", 0x10, 10, 20, 30, 40, **more))


def file(path, data=b"", **more):
    streams = more.pop("streams", {})
    more.setdefault("attributes", 0x20)
    times = {
        name: more.pop(name, number) for number, name in enumerate(("created", "written", "accessed", "changed"), 50)
    }
    return Item(
        Entry(
            path,
            "file",
            size=len(data),
            streams=[(name, len(value)) for name, value in streams.items()],
            **times,
            **more,
        ),
        data,
        streams,
    )


def link(path, target):
    return Item(Entry(path, "link", 0x20, link_target=target))


def whiteout(path):
    return Item(Entry(path, "whiteout"))


def judged(blank, base, *stack):
    """Apply a stack to a base; return the names, after checking that they are those of the model."""
    fold = read_fold(blank[0])
    with contextlib.ExitStack() as opened:
        below, _made = opened.enter_context(changed(blank, [base]))
        device, applied = opened.enter_context(changed((below, blank[1]), list(stack)))
        found = read_tree(device)
        lines = expect(read_tree(below), list(stack), fold).differences(found)
        assert not lines, "\n".join(lines)
        return found, applied


def test_link_with_trailing_dot_is_written(blank):
    found, _applied = judged(blank, [], [file("a", b"1"), link("b. ", "a"), folder("c..")])
    assert found["b. "].file is found["a"].file


@pytest.mark.parametrize("item", [file("a", b"1", object_id=b"short"), folder("a", security=b"nonsense")])
def test_entry_with_invalid_metadata_is_rejected_with_its_path_and_layer(blank, item):
    with pytest.raises(InvalidInput) as caught, changed(blank, [[item]]):
        pass
    assert caught.value.details["path"] == "a"
    assert caught.value.details["layer"]
    assert "a of " in caught.value.message


def test_hard_link_with_short_name_keeps_it(blank):
    found, _applied = judged(
        blank, [], [file("the long name", b"1", short_name="THELON~1"), link("another name before it", "the long name")]
    )
    assert found["the long name"].short_name == "THELON~1"
    assert found["another name before it"].short_name is None


def test_link_that_replaces_a_file_inherits_its_short_name(blank):
    base = [file("replaced by a link", b"1", short_name="REPLAC~1")]
    found, _applied = judged(blank, base, [file("a new file", b"2"), link("replaced by a link", "a new file")])
    assert found["replaced by a link"].short_name == "REPLAC~1"


def test_short_name_of_removed_file_is_available(blank):
    base = [file("zz long name", b"1", short_name="SHORT~1"), file("yy long name", b"1", short_name="OTHER~1")]
    stack = [
        whiteout("zz long name"),
        whiteout("yy long name"),
        folder("aa long name", short_name="SHORT~1"),
        file("OTHER~1", b"2"),
    ]
    found, applied = judged(blank, base, stack)
    assert found["aa long name"].short_name == "SHORT~1"
    assert applied.dropped == []


def test_folder_whose_new_short_name_is_a_long_name_keeps_old_short_name(blank):
    base = [folder("A long name.text", short_name="ALONGN~1.TEX"), folder("a")]
    found, applied = judged(blank, base, [folder("A long name.text", short_name="A"), file("a", b"1")])
    assert found["A long name.text"].short_name == "ALONGN~1.TEX"
    assert applied.dropped == ["8.3 name A of A long name.text (a has it)"]


def test_short_name_that_a_folder_loses_is_available(blank):
    base = [folder("the folder", short_name="THEFOL~1")]
    found, applied = judged(
        blank, base, [folder("The folder", short_name="OTHER~1"), folder("a new folder", short_name="THEFOL~1")]
    )
    assert found["the folder"].short_name == "OTHER~1"
    assert found["a new folder"].short_name == "THEFOL~1"
    assert applied.dropped == []


def test_short_name_of_two_layers_belongs_to_lower_layer(blank):
    """A folder of the upper layer does not get the name either, although folders are created first."""
    found, applied = judged(
        blank,
        [],
        [file("z strata tools.txt", b"1", short_name="STRATA~1")],
        [folder("Strata Other", short_name="STRATA~1")],
    )
    assert found["z strata tools.txt"].short_name == "STRATA~1"
    assert found["Strata Other"].short_name is None
    assert applied.dropped == ["8.3 name STRATA~1 of Strata Other (z strata tools.txt has it)"]


def test_path_with_short_name_of_kept_folder_is_refused(blank):
    base = [folder("Program Files", short_name="PROGRA~1")]
    for item in (file("PROGRA~1/x"), file("progra~1")):
        with (
            raises(Conflict, "images.layer_short_name") as caught,
            changed(blank, [base]) as (below, _made),
            changed((below, blank[1]), [[item]]),
        ):
            pass
        assert caught.value.details["long_name"] == "Program Files"
        assert caught.value.details["layer"] == "layer 0"


def test_implied_folder_keeps_streams_of_base(blank):
    described = folder("d")
    described.entry.streams, described.streams = [("s", 1)], {"s": b"1"}
    again = folder("D", implied=True)
    again.entry.streams, again.streams = [("s", 2), ("t", 1)], {"s": b"22", "t": b"3"}
    judged(blank, [described], [again])


@pytest.mark.parametrize("name", ["a<b", "a|b", "a?b", 'a"b', "a\x01b", "*"])
def test_name_that_windows_forbids_is_refused(blank, name):
    with raises(InvalidInput, "ntfs.name"), changed(blank, [[file(name)]]):
        pass


def test_folder_with_new_files_keeps_its_metadata(blank):
    base = [
        folder("d", security=SECURITIES[3]),
        *(file(f"d/old {number}", b"x" * number) for number in range(40)),
        folder("d/e"),
    ]
    base[0].entry.attributes |= 0x2006
    fold = read_fold(blank[0])
    with changed(blank, [base]) as (below, _made):
        before = read_tree(below)
        stack = [
            [file(f"D/new {number}", b"y" * 500) for number in range(300)]
            + [whiteout("d/old 3"), file("d/old 7", b"z" * 90_000)]
        ]
        with changed((below, blank[1]), stack) as (device, applied):
            after = read_tree(device)
            assert expect(before, stack, fold).differences(after) == []
            assert after["d"].file.times == before["d"].file.times == (10, 20, 30, 40)
            assert after["d"].file.attributes == 0x2016
            untouched = [
                name.file.record
                for path, name in before.items()
                if path.startswith("d/") and path not in ("d/old 3", "d/old 7")
            ]
            assert len(untouched) == 39
            assert read_records(below, untouched) == read_records(device, untouched)
            assert (applied.files, applied.removed, applied.directories) == (301, 1, 0)


def test_large_file_is_written_in_pieces(blank):
    data = bytes(range(256)) * 40_000
    found, applied = judged(blank, [], [file("big", data, streams={"also": data[:6_000_000]})])
    assert found["big"].file.size == applied.bytes == len(data)


@pytest.mark.parametrize("size", [10, 650, 9000, 200_000])
@pytest.mark.parametrize(("before", "after"), [(0x810, 0x10), (0x10, 0x810), (0x810, 0x810)])
def test_stream_of_a_folder_whose_compression_changes_is_replaced(blank, before, after, size):
    def redefined(attributes, count):
        streams = {"s": bytes(count), "l" * 250: bytes(range(250)) * (count // 250) + bytes(count % 250)}
        entry = Entry("a", "directory", attributes, 10, 20, 30, 40)
        entry.streams = [(name, len(data)) for name, data in streams.items()]
        return Item(entry, b"", streams)

    for count in (10, 9000):
        with changed(blank, [[redefined(before, size)]]) as (below, _applied):
            _found, _applied = judged((below, blank[1]), [], [redefined(after, count)])


def test_full_volume_raises_no_space(blank):
    with pytest.raises(NoSpace) as caught, changed(blank, [[file("big", bytes(80 << 20))]]):
        pass
    assert caught.value.code == "ntfs.no_space"
    assert "disk_size_gb" in caught.value.hint
    assert (caught.value.details["path"], caught.value.details["layer"]) == ("big", "layer 0")


def test_layer_with_path_twice_is_refused(blank):
    for items in ([file("a", b"1"), file("A", b"2")], [file("a"), file("a/b")], [folder("d"), file("D")]):
        with raises(Conflict, "images.layer_twice"), changed(blank, [items]):
            pass


def test_archive_without_indexed_file_is_corrupt(blank):
    device, scratch = blank
    with (
        CopyOnWriteDevice(device, scratch) as over,
        pytest.raises(Corrupt) as caught,
        Volume.mount(over, writable=True) as volume,
    ):
        tree, _archives, _records = stacked([[file("a", b"1"), file("b", b"2")]], volume.upcase)
        _tree, archives, _records = stacked([[file("a", b"1")]], volume.upcase)
        Applier(volume, tree).run(archives)
    assert caught.value.hint


def test_journals_of_the_base_are_removed_with_their_main_file(blank):
    """The layer was built on a version of the OS layer without these journals."""
    base = [
        file(path, b"base") for path in ("d/x.db", "d/x.db-wal", "d/X.DB.log2", "d/y.db", "d/y.db-wal", "d/z.db-wal")
    ]
    with changed(blank, [base]) as (below, _applied):
        for stack, expected in (
            ([file("d/X.db", b"layer")], {"d/X.db"}),
            ([file("d/x.db", b"layer"), file("d/x.db-wal", b"layer")], {"d/x.db", "d/x.db-wal"}),
            ([Item(Entry("d/x.db", "whiteout"))], set()),
        ):
            with changed((below, blank[1]), [stack]) as (device, _applied):
                found = {path for path in read_tree(device) if "." in path}
                assert found == {"d/y.db", "d/y.db-wal", "d/z.db-wal"} | expected
