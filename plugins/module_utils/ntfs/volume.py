# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mount an NTFS volume and open its files.

libntfs-3g runs inside this process on a BlockDevice: no mount, no root, no FUSE. A process
may mount several volumes; a volume belongs to one thread. Mount untrusted volumes inside
``volume_process.run_on_volume``, because a crash of the library ends its process.
"""

from __future__ import annotations

import ctypes
import errno

from ..common.errors import StrataError, Unsupported
from ..disk.block_device import BlockDevice
from . import attribute_records, binding, boot, volume_state
from .device_binding import DeviceBridge
from .inode import load_information
from .mounted_volume import MountedVolume, error_for
from .node import Node

_ROOT = 5


class Volume(MountedVolume):
    """An NTFS volume; use ``Volume.mount`` and close it, or use it as a context manager."""

    @classmethod
    def mount(cls, device: BlockDevice, *, writable: bool = False) -> Volume:
        """Mount the NTFS volume on ``device``.

        Raises:
            Unsupported ntfs.not_ntfs, ntfs.bitlocker, ntfs.version: the volume is not supported.
            Unsupported ntfs.hibernated, ntfs.dirty: Windows was not shut down cleanly (with ``writable``).
            Corrupt ntfs.boot_sector, ntfs.too_small, ntfs.damaged, ntfs.failed: the volume is damaged.
            MissingLibrary: libntfs-3g is not installed.
        """
        boot.read_geometry(device)
        if writable and device.read_only:
            raise error_for(errno.EROFS, "mounting it for writing", device.name)
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
                    f"{device.name} is NTFS {volume.version[0]}.{volume.version[1]}; version 3.0 or later is required.",
                    code="ntfs.version",
                    hint="Use a volume that was formatted by Windows XP or later.",
                )
            if (
                library.ntfs_set_ignore_case(address)
                or library.ntfs_open_secure(address)
                or not volume._fields.secure_ni
            ):
                volume.fail("reading $UpCase and $Secure")
            volume._fields.state |= binding.VOLUME_COMPRESSION
            if writable:
                volume._load_table_information()
        except BaseException:
            volume._abandon()
            raise
        return volume

    def __enter__(self) -> Volume:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    def close(self) -> None:
        """Write all changes and unmount; the first error is raised after all inodes are closed."""
        if not self.address:
            return
        failure: BaseException | None = self.inodes.close()
        address, self.address = self.address, 0
        ctypes.set_errno(0)
        failed = self.library.ntfs_umount(address, 0)
        number = ctypes.get_errno()
        self._bridge.forget()
        failure = self._bridge.take_error() or failure
        if failure:
            raise failure
        if failed:
            raise error_for(number, f"unmounting {self.name}")

    def _abandon(self) -> None:
        # An exception is being raised, and the content of the device is not used any more.
        try:
            self.close()
        except Exception:  # pylint: disable=broad-exception-caught
            self.address = 0

    def _load_table_information(self) -> None:
        """Load $STANDARD_INFORMATION of $MFT into the library's inode of $MFT.

        Unlike every other inode, the library leaves these fields at zero. It writes them to the record when $MFT grows.
        """
        fields = binding.NtfsInode.from_address(self._fields.mft_ni)
        record = ctypes.string_at(fields.mrec, self.record_size)
        for attribute in attribute_records.attributes(record, f"{self.name}, file record 0"):
            if attribute.type == attribute_records.STANDARD_INFORMATION:
                load_information(fields, attribute.value or b"")
                return

    @property
    def root(self) -> Node:
        """The root directory as a new Node, which must be closed."""
        return Node(self, self.inodes.acquire(_ROOT), "", None)

    def open(self, reference: int, name: str | None = None, parent: int | None = None) -> Node:
        """Open a file by its reference; ``name`` and ``parent`` (a reference) identify the link."""
        return Node(self, self.inodes.acquire(reference), name, parent)

    def find(self, path: str) -> Node | None:
        """Open ``path`` ("/" between names, "" for the root), ignoring case; return None if it does not exist.

        Reparse points are not followed. A path through a file does not exist.
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


def _mount_error(number: int, name: str) -> StrataError:
    if number == errno.EPERM:
        return volume_state.hibernated(name)
    if number == errno.EOPNOTSUPP:
        return volume_state.dirty(name)
    return error_for(number, "mounting it", name)
