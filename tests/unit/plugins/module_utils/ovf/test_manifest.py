# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests: their lines, and the verification of files."""

from __future__ import annotations

import hashlib
import io
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, NotFound
from ansible_collections.strata.layering.plugins.module_utils.ovf.manifest import (
    Entry,
    parse_manifest,
    verify_files,
    write_manifest,
)
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors

FILES = {"a.ovf": b"<descriptor/>", "a-disk1.vmdk": bytes(3 << 20), "ü.vmdk": b"x"}


def opener(name):
    if name not in FILES:
        raise FileNotFoundError(name)
    return io.BytesIO(FILES[name])


def entries(algorithm="sha256"):
    return [Entry(name, algorithm, hashlib.new(algorithm, data).hexdigest()) for name, data in FILES.items()]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_written_manifest_is_parsed_and_verified(algorithm):
    text = write_manifest(entries(algorithm))
    assert text.startswith(algorithm.upper().encode() + b"(a.ovf)= ")
    parsed = parse_manifest(text)
    assert list(parsed) == entries(algorithm)
    calls = []
    digests = verify_files(parsed, FILES, opener, package="P", progress=lambda *call: calls.append(call), total=99)
    assert digests == {entry.name: entry.digest for entry in entries(algorithm)}
    assert calls[-1] == ("verify", sum(map(len, FILES.values())), 99)


def test_parse_manifest_accepts_other_spellings():
    digest = hashlib.sha1(b"").hexdigest()
    assert (
        parse_manifest(b"SHA2-256(a)= " + b"0" * 64)
        == parse_manifest(b"sha-256(a)=" + b"0" * 64)
        == (Entry("a", "sha256", "0" * 64),)
    )
    assert parse_manifest(f"\ufeffSHA1 (a b(1).vmdk) = {digest.upper()}\r\n\r\n".encode()) == (
        Entry("a b(1).vmdk", "sha1", digest),
    )


def test_verify_files_damaged_file_names_expected_and_found():
    listed = [entries()[0], Entry("a-disk1.vmdk", "sha256", "0" * 64), entries()[2]]
    with pytest.raises(Corrupt) as caught:
        verify_files(listed, FILES, opener, package="P")
    assert caught.value.code == "ovf.checksum"
    assert caught.value.details == {
        "file": "a-disk1.vmdk",
        "expected": "0" * 64,
        "found": hashlib.sha256(bytes(3 << 20)).hexdigest(),
    }


def test_verify_files_missing_file_raises():
    with pytest.raises(NotFound) as caught:
        verify_files([Entry("gone.vmdk", "sha256", "0" * 64)], [], opener, package="P")
    assert (caught.value.code, caught.value.details) == ("ovf.missing_file", {"file": "gone.vmdk"})


def test_verify_files_missing_entry_raises():
    with pytest.raises(NotFound) as caught:
        verify_files(entries()[1:], FILES, opener, package="P")
    assert (caught.value.code, caught.value.details) == ("ovf.manifest_entry", {"file": "a.ovf"})


@pytest.mark.parametrize(
    "line",
    [
        "SHA256(a)= 12",
        "MD5(a)= " + "0" * 32,
        "SHA256(../a)= " + "0" * 64,
        "SHA256 a " + "0" * 64,
        "0" * 32 + "  a",
        "0" * 64 + "  /etc/passwd",
        "0" * 64 + "  C:\\a",
        "SHA256(a/../../b)= " + "0" * 64,
        "SHA256(a)= " + "g" * 64,
        "\udcff",
        "SHA1(a)= " + "0" * 64,
    ],
)
def test_parse_manifest_other_line_raises(line):
    with pytest.raises(Corrupt) as caught:
        parse_manifest(line.encode("utf-8", "surrogateescape"))
    assert caught.value.code in ("ovf.manifest", "ovf.file_name")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("options", [(), ("--tag",), ("--binary",)])
def test_manifest_of_gnu_coreutils_is_parsed(tmp_path, algorithm, options):
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    text = subprocess.run([f"{algorithm}sum", *options, *FILES], cwd=tmp_path, check=True, capture_output=True).stdout
    assert list(parse_manifest(text)) == entries(algorithm)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_parse_manifest_ignores_comments_and_blank_lines(encoding):
    digest = "a" * 64
    text = f"# written by hand\r\n\r\n  \r\nSHA256(ü.vmdk)= {digest}\r\n# end"
    assert parse_manifest(text.encode(encoding)) == (Entry("ü.vmdk", "sha256", digest),)


def test_parse_manifest_names_in_folders_are_relative():
    digest = "a" * 64
    assert parse_manifest(f"{digest}  ./disks/a.vmdk\n".encode()) == (Entry("disks/a.vmdk", "sha256", digest),)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("other", [Entry("a.ovf", "sha256", "0" * 64), Entry("a.ovf", "sha1", "0" * 40)])
def test_verify_files_accepts_one_matching_digest_of_several(order, other):
    """The module vmware_export_ovf of community.vmware appends to the manifest of an earlier export."""
    claims = (entries()[0], other)
    text = write_manifest([*(claims[number] for number in order), *entries()[1:]])
    parsed = parse_manifest(text)
    assert len(parsed) == len(FILES) + 1
    assert verify_files(parsed, FILES, opener, package="P") == {entry.name: entry.digest for entry in entries()}


def test_verify_files_several_digests_none_matches_raises():
    listed = [Entry("a.ovf", "sha256", "0" * 64), Entry("a.ovf", "sha256", "1" * 64), *entries()[1:]]
    with pytest.raises(Corrupt) as caught:
        verify_files(listed, FILES, opener, package="P")
    assert caught.value.code == "ovf.checksum"
    assert caught.value.details["expected"] == "1" * 64


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_parse_manifest_random_bytes_raises_only_our_errors(data):
    with only_our_errors():
        parse_manifest(data)
