# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that Node writes, read back with dissect.ntfs."""

from __future__ import annotations

import errno
import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    InternalError,
    InvalidInput,
    NoSpace,
    NotFound,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.common.security_descriptors import (
    EVERYONE,
    SYSTEM,
    Ace,
    Acl,
    SecurityDescriptor,
    build,
    sid,
)
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs import attribute_records, file_names, file_security
from ansible_collections.strata.layering.plugins.module_utils.ntfs.mounted_volume import error_for
from ansible_collections.strata.layering.plugins.module_utils.ntfs.times import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.ntfs_changes import delete_stream
from ansible_collections.strata.layering.tests.support.ntfs_images import TIMES, verify_volume


def mount_point(target):
    substitute, shown = ("\\??\\" + target).encode("utf-16-le"), target.encode("utf-16-le")
    data = (
        struct.pack("<HHHH", 0, len(substitute), len(substitute) + 2, len(shown))
        + substitute
        + b"\0\0"
        + shown
        + b"\0\0"
    )
    return struct.pack("<IHH", 0xA0000003, len(data), 0) + data


@pytest.fixture
def written(image, independent):
    """Return a function that calls ``change`` with the root of a volume, verifies the volume and opens it with dissect.ntfs."""

    def run(change, entries_follow=True):
        with (
            FileDevice(str(image), writable=True) as device,
            Volume.mount(device, writable=True) as volume,
            volume.root as root,
        ):
            change(root)
        verify_volume(image, entries_follow)
        return independent(image)

    return run


@pytest.mark.parametrize("size", [0, 1, 500, 700, 760, 900, 4096, 5000, 20480, 3_000_001])
def test_file_content_is_read_back(written, size):
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]

    def make(root):
        with root.create_file("A file with some name.bin", data, times=TIMES, short_name="AFILEW~1.BIN") as node:
            assert node.size == size
            assert node.read() == data

    reader = written(make)
    assert reader.data("A file with some name.bin") == data
    assert list(reader.tree()) == ["A file with some name.bin"]


def test_new_files_have_their_times_attributes_and_descriptors(written, descriptor):
    attributes = (
        attribute_records.READONLY
        | attribute_records.HIDDEN
        | attribute_records.SYSTEM
        | attribute_records.NOT_INDEXED
        | attribute_records.OFFLINE
        | 0x100
    )

    def make(root):
        with root.create_directory(
            "folder", attributes=attribute_records.HIDDEN, times=TIMES, security=descriptor(1)
        ) as folder:
            for number in range(40):
                file_times = Times(*(time + number for time in TIMES))
                with folder.create_file(
                    f"{number}",
                    b"x" * 30 * number,
                    attributes=attributes,
                    times=file_times,
                    security=descriptor(number),
                ) as node:
                    assert node.security == descriptor(number)

    reader = written(make)
    assert reader.times("folder") == TIMES
    assert reader.attributes("folder") == attribute_records.HIDDEN
    assert reader.security("folder") == descriptor(1)
    for number in range(40):
        path = f"folder/{number}"
        assert reader.times(path) == Times(*(time + number for time in TIMES))
        assert reader.attributes(path) == attributes
        assert reader.security(path) == descriptor(number)


def test_metadata_of_existing_files_changes(image, written, descriptor):
    def make(root):
        with root.create_directory("folder") as folder, folder.create_file("file", b"abc") as node:
            node.set_security(descriptor(5))
            node.write(b"x" * 9000, 2)
            node.set_attributes(attribute_records.READONLY)
            node.set_times(TIMES)
            folder.set_times(TIMES)
            node.truncate(100)

    reader = written(make)
    assert reader.data("folder/file") == b"ab" + b"x" * 98
    assert reader.times("folder/file") == TIMES
    assert reader.times("folder") == TIMES
    assert reader.attributes("folder/file") == attribute_records.READONLY
    assert reader.security("folder/file") == descriptor(5)
    with FileDevice(str(image), writable=True) as device, Volume.mount(device, writable=True) as volume:
        with volume.find("FOLDER/FILE") as node:
            node.set_times(Times(1, 2, 3, 4))
    with FileDevice(str(image)) as device, Volume.mount(device) as volume, volume.find("folder/file") as node:
        assert node.times == Times(1, 2, 3, 4)
        assert node.security == descriptor(5)


