# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of file shares and the names on them."""

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
    ("text", "found", "written"),
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
def test_addresses(text, found, written):
    assert is_smb(text) and parse_smb(text) == found and str(found) == written and parse_smb(written) == found


@pytest.mark.parametrize("text", ["/srv/layers", "srv", "///server/share", "C:\\layers", ""])
def test_paths_of_this_host(text):
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
def test_malformed_addresses(text):
    with pytest.raises(InvalidInput) as caught:
        parse_smb(text)
    assert "word" not in str(caught.value)


def test_a_file_on_a_share():
    assert split_smb_file("//server:1445/share/a/b.ovf") == ("//server:1445/share", "a/b.ovf")
    with pytest.raises(InvalidInput, match="not a file"):
        split_smb_file("//server/share")


@pytest.mark.parametrize("name", ["a", "a/b", "a\\b", "Ä b.ovf", ".hidden", "console", "x" * 255, "com10"])
def test_names(name):
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
def test_names_that_no_share_has(name):
    with pytest.raises(InvalidInput):
        check_path(name)
