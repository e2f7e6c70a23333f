# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lineage marker: its position, its content, and what it does not overwrite."""

from __future__ import annotations

import hashlib
import struct
import zlib

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import (
    TYPE_BASIC_DATA,
)
from ansible_collections.strata.layering.plugins.module_utils.images.stored.lineage_marker import (
    LineageMarker,
    read_marker,
    replace_marker,
    write_marker,
)
from ansible_collections.strata.layering.tests.support.gpt_disk import PartitionSpec, format_gpt

ONE, TWO, OS = ("sha256:" + letter * 64 for letter in "12a")


@pytest.fixture(name="disk")
def _disk(tmp_path):
    """A GPT disk whose first partition begins at 1 MiB."""
    path = str(tmp_path / "disk")
    with open(path, "wb") as out:
        out.truncate(8 << 20)
    with FileDevice(path, writable=True) as device:
        format_gpt(
            device, [PartitionSpec(TYPE_BASIC_DATA, None, "Windows")], disk_guid="6b1d5c1e-0f0a-4e57-9b7e-2f1c9a5d7e10"
        )
        yield device


def mbr(path, first):
    """An MBR disk whose partition begins at a sector."""
    with open(path, "wb") as out:
        out.truncate(4 << 20)
        out.write(
            bytes(440)
            + b"DISK\0\0"
            + struct.pack("<B3sB3sII", 0x80, b"\1\1\0", 7, b"\xfe\xff\xff", first, 4000)
            + bytes(48)
            + b"\x55\xaa"
        )
    return FileDevice(path, writable=True)


def test_written_marker_is_read_back(disk):
    assert read_marker(disk) is None
    write_marker(disk, ONE, OS)
    lineage = hashlib.sha256(f"{ONE}\n{OS}".encode()).hexdigest()
    assert read_marker(disk) == LineageMarker(ONE, lineage)
    sector = disk.pread(512, (1 << 20) - 512)
    assert sector[:20] == b"strata.layering\0\1\0\0\0"
    assert sector[20:52].hex() == "1" * 64
    assert sector[52:84].hex() == lineage
    assert struct.unpack_from("<I", sector, 84)[0] == zlib.crc32(sector[:84])
    assert not any(sector[88:])


def test_writing_marker_changes_only_its_sector(disk):
    before = disk.pread(disk.size, 0)
    write_marker(disk, ONE, OS)
    after = disk.pread(disk.size, 0)
    offset = (1 << 20) - 512
    assert before[:offset] == after[:offset]
    assert before[offset + 512 :] == after[offset + 512 :]


def test_lineage_contains_lineage_of_older_image(disk):
    write_marker(disk, ONE, OS)
    first = read_marker(disk)
    write_marker(disk, TWO, OS)
    assert read_marker(disk) == LineageMarker(TWO, hashlib.sha256(f"{TWO}\n{first.lineage}".encode()).hexdigest())


def test_replaced_marker_differs_from_every_image(disk):
    write_marker(disk, ONE, OS)
    first = read_marker(disk)
    replace_marker(disk)
    lineage = hashlib.sha256(f"OS layer\n{first.lineage}".encode()).hexdigest()
    assert read_marker(disk) == LineageMarker(ONE, lineage)
    write_marker(disk, TWO, OS)
    assert read_marker(disk) == LineageMarker(TWO, hashlib.sha256(f"{TWO}\n{lineage}".encode()).hexdigest())


def test_disk_without_marker_gets_none_by_replacing(disk):
    before = disk.pread(disk.size, 0)
    replace_marker(disk)
    assert disk.pread(disk.size, 0) == before


def test_sector_in_use_is_not_overwritten(disk):
    disk.pwrite(b"a boot manager", (1 << 20) - 512)
    write_marker(disk, ONE, OS)
    assert read_marker(disk) is None
    assert disk.pread(14, (1 << 20) - 512) == b"a boot manager"


def test_damaged_marker_is_ignored(disk):
    write_marker(disk, ONE, OS)
    disk.pwrite(b"?", (1 << 20) - 512 + 30)
    assert read_marker(disk) is None


@pytest.mark.parametrize(("first", "marked"), [(63, True), (2048, True), (2, True), (1, False)])
def test_marker_on_mbr_disk_needs_space_before_partition(tmp_path, first, marked):
    with mbr(str(tmp_path / "mbr"), first) as device:
        table = device.pread(512, 0)
        write_marker(device, ONE, OS)
        assert (read_marker(device) is not None) == marked
        assert device.pread(512, 0) == table
