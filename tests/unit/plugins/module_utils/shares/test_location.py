# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locations of file shares and the names on them."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.shares.location import (
    SmbLocation,
    check_path,
    is_smb,
    parse_smb,
    split_smb_file,
)


@pytest.mark.parametrize(
    ("text", "parsed", "canonical"),
    [
        ("//server/share", SmbLocation("server", 445, "share", ""), "//server/share"),
        ("//server/share/", SmbLocation("server", 445, "share", ""), "//server/share"),
        (
            "\\\\files.example.com\\data$\\a\\b c",
            SmbLocation("files.example.com", 445, "data$", "a/b c"),
            "//files.example.com/data$/a/b c",
        ),
        ("//10.0.0.1:4450/s/p", SmbLocation("10.0.0.1", 4450, "s", "p"), "//10.0.0.1:4450/s/p"),
        ("//[fe80::1]:4450/s", SmbLocation("fe80::1", 4450, "s", ""), "//[fe80::1]:4450/s"),
    ],
)
def test_parse_smb_valid_location_returns_its_parts(text, parsed, canonical):
    assert is_smb(text)
    assert parse_smb(text) == parsed
    assert str(parsed) == canonical
    assert parse_smb(canonical) == parsed


@pytest.mark.parametrize("text", ["/srv/layers", "srv", "///server/share", "C:\\layers", ""])
def test_is_smb_path_of_this_host_is_false(text):
    assert not is_smb(text)


@pytest.mark.parametrize(
    "text",
    [
        "//server",
        "//server/",
        "//user:word@server/share",
        "//server:0/share",
        "//server:99999/share",
        "//ser ver/share",
        "//-/s",
        "//server/share/../x",
        "//server//x",
    ],
)
def test_parse_smb_malformed_location_raises(text):
    with pytest.raises(InvalidInput):
        parse_smb(text)


def test_parse_smb_credentials_in_location_are_not_shown():
    with pytest.raises(InvalidInput) as caught:
        parse_smb("//user:word@server/share")
    assert caught.value.code == "shares.address"
    assert "user:word" not in str(caught.value)


def test_split_smb_file_returns_share_and_path():
    assert split_smb_file("//server:1445/share/a/b.ovf") == ("//server:1445/share", "a/b.ovf")


def test_split_smb_file_share_alone_raises():
    with pytest.raises(InvalidInput) as caught:
        split_smb_file("//server/share")
    assert caught.value.code == "shares.address"


@pytest.mark.parametrize("name", ["a", "a/b", "a\\b", "Ä b.ovf", ".hidden", "console", "x" * 255, "com10"])
def test_check_path_valid_name_is_returned_with_slashes(name):
    assert check_path(name) == name.replace("\\", "/")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a\\..\\b",
        "a:stream",
        "a*",
        "con",
        "NUL.txt",
        "aux .x",
        "COM1",
        "lpt9.ovf",
        "a.",
        "a ",
        "x" * 256,
        "a\0b",
        "\ud800",
    ],
)
def test_check_path_name_that_windows_refuses_raises(name):
    with pytest.raises(InvalidInput) as caught:
        check_path(name)
    assert caught.value.code in ("shares.name", "shares.outside")


def test_check_path_too_long_raises():
    with pytest.raises(InvalidInput) as caught:
        check_path("/".join(["abc"] * 300))
    assert caught.value.code == "shares.name"
