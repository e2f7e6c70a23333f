# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FAT volumes that mkfs.vfat and mtools wrote, and damaged volumes."""

from __future__ import annotations

import random
import struct
import subprocess

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.fat import FatVolume
from ansible_collections.strata.layering.tests.support.expectations import raises

FILES = {
    "EFI/Microsoft/Boot/bootmgfw.efi": 90_000,
    "EFI/Microsoft/Boot/en-US/bootmgfw.efi.mui": 4_000,
    "EFI/Boot/bootx64.efi": 513,
    "EFI/A long name, with \u00e4 and more than thirteen characters.dat": 0,
    "UPPER.TXT": 1,
}


def content(path: str) -> bytes:
    return random.Random(path).randbytes(FILES[path])


def make(folder, bits: int, megabytes: int) -> str:
    """Format a volume and copy ``FILES`` to it with mtools."""
    image = str(folder / f"fat{bits}")
    subprocess.run(
        ["mkfs.vfat", "-C", "-F", str(bits), "-s", "1", image, str(megabytes << 10)], check=True, capture_output=True
    )
    environment = {"PATH": "/usr/bin:/bin", "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"}
    for path in FILES:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            target = "::/" + "/".join(parts[:depth])
            subprocess.run(["mmd", "-i", image, "-D", "s", target], env=environment, check=False, capture_output=True)
        source = folder / "source"
        source.write_bytes(content(path))
        subprocess.run(["mcopy", "-i", image, str(source), "::/" + path], env=environment, check=True)
    return image


@pytest.mark.parametrize(("bits", "megabytes"), [(12, 1), (16, 8), (32, 40)])
def test_fat_files_are_those_that_mtools_wrote(tmp_path, bits, megabytes):
    with FileDevice(make(tmp_path, bits, megabytes)) as device:
        volume = FatVolume(device)
        found = volume.files()
        assert {file.path for file in found.values()} == set(FILES)
        for path in FILES:
            assert b"".join(volume.read(found[path.upper()])) == content(path)
        assert all(file.modified >> 16 for file in found.values())


@pytest.fixture(name="small", scope="module")
def _small(tmp_path_factory):
    """The bytes of a FAT12 volume."""
    with open(make(tmp_path_factory.mktemp("small"), 12, 1), "rb") as stream:
        return stream.read()


def read_all(path) -> None:
    with FileDevice(str(path)) as device:
        volume = FatVolume(device)
        for file in volume.files().values():
            assert len(b"".join(volume.read(file))) == file.size


def test_fat_chain_to_a_cluster_that_does_not_exist_is_damage(small, tmp_path):
    """All clusters of the first table lead to cluster 1."""
    size, _per_cluster, reserved = struct.unpack_from("<HBH", small, 11)
    table = struct.unpack_from("<H", small, 22)[0] * size
    entry = b"\x01\x10\x00" * (table // 3 + 1)
    (tmp_path / "image").write_bytes(small[: reserved * size] + entry[:table] + small[reserved * size + table :])
    with raises(Corrupt, "disk.fat_damaged"):
        read_all(tmp_path / "image")


@pytest.mark.parametrize("data", [b"", bytes(4096), b"\xeb" + bytes(509) + b"\x55\xaa" + bytes(4096)])
def test_device_without_fat_is_not_supported(tmp_path, data):
    (tmp_path / "image").write_bytes(data)
    with raises(StrataError, "disk.not_fat"):
        read_all(tmp_path / "image")


def test_damaged_fat_raises_only_errors_of_the_collection(small, tmp_path):
    for seed in range(200):
        chance = random.Random(seed)
        damaged = bytearray(small)
        for _number in range(chance.choice((1, 5, 50))):
            damaged[chance.randrange(chance.choice((64, 512, 40_000)))] = chance.randrange(256)
        (tmp_path / "image").write_bytes(damaged)
        try:
            read_all(tmp_path / "image")
        except StrataError as error:
            assert error.code in ("disk.fat_damaged", "disk.not_fat")
