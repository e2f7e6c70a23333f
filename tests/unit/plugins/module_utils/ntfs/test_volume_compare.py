# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing two states of a volume: every kind of change is found, and nothing else."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs.cluster_owners import find_owners
from ansible_collections.strata.layering.plugins.module_utils.ntfs.file_state import read_state
from ansible_collections.strata.layering.plugins.module_utils.ntfs.mft import MasterFileTable
from ansible_collections.strata.layering.plugins.module_utils.ntfs.node import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.ranges import Ranges
from ansible_collections.strata.layering.plugins.module_utils.ntfs.record_paths import Paths
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume_compare import compare

GRAIN = 65536


def write(path, change) -> None:
    with FileDevice(str(path), writable=True) as device, Volume.mount(device, writable=True) as volume:
        change(volume)


def fill(volume) -> None:
    with volume.root as root, root.create_directory("folder") as folder:
        for number in range(300):
            folder.create_file(f"file {number}", bytes([number % 256]) * (number * 37)).close()
        with folder.create_file("big", np.random.default_rng(1).bytes(3_000_000)) as big:
            root.link(big, "second name").close()
        # Attributes that fill more than one record.
        with folder.create_file("listed") as listed:
            for number in range(60):
                listed.write(b"stream", 0, f"a stream with quite a long name, number {number}")


@pytest.fixture(name="pair", params=[4096, 512, 65536], scope="module")
def _pair(blank, tmp_path_factory, request):
    """Paths of a volume and of a copy to be changed."""
    path = tmp_path_factory.mktemp("pair") / "before"
    blank(path, cluster=request.param)
    write(path, fill)
    return path, path.with_name("after")


def grains(before, after) -> Ranges:
    """Where two files differ, in whole grains."""
    one, other = (np.fromfile(path, np.uint8).reshape(-1, GRAIN) for path in (before, after))
    differ = np.flatnonzero((one != other).any(axis=1)).astype(np.int64)
    return Ranges(differ * GRAIN, (differ + 1) * GRAIN)


def changed(pair, change, ranges=None, **options):
    """What compare finds: {path: (before, after, data, metadata)}, and the whole result."""
    before, after = pair
    shutil.copyfile(before, after)
    write(after, change)
    with FileDevice(str(before)) as first, FileDevice(str(after)) as second:
        old, new = MasterFileTable(first), MasterFileTable(second)
        result = compare(old, new, ranges or grains(before, after), **options)
        found = {}
        for one in result.files:
            paths = [
                [Paths(table).path(name) for name in names or ()]
                for table, names in ((old, one.before), (new, one.after))
            ]
            found[(paths[1] or paths[0])[0]] = (*paths, one.data, one.metadata)
    return found, result


def on(path, work):
    def change(volume):
        with volume.find(path) as node:
            work(node)

    return change


def test_nothing(pair):
    found, result = changed(pair, lambda volume: None)
    assert found == {} and result.contradictions == 0 and not result.scanned


def test_looking_everywhere_finds_no_more(pair):
    size = pair[0].stat().st_size
    found, result = changed(pair, on("folder/file 7", lambda node: node.set_attributes(3)), Ranges.of([(0, size)]))
    assert found == {"folder/file 7": (["folder/file 7"], ["folder/file 7"], False, True)}
    assert result.records_compared > 300


@pytest.mark.parametrize(
    ("work", "data", "metadata"),
    [
        (lambda node: node.write(b"resident", 0), True, False),
        (lambda node: node.truncate(100_000), True, True),
        (lambda node: node.write(b"x", 0, "stream"), True, False),
        (lambda node: node.set_times(Times(1, 2, 3, 4)), False, True),
        (lambda node: node.set_object_id(b"0123456789abcdef"), False, True),
        (lambda node: node.set_eas(b"\x10\0\0\0\0\4\2\0NAME\0ok\0"), False, True),
        (lambda node: node.set_reparse(b"\x1a\x70\x00\x90\x08\x00\x00\x00cloudy!!"), False, True),
        (lambda node: node.set_short_name("SHORT~1"), False, True),
    ],
)
def test_one_file(pair, work, data, metadata):
    found, result = changed(pair, on("folder/file 9", work))
    assert found == {"folder/file 9": (["folder/file 9"], ["folder/file 9"], data, metadata)}
    assert not result.scanned


def test_time_of_access_alone_is_no_change(pair):
    found, result = changed(
        pair, on("folder/file 9", lambda node: node.set_times(node.times._replace(accessed=77, changed=78)))
    )
    assert found == {} and result.records_compared > 0


