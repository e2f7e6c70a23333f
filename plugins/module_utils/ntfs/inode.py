# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open inodes: one libntfs-3g inode per file, its attributes, and its copies in directory indexes.

libntfs-3g must never open the same inode twice, yet it writes the name entries of a file by
opening the parent directories itself. The volume therefore keeps a table of open inodes,
and ``Inode.close`` writes name entries through that table before the library does.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from ..common.errors import StrataError
from . import attribute_records, binding, file_names
from .damage import damaged

if TYPE_CHECKING:
    from .mounted_volume import MountedVolume

#: Bytes of the largest valid $ATTRIBUTE_LIST, reparse point or set of EAs.
MAXIMUM_SMALL_ATTRIBUTE = 256 * 1024
_ROOT, _FIRST_USER = 5, 24
#: Folders of a path in an error message.
_MAXIMUM_SHOWN = 256


class NameFields(NamedTuple):
    """The fields of $FILE_NAME between the parent and the name, in their order, except the last field."""

    created: int
    written: int
    changed: int
    accessed: int
    allocated: int
    size: int
    attributes: int

    def file_name(self, parent: int, extra: int, namespace: int, name: str) -> attribute_records.FileName:
        """Return a $FILE_NAME with these fields."""
        return attribute_records.FileName(parent, *self, extra=extra, namespace=namespace, name=name)


