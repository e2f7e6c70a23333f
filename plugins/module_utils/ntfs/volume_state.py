# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a volume before it is mounted: whether Windows was shut down cleanly.

Sources: libntfs-3g's logfile.h and volume.c (restart pages, hibernation); the meaning of
restart page version 2.0, which fast startup leaves, from the same.
"""

from __future__ import annotations

import dataclasses
import struct

from ..common.errors import StrataError, Unsupported
from ..disk.block_device import BlockDevice
from . import attribute_records
from .damage import damaged
from .raw_volume import LOG_FILE, MIRROR, VOLUME, RawVolume

_VOLUME_IS_DIRTY = 0x0001
_CLEAN_RESTART = 0x0002
_NO_CLIENT = 0xFFFF
_PAGES = (0, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """The state in which Windows left a volume.

    ``hibernation`` is the state of hiberfil.sys: "none" (no file, or unused),
    "hibernated" or "resumed". ``journal`` is the state of $LogFile: "empty", "clean",
    "dirty", "fast_startup" or "damaged". ``mirror`` and ``backup_boot`` are true if
    $MFTMirr and the backup boot sector match their originals.
    """

    version: tuple[int, int]
    label: str
    flags: int
    dirty: bool
    hibernation: str
    journal: str
    mirror: bool
    backup_boot: bool

    @property
    def clean(self) -> bool:
        """Whether the volume can be changed without losing data that Windows has not written yet."""
        return (
            not self.dirty and self.hibernation != "hibernated" and self.journal in ("empty", "clean") and self.mirror
        )


def read_state(device: BlockDevice) -> State:
    """Return the state of the NTFS volume on ``device``, which is only read.

    Raises:
        Unsupported ntfs.bitlocker, ntfs.not_ntfs: there is no readable NTFS volume.
        Corrupt ntfs.boot_sector, ntfs.too_small, ntfs.damaged: the volume is damaged.
    """
    volume = RawVolume(device)
    information = volume.read(VOLUME, attribute_records.VOLUME_INFORMATION, limit=4096)
    if len(information) < 12:
        raise damaged(volume.subject, "$Volume has no version")
    major, minor, flags = struct.unpack_from("<BBH", information, 8)
    label = volume.find(VOLUME, attribute_records.VOLUME_NAME)
    text = (label[0].value or b"")[:1024] if label else b""
    return State(
        version=(major, minor),
        label=text[: len(text) & ~1].decode("utf-16-le", "replace"),
        flags=flags,
        dirty=bool(flags & _VOLUME_IS_DIRTY),
        hibernation=_hibernation(volume),
        journal=_journal(volume),
        mirror=_mirror(volume),
        backup_boot=_backup(volume),
    )


def _hibernation(volume: RawVolume) -> str:
    number = volume.root_reference("hiberfil.sys")
    if number is None or volume.find(number, attribute_records.DATA) is None:
        return "none"
    begin = volume.read(number, attribute_records.DATA, count=4).lower()
    if begin in (b"hibr", b"rstr"):
        return "hibernated"
    return "resumed" if begin == b"wake" else "none"


def _journal(volume: RawVolume) -> str:
    size = volume.attribute(LOG_FILE, attribute_records.DATA)[0].size
    newest, result = -1, ""
    for offset in _PAGES:
        if offset + 512 > size:
            break
        head = volume.read(LOG_FILE, attribute_records.DATA, offset=offset, count=512)
        if head[:4] not in (b"RSTR", b"CHKD"):
            continue
        page_size, _log_page, area, minor, major = struct.unpack_from("<IIHhh", head, 16)
        if not 512 <= page_size <= 65536 or page_size & (page_size - 1) or offset + page_size > size:
            continue
        page = bytearray(volume.read(LOG_FILE, attribute_records.DATA, offset=offset, count=page_size))
        try:
            attribute_records.unprotect(page, bytes(head[:4]), volume.subject)
        except StrataError:
            continue
        if (major, minor) == (2, 0):
            return "fast_startup"
        if area < 24 or area % 8 or area + 48 > page_size:
            continue
        current, _clients, _free, in_use, flags = struct.unpack_from("<QHHHH", page, area)
        lsn = max(current, struct.unpack_from("<Q", page, 8)[0])
        if lsn > newest:
            newest = lsn
            result = "clean" if in_use == _NO_CLIENT or flags & _CLEAN_RESTART else "dirty"
    if result:
        return result
    sample = volume.read(LOG_FILE, attribute_records.DATA, count=65536)
    return "empty" if not sample.strip(b"\xff") else "damaged"


def _mirror(volume: RawVolume) -> bool:
    size = volume.geometry.record_size
    attribute, runs = volume.attribute(MIRROR, attribute_records.DATA)
    # Windows updates only the first four records, independent of the size of the mirror.
    count = min(attribute.size // size, 4)
    try:
        for number in range(count):
            copy = bytearray(volume.read_runs(runs, number * size, size))
            attribute_records.unprotect(copy, b"FILE", volume.subject)
            original = volume.record(number)
            used = struct.unpack_from("<I", original, 24)[0]
            # The update sequence does not belong to the content.
            offset, length = struct.unpack_from("<HH", original, 4)
            for block in (copy, original):
                block[offset : offset + 2 * length] = bytes(2 * length)
            if copy[:used] != original[:used]:
                return False
    except StrataError:
        return False
    return count > 0


def _backup(volume: RawVolume) -> bool:
    offset = volume.geometry.sectors * volume.geometry.sector_size
    if offset + 512 > volume.device.size:
        return False
    return volume.device.pread(512, offset) == volume.device.pread(512, 0)


def require_clean(device: BlockDevice) -> State:
    """Return the state of a volume that can be changed.

    Raises:
        Unsupported ntfs.hibernated: Windows is hibernated or was shut down by fast startup.
        Unsupported ntfs.dirty: Windows was not shut down cleanly.
        Corrupt ntfs.damaged: $MFTMirr does not match $MFT; and the errors of ``read_state``.
    """
    state = read_state(device)
    if state.hibernation == "hibernated" or state.journal == "fast_startup":
        raise hibernated(device.name)
    if state.dirty or state.journal in ("dirty", "damaged"):
        raise dirty(device.name)
    if not state.mirror:
        raise damaged(f"The NTFS volume on {device.name}", "$MFTMirr does not match $MFT")
    return state


def hibernated(name: str) -> Unsupported:
    """Return the error for a volume whose Windows installation is hibernated."""
    return Unsupported(
        f"Windows on {name} is hibernated or was shut down by fast startup.",
        code="ntfs.hibernated",
        hint="Start Windows, run 'powercfg /h off' and 'shutdown /s /t 0', and export the VM again.",
    )


def dirty(name: str) -> Unsupported:
    """Return the error for a volume with changes that are not written."""
    return Unsupported(
        f"The NTFS volume on {name} was not shut down cleanly.",
        code="ntfs.dirty",
        hint="Start Windows, check the disk (chkdsk /f), shut Windows down cleanly and export the VM again.",
    )
