# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing stream-optimized VMDKs, which qemu-img and dissect.hypervisor read back."""

from __future__ import annotations

import io
import zlib

import numpy
import pytest
from dissect.hypervisor.disk.vmdk import VMDK
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_layout import pack_grain
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_writer import StreamOptimizedWriter

CAPACITY = 1600 * 65536
NUMBERS = (0, 1, 2, 511, 512, 700, 1599)


@pytest.mark.parametrize("capacity", [CAPACITY, CAPACITY - 512, 65536, 512])
def test_written_disk_is_read_by_other_programs(tmp_path, qemu_img, grain_of, vmdk_of, raw_of, capacity):
    grains = {number: grain_of(number) for number in NUMBERS if number * 65536 < capacity}
    raw = raw_of(capacity, grains)
    path = tmp_path / "disk.vmdk"
    path.write_bytes(vmdk_of(capacity, grains))
    assert "create type: streamOptimized" in qemu_img("info", path)
    qemu_img("check", path)
    qemu_img("convert", "-O", "raw", path, tmp_path / "disk.raw")
    assert (tmp_path / "disk.raw").read_bytes() == raw
    with open(path, "rb") as stream:
        disk = VMDK(stream)
        assert disk.size == capacity
        # dissect reads whole pages only.
        assert disk.read(capacity & ~8191) == raw[: capacity & ~8191]


def test_disk_without_grains_reads_as_zeros(tmp_path, qemu_img, vmdk_of):
    path = tmp_path / "empty.vmdk"
    path.write_bytes(vmdk_of(CAPACITY, {}))
    qemu_img("convert", "-O", "raw", path, tmp_path / "disk.raw")
    assert not any((tmp_path / "disk.raw").read_bytes())


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(0, 1599), st.binary(min_size=1, max_size=1500), min_size=1, max_size=30), st.data())
def test_runs_give_the_same_bytes_as_single_grains(grains, data):
    numbers = sorted(grains)
    single_bytes, run_bytes = io.BytesIO(), io.BytesIO()
    singles, runs = StreamOptimizedWriter(single_bytes, CAPACITY), StreamOptimizedWriter(run_bytes.write, CAPACITY)
    for number in numbers:
        singles.add(number, grains[number])
    rest = numbers
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        run, rest = rest[:count], rest[count:]
        runs.add_run(
            numpy.array(run),
            numpy.array([len(grains[number]) for number in run]),
            b"".join(pack_grain(number, grains[number]) for number in run),
        )
    assert [column.tolist() for column in singles.finish()] == [column.tolist() for column in runs.finish()]
    assert single_bytes.getvalue() == run_bytes.getvalue()


def test_wrong_order_or_size_is_an_internal_error():
    writer = StreamOptimizedWriter(io.BytesIO(), CAPACITY)
    writer.add(5, zlib.compress(bytes(65536)))
    for number, data in ((5, b"x"), (4, b"x"), (1600, b"x"), (6, b""), (6, bytes(131073))):
        with pytest.raises(InternalError) as caught:
            writer.add(number, data)
        assert caught.value.code == "disk.vmdk_plan"
    for numbers, sizes, data in (
        ([4], [1], bytes(512)),
        ([6, 6], [1, 1], bytes(1024)),
        ([6], [1], bytes(511)),
        ([6], [501], bytes(512)),
    ):
        with pytest.raises(InternalError) as caught:
            writer.add_run(numpy.array(numbers), numpy.array(sizes), data)
        assert caught.value.code == "disk.vmdk_plan"
    assert [column.tolist() for column in writer.finish()][0] == [5]
