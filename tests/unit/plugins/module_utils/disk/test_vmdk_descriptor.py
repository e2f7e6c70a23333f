# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMDK descriptors."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.child_process import run_in_child
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_descriptor import (
    is_descriptor,
    parse_descriptor,
)
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors

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


@pytest.mark.parametrize(
    ("data", "expected"), [(TEXT, True), (b"\xef\xbb\xbf" + TEXT, True), (b"KDMV", False), (b"", False)]
)
def test_descriptor_is_recognised_by_its_first_line(data, expected):
    assert is_descriptor(data) == expected


def test_extents_and_settings_are_read():
    descriptor = parse_descriptor(TEXT.replace(b"\n", b"\r\n") + bytes(100), "disk")
    assert descriptor.create_type == "twoGbMaxExtentFlat"
    assert [(extent.access, extent.size, extent.kind, extent.file, extent.offset) for extent in descriptor.extents] == [
        ("RW", 4192256 * 512, "FLAT", "disk one-f001.vmdk", 0),
        ("RW", 2048 * 512, "FLAT", "disk one-f002.vmdk", 128 * 512),
        ("RDONLY", 64 * 512, "ZERO", "", 0),
    ]
    assert descriptor.size == (4192256 + 2048 + 64) * 512
    assert descriptor.settings["ddb.adaptertype"] == "lsilogic"


@pytest.mark.parametrize("parent", [b"parentCID=11112222", b'parentFileNameHint="base.vmdk"'])
def test_disk_with_a_parent_is_not_supported(parent):
    with pytest.raises(Unsupported) as caught:
        parse_descriptor(TEXT.replace(b"parentCID=ffffffff", parent), "disk")
    assert caught.value.code == "disk.vmdk_has_parent"


@pytest.mark.parametrize("text", [
    TEXT.replace(b"4192256", b"999999999999999999"), TEXT.replace(b'vmdk" 128', b'vmdk" 999999999999999999'), TEXT + b"RW 1 ZERO\n" * 5000, bytes(1 << 21),
])  # fmt: skip
def test_impossible_sizes_are_rejected(text):
    with pytest.raises(Corrupt) as caught:
        parse_descriptor(text, "disk")
    assert caught.value.code == "disk.vmdk_corrupt"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(TEXT)), st.integers(0, 40), st.binary(max_size=40))
def test_damaged_descriptor_raises_only_our_errors(offset, removed, added):
    with only_our_errors():
        parse_descriptor(TEXT[:offset] + added + TEXT[offset + removed :], "disk")


@pytest.mark.parametrize("line", [
    b"RW 1 FLAT " + b" " * 500000, b"RW" + b" " * 900000 + b"x", b"a" * 900000, b'RW 1 FLAT "' + b"a" * 900000, b"a" + b" " * 900000 + b'"',
    b"a=" + b" " * 900000 + b'"b"c', b'a = "' + b" " * 900000 + b'" x',
], ids=range(7))  # fmt: skip
def test_long_line_is_parsed_within_the_time_limit(line):
    # A regular expression that backtracks would take hours: the child process is killed after the timeout (seconds).
    run_in_child(parse_descriptor, line, "disk", timeout=20)
