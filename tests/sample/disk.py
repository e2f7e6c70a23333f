# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A complete disk as Windows Setup partitions it, with file systems and, if requested, with a fault."""

from __future__ import annotations

import os
import struct
import subprocess
import uuid
from typing import BinaryIO

from ...plugins.module_utils.disk.block_device import FileDevice
from ...plugins.module_utils.winregistry.hive_writer import write_hive
from ..support.gpt_disk import PartitionSpec, format_gpt
from . import esp, fill, hives, ntfs_bytes, pe, system
from .plan import MIB, Expected, Item, Manifest, Spec, digest

_DISK_GUID = "6b1d5c1e-0f0a-4e57-9b7e-2f1c9a5d7e10"
_TYPES = {
    "esp": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
    "msr": "e3c9e316-0b5c-4db8-817d-f92df00215ae",
    "windows": "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
    "recovery": "de94bba4-06d1-4d40-a16a-bfd50179d6ac",
}
_NAMES = {
    "esp": "EFI system partition",
    "msr": "Microsoft reserved partition",
    "windows": "Basic data partition",
    "recovery": "Recovery",
}
_LABELS = {"windows": "Windows", "windows2": "Windows", "recovery": "Recovery", "reserved": "System Reserved"}
_HIDDEN_REQUIRED = 0x8000000000000001


def make_disk(path: str, spec: Spec) -> Manifest:
    """Generate the raw disk image ``path`` (sparse; replaced if it exists) and return its manifest.

    The same specification gives the same bytes, except for the registry of the wine prefix on a full disk.
    """
    with open(path, "wb") as stream:
        stream.truncate(spec.disk_size)
    partitions = _partition_mbr(path, spec) if "mbr" in spec.variants else _partition_gpt(path, spec)
    manifest = Manifest(spec, spec.disk_size, partitions, {})
    with system.planned(spec, _guid_of(manifest), os.path.dirname(os.path.abspath(path))) as plan:
        for partition in partitions:
            _fill_partition(path, partition, manifest, plan)
    return manifest


def _sizes(spec: Spec) -> dict[str, int]:
    return {
        "esp": 100 * MIB,
        "msr": 16 * MIB,
        "recovery": (650 if spec.size == "full" else 64) * MIB,
        "reserved": 50 * MIB,
    }


def _partition_gpt(path: str, spec: Spec) -> list[dict]:
    sizes = _sizes(spec)
    roles = ["esp", "msr", "windows"]
    roles += ["windows2"] if "two_windows" in spec.variants else []
    roles += ["recovery"] if "recovery" in spec.variants else []
    # 2 MiB cover the space before the first partition and the backup table behind the last.
    left = spec.disk_size - 2 * MIB - sum(sizes.get(role, 0) for role in roles)
    each = left // sum(role.startswith("windows") for role in roles) // MIB * MIB
    specs = []
    for role in roles:
        kind = "windows" if role == "windows2" else role
        size = None if role == roles[-1] else sizes.get(role, each)
        specs.append(
            PartitionSpec(_TYPES[kind], size, _NAMES[kind], attributes=_HIDDEN_REQUIRED if role == "recovery" else 0)
        )
    with FileDevice(path, writable=True) as device:
        table = format_gpt(device, specs, disk_guid=_DISK_GUID)
    return [
        {
            "role": role,
            "number": partition.number,
            "type": str(partition.type),
            "offset": partition.offset,
            "size": partition.size,
            "guid": partition.guid,
        }
        for role, partition in zip(roles, table.partitions)
    ]


def _partition_mbr(path: str, spec: Spec) -> list[dict]:
    roles = (
        ["reserved", "windows"]
        + (["windows2"] if "two_windows" in spec.variants else [])
        + (["recovery"] if "recovery" in spec.variants else [])
    )
    sizes = _sizes(spec)
    left = spec.disk_size - 2 * MIB - sum(sizes.get(role, 0) for role in roles)
    each = left // sum(role.startswith("windows") for role in roles) // MIB * MIB
    sector = bytearray(512)
    sector[0:4] = b"\x33\xc0\x8e\xd0"
    struct.pack_into("<I", sector, 440, 0x1A2B3C4D)
    sector[510:512] = b"\x55\xaa"
    partitions, offset = [], MIB
    for number, role in enumerate(roles, 1):
        size = sizes.get(role, each)
        kind = 0x27 if role == "recovery" else 0x07
        struct.pack_into(
            "<B3sB3sII",
            sector,
            446 + 16 * (number - 1),
            0x80 if role == "reserved" else 0,
            b"\xfe\xff\xff",
            kind,
            b"\xfe\xff\xff",
            offset // 512,
            size // 512,
        )
        partitions.append({"role": role, "number": number, "type": kind, "offset": offset, "size": size, "guid": ""})
        offset += size
    with open(path, "r+b") as stream:
        stream.write(sector)
    return partitions


