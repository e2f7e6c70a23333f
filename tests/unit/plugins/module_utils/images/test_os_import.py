# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import every kind of sample disk: it succeeds, or fails with a hint and leaves no files."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import uuid

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InvalidInput,
    NoSpace,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.disk import gpt
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.flat import open_disk
from ansible_collections.strata.layering.plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.images import os_import
from ansible_collections.strata.layering.plugins.module_utils.images.stored.os_disk import OsDisk
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.windows.installation import read_file
from ansible_collections.strata.layering.tests.sample import reread
from ansible_collections.strata.layering.tests.sample.cache import cached_disk
from ansible_collections.strata.layering.tests.sample.package import make_package
from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.support import wof
from ansible_collections.strata.layering.tests.support.expectations import raises
from ansible_collections.strata.layering.tests.support.ntfs_check import check
from ansible_collections.strata.layering.tests.support.transaction_logs import (
    stamped,
)


@pytest.fixture
def repository(tmp_path):
    return Repository.open(str(tmp_path / "repository"), create=True)


def store(repository, path, size_gb=1, **options):
    return os_import.store_disk(repository, lambda: open_disk(path), os.path.basename(path), size_gb, **options)


def blobs(repository):
    return repository.layout.blobs.digests(), os.listdir(os.path.join(repository.path, "tmp"))


