# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError
from ansible_collections.strata.layering.plugins.module_utils.winregistry import upcase
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_bytes


def test_windows_table_equals_that_of_a_windows_volume():
    ntfs = pytest.importorskip("dissect.ntfs")
    volume = ntfs.NTFS(io.BytesIO(sample_bytes("dissect.ntfs", "3.16", "tests/_data/ntfs.bin.gz")))
    data = volume.mft.get("$UpCase").open().read()
    assert [int.from_bytes(data[unit * 2 : unit * 2 + 2], "little") for unit in range(65536)] == [
        ord(upcase.WINDOWS.fold(chr(unit))) for unit in range(65536)
    ]


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


def test_sort_key_orders_by_utf_16_unit():
    assert upcase.sort_key("\U0001f600") < upcase.sort_key("\uff21")
    assert upcase.sort_key("B") < upcase.sort_key("_")


@pytest.mark.parametrize(
    "name, number", [("", 0), ("A", 65), ("AB", 65 * 37 + 66), ("\u0416", 0x416), ("\U0001f600", 0xD83D * 37 + 0xDE00)]
)
def test_name_hash(name, number):
    assert upcase.name_hash(name) == number


def test_name_hash_is_limited_to_32_bits():
    assert upcase.name_hash("Z" * 255) == upcase.name_hash("\u00c9" + "Z" * 254) + (90 - 0xC9) * 37**254 & 0xFFFFFFFF


@pytest.mark.parametrize("table", [{}, {0x61: 0x62}])
def test_upcase_table_that_changes_ascii_is_rejected(table):
    with pytest.raises(InternalError) as caught:
        upcase.Upcase(table)
    assert caught.value.code == "winregistry.upcase"
