# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening disks without copying them: disk images, files of OVF packages and members of OVAs, also on shares."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import BinaryIO

from ..common.errors import Corrupt, Unsupported
from ..disk.block_device import BlockDevice
from ..disk.flat import open_disk
from ..disk.vmdk_layout import MAGIC, SECTOR
from ..disk.vmdk_reader import StreamOptimizedDisk
from ..ovf.package import Package
from ..shares.share import Share


def disk_opener(package: Package, name: str) -> Callable[[], BlockDevice]:
    """Return how to open the disk file ``name`` of a package; a member of an OVA is read within the OVA."""
    location = package.location(name)
    if location is None or location[1]:
        return lambda: _stream_disk(package.open_raw(name), name)
    return lambda: open_disk(location[0])


def share_disk_opener(share: Share, path: str) -> Callable[[], BlockDevice]:
    """Return how to open the disk image ``path`` of a share."""
    local = share.local_path(path)
    if local is not None:
        return lambda: open_disk(local)
    return lambda: _stream_disk(share.open(path), share.where(path))


def _stream_disk(stream: BinaryIO, name: str) -> BlockDevice:
    """Open the disk in a stream: a stream-optimized VMDK or a raw image, depending on its content."""
    try:
        start = stream.read(SECTOR)
        if start[:4] == MAGIC:
            return _StreamVmdk(stream)
        if start[510:512] != b"\x55\xaa":
            raise Unsupported(
                f"The disk {name} is neither a stream-optimized VMDK nor a raw disk image.",
                code="operations.disk_kind",
                hint="Export the VM as OVF, or mount the share on the composer, where other formats can be read.",
            )
        return StreamDevice(stream, name)
    except BaseException:
        stream.close()
        raise


class _StreamVmdk(StreamOptimizedDisk):
    """A stream-optimized VMDK that owns its stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        super().__init__(stream)

    def close(self) -> None:
        super().close()
        self._stream.close()


class StreamDevice(BlockDevice):
    """A raw image in an open file, which it owns."""

    concurrent_reads = True

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self._stream = stream
        self._lock = threading.Lock()
        self.size = stream.seek(0, 2)
        if self.size % SECTOR:
            raise Corrupt(
                f"The file {name} is not a disk image: its size of {self.size} bytes is not a multiple of {SECTOR}.",
                code="operations.disk_truncated",
                hint="Copy the disk again.",
            )

    def pread(self, count: int, offset: int) -> bytes:
        self.check_range(count, offset)
        with self._lock:
            self._stream.seek(offset)
            data = self._stream.read(count)
        if len(data) != count:
            raise Corrupt(
                f"The disk {self.name} ended at byte {offset + len(data)} of {self.size} while it was read.",
                code="operations.device_truncated",
                hint="Copy the disk again.",
            )
        return data

    def close(self) -> None:
        self._stream.close()
