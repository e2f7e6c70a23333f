# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and hives that CompactOS compressed: capturing and composing."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.ntfs.wof.container import CompressedStream
from ansible_collections.strata.layering.plugins.module_utils.windows.installation import load_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.sample.pe import make_pe
from ansible_collections.strata.layering.tests.support import stored_layers, wof
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    capture_change,
    make_windows_disk,
    tree_differences,
)
from ansible_collections.strata.layering.tests.support.ntfs_check import check
from ansible_collections.strata.layering.tests.support.ntfs_images import verify_volume
from ansible_collections.strata.layering.tests.support.volume_changes import existing, put

PROGRAM = make_pe("program.exe", 90_000)
PLAIN = ("Program Files/App/plain.exe", "Windows/System32/plain.dll")
COMPRESSED = ("Program Files/App/compressed.exe", "Windows/System32/compressed.dll")
NTUSER = "Users/Default/NTUSER.DAT"
SOFTWARE = "Windows/System32/config/SOFTWARE"


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    """A repository with an OS layer in which some files, and the hive of the default user with its log, are compressed."""
    folder = tmp_path_factory.mktemp("compact")
    raw = str(folder / "raw")
    make_windows_disk(raw)
    with FileDevice(raw, writable=True) as device:
        window = max(read_partitions(device).partitions, key=lambda partition: partition.size).window(device)
        with Volume.mount(window, writable=True) as volume:
            for path in (*PLAIN, *COMPRESSED):
                put(volume, path, PROGRAM)
            put(volume, NTUSER + ".LOG1", b"old log" * 100)
            for path in (*COMPRESSED, NTUSER, NTUSER + ".LOG1"):
                wof.compact_path(volume, path)
    return Packaging(str(folder), raw)


def expand(volume, path: str) -> None:
    """Store a compressed file as Windows does when a program opens it for writing; times and attributes stay."""
    with existing(volume, path) as node:
        data, times = node.read_content(), node.times
        node.remove_compression()
        node.write(data)
        node.set_times(times)


def rewritten(volume, path: str, data: bytes) -> None:
    """Write data of the same size into a file; its times stay."""
    with existing(volume, path) as node:
        times = node.times
        node.write(data)
        node.set_times(times)


def test_files_that_windows_only_compressed_or_expanded_are_no_change(packaging):
    def change(volume):
        for path in PLAIN:
            wof.compact_path(volume, path, wof.XPRESS16K)
        for path in COMPRESSED:
            expand(volume, path)
        wof.compact_path(volume, SOFTWARE)
        put(volume, "Data/new.txt")

    _result, paths, deltas = capture_change(packaging, change)
    assert paths == {"Data/new.txt": "file"}
    assert not deltas


def test_files_that_were_compressed_in_another_way_are_no_change(packaging):
    def change(volume):
        for path in COMPRESSED:
            expand(volume, path)
            wof.compact_path(volume, path, wof.XPRESS8K)
        put(volume, "Data/new.txt")

    assert capture_change(packaging, change)[1] == {"Data/new.txt": "file"}


@pytest.mark.parametrize("path", [*PLAIN, *COMPRESSED])
def test_compressed_file_with_other_data_is_captured_as_it_is(packaging, path):
    """One byte in the last chunk differs."""
    changed = PROGRAM[:-10] + b"\1" + PROGRAM[-9:]

    def change(volume):
        if path in COMPRESSED:
            expand(volume, path)
        rewritten(volume, path, changed)
        wof.compact_path(volume, path, wof.XPRESS16K)

    result, paths, _deltas = capture_change(packaging, change)
    assert paths == {path: "file"}
    entry = next(
        record.entry
        for record in stored_layers.records(packaging.repository, result.layer)
        if record.entry.path == path
    )
    assert (entry.size, entry.sparse, entry.reparse) == (len(PROGRAM), [], wof.reparse_point(wof.XPRESS16K))
    assert [name for name, _size in entry.streams] == ["WofCompressedData"]
    with packaging.compose([result.layer]).open_disk() as disk:
        window = packaging.partition.window(disk)
        with Volume.mount(window) as volume, existing(volume, path) as node:
            assert node.read_content() == changed
        assert check(window) == []
        with packaging.changed(change) as device:
            base = packaging.tree(device)
        assert tree_differences(base, packaging.tree(disk)) == []


