# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.winregistry import registry_values
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_items import Value
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword, encode_qword


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


@pytest.mark.parametrize(
    "kind, data, text",
    [
        (1, utf16("abc\0"), "abc"),
        (1, utf16("abc"), "abc"),
        (2, utf16("%x%\0junk"), "%x%"),
        (1, utf16("ab") + b"\1", "ab"),
        (1, b"", ""),
        (1, b"\0", ""),
        (7, utf16("one\0two\0\0"), "one"),
        (6, utf16("\\Registry"), "\\Registry"),
        (1, b"\x00\xd8", "\ud800"),
        (4, b"\1\0\0\0", None),
        (0, b"", None),
    ],
)
def test_decode_string(kind, data, text):
    assert registry_values.decode_string(Value("", kind, data)) == text


@pytest.mark.parametrize(
    "kind, data, texts",
    [
        (7, utf16("one\0two\0\0"), ["one", "two"]),
        (7, utf16("one\0two"), ["one", "two"]),
        (7, utf16("\0\0"), []),
        (7, b"", []),
        (7, utf16("a\0\0hidden\0\0"), ["a"]),
        (1, utf16("one\0"), ["one"]),
        (2, b"", []),
        (3, b"", None),
    ],
)
def test_decode_multi_string(kind, data, texts):
    assert registry_values.decode_multi_string(Value("", kind, data)) == texts


@pytest.mark.parametrize(
    "kind, data, number",
    [
        (4, b"\1\0\0\0", 1),
        (4, b"\1\0", 1),
        (4, b"\1\0\0\0\xff", 1),
        (5, b"\0\0\0\1", 1),
        (11, b"\1" + bytes(7), 1),
        (3, b"\2\0", 2),
        (3, bytes(9), None),
        (4, b"", None),
        (1, utf16("1"), None),
    ],
)
def test_decode_integer(kind, data, number):
    assert registry_values.decode_integer(Value("", kind, data)) == number


def test_decode_missing_value_is_none():
    assert (
        registry_values.decode_string(None)
        is registry_values.decode_multi_string(None)
        is registry_values.decode_integer(None)
        is None
    )


def test_encoders():
    assert registry_values.encode_string("é") == b"\xe9\0\0\0"
    assert registry_values.encode_multi_string(["a", "", "b"]) == utf16("a\0b\0\0")
    assert encode_dword(-1) == b"\xff" * 4
    assert encode_qword(1 << 40) == b"\0\0\0\0\0\1\0\0"


def test_current_control_set():
    hive = Hive.new()
    for name in ("ControlSet001", "controlset002", "Select"):
        hive.root.create(name)
    select = hive.key("Select")
    select.set_value("Default", 4, encode_dword(1))
    select.set_value("Current", 4, encode_dword(2))
    assert registry_values.current_control_set(hive).name == "controlset002"
    select.set_value("Current", 4, encode_dword(9))
    assert registry_values.current_control_set(hive).name == "ControlSet001"
