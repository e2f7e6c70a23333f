# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.reg_text import (
    CreateKey,
    DeleteKey,
    DeleteValue,
    SetValue,
    needs_code_page,
    read_reg,
)
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors
from ansible_collections.strata.layering.tests.support.reg_files import apply, export, write_reg

from .registry_helpers import hives

ROOT = "HKEY_LOCAL_MACHINE\\SOFTWARE"
SAMPLE = """Windows Registry Editor Version 5.00

; a comment
[HKEY_LOCAL_MACHINE\\SOFTWARE\\Größe [x]\\y]  ; another
@="default"
"Path"="C:\\\\Program Files\\\\\\"x\\""
"two
lines"="one
two"
"n"=dword:0000000A ; ten
"b"=hex:01,02,\\
  03, 4,
"e"=hex(2):25,00,\\
  00,00
"q" = hex(b):01,00,00,00,00,00,00,00
"p"=hex(ffff0012):
"gone"=-

[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Old]
[HKEY_LOCAL_MACHINE\\SOFTWARE\\Empty]"""
EXPECTED = [
    CreateKey(f"{ROOT}\\Größe [x]\\y"),
    SetValue(f"{ROOT}\\Größe [x]\\y", "", 1, "default\0".encode("utf-16-le")),
    SetValue(f"{ROOT}\\Größe [x]\\y", "Path", 1, 'C:\\Program Files\\"x"\0'.encode("utf-16-le")),
    SetValue(f"{ROOT}\\Größe [x]\\y", "two\nlines", 1, "one\ntwo\0".encode("utf-16-le")),
    SetValue(f"{ROOT}\\Größe [x]\\y", "n", 4, b"\x0a\0\0\0"),
    SetValue(f"{ROOT}\\Größe [x]\\y", "b", 3, b"\1\2\3\4"),
    SetValue(f"{ROOT}\\Größe [x]\\y", "e", 2, b"%\0\0\0"),
    SetValue(f"{ROOT}\\Größe [x]\\y", "q", 11, b"\1" + bytes(7)),
    SetValue(f"{ROOT}\\Größe [x]\\y", "p", 0xFFFF0012, b""),
    DeleteValue(f"{ROOT}\\Größe [x]\\y", "gone"),
    DeleteKey(f"{ROOT}\\Old"),
    CreateKey(f"{ROOT}\\Empty"),
]


@pytest.mark.parametrize(
    "encoded",
    [
        SAMPLE.encode("utf-8"),
        SAMPLE.encode("utf-8-sig"),
        SAMPLE.encode("utf-16"),
        SAMPLE.encode("utf-16-le"),
        b"\r\n" + SAMPLE.encode("utf-8"),
    ],
)
def test_read_reg_in_every_encoding(encoded):
    assert read_reg(encoded) == EXPECTED


def test_read_reg_with_windows_line_ends():
    operations = read_reg(SAMPLE.replace("\n", "\r\n").encode("utf-16"))
    assert [operation for operation in operations if "\r" not in getattr(operation, "name", "")] == EXPECTED[
        :3
    ] + EXPECTED[4:]


def test_read_reg_ansi_file_has_ansi_strings():
    text = 'REGEDIT4\r\n\r\n[HKEY_CURRENT_USER\\ä]\r\n"s"="€"\r\n"e"=hex(2):25,80,00\r\n"m"=hex(7):61,00,00\r\n"b"=hex:80\r\n'
    path = "HKEY_CURRENT_USER\\ä"
    assert read_reg(text.encode("cp1252"), code_page=1252) == [
        CreateKey(path),
        SetValue(path, "s", 1, "€\0".encode("utf-16-le")),
        SetValue(path, "e", 2, "%€\0".encode("utf-16-le")),
        SetValue(path, "m", 7, "a\0\0".encode("utf-16-le")),
        SetValue(path, "b", 3, b"\x80"),
    ]
    assert read_reg("REGEDIT4\n[HKEY_USERS\\ж]".encode("cp1251"), code_page=1251) == [CreateKey("HKEY_USERS\\ж")]


