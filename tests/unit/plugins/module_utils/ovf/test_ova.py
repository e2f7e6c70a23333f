# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVA archives against Python's tarfile and GNU tar, in both directions."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InvalidInput,
    StrataError,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.ovf.ova import MemberStream, OvaWriter, read_members

DISK = bytes(range(256)) * 5000


def archive(files, form=tarfile.USTAR_FORMAT, change=lambda info: None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["x.vmdk", "n" * 140 + ".vmdk", "grün.vmdk"])
def test_reads_what_tar_writes(form, name):
    files = {"a.ovf": b"<x/>", name: DISK, "empty": b""}
    stream = io.BytesIO(archive(files, form))
    members = read_members(stream, "It")
    assert {member.name: MemberStream(io.BytesIO(stream.getvalue()), member).read() for member in members} == files


def test_pax_sizes_and_folders():
    def change(info):
        info.pax_headers = {"size": str(info.size), "comment": "x"}

    data = archive({"a.ovf": b"<x/>", "b": DISK}, tarfile.PAX_FORMAT, change)
    assert [(member.name, member.size) for member in read_members(io.BytesIO(data), "It")] == [
        ("a.ovf", 4),
        ("b", len(DISK)),
    ]


def test_member_stream_seeks():
    data = archive({"a": DISK, "b": b"behind"})
    stream = io.BufferedReader(MemberStream(io.BytesIO(data), read_members(io.BytesIO(data), "It")[0]))
    stream.seek(-3, io.SEEK_END)
    assert stream.read() == DISK[-3:]
    stream.seek(100)
    assert stream.read(50) == DISK[100:150]


def written():
    out = io.BytesIO()
    writer = OvaWriter(out, "image", b"<ovf/>", ["image-disk1.vmdk", "image.nvram"])
    writer.add("image-disk1.vmdk", len(DISK), [DISK[:1000], DISK[1000:]])
    writer.add("image.nvram", 3, [b"abc"])
    writer.finish()
    return out.getvalue()


def test_writes_what_tar_reads(tmp_path):
    path = tmp_path / "image.ova"
    path.write_bytes(written())
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["image.ovf", "image.mf", "image-disk1.vmdk", "image.nvram"]
        assert tar.extractfile("image-disk1.vmdk").read() == DISK
        lines = tar.extractfile("image.mf").read().decode().splitlines()
    files = [("image.ovf", b"<ovf/>"), ("image-disk1.vmdk", DISK), ("image.nvram", b"abc")]
    assert lines == [f"SHA256({name})= {hashlib.sha256(data).hexdigest()}" for name, data in files]
    listing = subprocess.run(["tar", "-tvf", path], check=True, capture_output=True, text=True)
    assert len(listing.stdout.splitlines()) == 4 and not listing.stderr
    assert written() == path.read_bytes()


def test_members_above_8_gib_have_readable_headers():
    out = io.BytesIO()
    writer = OvaWriter(out, "image", b"<ovf/>", ["disk"])
    with pytest.raises(InvalidInput):
        writer.add("disk", 9 << 30, [])
    header = out.getvalue()[-512:]
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == 9 << 30
    with pytest.raises(Corrupt) as caught:
        read_members(io.BytesIO(header + bytes(1 << 20)), "It")
    assert caught.value.code == "ovf.ova_truncated"


def test_promises_are_kept():
    writer = OvaWriter(io.BytesIO(), "image", b"<ovf/>", ["a", "b"])
    with pytest.raises(InvalidInput):
        writer.add("b", 0, [])
    with pytest.raises(InvalidInput, match="should have 3 bytes and has 2"):
        writer.add("a", 3, [b"xy"])
    with pytest.raises(InvalidInput):
        writer.finish()


def test_damage():
    data = archive({"a.ovf": b"<x/>", "b": DISK})
    with pytest.raises(Corrupt) as caught:
        read_members(io.BytesIO(data[: len(data) // 2]), "It")
    assert caught.value.code == "ovf.ova_truncated"
    with pytest.raises(Corrupt) as caught:
        read_members(io.BytesIO(b"\x89PNG" + data), "It")
    assert caught.value.code == "ovf.ova_not_tar"
    with pytest.raises(Corrupt):
        read_members(io.BytesIO(archive({"../x": b""})), "It")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(Unsupported):
        read_members(io.BytesIO(out.getvalue()), "It")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_archives_only_raise_their_own_errors(data):
    text = bytearray(
        archive(
            {"a.ovf": b"<x/>", "n" * 120: b"y" * 1000, "c": b"z"},
            data.draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])),
        )
    )
    header = data.draw(st.integers(0, 8)) * 512
    for unused in range(data.draw(st.integers(1, 6))):
        text[(header + data.draw(st.integers(0, 511))) % len(text)] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        block = text[header : header + 512]
        block[148:156] = b" " * 8
        text[header + 148 : header + 156] = b"%06o\0 " % sum(block)
    try:
        members = read_members(io.BytesIO(bytes(text)), "It")
    except StrataError:
        return
    assert all(member.offset + member.size <= len(text) for member in members)
