# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices: disks and parts of disks that are read and written at byte offsets."""

from __future__ import annotations

import abc
import errno
import os
from collections.abc import Iterator
from typing import Protocol, TypeVar

from ..common.errors import Corrupt, InternalError, NoSpace

_Device = TypeVar("_Device", bound="BlockDevice")


class BlockDevice(abc.ABC):
    """A disk, or a part of one, with byte offsets from 0 to ``size``.

    ``name`` is its name in error messages. Devices are context managers. Several threads
    may read at the same time if ``concurrent_reads`` is true, and several processes if
    ``forked_reads`` is true for a device that was opened before the fork.
    """

    name: str
    size: int
    read_only: bool = True
    concurrent_reads: bool = False
    forked_reads: bool = False

    @abc.abstractmethod
    def pread(self, count: int, offset: int) -> bytes:
        """Return exactly ``count`` bytes from ``offset``; raise Corrupt ``disk.device_out_of_range`` for bytes outside the device."""

    def pwrite(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of ``data`` at ``offset``.

        Raises:
            InternalError disk.device_read_only: the device is read-only.
            Corrupt disk.device_out_of_range: the bytes are outside the device.
            NoSpace disk.device_no_space: the file system of the composer is full.
        """
        raise InternalError(f"{self.name} was opened read-only.", code="disk.device_read_only")

    def locate(self, count: int, offset: int, writing: bool) -> int:
        """Return the address in memory of ``count`` bytes at ``offset``, which are within the device; 0 if they have no address.

        The address is valid until the next call of any method. With ``writing`` the bytes count as written.
        """
        return 0

    def flush(self) -> None:
        """Write pending data to the device or file below."""

    def close(self) -> None:
        """Release all resources; closing twice is allowed."""

    def data_extents(self) -> Iterator[tuple[int, int]]:
        """Yield ascending ``(start, end)`` byte ranges that may hold data; everything else reads as zeros."""
        if self.size:
            yield 0, self.size

    def check_range(self, count: int, offset: int) -> None:
        """Raise Corrupt unless ``count`` bytes from ``offset`` are within the device."""
        if count < 0 or offset < 0 or offset + count > self.size:
            raise Corrupt(
                f"{count} bytes at offset {offset} are outside {self.name}, which has {self.size} bytes.",
                code="disk.device_out_of_range",
                hint="The structures on the disk are damaged or the image is truncated: export or copy the disk again.",
            )

    def __enter__(self: _Device) -> _Device:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class GrainDevice(Protocol):
    """A disk that reads whole grains of ``grain_size`` bytes. Several threads may call ``read_grain``."""

    name: str
    size: int
    grain_size: int
    grain_count: int

    def read_grain(self, number: int) -> bytes | None:
        """Return a grain without keeping it in a cache; None for a grain of zeros that is not stored."""


class FileDevice(BlockDevice):
    """A raw image file or a host block device."""

    concurrent_reads = True
    forked_reads = True

    def __init__(self, path: str, *, writable: bool = False) -> None:
        self.path = path
        self.name = path
        self.read_only = not writable
        self._descriptor = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        self.size = os.lseek(self._descriptor, 0, os.SEEK_END)

    def pread(self, count: int, offset: int) -> bytes:
        if count < 0 or offset < 0 or offset + count > self.size:
            self.check_range(count, offset)
        data = os.pread(self._descriptor, count, offset)
        while len(data) < count:
            more = os.pread(self._descriptor, count - len(data), offset + len(data))
            if not more:
                raise Corrupt(
                    f"{self.name} ended at byte {offset + len(data)} during a read; it had {self.size} bytes when it was opened.",
                    code="disk.device_truncated",
                    hint="Make sure that no other process changes the file, and run again.",
                )
            data += more
        return data

    def pwrite(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        if self.read_only:
            super().pwrite(data, offset)
        self.check_range(len(data), offset)
        write_all(self._descriptor, data, offset, self.name)

    def flush(self) -> None:
        if not self.read_only and self._descriptor >= 0:
            os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def data_extents(self) -> Iterator[tuple[int, int]]:
        """Yield the ranges that may hold data, without the holes of a sparse file if the file system reports holes."""
        position = 0
        while position < self.size:
            try:
                start = os.lseek(self._descriptor, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                    raise
                yield position, self.size
                return
            end = min(os.lseek(self._descriptor, start, os.SEEK_HOLE), self.size)
            if start >= end:
                return
            yield start, end
            position = end


class Window(BlockDevice):
    """A partition: ``size`` bytes of another device from ``offset``. Closing it does not close the device."""

    def __init__(self, device: BlockDevice, offset: int, size: int) -> None:
        device.check_range(size, offset)
        self.device = device
        self.offset = offset
        self.size = size
        self.read_only = device.read_only
        self.concurrent_reads = device.concurrent_reads
        self.name = f"{device.name} (from byte {offset})"

    def pread(self, count: int, offset: int) -> bytes:
        if count < 0 or offset < 0 or offset + count > self.size:
            self.check_range(count, offset)
        return self.device.pread(count, self.offset + offset)

    def pwrite(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        if offset < 0 or offset + len(data) > self.size:
            self.check_range(len(data), offset)
        self.device.pwrite(data, self.offset + offset)

    def flush(self) -> None:
        self.device.flush()

    def data_extents(self) -> Iterator[tuple[int, int]]:
        for start, end in self.device.data_extents():
            start, end = max(start - self.offset, 0), min(end - self.offset, self.size)
            if start < end:
                yield start, end


def write_all(descriptor: int, data: bytes | bytearray | memoryview, offset: int, name: str) -> None:
    """Write all of ``data`` at ``offset`` of an open file; raise NoSpace when the file system or quota is full."""
    view = memoryview(data).cast("B")
    try:
        while view:
            done = os.pwrite(descriptor, view, offset)
            view, offset = view[done:], offset + done
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                f"Writing {name} failed: the file system of the composer has no space left.",
                code="disk.device_no_space",
                hint="Free space on that file system, and run again.",
            ) from error
        raise
