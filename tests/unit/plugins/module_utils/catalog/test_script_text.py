# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The encoding and the line ends of scripts."""

from __future__ import annotations

import codecs

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import scripts
from ansible_collections.strata.layering.plugins.module_utils.catalog.script_record import ScriptRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.script_text import prepare_script
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.tests.support.expectations import raises

TEXT = "@echo off\r\ngoto :run\r\n:run\r\necho hi\r\n"
SIGNED = "echo \u00fc\n# SIG # Begin signature block\n# SIG # End signature block\n".encode()


@pytest.mark.parametrize(
    ("path", "data", "stored", "warnings"),
    [
        ("a.cmd", b"", b"", 0),
        ("a.cmd", TEXT.encode(), TEXT.encode(), 0),
        ("a.BAT", b"a\nb\r\nc\n", b"a\r\nb\r\nc\r\n", 0),
        ("a.cmd", b"a\rb", b"a\r\nb", 0),
        ("a.cmd", codecs.BOM_UTF8 + b"echo\r\n", b"echo\r\n", 0),
        ("a.cmd", b"echo 1\n\r\necho \xfc\r\n", b"echo 1\r\n\r\necho \xfc\r\n", 1),
        ("a.cmd", codecs.BOM_UTF8 + "\u00fc\n".encode(), "\u00fc\r\n".encode(), 1),
        ("a.cmd", "@chcp 65001 > nul\r\necho \u00fc".encode(), "@chcp 65001 > nul\r\necho \u00fc".encode(), 0),
        ("a.cmd", b"start %~f0\nMZ" + b"abc\n\0\xff" * 100, b"start %~f0\nMZ" + b"abc\n\0\xff" * 100, 0),
        ("a.cmd", b"@more +5 %~f0 > setup.exe\n" * 3 + bytes(500), b"@more +5 %~f0 > setup.exe\n" * 3 + bytes(500), 0),
        ("a.ps1", b"a\nb\n", b"a\nb\n", 0),
        ("a.ps1", "\u00fc\n".encode(), codecs.BOM_UTF8 + "\u00fc\n".encode(), 0),
        ("a.ps1", codecs.BOM_UTF8 + "\u00fc\n".encode(), codecs.BOM_UTF8 + "\u00fc\n".encode(), 0),
        ("a.ps1", b"\xfc\n", b"\xfc\n", 1),
        ("a.ps1", SIGNED, SIGNED, 1),
        ("a.ps1", TEXT.encode("utf-16"), TEXT.encode("utf-16"), 0),
    ],
)
def test_script_is_stored_as_its_interpreter_reads_it(path, data, stored, warnings):
    text = prepare_script(path, data)
    assert text.data == stored
    assert len(text.warnings) == warnings
    again = prepare_script(path, text.data)
    assert again.data == stored


def test_warning_names_script_and_line():
    (warning,) = prepare_script("/srv/a.cmd", b"a\nb\n\xfc\n").warnings
    assert "Line 3" in warning and "/srv/a.cmd" in warning


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("a.cmd", TEXT.encode("utf-16")),
        ("a.bat", codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be")),
        ("a.cmd", TEXT.encode("utf-16-le")),
        ("a.cmd", TEXT.encode("utf-16-be")),
        ("a.cmd", TEXT.encode("utf-32")),
        ("a.ps1", TEXT.encode("utf-32")),
        ("a.ps1", TEXT.encode("utf-16-le")),
    ],
)
def test_script_that_its_interpreter_cannot_read_is_refused(path, data):
    with raises(InvalidInput, "catalog.script_encoding"):
        prepare_script(path, data)


@pytest.mark.parametrize("data", [codecs.BOM_UTF8, b"\n" * (scripts.MAX_SCRIPT // 2 + 1)])
def test_script_without_content_or_too_large_after_conversion_is_refused(data):
    with raises(InvalidInput, "catalog.script_size"):
        scripts.describe(scripts.Script("a.cmd", data))


def test_script_that_was_stored_unchanged_is_recognized():
    script = scripts.Script("a.cmd", b"a\nb\n")
    assert script.is_recorded(scripts.describe(script))
    assert script.is_recorded(ScriptRecord("a.cmd", scripts.describe(scripts.Script("a.ps1", b"a\nb\n")).digest, 4))
    assert not script.is_recorded(scripts.describe(scripts.Script("a.cmd", b"other")))
    assert not script.is_recorded(None)
    wide = scripts.Script("a.cmd", "a".encode("utf-16"))
    assert wide.is_recorded(ScriptRecord("a.cmd", scripts.describe(scripts.Script("b.ps1", wide.data)).digest, 4))