@pytest.mark.parametrize(
    "body, line",
    [
        ("nonsense", 2),
        ('"a"="b"', 2),
        ("[HKEY_USERS\\x", 2),
        ("[SOFTWARE]", 2),
        ("[HKEY_USERS\\\\x]", 2),
        ("[]", 2),
        ('[HKEY_USERS]\n\n"a"="C:\\Users"', 4),
        ('[HKEY_USERS]\n"a', 3),
        ('[HKEY_USERS]\n"a"=dword:123456789', 3),
        ('[HKEY_USERS]\n"a"=dword:', 3),
        ('[HKEY_USERS]\n"a"=hex:1,,2', 3),
        ('[HKEY_USERS]\n"a"=hex:123', 3),
        ('[HKEY_USERS]\n"a"=hex:1g', 3),
        ('[HKEY_USERS]\n"a" "b"', 3),
        ('[HKEY_USERS]\n"a"="b" c', 3),
        ('[-HKEY_USERS\\x]\n@="y"', 3),
        ("[HKEY_USERS]\n@", 3),
        ('[HKEY_USERS]\n"a"=five', 3),
    ],
)
def test_read_reg_invalid_line_is_named(body, line):
    with pytest.raises(InvalidInput) as caught:
        read_reg(("Windows Registry Editor Version 5.00\n" + body).encode(), source="app.reg")
    assert caught.value.code == "winregistry.text"
    assert caught.value.details["line"] == line
    assert "app.reg" in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"WINE REGISTRY Version 2\n",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbfWindows Registry Editor Version 5.00\n\xff",
    ],
)
def test_read_reg_other_file_is_rejected(data):
    with pytest.raises(InvalidInput) as caught:
        read_reg(data)
    assert caught.value.code == "winregistry.text"


_KEY = "[HKEY_LOCAL_MACHINE\\SOFTWARE\\A]\n"


def values(body: str, end: str = "\n") -> dict[str, bytes]:
    text = end.join(("Windows Registry Editor Version 5.00", "", *(_KEY + body).split("\n")))
    return {item.name: item.data for item in read_reg(text.encode()) if isinstance(item, SetValue)}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "body",
    [
        '"v"=hex:01,02,\\\n; comment\n03',
        '"v"=hex:01,02,\\\n  ;comment\\\n  03',
        '"v"=hex:01,02,\\\n\n\n03',
        '"v"=hex:01,02,\\\n \t\n\t\n  03',
        '"v"=hex:01,\\;comment\n  02,\\  ;#comment\n  03',
        '"v"=hex:01,  \\  ;comment\n\n02,\\\t\n;\n\n; comment "x"\n03;comment',
        '"v"=hex:\\\n  01,02,03',
        '"v"=hex:01,02,03,',
        '"v"=hex:01,02,03 ; comment',
        '"v"=hex:01,02,03,\\',
        '"v"=hex:01,02,03,\\ ;comment',
        '# comment\\\n;comment\\\n"v"=hex:01,02,03\n  #"v"=hex:09\n  ;"v"=hex:09',
        ';"v"=hex:09,\\\n"v"=hex:01,02,03',
    ],
)
def test_read_reg_comments_and_blank_lines_in_a_value_as_windows_does(body, end):
    assert values(body, end) == {"v": b"\1\2\3"}


def test_read_reg_comment_signs_in_text_are_text():
    assert values('"a;b"="c;d"\n"#"="#" ; comment\n"n"=dword:7;x') == {
        "a;b": "c;d\0".encode("utf-16-le"),
        "#": "#\0".encode("utf-16-le"),
        "n": b"\7\0\0\0",
    }


