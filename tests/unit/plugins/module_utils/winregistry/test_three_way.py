# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta import Before, ValueDelta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_items import Value
from ansible_collections.strata.layering.plugins.module_utils.winregistry.merge_rules import compile_rules
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    REG_BINARY,
    REG_DWORD,
    REG_EXPAND_SZ,
    REG_MULTI_SZ,
    REG_QWORD,
    REG_SZ,
    decode_multi_string,
    decode_string,
    encode_multi_string,
    encode_string,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.three_way import merge_lists, merge_value
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword, encode_qword


def rule(kind: str, separator: str = ""):
    return compile_rules(
        [{"hive": "SYSTEM", "key": "", "value": "v", "kind": kind, "separator": separator}], builtin=()
    ).find("SYSTEM", "", "v")


PATHS, COMMAS, SPACES, MULTI, COUNTER, VERSION = (
    rule("separated", ";"),
    rule("separated", ","),
    rule("separated", " ,"),
    rule("multi_string"),
    rule("counter"),
    rule("version"),
)


def split_items(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    "before, current, after, expected",
    [
        ("a b", "a b", "x a b", "x a b"),
        ("a b", "y a b", "x a b", "x y a b"),
        ("a b", "a b y", "a b x", "a b y x"),
        ("a b", "a b y", "a x b", "a x b y"),
        ("a b", "y a b z", "p a q b r", "p y a q b z r"),
        ("a b c", "a b c y", "a c", "a c y"),
        ("a b c", "b c", "a b c x", "b c x"),
        ("a b c", "a b c y", "c a b", "c a b y"),
        ("", "y", "x", "y x"),
        ("", "", "x y", "x y"),
        ("a", "a X", "a x", "a X"),
        ("a", "", "x a", "x"),
        ("a b", "a b", "", ""),
        ("A B", "a b y", "x a b", "x a b y"),
        ("a a b", "a a b y", "a a b x", "a a b y x"),
        ("a b", "a x b", "a b x y", "a x b y"),
    ],
)
def test_merge_lists(before, current, after, expected):
    assert merge_lists(split_items(before), split_items(current), split_items(after), fold=str.upper) == split_items(
        expected
    )


unique = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(unique, unique)
def test_merge_lists_change_applied_to_its_own_base(before, after):
    assert merge_lists(before, before, after, fold=str.upper) == after


@given(unique, unique, unique)
def test_merge_lists_result_has_every_change(before, current, after):
    result = merge_lists(before, current, after, fold=str.upper)
    assert len(set(result)) == len(result)
    assert set(result) == set(current) - (set(before) - set(after)) | (set(after) - set(before)) | {
        item for item in result if item in before and item in after
    }
    untouched = [item for item in current if item not in before and item not in after]
    assert [item for item in result if item in untouched] == untouched


def merge(which, before, current, after):
    return merge_value(
        which, None if before is None else Before.of(Value("", *before)), current, ValueDelta("v", *after)
    )


def text(content: str, kind: int = REG_SZ):
    return kind, encode_string(content)


def test_merge_value_texts():
    possible, (kind, data) = merge(PATHS, text("a;b"), text("a;b;y;"), text("a;b;x", REG_EXPAND_SZ))
    assert (possible, kind, decode_string(Value("", kind, data))) == (True, REG_EXPAND_SZ, "a;b;y;x;")
    possible, (kind, data) = merge(
        COMMAS, text("userinit.exe,"), text("userinit.exe,y.exe,"), text("userinit.exe,x.exe")
    )
    assert (kind, decode_string(Value("", kind, data))) == (REG_SZ, "userinit.exe,y.exe,x.exe,")
    possible, (kind, data) = merge(SPACES, None, text("a.dll,b.dll"), text("c.dll"))
    assert decode_string(Value("", kind, data)) == "a.dll b.dll c.dll"
    possible, (kind, data) = merge(PATHS, text("C:\\"), text('C:\\;"C:\\a;b"'), text('C:\\;C:\\Tools;"c:\\A;B\\"'))
    assert decode_string(Value("", kind, data)) == 'C:\\;"C:\\a;b";C:\\Tools'
    possible, (kind, data) = merge(PATHS, None, None, text("a;b;"))
    assert decode_string(Value("", kind, data)) == "a;b;"


def test_decode_multi_string():
    possible, (kind, data) = merge(
        MULTI, None, (REG_MULTI_SZ, encode_multi_string(["a"])), (REG_MULTI_SZ, encode_multi_string(["A", "b"]))
    )
    assert (possible, kind, decode_multi_string(Value("", kind, data))) == (True, REG_MULTI_SZ, ["a", "b"])
    possible, (kind, data) = merge(MULTI, text("a"), text("a"), (REG_MULTI_SZ, encode_multi_string(["a", "b"])))
    assert (kind, decode_multi_string(Value("", kind, data))) == (REG_MULTI_SZ, ["a", "b"])


