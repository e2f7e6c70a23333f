# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout, key_security, upcase
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive, Key
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.support.registry_data import hive_content

from .registry_helpers import hives, normalized, real_system


class Raw:
    """A hive file, decoded without the code under test."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.cells: dict[int, int] = {}
        position = 4096
        while position < len(data):
            signature, offset, size = struct.unpack_from("<4sII", data, position)
            assert (signature, offset, size % 4096) == (b"hbin", position - 4096, 0)
            cell, end = position + 32, position + size
            while cell < end:
                length = struct.unpack_from("<i", data, cell)[0]
                assert length
                assert abs(length) % 8 == 0
                self.cells[cell - 4096] = length
                cell += abs(length)
            assert cell == end
            position = end
        assert position == len(data)

    def at(self, offset: int) -> bytes:
        length = self.cells[offset]
        assert length < 0
        return self.data[4096 + offset + 4 : 4096 + offset - length]

    def u32(self, offset: int) -> int:
        return struct.unpack_from("<I", self.data, offset)[0]

    def root(self) -> bytes:
        return self.at(self.u32(36))

    def child(self, node: bytes, number: int = 0) -> bytes:
        subkeys = self.at(struct.unpack_from("<I", node, 28)[0])
        return self.at(struct.unpack_from("<I", subkeys, 4 + number * (4 if subkeys[:2] == b"li" else 8))[0])

    def signatures(self, signature: bytes) -> list[bytes]:
        return [
            self.at(offset) for offset, length in self.cells.items() if length < 0 and self.at(offset)[:2] == signature
        ]


def written(hive: Hive) -> Raw:
    return Raw(write_hive(hive))


def test_write_hive_base_block():
    hive = Hive.new("\\SystemRoot\\System32\\Config\\SOFTWARE", last_written=0x01D94A0000000001)
    data = write_hive(hive)
    assert struct.unpack_from("<4sIIQIIIIIII", data) == (
        b"regf",
        2,
        2,
        0x01D94A0000000001,
        1,
        5,
        0,
        1,
        32,
        len(data) - 4096,
        1,
    )
    assert data[48:112].decode("utf-16-le").rstrip("\0") == "\\SystemRoot\\System32\\Config\\SOFTWARE"[-31:]
    check = 0
    for number in struct.unpack_from("<127I", data):
        check ^= number
    assert struct.unpack_from("<I", data, 508)[0] == check
    assert struct.unpack_from("<Q", data, 4096 + 20)[0] == 0x01D94A0000000001
    assert len(data) % 4096 == 0
    assert write_hive(hive) == data


def test_write_hive_fields_of_newer_formats_do_not_change():
    hive = read_hive(real_system())
    data = write_hive(hive)
    assert data[112:508] == real_system()[112:508]
    assert data[48:112] == real_system()[48:112]
    assert struct.unpack_from("<II", data, 4) == tuple(
        number + 1 for number in struct.unpack_from("<II", real_system(), 4)
    )


def test_write_hive_key_node():
    hive = Hive.new(last_written=7)
    key = Key(
        "Größe",
        security=hive.root.security,
        last_written=9,
        class_name="klass",
        flags=cell_layout.KEY_SYM_LINK | cell_layout.KEY_COMP_NAME,
    )
    hive.root.add(key)
    key.access, key.control = 0x8302, 0x1234
    key.set_value("naïve", 1, b"x" * 10)
    key.set_value("жж", 3, b"")
    key.add(Key("a"))
    key.add(Key("длинный", class_name="xy"))
    raw = written(hive)
    node = raw.child(raw.root())
    fields = struct.unpack_from("<2sHQIIIIIIIIIIHHIIIIHH", node)
    assert fields[:4] == (b"nk", cell_layout.KEY_SYM_LINK | cell_layout.KEY_COMP_NAME, 9, 0x8302)
    assert raw.at(fields[4]) == raw.root()
    assert fields[5:7] == (2, 0)
    assert fields[8:10] == (0xFFFFFFFF, 2)
    assert raw.at(fields[12])[:10] == "klass".encode("utf-16-le")
    # longest subkey name, control, longest class, longest value name, longest data, WorkVar, name length, class length
    assert fields[13:] == (14, 0x1234, 4, 10, 10, 0, 5, 10)
    assert node[76:81] == "Größe".encode("latin-1")
    wide = raw.child(node, 1)
    assert wide[2:4] == b"\0\0"
    assert wide[72:74] == b"\x0e\0"
    assert wide[76:90] == "длинный".encode("utf-16-le")
    root = struct.unpack_from("<2sH", raw.root())
    assert root == (b"nk", cell_layout.KEY_HIVE_ENTRY | cell_layout.KEY_NO_DELETE | cell_layout.KEY_COMP_NAME)


def test_write_hive_values_by_size():
    hive = Hive.new()
    for size in (0, 1, 4, 5, 16344, 16345, 40000):
        hive.root.set_value(f"{size:05}", 3, bytes(range(1, 251)) * (size // 250) + bytes(range(1, size % 250 + 1)))
    raw = written(hive)
    found = {node[20:25]: struct.unpack_from("<2sHIIIHH", node) for node in raw.signatures(b"vk")}
    assert found[b"00000"] == (b"vk", 5, 0x80000000, 0, 3, 1, 0)
    assert found[b"00001"] == (b"vk", 5, 0x80000001, 0x01, 3, 1, 0)
    assert found[b"00004"] == (b"vk", 5, 0x80000004, 0x04030201, 3, 1, 0)
    assert found[b"00005"][2] == 5
    assert raw.at(found[b"00005"][3])[:5] == b"\1\2\3\4\5"
    assert found[b"16344"][2] == 16344
    assert len(raw.at(found[b"16344"][3])) >= 16344
    for name, lengths in ((b"16345", [16344, 1]), (b"40000", [16344, 16344, 7312])):
        signature, count, segments = struct.unpack_from("<2sHI", raw.at(found[name][3]))
        assert (signature, count) == (b"db", len(lengths))
        # Windows gives every segment a cell of full size.
        assert {len(raw.at(offset)) for offset in struct.unpack_from(f"<{count}I", raw.at(segments))} == {16348}
        data = b"".join(
            raw.at(offset)[:length]
            for offset, length in zip(struct.unpack_from(f"<{count}I", raw.at(segments)), lengths)
        )
        assert data == hive.root.value(name.decode()).data
    hive.minor = 3
    assert not [node for node in written(hive).signatures(b"db") if len(node) < 16]


def test_write_hive_default_value_has_no_name_flag():
    hive = Hive.new()
    hive.root.set_value("", 1, b"a\0\0\0")
    assert struct.unpack_from("<2sHIIIH", written(hive).signatures(b"vk")[0]) == (b"vk", 0, 0x80000004, 0x61, 1, 0)


def test_write_hive_tombstone_value():
    hive = Hive.new(minor=6)
    hive.root.set_value("gone", 0, b"").tombstone = True
    assert struct.unpack_from("<2sHIIIHH", written(hive).signatures(b"vk")[0]) == (b"vk", 4, 0, 0xFFFFFFFF, 0, 3, 0)
    assert read_hive(write_hive(hive)).root.value("GONE").tombstone


def test_write_hive_security_descriptors_are_shared_counted_and_linked():
    hive = Hive.new()
    for number in range(30):
        hive.root.add(Key(f"{number:02}", security=[key_security.DEFAULT, b"one" * 10, b"two" * 20][number % 3]))
    raw = written(hive)
    cells = {
        offset: raw.at(offset) for offset, length in raw.cells.items() if length < 0 and raw.at(offset)[:2] == b"sk"
    }
    counts = {}
    ring = [struct.unpack_from("<I", raw.root(), 44)[0]]
    while True:
        _signature, _reserved, following, preceding, count, size = struct.unpack_from("<2sHIIII", cells[ring[-1]])
        counts[cells[ring[-1]][20 : 20 + size]] = count
        assert struct.unpack_from("<I", cells[following], 8)[0] == ring[-1]
        assert preceding in cells
        if following == ring[0]:
            break
        ring.append(following)
    assert counts == {key_security.DEFAULT: 11, b"one" * 10: 10, b"two" * 20: 10}
    assert sorted(ring) == sorted(cells)


@pytest.mark.parametrize(
    "minor, count, signature, leaves",
    [
        (5, 500, b"lh", 1),
        (5, 501, b"ri", 2),
        (5, 3000, b"ri", 6),
        (3, 500, b"lf", 1),
        (3, 501, b"li", 1),
        (3, 1000, b"li", 1),
        (3, 1001, b"ri", 2),
    ],
)
def test_write_hive_subkey_lists_by_version_and_number(minor, count, signature, leaves):
    hive = Hive.new(minor=minor)
    for number in range(count):
        hive.root.create(f"Key {number * 7919 % count}")
    raw = written(hive)
    top = raw.at(struct.unpack_from("<I", raw.root(), 28)[0])
    assert top[:2] == signature
    parts = [raw.at(offset) for offset in struct.unpack_from(f"<{leaves}I", top, 4)] if signature == b"ri" else [top]
    seen = []
    for part in parts:
        size = 4 if part[:2] == b"li" else 8
        for index in range(struct.unpack_from("<H", part, 2)[0]):
            node = raw.at(struct.unpack_from("<I", part, 4 + index * size)[0])
            seen.append(node[76 : 76 + struct.unpack_from("<H", node, 72)[0]].decode().upper())
    assert seen == sorted(f"KEY {number}" for number in range(count))


def test_write_hive_hash_leaves_are_ordered_and_hashed_by_upcased_unit():
    hive = Hive.new()
    for name in ("b", "A", "_", "été", "Zz", "\uff21", "\U0001f600", "µ", "ж"):
        hive.root.create(name)
    raw = written(hive)
    leaf = raw.at(struct.unpack_from("<I", raw.root(), 28)[0])
    entries = struct.unpack_from("<18I", leaf, 4)
    upper = ["A", "B", "ZZ", "_", "µ", "ÉTÉ", "Ж", "\U0001f600", "\uff21"]
    assert list(entries[1::2]) == [_hash(name) for name in upper]


def _hash(upper: str) -> int:
    number = 0
    units = upper.encode("utf-16-le")
    for at in range(0, len(units), 2):
        number = number * 37 + units[at] + units[at + 1] * 256
    return number % 2**32


def test_write_hive_fast_leaves_contain_the_first_four_characters():
    hive = Hive.new(minor=3)
    for name in ("abcdef", "xy", "Größe", "жук", "été\u0436"):
        hive.root.create(name)
    raw = written(hive)
    leaf = raw.at(struct.unpack_from("<I", raw.root(), 28)[0])
    hints = {}
    for index in range(5):
        offset, hint = struct.unpack_from("<I4s", leaf, 4 + index * 8)
        node = raw.at(offset)
        hints[node[76 : 76 + struct.unpack_from("<H", node, 72)[0]]] = hint
    assert leaf[:2] == b"lf"
    assert hints == {
        b"abcdef": b"abcd",
        b"xy": b"xy\0\0",
        "Größe".encode("latin-1"): "Größ".encode("latin-1"),
        "жук".encode("utf-16-le"): b"\0\0\0\0",
        "été\u0436".encode("utf-16-le"): b"\0\0\0\0",
    }


def test_name_hash_equals_the_hashes_of_windows():
    """Every entry of every hash leaf of the real hive equals our hash of the name that it leads to."""
    raw, checked = Raw(real_system()), 0
    for leaf in raw.signatures(b"lh"):
        count = struct.unpack_from("<H", leaf, 2)[0]
        if len(leaf) < 4 + count * 8:
            continue
        for offset, number in struct.iter_unpack("<II", leaf[4 : 4 + count * 8]):
            node = raw.at(offset)
            name = node[76 : 76 + struct.unpack_from("<H", node, 72)[0]]
            text = name.decode("latin-1") if struct.unpack_from("<H", node, 2)[0] & 0x20 else name.decode("utf-16-le")
            assert upcase.name_hash(upcase.WINDOWS.fold(text)) == number
            checked += 1
    assert checked > 30000


def test_write_hive_limits_are_checked():
    hive = Hive.new()
    hive.root.create("\\".join(["d"] * 512))
    assert len(hive_content(read_hive(write_hive(hive)).root)) == 513
    hive.root.create("\\".join(["d"] * 513))
    with pytest.raises(Unsupported) as caught:
        write_hive(hive)
    assert caught.value.code == "winregistry.depth"
    hive = Hive.new()
    cell_layout.set_u32(hive.base_block, 24, 9)
    with pytest.raises(InternalError) as caught:
        write_hive(hive)
    assert caught.value.code == "winregistry.version"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(hives())
def test_write_then_read_hive_random_trees(hive):
    data = write_hive(hive)
    Raw(data)
    again = read_hive(data)
    assert hive_content(again.root) == normalized(hive.root)
    assert (again.minor, again.name, again.last_written, again.dirty) == (
        hive.minor,
        hive.name,
        hive.last_written,
        False,
    )
    # Values that are not decoded are copied, decoded values are encoded: both give the same file.
    cell_layout.set_u32(again.base_block, 4, 1)
    cell_layout.set_u32(again.base_block, 8, 1)
    assert write_hive(again) == data == write_hive(_untouched(data))


def _untouched(data: bytes) -> Hive:
    hive = read_hive(data)
    cell_layout.set_u32(hive.base_block, 4, 1)
    cell_layout.set_u32(hive.base_block, 8, 1)
    return hive


def test_write_then_read_hive_real_hive():
    first = read_hive(real_system())
    data = write_hive(first)
    assert len(data) < 1.02 * len(real_system())
    assert hive_content(read_hive(data).root) == hive_content(read_hive(real_system()).root)
    assert len(hive_content(first.root)) == 33317


def _by_dissect(data: bytes) -> dict:
    regf = pytest.importorskip("dissect.regf.regf")
    result = {}
    stack = [("", regf.RegistryHive(io.BytesIO(data)).root())]
    while stack:
        path, node = stack.pop()
        cell = node.cell
        result[path] = (
            int(cell.Flags),
            cell.LastWriteTime,
            [("" if value.cell.NameLength == 0 else value.name, value.type, value.data) for value in node.values()],
        )
        stack += [(f"{path}\\{below.name}" if path else below.name, below) for below in node.subkeys()]
    return result


def _comparable(hive: Hive) -> dict:
    return {
        path: (flags, time, [value[:3] for value in values])
        for path, (flags, time, _access, _control, _class, _security, _handle, values) in hive_content(
            hive.root
        ).items()
    }


def test_write_hive_dissect_reads_the_same_from_the_real_hive():
    hive = read_hive(real_system())
    services = hive.key("ControlSet001\\Services")
    services.create("strata\\Parameters").set_value("Größe ж", 0x20004, b"12345")
    services.set_value("big", 3, b"\xa5" * 100_000)
    for path in [name for name in hive.root.subkeys if name not in ("ControlSet001", "Select")] + [
        "ControlSet001\\Enum",
        "ControlSet001\\Control",
    ]:
        hive.root.delete(path)
    assert _by_dissect(write_hive(hive)) == _comparable(hive)


@pytest.mark.skipif(shutil.which("hivexsh") is None, reason="libhivex-bin is not installed")
def test_write_hive_is_opened_by_hivex(tmp_path):
    hive = read_hive(real_system())
    (tmp_path / "SYSTEM").write_bytes(write_hive(hive))
    answer = subprocess.run(
        ["hivexget", str(tmp_path / "SYSTEM"), "ControlSet001\\Control\\ProductOptions", "ProductType"],
        capture_output=True,
        check=True,
    )
    assert answer.stdout.strip() == b"WinNT"
    xml = subprocess.run(["hivexml", str(tmp_path / "SYSTEM")], capture_output=True, check=True).stdout
    tree = hive_content(hive.root)
    assert len(re.findall(rb"<node ", xml)) == len(tree)
    assert len(re.findall(rb"<value ", xml)) == sum(len(fields[-1]) for fields in tree.values())


def test_write_hive_libregf_finds_no_fault(tmp_path):
    pyregf = pytest.importorskip("pyregf")
    hive = Hive.new("x", last_written=133003889392118037)
    for number in range(1200):
        hive.root.create(f"Many\\{number}").set_value("v", 3, bytes(number * 20))
    (tmp_path / "hive").write_bytes(write_hive(hive))
    opened = pyregf.file()
    opened.open(str(tmp_path / "hive"))
    assert not opened.is_corrupted()
    many = opened.get_key_by_path("\\Many")
    assert many.number_of_sub_keys == 1200
    for key in many.sub_keys:
        assert key.get_value_by_name("v").data == (bytes(int(key.name) * 20) or None)
    opened.close()
