# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of error codes is read from the sources, and codes that break the rules are reported."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.strata.layering.tests.tools import errors

_ERRORS = """
class StrataError(Exception):
    "Base class."

class Corrupt(StrataError):
    "Data is damaged."

class InternalError(StrataError):
    "A defect."
"""


@pytest.fixture(name="read")
def _read(tmp_path):
    """Return a function that reads the sources of one package ``disk``."""

    def read(source: str) -> errors.Reader:
        for path, text in {"common/errors.py": _ERRORS, "disk/image.py": source}.items():
            target: pathlib.Path = tmp_path / "plugins" / "module_utils" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        reader = errors.Reader(errors.read_modules(tmp_path))
        reader.read()
        return reader

    return read


def test_reader_raise_gives_code_message_hint_and_class(read):
    reader = read('raise Corrupt(f"{self.name} has {len(rows)} rows.", code="disk.rows", hint="Copy " "it again.")')
    (entry,) = reader.entries
    assert entry.package == "disk"
    assert entry.code == "disk.rows"
    assert entry.kind == "Corrupt"
    assert entry.message == "{name} has {number of rows} rows."
    assert entry.hint == "Copy it again."
    assert reader.problems == []


def test_reader_internal_error_has_its_own_hint(read):
    (entry,) = read('raise InternalError("Sizes differ.", code="disk.sizes")').entries
    assert "defect" in entry.hint


def test_reader_helper_call_gives_the_message_of_the_helper(read):
    source = """
_HINT = "Copy it again."

def damaged(name, why, code="disk.corrupt"):
    return Corrupt(f"{name} is damaged: {why}.", code=code, hint=_HINT)

def read(path):
    raise damaged(path, "it is empty", "disk.empty")

def other(path):
    raise damaged(path, "it is too long")
"""
    entries = {entry.code: entry for entry in read(source).entries if entry.message}
    assert entries["disk.empty"].message == "{path} is damaged: it is empty."
    assert entries["disk.empty"].hint == "Copy it again."
    assert entries["disk.corrupt"].message == "{path} is damaged: it is too long."


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("LIMIT >> 20", "2"),
        ("offset + len(data)", "{offset + number of data}"),
        ("kind.upper()", "{kind}"),
        ("name or '(default)'", "{name} / (default)"),
        ("label[0].upper() + label[1:]", "{label}"),
        ("ENDINGS[-1]", "{last of endings}"),
    ],
)
def test_reader_expression_in_a_message_is_readable(read, expression, text):
    (entry,) = read(f'LIMIT = 2 << 20\nraise Corrupt(f"It has {{{expression}}}.", code="disk.rows")').entries
    assert entry.message == f"It has {text}."


def test_reader_table_row_gives_class_and_hint(read):
    (entry,) = read('KINDS = {"Fault": (Corrupt, "disk.fault", "Try again.")}').entries
    assert (entry.kind, entry.code, entry.hint) == ("Corrupt", "disk.fault", "Try again.")


@pytest.mark.parametrize(
    "source",
    [
        'raise Corrupt("It is damaged.")',
        'raise Corrupt("It is damaged.", code="volume.corrupt")',
        'raise Corrupt("It is damaged.", code="corrupt")',
    ],
)
def test_reader_code_missing_or_of_another_package_is_reported(read, source):
    (problem,) = read(source).problems
    assert problem.path == "plugins/module_utils/disk/image.py"
    assert problem.line == 1


def test_reader_class_of_the_same_name_that_is_not_an_error_is_ignored(read):
    reader = read('class Corrupt:\n    "A finding."\n\nfound = Corrupt("a path")')
    assert reader.entries == []
    assert reader.problems == []


def test_reader_file_name_is_not_a_code(read):
    assert read('open("disk.raw")').entries == []


def test_document_lists_every_code_once_by_package(read):
    reader = read('a = Corrupt("One | two.", code="disk.a")\nb = Corrupt("Three.", code="disk.a")')
    text = errors.document(reader.entries, reader.classes, {"old.a": ["disk.a"]})
    assert text.count("\n| `disk.a` |") == 1
    assert "## disk" in text
    assert "One \\| two.<br>Three." in text
    assert "| `old.a` | `disk.a` |" in text


def test_former_codes_are_not_used_any_more():
    reader = errors.Reader(errors.read_modules(pathlib.Path(errors.__file__).resolve().parents[2]))
    reader.read()
    former = {old for old, codes in errors.former_codes().items() if old not in codes}
    assert former.isdisjoint(entry.code for entry in reader.entries)
