# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that become something else, that hold files behind a reparse point, or whose names differ only in case."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import CaptureResult, capture
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.sample.tree import junction
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    left_out,
    make_windows_disk,
    tree_differences,
)
from ansible_collections.strata.layering.tests.support.volume_changes import put, rename

#: A reparse point of OneDrive. The directory bit of its tag means that the folder has files.
CLOUD = b"\x1a\x60\x00\x90\x08\x00\x00\x00cloudy!!"


def take(packaging, change, below=()) -> tuple[CaptureResult, dict[str, str], list[str]]:
    """Capture a change on top of layers and compose the result.

    Return the result, its entries, and the differences between the image and the changed disk.
    """
    base_image = packaging.compose(list(below))
    with packaging.changed(change, base_image) as device:
        result = capture(packaging.repository, base_image, lambda: device, LayerVersion("app", "App", "1"))
        expected = packaging.tree(device)
    with base_image.open_disk() as disk:
        base = packaging.tree(disk)
    with packaging.compose([*below, result.layer]).open_disk() as disk:
        found = packaging.tree(disk)
    entries = {
        record.entry.path: record.entry.kind
        for record in stored_layers.records(packaging.repository, result.layer)
        if not record.entry.implied
    }
    return result, entries, tree_differences(expected, found, base)


def delete(volume, path: str) -> None:
    with volume.find(path) as node:
        node.delete()


@pytest.mark.parametrize("replacement", ["file", "junction"])
def test_capture_folder_replaced_by_a_leaf(packaging, replacement):
    def change(volume):
        delete(volume, "Data/one")
        if replacement == "file":
            put(volume, "Data/one")
        else:
            with volume.find("Data") as above, above.create_directory("one") as node:
                node.set_reparse(junction("C:\\Windows"))

    _result, entries, differences = take(packaging, change)
    assert entries == {"Data/one": "file" if replacement == "file" else "directory"}
    assert differences == []


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        (
            lambda volume: (put(volume, "Data/cloud/sub/one"), mark(volume, "Data/cloud")),
            ["Data/cloud", "Data/cloud/sub", "Data/cloud/sub/one"],
        ),
        (
            lambda volume: (rename(volume, "Data/plain", "Data", "cloud"), mark(volume, "Data/cloud")),
            ["Data/cloud", "Data/cloud/two", "Data/plain"],
        ),
        (
            lambda volume: (
                delete(volume, "Data/there/three"),
                put(volume, "Data/there/four"),
                mark(volume, "Data/there", b"?"),
            ),
            ["Data/there", "Data/there/four", "Data/there/three"],
        ),
    ],
    ids=["new", "renamed", "changed"],
)
def test_capture_folder_with_a_reparse_point_and_files(packaging, change, taken):
    with packaging.changed(
        lambda volume: (put(volume, "Data/plain/two"), put(volume, "Data/there/three"), mark(volume, "Data/there"))
    ) as device:
        below = capture(
            packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "Below", "1")
        ).layer
    _result, entries, differences = take(packaging, change, [below])
    assert sorted(entries) == taken
    assert differences == []


def mark(volume, path: str, more: bytes = b"!") -> None:
    with volume.find(path) as node:
        node.set_reparse(CLOUD[:-1] + more)


def test_capture_new_folder_that_differs_in_case_from_a_base_folder(packaging):
    """No file of the new folder replaces a file of the other folder."""

    def change(volume):
        for name in ("own.txt", "file number 1.dat"):
            put(volume, f"Program Files/Other/{name}")
        rename(volume, "Program Files/Other", "Program Files", "ALPHA")

    result, entries, _differences = take(packaging, change)
    assert entries == {}
    assert sorted(left_out(result, "file")["case"]) == [
        "Program Files/ALPHA differs only in case from Program Files/Alpha",
        "Program Files/ALPHA/file number 1.dat is in a folder that differs only in case from Program Files/Alpha",
        "Program Files/ALPHA/own.txt is in a folder that differs only in case from Program Files/Alpha",
    ]


def test_capture_new_folders_that_differ_in_case(packaging):
    """One folder is captured with its content, and nothing of the other folder."""

    def change(volume):
        for path in ("New/a.txt", "New/only.txt", "Other/A.txt", "Other/b.txt"):
            put(volume, f"Program Files/{path}")
        rename(volume, "Program Files/Other", "Program Files", "NEW")

    result, entries, _differences = take(packaging, change)
    assert sorted(entries) == ["Program Files/NEW", "Program Files/NEW/A.txt", "Program Files/NEW/b.txt"]
    assert len(left_out(result, "file")["case"]) == 3


def test_capture_base_folders_that_differ_in_case(tmp_path):
    """Both folders changed: the layer contains the changes of one of them."""
    make_windows_disk(str(tmp_path / "raw"))
    with FileDevice(str(tmp_path / "raw"), writable=True) as device:
        partition = max(read_partitions(device).partitions, key=lambda partition: partition.size)
        with Volume.mount(partition.window(device), writable=True) as volume:
            put(volume, "Data/OTHER/a.txt")
            put(volume, "Data/x/b.txt")
            rename(volume, "Data/x", "Data", "other")
    packaging = Packaging(str(tmp_path), str(tmp_path / "raw"))

    def change(volume):
        with volume.find("Data") as above:
            for child in sorted(above.children()):
                if child.name in ("OTHER", "other"):
                    with volume.open(child.reference, child.name, above.file_reference) as node:
                        node.create_file(f"{'big' if child.name.isupper() else 'small'}.txt", b"new").close()

    result, entries, differences = take(packaging, change)
    assert sorted(entries) == ["Data/OTHER/big.txt"]
    assert left_out(result, "file") == {
        "case": ["Data/other/small.txt is in a folder that differs only in case from Data/OTHER"]
    }
    assert differences == ["Data/other/small.txt: missing"]


def test_capture_too_deep_folders_are_excluded(packaging):
    """Only these folders are excluded, so that the layer can be composed."""

    def change(volume):
        put(volume, "/".join("d" * 300))
        put(volume, "Data/new")

    result, entries, _differences = take(packaging, change)
    assert len(entries) == 257
    assert "Data/new" in entries
    assert [(entry["reason"], entry["count"]) for entry in result.left_out] == [("name", 44)]
