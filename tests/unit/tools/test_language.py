# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of the word list finds phrases and identifiers, and reports their lines."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.tools import language

_LIST = r"""
[[words]]
avoid = "cut off"
pattern = '\bcut off\b'
write = "interrupted"

[identifiers]
whole = ["given"]
parts = ["nobody"]

[[exceptions]]
path = "docs/quoted.md"
avoid = "cut off"
reason = "a quotation"
"""


@pytest.fixture(name="checker")
def _checker(tmp_path):
    path = tmp_path / "language.toml"
    path.write_text(_LIST)
    return language.Checker(path)


def test_checker_phrase_in_text_reports_its_line(checker):
    assert list(checker.check("docs/page.md", "The\nrun was cut off.\n")) == [
        'docs/page.md:2: "cut off": write interrupted'
    ]


def test_checker_phrase_across_comment_lines_is_found(checker):
    assert len(list(checker.check("a.py", "# The run was cut\n# off here.\n"))) == 1


def test_checker_phrase_in_identifier_of_python_is_ignored(checker):
    assert list(checker.check("a.py", "cut_off = 1\n")) == []


@pytest.mark.parametrize(
    ("name", "is_forbidden"),
    [("given", True), ("given_disk", False), ("nobody_home", True), ("NobodyHome", True), ("somewhere", False)],
)
def test_checker_identifier_whole_and_parts(checker, name, is_forbidden):
    assert checker.is_forbidden_name(name) is is_forbidden


def test_checker_identifier_reports_its_line(checker):
    assert list(checker.check("a.py", "x = 1\ngiven = 2\n")) == ['a.py:2: "given": name the thing']


def test_checker_exception_allows_the_phrase_in_its_file(checker):
    assert list(checker.check("docs/quoted.md", "cut off")) == []
    assert len(list(checker.check("docs/other.md", "cut off"))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Replace these images one by one.",
        "A stand-alone host.",
        "The setting ansible_machine names the architecture.",
        "There is no datastore of that name.",
    ],
)
def test_word_list_plain_sentence_passes(text):
    assert list(language.Checker().check("docs/page.md", text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "It is done anew.",
        "A person does it.",
        "This is no disk.",
        "The machine is switched off.",
        "Machines are deleted.",
        "The other one waits.",
        "Each one waits.",
        "A Windows that is shut down.",
        "Meanwhile the task\n# goes\n# on.",
    ],
)
def test_word_list_phrase_of_the_style_guide_is_found(text):
    assert list(language.Checker().check("docs/page.md", text))
