# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of boot settings and boot files are reported: a layer cannot carry them."""

from __future__ import annotations

import struct
import subprocess

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.boot_changes import compare_boot
from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.capture.disks import Packaged
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.windows.boot_store import changed_settings
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.sample import hives
from ansible_collections.strata.layering.tests.sample.disk import make_ntfs
from ansible_collections.strata.layering.tests.sample.tree import Tree
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    capture_change,
    left_out,
    make_windows_disk,
)
from ansible_collections.strata.layering.tests.support.volume_changes import put

LOADER = "Objects\\{5d1a4d9e-b3a1-11ee-9d3f-005056b2c4a1}"
BCD = "EFI/Microsoft/Boot/BCD"
MANAGER = "EFI/Microsoft/Boot/bootmgfw.efi"
STATUS = "EFI/Microsoft/Boot/bootstat.dat"


def store(change=None):
    hive = hives.boot_store()
    if change is not None:
        change(hive.root)
    return hive


def set_element(root, path: str, data: bytes) -> None:
    root.create(path).set_value("Element", 3, data)


def launch(root) -> None:
    set_element(root, f"{LOADER}\\Elements\\250000F0", struct.pack("<Q", 1))


def always_on(root) -> None:
    set_element(root, f"{LOADER}\\Elements\\25000020", struct.pack("<Q", 3))


def firmware(root) -> None:
    """The VM has other boot entries in its NVRAM, and Windows notes that it read them."""
    entry = "Objects\\{0c1b2a3d-0000-11ee-9d3f-005056b2c4a1}"
    root.create(f"{entry}\\Description").set_value("Type", 4, struct.pack("<I", 0x101FFFFF))
    set_element(root, f"{entry}\\Elements\\12000004", "EFI Network\0".encode("utf-16-le"))
    root.create("Description").set_value("FirmwareModified", 4, struct.pack("<I", 1))


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (None, []),
        (firmware, []),
        (launch, [f"BCD\\{LOADER}\\Elements\\250000F0 (hypervisorlaunchtype)"]),
        (always_on, [f"BCD\\{LOADER}\\Elements\\25000020 (nx)"]),
        (
            lambda root: root.key("Objects\\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\\Elements").delete("25000004"),
            ["BCD\\Objects\\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\\Elements\\25000004 ({bootmgr} timeout)"],
        ),
        (
            lambda root: set_element(root, f"{LOADER}\\Elements\\no number", b""),
            [f"BCD\\{LOADER}\\Elements\\no number"],
        ),
    ],
)
def test_changed_settings_are_named_by_key_and_by_bcdedit(change, settings):
    assert changed_settings(store(), store(change)) == settings


@pytest.fixture(name="efi", scope="module")
def _efi(tmp_path_factory):
    """A repository with an OS layer that has an EFI system partition, and a copy of the disk of its image."""
    folder = tmp_path_factory.mktemp("efi")
    files = {BCD: write_hive(store()), MANAGER: b"MZ manager", STATUS: b"started"}
    make_windows_disk(str(folder / "raw"), 128, esp_files=files)
    packaging = Packaging(str(folder), str(folder / "raw"))
    with packaging.changed(lambda volume: put(volume, "App/app.exe")) as device, open(folder / "copy", "wb") as out:
        for offset in range(0, device.size, 1 << 20):
            out.write(device.pread(min(1 << 20, device.size - offset), offset))
    return packaging, folder / "copy"


def captured(efi, folder, files: dict[str, bytes]):
    """Return the result of capturing the disk with other ``files`` in the EFI system partition."""
    packaging, copy = efi
    disk = folder / "disk"
    subprocess.run(["cp", "--sparse=always", copy, disk], check=True)
    with FileDevice(str(disk)) as device:
        offset = read_partitions(device).partitions[0].offset
    for path, data in files.items():
        (folder / "file").write_bytes(data)
        environment = {"PATH": "/usr/bin:/bin", "MTOOLS_SKIP_CHECK": "1"}
        target = ["-i", f"{disk}@@{offset}", str(folder / "file"), f"::/{path}"]
        subprocess.run(["mcopy", "-o", *target], env=environment, check=True)
    version = LayerVersion("app", "App", "1")
    return capture(packaging.repository, packaging.base_image, lambda: FileDevice(str(disk)), version)


