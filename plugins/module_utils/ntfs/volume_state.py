# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be known of a volume before it is mounted: was Windows shut down properly?

Sources: libntfs-3g's logfile.h and volume.c (restart pages, hibernation); the meaning of
restart page version 2.0, which fast startup leaves, from the same.
"""

from __future__ import annotations

import dataclasses
import struct

from ..common.errors import StrataError, Unsupported
from ..disk.block_device import BlockDevice
from . import attribute_records
from .raw_volume import LOG_FILE, MIRROR, VOLUME, RawVolume

_VOLUME_IS_DIRTY = 0x0001
_CLEAN_RESTART = 0x0002
_NO_CLIENT = 0xFFFF
_PAGES = (0, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """How a volume was left.

    ``hibernation`` is what hiberfil.sys begins with: "none" (no file, or unused),
    "hibernated" or "resumed". ``journal`` is $LogFile: "empty", "clean", "dirty",
    "fast_startup" or "damaged". ``mirror`` and ``backup_boot`` tell whether $MFTMirr and
    the backup boot sector agree with what they copy.
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
        """Whether the volume may be changed without losing what Windows has not written yet."""
        return (
            not self.dirty and self.hibernation != "hibernated" and self.journal in ("empty", "clean") and self.mirror
        )


def read_state(device: BlockDevice) -> State:
    """Return the state of the NTFS on ``device``, which is only read.

    Unsupported when there is no NTFS, Corrupt when it cannot be read.
    """
    volume = RawVolume(device)
    information = volume.read(VOLUME, attribute_records.VOLUME_INFORMATION, limit=4096)
    if len(information) < 12:
        raise attribute_records.damaged(volume.what, "$Volume does not say its version")
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
            attribute_records.unprotect(page, bytes(head[:4]), volume.what)
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
    # Windows keeps only the first four records in step whatever the mirror's size is.
    count = min(attribute.size // size, 4)
    try:
        for number in range(count):
            copy = bytearray(volume.read_runs(runs, number * size, size))
            attribute_records.unprotect(copy, b"FILE", volume.what)
            original = volume.record(number)
            used = struct.unpack_from("<I", original, 24)[0]
            # The update sequence is no part of the content.
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
    """Return the state; Unsupported with advice when the volume must not be changed as it is."""
    state = read_state(device)
    if state.hibernation == "hibernated" or state.journal == "fast_startup":
        raise Unsupported(
            f"Windows on {device.name} is hibernated or was shut down by fast startup.",
            code="ntfs.hibernated",
            hint="Start it, run 'powercfg /h off' and 'shutdown /s /t 0', and export it again.",
        )
    if state.dirty or state.journal in ("dirty", "damaged"):
        raise Unsupported(
            f"The NTFS volume on {device.name} was not shut down cleanly.",
            code="ntfs.dirty",
            hint="Start Windows, let it check the disk (chkdsk /f), shut it down properly and export it again.",
        )
    if not state.mirror:
        raise attribute_records.damaged(f"The NTFS volume on {device.name}", "$MFTMirr does not match $MFT")
    return state
