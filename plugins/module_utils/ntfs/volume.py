# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mounted NTFS volume.

libntfs-3g runs inside this process on a BlockDevice: no mount, no root, no FUSE. One
process may mount several volumes; a volume belongs to one thread. Untrusted volumes are
mounted inside ``volume_process.run_on_volume``, because a crash of the library ends its process.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import NoReturn

from ..common.errors import Corrupt, NoSpace, NotFound, Unsupported
from ..common.optional_imports import np
from ..disk.block_device import BlockDevice
from . import binding, boot, file_names, volume_state
from .device_binding import DeviceBridge
from .inode import Inode
from .node import Node

_ROOT = 5


class Volume:
    """An NTFS volume; use ``Volume.mount`` and close it, or use it as a context manager.

    ``cluster_size`` in bytes, ``cluster_count``, ``record_size`` in bytes, ``version``
    (major, minor), ``flags`` of $Volume, ``writable``.
    """

    def __init__(self, bridge: DeviceBridge, address: int, name: str, writable: bool) -> None:
        self.library = binding.library()
        self.name = name
        self.writable = writable
        self.address = address
        self._bridge = bridge
        self._fields = fields = binding.NtfsVolume.from_address(address)
        self._next_data: int | None = None
        self._inodes: dict[int, Inode] = {}
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

    @classmethod
    def mount(cls, device: BlockDevice, *, writable: bool = False) -> Volume:
        """Mount the NTFS on ``device``.

        Raises Unsupported for a volume that is not NTFS, encrypted, hibernated, or (for
        writing) not shut down cleanly; Corrupt for a damaged one.
        """
        boot.read_geometry(device)
        if writable and device.read_only:
            raise _error(errno.EROFS, "mounting it for writing", device.name)
        if writable:
            volume_state.require_clean(device)
        library = binding.library()
        bridge = DeviceBridge(device)
        ctypes.set_errno(0)
        address = library.ntfs_device_mount(
            bridge.address, 0 if writable else binding.MOUNT_READ_ONLY | binding.MOUNT_FORENSIC
        )
        if not address:
            number = ctypes.get_errno()
            bridge.release()
            raise bridge.take_error() or _mount_error(number, device.name)
        volume = cls(bridge, address, device.name, writable)
        try:
            if volume.version[0] < 3:
                raise Unsupported(
                    f"{device.name} is NTFS {volume.version[0]}.{volume.version[1]}; version 3.1 is needed.",
                    code="ntfs.version",
                    hint="Use a volume that Windows XP or newer has formatted.",
                )
            if (
                library.ntfs_set_ignore_case(address)
                or library.ntfs_open_secure(address)
                or not volume._fields.secure_ni
            ):
                volume.fail("reading $UpCase and $Secure")
            volume._fields.state |= binding.VOLUME_COMPRESSION
        except BaseException:
            volume._abandon()
            raise
        return volume

    def __enter__(self) -> Volume:
        return self

    def __exit__(self, kind, *_exception: object) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    def close(self) -> None:
        """Write everything and unmount; the first error is raised after all inodes are closed."""
        if not self.address:
            return
        trouble: BaseException | None = None
        for inode in sorted(self._inodes.values(), key=lambda inode: inode.is_directory):
            try:
                inode.close()
            except Exception as error:  # pylint: disable=broad-exception-caught
                trouble = trouble or error
        self._inodes.clear()
        address, self.address = self.address, 0
        ctypes.set_errno(0)
        failed = self.library.ntfs_umount(address, 0)
        number = ctypes.get_errno()
        self._bridge.forget()
        trouble = self._bridge.take_error() or trouble
        if trouble:
            raise trouble
        if failed:
            raise _error(number, f"unmounting {self.name}")

    def _abandon(self) -> None:
        # Another exception is on its way, and the device's content is of no use any more.
        try:
            self.close()
        except Exception:  # pylint: disable=broad-exception-caught
            self.address = 0

    def fail(self, doing: str, number: int | None = None) -> NoReturn:
        """Raise what a device callback kept, else the family's error for errno."""
        if number is None:
            number = ctypes.get_errno()
        raise self._bridge.take_error() or _error(number, doing, self.name)

    def check(self) -> None:
        """Raise what a device callback kept although the library went on."""
        if self._bridge.error is not None:
            raise self._bridge.take_error()

    # -- the register of open inodes

    def acquire(self, reference: int) -> Inode:
        """Return the inode of a file reference with one more reference to it; sequence number 0 matches any."""
        number, sequence = reference & 0xFFFFFFFFFFFF, reference >> 48
        inode = self._inodes.get(number)
        if inode is None:
            address = self.library.ntfs_inode_open(self.address, number)
            if not address:
                if ctypes.get_errno() == errno.ENOENT:
                    raise NotFound(f"{self.name} has no file with record number {number}.", code="ntfs.no_record")
                self.fail(f"reading file record {number}")
            inode = self._inodes[number] = Inode(self, address)
        else:
            inode.references += 1
        if sequence and inode.reference >> 48 != sequence:
            inode.release()
            raise Corrupt(
                f"{self.name} refers to file record {number} as it was before it was reused.",
                code="ntfs.stale_reference",
                hint="Run chkdsk on the machine that the disk comes from and export it again.",
            )
        return inode

    def adopt(self, address: int) -> Inode:
        """Register an inode that was just created."""
        inode = Inode(self, address)
        self._inodes[inode.number] = inode
        return inode

    def forget(self, inode: Inode) -> None:
        """Take a closed inode out of the register."""
        self._inodes.pop(inode.number, None)

    # -- names

    def upcase(self, name: str) -> str:
        """Fold a name as this volume does, by its own $UpCase, UTF-16 unit by unit."""
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

    @property
    def root(self) -> Node:
        """The root directory as a new Node; close it like any other."""
        return Node(self, self.acquire(_ROOT), "", None)

    def open(self, reference: int, name: str | None = None, parent: int | None = None) -> Node:
        """Open a file by its reference; ``name`` and ``parent`` (a reference) say through which link."""
        return Node(self, self.acquire(reference), name, parent)

    def find(self, path: str) -> Node | None:
        """Open ``path`` ("/" between names, "" is the root), whatever its case; None when there is none.

        Reparse points are not followed. A path through a file is not found.
        """
        node = self.root
        try:
            for part in path.split("/"):
                if part:
                    following = node.child(part) if node.is_directory else None
                    node.close()
                    if following is None:
                        return None
                    node = following
        except BaseException:
            node.close()
            raise
        return node

    # -- space

    def place_next(self) -> None:
        """Let what is allocated next stand behind the data that was written last, or in the widest gap when there is none.

        The library leaves 16 MiB behind each new file. Of an image only the 64 KiB grains that
        changed are kept: files side by side change far fewer of them than scattered ones.
        """
        if self._next_data is None:
            self._next_data = self._widest_gap()
        self._fields.data1_zone_pos = self._next_data

    def placed(self, end: int) -> None:
        """Note the cluster behind the data that was written last; a folder's index that grows follows there too."""
        if self._fields.mft_zone_end <= end < self.cluster_count:
            self._fields.data1_zone_pos = self._next_data = end

    def _widest_gap(self) -> int:
        """Return the first cluster of the longest free stretch behind the zone of the $MFT, to the eight clusters."""
        first = (self._fields.mft_zone_end + 7) // 8
        taken = np.flatnonzero(self.allocated_clusters()[first:])
        edges = np.concatenate(([-1], taken, [max(self.cluster_count // 8 - first, 0)]))
        place = int(edges[np.diff(edges).argmax()]) + 1
        return min(8 * (first + place), self.cluster_count - 1)

    def allocated_clusters(self):
        """Return $Bitmap as a numpy uint8 array: bit n of byte n // 8, lowest first, is 1 when cluster n is in use.

        Bits behind ``cluster_count`` are cleared.
        """
        size = (self.cluster_count + 7) // 8
        bitmap = np.empty(size, np.uint8)
        attribute = self._fields.lcnbmp_na
        available = min(binding.NtfsAttribute.from_address(attribute).data_size, size)
        if available < size:
            raise Corrupt(
                f"$Bitmap of {self.name} covers only a part of the volume.",
                code="ntfs.damaged",
                hint="Run chkdsk and export the disk again.",
            )
        done, step = 0, 4 << 20
        while done < size:
            count = min(step, size - done)
            if self.library.ntfs_attr_pread(attribute, done, count, bitmap.ctypes.data + done) != count:
                self.fail("reading $Bitmap")
            done += count
        if self.cluster_count % 8:
            bitmap[-1] &= (1 << self.cluster_count % 8) - 1
        return bitmap


def _mount_error(number: int, name: str) -> Exception:
    if number == errno.EPERM:
        return Unsupported(
            f"Windows on {name} is hibernated or was shut down by fast startup.",
            code="ntfs.hibernated",
            hint="Start it, run 'powercfg /h off' and 'shutdown /s /t 0', and export it again.",
        )
    if number == errno.EOPNOTSUPP:
        return Unsupported(
            f"The NTFS volume on {name} was not shut down cleanly.",
            code="ntfs.dirty",
            hint="Start Windows, let it check the disk (chkdsk /f), shut it down properly and export it again.",
        )
    return _error(number, "mounting it", name)


def _error(number: int, doing: str, name: str = "The NTFS volume") -> Exception:
    reason = os.strerror(number) if number else "no reason given"
    if number == errno.ENOSPC:
        return NoSpace(
            f"{name} is full ({doing}).",
            code="ntfs.no_space",
            hint="Make the disk larger: max_layer_size_gb of the OS layer, or disk_size_gb of the template.",
        )
    if number in (errno.EROFS, errno.EACCES):
        return Unsupported(f"{name} can only be read ({doing}).", code="ntfs.read_only")
    return Corrupt(
        f"{name} cannot be used: {doing} failed ({reason}).",
        code="ntfs.failed",
        hint="Run chkdsk on the machine that the disk comes from and export it again.",
        errno=number,
    )
