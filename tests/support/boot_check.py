# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the disk controllers from which the Windows installation on a disk can start; the simulator runs this program.

It shares no code with the engine: dissect reads the VMDK, the NTFS volume and the hive SYSTEM. The output is one line with
names of controllers, separated by spaces. The exit status is 3 if the disk has no Windows installation that can be read.

Sources of the rules: see tests/simulator/README.md, "Guests that do not boot".
"""

from __future__ import annotations

import pathlib
import struct
import sys
from collections.abc import Iterator
from typing import Any

from dissect.hypervisor.disk.vmdk import VMDK
from dissect.ntfs import NTFS
from dissect.regf import RegistryHive
from dissect.util.stream import RangeStream

NO_WINDOWS = 3
_SECTOR = 512
#: The driver of each controller. Windows 10 and later have no driver for LSI Logic Parallel and BusLogic.
_SERVICES = {"pvscsi": "pvscsi", "lsi_sas": "LSI_SAS", "nvme": "stornvme", "ahci": "storahci", "lsi_logic": "LSI_SCSI"}


def bootable(path: str) -> list[str] | None:
    """Return the controllers from which the Windows installation on a VMDK can start, None without an installation."""
    disk = VMDK(pathlib.Path(path))
    for offset, size in _partitions(disk):
        disk.seek(offset)
        if disk.read(_SECTOR)[3:11] == b"NTFS    ":
            volume = NTFS(RangeStream(disk, offset, size))
            try:
                hive = volume.mft.get("Windows/System32/config/SYSTEM").open()
            except FileNotFoundError:
                continue
            return _controllers(RegistryHive(hive), volume)
    return None


def _controllers(hive: Any, volume: Any) -> list[str]:
    number = hive.open("Select").value("Current").value
    services = {key.name.lower(): key for key in hive.open(f"ControlSet{number:03d}\\Services").subkeys()}
    return [
        controller
        for controller, name in _SERVICES.items()
        if name.lower() in services and _is_loaded(services[name.lower()], volume)
    ]


def _is_loaded(service: Any, volume: Any) -> bool:
    """Return whether the boot loader loads a driver: start type 0, no other type in StartOverride, and its file."""
    values = {value.name.lower(): value.value for value in service.values()}
    overrides = [
        value.value for key in service.subkeys() if key.name.lower() == "startoverride" for value in key.values()
    ]
    if values.get("start") != 0 or any(overrides) or "deleteflag" in values:
        return False
    image = str(values.get("imagepath") or f"System32\\drivers\\{service.name}.sys").strip("\0").replace("\\", "/")
    image = image.removeprefix("/SystemRoot/")
    try:
        volume.mft.get(f"Windows/{image}")
    except FileNotFoundError:
        return False
    return True


def _partitions(disk: Any) -> Iterator[tuple[int, int]]:
    """Yield offset and size in bytes of the partitions in the GPT, or in the MBR of a disk without GPT."""
    disk.seek(_SECTOR)
    header = disk.read(92)
    if header[:8] == b"EFI PART":
        (first,), (count, size) = struct.unpack_from("<Q", header, 72), struct.unpack_from("<II", header, 80)
        disk.seek(first * _SECTOR)
        table = disk.read(count * size)
        for position in range(0, count * size, size):
            start, end = struct.unpack_from("<QQ", table, position + 32)
            if start:
                yield start * _SECTOR, (end - start + 1) * _SECTOR
        return
    disk.seek(446)
    table = disk.read(64)
    for position in range(0, 64, 16):
        start, length = struct.unpack_from("<II", table, position + 8)
        if start:
            yield start * _SECTOR, length * _SECTOR


def main() -> int:
    """Check the disk that is named on the command line."""
    found = bootable(sys.argv[1])
    if found is None:
        return NO_WINDOWS
    sys.stdout.write(" ".join(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
