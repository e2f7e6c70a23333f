# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening disk images by content."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    StrataError,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.flat import FlatDisk, open_disk
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_reader import StreamOptimizedDisk


def descriptor_of(*extents):
    return "\n".join(("# Disk DescriptorFile", "version=1", "parentCID=ffffffff", 'createType="vmfs"', *extents, ""))


@pytest.fixture(name="extent")
def _extent(tmp_path):
    data = bytes(range(256)) * 16
    (tmp_path / "one-flat.vmdk").write_bytes(data)
    return data


def test_kind_is_recognised_by_content_not_name(tmp_path, vmdk_of, grain_of):
    (tmp_path / "name-does-not-matter.vmdk").write_bytes(bytes(4096))
    (tmp_path / "disk.img").write_bytes(vmdk_of(1 << 20, {0: grain_of(0)}))
    with open_disk(str(tmp_path / "name-does-not-matter.vmdk")) as disk:
        assert isinstance(disk, FileDevice)
        assert disk.read_only
    with open_disk(str(tmp_path / "disk.img")) as disk:
        assert isinstance(disk, StreamOptimizedDisk)
        assert disk.size == 1 << 20


def test_flat_disk_joins_its_extents(tmp_path, extent):
    path = tmp_path / "one.vmdk"
    path.write_text(descriptor_of('RW 4 VMFS "one-flat.vmdk"', "RW 2 ZERO", "RW 0 ZERO", 'RW 3 FLAT "one-flat.vmdk" 5'))
    expected = extent[:2048] + bytes(1024) + extent[2560:4096]
    with open_disk(str(path)) as disk:
        assert isinstance(disk, FlatDisk)
        assert disk.size == 9 * 512
        assert disk.pread(disk.size, 0) == expected
        for offset in range(0, 4608, 300):
            assert disk.pread(300, min(offset, 4308)) == expected[min(offset, 4308) :][:300]
        assert list(disk.data_extents()) == [(0, 2048), (3072, 4608)]
        with pytest.raises(Corrupt) as caught:
            disk.pread(1, 4608)
        assert caught.value.code == "disk.device_out_of_range"


def test_flat_disks_of_qemu_img_are_read(tmp_path, qemu_img, raw_of, grain_of):
    raw = raw_of(1 << 20, {1: grain_of(1), 7: grain_of(7)})
    (tmp_path / "disk.raw").write_bytes(raw)
    for kind in ("monolithicFlat", "twoGbMaxExtentFlat"):
        qemu_img("convert", "-O", "vmdk", "-o", f"subformat={kind}", tmp_path / "disk.raw", tmp_path / f"{kind}.vmdk")
        with open_disk(str(tmp_path / f"{kind}.vmdk")) as disk:
            assert disk.pread(disk.size, 0) == raw


@pytest.mark.parametrize(
    ("kind", "options", "code"),
    [
        ("vmdk", ["-o", "subformat=monolithicSparse"], "disk.vmdk_not_stream_optimized"),
        ("vmdk", ["-o", "subformat=twoGbMaxExtentSparse"], "disk.vmdk_extent_kind"),
        ("qcow2", [], "disk.kind"),
        ("vhdx", [], "disk.kind"),
    ],
)
def test_other_disks_of_qemu_img_are_not_supported(tmp_path, qemu_img, raw_of, grain_of, kind, options, code):
    (tmp_path / "disk.raw").write_bytes(raw_of(1 << 20, {1: grain_of(1), 7: grain_of(7)}))
    path = tmp_path / f"other.{kind}"
    qemu_img("convert", "-O", kind, *options, tmp_path / "disk.raw", path)
    with pytest.raises(Unsupported) as caught:
        open_disk(str(path))
    assert caught.value.code == code
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
def test_extent_outside_the_folder_is_rejected(tmp_path, name):
    folder = tmp_path / "disks"
    (folder / "sub").mkdir(parents=True)
    for parent in (tmp_path, folder, folder / "sub"):
        (parent / "one-flat.vmdk").write_bytes(bytes(512))
    os.symlink("../one-flat.vmdk", folder / "link")
    (folder / "one.vmdk").write_text(descriptor_of(f'RW 1 FLAT "{name}" 0'))
    with pytest.raises(StrataError) as caught:
        open_disk(str(folder / "one.vmdk"))
    assert caught.value.code == "disk.vmdk_extent_path"


def test_invalid_extent_is_rejected(tmp_path, extent):
    path = tmp_path / "one.vmdk"
    os.mkfifo(tmp_path / "pipe")
    for line, code in (
        ('RW 8 FLAT "gone.vmdk" 0', "disk.not_found"),
        ('RW 8 FLAT "one-flat.vmdk" 1', "disk.vmdk_truncated"),
        ('RW 9 VMFS "one-flat.vmdk"', "disk.vmdk_truncated"),
        ('RW 8 SESPARSE "one-flat.vmdk"', "disk.vmdk_extent_kind"),
        ('RW 8 FLAT "pipe"', "disk.kind"),
        ("", "disk.vmdk_corrupt"),
    ):
        path.write_text(descriptor_of(line))
        with pytest.raises(StrataError) as caught:
            open_disk(str(path))
        assert caught.value.code == code
    assert len(extent) == 4096


@pytest.mark.parametrize(("start", "kind"), [
    (b"\xbe\xba\xfe\xca\0\0\0\0\x01\0\0\0\x02\0\0\0", "SE-sparse VMDK"), (b"COWD\x01", "VMFS-sparse VMDK"), (b"QFI\xfb\0\0\0\3", "qcow2"),
])  # fmt: skip
def test_unsupported_kind_is_named(tmp_path, start, kind):
    (tmp_path / "disk.vmdk").write_bytes(start.ljust(8192, b"\0"))
    with pytest.raises(Unsupported) as caught:
        open_disk(str(tmp_path / "disk.vmdk"))
    assert caught.value.code == "disk.kind"
    assert caught.value.hint
    assert kind in caught.value.message


def test_file_that_is_not_a_disk_is_rejected(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "odd").write_bytes(bytes(513))
    expected = {"empty": "disk.truncated", "odd": "disk.truncated", "missing": "disk.not_found", ".": "disk.kind"}
    for name, code in expected.items():
        with pytest.raises(StrataError) as caught:
            open_disk(str(tmp_path / name))
        assert caught.value.code == code
