# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grains that differ, compared with the result for the bytes."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import BlockDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode
from ansible_collections.strata.layering.plugins.module_utils.disk.grain_compare import differing_grains
from ansible_collections.strata.layering.plugins.module_utils.disk.grains import BLAKE2B, BLAKE3
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_reader import StreamOptimizedDisk

GRAIN = 65536


class Memory(BlockDevice):
    """A disk in memory."""

    def __init__(self, data: bytes, *, concurrent: bool) -> None:
        self.name, self.size, self.data, self.concurrent_reads = "memory", len(data), data, concurrent

    def pread(self, count, offset):
        self.check_range(count, offset)
        return self.data[offset : offset + count]


def disk_of(cells: list[int], tail: int) -> bytes:
    data = b"".join(bytes(GRAIN) if cell == 0 else bytes([cell]) * 100 + bytes(GRAIN - 100) for cell in cells)
    return data[: len(data) - tail]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1, max_size=70),
    st.sampled_from((0, 512, GRAIN - 512)),
    st.sampled_from(("memory", "threads", "vmdk")),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from((BLAKE2B, BLAKE3)),
)
def test_differing_grains_equal_those_of_the_bytes(cells, tail, kind, masked, longer, algorithm):
    before = disk_of([cell for cell, _other, _among in cells] + [1] * longer, 0)
    after = disk_of([cell for _other, cell, _among in cells], tail)
    index = encode(Memory(before, concurrent=False), io.BytesIO(), algorithm=algorithm)
    if kind == "vmdk":
        out = io.BytesIO()
        encode(Memory(after, concurrent=True), out)
        device = StreamOptimizedDisk(out)
    else:
        device = Memory(after, concurrent=kind == "threads")
    among = np.array([chosen for _cell, _other, chosen in cells]) if masked else None
    padded = after + bytes(-len(after) % GRAIN)
    expected = [
        number
        for number, (_cell, _other, chosen) in enumerate(cells)
        if before[number * GRAIN : (number + 1) * GRAIN] != padded[number * GRAIN : (number + 1) * GRAIN]
        and (chosen or not masked)
    ]
    assert differing_grains(device, index.grain_digests, among=among, workers=2).tolist() == expected
