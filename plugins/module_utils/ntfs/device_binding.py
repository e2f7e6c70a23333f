# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Present a BlockDevice to libntfs-3g through the ntfs_device_operations callbacks.

ctypes discards an exception that leaves a callback. Each callback therefore keeps the
first exception and returns -1 with errno set. The volume raises the kept exception as
soon as the library returns.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable

from ..common.errors import NoSpace
from ..disk.block_device import BlockDevice, Window
from . import binding

_BLKGETSIZE64 = 0x80081272


class DeviceBridge:
    """An ntfs_device, its callbacks and the first exception that a callback raised.

    ``address`` is the address of the struct ntfs_device. The bridge must live as long as
    the mounted volume.
    """

    def __init__(self, device: BlockDevice) -> None:
        self._library = binding.library()
        self._device = device
        self._position = 0
        self.error: BaseException | None = None
        self._operations = binding.NtfsDeviceOperations(
            open=binding.OPEN(self._open),
            close=binding.CLOSE(self._close),
            seek=binding.SEEK(self._seek),
            read=binding.READ(self._read),
            write=binding.READ(self._write),
            pread=binding.PREAD(self._make_pread()),
            pwrite=binding.PREAD(self._make_pwrite()),
            sync=binding.CLOSE(self._sync),
            stat=binding.STAT(self._stat),
            ioctl=binding.IOCTL(self._ioctl),
        )
        self.address = self._library.ntfs_device_alloc(b"strata", 0, ctypes.addressof(self._operations), None)
        if not self.address:
            raise MemoryError("ntfs_device_alloc")
        self._state = binding.NtfsDevice.from_address(self.address)

    def forget(self) -> None:
        """Forget the ntfs_device, which the library has freed with its volume."""
        self.address = 0

    def release(self) -> None:
        """Free an ntfs_device that was never mounted."""
        if self.address:
            self._state.d_state = 0
            self._library.ntfs_device_free(self.address)
            self.address = 0

    def take_error(self) -> BaseException | None:
        """Return and forget the exception that a callback kept."""
        error, self.error = self.error, None
        return error

    def _keep(self, error: BaseException) -> int:
        if self.error is None:
            self.error = error
        ctypes.set_errno(errno.ENOSPC if isinstance(error, NoSpace) else errno.EIO)
        return -1

    def _open(self, _address: int, flags: int) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY and self._device.read_only:
            ctypes.set_errno(errno.EROFS)
            return -1
        self._state.d_state |= binding.DEVICE_OPEN | (0 if flags & os.O_ACCMODE else binding.DEVICE_READ_ONLY)
        return 0

    def _close(self, _address: int) -> int:
        self._state.d_state &= ~binding.DEVICE_OPEN
        return 0

    def _seek(self, _address: int, offset: int, whence: int) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._device.size}.get(whence)
        if base is None or not 0 <= base + offset <= self._device.size:
            ctypes.set_errno(errno.EINVAL)
            return -1
        self._position = base + offset
        return self._position

    def _read(self, address: int, buffer: int, count: int) -> int:
        done = self._operations.pread(address, buffer, count, self._position)
        self._position += max(done, 0)
        return done

    def _write(self, address: int, buffer: int, count: int) -> int:
        done = self._operations.pwrite(address, buffer, count, self._position)
        self._position += max(done, 0)
        return done

    def _make_pread(self) -> Callable[[int, int, int, int], int]:
        read, size, move, keep = self._device.pread, self._device.size, ctypes.memmove, self._keep
        locate, shift = self._below()

        def pread(_address: int, buffer: int, count: int, offset: int) -> int:
            try:
                if offset < 0 or count <= 0 or offset + count > size:
                    # The library probes the end of the device and follows offsets from a damaged volume.
                    if offset < 0 or count < 0:
                        ctypes.set_errno(errno.EINVAL)
                        return -1
                    count = max(min(count, size - offset), 0)
                    if not count:
                        return 0
                move(buffer, locate(count, shift + offset, False) or read(count, offset), count)
                return count
            except BaseException as error:  # pylint: disable=broad-exception-caught
                return keep(error)

        return pread

    def _make_pwrite(self) -> Callable[[int, int, int, int], int]:
        write, size, view, move, keep = (
            self._device.pwrite,
            self._device.size,
            ctypes.string_at,
            ctypes.memmove,
            self._keep,
        )
        locate, shift = self._below()

        def pwrite(_address: int, buffer: int, count: int, offset: int) -> int:
            try:
                target = locate(count, shift + offset, True) if offset >= 0 and 0 < count <= size - offset else 0
                if target:
                    move(target, buffer, count)
                else:
                    write(view(buffer, count), offset)
                return count
            except BaseException as error:  # pylint: disable=broad-exception-caught
                return keep(error)

        return pwrite

    def _below(self) -> tuple[Callable[[int, int, bool], int], int]:
        """Return the ``locate`` function of the device below all windows, and the offset of the windows in it."""
        device: BlockDevice = self._device
        shift = 0
        while isinstance(device, Window):
            shift += device.offset
            device = device.device
        return device.locate, shift

    def _sync(self, _address: int) -> int:
        try:
            self._device.flush()
        except BaseException as error:  # pylint: disable=broad-exception-caught
            return self._keep(error)
        return 0

    def _stat(self, _address: int, buffer: int) -> int:
        # The layout of struct stat differs between processor architectures, so the C library
        # fills it in from an empty file of the device's size.
        try:
            descriptor = os.memfd_create("strata-ntfs", os.MFD_CLOEXEC)
            try:
                os.ftruncate(descriptor, self._device.size)
                return ctypes.CDLL(None, use_errno=True).fstat(descriptor, ctypes.c_void_p(buffer))
            finally:
                os.close(descriptor)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            return self._keep(error)

    def _ioctl(self, _address: int, request: int, argument: int) -> int:
        if request == _BLKGETSIZE64 and argument:
            ctypes.c_uint64.from_address(argument).value = self._device.size
            return 0
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -1
