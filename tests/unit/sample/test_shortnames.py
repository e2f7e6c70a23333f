# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""8.3 names as Windows generates them."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.sample import shortnames


@pytest.mark.parametrize("name", ["kernel32.dll", "CONFIG", "a.b", "$Recycle.Bin", "12345678.123"])
def test_short_name_needs_no_second_name(name):
    assert shortnames.is_short(name)


@pytest.mark.parametrize(
    "name", ["Program Files", "123456789", "a.html", ".profile", "a.b.c", "na me", "caf\u00e9", "plus+", "", "dot."]
)
def test_long_name_needs_a_short_name(name):
    assert not shortnames.is_short(name)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Program Files", "PROGRA~1"),
        ("ProgramData", "PROGRA~1"),
        ("Documents and Settings", "DOCUME~1"),
        ("index.html", "INDEX~1.HTM"),
        ("Gr\u00fc\u00dfe.txt", "GR_SSE~1.TXT"),
        (".profile", "PROFIL~1"),
        ("a.b.c", "AB~1.C"),
        ("x+y.t", "X_Y~1.T"),
    ],
)
def test_short_name_has_a_valid_form(name, short):
    assert shortnames.make_short(name, set()) == short


def test_fifth_similar_name_is_hashed_and_unique():
    taken = set()
    names = [shortnames.make_short(f"Microsoft-Windows-Feature-{number}.mum", taken) for number in range(300)]
    assert names[:4] == ["MICROS~1.MUM", "MICROS~2.MUM", "MICROS~3.MUM", "MICROS~4.MUM"]
    assert all(name.startswith("MI") and name.endswith("~1.MUM") and len(name) == 12 for name in names[4:])
    assert len(set(names)) == 300
