# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the stream-optimized layout, byte by byte."""

from __future__ import annotations

import io
import struct

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    InternalError,
    InvalidInput,
    NoSpace,
    StrataError,
)
from ansible_collections.strata.layering.plugins.module_utils.disk import vmdk_layout as layout
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_writer import StreamOptimizedWriter

CAPACITY = 1600 * 65536


def test_front_has_the_specified_bytes():
    front = layout.pack_front(CAPACITY)
    assert len(front) == 65536
    expected = (
        b"KDMV"
        + struct.pack("<IIQQQQIQQQ", 3, 0x30001, CAPACITY // 512, 128, 1, 20, 512, 0, 2**64 - 1, 128)
        + b"\0\n \r\n\x01\0"
    )
    assert front[:512] == expected.ljust(512, b"\0")
    text = front[512 : 512 * 21].rstrip(b"\0").decode("ascii")
    assert 'createType="streamOptimized"' in text
    assert f'RDONLY {CAPACITY // 512} SPARSE "disk.vmdk"' in text
    assert "parentCID=ffffffff" in text
    assert not any(front[512 * 21 :])
    assert layout.pack_front(CAPACITY) == front


def test_grain_has_the_specified_bytes():
    assert layout.pack_grain(3, b"z" * 500) == struct.pack("<QI", 384, 500) + b"z" * 500
    assert layout.pack_grain(3, b"z" * 501) == (struct.pack("<QI", 384, 501) + b"z" * 501).ljust(1024, b"\0")


def test_end_has_the_specified_bytes():
    directory = numpy.array([200, 0, 0, 300], dtype=numpy.uint32)
    end = layout.pack_end(CAPACITY, directory, 1000)
    assert len(end) == 5 * 512
    assert end[:16] == struct.pack("<QII", 1, 0, 2)
    assert end[512:528] == struct.pack("<IIII", 200, 0, 0, 300)
    assert end[1024:1040] == struct.pack("<QII", 1, 0, 3)
    assert layout.unpack_header(end[1536:2048], "disk", "footer").directory_sector == 1001
    assert not any(end[2048:])


@pytest.mark.parametrize("capacity", [0, -512, 513, (62 << 40) + 512])
def test_impossible_capacity_is_rejected(capacity):
    nothing = numpy.zeros(0, dtype=numpy.uint32)
    with pytest.raises(InvalidInput) as caught:
        layout.stream_length(capacity, nothing, nothing)
    assert caught.value.code == "disk.vmdk_capacity"


@pytest.mark.parametrize(
    "numbers, sizes", [([1], []), ([2, 1], [9, 9]), ([1, 1], [9, 9]), ([1600], [9]), ([1], [0]), ([1], [131073])]
)
def test_impossible_plan_is_an_internal_error(numbers, sizes):
    with pytest.raises(InternalError) as caught:
        layout.stream_length(CAPACITY, numpy.array(numbers, dtype=numpy.uint32), numpy.array(sizes, dtype=numpy.uint32))
    assert caught.value.code == "disk.vmdk_plan"


def test_file_over_two_tib_is_rejected():
    numbers = numpy.arange(17 << 20, dtype=numpy.uint32)
    with pytest.raises(NoSpace) as caught:
        layout.stream_length(62 << 40, numbers, numpy.full(len(numbers), 131072, dtype=numpy.uint32))
    assert caught.value.code == "disk.vmdk_too_large"


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(0, 1599), st.integers(1, 3000), max_size=40))
def test_stream_length_equals_the_written_length(grains):
    out = io.BytesIO()
    writer = StreamOptimizedWriter(out, CAPACITY)
    for number in sorted(grains):
        writer.add(number, bytes(grains[number]))
    numbers, sectors, sizes = writer.finish()
    assert layout.stream_length(CAPACITY, numbers, sizes) == len(out.getvalue())
    assert layout.place_grains(CAPACITY, numbers, sizes)[0].tolist() == sectors.tolist()


_CORRUPT, _VERSION, _KIND = "disk.vmdk_corrupt", "disk.vmdk_version", "disk.vmdk_not_stream_optimized"


@pytest.mark.parametrize("offset, value, code", [
    (0, b"KDMX", _CORRUPT), (4, b"\x04", _VERSION), (4, b"\0", _VERSION), (10, b"\x01", _KIND), (77, b"\0", _KIND),
    (12, bytes(8), _CORRUPT), (12, b"\xff" * 8, _CORRUPT), (20, b"\x7f", _CORRUPT), (20, b"\x04", _CORRUPT), (20, b"\0\x10", _CORRUPT),
    (44, bytes(4), _CORRUPT), (44, b"\xff" * 4, _CORRUPT), (73, b"\r", _CORRUPT),
])  # fmt: skip
def test_impossible_header_is_rejected(offset, value, code):
    header = bytearray(layout.pack_header(CAPACITY))
    header[offset : offset + len(value)] = value
    with pytest.raises(StrataError) as caught:
        layout.unpack_header(bytes(header), "disk")
    assert caught.value.code == code
