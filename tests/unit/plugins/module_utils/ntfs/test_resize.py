# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enlarging volumes, judged by ntfsresize, ntfsfix, phantom-trace and the workspace's own check."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    InvalidInput,
    StrataError,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs import mft, resize
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume_state import read_state
from ansible_collections.strata.layering.tests.unit.plugins.module_utils.ntfs.conftest import judge as all_judges
from ansible_collections.strata.layering.tests.unit.plugins.module_utils.ntfs.conftest import run


def grown(path, size):
    os.truncate(path, size)
    with FileDevice(str(path), writable=True) as device:
        geometry = resize.grow(device, size)
        assert read_state(device).clean
        assert read_state(device).backup_boot
        table = mft.MasterFileTable(device)
        owners, outside = table.owned_clusters()
        assert outside == 0
        assert mft.count_allocated(table.cluster_bitmap()) == int((owners == 1).sum()) == int((owners > 0).sum())
    assert geometry.clusters == (size // geometry.sector_size - 1) * geometry.sector_size // geometry.cluster_size
    assert "Cluster size" in run("ntfsresize", "--info", "--force", path)
    run("ntfsresize", "-n", "--force", path)


@pytest.mark.parametrize("cluster", [512, 1024, 4096, 65536])
@pytest.mark.parametrize("megabytes", [65, 100, 300, 5000])
def test_grow(blank, tmp_path, judge, cluster, megabytes):
    path = blank(tmp_path / "image", 64, cluster)
    with (
        FileDevice(str(path), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        root.create_file("before", b"b" * 100000).close()
    grown(path, megabytes << 20)
    judge(path)
    with (
        FileDevice(str(path), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        assert volume.find("before").read() == b"b" * 100000
        root.create_file("after", b"a" * (min(megabytes - 32, 120) << 20)).close()
    judge(path)


def test_grow_twice_and_by_a_sector(blank, tmp_path, judge):
    path = blank(tmp_path / "image", 64)
    size = 64 << 20
    for more in (512, 4096, 4096 * 7 + 512, 128 << 20, 1 << 30):
        size += more
        grown(path, size)
        judge(path)


def test_grow_a_windows_volume(windows_image, tmp_path, independent, judge):
    path = windows_image(tmp_path / "image")
    grown(path, 300 << 20)
    judge(path, entries_follow=False)
    assert len(list(independent(path).tree())) > 2000


def test_the_new_space_may_hold_anything(blank, tmp_path, judge):
    path = blank(tmp_path / "image", 64)
    with open(path, "ab") as stream:
        stream.write(b"\xff" * (200 << 20))
    with FileDevice(str(path), writable=True) as device:
        resize.grow(device, 264 << 20)
    judge(path)


def test_refusals(image):
    with FileDevice(str(image), writable=True) as device:
        with pytest.raises(InvalidInput):
            resize.grow(device, device.size + 512)
        with pytest.raises(InvalidInput):
            resize.grow(device, device.size // 2)
        before = image.read_bytes()
        resize.grow(device, device.size)
        assert image.read_bytes() == before


def test_too_many_clusters(blank, tmp_path):
    path = blank(tmp_path / "image", 64, 512)
    os.truncate(path, 3 << 40)
    with FileDevice(str(path), writable=True) as device, pytest.raises(Unsupported) as caught:
        resize.grow(device, 3 << 40)
    assert caught.value.code == "ntfs.too_many_clusters"


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 400_000), min_size=1, max_size=3))
def test_any_sizes(tmp_path_factory, blank, sizes):
    path = blank(tmp_path_factory.mktemp("grow") / "image", 16)
    size = 16 << 20
    for more in sizes:
        size += more * 512
        grown(path, size)
    all_judges(path)
    path.unlink()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_volumes_grow_or_are_refused(tmp_path_factory, blank, data):
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
        try:
            resize.grow(device, 20 << 20)
        except StrataError:
            pass
    path.unlink()
