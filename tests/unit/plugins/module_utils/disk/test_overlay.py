# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy-on-write device, compared with a byte array."""

from __future__ import annotations

import ctypes
import io
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_reader import StreamOptimizedDisk

GRAIN = 65536
CAPACITY = 24 * GRAIN - 512
NUMBERS = (0, 1, 5, 17, 23)


@pytest.fixture(name="base", scope="module")
def _base(vmdk_of, grain_of):
    return StreamOptimizedDisk(io.BytesIO(vmdk_of(CAPACITY, {number: grain_of(number) for number in NUMBERS})))


OFFSET = st.integers(0, 30 * GRAIN) | st.builds(
    lambda grain, inside: max(0, grain * GRAIN + inside), st.integers(0, 30), st.integers(-600, 600)
)
KIND = st.sampled_from(["read", "write", "fill", "locate", "locate_writing"])
OPERATION = st.tuples(KIND, OFFSET, st.sampled_from([0, 1, 512, 1024, 4096, GRAIN, 3 * GRAIN]) | st.integers(0, 9000))


@settings(max_examples=80, deadline=None)
@given(operations=st.lists(OPERATION, max_size=40), grown=st.sampled_from([0, 512, 6 * GRAIN + 512]))
def test_device_behaves_like_a_byte_array(base, raw_of, grain_of, tmp_path_factory, operations, grown):
    size = CAPACITY + grown
    model = bytearray(raw_of(CAPACITY, {number: grain_of(number) for number in NUMBERS}).ljust(size, b"\0"))
    written = set()
    with CopyOnWriteDevice(base, str(tmp_path_factory.getbasetemp()), size=size, cache_bytes=4 * GRAIN) as device:
        for step, (kind, offset, count) in enumerate(operations):
            if offset + count > size:
                with pytest.raises(Corrupt) as caught:
                    device.pread(count, offset)
                assert caught.value.code == "disk.device_out_of_range"
                with pytest.raises(Corrupt) as caught:
                    device.pwrite(bytes(count), offset)
                assert caught.value.code == "disk.device_out_of_range"
            elif kind in ("locate", "locate_writing") and offset % GRAIN + count > GRAIN:
                assert device.locate(count, offset, kind == "locate_writing") == 0
            elif kind == "locate":
                assert ctypes.string_at(device.locate(count, offset, False), count) == model[offset : offset + count]
            elif kind == "read":
                assert device.pread(count, offset) == model[offset : offset + count]
            else:
                data = bytes([step]) * count if kind == "fill" else random.Random(step).randbytes(count)
                if kind != "locate_writing":
                    device.pwrite(memoryview(data), offset)
                elif count:
                    ctypes.memmove(device.locate(count, offset, True), data, count)
                model[offset : offset + count] = data
                if count:
                    written.update(range(offset // GRAIN, (offset + count - 1) // GRAIN + 1))
        assert device.dirty_grains().tolist() == sorted(written)
        whole = bytes(model).ljust(device.grain_count * GRAIN, b"\0")
        assert b"".join(device.read_grain(number) for number in range(device.grain_count)) == whole
        assert device.pread(size, 0) == model
        extents = list(device.data_extents())
        covered = bytearray(size)
        for start, end in extents:
            covered[start:end] = model[start:end]
        assert covered == model
        assert all(end < start for (_start, end), (start, _end) in zip(extents, extents[1:]))
        before = raw_of(CAPACITY, {number: grain_of(number) for number in NUMBERS}).ljust(len(whole), b"\0")
        starts = range(0, len(whole), GRAIN)
        assert device.changed_grains().tolist() == [
            start // GRAIN for start in starts if whole[start : start + GRAIN] != before[start : start + GRAIN]
        ]


def test_grain_written_with_equal_bytes_is_dirty_but_not_changed(base, tmp_path):
    with CopyOnWriteDevice(base, str(tmp_path)) as device:
        device.pwrite(device.pread(4096, 5 * GRAIN), 5 * GRAIN)
        device.pwrite(bytes(GRAIN), 6 * GRAIN)
        device.pwrite(b"new", 17 * GRAIN + 100)
        assert device.dirty_grains().tolist() == [5, 6, 17]
        assert device.changed_grains().tolist() == [17]


def test_base_is_not_written_and_no_file_remains(tmp_path):
    path = tmp_path / "base.raw"
    path.write_bytes(bytes(range(256)) * 1024)
    with FileDevice(str(path), writable=True) as base, CopyOnWriteDevice(base, str(tmp_path), cache_bytes=0) as device:
        for number in range(4):
            device.pwrite(b"x" * GRAIN, number * GRAIN)
        assert device.pread(4 * GRAIN, 0) == b"x" * 4 * GRAIN
        assert os.listdir(tmp_path) == ["base.raw"]
    assert path.read_bytes() == bytes(range(256)) * 1024
    device.close()


def test_grains_in_memory_are_limited(base, tmp_path):
    with CopyOnWriteDevice(base, str(tmp_path), size=1000 * GRAIN, cache_bytes=8 * GRAIN) as device:
        for number in range(200):
            device.pwrite(b"%08d" % number, number * GRAIN + 8)
        assert len(device._cache) == 8  # pylint: disable=protected-access
        assert all(device.pread(8, number * GRAIN + 8) == b"%08d" % number for number in range(200))


@pytest.mark.parametrize("count, offset", [(1, -1), (-1, 5), (1, CAPACITY), (CAPACITY + 1, 0), (-5, 65533)])
def test_range_outside_is_rejected(base, tmp_path, count, offset):
    with CopyOnWriteDevice(base, str(tmp_path)) as device:
        for _again in range(2):
            with pytest.raises(Corrupt) as caught:
                device.pread(count, offset)
            assert caught.value.code == "disk.device_out_of_range"
            device.pread(1, 65530)


def test_damaged_base_is_reported_and_the_device_remains_usable(tmp_path, vmdk_of, grain_of):
    base = StreamOptimizedDisk(io.BytesIO(vmdk_of(CAPACITY, {0: grain_of(0), 1: b"short"})))
    with CopyOnWriteDevice(base, str(tmp_path)) as device:
        device.pwrite(b"abc", 0)
        with pytest.raises(Corrupt) as caught:
            device.pwrite(b"abc", GRAIN)
        assert caught.value.code == "disk.vmdk_corrupt"
        with pytest.raises(Corrupt) as caught:
            device.pread(1, GRAIN)
        assert caught.value.code == "disk.vmdk_corrupt"
        assert device.pread(3, 0) == b"abc"
        assert device.dirty_grains().tolist() == [0]
        device.pwrite(b"y" * GRAIN, GRAIN)
        assert device.pread(2, GRAIN) == b"yy"


def test_huge_disk_takes_little_time_and_memory(tmp_path, vmdk_of):
    base = StreamOptimizedDisk(io.BytesIO(vmdk_of(62 << 40, {5: b"x" * GRAIN})))
    with CopyOnWriteDevice(base, str(tmp_path)) as device:
        device.pwrite(b"end", device.size - 3)
        assert device.pread(3, device.size - 3) == b"end"
        assert list(device.data_extents()) == [(5 * GRAIN, 6 * GRAIN), (device.size - GRAIN, device.size)]


@pytest.mark.parametrize("size", [CAPACITY - 1, (62 << 40) + 1])
def test_impossible_size_is_rejected(base, tmp_path, size):
    with pytest.raises(InvalidInput) as caught:
        CopyOnWriteDevice(base, str(tmp_path), size=size)
    assert caught.value.code == "disk.device_size"