def test_unusual_descriptors_are_stored_unchanged(written):
    system = SYSTEM
    label = Acl(2, [Ace(0x11, 0, 1, sid("S-1-16-4096"))])
    audit = Acl(2, [Ace(0x02, 0xC3, file_security.FULL_CONTROL, EVERYONE)])
    lists = {
        "object": Acl(4, [Ace(0x05, 0, 0x100, system, head=b"\1\0\0\0" + bytes(range(16)))]),
        "conditional": Acl(2, [Ace(0x09, 0, 0x100, system, tail=b"artx1234")]),
        "empty": Acl(2, []),
        "large": Acl(2, [Ace(0, 3, number, sid(f"S-1-5-21-1-2-3-{number}")) for number in range(1, 1500)]),
        "none": None,
    }
    descriptors = {name: build(SecurityDescriptor(0x1404, system, system, None, acl)) for name, acl in lists.items()}
    descriptors["label"] = build(SecurityDescriptor(0x8814, system, system, label, lists["empty"]))
    descriptors["audit"] = build(SecurityDescriptor(0x8814, system, system, audit, lists["empty"]))

    def make(root):
        for name, data in descriptors.items():
            root.create_file(name, security=data).close()
            with root.child(name) as node:
                assert node.security == data

    reader = written(make)
    for name, data in descriptors.items():
        assert reader.security(name) == data


def test_file_without_descriptor_gets_the_descriptor_of_its_directory(written, descriptor):
    def make(root):
        with root.create_directory("folder", security=descriptor(3)) as folder:
            folder.create_file("file").close()

    assert written(make).security("folder/file") == descriptor(3)


def test_names_get_the_namespaces_of_windows(written):
    def make(root):
        root.create_file("A long name.txt", b"1", short_name="ALONGN~1.TXT", times=TIMES).close()
        root.create_file("Short.txt", b"2").close()
        root.create_file("Same.Txt", b"3", short_name="SAME.TXT").close()
        root.create_file("Another long name", b"4").close()
        with root.child("alongn~1.txt") as node:
            assert (node.name, node.short_name) == ("A long name.txt", "ALONGN~1.TXT")
        with root.child("a LONG name.TXT") as node:
            assert (node.name, node.short_name, node.link_count) == ("A long name.txt", "ALONGN~1.TXT", 1)

    reader = written(make)
    spaces = {}
    for path in reader.tree():
        spaces[path] = sorted(
            (name.attribute.file_name, int(name.attribute.flags)) for name in reader.record(path).attributes[0x30]
        )
    assert spaces == {
        "A long name.txt": [("A long name.txt", file_names.WIN32), ("ALONGN~1.TXT", file_names.DOS)],
        "Short.txt": [("Short.txt", file_names.WIN32_AND_DOS)],
        "Same.Txt": [("Same.Txt", file_names.WIN32_AND_DOS)],
        "Another long name": [("Another long name", file_names.POSIX)],
    }


def test_short_name_is_added_replaced_and_removed(written):
    def make(root):
        changes = [
            ("first long name", None, "ONE~1"),
            ("two long name", "TWO~1", None),
            ("three long name", "THREE~1", "DREI~1"),
            ("four", None, "VIER"),
        ]
        for name, first, then in changes:
            with root.create_file(name, short_name=first) as node:
                node.set_short_name(then)
                assert node.short_name == then

    reader = written(make)
    spaces = {
        path: sorted(int(name.attribute.flags) for name in reader.record(path).attributes[0x30])
        for path in reader.tree()
    }
    assert spaces == {"first long name": [1, 2], "two long name": [0], "three long name": [1, 2], "four": [1, 2]}
    assert reader.record("VIER").segment == reader.record("four").segment


