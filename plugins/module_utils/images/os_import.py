# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Importing the disk of an OS machine: examine it, grow it, store it without what is free."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from ..common.errors import Corrupt, InvalidInput, Unsupported
from ..common.optional_imports import np
from ..common.progress import Progress, silent
from ..disk import partitions
from ..disk.block_device import BlockDevice
from ..disk.encode import encode
from ..disk.overlay import CopyOnWriteDevice
from ..ntfs import boot, volume_state
from ..ntfs.volume import Volume
from ..ntfs.volume_process import run_on_volume
from ..repository.blobs import Descriptor
from ..repository.repository import Repository
from ..windows.installation import WindowsInstallation, find_hive, is_windows
from ..windows.partition import windows_partition
from ..windows.readiness import DiskFacts, check_readiness
from ..winregistry.hive_names import HIVES
from .free_grains import free_grains
from .os_disk import INDEX_TYPE, VMDK_TYPE

_BOOT_TYPES = frozenset((partitions.TYPE_EFI_SYSTEM, partitions.TYPE_MICROSOFT_RESERVED))
_GIB = 1 << 30


@dataclass
class Examination:
    """What a disk turned out to be. ``facts`` (JSON-compatible) describe Windows and the disk,
    ``readiness`` are the findings of the named checks."""

    facts: dict
    readiness: list[dict] = field(default_factory=list)


@dataclass
class StoredDisk:
    """A disk that was stored: its two blobs, what was found on it, and the bytes of data it holds."""

    vmdk: Descriptor
    index: Descriptor
    examination: Examination
    data_bytes: int


Opener = Callable[[], BlockDevice]


def examine(opener: Opener, name: str, size_gb: int) -> Examination:
    """Examine the disk that ``opener`` opens, called ``name``, without storing it; raises as ``store_disk`` does."""
    return run_on_volume(_examine_only, opener, name, size_gb, subject=f"the disk {name}")


def store_disk(
    repository: Repository, opener: Opener, name: str, size_gb: int, *, progress: Progress = silent
) -> StoredDisk:
    """Store the Windows disk that ``opener`` opens, called ``name``, with its file system grown to ``size_gb`` GiB.

    Raises Unsupported when it is not a disk with exactly one cleanly shut down,
    unencrypted Windows on NTFS, Corrupt when it or a hive is damaged, InvalidInput when it is
    larger than ``size_gb``. Only blobs are written; naming them is the caller's.
    """
    return run_on_volume(_store, repository, opener, name, size_gb, subject=f"the disk {name}", progress=progress)


def _examine_only(opener: Opener, name: str, size_gb: int) -> Examination:
    with opener() as device:
        partition = find_windows(device)
        return _examine(device, partition, _final_size(device, partition, name, size_gb))


def _final_size(disk: BlockDevice, partition: partitions.Partition, name: str, size_gb: int) -> int:
    size = size_gb * _GIB
    if size < disk.size:
        raise InvalidInput(
            f"The disk {name} has {disk.size / _GIB:g} GiB, more than the {size_gb} GiB that the layer may have.",
            code="images.os_too_large",
            hint=f"Set max_layer_size_gb to {-(-disk.size // _GIB)} or more.",
        )
    behind = partitions.read_partitions(disk).behind(partition)
    if behind and size > disk.size:
        keep = (
            ""
            if disk.size % _GIB
            else f", or set max_layer_size_gb to {disk.size // _GIB}, which is the size that the disk has"
        )
        raise Unsupported(
            f"The Windows partition of {name} cannot grow to fill {size_gb} GiB, because it is followed by partition {behind[0].number}.",
            code="images.partitions_not_last",
            hint=f"Remove the recovery partition in the OS machine ('reagentc /disable', then delete it with diskpart) and export it again{keep}.",
        )
    return size


def _store(
    repository: Repository, opener: Opener, name: str, size_gb: int, *, progress: Progress = silent
) -> StoredDisk:
    with ExitStack() as stack:
        disk = stack.enter_context(opener())
        partition = find_windows(disk)
        size = _final_size(disk, partition, name, size_gb)
        examination = _examine(disk, partition, size)
        device = stack.enter_context(CopyOnWriteDevice(disk, os.path.join(repository.path, "tmp"), size=size))
        window = windows_partition(device, partition.number, size > disk.size)
        with Volume.mount(window) as volume:
            free = free_grains(
                volume.allocated_clusters(), volume.cluster_size, volume.cluster_count, window.offset, size
            )
        with repository.layout.blob_writer(VMDK_TYPE) as vmdk:
            index = encode(device, vmdk, keep=~free, progress=progress)
        stored = repository.layout.put_blob(index.to_bytes(), INDEX_TYPE)
        examination.facts["disk"].update(capacity=size)
        return StoredDisk(vmdk.descriptor, stored, examination, int(len(index)) << 16)


