# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables, which sfdisk verifies."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InternalError,
    StrataError,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.disk import partitions
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import BlockDevice, FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import (
    grow,
    read_partitions,
)
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors
from ansible_collections.strata.layering.tests.support.gpt_disk import PartitionSpec, format_gpt

MIB = 1 << 20
SIZE = 64 * MIB
GUID = "5a1e6ff0-0000-4000-8000-0123456789ab"
SPECS = [
    PartitionSpec(partitions.TYPE_EFI_SYSTEM, 4 * MIB, "EFI system partition"),
    PartitionSpec(partitions.TYPE_MICROSOFT_RESERVED, 16 * MIB, "Microsoft reserved partition"),
    PartitionSpec(partitions.TYPE_BASIC_DATA, None, "Basic data partition", attributes=1 << 60),
]


class Memory(BlockDevice):
    """A disk in memory."""

    read_only = False
    name = "the disk"

    def __init__(self, data):
        self.data = bytearray(data)
        self.size = len(data)

    def pread(self, count, offset):
        self.check_range(count, offset)
        return bytes(self.data[offset : offset + count])

    def pwrite(self, data, offset):
        self.check_range(len(data), offset)
        self.data[offset : offset + len(data)] = data


def gpt_disk(specs=None, size=SIZE):
    device = Memory(bytes(size))
    format_gpt(device, specs or SPECS, disk_guid=GUID)
    return device


def mbr_sector(*entries, signature=b"\x55\xaa"):
    rows = [
        struct.pack("<B3sB3sII", 0x80 if active else 0, bytes(3), kind, bytes(3), first, count)
        for active, kind, first, count in entries
    ]
    return (b"\xfa" * 440 + b"\x78\x56\x34\x12\0\0" + b"".join(rows).ljust(64, b"\0") + signature).ljust(512, b"\0")


def mbr_disk(*entries, sectors=32768, others=()):
    device = Memory(bytes(sectors * 512))
    device.pwrite(mbr_sector(*entries), 0)
    for lba, rows in others:
        device.pwrite(mbr_sector(*rows), lba * 512)
    return device