def test_name_in_use_is_a_conflict(volume):
    with volume.root as root:
        root.create_file("\u00c9t\u00e9 Name", short_name="ETE~1").close()
        for name in ("\u00e9T\u00c9 nAME", "ete~1", "ETE~1"):
            with pytest.raises(Conflict) as caught:
                root.create_file(name)
            assert caught.value.code == "ntfs.exists"
            assert "the root directory" in caught.value.message
            with pytest.raises(Conflict) as caught:
                root.create_directory(name)
            assert caught.value.code == "ntfs.exists"
        with pytest.raises(Conflict) as caught:
            root.create_file("Something else", short_name="ete~1")
        assert caught.value.code == "ntfs.short_name_in_use"
        with root.child("\u00e9t\u00c9 NAME") as node, pytest.raises(Conflict) as caught:
            root.link(node, "ETE~1")
        assert caught.value.code == "ntfs.exists"
        assert [child.name for child in root.children()] == ["\u00c9t\u00e9 Name"]


def test_unusual_names_are_stored(written):
    names = [
        "nul",
        "con.txt",
        "a\ud800b",
        "\udfff",
        "\U0001f600.dat",
        "x" * 255,
        "\u0130\u0131\u017f",
        ".hidden",
        "a.b.c.d",
        " leading",
        "wh.",
        "caf\u00e9",
    ]

    def make(root):
        for name in names:
            root.create_file(name, name.encode("utf-8", "surrogatepass"), allow_trailing=name.endswith(".")).close()
        assert {child.name for child in root.children()} == set(names)
        for name in names:
            with root.child(name) as node:
                assert node.name == name

    written(make)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "a:b", "a*", "a?", 'a"', "a<", "a>", "a|", "a\0b", "a\x1f", "a.", "a ", "x" * 256],
)
def test_name_that_windows_does_not_allow_is_rejected(volume, name):
    with volume.root as root:
        with pytest.raises(InvalidInput) as caught:
            root.create_file(name)
        assert caught.value.code == "ntfs.name"
        with pytest.raises(InvalidInput) as caught:
            root.create_directory(name)
        assert caught.value.code == "ntfs.name"
        assert not list(root.children())


def test_streams_of_files_and_directories_are_read_back(written):
    def make(root):
        with root.create_file("file", b"own", times=TIMES) as node:
            node.write(b"[ZoneTransfer]", 0, "Zone.Identifier")
            node.write(b"big" * 10000, 0, "big \u00e4")
            node.write(b"", 0, "empty")
            assert sorted(node.streams) == [("Zone.Identifier", 14), ("big \u00e4", 30000), ("empty", 0)]
            with pytest.raises(NotFound) as caught:
                node.read(stream="missing")
            assert caught.value.code == "ntfs.no_stream"
        with root.create_directory("folder", times=TIMES) as folder:
            folder.write(b"of a folder", 0, "stream")
            with pytest.raises(NotFound):
                folder.read()
            assert folder.streams == [("stream", 11)]

    reader = written(make)
    assert reader.data("file") == b"own"
    assert reader.data("file", "Zone.Identifier") == b"[ZoneTransfer]"
    assert reader.data("file", "big \u00e4") == b"big" * 10000
    assert reader.data("folder", "stream") == b"of a folder"
    assert reader.times("file") == TIMES
    assert reader.times("folder") == TIMES


def test_deleted_stream_is_not_found(volume):
    with volume.root as root, root.create_file("file", b"own") as node:
        node.write(b"stream", 0, "deleted")
        delete_stream(node, "deleted")
        assert node.streams == []
        with pytest.raises(NotFound) as caught:
            node.read(stream="deleted")
        assert caught.value.code == "ntfs.no_stream"


def test_file_with_many_attributes_uses_several_records(written):
    def make(root):
        with root.create_file("file", times=TIMES) as node:
            for number in range(150):
                node.write(bytes([number]) * number * 20, 0, f"stream {number}")
            for number in range(100):
                root.link(node, f"link number {number}").close()
            assert len(node.streams) == 150
            assert node.link_count == 101
        with root.child("link number 50") as node:
            node.set_times(TIMES)

    reader = written(make)
    for number in (0, 10, 149):
        assert reader.data("link number 99", f"stream {number}") == bytes([number]) * number * 20
    assert reader.times("file") == TIMES


