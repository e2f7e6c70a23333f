# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of the container tools of Windows, and malicious archives."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import threading
from base64 import b64encode

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.layers import tar
from ansible_collections.strata.layering.plugins.module_utils.layers.archive import (
    ArchiveReader,
    ArchiveWriter,
    Limits,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.extended_attributes import unpack_eas
from ansible_collections.strata.layering.plugins.module_utils.layers.reparse import decode_link, encode_link
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors, raises

LABEL = "app layer Tool 2.1"
SMALL = Limits(entries=1000, unpacked=8 << 20, file=1 << 20, header=1 << 16, runs=1000)


def tar_of(*members, **options):
    """Return a tar that Python writes, of (name, type, content, link, records)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, **options) as archive:
        for name, kind, content, link, records in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname, info.pax_headers, info.mtime = (
                kind,
                len(content),
                link,
                records,
                1000000000,
            )
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def file(name, content=b"", **records):
    return name, tarfile.REGTYPE, content, "", records


def read(data, **options):
    found = []
    for entry, contents in ArchiveReader(io.BytesIO(data), LABEL, **options):
        found.append((entry, {name: part.read() for name, _size, part in contents}))
    return found


# --- reading ahead ---------------------------------------------------------------------------


class Failing(io.BytesIO):
    """A stream that fails after ``sound`` bytes."""

    def __init__(self, data, sound):
        super().__init__(data)
        self._sound = sound

    def read(self, count=-1):
        if self.tell() >= self._sound:
            raise OSError("the disk is gone")
        return super().read(count)


def large():
    return tar_of(*(file(f"Files/{number}", os.urandom(700_000)) for number in range(20)))


@pytest.mark.parametrize(
    "packed", [lambda data: data, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"]
)
def test_reading_ahead_gives_same_entries(packed):
    data = packed(large())
    assert read(data, ahead=True) == read(data)
    with pytest.raises(Corrupt):
        read(data[: -len(data) // 3], ahead=True)
    with pytest.raises(Corrupt):
        read(data, ahead=True, limits=Limits(unpacked=5 << 20))


def test_error_while_reading_ahead_is_raised_on_use():
    data = large()
    found = []
    with pytest.raises(OSError, match="the disk is gone"):
        for entry, contents in ArchiveReader(Failing(data, 6 << 20), LABEL, ahead=True):
            found.append((entry.path, [part.read() for _name, _size, part in contents]))
    assert [path for path, _parts in found] == [str(number) for number in range(len(found))]
    assert len(found) >= 5


def test_closed_reader_stops_reading():
    source = io.BytesIO(large())
    reader = ArchiveReader(source, LABEL, ahead=True)
    next(iter(reader))
    assert any(thread.name.startswith("unpack") for thread in threading.enumerate())
    reader.close()
    assert not any(thread.name.startswith("unpack") for thread in threading.enumerate())
    assert source.tell() < len(source.getvalue())
    reader.close()


# --- foreign ---------------------------------------------------------------------------------

SD = b64encode(b"\1\0\4\x80" + bytes(16)).decode()


def container_layer():
    """Return a layer as go-winio and hcsshim export it, without records of this collection."""
    records = {
        "MSWINDOWS.fileattr": "32",
        "MSWINDOWS.rawsd": SD,
        "LIBARCHIVE.creationtime": "1577836800.1234567",
        "mtime": "1577836800.7654321",
        "atime": "1577836801",
        "ctime": "-1.5",
    }
    folder = {"MSWINDOWS.fileattr": "16", "MSWINDOWS.rawsd": SD}
    return tar_of(
        ("Files", tarfile.DIRTYPE, b"", "", folder),
        ("Files/Windows", tarfile.DIRTYPE, b"", "", folder),
        file("Files/Windows:dirstream", b"on a directory"),
        file("Files/Windows/.wh.old.dll"),
        file(
            "Files/Windows/a.dll", b"content", **records, **{"MSWINDOWS.xattr.$KERNEL.X": b64encode(b"value").decode()}
        ),
        file("Files/Windows/a.dll:Zone.Identifier", b"[ZoneTransfer]"),
        file("Files/Windows/a.dll:second:$DATA", b"2"),
        ("Files/Windows/b.dll", tarfile.LNKTYPE, b"", "Files/Windows/a.dll", {"MSWINDOWS.fileattr": "32"}),
        (
            "Files/Documents and Settings",
            tarfile.SYMTYPE,
            b"",
            "C:\\Users",
            {"MSWINDOWS.fileattr": "9238", "MSWINDOWS.mountpoint": "1"},
        ),
        ("Files/link", tarfile.SYMTYPE, b"", "Windows/a.dll", {"MSWINDOWS.fileattr": "1056"}),
        file("Hives/System_Delta", b"regf"),
        ("UtilityVM/Files", tarfile.DIRTYPE, b"", "", folder),
        file("UtilityVM/Files/bootmgr", b"not ours"),
    )


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress, zstandard.ZstdCompressor().compress])
def test_layer_of_windows_container_tools_is_read(compress):
    found = read(compress(container_layer()), hives=True)
    by_path = {entry.path: (entry, contents) for entry, contents in found}
    assert list(by_path) == [
        "Windows",
        "Windows/old.dll",
        "Windows/a.dll",
        "Windows/b.dll",
        "Documents and Settings",
        "link",
        "System_Delta",
    ]
    assert by_path["Windows"][1] == {"dirstream": b"on a directory"}
    assert by_path["Windows"][0].streams == [("dirstream", 14)]
    assert by_path["Windows/old.dll"][0] == Entry("Windows/old.dll", "whiteout")
    entry, contents = by_path["Windows/a.dll"]
    assert contents == {"": b"content", "Zone.Identifier": b"[ZoneTransfer]", "second": b"2"}
    assert entry.streams == [("Zone.Identifier", 14), ("second", 1)]
    assert entry.size == 7
    assert entry.attributes == 32
    assert entry.created == 116444736000000000 + 15778368001234567
    assert entry.written == 116444736000000000 + 15778368007654321
    assert entry.accessed == 116444736000000000 + 15778368010000000
    assert entry.changed == 116444736000000000 - 15000000
    assert entry.security == b"\1\0\4\x80" + bytes(16)
    assert unpack_eas(entry.eas) == [(b"$KERNEL.X", 0, b"value")]
    assert by_path["Windows/b.dll"][0].link_target == "Windows/a.dll"
    assert by_path["Windows/b.dll"][0].kind == "link"
    entry = by_path["Documents and Settings"][0]
    assert entry.kind == "directory"
    assert entry.attributes == 9238
    assert decode_link(entry.reparse) == ("C:\\Users", True)
    entry = by_path["link"][0]
    assert entry.kind == "file"
    assert decode_link(entry.reparse) == ("Windows\\a.dll", False)
    assert struct.unpack_from("<I", entry.reparse, 16) == (1,)
    assert entry.written == 116444736000000000 + 10000000000000000  # ustar seconds where there is no record
    assert by_path["System_Delta"][0].kind == "hive"


def test_layer_of_buildkit_is_read():
    """Directories with trailing slashes, Hives first, no times beyond seconds, unpadded creation time."""
    found = read(
        tar_of(
            ("Hives", tarfile.DIRTYPE, b"", "", {"MSWINDOWS.fileattr": "16"}),
            ("Files", tarfile.DIRTYPE, b"", "", {"MSWINDOWS.fileattr": "16"}),
            (
                "Files/app/",
                tarfile.DIRTYPE,
                b"",
                "",
                {"MSWINDOWS.fileattr": "16", "LIBARCHIVE.creationtime": "1000000000.5"},
            ),
            file("Files/app/" + "n" * 120, b"x"),
        )
    )
    assert [entry.path for entry, _contents in found] == ["app", "app/" + "n" * 120]
    assert found[0][0].created == 116444736000000000 + 10000000005000000


def test_gnu_long_name_is_read():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("Files/" + "long/" * 30 + "x")
        archive.addfile(info)
    assert read(out.getvalue())[0][0].path == "long/" * 30 + "x"


@pytest.mark.parametrize("target", ["C:\\Users", "\\\\server\\share\\x", "\\\\?\\Volume{1}\\", "..\\x", "x"])
@pytest.mark.parametrize("mount_point", [True, False])
def test_link_target_round_trip(target, mount_point):
    buffer = encode_link(target, mount_point=mount_point)
    assert decode_link(buffer) == (target, mount_point)
    tag, length, reserved = struct.unpack_from("<IHH", buffer)
    assert tag == (0xA0000003 if mount_point else 0xA000000C)
    assert length == len(buffer) - 8
    assert not reserved


# --- malicious ---------------------------------------------------------------------------------

SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1000", "GNU.sparse.name": "Files/s"}


def sparse_file(text, stored=b"", **changed):
    return file("Files/s", text.ljust(512, b"\0") + stored, **{**SPARSE, **changed})


@pytest.mark.parametrize(
    "member",
    [
        file("Files/../escape"),
        file("Files/a/../../b"),
        file("/etc/passwd"),
        file("\\Windows\\x"),
        file("Files//x"),
        file("Files/./x"),
        file("Files/... /x"),
        file("Files/a\\..\\b"),
        file("Files/C:/x"),
        file("Files/missing:stream", b"1"),
        file("elsewhere/x"),
        file("x"),
        file("Files/" + "n" * 300),
        file("Files/" + "n/" * 20000 + "x"),
        file("Files/.wh."),
        file("Files/.wh...", b""),
        file("Files/.wh.x", b"content"),
        file("Files/.wh.d/x"),
        ("Files/l", tarfile.LNKTYPE, b"", "Files/missing", {}),
        ("Files/l", tarfile.LNKTYPE, b"", "/etc/passwd", {}),
        ("Files/l", tarfile.LNKTYPE, b"", "Files/../x", {}),
        ("Files/l", tarfile.SYMTYPE, b"", "", {}),
        ("Files/l", tarfile.SYMTYPE, b"", "x" * 20000, {}),
        file("Files/x", **{"MSWINDOWS.fileattr": "-1"}),
        file("Files/x", **{"MSWINDOWS.fileattr": "9999999999"}),
        file("Files/x", **{"MSWINDOWS.rawsd": "!"}),
        file("Files/x", **{"MSWINDOWS.rawsd": "A" * 90000}),
        file("Files/x", mtime="nan"),
        file("Files/x", mtime="1e9"),
        file("Files/x", mtime="1" * 30),
        file("Files/x", **{"STRATA.path": "Li4vZXNjYXBl"}),
        file("Files/x", **{"STRATA.path": "/w=="}),
        file("Files/x", **{"STRATA.reparse": "AAAA"}),
        file("Files/x", **{"STRATA.streams": '[["a", 1], ["a", 1]]'}),
        file("Files/x", **{"STRATA.streams": "[" * 50000}),
        file("Files/x", **{"STRATA.streams": '[["a", 1]]'}),
        file("Files/x", **{"STRATA.eas": "AAAAAAAAAAAA"}),
        file("Files/x", **{"MSWINDOWS.xattr.": "AA=="}),
        file("Files/x", filler="x" * 70000),
        file("Files/x", **{f"k{number}": "v" for number in range(2000)}),
        file("Files/x", b"x" * (1 << 20) + b"y"),
        sparse_file(b"1\n0\n2000\n"),
        sparse_file(b"2\n5\n1\n0\n1\n", b"ab"),
        sparse_file(b"1\n0\n5\n", b"abc"),
        sparse_file(b"x\n"),
        sparse_file(b"99999999\n"),
        sparse_file(b"1\n0\n3\n", b"abc", **{"GNU.sparse.realsize": "99999999999"}),
        sparse_file(b""),
        sparse_file(b"1" * 400),
        file("Files/s", b"", **SPARSE),
    ],
)
def test_malicious_member_is_corrupt(member):
    with raises(Corrupt, "layers.archive_corrupt"):
        read(tar_of(member), limits=SMALL)


@pytest.mark.parametrize(
    ("member", "code"),
    [
        (("Files/x", tarfile.FIFOTYPE, b"", "", {}), "layers.archive_member_type"),
        (("Files/x", tarfile.CHRTYPE, b"", "", {}), "layers.archive_member_type"),
        (file("Files/.wh..wh..opq"), "layers.archive_opaque"),
        (file("Files/x", **{"MSWINDOWS.sd": "O:BA"}), "layers.archive_sddl"),
        (file("Files/x", b"", **{**SPARSE, "GNU.sparse.major": "0"}), "layers.archive_sparse"),
        (("Files", tarfile.DIRTYPE, b"", "", {"STRATA.version": "2"}), "layers.archive_version"),
    ],
)
def test_unsupported_member_is_refused(member, code):
    with raises(Unsupported, code) as caught:
        read(tar_of(member), limits=SMALL)
    assert caught.value.details["layer"] == LABEL


def test_archive_errors_name_the_layer():
    with pytest.raises(Corrupt) as caught:
        read(tar_of(file("Files/x", mtime="nan")))
    assert caught.value.message == f"The archive of {LABEL} is damaged: a time is not a decimal number."
    assert caught.value.details["layer"] == LABEL


def test_name_with_nul_is_corrupt():
    with raises(Corrupt, "layers.archive_corrupt"):
        read(tar.pax_member(b"x", {"path": b"Files/a\0b"}) + tar.header_block(b"x", tar.REGULAR, 0, 0, 0) + tar.END)


def test_repeated_file_is_corrupt():
    with raises(Corrupt, "layers.archive_corrupt"):
        read(tar_of(file("Files/x"), file("Files/x")))


def test_too_many_members_are_corrupt():
    with raises(Corrupt, "layers.archive_corrupt"):
        read(tar_of(*(file(f"Files/{number}") for number in range(4))), limits=Limits(entries=3))
    with raises(Corrupt, "layers.archive_corrupt"):
        read(tar_of(file("Files/x"), *(file(f"Files/x:{number}") for number in range(4))), limits=Limits(entries=3))


def test_decompression_bomb_is_corrupt():
    bomb = zstandard.ZstdCompressor().compress(tar_of(file("Files/x", bytes(9 << 20))))
    with raises(Corrupt, "layers.archive_corrupt"):
        read(bomb, limits=Limits(unpacked=8 << 20))
    huge = tar.pax_member(b"x", {"size": b"9" * 18}) + tar.header_block(b"Files/x", tar.REGULAR, 0, 0, 0)
    with raises(Corrupt, "layers.archive_corrupt"):
        read(huge)
    with raises(Corrupt, "layers.archive_corrupt"):
        read(tar.header_block(b"x", tar.EXTENDED, 1 << 33, 0, 0) + tar.END)
    with raises(Corrupt, "layers.archive_corrupt"):
        read(tar.pax_member(b"x", {"a": b"b"}) * 100 + tar.END)


def test_truncated_archive_is_reported():
    out = io.BytesIO()
    with ArchiveWriter(out) as writer:
        writer.add(Entry("a", "file", 32, size=100000), os.urandom(100000))
    data = out.getvalue()
    for end in [*range(0, len(data), len(data) // 60), len(data) - 20]:
        with pytest.raises(StrataError):
            read(data[:end])
    whole = tar_of(file("Files/x", b"1"))[:1024]
    with raises(Corrupt, "layers.archive_truncated"):
        read(whole)


def test_source_is_read_to_its_end():
    source = io.BytesIO(tar_of(file("Files/x")) + b"rest" * 1000)
    list(ArchiveReader(source, LABEL))
    assert not source.read()


SEEDS = [
    container_layer(),
    tar_of(
        sparse_file(b"2\n0\n3\n500\n3\n", b"abcdef"),
        file("Files/y", b"z" * 600, **{"STRATA.streams": '[["s",1]]'}),
        file("Files/y:s", b"1"),
    ),
]


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=12)), min_size=1, max_size=6),
    st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_mutated_archive_raises_only_our_errors(seed, changes, repair):
    data = bytearray(seed)
    for position, piece in changes:
        position %= len(data)
        data[position : position + len(piece)] = piece[: len(data) - position]
    if repair:  # checksums corrected, so that the code behind them is reached
        for start in range(0, len(data) - 511, 512):
            if data[start + 257 : start + 262] == b"ustar":
                data[start + 148 : start + 156] = b" " * 8
                data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    with only_our_errors():
        read(bytes(data), limits=SMALL, hives=True)


@given(
    st.sampled_from(SEEDS),
    st.sampled_from([gzip.compress, zstandard.ZstdCompressor().compress]),
    st.integers(0, 1 << 16),
    st.binary(min_size=1, max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_mutated_compressed_archive_raises_only_our_errors(seed, compress, position, piece):
    data = bytearray(compress(seed))
    position %= len(data)
    data[position : position + len(piece)] = piece
    with only_our_errors():
        read(bytes(data), limits=SMALL)


@given(st.binary(max_size=3000))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_refused(data):
    with pytest.raises(StrataError):
        read(data + b"\1" * 512, limits=SMALL)