def boot_hazards(result) -> list[str]:
    return [hazard["found"] for hazard in result.hazards if hazard["name"] == "boot_store"]


def test_capture_reports_boot_settings_and_files_of_an_efi_machine(efi, tmp_path):
    result = captured(efi, tmp_path, {BCD: write_hive(store(launch)), MANAGER: b"MZ updated", STATUS: b"again"})
    assert left_out(result, "key")["boot_store"] == [f"BCD\\{LOADER}\\Elements\\250000F0 (hypervisorlaunchtype)"]
    assert left_out(result, "file")["boot_store"] == [MANAGER]
    (found,) = boot_hazards(result)
    assert "hypervisorlaunchtype" in found and MANAGER in found


def test_capture_reports_nothing_for_boot_files_that_are_the_same(efi, tmp_path):
    hive = store(firmware)
    hive.root.last_written = 0
    result = captured(efi, tmp_path, {BCD: write_hive(hive), MANAGER: b"MZ manager", STATUS: b"again"})
    assert "boot_store" not in left_out(result, "key") | left_out(result, "file")
    assert not boot_hazards(result)


def test_capture_with_a_damaged_boot_partition_says_so(efi, tmp_path):
    (found,) = boot_hazards(captured(efi, tmp_path, {BCD: b"no hive"}))
    assert "BCD" in found


def test_capture_reports_boot_settings_of_a_bios_machine(tmp_path):
    make_windows_disk(str(tmp_path / "raw"), first_sector=2048)
    with FileDevice(str(tmp_path / "raw"), writable=True) as device:
        window = read_partitions(device).partitions[0].window(device)
        with Volume.mount(window, writable=True) as volume:
            put(volume, "bootmgr", b"manager")
            put(volume, "Boot/BCD", write_hive(store()))
            put(volume, "Boot/de-DE/bootmgr.exe.mui", b"texts")
    packaging = Packaging(str(tmp_path), str(tmp_path / "raw"))

    def change(volume):
        put(volume, "bootmgr", b"another manager")
        put(volume, "Boot/BCD", write_hive(store(always_on)))
        put(volume, "Boot/de-DE/bootmgr.exe.mui", b"texts")
        put(volume, "Boot/new.dat")

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {}
    assert left_out(result, "key")["boot_store"] == [f"BCD\\{LOADER}\\Elements\\25000020 (nx)"]
    assert left_out(result, "file")["boot_store"] == ["Boot/new.dat", "bootmgr"]


def make_reserved_disk(path, settings: bytes) -> FileDevice:
    """Return an MBR disk with the active partition "System Reserved" and a partition for Windows."""
    first, second, size = 2048, 40960, 38912
    entries = b"".join(
        struct.pack("<B3sB3sII", active, b"\1\1\0", 7, b"\xfe\xff\xff", start, size)
        for active, start in ((0x80, first), (0, second))
    )
    with open(path, "wb") as out:
        out.truncate((second + size + 2048) * 512)
        out.write(bytes(440) + b"DISK\0\0" + entries + bytes(32) + b"\x55\xaa")
    tree = Tree()
    tree.file("Boot/BCD", settings)
    tree.file("bootmgr", b"manager")
    make_ntfs(str(path), {"offset": first * 512, "size": size * 512}, tree.finish(), "Reserved")
    make_ntfs(str(path), {"offset": second * 512, "size": size * 512}, Tree().finish(), "Windows")
    return FileDevice(str(path))


def test_boot_settings_in_a_partition_of_their_own_are_compared(tmp_path):
    with (
        make_reserved_disk(tmp_path / "old", write_hive(store())) as original,
        make_reserved_disk(tmp_path / "new", write_hive(store(launch))) as disk,
    ):
        windows = read_partitions(disk).partitions[1]
        packaged = Packaged(windows.window(original), windows.window(disk), None, None, original, disk, windows)
        with Volume.mount(packaged.before) as old, Volume.mount(packaged.after) as new:
            changes = compare_boot(packaged, old, new)
    assert changes.settings == [f"BCD\\{LOADER}\\Elements\\250000F0 (hypervisorlaunchtype)"]
    assert (changes.files, changes.problem) == ([], "")
