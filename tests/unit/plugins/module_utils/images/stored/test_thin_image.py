# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin images: all formats of an export contain the same disk, and damage is reported before a file appears."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tarfile

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.atomic_files import TEMPORARY_PREFIX
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, MissingLibrary, NotFound
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_reader import StreamOptimizedDisk
from ansible_collections.strata.layering.plugins.module_utils.images import image_files as exporting
from ansible_collections.strata.layering.plugins.module_utils.images.image_files import export
from ansible_collections.strata.layering.plugins.module_utils.images.image_formats import FORMATS
from ansible_collections.strata.layering.plugins.module_utils.images.stored import thin_image
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.ovf.package import open_package
from ansible_collections.strata.layering.tests.support.layer_stacks import content
from ansible_collections.strata.layering.tests.support.tree_model import Item


def qemu(*arguments):
    done = subprocess.run(["qemu-img", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def stack():
    data = content(2, 900_000)
    return [
        [
            Item(Entry("new", "file", 0x20, 1, 2, 3, 4, size=len(data)), data),
            Item(Entry("\u00e9t\u00e9", "whiteout")),
            Item(Entry("kept", "whiteout")),
        ],
        [Item(Entry("a/file", "file", 0x20, 1, 2, 3, 4, size=5), b"other")],
    ]


def test_all_formats_contain_same_disk(small, stack, tmp_path):
    small.compose(stack[:1])
    image = small.compose(stack)
    assert image.config.statistics.incremental
    assert len(image.blobs) == 2
    for form in FORMATS:
        path = tmp_path / f"x.{form}"
        assert export(image, str(path), form, name="gold", firmware="efi") == path.stat().st_size
    assert export(image, str(tmp_path / "again.vmdk"), "vmdk", name="gold", firmware="efi")
    assert (tmp_path / "again.vmdk").read_bytes() == (tmp_path / "x.vmdk").read_bytes()
    qemu("check", "-f", "qcow2", tmp_path / "x.qcow2")
    qemu("check", "-f", "vmdk", tmp_path / "x.vmdk")
    qemu("compare", "-f", "raw", "-F", "vmdk", tmp_path / "x.raw", tmp_path / "x.vmdk")
    qemu("compare", "-f", "raw", "-F", "qcow2", tmp_path / "x.raw", tmp_path / "x.qcow2")
    for form, kind in (("vhd", "vpc"), ("vhd_fixed", "vpc"), ("vhdx", "vhdx")):
        qemu("compare", "-f", "raw", "-F", kind, tmp_path / "x.raw", tmp_path / f"x.{form}")
    length, chunks = image.stream()
    streamed = b"".join(bytes(chunk) for chunk in chunks)
    assert len(streamed) == length
    assert streamed == (tmp_path / "x.vmdk").read_bytes()
    with tarfile.open(tmp_path / "x.ova") as ova:
        assert ova.extractfile("gold-disk1.vmdk").read() == streamed
    package = open_package(str(tmp_path / "x.ova"))
    package.verify()
    with image.open_disk() as disk, open(tmp_path / "x.raw", "rb") as raw:
        assert disk.size == image.capacity == os.stat(tmp_path / "x.raw").st_size
        digest = hashlib.file_digest(raw, "sha256").digest()
        mine = hashlib.sha256()
        for offset in range(0, disk.size, 1 << 20):
            mine.update(disk.pread(1 << 20, offset))
        assert mine.digest() == digest
    small.judge(image, tmp_path)
    assert [name for name in os.listdir(tmp_path) if name.startswith(".strata-tmp-")] == []


def test_removed_data_is_zeros_in_image(small, stack):
    image = small.compose(stack)
    with image.open_disk() as disk, small.base.open(small.repository) as base:
        gone = [int(number) for number, size in zip(image.map.numbers, image.map.sizes) if not size]
        assert len(gone) > 20
        assert all(base.read_grain(number) for number in gone)
        for number in gone:
            assert disk.read_grain(number) is None
            assert not any(disk.pread(65536, number << 16))
        digests = image.grain_digests()
        numbers = digests.numbers
        assert not set(gone) & set(numbers.tolist())
        assert len(digests.digests) == len(numbers)
        assert all(
            any(start <= number << 16 < start + length for start, length in disk.data_extents())
            for number in numbers.tolist()
        )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("which", ["base", "grains"])
def test_damaged_blob_leaves_no_exported_file(small, stack, tmp_path, form, which):
    image = small.compose(stack)
    blob = small.base.vmdk if which == "base" else image.blobs[0]
    with open(small.repository.layout.blobs.path(blob.digest), "r+b") as stream:
        stream.seek(blob.size // 2)
        stream.write(bytes(range(1, 99)))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(Corrupt) as caught:
        export(thin_image.load(small.repository, image.content_digest), str(out / "x"), form, name="x", firmware="efi")
    assert caught.value.hint
    assert os.listdir(out) == []


@pytest.mark.parametrize("which", ["map", "config", "manifest", "index"])
def test_damaged_document_is_corrupt(small, stack, which):
    image = small.compose(stack)
    layout = small.repository.layout
    manifest = json.loads(layout.blobs.read(image.manifest, 1 << 20))
    digest = {
        "map": manifest["layers"][2]["digest"],
        "config": manifest["config"]["digest"],
        "manifest": image.manifest.digest,
        "index": small.base.index.digest,
    }
    path = layout.blobs.path(digest[which])
    data = bytearray(open(path, "rb").read())
    data[len(data) // 2] ^= 0x55
    with open(path, "wb") as stream:
        stream.write(data)
    with pytest.raises(Corrupt) as caught:
        thin_image.load(small.repository, image.content_digest)
    assert caught.value.hint


def test_missing_blob_is_not_found(small, stack, tmp_path):
    image = small.compose(stack)
    os.unlink(small.repository.layout.blobs.path(image.blobs[0].digest))
    with pytest.raises(NotFound):
        export(image, str(tmp_path / "x.raw"), "raw", name="x", firmware="efi")
    assert not (tmp_path / "x.raw").exists()


def test_failed_export_keeps_older_file(small, stack, tmp_path, monkeypatch):
    image = small.compose(stack)
    for form in FORMATS:
        path = tmp_path / f"kept.{form}"
        path.write_bytes(b"older")

        def stop(*_arguments):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            export(image, str(path), form, name="x", firmware="efi", progress=stop)
        assert path.read_bytes() == b"older"
    monkeypatch.setattr(exporting.shutil, "which", lambda _name: None)
    with pytest.raises(MissingLibrary) as caught:
        export(image, str(tmp_path / "x"), "qcow2", name="x", firmware="efi")
    assert caught.value.hint
    assert sorted(os.listdir(tmp_path)) == sorted([*(f"kept.{form}" for form in FORMATS), "repository"])


def test_load_of_missing_image_returns_none(small):
    assert thin_image.load(small.repository, "sha256:" + "1" * 64) is None
    assert thin_image.stored(small.repository) == []


def test_exported_vmdk_is_read_by_own_reader(small, stack, tmp_path):
    image = small.compose(stack)
    path = tmp_path / "x.vmdk"
    export(image, str(path), "vmdk", name="x", firmware="efi")
    with StreamOptimizedDisk(str(path)) as vmdk, image.open_disk() as disk:
        assert vmdk.size == disk.size
        for number in range(disk.grain_count):
            assert (vmdk.read_grain(number) or None) == disk.read_grain(number)


@pytest.mark.parametrize("form", FORMATS)
def test_leftovers_of_killed_export_are_removed(small, stack, tmp_path, form):
    image, folder = small.compose(stack), tmp_path / "out"
    folder.mkdir()
    path = str(folder / f"x.{form}")

    def killed(*unused):
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        export(image, path, form, name="gold", firmware="efi", progress=killed)
    os.waitpid(child, 0)
    [left] = os.listdir(folder)
    assert left.startswith(TEMPORARY_PREFIX)
    (folder / f"{TEMPORARY_PREFIX}of-another").write_bytes(b"half")
    export(image, path, form, name="gold", firmware="efi")
    assert left in os.listdir(folder), "another run may still write it"
    for name in os.listdir(folder):
        os.utime(folder / name, (1, 1))
    export(image, path, form, name="gold", firmware="efi")
    assert sorted(os.listdir(folder)) == [f"{TEMPORARY_PREFIX}of-another", f"x.{form}"]


@pytest.mark.parametrize("name", ["Office: 100%25 #1?", "\u4e07" * 100])
def test_ova_accepts_any_template_name(small, stack, tmp_path, name):
    export(small.compose(stack), str(tmp_path / "x.ova"), "ova", name=name, firmware="efi")
    package = open_package(str(tmp_path / "x.ova"))
    package.verify()
    [file] = package.descriptor.files
    assert package.descriptor.single_system().name == name
    assert not set(file.href) & set(":%#?")
    assert len(file.href.encode()) <= 255
