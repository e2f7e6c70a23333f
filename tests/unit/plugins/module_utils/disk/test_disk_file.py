# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VHD, VHDX and raw files: qemu-img and dissect read the disk from which they were written."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from dataclasses import dataclass, field

import numpy as np
import pytest
from dissect.hypervisor.disk.vhd import VHD
from dissect.hypervisor.disk.vhdx import VHDX

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.disk.disk_file import derived_guid, raw_file
from ansible_collections.strata.layering.plugins.module_utils.disk.vhd import (
    MAX_VHD,
    dynamic_vhd,
    fixed_vhd,
    geometry,
)
from ansible_collections.strata.layering.plugins.module_utils.disk.vhdx import crc32c, dynamic_vhdx

MIB, GRAIN = 1 << 20, 65536
IDENTITY = "sha256:" + "5a" * 32
#: Function, format in qemu-img.
LAYOUTS = {
    "raw": (lambda capacity, numbers, _identity: raw_file(capacity, numbers), "raw"),
    "vhd": (dynamic_vhd, "vpc"),
    "vhd_fixed": (fixed_vhd, "vpc"),
    "vhdx": (dynamic_vhdx, "vhdx"),
}


@dataclass
class Grains:
    """A disk of random grains; ``broken`` is the number of a grain that cannot be read."""

    size: int
    numbers: list[int]
    broken: int = -1
    read: set = field(default_factory=set)
    name: str = "grains"
    grain_size: int = GRAIN

    @property
    def grain_count(self):
        return -(-self.size // GRAIN)

    def read_grain(self, number):
        self.read.add(number)
        if number == self.broken:
            raise Corrupt("Broken.", code="disk.test")
        if number not in self.numbers:
            return None
        return random.Random(number).randbytes(min(GRAIN, self.size - number * GRAIN)).ljust(GRAIN, b"\0")

    def layout(self, form):
        return LAYOUTS[form][0](self.size, np.array(self.numbers, dtype=np.uint32), IDENTITY)

    def write_raw(self, path):
        with open(path, "wb") as out:
            out.truncate(self.size)
            for number in self.numbers:
                out.seek(number * GRAIN)
                out.write(self.read_grain(number)[: self.size - number * GRAIN])

    def store(self, form, path):
        with open(path, "w+b") as out:
            self.layout(form).store(self, out.fileno(), str(path))
        return path


def qemu(*arguments):
    done = subprocess.run(["qemu-img", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


DISKS = {
    "scattered": Grains(64 * MIB, sorted(random.Random(1).sample(range(1024), 200))),
    "empty": Grains(10 * MIB, []),
    "full": Grains(8 * MIB, list(range(128))),
    "short last grain": Grains(5 * MIB + 1536, [0, 3, 80]),
    "several tables": Grains(5 << 30, [0, 31, 32, 4096 * 16, 4096 * 16 + 1, 5 * 16384 - 1]),
}


@pytest.fixture(params=DISKS, name="grains")
def _grains(request):
    return DISKS[request.param]


@pytest.mark.parametrize("form", LAYOUTS)
def test_qemu_img_reads_same_disk(tmp_path, grains, form):
    grains.write_raw(tmp_path / "raw")
    path = grains.store(form, tmp_path / "disk")
    kind = LAYOUTS[form][1]
    assert f"({grains.size} bytes)" in qemu("info", "-f", kind, path)
    if grains.size < 1 << 30:
        qemu("compare", "-f", "raw", "-F", kind, tmp_path / "raw", path)
    else:
        # Comparing would read every block of a VHDX.
        for number in grains.numbers:
            qemu(
                "dd",
                "-f",
                kind,
                "-O",
                "raw",
                "bs=65536",
                f"skip={number}",
                f"count={number + 1}",
                f"if={path}",
                f"of={tmp_path}/x",
            )
            assert (tmp_path / "x").read_bytes() == grains.read_grain(number)
    if kind == "vhdx":
        qemu("check", "-f", kind, path)


@pytest.mark.parametrize(("form", "reader"), [("vhd", VHD), ("vhd_fixed", VHD), ("vhdx", VHDX)])
def test_dissect_reads_same_disk(tmp_path, grains, form, reader):
    with open(grains.store(form, tmp_path / "disk"), "rb") as stream:
        disk = reader(stream)
        assert disk.size == grains.size
        for number in {0, 1, *grains.numbers, *(number + 1 for number in grains.numbers)}:
            if number < grains.grain_count:
                disk.seek(number * GRAIN)
                expected = grains.read_grain(number) or bytes(GRAIN)
                assert disk.read(GRAIN) == expected[: grains.size - number * GRAIN]


@pytest.mark.parametrize("form", ["vhd", "vhdx", "vhd_fixed"])
def test_stream_has_same_bytes_as_file(tmp_path, form):
    grains = DISKS["scattered"]
    data = grains.store(form, tmp_path / "disk").read_bytes()
    layout = grains.layout(form)
    steps = []
    streamed = b"".join(layout.stream(grains, lambda *step: steps.append(step)))
    assert len(streamed) == layout.length
    assert streamed == data
    assert steps[-1] == ("write", layout.length, layout.length)
    assert all(len(chunk) <= MIB for chunk in layout.stream(grains))


@pytest.mark.parametrize("form", LAYOUTS)
def test_file_is_sparse_and_deterministic(tmp_path, form):
    grains = Grains(1 << 30, [5, 9000])
    first, second = grains.store(form, tmp_path / "first"), grains.store(form, tmp_path / "second")
    assert os.stat(first).st_blocks * 512 < MIB
    qemu("compare", "-f", "raw", "-F", "raw", first, second)
    assert grains.read == {5, 9000}


@pytest.mark.parametrize("form", LAYOUTS)
def test_damaged_grain_is_an_error(tmp_path, form):
    grains = Grains(64 * MIB, list(range(300)), broken=150)
    with pytest.raises(Corrupt) as stored:
        grains.store(form, tmp_path / "disk")
    assert stored.value.code == "disk.test"
    with pytest.raises(Corrupt) as streamed:
        list(grains.layout(form).stream(grains))
    assert streamed.value.code == "disk.test"


def test_vhd_checksums_and_alignment(tmp_path):
    data = DISKS["scattered"].store("vhd", tmp_path / "disk").read_bytes()
    footer, header = data[-512:], data[512:1536]
    assert data[:512] == footer
    for structure, offset in ((footer, 64), (header, 36)):
        expected = struct.unpack_from(">I", structure, offset)[0]
        zeroed = structure[:offset] + bytes(4) + structure[offset + 4 :]
        assert expected == ~sum(zeroed) & 0xFFFFFFFF
    entries = struct.unpack_from(">32I", data, 1536)
    used = [entry for entry in entries if entry != 0xFFFFFFFF]
    assert used
    assert all((entry * 512 + 512) % 4096 == 0 for entry in used)
    assert all(data[entry * 512 :][:512] == b"\xff" * 512 for entry in used)


def test_fixed_vhd_is_raw_disk_and_footer(tmp_path):
    grains = DISKS["scattered"]
    grains.write_raw(tmp_path / "raw")
    data = grains.store("vhd_fixed", tmp_path / "disk").read_bytes()
    assert data[:-512] == (tmp_path / "raw").read_bytes()
    assert data[-512:].startswith(b"conectix")


@pytest.mark.parametrize("layout", [dynamic_vhd, fixed_vhd])
def test_vhd_larger_than_limit_is_unsupported(layout):
    none = np.zeros(0, dtype=np.uint32)
    assert layout(MAX_VHD, none, IDENTITY).capacity == MAX_VHD
    with pytest.raises(Unsupported) as caught:
        layout(MAX_VHD + 512, none, IDENTITY)
    assert caught.value.code == "disk.vhd_capacity"
    assert caught.value.details["limit"] == MAX_VHD


@pytest.mark.parametrize("mebibytes", [1 << 20, (1 << 20) + 3])
def test_vhdx_of_large_disk_is_read(tmp_path, mebibytes):
    grains = Grains(mebibytes * MIB, [0, 999_999, mebibytes * 16 - 1])
    path = grains.store("vhdx", tmp_path / "disk")
    assert f"({grains.size} bytes)" in qemu("info", "-f", "vhdx", path)
    with open(path, "rb") as stream:
        disk = VHDX(stream)
        for number in grains.numbers:
            disk.seek(number * GRAIN)
            assert disk.read(GRAIN) == grains.read_grain(number)


@pytest.mark.parametrize(
    ("sectors", "expected"), [(20480, (301, 4, 17)), (1 << 23, (8322, 16, 63)), (1 << 30, (65535, 16, 255))]
)
def test_geometry_is_that_of_qemu(tmp_path, sectors, expected):
    assert geometry(sectors) == expected
    qemu("create", "-q", "-f", "vpc", "-o", "force_size=off", tmp_path / "disk", sectors * 512)
    with open(tmp_path / "disk", "rb") as stream:
        footer = stream.read(512)
    if sectors < 1 << 30:
        # qemu-img rounds the geometry up, so that it covers the disk.
        cylinders, heads, per_track = struct.unpack_from(">HBB", footer, 56)
        assert (heads, per_track) == expected[1:]
        assert cylinders - expected[0] in (0, 1)


def test_crc32c_has_the_published_values():
    # RFC 3720, B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


def test_derived_guid_depends_on_content_and_purpose():
    guids = {derived_guid(IDENTITY, "a"), derived_guid(IDENTITY, "b"), derived_guid("other", "a")}
    assert len(guids) == 3
    assert derived_guid(IDENTITY, "a") == derived_guid(IDENTITY, "a")
    assert {(guid.version, guid.variant) for guid in guids} == {(8, "specified in RFC 4122")}