@pytest.mark.parametrize(
    "body",
    [
        '"v"=hex:01\\\n02',
        '"v"=hex:01\\\n,02',
        '"v"=hex:0\\\n1,02',
        '"v"=hex:01,\\\n\\\n02',
        '"v"=hex:01,\\#comment\n02',
        '"v"=hex:01,\\\n#comment\n02',
        '"v"=hex:01,\\02',
        '"v"=hex:01,\\,02',
        '"v"=hex:,\\\n02',
        '"v"=hex:01,,02',
        '"v"=hex:0 1',
        '"v"=hex:01,\n02',
        '"v"=hex:01,;comment\n02',
        '"v"=hex:01,\\\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\B]',
        '"v"=hex:01,\\\n"w"=dword:1',
        '"v"=hex:01,\\\n;comment\n@="x"',
        '"v"=hex:01 #comment',
        '"v"="x"#comment',
        '"v"=dword:1 #comment',
        '"v"=- #comment',
        '"v"=;"x"',
        '"v"="x\\0y"',
        '"v\\0"="x"',
        '"v"=hex:01,02/\n03',
    ],
)
def test_read_reg_value_that_windows_ignores_is_refused(body):
    with pytest.raises(InvalidInput) as caught:
        values(body)
    assert caught.value.code == "winregistry.text"
    assert caught.value.details["line"] > 3


@pytest.mark.parametrize("short, root", [("HKLM", "HKEY_LOCAL_MACHINE"), ("hkcu", "HKEY_CURRENT_USER")])
def test_read_reg_short_root_is_refused_with_the_full_name(short, root):
    with pytest.raises(InvalidInput) as caught:
        read_reg(f"Windows Registry Editor Version 5.00\n\n[{short}\\SOFTWARE\\A]".encode())
    assert caught.value.details["line"] == 3
    assert root in caught.value.hint


@pytest.mark.parametrize(
    "code_page, text", [(1251, "Программа"), (1252, "Größe"), (932, "設定"), (65001, "Größe Программа")]
)
def test_read_reg_regedit4_is_read_in_the_code_page(code_page, text):
    codec = "utf-8" if code_page == 65001 else f"cp{code_page}"
    hexadecimal = f"{text}\0".encode(codec).hex(",")
    data = f'REGEDIT4\n[HKEY_CURRENT_USER\\{text}]\n"t"="{text}"\n"h"=hex(2):{hexadecimal}'.encode(codec)
    path = f"HKEY_CURRENT_USER\\{text}"
    encoded = f"{text}\0".encode("utf-16-le")
    assert needs_code_page(data)
    assert read_reg(data, code_page=code_page) == [
        CreateKey(path),
        SetValue(path, "t", 1, encoded),
        SetValue(path, "h", 2, encoded),
    ]


def test_read_reg_ansi_file_of_version_5_is_read_in_the_code_page():
    data = "Windows Registry Editor Version 5.00\n[HKEY_CURRENT_USER\\Größe]".encode("cp1252")
    assert needs_code_page(data)
    assert read_reg(data, code_page=1252) == [CreateKey("HKEY_CURRENT_USER\\Größe")]


@pytest.mark.parametrize(
    "data, code_page, line",
    [
        ("REGEDIT4\n[HKEY_CURRENT_USER\\Größe]".encode("cp1252"), None, 2),
        ("REGEDIT4\n[HKEY_CURRENT_USER\\Größe]".encode("cp1252"), 1200, 2),
        (b"REGEDIT4\r\n\r\n[HKEY_CURRENT_USER\\A\x81 ]", 932, 3),
        (b"REGEDIT4\n\x81", 1252, 2),
        ("REGEDIT4\n[HKEY_CURRENT_USER\\Größe]".encode(), 1252, 1),
        (b'REGEDIT4\n[HKEY_CURRENT_USER\\A]\n"v"=hex(1):81,00', 1252, 3),
        (b'REGEDIT4\n[HKEY_CURRENT_USER\\A]\n"v"=hex(1):e4,00', None, 3),
        (b"Windows Registry Editor Version 5.00\n[HKEY_CURRENT_USER\\Gr\xf6]", None, 2),
    ],
)
def test_read_reg_text_outside_the_code_page_is_refused(data, code_page, line):
    with pytest.raises(InvalidInput) as caught:
        read_reg(data, source="/x/app.reg", code_page=code_page)
    assert caught.value.code == "winregistry.code_page"
    assert (caught.value.details["line"], caught.value.details["code_page"]) == (line, code_page)
    assert "/x/app.reg" in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        SAMPLE.encode(),
        SAMPLE.encode("utf-16"),
        b'REGEDIT4\n[HKEY_CURRENT_USER\\A]\n"v"=hex:ff\n"w"="x"',
    ],
)
def test_read_reg_other_text_needs_no_code_page(data):
    assert not needs_code_page(data)
    assert read_reg(data) == read_reg(data, code_page=1251)