def find_windows(device: BlockDevice) -> partitions.Partition:
    """Return the partition of the one Windows on a disk, found sound enough to be changed."""
    table = partitions.read_partitions(device)
    if any(partition.type in partitions.TYPE_LDM for partition in table.partitions):
        # Its volumes are described at the end of the disk too, which growing one would contradict.
        raise Unsupported(
            f"{device.name} is a dynamic disk.",
            code="images.os_dynamic_disk",
            hint="Convert it to a basic disk, or install Windows on one, and export the machine again.",
        )
    kinds = [
        (partition, boot.recognise(partition.window(device)))
        for partition in table.partitions
        if partition.type not in _BOOT_TYPES
    ]
    found = [partition for partition, kind in kinds if kind == "ntfs" and _holds_windows(partition.window(device))]
    if len(found) > 1:
        numbers = " and ".join(str(partition.number) for partition in found)
        raise Unsupported(
            f"{device.name} holds more than one Windows (partitions {numbers}).",
            code="images.os_two_windows",
            hint="Export a machine with a single Windows.",
        )
    if found:
        volume_state.require_clean(found[0].window(device))
        return found[0]
    if any(kind == "bitlocker" for _partition, kind in kinds):
        raise Unsupported(
            f"{device.name} is encrypted with BitLocker.",
            code="images.os_bitlocker",
            hint="Decrypt it in the OS machine ('manage-bde -off C:'), wait until that has finished, shut down and export it again.",
        )
    if not any(kind == "ntfs" for _partition, kind in kinds):
        raise Unsupported(
            f"{device.name} has no NTFS volume.",
            code="images.os_no_ntfs",
            hint="Export a machine whose Windows is installed on NTFS.",
        )
    raise Unsupported(
        f"{device.name} holds no Windows: no NTFS volume has Windows\\System32\\config.",
        code="images.os_no_windows",
        hint="Export the machine in which Windows was prepared, with the disk it starts from.",
    )


def _holds_windows(window: BlockDevice) -> bool:
    # A hibernated or dirty volume can be read as well; require_clean judges it afterwards.
    with Volume.mount(window) as volume:
        return is_windows(volume)


def _examine(device: BlockDevice, partition: partitions.Partition, final_size: int) -> Examination:
    """Examine the Windows on ``partition`` of a disk that is going to have ``final_size`` bytes."""
    table = partitions.read_partitions(device)
    window = partition.window(device)
    with Volume.mount(window) as volume:
        windows = WindowsInstallation.open(volume)
        _require_whole_hives(windows)
        bitmap = volume.allocated_clusters()
        free = (volume.cluster_count - int(np.unpackbits(bitmap).sum())) * volume.cluster_size
        follows = bool(table.behind(partition))
        if not follows:
            free += final_size - device.size
        disk = DiskFacts(free, _firmware(device, table), follows)
        facts = dict(
            windows.facts(),
            firmware=disk.firmware,
            disk={
                "partition_table": table.kind,
                "partition": partition.number,
                "cluster_size": volume.cluster_size,
                "free_bytes": free,
            },
        )
        return Examination(facts, check_readiness(windows, disk))


def _require_whole_hives(windows: WindowsInstallation) -> None:
    """Refuse hives whose last changes are lost: layers' changes would be merged into something that Windows never had."""
    opened = {"SYSTEM": windows.system, "SOFTWARE": windows.software}
    for hive in HIVES.values():
        found = opened.get(hive.name) or find_hive(windows.volume, hive.path)
        if found is not None and found.dirty:
            raise Corrupt(
                f"The registry hive {hive.path} of the disk was not closed, and no transaction log completes it.",
                code="images.os_hive_log",
                hint="Start the OS machine, shut Windows down, and export it again.",
            )


def _firmware(device: BlockDevice, table: partitions.PartitionTable) -> str:
    """ "efi" for a GPT disk with an EFI system partition, else "bios"."""
    has_esp = any(
        partition.type == partitions.TYPE_EFI_SYSTEM and boot.recognise(partition.window(device)) == "fat"
        for partition in table.partitions
    )
    return "efi" if table.kind == "gpt" and has_esp else "bios"