def test_links_share_the_file_until_the_last_is_deleted(written):
    def make(root):
        with (
            root.create_directory("folder") as folder,
            root.create_file("A first name", b"data", short_name="FIRST~1") as node,
        ):
            with folder.link(node, "second") as second:
                assert (second.name, second.short_name, second.link_count) == ("second", None, 2)
                second.write(b"DATA!")
            folder.link(node, "third").close()
            with pytest.raises(Conflict) as caught:
                folder.link(node, "A fourth name", short_name="FOURTH~1")
            assert caught.value.code == "ntfs.second_short_name"
            with pytest.raises(InvalidInput) as caught:
                root.link(folder, "folder again")
            assert caught.value.code == "ntfs.directory_link"
        with root.child("A first name") as node:
            node.delete()
        with root.child("folder") as folder, folder.child("third") as node:
            assert node.link_count == 2
            assert node.read() == b"DATA!"

    reader = written(make)
    assert list(reader.tree()) == ["folder", "folder/second", "folder/third"]
    assert reader.record("folder/second").segment == reader.record("folder/third").segment


@pytest.mark.parametrize(
    "reparse",
    [
        mount_point("C:\\Users"),
        struct.pack("<IHH", 0x9000701A, 8, 0) + b"cloudy!!",
        struct.pack("<IHH", 0x80000024, 0, 0),
        struct.pack("<IHH", 0x8000001B, 12, 0) + b"app exec ali",
        struct.pack("<IHH", 0x00001234, 4, 0) + b"0123456789abcdef" + b"data",
        struct.pack("<IHH", 0x80000017, 5000, 0) + b"w" * 5000,
    ],
    ids=["junction", "cloud", "fifo", "appexec", "foreign", "large"],
)
def test_reparse_points_are_set_replaced_and_removed(written, reparse):
    def make(root):
        with root.create_directory("set", times=TIMES) as node:
            node.set_reparse(reparse)
            assert node.reparse == reparse
            assert node.attributes & attribute_records.REPARSE
        with root.create_directory("replaced", times=TIMES) as node:
            node.set_reparse(mount_point("D:\\"))
            node.set_reparse(reparse)
        with root.create_directory("removed", times=TIMES) as node:
            node.set_reparse(reparse)
            node.set_reparse(None)
            assert node.reparse is None

    reader = written(make)
    assert reader.value("set", 0xC0) == reparse
    assert reader.value("replaced", 0xC0) == reparse
    assert 0xC0 not in reader.record("removed").attributes
    assert [reader.attributes(name) & attribute_records.REPARSE for name in ("set", "replaced", "removed")] == [
        0x400,
        0x400,
        0,
    ]
    assert reader.times("set") == TIMES


@pytest.mark.parametrize(
    ("setter", "value", "code"),
    [
        ("set_reparse", b"", "ntfs.reparse"),
        ("set_reparse", b"1234567", "ntfs.reparse"),
        ("set_reparse", struct.pack("<IHH", 0xA0000003, 99, 0) + b"short", "ntfs.reparse"),
        ("set_eas", b"\1", "ntfs.eas"),
        ("set_eas", struct.pack("<IBBH", 0, 0, 9, 9) + b"x", "ntfs.eas"),
        ("set_security", b"nonsense", "ntfs.security"),
        ("set_object_id", b"short", "ntfs.object_id"),
        ("set_times", Times(-1, 0, 0, 0), "ntfs.time"),
    ],
)
def test_invalid_metadata_is_rejected(volume, setter, value, code):
    with volume.root as root, root.create_file("file") as node:
        with pytest.raises(InvalidInput) as caught:
            getattr(node, setter)(value)
        assert caught.value.code == code
        assert caught.value.hint
        assert node.attributes == attribute_records.ARCHIVE


def test_file_has_no_children(volume):
    with volume.root as root, root.create_file("file") as node:
        with pytest.raises(InternalError) as caught:
            node.create_file("below a file")
        assert caught.value.code == "ntfs.not_directory"