def _guid_of(manifest: Manifest) -> bytes:
    guid = manifest.partition()["guid"]
    return uuid.UUID(guid).bytes_le if guid else b""


def _fill_partition(path: str, partition: dict, manifest: Manifest, plan: system.Plan) -> None:
    role, offset, size, variants = partition["role"], partition["offset"], partition["size"], manifest.spec.variants
    if role == "esp":
        files = _esp_files()
        esp.make_fat(path, offset, size, files)
        manifest.esp = {name: digest(data) for name, data in files.items()}
    elif role == "windows" and "bitlocker" in variants:
        with open(path, "r+b") as stream:
            ntfs_bytes.make_bitlocker(stream, offset, size)
    elif role == "windows" and "no_ntfs" in variants:
        esp.make_fat(path, offset, size, {"readme.txt": b"no Windows here\r\n"}, "DATA")
    elif role != "msr":
        items = {
            "windows": plan.windows,
            "windows2": plan.windows,
            "recovery": system.recovery,
            "reserved": system.reserved,
        }[role]()
        expected = make_ntfs(path, partition, items, _LABELS[role])
        if role == "windows":
            manifest.files = expected
            _apply_faults(path, offset, variants)


def _esp_files() -> dict[str, bytes]:
    return {
        "EFI/Microsoft/Boot/bootmgfw.efi": pe.make_pe("bootmgfw.efi", 90_000),
        "EFI/Microsoft/Boot/BCD": write_hive(hives.boot_store()),
        "EFI/Microsoft/Boot/en-US/bootmgfw.efi.mui": pe.make_pe("bootmgfw.efi.mui", 4_000),
        "EFI/Boot/bootx64.efi": pe.make_pe("bootmgfw.efi", 90_000),
    }


def make_ntfs(path: str, partition: dict, items: list[Item], label: str) -> dict[str, Expected]:
    """Format a partition of the image ``path`` with NTFS, write ``items`` to it, and return its content."""
    scratch = f"{path}.volume"
    offset, size = partition["offset"], partition["size"]
    try:
        with open(scratch, "wb") as stream:
            stream.truncate(size)
        command = [
            "mkntfs",
            "-F",
            "-Q",
            "-T",
            "-q",
            "-L",
            label,
            "-c",
            "4096",
            "-s",
            "512",
            "-p",
            str(offset // 512),
            "-H",
            "255",
            "-S",
            "63",
            scratch,
        ]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        subprocess.run(
            command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120
        )
        with open(scratch, "rb") as source, open(path, "r+b") as target:
            _copy_data(source, target, offset)
            ntfs_bytes.write_log(target, offset, 1, 1)
    finally:
        if os.path.exists(scratch):
            os.unlink(scratch)
    with FileDevice(path, writable=True) as device:
        return fill.fill_volume(device, offset, size, items)


def _copy_data(source: BinaryIO, target: BinaryIO, offset: int) -> None:
    """Copy the data of the sparse file ``source`` to ``target``, at ``offset`` bytes."""
    size, position = os.fstat(source.fileno()).st_size, 0
    while position < size:
        try:
            start = os.lseek(source.fileno(), position, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole is left
            return
        position = os.lseek(source.fileno(), start, os.SEEK_HOLE)
        for chunk in range(start, position, MIB):
            os.pwrite(target.fileno(), os.pread(source.fileno(), min(MIB, position - chunk), chunk), offset + chunk)


def _apply_faults(path: str, offset: int, variants: tuple[str, ...]) -> None:
    with open(path, "r+b") as stream:
        if "fast_startup" in variants:
            ntfs_bytes.write_log(stream, offset, 2, 0)
        if "dirty" in variants:
            ntfs_bytes.set_dirty(stream, offset)
