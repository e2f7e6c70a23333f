# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing two states of a volume: every kind of change is found, and no other file."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs.cluster_owners import find_owners
from ansible_collections.strata.layering.plugins.module_utils.ntfs.file_state import read_state
from ansible_collections.strata.layering.plugins.module_utils.ntfs.mft import MasterFileTable
from ansible_collections.strata.layering.plugins.module_utils.ntfs.ranges import Ranges
from ansible_collections.strata.layering.plugins.module_utils.ntfs.raw_volume import RawVolume
from ansible_collections.strata.layering.plugins.module_utils.ntfs.record_paths import Paths
from ansible_collections.strata.layering.plugins.module_utils.ntfs.times import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume_compare import compare
from ansible_collections.strata.layering.tests.support.ntfs_check import file_runs
from ansible_collections.strata.layering.tests.support.ntfs_images import verify_volume

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
    """The paths of a volume and of a copy to be changed."""
    path = tmp_path_factory.mktemp("pair") / "before"
    blank(path, cluster=request.param)
    write(path, fill)
    return path, path.with_name("after")


def grains(before, after) -> Ranges:
    """Return the grains in which two files differ."""
    old, new = (np.fromfile(path, np.uint8).reshape(-1, GRAIN) for path in (before, after))
    differ = np.flatnonzero((old != new).any(axis=1)).astype(np.int64)
    return Ranges(differ * GRAIN, (differ + 1) * GRAIN)


def changed(pair, change, ranges=None, **options):
    """Return the files that differ, {path: (paths before, paths after, kinds of difference)}, and the whole result."""
    before, after = pair
    shutil.copyfile(before, after)
    write(after, change)
    with FileDevice(str(before)) as first, FileDevice(str(after)) as second:
        old, new = MasterFileTable(first), MasterFileTable(second)
        result = compare(old, new, ranges or grains(before, after), **options)
        files = {}
        for file in result.files:
            paths = [
                [Paths(table).path(name) for name in names or ()]
                for table, names in ((old, file.before), (new, file.after))
            ]
            kinds = {kind for kind in ("data", "values", "metadata", "incidental", "form") if getattr(file, kind)}
            files[(paths[1] or paths[0])[0]] = (*paths, kinds)
    return files, result


def on(path, work):
    """Return a change of a volume that calls ``work`` with the file at ``path``."""

    def change(volume):
        with volume.find(path) as node:
            work(node)

    return change


def test_unchanged_volume_has_no_differences(pair):
    files, result = changed(pair, lambda volume: None)
    assert files == {}
    assert result.contradictions == 0
    assert not result.scanned


def test_comparing_the_whole_volume_finds_the_same_files(pair):
    size = pair[0].stat().st_size
    files, result = changed(pair, on("folder/file 7", lambda node: node.set_attributes(3)), Ranges.of([(0, size)]))
    assert files == {"folder/file 7": (["folder/file 7"], ["folder/file 7"], {"metadata"})}
    assert result.records_compared > 300


@pytest.mark.parametrize(
    ("work", "kinds"),
    [
        (lambda node: node.write(b"resident", 0), {"data"}),
        (lambda node: node.truncate(100_000), {"data", "form"}),
        (lambda node: node.write(b"x", 0, "stream"), {"data"}),
        (lambda node: node.set_times(Times(1, 2, 3, 4)), {"incidental"}),
        (lambda node: node.set_object_id(b"0123456789abcdef"), {"values"}),
        (lambda node: node.set_eas(b"\x10\0\0\0\0\4\2\0NAME\0ok\0"), {"values"}),
        (lambda node: node.set_reparse(b"\x1a\x70\x00\x90\x08\x00\x00\x00cloudy!!"), {"values"}),
        (lambda node: node.set_short_name("SHORT~1"), {"metadata"}),
    ],
)
def test_change_of_a_file_is_found(pair, work, kinds):
    files, result = changed(pair, on("folder/file 9", work))
    assert files == {"folder/file 9": (["folder/file 9"], ["folder/file 9"], kinds)}
    assert not result.scanned


def test_changed_time_of_access_is_not_a_difference(pair):
    files, result = changed(
        pair, on("folder/file 9", lambda node: node.set_times(node.times._replace(accessed=77, changed=78)))
    )
    assert files == {}
    assert result.records_compared > 0


def test_data_overwritten_in_place_is_found_by_a_scan(pair):
    files, result = changed(pair, on("folder/big", lambda node: node.write(b"other", 2_000_001)))
    assert {path: change[2] for path, change in files.items()} == {"folder/big": {"data", "values"}}
    assert result.scanned
    assert result.bytes_compared <= 4 * GRAIN


def test_data_of_ignored_files_is_not_compared(pair):
    with FileDevice(str(pair[0])) as device, Volume.mount(device) as volume, volume.find("folder/big") as node:
        number = node.file_reference & 0xFFFFFFFFFFFF
    files, result = changed(
        pair, on("folder/big", lambda node: node.write(b"other" * 100_000, 2_000_001)), ignored=[number]
    )
    assert files == {}
    assert result.bytes_compared <= 2 * GRAIN


def test_created_and_deleted_files_are_found(pair):
    def change(volume):
        with volume.find("folder") as folder:
            for name in ("file 3", "file 4"):
                with folder.child(name) as node:
                    node.delete()
            for name in ("new 1", "new 2", "new 3"):
                folder.create_file(name, b"n" * 50_000).close()

    files, result = changed(pair, change)
    assert {path: (bool(file[0]), bool(file[1])) for path, file in files.items()} == {
        **{f"folder/file {number}": (True, False) for number in (3, 4)},
        **{f"folder/new {number}": (False, True) for number in (1, 2, 3)},
    }
    assert result.contradictions == 0


