# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where new data goes on a volume."""

from __future__ import annotations

import os

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume


def _fill(path, names, size):
    """Make files of ``size`` bytes; return the sorted (first, last + 1) clusters of their runs."""
    found = []
    with (
        FileDevice(str(path), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        for name in names:
            with root.create_file(name, os.urandom(size)) as node, node.open_stream() as stream:
                found += [(first, first + count) for count, first in stream.runs()]
    return sorted(found)


def test_files_stand_side_by_side(blank, tmp_path, judge):
    image = blank(tmp_path / "large.img", 1024)
    runs = _fill(image, [f"A rather long name of the file number {number}.bin" for number in range(200)], 20_000)
    judge(image)
    assert sum(end - first for first, end in runs) == 200 * 5
    # Between them stand the blocks of the folder's index. Each file by itself would make it 200 grains.
    grains = {cluster // 16 for first, end in runs for cluster in range(first, end)}
    assert len(grains) < 200 * 5 / 16 + 10


def test_the_widest_gap_is_taken(blank, tmp_path, judge):
    image = blank(tmp_path / "gaps.img", 1024)
    with (
        FileDevice(str(image), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        # Three quarters of what is behind the zone of the $MFT, then a gap of 4 MiB in it.
        with root.create_file("all") as node, node.open_stream() as stream:
            stream.truncate(500 << 20, allocate=True)
        with root.create_file("gap") as node, node.open_stream() as stream:
            stream.truncate(4 << 20, allocate=True)
        with root.create_file("more") as node, node.open_stream() as stream:
            stream.truncate(100 << 20, allocate=True)
        with root.child("gap") as node, node.open_stream() as stream:
            gap = stream.runs()[0][1]
            count = stream.runs()[0][0]
        with root.child("gap") as node:
            node.delete()
    runs = _fill(image, ["one", "two"], 20_000)
    judge(image)
    assert runs[1][0] - runs[0][1] < 8
    assert not gap <= runs[0][0] < gap + count


def test_a_full_volume_is_filled_to_its_end(blank, tmp_path, judge):
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
    judge(image)
    assert written == 100
