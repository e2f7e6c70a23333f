# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of the test VM."""

from __future__ import annotations

import hashlib
import io
import subprocess
import zlib

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.selftest.image import PatternDisk, write_image

MIB = 1 << 20


def test_image_is_read_by_qemu_as_the_same_disk(tmp_path):
    path, raw = tmp_path / "disk.vmdk", tmp_path / "disk.raw"
    with path.open("w+b") as file:
        image = write_image(5 * MIB, file)
        assert b"".join(image.blocks()) == path.read_bytes()
    subprocess.run(["qemu-img", "convert", "-O", "raw", path, raw], check=True)
    disk = PatternDisk(5 * MIB)
    content = raw.read_bytes()
    assert len(content) == image.capacity == disk.size
    assert hashlib.sha256(content).digest() == hashlib.sha256(disk.pread(disk.size, 0)).digest()


def test_image_data_cannot_be_compressed():
    file = io.BytesIO()
    image = write_image(5 * MIB, file)
    assert image.length >= image.data >= 5 * MIB
    # The partition tables are smaller than the two grains in which they are.
    assert len(zlib.compress(file.getvalue())) > image.data - 2 * 65536


def test_image_content_depends_only_on_its_size():
    contents = [io.BytesIO() for _number in range(2)]
    for file in contents:
        write_image(3 * MIB, file)
    assert contents[0].getvalue() == contents[1].getvalue()


@pytest.mark.parametrize(("size", "capacity"), [(1, 256), (64 * MIB, 256), (65 * MIB, 260), (1000 * MIB, 4000)])
def test_image_disk_has_space_around_its_data(size, capacity):
    disk = PatternDisk(size)
    extents = list(disk.data_extents())
    assert disk.size == capacity * MIB
    assert sum(end - start for start, end in extents) >= size
    assert extents == sorted(extents)
    assert extents[-1][1] == disk.size


def test_image_has_nothing_to_boot():
    partitions = read_partitions(PatternDisk(2 * MIB))
    assert partitions.kind == "gpt"
    efi_system_partition = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
    assert efi_system_partition not in [partition.type for partition in partitions.partitions]
    # cli; hlt; jump back to hlt: firmware that starts the protective MBR halts the processor.
    assert PatternDisk(2 * MIB).pread(4, 0).hex() == "faf4ebfd"