def test_write_reg_is_read_again():
    text = write_reg(EXPECTED)
    assert text.startswith("\ufeffWindows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE".encode("utf-16-le"))
    assert read_reg(text) == EXPECTED
    assert max(map(len, text.decode("utf-16").split("\r\n"))) <= 80
    long = SetValue(ROOT, "x" * 30, 3, bytes(range(256)))
    written = write_reg([CreateKey(ROOT), long])
    assert max(map(len, written.decode("utf-16").split("\r\n"))) <= 80
    assert read_reg(written) == [CreateKey(ROOT), long]


@pytest.mark.parametrize("name", ["a\nb", "a\0b", "a] ; b"])
def test_write_reg_key_that_does_not_fit_a_line_is_rejected(name):
    with pytest.raises(ValueError):
        write_reg([CreateKey(f"{ROOT}\\{name}")])


def test_apply_operations_below_the_mount():
    hive = Hive.new()
    hive.root.create("Old\\below")
    hive.root.create("GRÖSSE [X]")
    hive.root.create("größe [x]\\Y").set_value("GONE", 1, b"")
    operations = EXPECTED + [
        SetValue("HKEY_LOCAL_MACHINE\\SOFTWARE2", "x", 1, b""),
        DeleteKey(f"{ROOT}\\nowhere"),
        DeleteValue(f"{ROOT}\\empty", "x"),
        SetValue(ROOT.lower(), "root", 4, b"\1\0\0\0"),
    ]
    assert apply(hive.root, operations, "hkey_local_machine\\Software") == len(operations) - 1
    key = hive.key("Größe [x]\\y")
    assert list(key.values) == ["", "Path", "two\nlines", "n", "b", "e", "q", "p"]
    assert hive.key("Old") is None
    assert hive.key("Empty") is not None
    assert hive.root.value("root").data == b"\1\0\0\0"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(hives(data=st.binary(max_size=100)))
def test_export_then_apply_gives_the_same_keys_and_values(hive):
    operations = list(export(hive.root, ROOT))
    try:
        text = write_reg(operations)
    except ValueError:
        names = [operation.path + getattr(operation, "name", "") for operation in operations]
        assert any(character in name for name in names for character in "\r\n\0]")
        return
    again = Hive.new()
    apply(again.root, read_reg(text), ROOT)
    assert _plain(again) == _plain(hive)


def _plain(hive: Hive) -> dict:
    return {
        path: [(value.name, value.type, value.data) for value in key.values.values()] for path, key in hive.root.walk()
    }


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='[]-"\\@=:;,\n\r\t ahex(2)dword0HKEY_', max_size=60))
def test_read_reg_random_text_raises_only_our_errors(body):
    with only_our_errors():
        read_reg(b"Windows Registry Editor Version 5.00\n" + body.encode())


def test_read_reg_large_value():
    data = struct.pack("<I", 0x12345678) * 300_000
    assert read_reg(write_reg([CreateKey(ROOT), SetValue(ROOT, "x", 3, data)]))[1].data == data


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_read_reg_operations_have_their_line(end):
    text = end.join(
        [
            "Windows Registry Editor Version 5.00",
            "",
            "[HKEY_LOCAL_MACHINE\\A]",
            '"a"="b',
            'c"',
            "; more",
            '"d"=hex:01,\\',
            "  02",
            '"e"=-',
            "",
            "[-HKEY_USERS\\B]",
        ]
    )
    assert [operation.line for operation in read_reg(text.encode())] == [3, 4, 7, 9, 11]