def test_extended_attributes_are_normalized_and_removed(written):
    loose = (
        struct.pack("<IBBH", 20, 0, 3, 4) + b"ONE\0aaaa" + b"\0" * 4 + struct.pack("<IBBH", 0, 0x80, 3, 2) + b"TWO\0bb"
    )
    stored = struct.pack("<IBBH", 16, 0, 3, 4) + b"ONE\0aaaa" + struct.pack("<IBBH", 16, 0x80, 3, 2) + b"TWO\0bb\0\0"

    def make(root):
        with root.create_file("file", times=TIMES) as node:
            node.set_eas(loose)
            assert node.eas == stored
        with root.create_file("removed") as node:
            node.set_eas(stored)
            node.set_eas(None)
            assert node.eas is None

    reader = written(make)
    assert reader.value("file", 0xE0) == stored
    assert struct.unpack("<HHI", reader.value("file", 0xD0)) == (22, 1, 32)
    assert reader.times("file") == TIMES


def test_object_ids_are_unique_and_removed_with_their_file(written):
    def make(root):
        with root.create_file("short") as node:
            node.set_object_id(bytes(range(16)))
            assert node.object_id == bytes(range(16))
        with root.create_file("long") as node:
            node.set_object_id(bytes(range(100, 164)))
            assert node.object_id == bytes(range(100, 164))
        with root.create_file("other") as node:
            with pytest.raises(Conflict) as caught:
                node.set_object_id(bytes(range(16)))
            assert caught.value.code == "ntfs.object_id_in_use"
            node.set_object_id(b"o" * 16)
            node.set_object_id(None)
        with root.create_file("deleted") as node:
            node.set_object_id(b"d" * 16)
            node.delete()
        with root.create_file("again") as node:
            node.set_object_id(b"d" * 16)

    reader = written(make)
    assert reader.value("short", 0x40) == bytes(range(16))
    assert reader.value("long", 0x40) == bytes(range(100, 116))
    assert reader.value("again", 0x40) == b"d" * 16
    assert 0x40 not in reader.record("other").attributes


def test_sparse_file_keeps_its_holes(written):
    def make(root):
        with root.create_file("sparse", attributes=attribute_records.SPARSE, times=TIMES) as node:
            with node.open_stream() as stream:
                stream.truncate(30 << 20)
                stream.pwrite(b"x" * 65536, 1 << 20)
                stream.pwrite(b"y" * 8192, 20 << 20)
                assert stream.extents() == [(1 << 20, 65536), (20 << 20, 8192)]
                assert stream.allocated < 1 << 20
            assert node.attributes == attribute_records.SPARSE
            node.set_attributes(attribute_records.ARCHIVE)
            assert node.attributes == attribute_records.ARCHIVE | attribute_records.SPARSE

    reader = written(make)
    data = reader.data("sparse")
    assert len(data) == 30 << 20
    assert data.count(b"x") == 65536
    assert data[20 << 20 : (20 << 20) + 8192] == b"y" * 8192
    assert reader.attributes("sparse") == attribute_records.ARCHIVE | attribute_records.SPARSE
    assert reader.times("sparse") == TIMES


def test_compressed_file_takes_less_space(written):
    data = b"compress me please " * 20000

    def make(root):
        with (
            root.create_file("file", data, attributes=attribute_records.COMPRESSED, times=TIMES) as node,
            node.open_stream() as stream,
        ):
            assert stream.allocated < len(data) // 4
        with root.create_directory("folder", attributes=attribute_records.COMPRESSED, times=TIMES) as folder:
            assert folder.attributes == attribute_records.COMPRESSED | attribute_records.DIRECTORY

    reader = written(make)
    assert reader.data("file") == data
    assert reader.attributes("file") == reader.attributes("folder") == attribute_records.COMPRESSED
    assert reader.times("file") == TIMES


