# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry.key_patterns import (
    PatternTree,
    name_matcher,
)


def found(patterns: list[str], path: str) -> list[str]:
    tree = PatternTree()
    for pattern in patterns:
        tree.add(pattern, pattern)
    return list(tree.find(path))


@pytest.mark.parametrize(
    "pattern, matching, others",
    [
        ("", [""], ["a"]),
        ("a\\B", ["A\\b", "\\a\\b\\"], ["a", "a\\b\\c", "b\\a"]),
        ("ControlSet*\\x", ["controlset001\\X", "ControlSet\\x"], ["Control\\x", "ControlSet001"]),
        ("Class\\{*}", ["class\\{4d36}", "class\\{}"], ["class\\4d36", "class\\{a}\\b"]),
        ("a?c", ["abc"], ["ac", "abbc"]),
        ("**", ["", "a", "a\\b"], []),
        ("a\\**", ["a", "a\\b", "a\\b\\c"], ["b", "", "b\\a"]),
        ("**\\x", ["x", "a\\x", "x\\x", "a\\b\\x"], ["x\\a", ""]),
        ("a\\**\\x\\**\\y", ["a\\x\\y", "a\\1\\x\\2\\3\\y"], ["a\\x", "a\\y"]),
        ("a[b]*", ["a[b]c"], ["ab"]),
    ],
)
def test_pattern_matches_keys(pattern, matching, others):
    assert all(found([pattern], path) == [pattern] for path in matching)
    assert not any(found([pattern], path) for path in others)


def test_find_several_patterns_keep_their_order():
    patterns = ["a\\**", "a\\b", "*\\b", "**", "a\\*", "a\\b"]
    assert found(patterns, "a\\b") == patterns


def test_name_matcher():
    assert name_matcher("Upper*")("UPPERFILTERS")
    assert not name_matcher("Upper*")("UPPE")
    assert name_matcher("Path")("PATH")
    assert not name_matcher("Path")("PATHS")


@pytest.mark.parametrize("pattern", ["\\a", "a\\", "a\\\\b", "a**", "\\".join("x" * 65), "x" * 5000])
def test_add_invalid_pattern_is_rejected(pattern):
    with pytest.raises(InvalidInput) as caught:
        PatternTree().add(pattern, None)
    assert caught.value.code == "winregistry.pattern"


@given(
    st.lists(st.sampled_from(["a", "b", "*", "?", "**", "a*"]), max_size=4),
    st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4),
)
@settings(deadline=None)
def test_patterns_equal_regular_expressions(names, path):
    expression = "".join(
        "(?:[^/]+/)*" if name == "**" else name.replace("*", "[^/]*").replace("?", "[^/]") + "/" for name in names
    )
    if any(pair == ("**", "**") for pair in itertools.pairwise(names)):
        expression = re.sub(r"(\(\?:\[\^/\]\+/\)\*)+", r"\1", expression)
    expected = re.fullmatch(expression, "".join(name + "/" for name in path)) is not None
    assert bool(found(["\\".join(names)], "\\".join(path))) == expected
