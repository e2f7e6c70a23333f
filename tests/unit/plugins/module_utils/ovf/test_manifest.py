# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests: the lines, and the files they vouch for."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, NotFound, StrataError
from ansible_collections.strata.layering.plugins.module_utils.ovf.manifest import (
    Entry,
    parse_manifest,
    verify_files,
    write_manifest,
)

FILES = {"a.ovf": b"<descriptor/>", "a-disk1.vmdk": bytes(3 << 20), "ü.vmdk": b"x"}


def opener(name):
    if name not in FILES:
        raise FileNotFoundError(name)
    return io.BytesIO(FILES[name])


def entries(algorithm="sha256"):
    return [Entry(name, algorithm, hashlib.new(algorithm, data).hexdigest()) for name, data in FILES.items()]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_round_trip_and_verify(algorithm):
    text = write_manifest(entries(algorithm))
    assert text.startswith(algorithm.upper().encode() + b"(a.ovf)= ")
    parsed = parse_manifest(text)
    assert list(parsed) == entries(algorithm)
    seen = []
    digests = verify_files(parsed, FILES, opener, package="P", progress=lambda *call: seen.append(call), total=99)
    assert digests == {entry.name: entry.digest for entry in entries(algorithm)}
    assert seen[-1] == ("verify", sum(map(len, FILES.values())), 99)


def test_other_spellings():
    digest = hashlib.sha1(b"").hexdigest()
    assert (
        parse_manifest(b"SHA2-256(a)= " + b"0" * 64)
        == parse_manifest(b"sha-256(a)=" + b"0" * 64)
        == (Entry("a", "sha256", "0" * 64),)
    )
    assert parse_manifest(f"\ufeffSHA1 (a b(1).vmdk) = {digest.upper()}\r\n\r\n".encode()) == (
        Entry("a b(1).vmdk", "sha1", digest),
    )


def test_damage_names_file_expected_and_found():
    wrong = [entries()[0], Entry("a-disk1.vmdk", "sha256", "0" * 64), entries()[2]]
    with pytest.raises(Corrupt) as caught:
        verify_files(wrong, FILES, opener, package="P")
    assert caught.value.code == "ovf.checksum"
    assert caught.value.details == {
        "file": "a-disk1.vmdk",
        "expected": "0" * 64,
        "found": hashlib.sha256(bytes(3 << 20)).hexdigest(),
    }


def test_missing_file_and_missing_entry():
    with pytest.raises(NotFound, match="lists gone.vmdk, which is missing"):
        verify_files([Entry("gone.vmdk", "sha256", "0" * 64)], [], opener, package="P")
    with pytest.raises(NotFound, match="no digest for a.ovf"):
        verify_files(entries()[1:], FILES, opener, package="P")


@pytest.mark.parametrize(
    "line",
    [
        "SHA256(a)= 12",
        "MD5(a)= " + "0" * 32,
        "SHA256(../a)= " + "0" * 64,
        "SHA256 a " + "0" * 64,
        "SHA256(a)= " + "g" * 64,
        "\udcff",
        "SHA1(a)= " + "0" * 64,
    ],
)
def test_other_lines_are_refused(line):
    with pytest.raises(Corrupt):
        parse_manifest(line.encode("utf-8", "surrogateescape"))


def test_two_digests_for_one_file():
    with pytest.raises(Corrupt, match="two digests"):
        parse_manifest(f"SHA256(a)= {'0' * 64}\nSHA256(a)= {'1' * 64}\n".encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_anything(data):
    try:
        parse_manifest(data)
    except StrataError:
        pass