def test_excluded_file_that_windows_compressed_is_not_decompressed(packaging, monkeypatch):
    def change(volume):
        for path in PLAIN:
            wof.compact_path(volume, path)
        with existing(volume, COMPRESSED[0]) as node:
            node.delete()

    monkeypatch.setattr(CompressedStream, "pread", lambda *_arguments: pytest.fail("decompressed"))
    rules = [{"path": path.replace("/", "\\")} for path in PLAIN]
    assert capture_change(packaging, change, *rules)[1] == {COMPRESSED[0]: "whiteout"}


def test_compressed_file_whose_form_alone_is_damaged_is_captured(packaging):
    """Data that cannot be read may be a change."""

    def change(volume):
        wof.compact_path(volume, PLAIN[0])
        with existing(volume, PLAIN[0]) as node:
            node.write(b"\xff" * 8, 0, "WofCompressedData")

    assert capture_change(packaging, change)[1] == {PLAIN[0]: "file"}


def test_file_that_only_became_sparse_is_still_captured(packaging):
    def change(volume):
        with existing(volume, PLAIN[0]) as node:
            node.set_attributes(node.attributes | 0x200)

    assert capture_change(packaging, change)[1] == {PLAIN[0]: "file"}


def test_file_of_a_layer_replaces_a_compressed_file_without_a_trace(packaging):
    def change(volume):
        for path in COMPRESSED:
            with existing(volume, path) as node:
                node.delete()
            put(volume, path, b"MZ new and short")

    result, paths, _deltas = capture_change(packaging, change)
    assert paths == dict.fromkeys(COMPRESSED, "file")
    with packaging.compose([result.layer]).open_disk() as disk:
        window = packaging.partition.window(disk)
        with Volume.mount(window) as volume:
            for path in COMPRESSED:
                with existing(volume, path) as node:
                    assert node.read() == node.read_content() == b"MZ new and short"
                    assert (node.reparse, node.streams, node.attributes & 0x600) == (None, [], 0)
        assert check(window) == []


@pytest.mark.parametrize("stays_compressed", [True, False])
def test_changed_keys_are_merged_into_a_compressed_hive(packaging, tmp_path, stays_compressed):
    """Composing writes the hive of the OS layer again: neither the compressed hive nor its compressed log may remain."""

    def change(volume):
        expand(volume, NTUSER)
        with existing(volume, NTUSER) as node:
            hive = read_hive(node.read())
        hive.root.create("Software\\App")
        put(volume, NTUSER, write_hive(hive))
        if stays_compressed:
            wof.compact_path(volume, NTUSER)

    with packaging.changed(change) as device:
        layer = capture(
            packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "App", "1")
        ).layer
    with packaging.compose([layer]).open_disk() as disk:
        window = packaging.partition.window(disk)
        with Volume.mount(window) as volume:
            assert load_hive(volume, NTUSER).root.key("Software\\App") is not None
            for path in (NTUSER, NTUSER + ".LOG1"):
                with existing(volume, path) as node:
                    assert node.read() == node.read_content()
                    assert (node.reparse, node.streams, node.attributes & 0x600) == (None, [], 0)
                    assert node.read(4) == (b"regf" if path == NTUSER else b"")
        assert check(window) == []
        with open(tmp_path / "volume", "wb") as copy:
            for offset in range(0, window.size, 1 << 20):
                copy.write(window.pread(min(1 << 20, window.size - offset), offset))
    verify_volume(tmp_path / "volume")
