# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading stream-optimized VMDKs: files of other programs, other layouts, damage and inconsistent files."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InternalError,
    StrataError,
)
from ansible_collections.strata.layering.plugins.module_utils.disk import vmdk_layout as layout
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_reader import StreamOptimizedDisk

CAPACITY = 1600 * 65536
NUMBERS = (0, 1, 2, 511, 512, 700, 1599)


def foreign(grains, *, grain_sectors=16, entries=128, capacity_sectors=16 * 300, zeroed=()):
    """Return a VMDK with other grain and table sizes: directory and tables before the grains, no footer, grains in reverse order."""
    grain = grain_sectors * 512
    tables = -(-capacity_sectors // (grain_sectors * entries))
    table_sectors = -(-entries * 4 // 512)
    position = 2 + tables * table_sectors
    body, table = b"", [0] * (tables * entries)
    for number in zeroed:
        table[number] = 1
    for number in sorted(grains, reverse=True):
        data = zlib.compress(grains[number][:grain])
        table[number] = position + len(body) // 512
        data = struct.pack("<QI", number * grain_sectors, len(data)) + data
        body += data + bytes(-len(data) % 512)
    flags = 0x30001 | (4 if zeroed else 0)
    header = (
        b"KDMV"
        + struct.pack("<IIQQQQIQQQ", 3, flags, capacity_sectors, grain_sectors, 0, 0, entries, 0, 1, 128)
        + b"\0\n \r\n\x01\0"
    )
    directory = struct.pack(f"<{tables}I", *(2 + index * table_sectors for index in range(tables)))
    rows = b"".join(
        struct.pack(f"<{entries}I", *table[index * entries : (index + 1) * entries]).ljust(table_sectors * 512, b"\0")
        for index in range(tables)
    )
    return header.ljust(512, b"\0") + directory.ljust(512, b"\0") + rows + body


def test_disk_of_qemu_img_is_read(tmp_path, qemu_img, grain_of, raw_of):
    raw = raw_of(CAPACITY, {number: grain_of(number) for number in NUMBERS})
    (tmp_path / "disk.raw").write_bytes(raw)
    qemu_img("convert", "-O", "vmdk", "-o", "subformat=streamOptimized", tmp_path / "disk.raw", tmp_path / "disk.vmdk")
    with StreamOptimizedDisk(tmp_path / "disk.vmdk") as disk:
        assert disk.size == CAPACITY
        assert disk.numbers.tolist() == list(NUMBERS)
        assert disk.pread(CAPACITY, 0) == raw


def test_short_last_grain_of_qemu_img_is_read(tmp_path, qemu_img, grain_of):
    raw = grain_of(1) + b"end" * 1024
    (tmp_path / "disk.raw").write_bytes(raw)
    qemu_img("convert", "-O", "vmdk", "-o", "subformat=streamOptimized", tmp_path / "disk.raw", tmp_path / "disk.vmdk")
    with StreamOptimizedDisk(tmp_path / "disk.vmdk") as disk:
        assert disk.pread(len(raw), 0) == raw
        assert disk.read_grain(1) == raw[65536:].ljust(65536, b"\0")


def test_grains_and_extents_are_read(grain_of, vmdk_of, raw_of):
    grains = {number: grain_of(number) for number in NUMBERS}
    disk = StreamOptimizedDisk(io.BytesIO(vmdk_of(CAPACITY, grains)), cache_bytes=1)
    assert disk.grain_count == 1600
    assert disk.grain_size == 65536
    assert disk.read_grain(3) is None
    assert disk.read_compressed(3) is None
    assert disk.read_grain(700) == grains[700]
    assert zlib.decompress(disk.read_compressed(700)) == grains[700]
    assert list(disk.data_extents()) == [
        (0, 3 * 65536),
        (511 * 65536, 513 * 65536),
        (700 * 65536, 701 * 65536),
        (1599 * 65536, 1600 * 65536),
    ]
    raw = raw_of(CAPACITY, grains)
    for count, offset in ((10, 65530), (200000, 60000), (65536, 65536), (0, 5), (512, CAPACITY - 512)):
        assert disk.pread(count, offset) == raw[offset : offset + count]
    with pytest.raises(Corrupt) as caught:
        disk.pread(1, CAPACITY)
    assert caught.value.code == "disk.device_out_of_range"
    with pytest.raises(InternalError) as caught:
        disk.pwrite(b"x", 0)
    assert caught.value.code == "disk.device_read_only"


def test_other_grain_and_table_sizes_are_read(grain_of):
    grains = {0: grain_of(0, 8000), 5: grain_of(5, 8192), 130: grain_of(6, 100), 299: grain_of(7, 8192)}
    disk = StreamOptimizedDisk(io.BytesIO(foreign(grains, zeroed=(7, 131))))
    assert disk.grain_size == 8192
    assert disk.numbers.tolist() == [0, 5, 130, 299]
    expected = b"".join(grains.get(number, bytes(8192))[:8192] for number in range(300))
    assert disk.pread(disk.size, 0) == expected


def test_bytes_beyond_the_end_of_the_disk_are_zeros(vmdk_of):
    disk = StreamOptimizedDisk(io.BytesIO(vmdk_of(65536 + 512, {1: b"x" * 65536})))
    assert disk.read_grain(1) == (b"x" * 512).ljust(65536, b"\0")
    assert disk.inflate(1, disk.read_compressed(1))[1] is False


def test_truncated_file_is_rejected(grain_of, vmdk_of):
    data = vmdk_of(CAPACITY, {number: grain_of(number, 200) for number in NUMBERS})
    for length in [*range(0, 2048, 100), *range(2048, len(data), 509), len(data) - 1]:
        with pytest.raises(Corrupt) as caught:
            StreamOptimizedDisk(io.BytesIO(data[:length]))
        assert caught.value.code in ("disk.vmdk_truncated", "disk.vmdk_corrupt")
        assert caught.value.hint


@pytest.mark.parametrize("plain", [b"", bytes(65535), bytes(65537), bytes(1 << 24)])
def test_grain_of_another_size_is_rejected(plain, vmdk_of):
    disk = StreamOptimizedDisk(io.BytesIO(vmdk_of(CAPACITY, {7: plain})))
    with pytest.raises(Corrupt) as caught:
        disk.read_grain(7)
    assert caught.value.code == "disk.vmdk_corrupt"
    assert "grain 7" in caught.value.message


def test_damaged_grain_is_rejected(grain_of, vmdk_of):
    data = vmdk_of(CAPACITY, {0: grain_of(0), 1: grain_of(1)})
    start = 128 * 512

    def read(offset, value):
        changed = bytearray(data)
        changed[offset : offset + len(value)] = value
        return StreamOptimizedDisk(io.BytesIO(changed)).read_grain(0)

    assert read(0, b"") == grain_of(0)
    for offset, value in (
        (start, b"\x01"),
        (start + 8, bytes(4)),
        (start + 8, b"\xff" * 4),
        (start + 8, struct.pack("<I", 60000)),
        (start + 5000, b"damage"),
    ):
        with pytest.raises(Corrupt) as caught:
            read(offset, value)
        assert caught.value.code in ("disk.vmdk_corrupt", "disk.vmdk_truncated")


def test_two_grains_with_one_position_are_rejected(grain_of, vmdk_of):
    data = bytearray(vmdk_of(CAPACITY, {0: grain_of(0), 1: grain_of(1)}))
    footer = layout.unpack_header(bytes(data[-1024:-512]), "disk")
    table = struct.unpack_from("<I", data, footer.directory_sector * 512)[0] * 512
    data[table + 4 : table + 8] = struct.pack("<I", 128)
    with pytest.raises(Corrupt) as caught:
        StreamOptimizedDisk(io.BytesIO(data))
    assert caught.value.code == "disk.vmdk_truncated"


@pytest.mark.parametrize("old, new, code", [
    (b"parentCID=ffffffff", b"parentCID=12345678", "disk.vmdk_has_parent"),
    (b'createType="streamOptimized"', b'createType="monolithicFlat"\n', "disk.vmdk_corrupt"),
    (b"RDONLY 204800 ", b"RDONLY 204801 ", "disk.vmdk_corrupt"),
    (b"RDONLY 204800 ", b"RDONLY 999999999999999999 ", "disk.vmdk_corrupt"),
    (b"version=1\nCID=", b"parentFileNameHint=x\n#", "disk.vmdk_has_parent"),
])  # fmt: skip
def test_inconsistent_embedded_descriptor_is_rejected(old, new, code, vmdk_of):
    data = vmdk_of(CAPACITY, {})
    assert old in data
    changed = data.replace(old, new, 1)
    changed = changed[:10752] + changed[10752 + len(changed) - len(data) :]
    with pytest.raises(StrataError) as caught:
        StreamOptimizedDisk(io.BytesIO(changed))
    assert caught.value.code == code


def test_inconsistent_header_and_footer_are_rejected(vmdk_of):
    data = bytearray(vmdk_of(CAPACITY, {}))
    footer = len(data) - 1024
    directories = [(56, struct.pack("<Q", sector)) for sector in (2**64 - 1, 2**64 - 2, 2**40, 0)]
    for offset, value in [*directories, (12, b"\x01"), (-500, b"\x09"), (512, b"\x01")]:
        changed = bytearray(data)
        changed[footer + offset : footer + offset + len(value)] = value
        with pytest.raises(Corrupt) as caught:
            StreamOptimizedDisk(io.BytesIO(changed))
        assert caught.value.code in ("disk.vmdk_corrupt", "disk.vmdk_truncated")


def test_huge_capacity_takes_little_time_and_memory(vmdk_of):
    disk = StreamOptimizedDisk(io.BytesIO(vmdk_of(62 << 40, {5: b"x" * 65536})))
    assert disk.size == 62 << 40
    assert disk.pread(1, 6 * 65536 - 1) == b"x"
    assert disk.pread(2, disk.size - 2) == b"\0\0"


GOOD = {number: bytes([number % 251]) * 65536 for number in NUMBERS}
FIELDS = [4, 8, 12, 20, 28, 36, 44, 48, 56, 64, 77]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["header", "footer", "anywhere", "tables", "foreign"]))
@example(data=None, kind="whole")
def test_damaged_file_raises_only_our_errors(data, kind, vmdk_of):
    file = bytearray(foreign({3: bytes(8192), 200: b"y" * 8192}) if kind == "foreign" else vmdk_of(CAPACITY, GOOD))
    if kind != "whole":
        for _change in range(data.draw(st.integers(1, 4))):
            if kind in ("header", "footer"):
                offset = data.draw(st.sampled_from(FIELDS)) + (len(file) - 1024 if kind == "footer" else 0)
            elif kind == "tables":
                offset = len(file) - data.draw(st.integers(1, 12000))
            else:
                offset = data.draw(st.integers(0, len(file) - 1))
            value = data.draw(
                st.binary(min_size=1, max_size=8) | st.integers(0, 2**16).map(lambda number: struct.pack("<Q", number))
            )
            offset = max(offset, 0)
            file[offset : offset + len(value)] = value
        if data.draw(st.booleans()):
            del file[data.draw(st.integers(0, len(file))) :]
    try:
        disk = StreamOptimizedDisk(io.BytesIO(file))
    except StrataError:
        return
    assert disk.size <= layout.MAX_CAPACITY
    assert len(disk.numbers) <= disk.file_size // 512
    for number in disk.numbers[:50].tolist():
        try:
            assert len(disk.read_grain(number)) == disk.grain_size
        except StrataError:
            assert kind != "whole"
    for start, end in list(disk.data_extents())[:50]:
        assert 0 <= start < end <= disk.size