def read_with_sfdisk(device, path):
    """Return (number, offset, size, name) of each partition; fail if sfdisk reports an error."""
    sfdisk = shutil.which("sfdisk", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if sfdisk is None:
        pytest.fail("These tests need sfdisk; install the Debian package fdisk.")
    path.write_bytes(device.pread(device.size, 0))
    done = subprocess.run([sfdisk, "--json", str(path)], capture_output=True, text=True, check=True)
    assert "rror" not in done.stderr, done.stderr
    assert "PMBR" not in done.stderr, done.stderr
    verified = subprocess.run([sfdisk, "--verify", str(path)], capture_output=True, text=True, check=True)
    assert "No errors" in verified.stdout + verified.stderr, verified
    rows = json.loads(done.stdout)["partitiontable"]["partitions"]
    return [
        (int(row["node"].removeprefix(str(path))), row["start"] * 512, row["size"] * 512, row.get("name", ""))
        for row in rows
    ]


def test_new_gpt_is_read_by_sfdisk(tmp_path):
    device = gpt_disk()
    table = read_partitions(device)
    assert table.kind == "gpt"
    assert table.disk_id == GUID
    assert not table.primary_damaged
    assert not table.backup_damaged
    assert [(part.number, part.offset, part.size) for part in table.partitions] == [
        (1, MIB, 4 * MIB),
        (2, 5 * MIB, 16 * MIB),
        (3, 21 * MIB, 42 * MIB),
    ]
    assert [part.type for part in table.partitions] == [spec.type for spec in SPECS]
    assert read_with_sfdisk(device, tmp_path / "disk") == [
        (part.number, part.offset, part.size, part.name) for part in table.partitions
    ]
    assert device.data == gpt_disk().data
    assert table.partitions[1].window(device).size == 16 * MIB


def test_disk_with_4096_byte_sectors_is_not_supported():
    device = Memory(bytes(SIZE))
    device.pwrite(mbr_sector((False, 0xEE, 1, SIZE // 4096 - 1)), 0)
    for offset in (4096, SIZE - 4096):
        device.pwrite(b"EFI PART\0\0\1\0\x5c\0\0\0", offset)
    with pytest.raises(Unsupported) as caught:
        read_partitions(device)
    assert caught.value.code == "disk.partitions_sector_size"
    assert caught.value.hint


@pytest.mark.parametrize("sector", [1, 2])
def test_backup_gpt_is_used_when_the_primary_is_damaged(sector):
    device, expected = gpt_disk(), read_partitions(gpt_disk())
    device.data[sector * 512 + 60] ^= 1
    table = read_partitions(device)
    assert table.primary_damaged
    assert table.partitions == expected.partitions


@pytest.mark.parametrize("sector", [1, 10])
def test_damaged_backup_gpt_is_reported(sector):
    device = gpt_disk()
    device.data[SIZE - sector * 512] ^= 1
    table = read_partitions(device)
    assert table.backup_damaged
    assert not table.primary_damaged


def test_disk_with_two_damaged_gpts_is_rejected():
    device = gpt_disk()
    device.data[512] ^= 1
    device.data[SIZE - 512] ^= 1
    with pytest.raises(Corrupt) as caught:
        read_partitions(device)
    assert caught.value.code == "disk.partitions_corrupt"


def test_truncated_disk_is_rejected():
    for device in (Memory(gpt_disk().data[: 40 * MIB]), mbr_disk((True, 7, 2048, 40000))):
        with pytest.raises(Corrupt) as caught:
            read_partitions(device)
        assert caught.value.code == "disk.partitions_truncated"


def patched_gpt(header=(), entry=()):
    """Return a GPT disk with changed fields and valid checksums in both copies."""
    device = gpt_disk()
    for lba, entries in ((1, 2), (SIZE // 512 - 1, SIZE // 512 - 33)):
        for offset, value in entry:
            device.data[entries * 512 + offset : entries * 512 + offset + len(value)] = value
        head = bytearray(device.data[lba * 512 : lba * 512 + 92])
        head[88:92] = struct.pack("<I", zlib.crc32(device.data[entries * 512 : entries * 512 + 16384]))
        for offset, value in header:
            head[offset : offset + len(value)] = value
        head[16:20] = bytes(4)
        head[16:20] = struct.pack("<I", zlib.crc32(head))
        device.data[lba * 512 : lba * 512 + 92] = head
    return device


@pytest.mark.parametrize("header, entry", [
    ([(24, struct.pack("<Q", 7))], []), ([(32, struct.pack("<Q", 2**63))], []), ([(40, struct.pack("<Q", 5))], []), ([(48, struct.pack("<Q", 2**40))], []),
    ([(72, struct.pack("<Q", 2**63))], []), ([(72, struct.pack("<Q", 5000))], []), ([(80, struct.pack("<I", 2**31))], []), ([(80, bytes(4))], []),
    ([(84, struct.pack("<I", 100))], []), ([(84, struct.pack("<I", 2**31))], []), ([(12, struct.pack("<I", 4096))], []),
    ([], [(32, struct.pack("<Q", 1))]), ([], [(40, struct.pack("<Q", 2**63))]), ([], [(40, struct.pack("<Q", 5))]), ([], [(40, struct.pack("<Q", 20000))]),
])  # fmt: skip
def test_impossible_gpt_with_valid_checksums_is_rejected(header, entry):
    assert not read_partitions(patched_gpt()).primary_damaged
    with pytest.raises(Corrupt):
        read_partitions(patched_gpt(header, entry))


def test_last_gpt_partition_grows(tmp_path):
    path = tmp_path / "disk.raw"
    path.write_bytes(gpt_disk().data)
    with FileDevice(str(path)) as base, CopyOnWriteDevice(base, str(tmp_path), size=200 * MIB) as device:
        table = read_partitions(device)
        before = device.pread(21 * MIB, 0)
        grown = grow(device, table, table.partitions[2], 200 * MIB)
        assert grown == read_partitions(device)
        assert not grown.primary_damaged
        assert not grown.backup_damaged
        assert grown.partitions[:2] == table.partitions[:2]
        assert (grown.partitions[2].offset, grown.partitions[2].end) == (21 * MIB, 199 * MIB)
        assert grown.partitions[2].guid == table.partitions[2].guid
        assert read_with_sfdisk(device, tmp_path / "grown")[2][1:3] == (21 * MIB, 178 * MIB)
        assert not any(device.pread(512, SIZE - 512))
        assert struct.unpack("<I", device.pread(4, 446 + 12))[0] == 200 * MIB // 512 - 1
        assert device.pread(20 * MIB, MIB) == before[MIB:]
        assert device.pread(16, 512 * 2 + 2 * 128 + 48)[7] == 0x10


def test_growing_to_the_same_size_changes_nothing():
    device = gpt_disk()
    before = bytes(device.data)
    table = read_partitions(device)
    assert grow(device, table, table.partitions[2], SIZE) == table
    assert device.data == before


def test_growing_to_another_size_than_the_disk_is_an_internal_error():
    device = gpt_disk()
    table = read_partitions(device)
    with pytest.raises(InternalError) as caught:
        grow(device, table, table.partitions[2], SIZE + MIB)
    assert caught.value.code == "disk.partitions_size"


def test_growing_a_partition_of_another_disk_is_an_internal_error():
    device = gpt_disk()
    with pytest.raises(InternalError) as caught:
        grow(device, read_partitions(device), partitions.Partition(9, "", 0, 512), SIZE)
    assert caught.value.code == "disk.partitions_unknown"


def test_partition_before_another_partition_does_not_grow():
    device = gpt_disk()
    table = read_partitions(device)
    with pytest.raises(Unsupported) as caught:
        grow(device, table, table.partitions[0], SIZE)
    assert caught.value.code == "disk.partitions_not_last"
    assert "recovery" in caught.value.hint


def test_mbr_with_logical_partitions_is_read(tmp_path):
    device = mbr_disk(
        (True, 7, 2048, 4096), (False, 0x0F, 8192, 16384),
        others=[(8192, [(False, 7, 64, 1000), (False, 5, 4096, 2000)]), (12288, [(False, 7, 64, 1500)])],
    )  # fmt: skip
    table = read_partitions(device)
    assert table.kind == "mbr"
    assert table.disk_id == "12345678"
    expected = [(1, 7, 2048, 4096, True), (5, 7, 8256, 1000, False), (6, 7, 12352, 1500, False)]
    assert [
        (part.number, part.type, part.offset // 512, part.size // 512, part.active) for part in table.partitions
    ] == expected
    seen = {
        (offset // 512, size // 512) for _number, offset, size, _name in read_with_sfdisk(device, tmp_path / "disk")
    }
    assert {(row[2], row[3]) for row in expected} <= seen


@pytest.mark.parametrize("entries, others", [
    ([(False, 7, 0, 100)], []), ([(False, 7, 2048, 4096), (False, 7, 4000, 100)], []), ([(False, 5, 8192, 4096), (False, 15, 20000, 4096)], []),
    ([(False, 5, 8192, 4096)], []), ([(False, 5, 8192, 4096)], [(8192, [(False, 7, 64, 10), (False, 5, 0xFFFFFFFF, 1)])]),
    ([(False, 5, 8192, 4096)], [(8192, [(False, 7, 64, 5000)])]), ([(False, 5, 8192, 4096)], [(8192, [(False, 7, 0, 10)])]),
    ([(False, 5, 8192, 4096)], [(8192, [(False, 0, 0, 0), (False, 5, 100, 1)]), (8292, [(False, 7, 1, 1), (False, 5, 100, 1)])]),
    ([(False, 5, 8192, 4096)], [(8192 + step, [(False, 0, 0, 0), (False, 5, step + 1, 1)]) for step in range(200)]),
])  # fmt: skip
def test_inconsistent_mbr_is_rejected(entries, others):
    with pytest.raises(Corrupt) as caught:
        read_partitions(mbr_disk(*entries, others=others))
    assert caught.value.code == "disk.partitions_corrupt"


def test_last_primary_mbr_partition_grows():
    device = mbr_disk((False, 7, 2048, 2048), (True, 7, 4096, 4096))
    before = bytes(device.data)
    table = read_partitions(device)
    grown = grow(device, table, table.partitions[1], device.size)
    assert (grown.partitions[0], grown.partitions[1].offset, grown.partitions[1].end) == (
        table.partitions[0],
        4096 * 512,
        device.size,
    )
    assert device.data[:462] == before[:462]
    assert device.data[478:] == before[478:]


def test_mbr_partition_before_an_extended_partition_does_not_grow():
    device = mbr_disk((True, 7, 2048, 2048), (False, 5, 8192, 4096), others=[(8192, [])])
    table = read_partitions(device)
    with pytest.raises(Unsupported) as caught:
        grow(device, table, table.partitions[0], device.size)
    assert caught.value.code == "disk.partitions_logical"


class _Huge(BlockDevice):
    """A disk of 3 TiB that is empty except for the first sector."""

    name, size, read_only = "the disk", 3 << 40, False

    def pread(self, count, offset):
        return mbr_sector((True, 7, 2048, 4096))[offset : offset + count]


def test_mbr_partition_does_not_grow_beyond_two_tib():
    table = read_partitions(_Huge())
    with pytest.raises(Unsupported) as caught:
        grow(_Huge(), table, table.partitions[0], 3 << 40)
    assert caught.value.code == "disk.partitions_mbr_limit"


@pytest.mark.parametrize("start", [
    bytes(512), mbr_sector(), mbr_sector((True, 7, 2048, 4096), signature=b"\0\0"), (b"\xebR\x90NTFS    " + bytes(499))[:510] + b"\x55\xaa",
    (b"\xebX\x90-FVE-FS-" + bytes(499))[:510] + b"\x55\xaa",
])  # fmt: skip
def test_disk_without_a_table_is_not_supported(start):
    with pytest.raises(Unsupported) as caught:
        read_partitions(Memory(start + bytes(16 * MIB)))
    assert caught.value.code == "disk.partitions_none"


@pytest.mark.parametrize("size", [0, 512, 2047])
def test_tiny_disk_is_rejected(size):
    with pytest.raises(Corrupt) as caught:
        read_partitions(Memory(bytes(size)))
    assert caught.value.code == "disk.partitions_truncated"


GPT_BYTES = bytes(gpt_disk([PartitionSpec(partitions.TYPE_BASIC_DATA, MIB)], 4 * MIB).data)
LOGICAL = [(4096, [(False, 7, 64, 10), (False, 5, 1000, 9)]), (5096, [])]
MBR_BYTES = bytes(mbr_disk((True, 7, 2048, 1000), (False, 5, 4096, 4000), sectors=8192, others=LOGICAL).data)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.booleans())
def test_damaged_table_raises_only_our_errors(data, is_gpt):
    device = Memory(GPT_BYTES if is_gpt else MBR_BYTES)
    for _change in range(data.draw(st.integers(1, 3))):
        tail = device.size - 1536 if is_gpt else 4096 * 512 + 440
        offset = data.draw(st.integers(440, 1536) | st.integers(tail, tail + (1535 if is_gpt else 71)))
        value = data.draw(st.binary(min_size=1, max_size=8))[: device.size - offset]
        device.data[offset : offset + len(value)] = value
    if is_gpt and data.draw(st.booleans()):
        for lba in (1, device.size // 512 - 1):
            head = device.data[lba * 512 : lba * 512 + 92]
            head[16:20] = bytes(4)
            device.data[lba * 512 + 16 : lba * 512 + 20] = struct.pack("<I", zlib.crc32(head))
    try:
        table = read_partitions(device)
    except StrataError:
        return
    ends = 0
    for part in sorted(table.partitions, key=lambda part: part.offset):
        assert ends <= part.offset < part.end <= device.size
        ends = part.end
    if table.partitions:
        with only_our_errors():
            grow(device, table, max(table.partitions, key=lambda part: part.offset), device.size)
