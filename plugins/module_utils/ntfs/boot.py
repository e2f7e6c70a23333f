# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot sectors: the kind of a file system, and the geometry of NTFS.

Source: libntfs-3g's bootsect.c and layout.h; Microsoft, "BitLocker Drive Encryption" boot
sector signatures as documented by the libbde project.
"""

from __future__ import annotations

import dataclasses
import struct

from ..common.errors import Corrupt, Unsupported
from ..disk.block_device import BlockDevice
from .damage import CHKDSK_HINT

_BITLOCKER_TO_GO = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
#: Windows numbers the clusters of NTFS with 32 bits.
MAXIMUM_CLUSTERS = 0xFFFFFFFF
MAXIMUM_CLUSTER_SIZE = 2 * 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Geometry:
    """The numbers of an NTFS boot sector; sizes in bytes, positions in clusters, ``sectors`` a count."""

    sector_size: int
    cluster_size: int
    sectors: int
    mft_cluster: int
    mirror_cluster: int
    record_size: int
    index_size: int
    serial: int

    @property
    def clusters(self) -> int:
        """The number of clusters of the volume; the backup boot sector follows them."""
        return self.sectors * self.sector_size // self.cluster_size


def recognise(device: BlockDevice) -> str | None:
    """Return "ntfs", "bitlocker", "refs", "exfat" or "fat" for the file system on ``device``, None for any other content."""
    if device.size < 512:
        return None
    sector = device.pread(512, 0)
    label = sector[3:11]
    if label == b"-FVE-FS-" or sector[424:440] == _BITLOCKER_TO_GO or sector[160:176] == _BITLOCKER_TO_GO:
        return "bitlocker"
    if label == b"NTFS    ":
        return "ntfs"
    if label == b"ReFS\0\0\0\0":
        return "refs"
    if label == b"EXFAT   ":
        return "exfat"
    if sector[510:512] == b"\x55\xaa" and (sector[54:59] in (b"FAT12", b"FAT16") or sector[82:87] == b"FAT32"):
        return "fat"
    return None


def _damaged(device: BlockDevice, cause: str) -> Corrupt:
    return Corrupt(
        f"The NTFS boot sector of {device.name} is damaged: {cause}.", code="ntfs.boot_sector", hint=CHKDSK_HINT
    )


def _record_size(number: int, cluster_size: int) -> int:
    return number * cluster_size if number > 0 else 1 << min(-number, 31)


def read_geometry(device: BlockDevice) -> Geometry:
    """Return the geometry of the NTFS volume on ``device``.

    Raises:
        Unsupported ntfs.bitlocker: the volume is encrypted.
        Unsupported ntfs.not_ntfs: the device holds another file system or none.
        Corrupt ntfs.boot_sector: a number in the boot sector is impossible.
        Corrupt ntfs.too_small: the device is smaller than the volume.
    """
    kind = recognise(device)
    if kind == "bitlocker":
        raise Unsupported(
            f"{device.name} is encrypted with BitLocker.",
            code="ntfs.bitlocker",
            hint="Turn BitLocker off in the OS machine (manage-bde -off), wait until the volume is fully decrypted, and export the VM again.",
        )
    if kind != "ntfs":
        raise Unsupported(
            f"{device.name} holds {'an unknown file system' if kind is None else kind.upper()}, not NTFS.",
            code="ntfs.not_ntfs",
            hint="Export a VM whose Windows installation is on an NTFS volume.",
        )
    sector = device.pread(512, 0)
    sector_size, per_cluster = struct.unpack_from("<HB", sector, 11)
    sectors, mft, mirror, record, index, serial = struct.unpack_from("<QQQbxxxbxxxQ", sector, 40)
    if sector_size not in (256, 512, 1024, 2048, 4096):
        raise _damaged(device, f"its sector size is {sector_size} bytes")
    factor = per_cluster if per_cluster <= 0x80 else 1 << min(256 - per_cluster, 31)
    cluster_size = sector_size * factor
    if not factor or factor & (factor - 1) or cluster_size > MAXIMUM_CLUSTER_SIZE:
        raise _damaged(device, f"its cluster size is {cluster_size} bytes")
    geometry = Geometry(
        sector_size,
        cluster_size,
        sectors,
        mft,
        mirror,
        _record_size(record, cluster_size),
        _record_size(index, cluster_size),
        serial,
    )
    _check_bounds(device, geometry)
    return geometry


def _check_bounds(device: BlockDevice, geometry: Geometry) -> None:
    """Raise Corrupt unless the numbers of a boot sector fit each other and the device."""
    sectors, sector_size, mft, mirror = (
        geometry.sectors,
        geometry.sector_size,
        geometry.mft_cluster,
        geometry.mirror_cluster,
    )
    if not 0 < sectors < 1 << 55 or not 0 < geometry.clusters <= MAXIMUM_CLUSTERS:
        raise _damaged(device, f"it gives the volume {sectors} sectors")
    if sectors * sector_size > device.size:
        raise Corrupt(
            f"The NTFS volume on {device.name} has {sectors * sector_size} bytes, but its partition has only {device.size} bytes.",
            code="ntfs.too_small",
            hint="The image is truncated or its partition table is wrong: export the disk again.",
        )
    if not 0 < mft < geometry.clusters or not 0 < mirror < geometry.clusters or mft == mirror:
        raise _damaged(device, "$MFT is outside the volume")
    for size, structure in ((geometry.record_size, "file records"), (geometry.index_size, "index blocks")):
        if not 512 <= size <= 65536 or size & (size - 1):
            raise _damaged(device, f"its {structure} have {size} bytes")