def test_added_and_removed_links_are_found(pair):
    def change(volume):
        with volume.find("second name") as node:
            node.delete()
        with volume.find("folder/file 100") as node, volume.root as root:
            root.link(node, "another").close()

    files, _result = changed(pair, change)
    by_name = {tuple(sorted(file[0])): tuple(sorted(file[1])) for file in files.values()}
    assert by_name == {
        ("folder/big", "second name"): ("folder/big",),
        ("folder/file 100",): ("another", "folder/file 100"),
    }


def test_change_in_an_extension_record_is_found(pair):
    files, _result = changed(
        pair, on("folder/listed", lambda node: node.write(b"STREAM", 0, "a stream with quite a long name, number 55"))
    )
    assert files == {"folder/listed": (["folder/listed"], ["folder/listed"], {"data"})}
    with FileDevice(str(pair[0])) as device, Volume.mount(device) as volume, volume.find("folder/listed") as node:
        state = read_state(MasterFileTable(device), node.file_reference & 0xFFFFFFFFFFFF)
        assert sorted(name for _kind, name in state.streams) == sorted(["", *(name for name, _size in node.streams)])


def test_thousands_of_new_files_are_found_without_a_scan(pair):
    def change(volume):
        with volume.root as root, root.create_directory("many") as many:
            for number in range(3000):
                many.create_file(f"{number}", b"x" * (number % 60)).close()

    files, result = changed(pair, change)
    assert len(files) == 3001
    assert not result.scanned


def test_owners_equal_the_runs_of_every_file(pair):
    with FileDevice(str(pair[0])) as device, Volume.mount(device) as volume:
        table = MasterFileTable(device)
        runs = {}
        with volume.find("folder") as folder:
            for child in folder.children():
                runs[child.reference & 0xFFFFFFFFFFFF] = [
                    (first, length) for length, first in file_runs(device, child.reference) if first is not None
                ]
        size = volume.cluster_size
        for seed in range(10):
            chosen = np.sort(np.random.default_rng(seed).choice(volume.cluster_count, 40))
            ranges = Ranges(chosen * size, chosen * size + 1)
            expected = {
                number
                for number, file in runs.items()
                if any(first <= cluster < first + length for cluster in chosen for first, length in file)
            }
            assert {number for number in find_owners(table, ranges) if number in runs} == expected


def tear(path, number: int, kind: str) -> None:
    """Make a file record look as if it was not written completely: with the signature that chkdsk sets, or with wrong fixups."""
    with FileDevice(str(path), writable=True) as device:
        raw = RawVolume(device)
        size = raw.geometry.record_size
        ((start, _count),) = raw.pieces(raw.mft_runs, number * size, size)
        if kind == "signature":
            device.pwrite(b"BAAD", start)
        else:
            device.pwrite(bytes(byte ^ 0x55 for byte in device.pread(2, start + size - 2)), start + size - 2)


@pytest.mark.parametrize("kind", ["signature", "fixups"])
def test_incomplete_record_is_damage_only_if_it_is_in_use(pair, tmp_path, kind):
    numbers = {}

    def remember(volume):
        for name in ("file 20", "file 250", "file 251"):
            with volume.find(f"folder/{name}") as node:
                numbers[name] = node.file_reference & 0xFFFFFFFFFFFF

    def remove(volume):
        with volume.find("folder/file 250") as node:
            node.delete()
        with volume.find("folder") as folder, folder.child("file 251") as node:
            node.set_attributes(0x22)

    old, new = tmp_path / "before", tmp_path / "after"
    shutil.copyfile(pair[0], old)
    shutil.copyfile(pair[0], new)
    write(old, remember)
    write(new, remove)

    def compared() -> list[int]:
        with FileDevice(str(old)) as first, FileDevice(str(new)) as second:
            tables = MasterFileTable(first), MasterFileTable(second)
            everything = Ranges.of([(0, second.size // GRAIN * GRAIN)])
            find_owners(tables[1], everything)
            return [file.number for file in compare(*tables, everything).files]

    tear(new, numbers["file 250"], kind)
    assert {numbers["file 250"], numbers["file 251"]} <= set(compared())
    # The record is used for one of these files.
    write(new, lambda volume: [volume.root.create_file(f"more {number}").close() for number in range(20)])
    assert len(compared()) == 21 + 1
    verify_volume(new)
    tear(new, numbers["file 20"], kind)
    with pytest.raises(Corrupt) as caught:
        compared()
    assert caught.value.code == "ntfs.damaged"
    assert f"file record {numbers['file 20']}" in caught.value.message
    with FileDevice(str(new)) as device:
        for search in (
            lambda table: read_state(table, numbers["file 20"]),
            lambda table: find_owners(table, Ranges([], [])),
        ):
            with pytest.raises(Corrupt):
                search(MasterFileTable(device))


def test_damaged_records_raise_corrupt(pair):
    before, after = pair
    shutil.copyfile(before, after)
    rng = np.random.default_rng(3)
    with FileDevice(str(before)) as device:
        table = MasterFileTable(device)
        start = table.raw.mft_runs[0][1] * table.raw.geometry.cluster_size
        records = device.pread(512 * 1024, start)
    rejected = 0
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
                rejected += 1
    assert rejected