class Inode:
    """An open inode, shared by all nodes of the file; ``fields`` is the library's structure."""

    __slots__ = ("volume", "address", "fields", "number", "references", "shown")

    def __init__(self, volume: MountedVolume, address: int) -> None:
        self.volume = volume
        self.address = address
        self.fields = binding.NtfsInode.from_address(address)
        self.number = self.fields.mft_no
        self.references = 1
        #: The fields in the file's entries in directories.
        self.shown = self.name_fields()

    @property
    def reference(self) -> int:
        """Record number and sequence number as NTFS packs them."""
        return self.number | ctypes.c_uint16.from_address(self.fields.mrec + 16).value << 48

    @property
    def is_directory(self) -> bool:
        return bool(ctypes.c_uint16.from_address(self.fields.mrec + 22).value & attribute_records.RECORD_IS_DIRECTORY)

    @property
    def is_system(self) -> bool:
        """Whether the file belongs to NTFS itself and must not be changed."""
        return (self.number < _FIRST_USER and self.number != _ROOT) or bool(
            ctypes.c_uint16.from_address(self.fields.mrec + 22).value & 4
        )

    @property
    def link_count(self) -> int:
        return ctypes.c_uint16.from_address(self.fields.mrec + 18).value

    @link_count.setter
    def link_count(self, count: int) -> None:
        ctypes.c_uint16.from_address(self.fields.mrec + 18).value = count
        self.mark_dirty()

    @property
    def subject(self) -> str:
        """The name of the file in error messages."""
        return f"File record {self.number} of {self.volume.name}"

    def describe(self) -> str:
        """Return the file with its path, for error messages; the record number if the path cannot be read."""
        path = self._path()
        return (
            f"file {path[:300]!r} of {self.volume.name}" if path else f"file record {self.number} of {self.volume.name}"
        )

    def _path(self) -> str:
        """Return a path of the file ("/" between names), "" if it has none."""
        parts: list[str] = []
        inode, opened = self, []
        try:
            while inode.number != _ROOT and len(parts) < _MAXIMUM_SHOWN:
                name = next((name for name in inode.file_names() if name.namespace != file_names.DOS), None)
                if name is None:
                    return ""
                parts.append(name.name)
                inode = self.volume.inodes.acquire(name.parent)
                opened.append(inode)
            return "/".join(reversed(parts))
        except StrataError:
            return ""
        finally:
            for inode in opened:
                with contextlib.suppress(StrataError):
                    inode.release()

    def fail(self, action: str, number: int | None = None) -> NoReturn:
        """Raise as ``MountedVolume.fail``; ``action`` is what failed with the file, such as "reading"."""
        if number is None:
            number = ctypes.get_errno()
        # Finding the path calls the library again, which can fail again.
        self.volume.raise_device_error()
        self.volume.fail(f"{action} the {self.describe()}", number)

    def mark_dirty(self, *, name: bool = False) -> None:
        """Mark the record for writing at the next sync, and with ``name`` also its copies in indexes."""
        self.fields.state |= binding.INODE_DIRTY | (binding.INODE_NAME_DIRTY if name else 0)

    def walk(self, kind: int = 0) -> Iterator[tuple[int, bytes, int]]:
        """Yield (address, bytes, search context) of each attribute of type ``kind``, or of all attributes.

        The bytes are those of the attribute's record. The address is valid until the inode
        is changed.
        """
        library = self.volume.library
        context = library.ntfs_attr_get_search_ctx(self.address, None)
        if not context:
            self.volume.fail(f"reading {self.subject}")
        try:
            position = binding.SearchContext.from_address(context)
            lookup = library.ntfs_attr_lookup
            while not lookup(kind, None, 0, 0, 0, None, 0, context):
                address = position.attr
                length = ctypes.c_uint32.from_address(address + 4).value
                if not 24 <= length <= attribute_records.MAXIMUM_RECORD:
                    raise damaged(self.subject, "an attribute does not fit")
                yield address, ctypes.string_at(address, length), context
            if ctypes.get_errno() != errno.ENOENT:
                self.volume.fail(f"reading {self.subject}")
        finally:
            library.ntfs_attr_put_search_ctx(context)

    def file_names(self) -> list[attribute_records.FileName]:
        """Return every $FILE_NAME, in the order of the record."""
        result = []
        for _address, data, _context in self.walk(attribute_records.FILE_NAME):
            result.append(attribute_records.FileName.unpack(resident_value(data, self.subject), self.subject))
        return result

    def read_attribute(self, kind: int, limit: int = MAXIMUM_SMALL_ATTRIBUTE, name: bytes = b"") -> bytes | None:
        """Return the value of an attribute, or None if it does not exist; raise Corrupt for more than ``limit`` bytes."""
        library = self.volume.library
        attribute = library.ntfs_attr_open(self.address, kind, name or None, len(name) // 2)
        if not attribute:
            if ctypes.get_errno() == errno.ENOENT:
                return None
            self.volume.fail(f"reading {self.subject}")
        try:
            size = binding.NtfsAttribute.from_address(attribute).data_size
            if not 0 <= size <= limit:
                raise damaged(self.subject, f"an attribute of type {kind:#x} has an impossible size of {size} bytes")
            buffer = ctypes.create_string_buffer(size or 1)
            if size and library.ntfs_attr_pread(attribute, 0, size, buffer) != size:
                self.volume.fail(f"reading {self.subject}")
            return buffer.raw[:size]
        finally:
            library.ntfs_attr_close(attribute)

    def name_extra(self) -> int:
        """Return the value of the last field of $FILE_NAME: the reparse tag or the packed size of EAs."""
        if self.fields.flags & attribute_records.REPARSE:
            data = self.read_attribute(attribute_records.REPARSE_POINT)
            if data and len(data) >= 4:
                return struct.unpack_from("<I", data)[0]
        for _address, data, _context in self.walk(attribute_records.EA_INFORMATION):
            value = resident_value(data, self.subject)
            if len(value) >= 2:
                return struct.unpack_from("<H", value)[0]
        return 0

    def name_fields(self) -> NameFields:
        """Return the fields that $FILE_NAME copies from the file."""
        fields = self.fields
        directory = self.is_directory
        return NameFields(
            fields.creation_time,
            fields.last_data_change_time,
            fields.last_mft_change_time,
            fields.last_access_time,
            0 if directory else fields.allocated_size,
            0 if directory else fields.data_size,
            fields.flags | (attribute_records.I30_PRESENT if directory else 0),
        )

    def sync_names(self) -> None:
        """Write size, times and attributes to the entries of this file in its directories."""
        self.fields.state &= ~binding.INODE_NAME_DIRTY
        self.shown = self.name_fields()
        packed = struct.pack("<qqqqqqII", *self.shown, self.name_extra())
        for name in self.file_names():
            directory = self.volume.inodes.acquire(name.parent)
            try:
                with_entry(directory, self.number, name, lambda entry: ctypes.memmove(entry + 8, packed, 56))
            finally:
                directory.release()

    def release(self) -> None:
        """Drop a reference; dropping the last reference writes the inode and closes it."""
        self.references -= 1
        if self.references:
            return
        try:
            self.close()
        finally:
            self.volume.inodes.forget(self)

    def close(self) -> None:
        """Write changes and return the inode to the library."""
        try:
            # The library also moves data out of the record, which changes its allocated size.
            changed = self.fields.state & binding.INODE_NAME_DIRTY or self.shown != self.name_fields()
            if changed and self.volume.writable and not self.is_system:
                self.sync_names()
        finally:
            # Even after an error, the library must not open parent directories itself.
            self.fields.state &= ~binding.INODE_NAME_DIRTY
            address, self.address = self.address, 0
            if self.volume.library.ntfs_inode_close(address):
                self.volume.fail(f"writing {self.subject}")


def load_information(fields: binding.NtfsInode, value: bytes) -> None:
    """Set the times and the owner fields of an inode from the value of its $STANDARD_INFORMATION (48 or 72 bytes)."""
    if len(value) < 48:
        return
    (
        fields.creation_time,
        fields.last_data_change_time,
        fields.last_mft_change_time,
        fields.last_access_time,
    ) = struct.unpack_from("<qqqq", value)
    if len(value) >= 72:
        fields.owner_id, fields.security_id, fields.quota_charged, fields.usn = struct.unpack_from("<IIQQ", value, 48)
        fields.state |= binding.INODE_V3


def resident_value(data: bytes, subject: str) -> bytes:
    """Return the value of a resident attribute from the bytes of the attribute in its record."""
    size, offset = struct.unpack_from("<IH", data, 16)
    if data[8] or offset + size > len(data):
        raise damaged(subject, "an attribute does not fit")
    return data[offset : offset + size]


def with_entry(
    directory: Inode, number: int, name: attribute_records.FileName, change: Callable[[int], object]
) -> None:
    """Find the entry of a name in the index of a directory, call ``change(address of its key)`` and mark the entry dirty."""
    library, volume = directory.volume.library, directory.volume
    context = library.ntfs_index_ctx_get(directory.address, library.NTFS_INDEX_I30, 4)
    if not context:
        volume.fail(f"reading the index of {directory.subject}")
    try:
        key = name.pack()
        if library.ntfs_index_lookup(key, len(key), context):
            if ctypes.get_errno() == errno.ENOENT:
                raise damaged(directory.subject, f"the entry of {name.name!r} is missing")
            volume.fail(f"reading the index of {directory.subject}")
        entry = binding.IndexContext.from_address(context)
        owner = ctypes.c_uint64.from_address(entry.entry).value & attribute_records.REFERENCE_MASK
        if entry.data_len < 66 or owner != number:
            raise damaged(directory.subject, f"the entry of {name.name!r} belongs to record {owner}, not {number}")
        change(entry.data)
        library.ntfs_index_entry_mark_dirty(context)
    finally:
        library.ntfs_index_ctx_put(context)


def destroy(inode: Inode) -> None:
    """Free the index entries, clusters and records of an inode without names. The inode is closed afterwards."""
    library, volume = inode.volume.library, inode.volume
    fields = inode.fields
    failure = 0
    inode.link_count = 0
    if library.ntfs_delete_reparse_index(inode.address) or library.ntfs_delete_object_id_index(inode.address):
        failure = ctypes.get_errno()
    for address, data, _context in inode.walk():
        if data[8]:
            runs = library.ntfs_mapping_pairs_decompress(volume.address, address, None)
            if not runs or library.ntfs_cluster_free_from_rl(volume.address, runs):
                failure = failure or ctypes.get_errno() or errno.EIO
            if runs:
                library.libc_free(runs)
    # The extent records must be disconnected from the base before they are freed.
    if fields.nr_extents > 0:
        extents = fields.extents
        pointers = list((ctypes.c_void_p * fields.nr_extents).from_address(extents))
        fields.nr_extents, fields.extents = 0, None
        for address in pointers:
            extent = binding.NtfsInode.from_address(address)
            extent.nr_extents, extent.extents = 0, None
            if library.ntfs_mft_record_free(volume.address, address):
                failure = failure or ctypes.get_errno()
        library.libc_free(extents)
    fields.state &= ~binding.INODE_NAME_DIRTY
    address, inode.address = inode.address, 0
    volume.inodes.forget(inode)
    if library.ntfs_mft_record_free(volume.address, address):
        failure = failure or ctypes.get_errno()
    if failure:
        volume.fail(f"deleting {inode.subject}", failure)
