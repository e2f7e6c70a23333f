# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry import upcase
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_bytes


def test_the_built_in_table_is_the_one_windows_formats_volumes_with():
    ntfs = pytest.importorskip("dissect.ntfs")
    volume = ntfs.NTFS(io.BytesIO(sample_bytes("dissect.ntfs", "3.16", "tests/_data/ntfs.bin.gz")))
    data = volume.mft.get("$UpCase").open().read()
    assert [int.from_bytes(data[unit * 2 : unit * 2 + 2], "little") for unit in range(65536)] == [
        ord(upcase.WINDOWS.fold(chr(unit))) for unit in range(65536)
    ]
    read = upcase.Upcase.from_bytes(data)
    assert all(read.fold(chr(unit)) == upcase.WINDOWS.fold(chr(unit)) for unit in range(65536))


@pytest.mark.parametrize(
    "name, folded",
    [
        ("Control", "CONTROL"),
        ("stra\u00dfe", "STRA\u00dfE"),
        ("\u00b5", "\u00b5"),
        ("\u0131i", "\u0131I"),
        ("\u03c3\u03c2", "\u03a3\u03c2"),
        ("\u10d0", "\u10d0"),
        ("\u00ff", "\u0178"),
        ("\U00010428", "\U00010428"),
        ("\ufb01", "\ufb01"),
    ],
)
def test_fold(name, folded):
    assert upcase.WINDOWS.fold(name) == folded


def test_order_is_by_utf_16_unit():
    assert upcase.sort_key("\U0001f600") < upcase.sort_key("\uff21")
    assert upcase.sort_key("B") < upcase.sort_key("_")


@pytest.mark.parametrize(
    "name, number", [("", 0), ("A", 65), ("AB", 65 * 37 + 66), ("\u0416", 0x416), ("\U0001f600", 0xD83D * 37 + 0xDE00)]
)
def test_hash(name, number):
    assert upcase.name_hash(name) == number


def test_hash_stays_in_32_bits():
    assert upcase.name_hash("Z" * 255) == upcase.name_hash("\u00c9" + "Z" * 254) + (90 - 0xC9) * 37**254 & 0xFFFFFFFF


@pytest.mark.parametrize("table", [b"", bytes(131072), b"\0" * 131071])
def test_a_table_that_is_none_is_refused(table):
    with pytest.raises(InvalidInput):
        upcase.Upcase.from_bytes(table)
