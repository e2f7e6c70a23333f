# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of VMDK descriptors."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_descriptor import (
    is_descriptor,
    parse_descriptor,
)

TEXT = b"""# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=123a5678
parentCID=ffffffff
createType="twoGbMaxExtentFlat"

# Extent description
RW 4192256 FLAT "disk one-f001.vmdk" 0
RW 2048 FLAT "disk one-f002.vmdk" 128
RDONLY 64 ZERO
# The Disk Data Base
ddb.adapterType = "lsilogic"
"""


def test_extents_and_settings():
    assert is_descriptor(TEXT) and is_descriptor(b"\xef\xbb\xbf" + TEXT) and not is_descriptor(b"KDMV")
    descriptor = parse_descriptor(TEXT.replace(b"\n", b"\r\n") + bytes(100), "disk")
    assert descriptor.create_type == "twoGbMaxExtentFlat"
    assert [(extent.access, extent.size, extent.kind, extent.file, extent.offset) for extent in descriptor.extents] == [
        ("RW", 4192256 * 512, "FLAT", "disk one-f001.vmdk", 0),
        ("RW", 2048 * 512, "FLAT", "disk one-f002.vmdk", 128 * 512),
        ("RDONLY", 64 * 512, "ZERO", "", 0),
    ]
    assert descriptor.size == (4192256 + 2048 + 64) * 512 and descriptor.settings["ddb.adaptertype"] == "lsilogic"


@pytest.mark.parametrize("parent", [b"parentCID=11112222", b'parentFileNameHint="base.vmdk"'])
def test_snapshots_are_refused(parent):
    with pytest.raises(Unsupported, match="parent"):
        parse_descriptor(TEXT.replace(b"parentCID=ffffffff", parent), "disk")


@pytest.mark.parametrize("text", [
    TEXT.replace(b"4192256", b"999999999999999999"), TEXT.replace(b'vmdk" 128', b'vmdk" 999999999999999999'), TEXT + b"RW 1 ZERO\n" * 5000, bytes(1 << 21),
])  # fmt: skip
def test_more_than_a_disk_can_hold(text):
    with pytest.raises(Corrupt):
        parse_descriptor(text, "disk")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(TEXT)), st.integers(0, 40), st.binary(max_size=40))
def test_damage_raises_only_our_errors(place, removed, added):
    try:
        parse_descriptor(TEXT[:place] + added + TEXT[place + removed :], "disk")
    except StrataError:
        pass


def test_long_lines_take_little_time():
    for line in (
        b"RW 1 FLAT " + b" " * 500000, b"RW" + b" " * 900000 + b"x", b"a" * 900000, b'RW 1 FLAT "' + b"a" * 900000, b"a" + b" " * 900000 + b'"',
        b"a=" + b" " * 900000 + b'"b"c', b'a = "' + b" " * 900000 + b'" x',
    ):  # fmt: skip
        parse_descriptor(line, "disk")
