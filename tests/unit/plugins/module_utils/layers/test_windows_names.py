# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names as Windows accepts and compares them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.layers.windows_names import (
    fold,
    windows_name_problem,
    windows_path,
)
from ansible_collections.strata.layering.tests.support.expectations import raises


@pytest.mark.parametrize(
    "first, second",
    [("Readme.TXT", "README.txt"), ("\u00fcber", "\u00dcBER"), ("\u0436", "\u0416"), ("\u1f80", "\u1f88")],
)
def test_names_that_windows_treats_as_equal(first, second):
    assert fold(first) == fold(second)


@pytest.mark.parametrize(
    "first, second",
    [
        ("stra\u00dfe", "strasse"),
        ("\u0131", "I"),
        ("\u017f", "s"),
        ("\u03c2", "\u03c3"),
        ("\u00b5", "\u03bc"),
        ("a", "\u00e4"),
        ("\u212a", "k"),
        ("\U00010428", "\U00010400"),
    ],
)
def test_names_that_windows_treats_as_different(first, second):
    assert fold(first) != fold(second)


@given(st.text(max_size=20))
@settings(max_examples=200)
def test_fold_keeps_length_and_is_idempotent(name):
    assert len(fold(name)) == len(name)
    assert fold(fold(name)) == fold(name)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a.b.c",
        ".git",
        "..a",
        "CONS",
        "xcon",
        "com10",
        "caf\u00e9",
        "\u65e5\u672c",
        "a b",
        "#$%&'()+,;=@[]^_`{}~!-",
        "\U0001f600" * 127,
    ],
)
def test_valid_windows_name_has_no_problem(name):
    assert windows_name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "...",
        " ",
        "a.",
        "a ",
        "a<b",
        "a>b",
        'a"b',
        "a|b",
        "a?b",
        "a*b",
        "a:b",
        "a/b",
        "a\\b",
        "a\x01b",
        "CON",
        "con.tar.gz",
        "Lpt\u00b3",
        "NUL ",
        "aux .x",
        "com1",
        "CONIN$",
        "\U0001f600" * 128,
        "\ud800",
        "a\0",
    ],
)
def test_invalid_windows_name_has_a_problem(name):
    assert windows_name_problem(name)


@pytest.mark.parametrize(
    "text, path",
    [
        ("C:\\Windows\\System32", "Windows/System32"),
        ("\\Windows", "Windows"),
        ("Windows/x/", "Windows/x"),
        ("c:/a\\b", "a/b"),
        (".config", ".config"),
    ],
)
def test_windows_path_is_converted(text, path):
    assert windows_path(text) == path


def test_refused_path_is_in_details():
    with raises(InvalidInput, "layers.path") as caught:
        windows_path("D:\\x")
    assert caught.value.details["path"] == "D:\\x"
