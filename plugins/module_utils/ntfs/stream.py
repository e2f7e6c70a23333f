# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of a file: its unnamed stream and its alternate streams."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterator

from ..common.errors import InternalError, NotFound, Unsupported
from . import attribute_records, binding, file_names
from .inode import Inode

_CHUNK = 1 << 20
_NON_RESIDENT = 2  # NA_NonResident in ntfs_attr.state


class Stream:
    """An open stream of a file; a context manager. ``name`` is "" for the data of the file itself.

    Offsets and sizes are bytes. If the stream does not exist, ``create`` creates it, else
    NotFound ``ntfs.no_stream`` is raised. While a stream is open, the file must not be
    changed in any other way.
    """

    def __init__(self, inode: Inode, name: str = "", *, create: bool = False) -> None:
        self._inode = inode
        self.name = name
        library = self._library = inode.volume.library
        units = file_names.check_stream_name(name)
        self._address = self._open(units)
        if not self._address and create:
            if library.ntfs_attr_add(
                inode.address, attribute_records.DATA, units or library.AT_UNNAMED, len(units) // 2, None, 0
            ):
                inode.fail(f"adding the stream {name!r} to")
            self._address = self._open(units)
        if not self._address:
            raise NotFound(
                f"The {inode.describe()} has no stream {name!r}.",
                code="ntfs.no_stream",
                hint="Check that the file is the expected file, and run chkdsk if it is.",
            )
        self._fields = binding.NtfsAttribute.from_address(self._address)
        self._grown = False

    def _open(self, units: bytes) -> int | None:
        ctypes.set_errno(0)
        address = self._library.ntfs_attr_open(
            self._inode.address, attribute_records.DATA, units or None, len(units) // 2
        )
        if address:
            # Without a name the library opens the first stream, which may have a name.
            if binding.NtfsAttribute.from_address(address).name_len == len(units) // 2:
                return address
            self._library.ntfs_attr_close(address)
        elif ctypes.get_errno() != errno.ENOENT:
            self._inode.fail("reading")
        return None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Bytes of the stream."""
        return self._fields.data_size

    @property
    def allocated(self) -> int:
        """Bytes on disk; 0 when the data is inside the file record."""
        if not self._fields.state & _NON_RESIDENT:
            return 0
        return self._fields.compressed_size if self._fields.data_flags & 0x80FF else self._fields.allocated_size

    def pread(self, count: int, offset: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``; fewer only at the end."""
        count = max(min(count, self.size - offset), 0)
        if not count:
            return b""
        if self._fields.data_flags & 0x4000:
            raise Unsupported(
                f"The {self._inode.describe()} is encrypted with EFS.",
                code="ntfs.encrypted",
                hint="Decrypt the file (cipher /d) before you export the VM.",
            )
        buffer = ctypes.create_string_buffer(count)
        done = 0
        while done < count:
            count_read = self._library.ntfs_attr_pread(
                self._address, offset + done, count - done, ctypes.addressof(buffer) + done
            )
            if count_read <= 0:
                self._inode.fail("reading")
            done += count_read
        return buffer.raw

    def pwrite(self, data: bytes, offset: int) -> None:
        """Write all of ``data`` at ``offset``, growing the stream; a gap before it becomes a hole or zeros."""
        if not data:
            return
        self._grow()
        rest = bytes(data)
        while rest:
            written = self._library.ntfs_attr_pwrite(self._address, offset, len(rest), rest)
            if written <= 0:
                self._inode.fail("writing")
            offset += written
            rest = rest[written:]
        self._inode.mark_dirty(name=not self.name)

    def truncate(self, size: int, *, allocate: bool = False) -> None:
        """Set the size. New space is a hole (and makes the file sparse), or with ``allocate`` one allocated piece."""
        if size < 0:
            raise InternalError(f"A stream of {self._inode.subject} cannot have {size} bytes.", code="ntfs.size")
        self._grow()
        call = self._library.ntfs_attr_truncate_solid if allocate else self._library.ntfs_attr_truncate
        if call(self._address, size):
            self._inode.fail("resizing")
        self._inode.mark_dirty(name=not self.name)

    def leave_record(self) -> None:
        """Move the data out of the file record, independent of its size."""
        self._grow()
        if not self._fields.state & _NON_RESIDENT and self._library.ntfs_attr_force_non_resident(self._address):
            self._inode.fail("resizing")

    def extents(self) -> list[tuple[int, int]]:
        """Return the allocated ranges [(offset, length)] within the size, with holes between them.

        A stream inside the file record, or a compressed stream, is one range.
        """
        size = self.size
        if not size:
            return []
        if not self._fields.state & _NON_RESIDENT or self._fields.data_flags & 0xFF:
            return [(0, size)]
        if self._library.ntfs_attr_map_whole_runlist(self._address):
            self._inode.fail("reading")
        cluster = self._inode.volume.cluster_size
        result: list[tuple[int, int]] = []
        for run in self._run_list():
            start, end = run.vcn * cluster, min((run.vcn + run.length) * cluster, size)
            if run.lcn >= 0 and start < end:
                if result and sum(result[-1]) == start:
                    result[-1] = (result[-1][0], end - result[-1][0])
                else:
                    result.append((start, end - start))
        return result

    def _run_list(self) -> Iterator[binding.RunElement]:
        """Yield the runs that the library has in memory; none for data inside the file record."""
        address = self._fields.rl if self._fields.state & _NON_RESIDENT else None
        while address:
            run = binding.RunElement.from_address(address)
            if run.length <= 0:
                return
            yield run
            address += ctypes.sizeof(binding.RunElement)

    def copy_to(self, write: Callable[[bytes], object]) -> None:
        """Pass the whole stream to ``write(bytes)`` in pieces of 1 MiB."""
        offset, size = 0, self.size
        while offset < size:
            data = self.pread(_CHUNK, offset)
            write(data)
            offset += len(data)

    def close(self) -> None:
        """Write pending compressed data and close the stream; closing twice is allowed."""
        if not self._address:
            return
        try:
            if (
                self._fields.data_flags & 0xFF
                and self._inode.volume.writable
                and self._library.ntfs_attr_pclose(self._address)
            ):
                self._inode.fail("writing")
        finally:
            self._free()

    def _grow(self) -> None:
        if not self._grown:
            self._grown = True
            self._inode.volume.prepare_allocation()

    def _note_allocation(self) -> None:
        """Report the end of the last run of the stream to the volume."""
        end = -1
        for run in self._run_list():
            if run.lcn >= 0:
                end = run.lcn + run.length
        self._inode.volume.note_allocation(end)

    def _free(self) -> None:
        address, self._address = self._address, 0
        if address:
            if self._grown:
                self._note_allocation()
            self._library.ntfs_attr_close(address)


def remove_stream(inode: Inode, name: str) -> None:
    """Remove a stream of a file, which must exist and must not be open."""
    library = inode.volume.library
    units = file_names.check_stream_name(name)
    if library.ntfs_attr_remove(inode.address, attribute_records.DATA, units or library.AT_UNNAMED, len(units) // 2):
        inode.fail(f"removing the stream {name!r} from")
    inode.mark_dirty(name=not name)
