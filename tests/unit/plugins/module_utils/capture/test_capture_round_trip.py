# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture a changed disk and compose the layer again: the result is the changed disk."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    capture_change,
    make_windows_disk,
    tree_differences,
)
from ansible_collections.strata.layering.tests.support.volume_changes import KINDS, VolumeWorker, put


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=25), st.integers(0, 1 << 32))
def test_captured_layer_composed_gives_the_changed_disk(packaging, kinds, seed):
    def change(volume):
        worker = VolumeWorker(volume, seed)
        for kind in kinds:
            worker.step(kind)

    with packaging.changed(change) as device:
        result = capture(packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "App", "1"))
        expected = packaging.tree(device)
    with packaging.base_image.open_disk() as disk:
        base = packaging.tree(disk)
    image = packaging.compose([result.layer])
    with image.open_disk() as disk:
        assert tree_differences(expected, packaging.tree(disk), base) == []
    assert result.left_out == []


def test_capture_partition_that_begins_within_a_grain(tmp_path):
    """Windows XP begins its partition at sector 63 of an MBR disk."""
    make_windows_disk(str(tmp_path / "raw"), first_sector=63)
    packaging = Packaging(str(tmp_path), str(tmp_path / "raw"))

    def change(volume):
        worker = VolumeWorker(volume, 11)
        for kind in (*KINDS, "overwrite", "overwrite", "overwrite"):
            worker.step(kind)

    with packaging.changed(change) as device:
        result = capture(packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "App", "1"))
        expected = packaging.tree(device)
    with packaging.base_image.open_disk() as disk:
        base = packaging.tree(disk)
    with packaging.compose([result.layer]).open_disk() as disk:
        assert tree_differences(expected, packaging.tree(disk), base) == []


def test_captured_removal_of_a_path_that_the_image_lacks(packaging):
    with packaging.changed(lambda volume: put(volume, "Below/one.txt")) as device:
        below = capture(
            packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "Below", "1")
        ).layer
    image = packaging.compose([below])

    def change(volume):
        with volume.find("Below/one.txt") as node:
            node.delete()
        put(volume, "Upper/two.txt")

    with packaging.changed(change, image) as device:
        upper = capture(packaging.repository, image, lambda: device, LayerVersion("app", "Upper", "1")).layer
    with packaging.compose([upper]).open_disk() as disk:
        tree = packaging.tree(disk)
    assert "Upper/two.txt" in tree
    assert "Below" not in tree


def test_capture_unchanged_disk_gives_an_empty_layer(packaging):
    with packaging.changed(lambda volume: None) as device:
        result = capture(
            packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "Nothing", "1")
        )
    assert stored_layers.records(packaging.repository, result.layer) == []
    assert result.statistics["files_different"] == 0
    assert not result.left_out
    assert not result.hazards
    assert all(not any(counts.values()) for counts in result.changes.values())


def test_capture_removals(packaging):
    def change(volume):
        for path in ("Data/one", "Data/linked once.dat", "Program Files/Alpha/file number 1.dat"):
            with volume.find(path) as node:
                node.delete()

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == dict.fromkeys(
        ("Data/one", "Data/linked once.dat", "Program Files/Alpha/file number 1.dat"), "whiteout"
    )
    assert result.changes["files"]["removed"] == 8
    assert result.changes["removals"]["paths"] == 3


def test_capture_thousands_of_files(packaging):
    def change(volume):
        with volume.root as root, root.create_directory("Many") as folder:
            for number in range(3000):
                folder.create_file(f"file {number:04}.txt", b"%d" % number * (number % 50)).close()

    result, entries, _deltas = capture_change(packaging, change)
    assert len(entries) == 3001
    assert result.changes["files"]["added"] == 3000
    assert not result.statistics["whole_table_read"]


def test_capture_same_change_gives_the_same_layer(packaging):
    def change(volume):
        worker = VolumeWorker(volume, 7)
        for kind in KINDS:
            worker.step(kind)

    assert capture_change(packaging, change)[0].layer.digest == capture_change(packaging, change)[0].layer.digest


def test_capture_on_top_of_a_layer_has_only_new_changes(packaging):
    """A new version of a layer starts from the latest version: only new changes are captured."""
    with packaging.changed(lambda volume: put(volume, "App/one.txt")) as device:
        first = capture(
            packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "Stacked", "1")
        ).layer
    image = packaging.compose([first])
    with packaging.changed(lambda volume: put(volume, "App/two.txt"), image) as device:
        second = capture(packaging.repository, image, lambda: device, LayerVersion("app", "Stacked", "2")).layer
    assert [
        record.entry.path for record in stored_layers.records(packaging.repository, second) if not record.entry.implied
    ] == ["App/two.txt"]
    # The disk of one image does not descend from the other image.
    with packaging.changed(lambda volume: [put(volume, f"App/other {number}") for number in range(40)]) as device:
        third = capture(
            packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "Other", "1")
        ).layer
    foreign = packaging.compose([third])
    with (
        packaging.changed(lambda volume: [put(volume, f"App/foreign {number}") for number in range(40)]) as device,
        pytest.raises(StrataError) as caught,
    ):
        capture(packaging.repository, foreign, lambda: device, LayerVersion("app", "Foreign", "1"))
    assert caught.value.code == "capture.other_base"