def test_data_overwritten_in_place_is_found_by_its_owner(pair):
    found, result = changed(pair, on("folder/big", lambda node: node.write(b"other", 2_000_001)))
    assert {path: change[2:] for path, change in found.items()} == {"folder/big": (True, False)}
    assert result.scanned and result.bytes_compared <= 4 * GRAIN


def test_what_is_ignored_is_not_looked_for(pair):
    with FileDevice(str(pair[0])) as device, Volume.mount(device) as volume, volume.find("folder/big") as node:
        number = node.file_reference & 0xFFFFFFFFFFFF
    found, result = changed(
        pair, on("folder/big", lambda node: node.write(b"other" * 100_000, 2_000_001)), ignored=[number]
    )
    assert found == {} and result.bytes_compared <= 2 * GRAIN


def test_new_and_gone(pair):
    def change(volume):
        with volume.find("folder") as folder:
            for name in ("file 3", "file 4"):
                with folder.child(name) as node:
                    node.delete()
            for name in ("new one", "new two", "new three"):
                folder.create_file(name, b"n" * 50_000).close()

    found, result = changed(pair, change)
    assert {path: (bool(one[0]), bool(one[1])) for path, one in found.items()} == {
        **{f"folder/file {number}": (True, False) for number in (3, 4)},
        **{f"folder/new {number}": (False, True) for number in ("one", "two", "three")},
    }
    assert result.contradictions == 0


def test_links(pair):
    def change(volume):
        with volume.find("second name") as node:
            node.delete()
        with volume.find("folder/file 100") as node, volume.root as root:
            root.link(node, "another").close()

    found, _result = changed(pair, change)
    by_name = {tuple(sorted(one[0])): tuple(sorted(one[1])) for one in found.values()}
    assert by_name == {
        ("folder/big", "second name"): ("folder/big",),
        ("folder/file 100",): ("another", "folder/file 100"),
    }


def test_attributes_in_other_records(pair):
    found, _result = changed(
        pair, on("folder/listed", lambda node: node.write(b"STREAM", 0, "a stream with quite a long name, number 55"))
    )
    assert found == {"folder/listed": (["folder/listed"], ["folder/listed"], True, False)}
    with FileDevice(str(pair[0])) as device, Volume.mount(device) as volume, volume.find("folder/listed") as node:
        state = read_state(MasterFileTable(device), node.file_reference & 0xFFFFFFFFFFFF)
        assert sorted(name for _kind, name in state.streams) == sorted(["", *(name for name, _size in node.streams)])


def test_thousands(pair):
    def change(volume):
        with volume.root as root, root.create_directory("many") as many:
            for number in range(3000):
                many.create_file(f"{number}", b"x" * (number % 60)).close()

    found, result = changed(pair, change)
    assert len(found) == 3001 and not result.scanned


def test_owners_against_the_runs_of_every_file(pair):
    with FileDevice(str(pair[0])) as device, Volume.mount(device) as volume:
        table = MasterFileTable(device)
        runs = {}
        with volume.find("folder") as folder:
            for child in folder.children():
                with volume.open(child.reference) as node, node.open_stream() as stream:
                    runs[child.reference & 0xFFFFFFFFFFFF] = [
                        (first, length) for length, first in stream.runs() if first is not None
                    ]
        size = volume.cluster_size
        for seed in range(10):
            chosen = np.sort(np.random.default_rng(seed).choice(volume.cluster_count, 40))
            ranges = Ranges(chosen * size, chosen * size + 1)
            expected = {
                number
                for number, found in runs.items()
                if any(first <= one < first + length for one in chosen for first, length in found)
            }
            assert {number for number in find_owners(table, ranges) if number in runs} == expected


def test_records_that_are_damaged_are_refused(pair):
    before, after = pair
    shutil.copyfile(before, after)
    rng = np.random.default_rng(3)
    with FileDevice(str(before)) as device:
        table = MasterFileTable(device)
        start = table.raw.mft_runs[0][1] * table.raw.geometry.cluster_size
        records = device.pread(512 * 1024, start)
    refused = 0
    for _turn in range(100):
        data = bytearray(records)
        for at in rng.integers(40 * 1024, 300 * 1024, 3):
            data[at] = rng.integers(256)
        with open(after, "r+b") as stream:
            stream.seek(start)
            stream.write(data)
        with FileDevice(str(before)) as first, FileDevice(str(after)) as second:
            try:
                compare(MasterFileTable(first), MasterFileTable(second), Ranges.of([(start, start + len(records))]))
            except StrataError as error:
                assert isinstance(error, Corrupt)
                refused += 1
    assert refused