@pytest.mark.parametrize(
    "before, current, after",
    [
        (None, (REG_BINARY, b"a"), text("a")),
        (None, text("a"), (REG_DWORD, b"a")),
        (text("a"), text("b"), (0, None)),
        (text("a"), None, text("b")),
        (None, text("a"), (REG_MULTI_SZ, b"")),
        (None, text(";".join(map(str, range(5000)))), text("a")),
    ],
)
def test_merge_value_other_data_is_not_joined(before, current, after):
    assert merge(PATHS, before, current, after) == (False, current)


@pytest.mark.parametrize(
    "data, joined",
    [
        ("a\0\0".encode("utf-16-le"), True),
        ("a\0".encode("utf-16-le"), True),
        ("a".encode("utf-16-le"), True),
        ("a\0\0\0\0".encode("utf-16-le"), True),
        ("a\0\0".encode("utf-16-le") + b"x", True),
        (b"", True),
        ("a\0\0b\0\0".encode("utf-16-le"), False),
        ("\0b\0".encode("utf-16-le"), False),
    ],
)
def test_merge_value_data_after_an_empty_text_is_not_lost(data, joined):
    possible, result = merge(MULTI, None, (REG_MULTI_SZ, data), (REG_MULTI_SZ, encode_multi_string(["c"])))
    assert possible is joined
    assert joined or result == (REG_MULTI_SZ, data)
    assert merge(MULTI, None, (REG_MULTI_SZ, encode_multi_string(["c"])), (REG_MULTI_SZ, data))[0] is joined


def test_merge_value_too_large_former_value_is_not_joined():
    before = Before.of(Value("", *text("a;" * 40000)))
    assert merge_value(PATHS, before, text("a"), ValueDelta("v", *text("b"))) == (False, text("a"))


@pytest.mark.parametrize(
    "before, current, after, expected",
    [
        (2, 3, 3, 4),
        (None, 1, 1, 2),
        (2, 1, 3, 2),
        (3, 1, 1, 0),
        (1, 2, None, 1),
        (1, 1, None, None),
        (None, None, 1, 1),
        (0, 2**32 - 1, 5, 2**32 - 1),
    ],
)
def test_merge_value_counters(before, current, after, expected):
    def dword(number):
        return None if number is None else (REG_DWORD, encode_dword(number))

    assert merge(COUNTER, dword(before), dword(current), dword(after) or (0, None)) == (True, dword(expected))


def test_merge_value_counters_of_other_types():
    assert merge(COUNTER, None, (REG_DWORD, encode_dword(1)), (REG_QWORD, encode_qword(2))) == (
        True,
        (REG_QWORD, encode_qword(3)),
    )
    assert merge(COUNTER, None, (REG_SZ, b"1"), (REG_DWORD, encode_dword(1))) == (False, (REG_SZ, b"1"))
    assert merge(COUNTER, None, (REG_DWORD, b""), (REG_DWORD, encode_dword(1))) == (False, (REG_DWORD, b""))


@pytest.mark.parametrize(
    "current, after, expected",
    [
        ("9.0.21022.8", "9.0.30729.1", "9.0.30729.1"),
        ("9.0.30729.9635", "9.0.30729.1", "9.0.30729.9635"),
        ("10.0", "9.0", "10.0"),
        ("9.0", "9.0.0.0", "9.0.0.0"),
        ("133000000000000000", "133000000000000001", "133000000000000001"),
        (None, "9.0", "9.0"),
    ],
)
def test_merge_value_version_highest_wins(current, after, expected):
    content = None if current is None else (REG_SZ, encode_string(current))
    change = ValueDelta("v", REG_SZ, encode_string(after), None)
    assert merge_value(VERSION, None, content, change) == (True, (REG_SZ, encode_string(expected)))


@pytest.mark.parametrize("text", ["", "9.", "9.x", "1" * 21, "\u0661.0"])
def test_merge_value_version_other_text_is_not_joined(text):
    current = REG_SZ, encode_string("9.0")
    assert merge_value(VERSION, None, current, ValueDelta("v", REG_SZ, encode_string(text), None)) == (False, current)
    assert merge_value(VERSION, None, current, ValueDelta("v", 0, None)) == (False, current)


def test_merge_value_version_that_a_layer_removed_is_lowered():
    """A program that installed the newest version of an assembly was removed; a third layer has another assembly."""
    high, low = ((REG_SZ, encode_string(text)) for text in ("9.0.30729.1", "9.0.21022.8"))
    change = ValueDelta("v", *low, Before(high[0], len(high[1]), high[1], None))
    assert merge_value(VERSION, change.before, high, change) == (True, low)
    newer = REG_SZ, encode_string("9.0.30729.6161")
    assert merge_value(VERSION, change.before, newer, change) == (True, newer)
