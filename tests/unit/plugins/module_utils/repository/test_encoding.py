# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names of documents are different on any file system; references have the form that OCI tools accept."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.repository.encoding import (
    check_reference,
    encoded_name,
    reference_name,
)

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cf", "Cn", "Co")),
    min_size=1,
    max_size=200,
)


@pytest.mark.parametrize(
    "name, encoded",
    [
        ("editor-1.0", "editor-1.0"),
        ("Win 10", "%57in%2010"),
        ("con", "%63on"),
        ("nul.txt", "%6eul.txt"),
        ("..", "%2e."),
        (".git", "%2egit"),
        ("a/b\\c:d", "a%2fb%5cc%3ad"),
        ("50%", "50%25"),
        ("\u00e9", "%c3%a9"),
    ],
)
def test_encoded_name(name, encoded):
    assert encoded_name(name) == encoded


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True))
@settings(max_examples=200)
def test_different_names_have_different_file_names_without_regard_to_case(pair):
    first, second = (encoded_name(name) for name in pair)
    assert first.lower() != second.lower()
    for encoded in (first, second):
        assert re.fullmatch(r"[a-z0-9%_.+-]{1,200}", encoded)
        assert not encoded.startswith(".")


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\0", "x" * 201, "\ud800", None, 1])
def test_name_that_no_document_can_have_is_refused(name):
    with pytest.raises(InvalidInput):
        encoded_name(name)


@given(st.lists(NAMES, min_size=1, max_size=4))
@settings(max_examples=200)
def test_reference_names_are_valid_and_stable(parts):
    assert check_reference(reference_name(*parts)) == reference_name(*parts)


def test_reference_names_are_readable_and_different():
    assert reference_name("layers", "app", "7-Zip", "24.09") == "layers/app/7-Zip/24.09"
    assert reference_name("My App").startswith("My-App.")
    assert (
        len({reference_name(name) for name in ("My App", "My-App", "My  App", "My/App", "-My-App", "\u00e9", "\u00e8")})
        == 7
    )
