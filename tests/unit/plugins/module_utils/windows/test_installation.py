# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The architecture of a Windows installation, and files that CompactOS compressed."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Unsupported
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
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import encode_string
from ansible_collections.strata.layering.tests.support.captured import make_windows_disk
from ansible_collections.strata.layering.tests.support.volume_changes import put

#: WOF_EXTERNAL_INFO (version 1, provider 2, a file) and FILE_PROVIDER_EXTERNAL_INFO (version 1, XPRESS4K).
WOF = struct.pack("<IHHIIII", 0x80000017, 16, 0, 1, 2, 1, 0)
SYSTEM32 = "Windows/System32/"


def program(machine: int) -> bytes:
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine) + bytes(1000)


def compress(volume, path: str) -> None:
    """Store a file as CompactOS does."""
    put(volume, path, bytes(5000))
    with volume.find(path) as node:
        node.truncate(0)
        node.truncate(5000)
        node.write(b"compressed", 0, "WofCompressedData")
        node.set_reparse(WOF)


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
    ("plain", "compressed", "environment", "architecture"),
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
    volume, plain, compressed, environment, architecture
):
    for name, data in plain.items():
        put(volume, SYSTEM32 + name, data)
    for name in compressed:
        compress(volume, SYSTEM32 + name)
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


def test_compressed_hive_is_not_read_as_zeros(volume):
    path = "Users/Default/NTUSER.DAT"
    compress(volume, path)
    for read in (load_hive, find_hive, lambda *arguments: read_file(*arguments, 1 << 20)):
        with pytest.raises(Unsupported) as caught:
            read(volume, path)
        assert caught.value.code == "windows.compact_os"
        assert caught.value.details["path"] == path
        assert "C:\\Users\\Default\\NTUSER.DAT" in caught.value.hint
