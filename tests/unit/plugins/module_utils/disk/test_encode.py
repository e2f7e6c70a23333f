# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encoding disks as stream-optimized VMDKs and as single grains."""

from __future__ import annotations

import io
import os
import zlib

import numpy
import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InternalError
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import BlockDevice, FileDevice, Window
from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode, encode_grains
from ansible_collections.strata.layering.plugins.module_utils.disk.grains import BLAKE2B, BLAKE3
from ansible_collections.strata.layering.plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_layout import pack_grain
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_reader import StreamOptimizedDisk
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_writer import StreamOptimizedWriter

GRAIN = 65536
CAPACITY = 1600 * GRAIN
NUMBERS = (0, 1, 2, 15, 16, 511, 512, 700, 1599)


class _OneThread(BlockDevice):
    """A device that only one thread may read at a time."""

    def __init__(self, device):
        self.device, self.size, self.name = device, device.size, device.name

    def pread(self, count, offset):
        return self.device.pread(count, offset)


@pytest.fixture(name="grains", scope="module")
def _grains(grain_of):
    return {number: grain_of(number) for number in NUMBERS}


@pytest.fixture(name="raw")
def _raw(tmp_path, grains):
    path = tmp_path / "disk.raw"
    with open(path, "wb") as stream:
        stream.truncate(CAPACITY)
        for number, plain in grains.items():
            stream.seek(number * GRAIN)
            stream.write(plain)
    return path


def encoded(device, **options):
    out = io.BytesIO()
    index = encode(device, out, **options)
    return out.getvalue(), index


def check_index(data, index, grains):
    assert index.numbers.tolist() == sorted(grains)
    for row, number in enumerate(index.numbers.tolist()):
        start = int(index.sectors[row]) * 512
        assert data[start : start + 8] == (number * 128).to_bytes(8, "little")
        size = int(index.sizes[row])
        assert zlib.decompress(data[start + 12 : start + 12 + size]) == grains[number]
        assert index.digests[row].tobytes() == index.algorithm.digest(grains[number])


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    "wrap",
    [lambda device: device, _OneThread, lambda device: Window(device, 0, CAPACITY)],
    ids=["file", "one-thread", "window"],
)
def test_encode_stores_the_grains_with_data(raw, grains, tmp_path, qemu_img, workers, wrap):
    seen = []
    with FileDevice(str(raw)) as device:
        data, index = encoded(
            wrap(device), workers=workers, progress=lambda step, done, total: seen.append((step, done, total))
        )
    check_index(data, index, grains)
    assert seen[-1][0] == "encode"
    assert seen[-1][1] == seen[-1][2]
    path = tmp_path / "disk.vmdk"
    path.write_bytes(data)
    assert "identical" in qemu_img("compare", path, raw)


def test_encoded_bytes_depend_only_on_the_content(raw):
    with FileDevice(str(raw)) as device:
        data, index = encoded(device, workers=1)
        other_data, other_index = encoded(_OneThread(device), workers=4)
    assert data == other_data
    assert index.to_bytes() == other_index.to_bytes()


def test_encode_stores_only_kept_grains(raw, grains):
    keep = numpy.full(1600, True)
    keep[[1, 700]] = False
    with FileDevice(str(raw)) as device:
        data, index = encoded(device, keep=keep)
        with pytest.raises(InternalError) as caught:
            encoded(device, keep=keep[1:])
    assert caught.value.code == "disk.encode_keep"
    check_index(data, index, {number: plain for number, plain in grains.items() if number not in (1, 700)})


def test_compressed_grains_are_copied_without_change(grains, vmdk_of):
    source = StreamOptimizedDisk(io.BytesIO(vmdk_of(CAPACITY, grains | {3: bytes(GRAIN)}, level=9)))
    data, index = encoded(source)
    check_index(data, index, grains)
    copy = StreamOptimizedDisk(io.BytesIO(data))
    for number in NUMBERS:
        assert copy.read_compressed(number) == source.read_compressed(number) == zlib.compress(grains[number], 9)


def test_grain_with_trailing_bytes_is_compressed_again(grain_of):
    plain = grain_of(4)
    out = io.BytesIO()
    writer = StreamOptimizedWriter(out, CAPACITY)
    writer.add(0, zlib.compress(plain) + b"smuggled")
    writer.finish()
    data, index = encoded(StreamOptimizedDisk(out))
    check_index(data, index, {0: plain})
    assert b"smuggled" not in data


def test_changes_on_top_of_a_vmdk_are_encoded(grains, grain_of, vmdk_of, raw_of, tmp_path):
    base = StreamOptimizedDisk(io.BytesIO(vmdk_of(CAPACITY, grains, level=9)))
    size = CAPACITY + 40 * GRAIN
    with CopyOnWriteDevice(base, str(tmp_path), size=size, cache_bytes=0) as device:
        device.pwrite(b"changed", 700 * GRAIN + 9)
        device.pwrite(bytes(GRAIN), 2 * GRAIN)
        device.pwrite(grain_of(99), 1630 * GRAIN)
        data, index = encoded(device)
    changed = grains | {700: grains[700][:9] + b"changed" + grains[700][16:], 1630: grain_of(99)}
    del changed[2]
    check_index(data, index, changed)
    copy = StreamOptimizedDisk(io.BytesIO(data))
    assert copy.pread(size, 0) == raw_of(size, changed)
    assert copy.read_compressed(511) == base.read_compressed(511)


def test_damaged_grain_of_the_source_is_reported(grains, vmdk_of):
    source = StreamOptimizedDisk(io.BytesIO(vmdk_of(CAPACITY, grains | {700: b"short"})))
    with pytest.raises(Corrupt) as caught:
        encoded(source)
    assert caught.value.code == "disk.vmdk_corrupt"
    assert "grain 700" in caught.value.message


def test_encode_grains_writes_only_grains(grains, vmdk_of, tmp_path):
    base = StreamOptimizedDisk(io.BytesIO(vmdk_of(CAPACITY, grains)))
    with CopyOnWriteDevice(base, str(tmp_path)) as device:
        device.pwrite(b"x", 5)
        device.pwrite(bytes(GRAIN), GRAIN)
        device.pwrite(b"y", 600 * GRAIN)
        out = io.BytesIO()
        index = encode_grains(device, device.dirty_grains(), out, BLAKE2B)
        for wrong in ([1600], [2, 1], [2, 2]):
            with pytest.raises(InternalError) as caught:
                encode_grains(device, wrong, io.BytesIO(), BLAKE3)
            assert caught.value.code == "disk.encode_grains"
    expected = {0: grains[0][:5] + b"x" + grains[0][6:], 600: b"y".ljust(GRAIN, b"\0")}
    check_index(out.getvalue(), index, expected)
    assert index.sectors[0] == 0
    assert out.getvalue() == b"".join(
        pack_grain(number, out.getvalue()[int(index.sectors[row]) * 512 + 12 :][: int(index.sizes[row])])
        for row, number in enumerate((0, 600))
    )
    out = io.BytesIO()
    assert len(encode_grains(base, [], out, BLAKE3)) == 0
    assert out.getvalue() == b""


def test_holes_of_a_sparse_file_are_not_read(tmp_path):
    path = tmp_path / "sparse.raw"
    with open(path, "wb") as stream:
        stream.truncate(1 << 40)
        stream.seek(1 << 39)
        stream.write(b"data")
    with FileDevice(str(path)) as device:
        out = io.BytesIO()
        index = encode(device, out)
    assert index.numbers.tolist() == [1 << 23]
    assert os.path.getsize(path) == 1 << 40
