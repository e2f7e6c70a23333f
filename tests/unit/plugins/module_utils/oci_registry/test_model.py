# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of registries, and the names in them."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    RegistryAddress,
    RegistryConnection,
    is_digest,
    is_repository_name,
    is_tag,
)


@pytest.mark.parametrize(
    ("text", "host", "port", "prefix"),
    [
        ("registry.example.com", "registry.example.com", None, ""),
        ("registry.example.com:5000/windows", "registry.example.com", 5000, "windows"),
        ("registry.example.com/a/b-c/", "registry.example.com", None, "a/b-c"),
        ("localhost:5000", "localhost", 5000, ""),
        ("[::1]:5000/windows", "::1", 5000, "windows"),
        ("192.0.2.1", "192.0.2.1", None, ""),
    ],
)
def test_address_is_split(text, host, port, prefix):
    found = RegistryAddress.parse(text)
    assert (found.host, found.port, found.prefix) == (host, port, prefix)
    assert str(found) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/windows",
        "https://registry.example.com",
        "user:secret@registry.example.com",
        "registry.example.com:port",
        "registry.example.com:0",
        "registry.example.com:70000",
        "registry.example.com/Windows",
        "registry.example.com/a//b",
        "registry example.com",
        "registry.example.com/a?b=c",
    ],
)
def test_address_that_is_not_valid_is_refused(text):
    with pytest.raises(InvalidInput) as caught:
        RegistryAddress.parse(text)
    assert caught.value.code == "oci_registry.address"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1:5000", True),
        ("[::1]", True),
        ("registry.example.com", False),
        ("127.example.com", False),
    ],
)
def test_loopback_is_recognized(text, loopback):
    assert RegistryAddress.parse(text).is_loopback is loopback


def test_connection_hides_its_password():
    connection = RegistryConnection(
        RegistryAddress.parse("registry.example.com"), "user", "secret", proxy="http://u:hidden@proxy.example.com"
    )
    assert "secret" not in repr(connection)
    assert "hidden" not in repr(connection)


@pytest.mark.parametrize(
    ("text", "valid"),
    [("a/b.c/d__e", True), ("a" * 256, False), ("A", False), ("a/", False), ("a--b", True), ("", False)],
)
def test_repository_name(text, valid):
    assert is_repository_name(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"), [("1.0", True), ("_x", True), ("-x", False), ("a+b", False), ("a" * 129, False)]
)
def test_tag(text, valid):
    assert is_tag(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"), [("sha256:" + "a" * 64, True), ("sha256:" + "A" * 64, False), ("sha512:" + "a" * 128, False)]
)
def test_digest(text, valid):
    assert is_digest(text) is valid
