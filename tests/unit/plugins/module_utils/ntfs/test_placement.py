# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The allocation of new data on a volume."""

from __future__ import annotations

import os

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.ntfs_check import file_runs
from ansible_collections.strata.layering.tests.support.ntfs_images import verify_volume


def _fill(path, names, size):
    """Create files of ``size`` bytes; return the sorted (first, last + 1) clusters of their runs."""
    references = []
    with (
        FileDevice(str(path), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        for name in names:
            with root.create_file(name, os.urandom(size)) as node:
                references.append(node.file_reference)
    with FileDevice(str(path)) as device:
        runs = [run for reference in references for run in file_runs(device, reference)]
    return sorted((first, first + count) for count, first in runs)


def test_new_files_are_allocated_next_to_each_other(blank, tmp_path):
    image = blank(tmp_path / "large.img", 1024)
    runs = _fill(image, [f"A rather long name of the file number {number}.bin" for number in range(200)], 20_000)
    verify_volume(image)
    assert sum(end - first for first, end in runs) == 200 * 5
    # The blocks of the directory's index are between the files. Scattered files would take 200 grains.
    grains = {cluster // 16 for first, end in runs for cluster in range(first, end)}
    assert len(grains) < 200 * 5 / 16 + 10


def test_new_files_are_allocated_in_the_widest_gap(blank, tmp_path):
    image = blank(tmp_path / "gaps.img", 1024)
    with (
        FileDevice(str(image), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        # Fill three quarters of the space after the zone of $MFT, and leave a gap of 4 MiB in it.
        with root.create_file("all") as node, node.open_stream() as stream:
            stream.truncate(500 << 20, allocate=True)
        with root.create_file("gap") as node, node.open_stream() as stream:
            stream.truncate(4 << 20, allocate=True)
            gap_file = node.file_reference
        with root.create_file("more") as node, node.open_stream() as stream:
            stream.truncate(100 << 20, allocate=True)
    with FileDevice(str(image), writable=True) as device:
        count, gap = file_runs(device, gap_file)[0]
        with Volume.mount(device, writable=True) as volume, volume.find("gap") as node:
            node.delete()
    runs = _fill(image, ["first", "second"], 20_000)
    verify_volume(image)
    assert runs[1][0] - runs[0][1] < 8
    assert not gap <= runs[0][0] < gap + count


def test_volume_is_filled_to_its_end(blank, tmp_path):
    image = blank(tmp_path / "small.img", 16)
    written = 0
    with (
        FileDevice(str(image), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        free = volume.cluster_count - sum(bin(byte).count("1") for byte in volume.allocated_clusters().tolist())
        size = (free - 80) // 100 * volume.cluster_size
        for number in range(100):
            root.create_file(f"file{number}", os.urandom(size)).close()
            written += 1
    verify_volume(image)
    assert written == 100
