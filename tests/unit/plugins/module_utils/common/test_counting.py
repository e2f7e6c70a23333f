# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.counting import counted, counted_examples


@pytest.mark.parametrize(
    "arguments, text",
    [
        ((0, "file"), "0 files"),
        ((1, "file"), "1 file"),
        ((2, "file"), "2 files"),
        ((1, "entry", "entries"), "1 entry"),
        ((3, "entry", "entries"), "3 entries"),
    ],
)
def test_counted_noun_has_its_number(arguments, text):
    assert counted(*arguments) == text


@pytest.mark.parametrize(
    "examples, number, text",
    [
        (["a"], 1, "1 registry setting: a"),
        (["a", "b"], 2, "2 registry settings: a, b"),
        (["a", "b"], 9, "9 registry settings, such as a, b"),
    ],
)
def test_counted_examples_are_complete_or_such_as(examples, number, text):
    assert counted_examples(examples, number, "registry setting") == text
