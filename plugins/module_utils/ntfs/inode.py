# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open inodes: one libntfs-3g inode per file, its attributes, and its copies in directory indexes.

libntfs-3g must never open the same inode twice, yet writes back the name entries of a file
by opening the parent directories itself. The volume therefore keeps a register of open
inodes, and this file writes name entries back through it before the library looks.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import attribute_records, binding

if TYPE_CHECKING:
    from .volume import Volume

#: The largest $ATTRIBUTE_LIST, reparse point or set of EAs that is believed.
MAXIMUM_SMALL_ATTRIBUTE = 256 * 1024
_ROOT, _FIRST_USER = 5, 24


class Inode:
    """One open inode, shared by all nodes that stand for it; ``fields`` is the library's structure."""

    __slots__ = ("volume", "address", "fields", "number", "references", "shown")

    def __init__(self, volume: Volume, address: int) -> None:
        self.volume = volume
        self.address = address
        self.fields = binding.NtfsInode.from_address(address)
        self.number = self.fields.mft_no
        self.references = 1
        #: What the entries in directories show of the file, name_fields() without its last element.
        self.shown = self.name_fields(0)

    @property
    def reference(self) -> int:
        """Record number and sequence number as NTFS packs them."""
        return self.number | ctypes.c_uint16.from_address(self.fields.mrec + 16).value << 48

    @property
    def is_directory(self) -> bool:
        return bool(ctypes.c_uint16.from_address(self.fields.mrec + 22).value & attribute_records.RECORD_IS_DIRECTORY)

    @property
    def is_system(self) -> bool:
        """Whether NTFS itself owns the file: it can be read, never changed."""
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
    def what(self) -> str:
        """What error messages call it."""
        return f"File record {self.number} of {self.volume.name}"

    def mark_dirty(self, *, name: bool = False) -> None:
        """Have the record written at the next sync, and with ``name`` its copies in indexes too."""
        self.fields.state |= binding.INODE_DIRTY | (binding.INODE_NAME_DIRTY if name else 0)

    def walk(self, kind: int = 0) -> Iterator[tuple[int, bytes, int]]:
        """Yield (address, bytes, search context) of each attribute of a type, or of all.

        The bytes are the attribute as it stands in its record. The address is good until
        the inode is changed.
        """
        library = self.volume.library
        context = library.ntfs_attr_get_search_ctx(self.address, None)
        if not context:
            self.volume.fail(f"reading {self.what}")
        try:
            found = binding.SearchContext.from_address(context)
            lookup = library.ntfs_attr_lookup
            while not lookup(kind, None, 0, 0, 0, None, 0, context):
                address = found.attr
                length = ctypes.c_uint32.from_address(address + 4).value
                if not 24 <= length <= attribute_records.MAXIMUM_RECORD:
                    raise attribute_records.damaged(self.what, "an attribute does not fit")
                yield address, ctypes.string_at(address, length), context
            if ctypes.get_errno() != errno.ENOENT:
                self.volume.fail(f"reading {self.what}")
        finally:
            library.ntfs_attr_put_search_ctx(context)

    def file_names(self) -> list[attribute_records.FileName]:
        """Return every $FILE_NAME, in the record's order."""
        result = []
        for _address, data, _context in self.walk(attribute_records.FILE_NAME):
            result.append(attribute_records.FileName.unpack(resident_value(data, self.what), self.what))
        return result

    def read_attribute(self, kind: int, limit: int = MAXIMUM_SMALL_ATTRIBUTE, name: bytes = b"") -> bytes | None:
        """Return an attribute's whole value, or None when there is none; Corrupt beyond ``limit`` bytes."""
        library = self.volume.library
        attribute = library.ntfs_attr_open(self.address, kind, name or None, len(name) // 2)
        if not attribute:
            if ctypes.get_errno() == errno.ENOENT:
                return None
            self.volume.fail(f"reading {self.what}")
        try:
            size = binding.NtfsAttribute.from_address(attribute).data_size
            if not 0 <= size <= limit:
                raise attribute_records.damaged(self.what, f"an attribute of type {kind:#x} claims {size} bytes")
            buffer = ctypes.create_string_buffer(size or 1)
            if size and library.ntfs_attr_pread(attribute, 0, size, buffer) != size:
                self.volume.fail(f"reading {self.what}")
            return buffer.raw[:size]
        finally:
            library.ntfs_attr_close(attribute)

    def name_extra(self) -> int:
        """Return what belongs in the last field of $FILE_NAME: the reparse tag or the packed size of EAs."""
        if self.fields.flags & attribute_records.REPARSE:
            data = self.read_attribute(attribute_records.REPARSE_POINT)
            if data and len(data) >= 4:
                return struct.unpack_from("<I", data)[0]
        for _address, data, _context in self.walk(attribute_records.EA_INFORMATION):
            value = resident_value(data, self.what)
            if len(value) >= 2:
                return struct.unpack_from("<H", value)[0]
        return 0

    def name_fields(self, extra: int) -> tuple:
        """Return the fields of $FILE_NAME between the parent and the name, in their order."""
        fields = self.fields
        directory = self.is_directory
        return (
            fields.creation_time,
            fields.last_data_change_time,
            fields.last_mft_change_time,
            fields.last_access_time,
            0 if directory else fields.allocated_size,
            0 if directory else fields.data_size,
            fields.flags | (attribute_records.I30_PRESENT if directory else 0),
            extra,
        )

    def sync_names(self) -> None:
        """Write size, times and attributes into the entries of this file in its directories."""
        self.fields.state &= ~binding.INODE_NAME_DIRTY
        self.shown = self.name_fields(0)
        packed = struct.pack("<qqqqqqII", *self.name_fields(self.name_extra()))
        for name in self.file_names():
            directory = self.volume.acquire(name.parent)
            try:
                with_entry(directory, self.number, name, lambda entry: ctypes.memmove(entry + 8, packed, 56))
            finally:
                directory.release()

    def release(self) -> None:
        """Give one reference back; the last one writes the inode and closes it."""
        self.references -= 1
        if self.references:
            return
        try:
            self.close()
        finally:
            self.volume.forget(self)

    def close(self) -> None:
        """Write what is dirty and hand the inode back to the library."""
        try:
            # The library also moves data out of the record, which changes its allocated size.
            changed = self.fields.state & binding.INODE_NAME_DIRTY or self.shown != self.name_fields(0)
            if changed and self.volume.writable and not self.is_system:
                self.sync_names()
        finally:
            # Whatever happened, the library must not follow parent references on its own.
            self.fields.state &= ~binding.INODE_NAME_DIRTY
            address, self.address = self.address, 0
            if self.volume.library.ntfs_inode_close(address):
                self.volume.fail(f"writing {self.what}")


def resident_value(data: bytes, what: str) -> bytes:
    """Return the value of a resident attribute given as it stands in its record."""
    size, offset = struct.unpack_from("<IH", data, 16)
    if data[8] or offset + size > len(data):
        raise attribute_records.damaged(what, "an attribute does not fit")
    return data[offset : offset + size]


def with_entry(directory: Inode, number: int, name: attribute_records.FileName, change) -> None:
    """Find a name's entry in a directory's index, let ``change(address of its key)`` edit it and mark it dirty."""
    library, volume = directory.volume.library, directory.volume
    context = library.ntfs_index_ctx_get(directory.address, library.NTFS_INDEX_I30, 4)
    if not context:
        volume.fail(f"reading the index of {directory.what}")
    try:
        key = name.pack()
        if library.ntfs_index_lookup(key, len(key), context):
            if ctypes.get_errno() == errno.ENOENT:
                raise attribute_records.damaged(directory.what, f"the entry of {name.name!r} is missing")
            volume.fail(f"reading the index of {directory.what}")
        found = binding.IndexContext.from_address(context)
        owner = ctypes.c_uint64.from_address(found.entry).value & attribute_records.REFERENCE_MASK
        if found.data_len < 66 or owner != number:
            raise attribute_records.damaged(
                directory.what, f"the entry of {name.name!r} belongs to record {owner}, not {number}"
            )
        change(found.data)
        library.ntfs_index_entry_mark_dirty(context)
    finally:
        library.ntfs_index_ctx_put(context)


def set_namespace(inode: Inode, name: attribute_records.FileName, namespace: int) -> None:
    """Change the namespace byte of one of a file's names, in its record and in the index."""
    directory = inode.volume.acquire(name.parent)
    try:
        with_entry(directory, inode.number, name, lambda entry: ctypes.memmove(entry + 65, bytes([namespace]), 1))
    finally:
        directory.release()
    key = name.pack()
    for address, data, context in inode.walk(attribute_records.FILE_NAME):
        offset = struct.unpack_from("<H", data, 20)[0]
        if resident_value(data, inode.what)[: len(key)] == key:
            ctypes.memmove(address + offset + 65, bytes([namespace]), 1)
            inode.volume.library.ntfs_inode_mark_dirty(binding.SearchContext.from_address(context).ntfs_ino)
    inode.mark_dirty()


def add_name(inode: Inode, directory: Inode, name: attribute_records.FileName, *, first: bool = False) -> None:
    """Give a file one more $FILE_NAME and its entry in ``directory``."""
    library, volume = inode.volume.library, inode.volume
    key = name.pack()
    if library.ntfs_index_add_filename(directory.address, key, inode.reference):
        volume.fail(f"adding {name.name!r} to {directory.what}")
    if library.ntfs_attr_add(inode.address, attribute_records.FILE_NAME, library.AT_UNNAMED, 0, key, len(key)):
        number = ctypes.get_errno()
        library.ntfs_index_remove(directory.address, inode.address, key, len(key))
        volume.fail(f"naming {inode.what}", number)
    inode.link_count = 1 if first else inode.link_count + 1


def remove_name(inode: Inode, directory: Inode, name: attribute_records.FileName) -> None:
    """Take one $FILE_NAME and its entry in ``directory`` away from a file that has others."""
    library, volume = inode.volume.library, inode.volume
    key = name.pack()
    if library.ntfs_index_remove(directory.address, inode.address, key, len(key)):
        volume.fail(f"removing {name.name!r} from {directory.what}")
    for _address, data, context in inode.walk(attribute_records.FILE_NAME):
        if resident_value(data, inode.what)[: len(key)] == key:
            if library.ntfs_attr_record_rm(context):
                volume.fail(f"removing {name.name!r} from {inode.what}")
            break
    inode.link_count = max(inode.link_count - 1, 0)


def destroy(inode: Inode) -> None:
    """Free everything an inode without names owns: index entries, clusters, its records. The inode is gone afterwards."""
    library, volume = inode.volume.library, inode.volume
    fields = inode.fields
    trouble = 0
    inode.link_count = 0
    if library.ntfs_delete_reparse_index(inode.address) or library.ntfs_delete_object_id_index(inode.address):
        trouble = ctypes.get_errno()
    for address, data, _context in inode.walk():
        if data[8]:
            runs = library.ntfs_mapping_pairs_decompress(volume.address, address, None)
            if not runs or library.ntfs_cluster_free_from_rl(volume.address, runs):
                trouble = trouble or ctypes.get_errno() or errno.EIO
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
                trouble = trouble or ctypes.get_errno()
        library.libc_free(extents)
    fields.state &= ~binding.INODE_NAME_DIRTY
    address, inode.address = inode.address, 0
    volume.forget(inode)
    if library.ntfs_mft_record_free(volume.address, address):
        trouble = trouble or ctypes.get_errno()
    if trouble:
        volume.fail(f"deleting {inode.what}", trouble)
