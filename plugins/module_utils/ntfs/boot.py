# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot sectors: which file system is on a partition, and the geometry of an NTFS one.

Source: libntfs-3g's bootsect.c and layout.h; Microsoft, "BitLocker Drive Encryption" boot
sector signatures as documented by the libbde project.
"""

from __future__ import annotations

import dataclasses
import struct

from ..common.errors import Corrupt, Unsupported
from ..disk.block_device import BlockDevice

_BITLOCKER_TO_GO = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
#: NTFS numbers clusters with 32 bits on disk as Windows uses it.
MAXIMUM_CLUSTERS = 0xFFFFFFFF
MAXIMUM_CLUSTER_SIZE = 2 * 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Geometry:
    """Numbers of an NTFS boot sector; sizes in bytes, positions in clusters."""

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
        """Clusters of the volume; the backup boot sector stands behind them."""
        return self.sectors * self.sector_size // self.cluster_size


def recognise(device: BlockDevice) -> str | None:
    """Return "ntfs", "bitlocker", "refs", "exfat", "fat" or None for what ``device`` begins with."""
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


def _bad(device: BlockDevice, why: str) -> Corrupt:
    return Corrupt(
        f"The NTFS boot sector of {device.name} is damaged: {why}.",
        code="ntfs.boot_sector",
        hint="Run chkdsk on the machine that the disk comes from and export it again.",
    )


def _record_size(number: int, cluster_size: int) -> int:
    return number * cluster_size if number > 0 else 1 << min(-number, 31)


def read_geometry(device: BlockDevice) -> Geometry:
    """Return the geometry of the NTFS on ``device``; Unsupported when it is none, Corrupt when it cannot be true."""
    found = recognise(device)
    if found == "bitlocker":
        raise Unsupported(
            f"{device.name} is encrypted with BitLocker.",
            code="ntfs.bitlocker",
            hint="Turn BitLocker off in the OS machine (manage-bde -off), wait until it is fully decrypted, and export it again.",
        )
    if found != "ntfs":
        raise Unsupported(
            f"{device.name} holds {'no file system that is known' if found is None else found.upper()}, not NTFS.",
            code="ntfs.not_ntfs",
            hint="Export the machine whose Windows is on an NTFS volume.",
        )
    sector = device.pread(512, 0)
    sector_size, per_cluster = struct.unpack_from("<HB", sector, 11)
    sectors, mft, mirror, record, index, serial = struct.unpack_from("<QQQbxxxbxxxQ", sector, 40)
    if sector_size not in (256, 512, 1024, 2048, 4096):
        raise _bad(device, f"a sector of {sector_size} bytes")
    factor = per_cluster if per_cluster <= 0x80 else 1 << min(256 - per_cluster, 31)
    cluster_size = sector_size * factor
    if not factor or factor & (factor - 1) or cluster_size > MAXIMUM_CLUSTER_SIZE:
        raise _bad(device, f"a cluster of {cluster_size} bytes")
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
    if not 0 < sectors < 1 << 55 or not 0 < geometry.clusters <= MAXIMUM_CLUSTERS:
        raise _bad(device, f"{sectors} sectors")
    if sectors * sector_size > device.size:
        raise Corrupt(
            f"The NTFS volume on {device.name} has {sectors * sector_size} bytes but its partition only {device.size}.",
            code="ntfs.too_small",
            hint="The image is cut off or the partition table is wrong; export the disk again.",
        )
    if not 0 < mft < geometry.clusters or not 0 < mirror < geometry.clusters or mft == mirror:
        raise _bad(device, "the $MFT lies outside the volume")
    for size, what in ((geometry.record_size, "file record"), (geometry.index_size, "index block")):
        if not 512 <= size <= 65536 or size & (size - 1):
            raise _bad(device, f"a {what} of {size} bytes")
    return geometry