def test_deleting_everything_frees_records_and_clusters(image, descriptor):
    with FileDevice(str(image), writable=True) as device:
        with Volume.mount(device, writable=True) as volume:
            before = volume.allocated_clusters().tobytes()
        for _round in range(2):
            with Volume.mount(device, writable=True) as volume, volume.root as root:
                with root.create_directory("A directory", short_name="ADIREC~1", times=TIMES) as top:
                    for number in range(300):
                        with top.create_file(
                            f"a file number {number}", b"q" * 100 * number, short_name=f"AFI~{number}"
                        ) as node:
                            node.write(b"s" * 3000, 0, "stream")
                            if number % 3 == 0:
                                node.set_reparse(struct.pack("<IHH", 0x9000701A, 8, 0) + b"cloudy!!")
                            if number % 5 == 0:
                                node.set_object_id(number.to_bytes(16, "big"))
                            if number % 7 == 0:
                                node.set_eas(struct.pack("<IBBH", 16, 0, 3, 4) + b"ONE\0aaaa")
                            if number % 50 == 0:
                                for copy in range(30):
                                    root.link(node, f"link {number} {copy}").close()
                    with top.create_directory("junction") as junction:
                        junction.set_reparse(mount_point("C:\\"))
                        junction.create_file("behind").close()
                top = volume.find("adirec~1")
                top.delete()
                assert volume.find("A directory") is None
                left = list(root.children())
                assert len(left) == 180
                for child in left:
                    with root.child(child.name) as node:
                        node.delete()
                assert not list(root.children())
            verify_volume(image)
        with Volume.mount(device) as volume:
            after = volume.allocated_clusters().tobytes()
    # The $MFT, its bitmap and the indexes of $Secure, $ObjId and the root never shrink.
    assert sum(byte.bit_count() for byte in after) - sum(byte.bit_count() for byte in before) < 600


def test_node_of_a_deleted_file_is_closed(volume):
    with volume.root as root:
        node = root.create_file("file")
        other = root.child("file")
        node.delete()
        for closed in (node, other):
            with pytest.raises(InternalError) as caught:
                closed.read()
            assert caught.value.code == "ntfs.closed"
            closed.close()


def test_root_cannot_be_deleted(volume):
    with volume.root as root, pytest.raises(InternalError) as caught:
        root.delete()
    assert caught.value.code == "ntfs.no_name"


def test_system_file_cannot_be_changed(volume):
    with volume.open(3, "$Volume") as system, pytest.raises(InvalidInput) as caught:
        system.set_attributes(0)
    assert caught.value.code == "ntfs.system_file"


def test_unused_record_is_not_found(volume):
    # The first file makes NTFS initialize further records.
    with volume.root as root:
        root.create_file("file").close()
    with pytest.raises(NotFound) as caught:
        volume.open(40)
    assert caught.value.code == "ntfs.no_record"


