# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The architecture of a Windows installation, and files that CompactOS compressed."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.windows.installation import (
    WindowsInstallation,
    find_hive,
    load_hive,
    read_file,
)
from ansible_collections.strata.layering.plugins.module_utils.windows.readiness import DiskFacts, check_readiness
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import encode_string
from ansible_collections.strata.layering.tests.support import wof
from ansible_collections.strata.layering.tests.support.captured import make_windows_disk
from ansible_collections.strata.layering.tests.support.registry_data import hive_content
from ansible_collections.strata.layering.tests.support.transaction_logs import entry, new_log, stamped
from ansible_collections.strata.layering.tests.support.volume_changes import put

SYSTEM32 = "Windows/System32/"


def program(machine: int) -> bytes:
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine) + bytes(1000)


def hide(volume, path: str, provider: int = 1) -> None:
    """Store a file so that its data cannot be read: with provider 1 (WIMBoot), it is in a WIM archive."""
    put(volume, path, bytes(5000))
    with volume.find(path) as node:
        node.set_reparse(wof.reparse_point(provider=provider))


@pytest.fixture(name="disk", scope="module")
def _disk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("installation")
    make_windows_disk(str(folder / "raw"))
    with FileDevice(str(folder / "raw")) as device:
        yield device, str(folder)


@pytest.fixture(name="volume")
def _volume(disk):
    """A writable copy of the volume."""
    with CopyOnWriteDevice(*disk) as changed:
        with Volume.mount(read_partitions(changed).partitions[1].window(changed), writable=True) as volume:
            yield volume


@pytest.mark.parametrize(
    ("plain", "hidden", "environment", "architecture"),
    [
        ({"cmd.exe": program(0x8664)}, [], None, "x64"),
        ({"cmd.exe": program(0xAA64)}, [], "AMD64", "arm64"),
        ({"cmd.exe": bytes(5000), "ntdll.dll": program(0x8664)}, [], None, "x64"),
        ({"cmd.exe": b"MZ", "kernel32.dll": program(0x14C)}, [], None, "x86"),
        ({"ntdll.dll": program(0x8664)}, ["cmd.exe"], None, "x64"),
        ({}, ["cmd.exe", "ntdll.dll", "kernel32.dll", "ntoskrnl.exe"], "AMD64", "x64"),
        ({}, ["cmd.exe"], "x86", "x86"),
        ({}, [], "ARM64", "arm64"),
        ({}, ["cmd.exe"], "unknown", None),
        ({}, ["cmd.exe"], None, None),
    ],
)
def test_architecture_is_read_from_a_readable_program_or_the_environment(
    volume, plain, hidden, environment, architecture
):
    for name, data in plain.items():
        put(volume, SYSTEM32 + name, data)
    for number, name in enumerate(hidden):
        hide(volume, SYSTEM32 + name, 1 + number % 2)
    windows = WindowsInstallation.open(volume)
    key = windows.control.create("Control\\Session Manager\\Environment")
    if environment is None:
        key.delete_value("PROCESSOR_ARCHITECTURE")
    else:
        key.set_value("PROCESSOR_ARCHITECTURE", 1, encode_string(environment))
    assert windows.facts()["architecture"] == architecture
    (finding,) = [
        finding
        for finding in check_readiness(windows, DiskFacts(20 << 30, "efi", False))
        if finding["name"] == "windows_version"
    ]
    assert finding["result"] == ("pass" if architecture == "x64" else "fail")
    assert ("PROCESSOR_ARCHITECTURE" in finding["action"]) == (architecture is None)


@pytest.mark.parametrize("algorithm", [wof.XPRESS4K, wof.XPRESS16K])
def test_architecture_is_read_from_a_compressed_program(volume, algorithm):
    put(volume, SYSTEM32 + "cmd.exe", program(0xAA64) * 20)
    wof.compact_path(volume, SYSTEM32 + "cmd.exe", algorithm)
    assert WindowsInstallation.open(volume).facts()["architecture"] == "arm64"


def test_compressed_hive_and_logs_are_read(volume):
    """The hive of a user who logged on, whose last writes are in its log, as Windows compresses it."""
    path = "Users/Default/NTUSER.DAT"
    plain = read_file(volume, path, 1 << 20)
    hive = read_hive(plain)
    hive.root.create("Software\\Written last")
    after = write_hive(hive)
    dirty = stamped(plain, 8, 7)
    put(volume, path, dirty)
    put(volume, path + ".LOG1", new_log(plain, 7, entry(7, plain, after)))
    changed = hive_content(load_hive(volume, path).root)
    assert "Software\\Written last" in changed
    for name in (path, path + ".LOG1"):
        wof.compact_path(volume, name)
    assert read_file(volume, path, 1 << 20) == dirty
    assert hive_content(load_hive(volume, path).root) == hive_content(find_hive(volume, path).root) == changed


def test_hive_that_is_not_stored_in_its_file_is_refused(volume):
    path = "Users/Default/NTUSER.DAT"
    hide(volume, path)
    for read in (load_hive, find_hive, lambda *arguments: read_file(*arguments, 1 << 20)):
        with pytest.raises(Unsupported) as caught:
            read(volume, path)
        assert caught.value.code == "windows.compact_os"
        assert caught.value.details["path"] == path
        assert "C:\\Users\\Default\\NTUSER.DAT" in caught.value.hint


def test_damaged_compressed_hive_is_refused(volume):
    path = "Users/Default/NTUSER.DAT"
    wof.compact_path(volume, path)
    with volume.find(path) as node:
        node.write(b"\xff" * 4, 0, "WofCompressedData")
    with pytest.raises(Corrupt) as caught:
        load_hive(volume, path)
    assert caught.value.code == "ntfs.compact_os_damaged"
