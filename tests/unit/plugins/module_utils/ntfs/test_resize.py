# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Growing volumes, verified with ntfsresize, ntfsfix, phantom-trace and ntfs_check."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    InternalError,
    InvalidInput,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs import resize
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume_state import read_state
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors
from ansible_collections.strata.layering.tests.support.ntfs_check import RecordTable, count_allocated
from ansible_collections.strata.layering.tests.support.ntfs_images import run, verify_volume


def grow_and_check(path, size):
    """Grow a volume and check its geometry, its bitmap and the result of ntfsresize."""
    os.truncate(path, size)
    with FileDevice(str(path), writable=True) as device:
        geometry = resize.grow(device, size)
        assert read_state(device).clean
        assert read_state(device).backup_boot
        table = RecordTable(device)
        owners, outside = table.owned_clusters()
        assert outside == 0
        assert count_allocated(table.cluster_bitmap()) == int((owners > 0).sum())
        assert int((owners > 1).sum()) == 0
    assert geometry.clusters == (size // geometry.sector_size - 1) * geometry.sector_size // geometry.cluster_size
    assert "Cluster size" in run("ntfsresize", "--info", "--force", path)
    run("ntfsresize", "-n", "--force", path)


@pytest.mark.parametrize("cluster", [512, 1024, 4096, 65536])
@pytest.mark.parametrize("megabytes", [65, 100, 300, 5000])
def test_grown_volume_keeps_its_files_and_takes_new_files(blank, tmp_path, cluster, megabytes):
    path = blank(tmp_path / "image", 64, cluster)
    with (
        FileDevice(str(path), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        root.create_file("before", b"b" * 100000).close()
    grow_and_check(path, megabytes << 20)
    verify_volume(path)
    with (
        FileDevice(str(path), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        assert volume.find("before").read() == b"b" * 100000
        root.create_file("after", b"a" * (min(megabytes - 32, 120) << 20)).close()
    verify_volume(path)


def test_volume_grows_repeatedly_and_by_a_sector(blank, tmp_path):
    path = blank(tmp_path / "image", 64)
    size = 64 << 20
    for more in (512, 4096, 4096 * 7 + 512, 128 << 20, 1 << 30):
        size += more
        grow_and_check(path, size)
        verify_volume(path)


def test_volume_of_windows_grows(windows_image, tmp_path, independent):
    path = windows_image(tmp_path / "image")
    grow_and_check(path, 300 << 20)
    verify_volume(path, entries_follow=False)
    assert len(list(independent(path).tree())) > 2000


def test_old_content_of_the_new_space_is_ignored(blank, tmp_path):
    path = blank(tmp_path / "image", 64)
    with open(path, "ab") as stream:
        stream.write(b"\xff" * (200 << 20))
    with FileDevice(str(path), writable=True) as device:
        resize.grow(device, 264 << 20)
    verify_volume(path)


def test_volume_larger_than_its_device_is_an_internal_error(image):
    with FileDevice(str(image), writable=True) as device, pytest.raises(InternalError) as caught:
        resize.grow(device, device.size + 512)
    assert caught.value.code == "ntfs.grow"


def test_volume_does_not_shrink(image):
    with FileDevice(str(image), writable=True) as device, pytest.raises(InvalidInput) as caught:
        resize.grow(device, device.size // 2)
    assert caught.value.code == "ntfs.shrink"


def test_growing_to_the_same_size_changes_nothing(image):
    with FileDevice(str(image), writable=True) as device:
        before = image.read_bytes()
        resize.grow(device, device.size)
        assert image.read_bytes() == before


def test_volume_with_too_many_clusters_is_not_supported(blank, tmp_path):
    path = blank(tmp_path / "image", 64, 512)
    os.truncate(path, 3 << 40)
    with FileDevice(str(path), writable=True) as device, pytest.raises(Unsupported) as caught:
        resize.grow(device, 3 << 40)
    assert caught.value.code == "ntfs.too_many_clusters"


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 400_000), min_size=1, max_size=3))
def test_volume_grows_to_any_sizes(tmp_path_factory, blank, sizes):
    path = blank(tmp_path_factory.mktemp("grow") / "image", 16)
    size = 16 << 20
    for more in sizes:
        size += more * 512
        grow_and_check(path, size)
    verify_volume(path)
    path.unlink()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_volume_raises_only_our_errors(tmp_path_factory, blank, data):
    path = blank(tmp_path_factory.mktemp("damaged") / "image", 8)
    with open(path, "r+b") as stream:
        for _number in range(data.draw(st.integers(1, 4))):
            stream.seek(
                data.draw(st.sampled_from([0, 16384, 16384 + 3 * 1024, 16384 + 6 * 1024, 16384 + 8 * 1024]))
                + data.draw(st.integers(0, 500))
            )
            stream.write(data.draw(st.binary(min_size=1, max_size=8)))
    os.truncate(path, 20 << 20)
    with FileDevice(str(path), writable=True) as device:
        with only_our_errors():
            resize.grow(device, 20 << 20)
    path.unlink()
