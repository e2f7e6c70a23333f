# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a mounted volume that its inodes, streams and names share.

``volume.Volume`` adds mounting and paths. This module and ``inode`` refer to each other;
all other modules of the package depend on each other in one direction only.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import NoReturn

from ..common.arrays import U8
from ..common.errors import Corrupt, InternalError, NoSpace, NotFound, StrataError, Unsupported
from ..common.optional_imports import np
from . import attribute_records, binding, file_names
from .damage import CHKDSK_HINT, damaged
from .device_binding import DeviceBridge
from .inode import Inode


class MountedVolume:
    """A volume that libntfs-3g has mounted.

    ``cluster_size``, ``record_size`` (file records) and ``index_size`` (index blocks) are
    in bytes. ``version`` is (major, minor) and ``flags`` are those of $Volume.
    """

    def __init__(self, bridge: DeviceBridge, address: int, name: str, writable: bool) -> None:
        self.library = binding.library()
        self.name = name
        self.writable = writable
        self.address = address
        self.inodes = InodeTable(self)
        self._bridge = bridge
        self._fields = fields = binding.NtfsVolume.from_address(address)
        self._next_data: int | None = None
        self.security_by_id: dict[int, bytes] = {}
        self.id_by_security: dict[bytes, int] = {}
        self.cluster_size: int = fields.cluster_size
        self.cluster_count: int = fields.nr_clusters
        self.record_size: int = fields.mft_record_size
        self.index_size: int = fields.indx_record_size
        self.version = (fields.major_ver, fields.minor_ver)
        self.flags: int = fields.flags
        self._security = binding.SecurityContext(vol=address)
        self.security_context = ctypes.addressof(self._security)
        self._fold: dict[int, int] | None = None

    def fail(self, action: str, number: int | None = None) -> NoReturn:
        """Raise the exception of a device callback if there is one, else the StrataError for ``number`` (default: errno).

        ``action`` is what failed, such as "reading file record 5".
        """
        if number is None:
            number = ctypes.get_errno()
        raise self._bridge.take_error() or error_for(number, action, self.name)

    def raise_device_error(self) -> None:
        """Raise the exception of a device callback if there is one."""
        if error := self._bridge.take_error():
            raise error

    def upcase(self, name: str) -> str:
        """Return ``name`` in upper case by the $UpCase table of this volume, one UTF-16 unit at a time."""
        if name.isascii():
            return name.upper()
        if self._fold is None:
            length = self._fields.upcase_len
            table = memoryview(ctypes.string_at(self._fields.upcase, 2 * length)).cast("H")
            self._fold = {unit: table[unit] for unit in range(length) if table[unit] != unit}
        fold = self._fold
        if max(name) < "\U00010000":
            return name.translate(fold)
        units = memoryview(file_names.encode(name)).cast("H")
        return file_names.decode(b"".join(fold.get(unit, unit).to_bytes(2, "little") for unit in units))

    # -- allocation

    def prepare_allocation(self) -> None:
        """Have the library allocate the next clusters after the data that was written last, or in the widest gap.

        The library leaves 16 MiB free after each new file. Only the 64 KiB grains that changed
        are stored for an image: files next to each other change far fewer grains than scattered files.
        """
        if self._next_data is None:
            self._next_data = self._widest_gap()
        self._fields.data1_zone_pos = self._next_data

    def note_allocation(self, end: int) -> None:
        """Note the cluster after the data that was written last; directory indexes that grow are allocated there too."""
        if self._fields.mft_zone_end <= end < self.cluster_count:
            self._fields.data1_zone_pos = self._next_data = end

    def _widest_gap(self) -> int:
        """Return the first cluster of the longest free range after the zone of $MFT, in units of eight clusters."""
        first = (self._fields.mft_zone_end + 7) // 8
        taken = np.flatnonzero(self.allocated_clusters()[first:])
        edges = np.concatenate(([-1], taken, [max(self.cluster_count // 8 - first, 0)]))
        start = int(edges[int(np.argmax(np.diff(edges)))]) + 1
        return min(8 * (first + start), self.cluster_count - 1)

    def allocated_clusters(self) -> U8:
        """Return $Bitmap: bit n of byte n // 8, lowest first, is 1 if cluster n is in use; bits after the last cluster are 0."""
        size = (self.cluster_count + 7) // 8
        bitmap = np.empty(size, np.uint8)
        attribute = self._fields.lcnbmp_na
        if binding.NtfsAttribute.from_address(attribute).data_size < size:
            raise damaged(self.name, "$Bitmap covers only a part of the volume")
        done, step = 0, 4 << 20
        while done < size:
            count = min(step, size - done)
            if self.library.ntfs_attr_pread(attribute, done, count, bitmap.ctypes.data + done) != count:
                self.fail("reading $Bitmap")
            done += count
        if self.cluster_count % 8:
            bitmap[-1] &= (1 << self.cluster_count % 8) - 1
        return bitmap


class InodeTable:
    """The open inodes of a volume, by record number: libntfs-3g must never open the same inode twice."""

    def __init__(self, volume: MountedVolume) -> None:
        self._volume = volume
        self._inodes: dict[int, Inode] = {}

    def acquire(self, reference: int) -> Inode:
        """Return the inode of a file reference and count the use; sequence number 0 matches any sequence number.

        Raises:
            NotFound ntfs.no_record: the record is not in use.
            Corrupt ntfs.stale_reference: the record was reused for another file.
        """
        volume = self._volume
        number, sequence = reference & attribute_records.REFERENCE_MASK, reference >> 48
        inode = self._inodes.get(number)
        if inode is None:
            address = volume.library.ntfs_inode_open(volume.address, number)
            if not address:
                if ctypes.get_errno() == errno.ENOENT:
                    raise NotFound(
                        f"{volume.name} has no file with record number {number}.",
                        code="ntfs.no_record",
                        hint=CHKDSK_HINT,
                    )
                volume.fail(f"reading file record {number}")
            inode = self._inodes[number] = Inode(volume, address)
        else:
            inode.references += 1
        if sequence and inode.reference >> 48 != sequence:
            present = inode.reference >> 48
            inode.release()
            raise Corrupt(
                f"{volume.name} is damaged: it refers to file record {number} with sequence number {sequence}, "
                f"but the record was reused and has {present}.",
                code="ntfs.stale_reference",
                hint=CHKDSK_HINT,
            )
        return inode

    def adopt(self, address: int) -> Inode:
        """Add an inode that was just created."""
        inode = Inode(self._volume, address)
        self._inodes[inode.number] = inode
        return inode

    def forget(self, inode: Inode) -> None:
        """Remove a closed inode."""
        self._inodes.pop(inode.number, None)

    def close(self) -> Exception | None:
        """Close all inodes, directories last; return the first error."""
        failure: Exception | None = None
        for inode in sorted(self._inodes.values(), key=lambda inode: inode.is_directory):
            try:
                inode.close()
            except Exception as error:  # pylint: disable=broad-exception-caught
                failure = failure or error
        self._inodes.clear()
        return failure


def error_for(number: int, action: str, name: str = "The NTFS volume") -> StrataError:
    """Return the error for an errno; ``action`` is what failed, ``name`` the volume."""
    if number == errno.ENOSPC:
        return NoSpace(
            f"{name} is full: {action} failed.",
            code="ntfs.no_space",
            hint="Make the disk larger: set max_layer_size_gb of the OS layer, or disk_size_gb of the image template.",
        )
    if number == errno.EACCES:
        # libntfs-3g does not change data that is encrypted.
        return Unsupported(
            f"{name} has a file that is encrypted with EFS: {action} failed.",
            code="ntfs.encrypted",
            hint="Decrypt the file (cipher /d) before you export the VM.",
        )
    if number == errno.EROFS:
        return InternalError(f"{name} is read-only: {action} failed.", code="ntfs.read_only")
    reason = os.strerror(number) if number else "no reason given"
    return Corrupt(
        f"{name} is not usable: {action} failed ({reason}).", code="ntfs.failed", hint=CHKDSK_HINT, errno=number
    )
