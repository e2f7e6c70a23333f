# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that keep their position: the same answers as BytesIO gives."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.streams import SeekableReader, SeekableStream

DATA = bytes(range(200))


class Reader(SeekableReader):
    """A reader of ``data``, of which only the first ``there`` bytes can be had; notes what it was asked for."""

    def __init__(self, data: bytes, there: int | None = None) -> None:
        super().__init__(len(data))
        self._data = data[:there]
        self.asked = []

    def _read_at(self, position: int, count: int) -> bytes:
        self.asked.append((position, count))
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
def test_reads_and_seeks_as_bytes_io_does(steps):
    ours, theirs = Reader(DATA), io.BytesIO(DATA)
    for step, number in steps:
        if step == "read":
            assert ours.read(number) == theirs.read(number)
        elif step == "readinto":
            first, second = bytearray(number), bytearray(number)
            assert ours.readinto(first) == theirs.readinto(second)
            assert first == second
        else:
            whence = {"start": io.SEEK_SET, "here": io.SEEK_CUR, "end": io.SEEK_END}[step]
            assert ours.seek(number, whence) == theirs.seek(number, whence)
        assert ours.tell() == theirs.tell()


def test_nothing_is_asked_for_that_is_not_there():
    stream = Reader(DATA)
    assert stream.read(0) == b"" and stream.asked == []
    stream.seek(190)
    assert stream.read(50) == DATA[190:] and stream.asked == [(190, 10)]
    assert stream.read() == b"" and stream.readinto(bytearray(5)) == 0
    stream.seek(1000)
    assert stream.read(1) == b"" and stream.asked == [(190, 10)]


def test_a_source_that_was_cut_short_ends_there():
    stream = Reader(DATA, there=150)
    assert stream.read() == DATA[:150] and stream.tell() == 150
    assert stream.read(10) == b"" and stream.tell() == 150


def test_fills_buffers_of_wider_items():
    buffer = memoryview(bytearray(8)).cast("I")
    assert Reader(DATA).readinto(buffer) == 8 and buffer.tobytes() == DATA[:8]


def test_works_below_a_buffered_reader():
    with io.BufferedReader(Reader(DATA), 16) as stream:
        assert stream.read(3) + stream.read(40) + stream.read() == DATA
        assert stream.seek(-5, io.SEEK_END) == 195 and stream.read() == DATA[195:]


def test_a_closed_one_is_not_read():
    stream = Reader(DATA)
    stream.close()
    for read in (stream.read, lambda: stream.readinto(bytearray(0))):
        with pytest.raises(ValueError, match="closed"):
            read()
    assert stream.asked == []


def test_what_is_no_reader_can_seek_only():
    stream = SeekableStream(10)
    assert stream.seekable() and not stream.readable() and not stream.writable()
    assert stream.seek(-3, io.SEEK_END) == 7 and stream.seek(5, io.SEEK_CUR) == 12