def check_stored(repository, stored, manifest, tmp_path):
    """Check with other readers that the stored disk is intact and contains the files of the OS machine."""
    partition_facts = manifest.partition()
    disk = OsDisk("sha256:" + "0" * 64, stored.vmdk, stored.index)
    with disk.open(repository) as device:
        table = read_partitions(device)
        partition = next(entry for entry in table.partitions if entry.number == partition_facts["number"])
        window = partition.window(device)
        assert check(window, entries_follow=True) == []
        size = partition.size
        capacity = device.size
    raw, volume = str(tmp_path / "raw"), str(tmp_path / "volume")
    vmdk = repository.layout.blobs.path(stored.vmdk.digest)
    subprocess.run(["qemu-img", "check", "-f", "vmdk", vmdk], check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", vmdk, raw], check=True, capture_output=True)
    subprocess.run(
        [
            "dd",
            f"if={raw}",
            f"of={volume}",
            "bs=1M",
            f"skip={partition.offset}",
            f"count={size}",
            "iflag=skip_bytes,count_bytes",
            "conv=sparse",
        ],
        check=True,
        capture_output=True,
    )
    assert (
        b"processed successfully" in subprocess.run(["ntfsfix", "-n", volume], check=True, capture_output=True).stdout
    )
    assert reread.differences(manifest.files, reread.read_volume(raw, partition.offset, size)) == []
    return size, capacity


@pytest.mark.parametrize("variants", [(), ("mbr",), ("unprepared",)])
def test_valid_disk_is_stored_and_grown(repository, tmp_path, variants):
    path, manifest = cached_disk(Spec(variants=variants))
    stored = store(repository, path)
    size, capacity = check_stored(repository, stored, manifest, tmp_path)
    assert capacity == 1 << 30
    assert size > manifest.partition()["size"] + (500 << 20)
    facts = stored.examination.facts
    assert facts["firmware"] == ("bios" if variants == ("mbr",) else "efi")
    assert facts["disk"]["partition_table"] == ("mbr" if variants == ("mbr",) else "gpt")
    assert facts["disk"]["capacity"] == 1 << 30
    assert stored.data_bytes < 60 << 20
    assert os_import.examine(lambda: open_disk(path), "x", 1).facts["product_name"] == facts["product_name"]


def test_disk_that_compact_os_compressed_is_stored_with_the_same_facts(repository, tmp_path):
    path, _manifest = cached_disk(Spec())
    plain = os_import.examine(lambda: open_disk(path), "x", 1)
    with open_disk(path) as disk, CopyOnWriteDevice(disk, str(tmp_path)) as device:
        partition = os_import.find_windows(device)
        with Volume.mount(partition.window(device), writable=True) as volume:
            paths = wof.compact_windows(volume)
            assert {"Windows/System32/cmd.exe", "Users/Default/NTUSER.DAT"} <= set(paths)
        stored = os_import.store_disk(repository, lambda: contextlib.nullcontext(device), "x", 1)
        size = partition.size
    assert stored.examination.facts | {"disk": None} == plain.facts | {"disk": None}
    assert stored.examination.readiness == plain.readiness
    assert plain.facts["architecture"] == "x64"
    with OsDisk("sha256:" + "0" * 64, stored.vmdk, stored.index).open(repository) as device:
        window = os_import.find_windows(device).window(device)
        assert window.size > size
        assert check(window, entries_follow=True) == []
        with Volume.mount(window) as volume:
            for path in paths:
                assert read_file(volume, path, 1 << 30)[:4] in (b"MZ\x90\0", b"regf"), path


@pytest.mark.parametrize(
    ("variant", "code", "hint"),
    [
        ("hibernated", "ntfs.hibernated", "powercfg"),
        ("fast_startup", "ntfs.hibernated", "powercfg"),
        ("dirty", "ntfs.dirty", "chkdsk"),
        ("bitlocker", "images.os_bitlocker", "manage-bde"),
        ("no_ntfs", "images.os_no_ntfs", "NTFS"),
        ("no_windows", "images.os_no_windows", "Windows"),
        ("two_windows", "images.os_two_windows", "single"),
    ],
)
def test_unsupported_disk_is_refused_with_hint(repository, variant, code, hint):
    path, _manifest = cached_disk(Spec(variants=(variant,)))
    with pytest.raises(Unsupported) as caught:
        store(repository, path)
    assert caught.value.code == code
    assert hint in caught.value.hint
    assert blobs(repository) == ([], [])


@pytest.mark.parametrize("variants", [(), ("mbr",)])
def test_dynamic_disk_is_refused(tmp_path, variants):
    path, manifest = cached_disk(Spec(variants=variants))
    with open_disk(path) as disk, CopyOnWriteDevice(disk, str(tmp_path)) as device:
        number = manifest.partition()["number"]
        if variants:
            device.pwrite(b"\x42", 446 + 16 * (number - 1) + 4)
        else:
            table = gpt.read_header(device, 1)
            kind = uuid.UUID("af9b60a0-1431-4f62-bc68-3311714a69ad").bytes_le
            table.entries = table.entries[: 128 * (number - 1)] + kind + table.entries[128 * (number - 1) + 16 :]
            gpt.write_both(device, table)
        with raises(Unsupported, "images.os_dynamic_disk"):
            os_import.examine(lambda: device, "disk", 1)


@pytest.mark.parametrize("hive", ["SYSTEM", "SOFTWARE", "DEFAULT"])
def test_dirty_hive_without_log_is_refused(tmp_path, hive):
    path, _manifest = cached_disk(Spec())
    with open_disk(path) as disk, CopyOnWriteDevice(disk, str(tmp_path)) as device:
        with Volume.mount(os_import.find_windows(device).window(device), writable=True) as volume:
            with volume.find(f"Windows/System32/config/{hive}") as node, node.open_stream() as stream:
                stream.pwrite(stamped(node.read(), 8, 7), 0)
        with raises(Corrupt, "images.os_hive_log") as caught:
            os_import.examine(lambda: device, "disk", 1)
    assert caught.value.details["path"].endswith(f"/{hive}")


def test_windows_before_recovery_partition_cannot_grow(repository):
    path, _manifest = cached_disk(Spec(variants=("recovery",)))
    # Examining the disk finds it too, before hours are spent on copying.
    for work in (lambda: store(repository, path, 2), lambda: os_import.examine(lambda: open_disk(path), "x", 2)):
        with raises(Unsupported, "images.partitions_not_last") as caught:
            work()
        assert "reagentc" in caught.value.hint
        assert "0.5 GiB" in caught.value.hint
        assert blobs(repository) == ([], [])
    accepted = os_import.examine(lambda: open_disk(path), "x", 1)
    assert accepted.facts["disk"]["capacity"] == 512 << 20
    # An explicit size accepts that the disk cannot grow, so that readiness enforce imports it.
    assert {"recovery_partition": "pass"}.items() <= {
        finding["name"]: finding["result"] for finding in accepted.readiness
    }.items()
    path, _manifest = cached_disk(Spec(variants=("recovery",), virtual_size=1 << 30))
    assert os_import.examine(lambda: open_disk(path), "x", 1).facts["disk"]["capacity"] == 1 << 30


def test_windows_before_recovery_partition_without_size_keeps_the_disk(repository, tmp_path):
    path, manifest = cached_disk(Spec(variants=("recovery",)))
    planned = os_import.examine(lambda: open_disk(path), "x", None)
    stored = store(repository, path, None)
    size, capacity = check_stored(repository, stored, manifest, tmp_path)
    assert (size, capacity) == (manifest.partition()["size"], manifest.disk_size)
    for examination in (planned, stored.examination):
        assert (examination.facts["disk"]["capacity"], examination.size_gb) == (manifest.disk_size, 1)
        assert {"recovery_partition": "warn"}.items() <= {
            finding["name"]: finding["result"] for finding in examination.readiness
        }.items()


@pytest.mark.parametrize(("virtual_size", "size_gb"), [(0, 100), (101 << 30, 101)])
def test_disk_without_size_grows_to_the_default_or_keeps_a_larger_size(virtual_size, size_gb):
    path, _manifest = cached_disk(Spec(virtual_size=virtual_size))
    examination = os_import.examine(lambda: open_disk(path), "x", None)
    assert (examination.facts["disk"]["capacity"], examination.size_gb) == (size_gb << 30, size_gb)


def test_size_smaller_than_disk_is_refused(repository):
    path, _manifest = cached_disk(Spec(virtual_size=2 << 30))
    with pytest.raises(InvalidInput) as caught:
        store(repository, path)
    assert caught.value.code == "images.os_too_large"
    assert "2" in caught.value.hint
    assert blobs(repository) == ([], [])


@pytest.mark.parametrize("part", [0.02, 0.5, 0.97])
def test_truncated_vmdk_is_corrupt(repository, tmp_path, part):
    package = make_package(str(tmp_path / "package"), Spec())
    os.truncate(package.vmdk, int(os.stat(package.vmdk).st_size * part) // 512 * 512)
    with pytest.raises((Corrupt, Unsupported)) as caught:
        store(repository, package.vmdk)
    assert caught.value.hint
    assert blobs(repository) == ([], [])


def test_vmdk_and_raw_disk_give_same_index(repository, tmp_path):
    path, _manifest = cached_disk(Spec())
    package = make_package(str(tmp_path / "package"), Spec())
    assert store(repository, path).index == store(repository, package.vmdk).index


def test_killed_child_leaves_only_temporary_files(repository, tmp_path, monkeypatch):
    path, manifest = cached_disk(Spec())
    encode = os_import.encode

    def dies(*arguments, **options):
        def kill(*_arguments):
            os.kill(os.getpid(), signal.SIGKILL)

        return encode(*arguments, **dict(options, progress=kill))

    monkeypatch.setattr(os_import, "encode", dies)
    with raises(Corrupt, "common.child_crashed"):
        store(repository, path)
    found, temporary = blobs(repository)
    assert found == []
    assert len(temporary) == 1
    assert temporary[0].startswith(".strata-tmp-")
    monkeypatch.undo()
    check_stored(repository, store(repository, path), manifest, tmp_path)


@pytest.mark.parametrize("after", [0, 1000])
def test_full_disk_leaves_no_files(repository, monkeypatch, after):
    path, _manifest = cached_disk(Spec())
    blob_writer = repository.layout.blob_writer

    class Full:
        def __init__(self, writer):
            self.writer = writer

        def write(self, data):
            if self.writer.size >= after:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.writer.write(data)

        def __getattr__(self, name):
            return getattr(self.writer, name)

    class Writing:
        def __init__(self, kind):
            self.context = blob_writer(kind)

        def __enter__(self):
            return Full(self.context.__enter__())

        def __exit__(self, *exception):
            return self.context.__exit__(*exception)

    monkeypatch.setattr(repository.layout, "blob_writer", Writing)
    with pytest.raises(NoSpace) as caught:
        store(repository, path)
    assert caught.value.hint
    assert blobs(repository) == ([], [])
    monkeypatch.undo()
    store(repository, path)


def test_source_is_not_modified(repository):
    path, manifest = cached_disk(Spec())
    before = os.stat(path).st_mtime_ns
    store(repository, path)
    assert os.stat(path).st_mtime_ns == before
    with FileDevice(path) as device:
        assert device.size == manifest.disk_size
