# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encoding a raw disk as a stream-optimized VMDK, compared with qemu-img: whole processes, warm page cache."""

from __future__ import annotations

import os

from ...plugins.module_utils.disk.block_device import FileDevice
from ..sample.plan import MIB
from . import peers
from .bench import Bench
from .measure import alternate
from .rows import Row, Target, megabytes, middle, peak, seconds, work


def encoding(bench: Bench) -> list[Row]:
    """Measure time and size."""
    raw, _manifest = bench.inputs.raw_disk()
    with bench.file("ours.vmdk") as ours, bench.file("qemu.vmdk") as theirs:
        _warm(raw)
        runs = alternate(
            {
                "ours": lambda: bench.job("encode", source=raw, output=ours)[0],
                "qemu-img": lambda: peers.qemu_img_convert(raw, theirs),
            },
            1 if bench.quick else 3,
        )
        sizes = os.stat(ours).st_size, os.stat(theirs).st_size
    fast, slow = middle(runs["ours"]), middle(runs["qemu-img"])
    in_use = os.stat(raw).st_blocks * 512
    return [
        Row(
            "encode",
            f"raw disk, {megabytes(in_use)} in use, to VMDK",
            seconds(fast),
            f"qemu-img {seconds(slow)}",
            slow / fast,
            Target(True, 8),
            peak(runs["ours"]),
            f"{in_use / fast / 1e6:.0f} MB/s of data",
            cpu=work(runs["ours"], runs["qemu-img"]),
        ),
        Row(
            "encode",
            "size of the VMDK",
            megabytes(sizes[0]),
            f"qemu-img {megabytes(sizes[1])}",
            sizes[0] / sizes[1],
            Target(False, 1.15),
        ),
    ]


def _warm(path: str) -> None:
    """Read the data of a sparse file into the page cache."""
    with FileDevice(path) as device:
        for start, end in device.data_extents():
            for position in range(start, end, MIB):
                device.pread(min(MIB, end - position), position)
