# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seekable streams give the same results as BytesIO."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.streams import SeekableReader, SeekableStream

DATA = bytes(range(200))


class Reader(SeekableReader):
    """A reader of ``data``, of which only the first ``available`` bytes exist; ``requests`` records its reads."""

    def __init__(self, data: bytes, available: int | None = None) -> None:
        super().__init__(len(data))
        self._data = data[:available]
        self.requests = []

    def _read_at(self, position: int, count: int) -> bytes:
        self.requests.append((position, count))
        return self._data[position : position + count]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 300)),
        st.tuples(st.just("readinto"), st.integers(0, 300)),
        st.tuples(st.just("start"), st.integers(0, 300)),
        st.tuples(st.just("here"), st.integers(-300, 300)),
        st.tuples(st.just("end"), st.integers(-300, 300)),
    ),
    max_size=20,
)


@given(_STEPS)
def test_reader_behaves_as_bytes_io(steps):
    stream, reference = Reader(DATA), io.BytesIO(DATA)
    for step, number in steps:
        if step == "read":
            assert stream.read(number) == reference.read(number)
        elif step == "readinto":
            first, second = bytearray(number), bytearray(number)
            assert stream.readinto(first) == reference.readinto(second)
            assert first == second
        else:
            whence = {"start": io.SEEK_SET, "here": io.SEEK_CUR, "end": io.SEEK_END}[step]
            assert stream.seek(number, whence) == reference.seek(number, whence)
        assert stream.tell() == reference.tell()


def test_reader_requests_only_bytes_within_its_size():
    stream = Reader(DATA)
    assert stream.read(0) == b""
    assert stream.requests == []
    stream.seek(190)
    assert stream.read(50) == DATA[190:]
    assert stream.read() == b""
    assert stream.readinto(bytearray(5)) == 0
    stream.seek(1000)
    assert stream.read(1) == b""
    assert stream.requests == [(190, 10)]


def test_reader_truncated_source_ends_early():
    stream = Reader(DATA, available=150)
    assert stream.read() == DATA[:150]
    assert stream.read(10) == b""
    assert stream.tell() == 150


def test_readinto_fills_a_buffer_of_wider_items():
    buffer = memoryview(bytearray(8)).cast("I")
    assert Reader(DATA).readinto(buffer) == 8
    assert buffer.tobytes() == DATA[:8]


def test_reader_works_below_a_buffered_reader():
    with io.BufferedReader(Reader(DATA), 16) as stream:
        assert stream.read(3) + stream.read(40) + stream.read() == DATA
        assert stream.seek(-5, io.SEEK_END) == 195
        assert stream.read() == DATA[195:]


def test_closed_reader_raises():
    stream = Reader(DATA)
    stream.close()
    for read in (stream.read, lambda: stream.readinto(bytearray(0))):
        with pytest.raises(ValueError, match="closed"):
            read()
    assert stream.requests == []


def test_seekable_stream_only_seeks():
    stream = SeekableStream(10)
    assert (stream.seekable(), stream.readable(), stream.writable()) == (True, False, False)
    assert stream.seek(-3, io.SEEK_END) == 7
    assert stream.seek(5, io.SEEK_CUR) == 12