def test_full_volume_reports_no_space_and_stays_consistent(blank, tmp_path):
    path = blank(tmp_path / "small", 8)
    with (
        FileDevice(str(path), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        with pytest.raises(NoSpace) as caught:
            root.create_file("large", b"x" * (20 << 20))
        assert caught.value.code == "ntfs.no_space"
        assert volume.find("large") is None
        with pytest.raises(NoSpace):
            for number in range(10000):
                root.create_file(f"a small file number {number}", b"y" * 5000).close()
    verify_volume(path)


def test_directory_with_many_names_is_searched_and_shrinks(volume, independent, image):
    numbers = [(number * 7919) % 3001 for number in range(3000)]
    with volume.root as root, root.create_directory("many") as many:
        for number in numbers:
            many.create_file(f"File {number:05d} \u00fc", b"", short_name=f"F{number}~1").close()
        assert {child.name for child in many.children()} == {f"File {number:05d} \u00fc" for number in numbers}
        for number in numbers[::3]:
            with many.child(f"f{number}~1") as node:
                node.delete()
        left = {child.name for child in many.children()}
        assert left == {f"File {number:05d} \u00fc" for index, number in enumerate(numbers) if index % 3}


def test_read_only_volume_is_not_changed(image):
    before = image.read_bytes()
    with FileDevice(str(image)) as device, Volume.mount(device) as volume, volume.root as root:
        with pytest.raises(InternalError) as caught:
            root.create_file("file")
        assert caught.value.code == "ntfs.read_only"
        assert root.security
        assert volume.find("missing/file") is None
    assert image.read_bytes() == before
    with FileDevice(str(image)) as device, pytest.raises(InternalError) as caught:
        Volume.mount(device, writable=True)
    assert caught.value.code == "ntfs.read_only"


def test_change_that_the_library_denies_is_reported_as_encryption():
    error = error_for(errno.EACCES, "resizing file record 64", "the disk")
    assert isinstance(error, Unsupported)
    assert error.code == "ntfs.encrypted"
    assert isinstance(error_for(errno.EROFS, "resizing file record 64", "the disk"), InternalError)


def mark_as_encrypted(device, name):
    """Set the EFS flags of the only file called ``name``: in its attributes and in the record of its unnamed stream."""
    data = bytes(device.pread(device.size, 0))
    (record,) = [
        offset
        for offset in range(0, len(data), 1024)
        if data[offset : offset + 4] == b"FILE" and name.encode("utf-16-le") in data[offset : offset + 1024]
    ]
    position = record + struct.unpack_from("<H", data, record + 20)[0]
    while (kind := struct.unpack_from("<I", data, position)[0]) != attribute_records.DATA:
        if kind == attribute_records.STANDARD_INFORMATION:
            device.pwrite(struct.pack("<I", 0x4000), position + 24 + 32)
        length = struct.unpack_from("<I", data, position + 4)[0]
        assert 0 < length < 1024
        position += length
    device.pwrite(struct.pack("<H", 0x4000), position + 12)


@pytest.mark.parametrize(
    "change", [lambda node: node.truncate(10), lambda node: node.write(b"y")], ids=["truncate", "write"]
)
def test_encrypted_stream_is_not_changed(image, change):
    with FileDevice(str(image), writable=True) as device:
        with Volume.mount(device, writable=True) as volume, volume.root as root:
            root.create_file("encrypted.txt", b"x" * 9000).close()
        mark_as_encrypted(device, "encrypted.txt")
        with Volume.mount(device, writable=True) as volume, volume.find("encrypted.txt") as node:
            with pytest.raises(Unsupported) as caught:
                change(node)
            assert caught.value.code == "ntfs.encrypted"


def test_volume_of_windows_is_read_and_changed(windows_image, tmp_path, independent):
    path = windows_image(tmp_path / "image")
    with FileDevice(str(path), writable=True) as device, Volume.mount(device, writable=True) as volume:
        assert volume.version == (3, 1)
        assert {child.name for child in volume.root.children()} >= {
            "Directory",
            "File.txt",
            "Large Directory",
            "Random.bin",
        }
        with volume.find("large directory") as node:
            assert len(list(node.children())) == 2048
        with volume.find("FILE.TXT") as node:
            assert node.times == independent(path).times("File.txt")
            assert node.security == independent(path).security("File.txt")
            assert node.read() == independent(path).data("File.txt")
        with volume.find("Large Directory/directory 77") as node:
            node.create_file("new", b"data", times=TIMES).close()
        with volume.find("Directory") as node:
            node.delete()
    verify_volume(path, entries_follow=False, boot=False)
    assert independent(path).times("Large Directory/Directory 77/new") == TIMES


def test_error_of_a_file_names_its_path(volume):
    with volume.root as root, root.create_directory("a folder") as folder:
        with folder.create_directory("below") as below, below.create_file("first", short_name="FIRST~1") as node:
            for found, path in ((node, "a folder/below/first"), (below, "a folder/below"), (root, "")):
                with pytest.raises(NotFound) as caught:
                    found.open_stream("missing").close()
                assert (repr(path) if path else "file record 5") in caught.value.message
    with volume.find("a folder/below/FIRST~1") as node:
        assert node.inode.references == 1
        with pytest.raises(Corrupt) as caught:
            node.inode.fail("reading", errno.EIO)
        assert "'a folder/below/first'" in caught.value.message


def test_error_of_the_device_is_raised_unchanged(image):
    class Broken(FileDevice):
        reads = 0

        def pread(self, count, offset):
            Broken.reads += 1
            if Broken.reads > 60:
                raise Corrupt("The cable is cut.", code="test.cable")
            return super().pread(count, offset)

    with Broken(str(image)) as device, pytest.raises(Corrupt) as caught:
        with Volume.mount(device) as volume:
            for number in range(24, 100):
                volume.find(f"nothing {number}")
                volume.allocated_clusters()
    assert caught.value.code == "test.cable"
