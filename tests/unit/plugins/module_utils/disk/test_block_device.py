# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices: files and windows."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InternalError
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice, Window


@pytest.fixture(name="path")
def _path(tmp_path):
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes(range(256)) * 32)
    return str(path)


def test_file_device_reads_and_writes_exact_ranges(path):
    with FileDevice(path, writable=True) as device:
        assert device.size == 8192
        assert device.pread(4, 254) == b"\xfe\xff\x00\x01"
        device.pwrite(memoryview(b"hello"), 8187)
        device.flush()
        assert device.pread(5, 8187) == b"hello"
    with open(path, "rb") as stream:
        assert stream.read()[-5:] == b"hello"


@pytest.mark.parametrize("count, offset", [(1, 8192), (8193, 0), (-1, 0), (1, -1)])
def test_range_outside_is_rejected(path, count, offset):
    with FileDevice(path) as device:
        with pytest.raises(Corrupt) as caught:
            device.pread(count, offset)
        assert caught.value.code == "disk.device_out_of_range"
        with pytest.raises(Corrupt) as caught:
            Window(device, 0, 8192).pread(count, offset)
        assert caught.value.code == "disk.device_out_of_range"


def test_window_rejects_ranges_outside(path):
    with FileDevice(path, writable=True) as device:
        window = Window(device, 512, 1024)
        window.pwrite(b"x" * 1024, 0)
        with pytest.raises(Corrupt) as caught:
            window.pwrite(b"xy", 1023)
        assert caught.value.code == "disk.device_out_of_range"
        assert device.pread(1, 511) == b"\xff"
        assert device.pread(1, 1536) == b"\x00"
        with pytest.raises(Corrupt) as caught:
            Window(device, 8000, 193)
        assert caught.value.code == "disk.device_out_of_range"


def test_write_to_read_only_device_is_an_internal_error(path):
    with FileDevice(path) as device:
        for target in (device, Window(device, 0, 512)):
            with pytest.raises(InternalError) as caught:
                target.pwrite(b"x", 0)
            assert caught.value.code == "disk.device_read_only"
        assert device.pread(1, 0) == b"\x00"


def test_file_that_shrinks_during_use_is_reported(path):
    with FileDevice(path) as device:
        os.truncate(path, 100)
        with pytest.raises(Corrupt) as caught:
            device.pread(200, 0)
        assert caught.value.code == "disk.device_truncated"


def test_data_extents_leave_out_holes(tmp_path):
    path = tmp_path / "sparse.raw"
    with open(path, "wb") as stream:
        stream.truncate(64 << 20)
        stream.seek(32 << 20)
        stream.write(b"data")
    with FileDevice(str(path)) as device:
        extents = list(device.data_extents())
        assert sum(end - start for start, end in extents) < 1 << 20
        assert any(start <= 32 << 20 < end for start, end in extents)
        assert list(Window(device, 0, 1 << 20).data_extents()) == []


def test_empty_file_has_no_data_and_closes_twice(tmp_path):
    path = tmp_path / "empty.raw"
    path.write_bytes(b"")
    device = FileDevice(str(path))
    assert device.size == 0
    assert not list(device.data_extents())
    assert device.pread(0, 0) == b""
    device.close()
    device.close()
