# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers, byte by byte."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.layers import tar
from ansible_collections.strata.layering.plugins.module_utils.layers.entry_headers import format_time, parse_time
from ansible_collections.strata.layering.plugins.module_utils.layers.extended_attributes import pack_eas, unpack_eas


def test_header_equals_posix_header():
    info = tarfile.TarInfo("Files/x")
    info.size, info.mtime, info.mode, info.type, info.linkname = 12345, 1000000000, 0o644, tarfile.SYMTYPE, "to"
    ours, theirs = tar.header_block(b"Files/x", b"2", 12345, 0o644, 1000000000, b"to"), info.tobuf(tarfile.USTAR_FORMAT)
    # The device numbers of other members may be zeros or empty; the checksum depends on them.
    assert ours[:148] + ours[156:329] + ours[345:] == theirs[:148] + theirs[156:329] + theirs[345:]
    assert tarfile.TarInfo.frombuf(ours, "utf-8", "strict").linkname == "to"
    assert len(tar.header_block(b"n" * 200, b"0", 1 << 40, 0o644, -5)) == 512


@pytest.mark.parametrize("length", [*range(80, 110), *range(985, 1005), 9990, 9995])
def test_record_length_includes_its_digits(length):
    record = tar.pax_record("key", b"v" * length)
    assert int(record.split(b" ")[0]) == len(record)
    assert tar.parse_pax(record, 10) == {"key": b"v" * length}


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="="), min_size=1, max_size=9),
        st.binary(min_size=1, max_size=200),
        max_size=9,
    )
)
@settings(max_examples=100)
def test_pax_records_round_trip(records):
    member = tar.pax_member(b"x", records)
    assert len(member) % 512 == 0
    header = tar.parse_header(member[:512])
    assert header.kind == b"x"
    assert tar.parse_pax(member[512 : 512 + header.size], 10) == records


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"5 a=b",
        b"99 a=b\n",
        b"-1 a=b\n",
        b"0 a=b\n",
        b"3 a\n",
        b"6 =ab\n",
        b"6 a=bX",
        b"7 \xff\xff=b\n",
        b"11111111111111111111 a=b\n",
        b" a=b\n",
        b"1 \n",
    ],
)
def test_malformed_record_is_refused(body):
    with pytest.raises(tar.FormatError):
        tar.parse_pax(body, 10)


def test_prefix_and_base256_are_read():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a" * 90 + "/" + "b" * 90))
    assert tar.parse_header(out.getvalue()[:512]).name == b"a" * 90 + b"/" + b"b" * 90
    info = tarfile.TarInfo("x")
    info.size, info.mtime = 1 << 40, -77
    header = tar.parse_header(info.tobuf(tarfile.GNU_FORMAT))
    assert (header.size, header.mtime) == (1 << 40, -77)


@given(st.integers(0, (1 << 63) - 1))
@settings(max_examples=300)
def test_time_round_trip(filetime):
    assert parse_time(format_time(filetime)) == filetime


@pytest.mark.parametrize(
    "filetime, text",
    [
        (116444736000000000, b"0"),
        (116444736000000001, b"0.0000001"),
        (116444735999999999, b"-0.0000001"),
        (116444735990000000, b"-1"),
        (0, b"-11644473600"),
        (132223104001000000, b"1577836800.1"),
    ],
)
def test_time_has_decimal_form(filetime, text):
    assert format_time(filetime) == text
    assert parse_time(text) == filetime


def test_time_is_rounded_and_clamped():
    assert parse_time(b"0.123456789") == 116444736000000000 + 1234567
    assert parse_time(b"-99999999999") == 0
    assert parse_time(b"9" * 18) == (1 << 63) - 1


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.integers(0, 255), st.binary(max_size=20)), max_size=4))
@settings(max_examples=100)
def test_extended_attributes_round_trip(attributes):
    chain = pack_eas(attributes)
    assert unpack_eas(chain) == attributes
    assert len(chain) % 4 == 0


def test_extended_attributes_of_windows_are_read():
    assert unpack_eas(b"\0\0\0\0\x80\1\2\0A\0xy") == [(b"A", 0x80, b"xy")]  # last offset 0, no padding
    for broken in (
        b"1",
        b"\x04\0\0\0\0\1\2\0A\0xy",
        b"\x0c\0\0\0\0\1\xff\0A\0xy",
        b"\x0c\0\0\0\0\0\0\0\0\0\0\0",
        b"\x0c\0\0\0\0\1\2\0AAxy",
    ):
        assert unpack_eas(broken) is None
