# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are written and read again, by ``ArchiveReader`` and by other readers."""

from __future__ import annotations

import hashlib
import io
import tarfile
from base64 import b64decode

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.layers import entry as model
from ansible_collections.strata.layering.plugins.module_utils.layers.archive import ArchiveReader, ArchiveWriter
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.reparse import encode_link
from ansible_collections.strata.layering.tests.support.expectations import raises
from ansible_collections.strata.layering.tests.unit.plugins.module_utils.layers.strategies import trees


def pack(items, threads=None):
    out = io.BytesIO()
    with ArchiveWriter(out, threads=threads) as writer:
        for entry, content, streams in items:
            named = [(name, data) for (name, _size), data in zip(entry.streams, streams)]
            digest, digests = writer.add(entry, io.BytesIO(content) if content else content, named)
            assert digest == (hashlib.sha256(content).digest() if entry.kind in (model.FILE, model.HIVE) else None)
            assert digests == [hashlib.sha256(data).digest() for data in streams]
    return out.getvalue()


def unpack(data, **options):
    found = []
    for entry, contents in ArchiveReader(io.BytesIO(data), "app layer Tool 1", **options):
        parts = {name: part.read() for name, _size, part in contents}
        found.append((entry, parts.pop("", b""), [parts[name] for name, _size in entry.streams]))
    return found


def plain(data):
    return zstandard.ZstdDecompressor().stream_reader(data).read()


def members(data):
    with tarfile.open(fileobj=io.BytesIO(plain(data))) as archive:
        return {
            member.name: (member, archive.extractfile(member).read() if member.isreg() else None) for member in archive
        }


@given(trees())
@settings(max_examples=150, deadline=None)
def test_round_trip(items):
    data = pack(items)
    assert unpack(data) == items
    assert pack(items, threads=3) == data


