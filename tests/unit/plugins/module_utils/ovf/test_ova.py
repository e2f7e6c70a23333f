# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVA archives, written and read by this collection, by Python's tarfile and by GNU tar."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InternalError,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.ovf.ova import MemberStream, OvaWriter, read_members
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors

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
def test_archive_of_tar_is_read(form, name):
    files = {"a.ovf": b"<x/>", name: DISK, "empty": b""}
    stream = io.BytesIO(archive(files, form))
    members = read_members(stream, "It")
    assert {member.name: MemberStream(io.BytesIO(stream.getvalue()), member).read() for member in members} == files


def test_pax_sizes_are_read():
    def change(info):
        info.pax_headers = {"size": str(info.size), "comment": "x"}

    data = archive({"a.ovf": b"<x/>", "b": DISK}, tarfile.PAX_FORMAT, change)
    assert [(member.name, member.size) for member in read_members(io.BytesIO(data), "It")] == [
        ("a.ovf", 4),
        ("b", len(DISK)),
    ]


@pytest.mark.parametrize("blocks", [0, 1, 1.5, 20])
def test_archive_without_end_blocks_is_read(blocks):
    """Some tools write one block of zeros, or none."""
    files = {"a.ovf": b"<x/>", "b": DISK}
    data = archive(files).rstrip(b"\0")
    data += bytes(-len(data) % 512) + bytes(int(blocks * 512))
    members = read_members(io.BytesIO(data), "It")
    assert [(member.name, member.size) for member in members] == [(name, len(text)) for name, text in files.items()]


def test_archive_without_padding_of_the_last_member_is_read():
    data = archive({"a.ovf": b"<x/>", "b": b"y" * 700})
    members = read_members(io.BytesIO(data[: data.index(b"y") + 700]), "It")
    assert [member.size for member in members] == [4, 700]


def test_archive_of_gnu_tar_with_a_label_and_folders_is_read(tmp_path):
    (tmp_path / "os" / "disks").mkdir(parents=True)
    (tmp_path / "os" / "a.ovf").write_bytes(b"<x/>")
    (tmp_path / "os" / "disks" / "a.vmdk").write_bytes(DISK)
    for form in ("gnu", "pax"):
        subprocess.run(
            ["tar", f"--format={form}", "--label=Backup of the OVA", "-cf", tmp_path / "x.ova", "./os"],
            cwd=tmp_path,
            check=True,
        )
        with open(tmp_path / "x.ova", "rb") as stream:
            members = {member.name: member.size for member in read_members(stream, "It")}
        assert members == {"os/a.ovf": 4, "os/disks/a.vmdk": len(DISK)}


@pytest.mark.parametrize("form", ["gnu", "posix"])
@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_read_members_sparse_file_raises(tmp_path, form, version):
    with open(tmp_path / "disk.vmdk", "wb") as stream:
        stream.write(b"start")
        stream.seek(8 << 20)
        stream.write(b"end")
    options = [f"--format={form}", "--sparse", f"--sparse-version={version}"]
    subprocess.run(["tar", *options, "-cf", tmp_path / "x.ova", "disk.vmdk"], cwd=tmp_path, check=True)
    with open(tmp_path / "x.ova", "rb") as stream, pytest.raises(Unsupported) as caught:
        read_members(stream, "It")
    assert caught.value.code == "ovf.ova_sparse"
    assert caught.value.details["member"].endswith("disk.vmdk")
    assert "tar -xf" in caught.value.hint


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_read_members_compressed_archive_raises(compress):
    with pytest.raises(Unsupported) as caught:
        read_members(io.BytesIO(compress(archive({"a.ovf": b"<x/>"}))), "It")
    assert caught.value.code == "ovf.ova_compressed"


def test_member_stream_seeks_within_the_member():
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


def test_written_archive_is_read_by_tar(tmp_path):
    path = tmp_path / "image.ova"
    path.write_bytes(written())
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["image.ovf", "image.mf", "image-disk1.vmdk", "image.nvram"]
        assert tar.extractfile("image-disk1.vmdk").read() == DISK
        lines = tar.extractfile("image.mf").read().decode().splitlines()
    files = [("image.ovf", b"<ovf/>"), ("image-disk1.vmdk", DISK), ("image.nvram", b"abc")]
    assert lines == [f"SHA256({name})= {hashlib.sha256(data).hexdigest()}" for name, data in files]
    listing = subprocess.run(["tar", "-tvf", path], check=True, capture_output=True, text=True)
    assert len(listing.stdout.splitlines()) == 4
    assert not listing.stderr
    assert written() == path.read_bytes()


def test_member_above_8_gib_has_a_readable_header():
    out = io.BytesIO()
    writer = OvaWriter(out, "image", b"<ovf/>", ["disk"])
    with pytest.raises(InternalError):
        writer.add("disk", 9 << 30, [])
    header = out.getvalue()[-512:]
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == 9 << 30
    with pytest.raises(Corrupt) as caught:
        read_members(io.BytesIO(header + bytes(1 << 20)), "It")
    assert caught.value.code == "ovf.ova_truncated"


def test_writer_wrong_order_raises_internal_error():
    writer = OvaWriter(io.BytesIO(), "image", b"<ovf/>", ["a", "b"])
    with pytest.raises(InternalError) as caught:
        writer.add("b", 0, [])
    assert caught.value.code == "ovf.ova_order"
    with pytest.raises(InternalError) as caught:
        writer.finish()
    assert (caught.value.code, caught.value.details) == ("ovf.ova_order", {"missing": ["a", "b"]})


def test_writer_wrong_size_raises_internal_error():
    writer = OvaWriter(io.BytesIO(), "image", b"<ovf/>", ["a", "b"])
    with pytest.raises(InternalError) as caught:
        writer.add("a", 3, [b"xy"])
    assert caught.value.code == "ovf.ova_written_size"
    assert caught.value.details == {"file": "a", "expected": 3, "found": 2}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (archive({"a.ovf": b"<x/>", "b": DISK})[: len(DISK) // 2], "ovf.ova_truncated"),
        (b"\x89PNG" + archive({"a.ovf": b"<x/>", "b": DISK}), "ovf.ova_not_tar"),
        (archive({"../x": b""}), "ovf.file_name"),
    ],
    ids=["truncated", "not tar", "file name"],
)
def test_read_members_damaged_archive_raises(data, code):
    with pytest.raises(Corrupt) as caught:
        read_members(io.BytesIO(data), "It")
    assert caught.value.code == code


def test_read_members_link_raises():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(Unsupported) as caught:
        read_members(io.BytesIO(out.getvalue()), "It")
    assert caught.value.code == "ovf.ova_kind"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_read_members_damaged_archive_raises_only_our_errors(data):
    text = bytearray(
        archive(
            {"a.ovf": b"<x/>", "n" * 120: b"y" * 1000, "c": b"z"},
            data.draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])),
        )
    )
    header = data.draw(st.integers(0, 8)) * 512
    for _change in range(data.draw(st.integers(1, 6))):
        text[(header + data.draw(st.integers(0, 511))) % len(text)] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        block = text[header : header + 512]
        block[148:156] = b" " * 8
        text[header + 148 : header + 156] = b"%06o\0 " % sum(block)
    with only_our_errors():
        members = read_members(io.BytesIO(bytes(text)), "It")
        assert all(member.offset + member.size <= len(text) for member in members)
