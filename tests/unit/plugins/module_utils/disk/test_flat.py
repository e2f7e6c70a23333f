# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of opening disk images by content."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    NotFound,
    StrataError,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.flat import FlatDisk, open_disk
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_reader import StreamOptimizedDisk


def descriptor_of(*extents):
    return "\n".join(("# Disk DescriptorFile", "version=1", "parentCID=ffffffff", 'createType="vmfs"', *extents, ""))


@pytest.fixture(name="one")
def _one(tmp_path):
    data = bytes(range(256)) * 16
    (tmp_path / "one-flat.vmdk").write_bytes(data)
    return data


def test_raw_and_stream_optimized(tmp_path, vmdk_of, grain_of):
    (tmp_path / "name-does-not-matter.vmdk").write_bytes(bytes(4096))
    (tmp_path / "disk.img").write_bytes(vmdk_of(1 << 20, {0: grain_of(0)}))
    with open_disk(str(tmp_path / "name-does-not-matter.vmdk")) as disk:
        assert isinstance(disk, FileDevice) and disk.read_only
    with open_disk(str(tmp_path / "disk.img")) as disk:
        assert isinstance(disk, StreamOptimizedDisk) and disk.size == 1 << 20


def test_extents_follow_each_other(tmp_path, one):
    path = tmp_path / "one.vmdk"
    path.write_text(descriptor_of('RW 4 VMFS "one-flat.vmdk"', "RW 2 ZERO", "RW 0 ZERO", 'RW 3 FLAT "one-flat.vmdk" 5'))
    expected = one[:2048] + bytes(1024) + one[2560:4096]
    with open_disk(str(path)) as disk:
        assert isinstance(disk, FlatDisk) and disk.size == 9 * 512
        assert disk.pread(disk.size, 0) == expected
        for offset in range(0, 4608, 300):
            assert disk.pread(300, min(offset, 4308)) == expected[min(offset, 4308) :][:300]
        assert list(disk.data_extents()) == [(0, 2048), (3072, 4608)]
        with pytest.raises(Corrupt):
            disk.pread(1, 4608)


def test_what_qemu_img_makes(tmp_path, qemu_img, raw_of, grain_of):
    raw = raw_of(1 << 20, {1: grain_of(1), 7: grain_of(7)})
    (tmp_path / "disk.raw").write_bytes(raw)
    for kind in ("monolithicFlat", "twoGbMaxExtentFlat"):
        qemu_img("convert", "-O", "vmdk", "-o", f"subformat={kind}", tmp_path / "disk.raw", tmp_path / f"{kind}.vmdk")
        with open_disk(str(tmp_path / f"{kind}.vmdk")) as disk:
            assert disk.pread(disk.size, 0) == raw
    for kind, options in (
        ("vmdk", ["-o", "subformat=monolithicSparse"]),
        ("vmdk", ["-o", "subformat=twoGbMaxExtentSparse"]),
        ("qcow2", []),
        ("vhdx", []),
    ):
        path = tmp_path / f"other.{kind}"
        qemu_img("convert", "-O", kind, *options, tmp_path / "disk.raw", path)
        with pytest.raises(Unsupported) as caught:
            open_disk(str(path))
        assert caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "../one-flat.vmdk",
        "/etc/hostname",
        "..",
        ".",
        "",
        "sub/one-flat.vmdk",
        "..\\one-flat.vmdk",
        "a\0b",
        "link",
        "x" * 300,
    ],
)
def test_extents_stay_in_their_folder(tmp_path, name):
    folder = tmp_path / "disks"
    (folder / "sub").mkdir(parents=True)
    for place in (tmp_path, folder, folder / "sub"):
        (place / "one-flat.vmdk").write_bytes(bytes(512))
    os.symlink("../one-flat.vmdk", folder / "link")
    (folder / "one.vmdk").write_text(descriptor_of(f'RW 1 FLAT "{name}" 0'))
    with pytest.raises(StrataError):
        open_disk(str(folder / "one.vmdk"))


def test_extents_that_are_missing_short_or_of_another_kind(tmp_path, one):
    path = tmp_path / "one.vmdk"
    os.mkfifo(tmp_path / "pipe")
    for extent, error in (
        ('RW 8 FLAT "gone.vmdk" 0', NotFound),
        ('RW 8 FLAT "one-flat.vmdk" 1', Corrupt),
        ('RW 9 VMFS "one-flat.vmdk"', Corrupt),
        ('RW 8 SESPARSE "one-flat.vmdk"', Unsupported),
        ('RW 8 FLAT "pipe"', Unsupported),
        ("", Corrupt),
    ):
        path.write_text(descriptor_of(extent))
        with pytest.raises(error):
            open_disk(str(path))
    assert len(one) == 4096


@pytest.mark.parametrize(("start", "kind"), [
    (b"\xbe\xba\xfe\xca\0\0\0\0\x01\0\0\0\x02\0\0\0", "SE-sparse VMDK"), (b"COWD\x01", "VMFS-sparse VMDK"), (b"QFI\xfb\0\0\0\3", "qcow2"),
])  # fmt: skip
def test_kinds_that_are_not_read_are_named(tmp_path, start, kind):
    (tmp_path / "disk.vmdk").write_bytes(start.ljust(8192, b"\0"))
    with pytest.raises(Unsupported, match=kind) as caught:
        open_disk(str(tmp_path / "disk.vmdk"))
    assert caught.value.code == "disk.kind" and caught.value.hint


def test_files_that_are_no_disk(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "odd").write_bytes(bytes(513))
    for name, error in (("empty", Corrupt), ("odd", Corrupt), ("gone", NotFound), (".", Unsupported)):
        with pytest.raises(error):
            open_disk(str(tmp_path / name))