@given(trees(), st.integers(1, 5000))
@settings(max_examples=50, deadline=None)
def test_member_read_in_steps_and_runs(items, step):
    data = pack(items)
    for (entry, content, streams), (read, contents) in zip(items, ArchiveReader(io.BytesIO(data), "app layer Tool 1")):
        assert read == entry  # streams are known before they are read
        for name, size, part in contents:
            expected = content if not name else streams[[stream for stream, _size in entry.streams].index(name)]
            assert size == len(expected)
            head = part.read(min(step, size // 2))
            rebuilt = bytearray(len(expected))
            rebuilt[: len(head)] = head
            for offset, chunk in part.runs(step):
                assert 0 < len(chunk) <= step
                assert offset >= len(head)
                rebuilt[offset : offset + len(chunk)] = chunk
            assert rebuilt == expected


@given(trees(), st.data())
@settings(max_examples=50, deadline=None)
def test_unread_members_are_skipped(items, data):
    found = []
    for entry, contents in ArchiveReader(io.BytesIO(pack(items)), "app layer Tool 1"):
        found.append(entry)
        for _name, _size, part in contents if data.draw(st.booleans()) else ():
            part.read(data.draw(st.integers(0, 600)))
            if data.draw(st.booleans()):
                break
    assert found == [entry for entry, _content, _streams in items]


def test_archive_has_form_of_windows_layers():
    security = bytes(range(48))
    items = [
        (Entry("Windows", "directory", 0x10, 1, 2, 3, 4, security), b"", []),
        (Entry("Windows/gone.dll", "whiteout"), b"", []),
        (
            Entry(
                "Windows/B\u00fcro",
                "file",
                0x20,
                132223104000000001,
                132223104000000002,
                132223104000000010,
                132223103990000000,
                security,
                "BRO~1",
                3,
                streams=[("Zone.Identifier", 2)],
            ),
            b"abc",
            [b"zz"],
        ),
        (Entry("Windows/again", "link", 0x20, link_target="Windows/B\u00fcro"), b"", []),
        (Entry("Users", "directory", 0x410, reparse=encode_link("C:\\Data", mount_point=True)), b"", []),
        (Entry("rel", "file", 0x420, reparse=encode_link("Windows\\B\u00fcro", mount_point=False)), b"", []),
        (Entry("cloud", "file", 0x400, reparse=b"\x1a\x00\x00\x90\x04\x00\x00\x00abcd", size=1), b"x", []),
    ]
    found = members(pack(items))
    assert list(found) == [
        "Files",
        "Hives",
        "Files/Windows",
        "Files/Windows/.wh.gone.dll",
        "Files/Windows/B\u00fcro",
        "Files/Windows/B\u00fcro:Zone.Identifier",
        "Files/Windows/again",
        "Files/Users",
        "Files/rel",
        "Files/cloud",
    ]
    member, content = found["Files/Windows/B\u00fcro"]
    records = member.pax_headers
    assert content == b"abc"
    assert records["MSWINDOWS.fileattr"] == "32"
    assert b64decode(records["MSWINDOWS.rawsd"]) == security
    assert records["LIBARCHIVE.creationtime"] == "1577836800.0000001"
    assert records["mtime"] == "1577836800.0000002"
    assert records["atime"] == "1577836800.000001"
    assert records["ctime"] == "1577836799"
    assert records["STRATA.shortname"] == "BRO~1"
    assert found["Files/Windows"][0].pax_headers["mtime"] == "-11644473599.9999998"
    member, content = found["Files/Windows/B\u00fcro:Zone.Identifier"]
    assert content == b"zz"
    assert not [key for key in member.pax_headers if key.startswith("MSWINDOWS")]
    assert found["Files/Windows/again"][0].islnk()
    assert found["Files/Windows/again"][0].linkname == "Files/Windows/B\u00fcro"
    member = found["Files/Users"][0]
    assert member.issym()
    assert member.linkname == "C:\\Data"
    assert member.pax_headers["MSWINDOWS.mountpoint"] == "1"
    assert member.pax_headers["MSWINDOWS.fileattr"] == "1040"
    member = found["Files/rel"][0]
    assert member.issym()
    assert member.linkname == "Windows\\B\u00fcro"
    assert "STRATA.reparse" not in member.pax_headers
    assert found["Files/cloud"][0].isreg()
    assert "STRATA.reparse" in found["Files/cloud"][0].pax_headers
    for member, _content in found.values():
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")


@given(trees())
@settings(max_examples=60, deadline=None)
def test_python_tarfile_reads_same_contents(items):
    found = list(members_in_order(pack(items)))
    expected = []
    for entry, content, streams in items:
        expected += [content] if entry.kind == model.FILE and (entry.size or not entry.reparse) else []
        expected += streams
    got = [
        content for member, content in found if member.isreg() and not member.name.rpartition("/")[2].startswith(".wh.")
    ]
    assert [content for content in got if content] == [content for content in expected if content]


def members_in_order(data):
    with tarfile.open(fileobj=io.BytesIO(plain(data))) as archive:
        for member in archive:
            yield member, archive.extractfile(member).read() if member.isreg() else None


def test_holes_are_not_stored():
    size = 1 << 35
    entry = Entry("big.vhd", "file", 0x220, size=size, sparse=[(1 << 34, 3)])

    class Source(io.RawIOBase):
        """A file whose holes must not be read."""

        def seek(self, offset, whence=0):
            assert offset in (1 << 34, size)

        def read(self, count=-1):
            return b"abc"[:count]

    out = io.BytesIO()
    writer = ArchiveWriter(out)
    writer._copy_runs = lambda name, source, size, runs: (writer._emit(b"abc"), writer._emit(bytes(509)), b"")[
        2
    ]  # hashing 32 GiB of zeros takes long
    writer.add(entry, Source())
    writer.close()
    assert len(out.getvalue()) < 1000
    ((read, contents),) = ArchiveReader(io.BytesIO(out.getvalue()), "app layer Tool 1")
    assert read == entry
    with tarfile.open(fileobj=io.BytesIO(plain(out.getvalue()))) as archive:
        member = archive.getmember("Files/big.vhd")
        assert member.size == size
        assert member.issparse()


def test_hives_are_read_on_request():
    items = [(Entry("a", "file", 0x20, size=1), b"1", []), (Entry("System_Delta", "hive", 0x20, size=4), b"regf", [])]
    data = pack(items)
    assert [entry.path for entry, _content, _streams in unpack(data)] == ["a"]
    found = [(entry.kind, entry.path, content) for entry, content, _streams in unpack(data, hives=True)]
    assert found == [("file", "a", b"1"), ("hive", "System_Delta", b"regf")]


@pytest.mark.parametrize(
    "entry",
    [
        Entry("", "file"),
        Entry("/a", "file"),
        Entry("a/../b", "file"),
        Entry("a//b", "file"),
        Entry("a:b", "file"),
        Entry("a\\b", "file"),
        Entry("x" * 256, "file"),
        Entry("a", "device"),
        Entry("a", "file", attributes=1 << 32),
        Entry("a", "file", written=-1),
        Entry("a", "file", written=1 << 63),
        Entry("a", "link", link_target="missing"),
        Entry("a", "link"),
        Entry("a", "link", link_target="../x"),
        Entry("a", "file", security=bytes(70000)),
        Entry("a", "file", security=b""),
        Entry("a", "file", reparse=bytes(20000)),
        Entry("a", "file", reparse=b"1"),
        Entry("a", "file", eas=b"x"),
        Entry("a", "file", short_name="far too long.txt"),
        Entry("a", "file", sparse=[(0, 1)]),
        Entry("a", "file", size=9, sparse=[(5, 1), (4, 1)]),
        Entry("a", "file", streams=[("x", 0), ("x", 0)]),
        Entry("a", "file", streams=[("", 0)]),
        Entry("a", "file", streams=[("b:c", 0)]),
    ],
)
def test_invalid_entry_is_refused(entry):
    with raises(InvalidInput, "layers.entry"):
        ArchiveWriter(io.BytesIO()).add(entry, bytes(entry.size), [(name, bytes(size)) for name, size in entry.streams])


@pytest.mark.parametrize("content", [b"", b"12", b"1234", io.BytesIO(b"12"), io.BytesIO(b"1234")])
def test_source_with_wrong_size_is_refused(content):
    with raises(InvalidInput, "layers.changed"):
        ArchiveWriter(io.BytesIO()).add(Entry("a", "file", size=3), content)
