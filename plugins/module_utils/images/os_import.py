# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import the disk of an OS machine: examine it, grow it, and store it without free space."""

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
from ..windows.readiness import DiskFacts, check_readiness, find_boot_controllers
from ..winregistry.hive_names import HIVES
from .composing.free_grains import free_grains
from .stored.lineage_marker import replace_marker
from .stored.os_disk import INDEX_TYPE, VMDK_TYPE, stored_descriptor

_BOOT_TYPES = frozenset((partitions.TYPE_EFI_SYSTEM, partitions.TYPE_MICROSOFT_RESERVED))
_GIB = 1 << 30
#: The size of the disk of an OS layer without a size of its own.
DEFAULT_SIZE_GB = 100


@dataclass
class Examination:
    """The result of examining a disk.

    ``facts`` (JSON-compatible) describe Windows and the disk, ``readiness`` are the findings of the named checks.
    """

    facts: dict
    readiness: list[dict] = field(default_factory=list)

    @property
    def size_gb(self) -> int:
        """Return the size of the disk after the import in GiB, rounded up."""
        return int(-(-self.facts["disk"]["capacity"] // _GIB))


@dataclass
class StoredDisk:
    """A stored disk: its two blobs, the result of examining it, and the bytes of data that it contains."""

    vmdk: Descriptor
    index: Descriptor
    examination: Examination
    data_bytes: int


Opener = Callable[[], BlockDevice]


def examine(opener: Opener, name: str, size_gb: int | None) -> Examination:
    """Examine the disk that ``opener`` opens, called ``name``, without storing it. Raises like ``store_disk``."""
    return run_on_volume(_examine_only, opener, name, size_gb, subject=f"the disk {name}")


def store_disk(
    repository: Repository, opener: Opener, name: str, size_gb: int | None, *, progress: Progress = silent
) -> StoredDisk:
    """Store the Windows disk that ``opener`` opens, called ``name``, with its file system grown to ``size_gb`` GiB.

    If ``size_gb`` is None, the file system is grown to ``DEFAULT_SIZE_GB``. A larger disk, and a disk with a partition
    behind that of Windows, keeps its size then.

    Only blobs are written; the caller stores the references.

    Raises:
        Unsupported images.os_*: the disk does not contain exactly one unencrypted Windows on NTFS.
        Unsupported ntfs.hibernated, ntfs.dirty: Windows was not shut down completely.
        Unsupported images.partitions_not_last: a partition follows the Windows partition, which has to grow.
        Corrupt images.os_hive_log, ntfs.*, winregistry.*: the volume or a hive is damaged.
        InvalidInput images.os_too_large: the disk is larger than ``size_gb``.
        NoSpace: the disk of the repository is full.
    """
    return run_on_volume(_store, repository, opener, name, size_gb, subject=f"the disk {name}", progress=progress)


def _examine_only(opener: Opener, name: str, size_gb: int | None) -> Examination:
    with opener() as device:
        partition = find_windows(device)
        return _examine(device, partition, _final_size(device, partition, name, size_gb), size_gb is not None)


def _final_size(disk: BlockDevice, partition: partitions.Partition, name: str, size_gb: int | None) -> int:
    """Return the size in bytes that the disk will have.

    Windows Setup creates the recovery partition behind that of Windows. It is not moved to the end of a larger disk:
    ReAgent.xml names its offset, an MBR disk's boot store as well, and the next image with a different size would need
    the same again; a tool of Windows that would confirm the result does not run here.
    """
    behind = partitions.read_partitions(disk).partitions_after(partition)
    if size_gb is None:
        return disk.size if behind else max(disk.size, DEFAULT_SIZE_GB * _GIB)
    size = size_gb * _GIB
    if size < disk.size:
        raise InvalidInput(
            f"The disk {name} has {disk.size / _GIB:g} GiB, but the layer may have at most {size_gb} GiB.",
            code="images.os_too_large",
            hint=f"Set max_layer_size_gb to {-(-disk.size // _GIB)} or more.",
        )
    if behind and size_gb == -(-disk.size // _GIB):
        return disk.size  # Documents have this size rounded up.
    if behind:
        raise Unsupported(
            f"The Windows partition of {name} cannot grow to {size_gb} GiB: partition {behind[0].number} follows it.",
            code="images.partitions_not_last",
            hint=f"Omit max_layer_size_gb to keep the size of the disk, {disk.size / _GIB:g} GiB, or remove the recovery partition in "
            "the OS machine ('reagentc /disable', then delete it with diskpart) and export it again.",
        )
    return size


def _store(
    repository: Repository, opener: Opener, name: str, size_gb: int | None, *, progress: Progress = silent
) -> StoredDisk:
    with ExitStack() as stack:
        disk = stack.enter_context(opener())
        partition = find_windows(disk)
        size = _final_size(disk, partition, name, size_gb)
        examination = _examine(disk, partition, size, size_gb is not None)
        device = stack.enter_context(CopyOnWriteDevice(disk, os.path.join(repository.path, "tmp"), size=size))
        window = windows_partition(device, partition.number, size > disk.size)
        replace_marker(device)
        with Volume.mount(window) as volume:
            free = free_grains(
                volume.allocated_clusters(), volume.cluster_size, volume.cluster_count, window.offset, size
            )
        with repository.layout.blob_writer(VMDK_TYPE) as vmdk:
            index = encode(device, vmdk.write, keep=~free, progress=progress)
        stored = repository.layout.put_blob(index.to_bytes(), INDEX_TYPE)
        return StoredDisk(stored_descriptor(vmdk), stored, examination, int(len(index)) << 16)


def find_windows(device: BlockDevice) -> partitions.Partition:
    """Return the partition of the only Windows on a disk, whose volume is clean; raises like ``store_disk``."""
    table = partitions.read_partitions(device)
    if any(partition.type in partitions.TYPE_LDM for partition in table.partitions):
        # The end of the disk also describes its volumes, so that growing a volume would contradict that description.
        raise Unsupported(
            f"{device.name} is a dynamic disk.",
            code="images.os_dynamic_disk",
            hint="Install Windows on a basic disk, or convert the disk to a basic disk, and export the OS machine again.",
        )
    kinds = [
        (partition, boot.recognise(partition.window(device)))
        for partition in table.partitions
        if partition.type not in _BOOT_TYPES
    ]
    installations = [
        partition for partition, kind in kinds if kind == "ntfs" and _holds_windows(partition.window(device))
    ]
    if len(installations) > 1:
        numbers = " and ".join(str(partition.number) for partition in installations)
        raise Unsupported(
            f"{device.name} contains several Windows installations: on the partitions {numbers}.",
            code="images.os_two_windows",
            hint="Export an OS machine with a single Windows installation.",
        )
    if installations:
        volume_state.require_clean(installations[0].window(device))
        return installations[0]
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
            hint="Export an OS machine whose Windows is installed on NTFS.",
        )
    raise Unsupported(
        f"{device.name} does not contain Windows: no NTFS volume has the folder Windows\\System32\\config.",
        code="images.os_no_windows",
        hint="Export the OS machine with the disk from which Windows starts.",
    )


def _holds_windows(window: BlockDevice) -> bool:
    # A hibernated or dirty volume can be read; require_clean checks it afterwards.
    with Volume.mount(window) as volume:
        return is_windows(volume)


def _examine(device: BlockDevice, partition: partitions.Partition, final_size: int, size_is_set: bool) -> Examination:
    """Examine Windows on ``partition`` of a disk that will have ``final_size`` bytes; an option may set this size."""
    table = partitions.read_partitions(device)
    window = partition.window(device)
    with Volume.mount(window) as volume:
        windows = WindowsInstallation.open(volume)
        _require_whole_hives(windows)
        bitmap = volume.allocated_clusters()
        free = (volume.cluster_count - int(np.unpackbits(bitmap).sum())) * volume.cluster_size
        follows = bool(table.partitions_after(partition))
        if not follows:
            free += final_size - device.size
        disk = DiskFacts(free, _firmware(device, table), follows, size_is_set)
        facts = dict(
            windows.facts(),
            firmware=disk.firmware,
            boot_controllers=list(find_boot_controllers(windows)),
            disk={
                "partition_table": table.kind,
                "partition": partition.number,
                "cluster_size": volume.cluster_size,
                "free_bytes": free,
                "capacity": final_size,
            },
        )
        return Examination(facts, check_readiness(windows, disk))


def _require_whole_hives(windows: WindowsInstallation) -> None:
    """Refuse hives whose last changes are lost: the changes of layers would be merged into a state that never existed."""
    opened = {"SYSTEM": windows.system, "SOFTWARE": windows.software}
    for hive in HIVES.values():
        opened_hive = opened.get(hive.name) or find_hive(windows.volume, hive.path)
        if opened_hive is not None and opened_hive.dirty:
            raise Corrupt(
                f"The registry hive {hive.path} was not closed by Windows, and its transaction logs do not complete it.",
                code="images.os_hive_log",
                hint="Start the OS machine, shut Windows down, and export it again.",
                path=hive.path,
            )


def _firmware(device: BlockDevice, table: partitions.PartitionTable) -> str:
    """Return "efi" for a GPT disk with an EFI system partition, else "bios"."""
    has_esp = any(
        partition.type == partitions.TYPE_EFI_SYSTEM and boot.recognise(partition.window(device)) == "fat"
        for partition in table.partitions
    )
    return "efi" if table.kind == "gpt" and has_esp else "bios"
