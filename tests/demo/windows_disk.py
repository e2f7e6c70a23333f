# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader for the Windows volume of a published disk: dissect, which shares no code with the engine."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

from dissect.hypervisor.disk.vmdk import VMDK
from dissect.ntfs import NTFS
from dissect.ntfs.exceptions import FileNotFoundError as Missing
from dissect.regf import RegistryHive
from dissect.regf.exceptions import RegistryKeyNotFoundError, RegistryValueNotFoundError
from dissect.util.stream import RangeStream

_SECTOR = 512
_BASIC_DATA = bytes.fromhex("a2a0d0ebe5b9334487c068b6b72699c7")


@contextlib.contextmanager
def windows_volume(path: str) -> Iterator[NTFS]:
    """Open drive C of a stream-optimized VMDK with a GPT."""
    with open(path, "rb") as file:
        disk = VMDK(file)
        stream = disk.open() if hasattr(disk, "open") else disk
        stream.seek(2 * _SECTOR)
        table = stream.read(128 * 128)
        for offset in range(0, len(table), 128):
            if table[offset : offset + 16] == _BASIC_DATA:
                first, last = (int.from_bytes(table[offset + at : offset + at + 8], "little") for at in (32, 40))
                yield NTFS(RangeStream(stream, first * _SECTOR, (last - first + 1) * _SECTOR))
                return
    raise ValueError(f"{path} has no Windows partition")


def file_content(volume: NTFS, path: str) -> bytes | None:
    """Return the content of a file; None if it does not exist."""
    try:
        return volume.mft.get(path).open().read()
    except Missing:
        return None


def file_digest(volume: NTFS, path: str) -> str | None:
    """Return the SHA-256 of a file; None if it does not exist. Names are compared as Windows compares them."""
    try:
        stream = volume.mft.get(path).open()
    except Missing:
        return None
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def registry_value(volume: NTFS, hive: str, key: str, value: str) -> object:
    """Return the data of a value in a hive of Windows; None if it does not exist."""
    registry = RegistryHive(volume.mft.get(f"Windows/System32/config/{hive}").open())
    try:
        return registry.open(key).value(value).value
    except (RegistryKeyNotFoundError, RegistryValueNotFoundError):
        return None
