# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and directories of a mounted volume."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ..common.errors import Conflict, InvalidInput, NotFound, Unsupported
from . import attribute_records, binding, create, directory_index, file_names
from .inode import Inode, add_name, destroy, remove_name, resident_value, set_namespace
from .stream import Stream

if TYPE_CHECKING:
    from .volume import Volume

#: FILE_ATTRIBUTE_* that can be set; the others follow from what the file is.
SETTABLE = (
    attribute_records.READONLY
    | attribute_records.HIDDEN
    | attribute_records.SYSTEM
    | attribute_records.ARCHIVE
    | 0x100
    | attribute_records.SPARSE
    | attribute_records.COMPRESSED
    | attribute_records.OFFLINE
    | attribute_records.NOT_INDEXED
    | 0x8000
    | 0x20000
    | 0x40000
    | 0x80000
    | 0x100000
    | 0x400000
)
#: The largest security descriptor that NTFS and Windows accept.
MAXIMUM_SECURITY = 64 * 1024
#: How deep delete() follows directories: a path of 32,767 units has no more.
MAXIMUM_DEPTH = 16384


class Times(NamedTuple):
    """The four times of a file, FILETIME: 100 ns since 1601-01-01 UTC."""

    created: int
    written: int
    accessed: int
    changed: int


class Node:
    """An open file or directory; a context manager that must be closed.

    Several nodes may stand for the same file. ``name`` is the name it was found by in
    ``parent`` (a file reference), in its stored spelling; None when it was opened by
    reference alone.
    """

    def __init__(self, volume: Volume, inode: Inode, name: str | None, parent: int | None) -> None:
        self.volume = volume
        self.name = name
        self.parent = parent
        self._inode: Inode | None = inode

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Write and release the file; closing twice is allowed."""
        inode, self._inode = self._inode, None
        if inode is not None and inode.address:
            inode.release()

    @property
    def inode(self) -> Inode:
        """The open inode; InvalidInput when the node is closed or its file deleted."""
        if self._inode is None or not self._inode.address:
            raise InvalidInput(f"The file {self.name!r} is closed.", code="ntfs.closed")
        return self._inode

    # -- what it is

    @property
    def is_directory(self) -> bool:
        return self.inode.is_directory

    @property
    def file_reference(self) -> int:
        """Record number (lower 48 bits) and sequence number (upper 16)."""
        return self.inode.reference

    @property
    def link_count(self) -> int:
        """Hard links, an 8.3 name not counted."""
        return sum(1 for name in self.inode.file_names() if name.namespace != file_names.DOS)

    @property
    def file_names(self) -> list[attribute_records.FileName]:
        """Every $FILE_NAME: parent reference, namespace and name among others."""
        return self.inode.file_names()

    @property
    def attributes(self) -> int:
        """FILE_ATTRIBUTE_* of $STANDARD_INFORMATION, with FILE_ATTRIBUTE_DIRECTORY for a directory."""
        inode = self.inode
        return inode.fields.flags | (attribute_records.DIRECTORY if inode.is_directory else 0)

    @property
    def times(self) -> Times:
        fields = self.inode.fields
        return Times(
            *(
                time & 0xFFFFFFFFFFFFFFFF
                for time in (
                    fields.creation_time,
                    fields.last_data_change_time,
                    fields.last_access_time,
                    fields.last_mft_change_time,
                )
            )
        )

    @property
    def size(self) -> int:
        """Bytes of the file's own data; 0 for a directory."""
        inode = self.inode
        return 0 if inode.is_directory else inode.fields.data_size

    @property
    def security_id(self) -> int:
        """The number of the security descriptor in $Secure; 0 when the file carries its own or none."""
        inode = self.inode
        return inode.fields.security_id if inode.fields.state & binding.INODE_V3 else 0

    @property
    def security(self) -> bytes | None:
        """The self-relative security descriptor, byte by byte; None when the file has none."""
        inode, volume = self.inode, self.volume
        number = self.security_id
        known = volume.security_by_id.get(number) if number else None
        if known is None:
            if not number:
                return inode.read_attribute(attribute_records.SECURITY_DESCRIPTOR, MAXIMUM_SECURITY)
            buffer = ctypes.create_string_buffer(MAXIMUM_SECURITY)
            size = volume.library.ntfs_get_ntfs_acl(volume.security_context, inode.address, buffer, MAXIMUM_SECURITY)
            if not 0 < size <= MAXIMUM_SECURITY:
                volume.fail(f"reading the security descriptor of {inode.what}", max(-size, 0))
            known = volume.security_by_id[number] = buffer.raw[:size]
            volume.id_by_security.setdefault(known, number)
        return known

    @property
    def reparse(self) -> bytes | None:
        """The reparse point with its tag and length, or None."""
        return self.inode.read_attribute(attribute_records.REPARSE_POINT)

    @property
    def eas(self) -> bytes | None:
        """The extended attributes as NTFS stores them (FILE_FULL_EA_INFORMATION, each entry with its offset), or None."""
        return self.inode.read_attribute(attribute_records.EA)

    @property
    def object_id(self) -> bytes | None:
        """The object ID (16 bytes, or 64 when it has birth IDs), or None."""
        inode = self.inode
        if inode.read_attribute(attribute_records.OBJECT_ID) is None:
            return None
        # The birth IDs are in the index of $Extend/$ObjId only.
        buffer = ctypes.create_string_buffer(64)
        size = self.volume.library.ntfs_get_ntfs_object_id(inode.address, buffer, 64)
        if size not in (16, 64):
            self.volume.fail(f"reading the object ID of {inode.what}", max(-size, 0))
        return buffer.raw[:size] if any(buffer.raw[16:size]) else buffer.raw[:16]

    @property
    def short_name(self) -> str | None:
        """The separate 8.3 name of this link; None when it has none or its name is one itself."""
        inode = self.inode
        if self.parent is None:
            return None
        found = inode.file_names()
        if any(
            name.parent == self.parent and name.namespace == file_names.WIN32 and name.name == self.name
            for name in found
        ):
            for name in found:
                if name.parent == self.parent and name.namespace == file_names.DOS:
                    return name.name
        return None

    @property
    def streams(self) -> list[tuple[str, int]]:
        """The alternate streams, [(name, size)]."""
        inode = self.inode
        result = []
        for _address, data, _context in inode.walk(attribute_records.DATA):
            length, offset = data[9], int.from_bytes(data[10:12], "little")
            if not length:
                continue
            if offset + 2 * length > len(data):
                raise attribute_records.damaged(inode.what, "an attribute does not fit")
            name = file_names.decode(data[offset : offset + 2 * length])
            if data[8]:
                if len(data) >= 64 and not int.from_bytes(data[16:24], "little"):
                    result.append((name, int.from_bytes(data[48:56], "little")))
            else:
                result.append((name, len(resident_value(data, inode.what))))
        return result

    # -- directories

    def children(self) -> Iterator[directory_index.Child]:
        """Yield (name, reference, is_directory, attributes) of each file of a directory, in the index's order.

        8.3 names are left out, and so is what NTFS itself keeps in the root.
        """
        return directory_index.children(self.inode)

    def child(self, name: str) -> Node | None:
        """Open a file of this directory by its long or 8.3 name, whatever the case; None when there is none."""
        reference = self._lookup(name)
        if reference is None:
            return None
        directory = self.inode.reference
        inode = self.volume.acquire(reference)
        try:
            folded = self.volume.upcase(name)
            spelling = partner = None
            for found in inode.file_names():
                if found.parent == directory:
                    if self.volume.upcase(found.name) == folded and found.namespace != file_names.DOS:
                        spelling = found.name
                    elif found.namespace == file_names.WIN32:
                        partner = found.name
            if spelling is None and partner is None:
                raise attribute_records.damaged(
                    inode.what, f"it does not carry the name {name!r} by which its directory knows it"
                )
            return Node(self.volume, inode, spelling if spelling is not None else partner, directory)
        except BaseException:
            inode.release()
            raise

    def _lookup(self, name: str) -> int | None:
        units = file_names.encode(name)
        if not 0 < len(units) <= 2 * file_names.MAXIMUM_UNITS:
            return None
        inode = self.inode
        if not inode.is_directory:
            raise InvalidInput(f"{self.name!r} is a file, not a directory.", code="ntfs.not_directory")
        reference = self.volume.library.ntfs_inode_lookup_by_name(inode.address, units, len(units) // 2)
        if reference == binding.NO_REFERENCE:
            if ctypes.get_errno() != errno.ENOENT:
                self.volume.fail(f"reading the index of {inode.what}")
            return None
        return reference

    def create_file(
        self,
        name: str,
        data: bytes = b"",
        *,
        attributes: int = attribute_records.ARCHIVE,
        times: Times | None = None,
        security: bytes | None = None,
        short_name: str | None = None,
        allow_trailing: bool = False,
    ) -> Node:
        """Make a file with its data and open it.

        Conflict when the name, or the 8.3 name, is in use in any case; InvalidInput when
        Windows could not hold the name. Without ``security`` the file has the
        descriptor of the directory, as it stands: callers inherit with ``security.inherit``.
        Without ``times`` it is made now.
        """
        return self._create(name, False, data, attributes, times, security, short_name, allow_trailing)

    def create_directory(
        self,
        name: str,
        *,
        attributes: int = 0,
        times: Times | None = None,
        security: bytes | None = None,
        short_name: str | None = None,
        allow_trailing: bool = False,
    ) -> Node:
        """Make a directory and open it; as create_file."""
        return self._create(name, True, b"", attributes, times, security, short_name, allow_trailing)

    def _create(self, name, is_directory, data, attributes, times, security, short_name, allow_trailing) -> Node:
        self._changeable()
        plan = create.plan_names(self, name, short_name, allow_trailing)
        if security is None and not self.security_id:
            security = self.security
        inode = create.create(self.inode, plan, is_directory, data, attributes & SETTABLE, times, security)
        return Node(self.volume, inode, name, self.inode.reference)

    def require_free(self, name: str) -> None:
        """Raise Conflict when ``name`` is in use in this directory, in any case, as a long or an 8.3 name."""
        if self._lookup(name) is not None:
            raise Conflict(f"{name!r} exists already in {self.name or 'the root'!r}.", code="ntfs.exists")

    def link(self, node: Node, name: str, *, short_name: str | None = None, allow_trailing: bool = False) -> Node:
        """Give a file another name in this directory and open it by that.

        Only one of a file's names can have an 8.3 name beside it: Conflict for a second.
        """
        self._changeable()
        inode = node.inode
        if inode.is_directory:
            raise InvalidInput("NTFS has no hard links to directories.", code="ntfs.directory_link")
        taken = any(found.namespace != file_names.POSIX for found in inode.file_names())
        if taken and short_name is not None:
            raise Conflict(
                f"{node.name!r} has an 8.3 name already; a second link cannot have one.", code="ntfs.second_short_name"
            )
        if inode.link_count >= 1024:
            raise Conflict(f"{node.name!r} has as many hard links as NTFS allows.", code="ntfs.too_many_links")
        plan = create.plan_names(self, name, short_name, allow_trailing)
        extra = inode.name_extra()
        for number, (text, namespace) in enumerate(plan):
            if taken and not number:
                namespace = file_names.POSIX
            fields = inode.name_fields(extra)
            add_name(inode, self.inode, attribute_records.FileName(self.inode.reference, *fields, namespace, text))
        inode.mark_dirty()
        inode.references += 1
        return Node(self.volume, inode, name, self.inode.reference)

    def delete(self) -> None:
        """Remove this name, and the file when it was its last; a directory with everything in it.

        The node is closed afterwards. Other nodes of a removed file can only be closed.
        """
        self._changeable()
        inode = self.inode
        if self.parent is None or not self.name:
            raise InvalidInput(
                "A file can only be deleted by its name in a directory, and the root not at all.", code="ntfs.no_name"
            )
        if inode.is_directory:
            self._empty(0)
        parent = self.volume.acquire(self.parent)
        try:
            found = inode.file_names()
            mine = [
                one
                for one in found
                if one.parent == self.parent and one.name == self.name and one.namespace != file_names.DOS
            ]
            if not mine:
                raise NotFound(f"{inode.what} has no name {self.name!r} any more.", code="ntfs.no_name")
            going = mine[:1]
            if mine[0].namespace == file_names.WIN32:
                going += [one for one in found if one.parent == self.parent and one.namespace == file_names.DOS]
            for one in going[1:]:
                remove_name(inode, parent, one)
            if len(going) < len(found):
                remove_name(inode, parent, going[0])
                inode.mark_dirty()
            else:
                key = going[0].pack()
                if self.volume.library.ntfs_index_remove(parent.address, inode.address, key, len(key)):
                    self.volume.fail(f"removing {self.name!r}")
                destroy(inode)
        finally:
            parent.release()
        self.close()

    def _empty(self, depth: int) -> None:
        if depth > MAXIMUM_DEPTH:
            raise attribute_records.damaged(self.inode.what, "its directories are nested too deeply")
        for found in list(self.children()):
            child = self.volume.open(found.reference, found.name, self.inode.reference)
            try:
                if child.is_directory:
                    child._empty(depth + 1)  # pylint: disable=protected-access
                child.delete()
            finally:
                child.close()

    def _changeable(self) -> None:
        if not self.volume.writable:
            raise Unsupported(f"{self.volume.name} is mounted read-only.", code="ntfs.read_only")
        if self.inode.is_system:
            raise InvalidInput(f"{self.name!r} belongs to NTFS itself and cannot be changed.", code="ntfs.system_file")

    # -- data

    def open_stream(self, name: str = "", *, create_missing: bool = False) -> Stream:
        """Open the file's own data (""), or an alternate stream."""
        if create_missing:
            self._changeable()
        return Stream(self.inode, name, create=create_missing)

    def read(self, count: int = -1, offset: int = 0, stream: str = "") -> bytes:
        """Return ``count`` bytes of a stream from ``offset`` (everything by default); NotFound when it is missing."""
        with Stream(self.inode, stream) as data:
            return data.pread(data.size if count < 0 else count, offset)

    def write(self, data: bytes, offset: int = 0, stream: str = "") -> None:
        """Write at ``offset`` of a stream, which is made when it is missing."""
        self._changeable()
        with Stream(self.inode, stream, create=True) as target:
            target.pwrite(data, offset)

    def truncate(self, size: int, stream: str = "", *, allocate: bool = False) -> None:
        """Set a stream's size; see Stream.truncate."""
        self._changeable()
        with Stream(self.inode, stream, create=True) as target:
            target.truncate(size, allocate=allocate)

    def delete_stream(self, name: str) -> None:
        """Remove an alternate stream."""
        self._changeable()
        with Stream(self.inode, name) as stream:
            stream.delete()

    # -- metadata

    def set_attributes(self, attributes: int) -> None:
        """Set FILE_ATTRIBUTE_*; those that follow from what the file is stay as they are.

        ``COMPRESSED`` takes effect on streams that are empty and, on a directory, on
        files made in it afterwards; ``SPARSE`` stays set while a stream is sparse.
        """
        self._changeable()
        create.set_attributes(self.inode, attributes & SETTABLE, SETTABLE)

    def set_times(self, times: Times) -> None:
        """Set the four times exactly; later changes through this class leave them alone."""
        self._changeable()
        create.set_times(self.inode, times)

    def set_security(self, descriptor: bytes) -> None:
        """Set the self-relative security descriptor, byte by byte; InvalidInput when it is none."""
        self._changeable()
        create.set_security(self.inode, descriptor)

    def set_reparse(self, data: bytes | None) -> None:
        """Set the reparse point (tag, length, data), or remove it with None."""
        self._changeable()
        inode, library = self.inode, self.volume.library
        if data is None:
            if inode.fields.flags & attribute_records.REPARSE and library.ntfs_remove_ntfs_reparse_data(inode.address):
                self.volume.fail(f"removing the reparse point of {inode.what}")
        else:
            if not 8 <= len(data) <= 16 * 1024 + 8:
                raise InvalidInput(
                    "A reparse point has a tag, a length and at most 16 KiB of data.", code="ntfs.reparse"
                )
            # Some WSL tags are accepted only beside FILE_ATTRIBUTE_RECALL_ON_OPEN, which Windows does not demand.
            kept = inode.fields.flags & 0x40000
            inode.fields.flags |= 0x40000
            failed = library.ntfs_set_ntfs_reparse_data(inode.address, data, len(data), 0)
            number = ctypes.get_errno()
            inode.fields.flags = inode.fields.flags & ~0x40000 | kept
            if failed and number == errno.EINVAL:
                raise InvalidInput(f"The reparse point for {self.name!r} contradicts itself.", code="ntfs.reparse")
            if failed:
                self.volume.fail(f"setting the reparse point of {inode.what}", number)
        inode.mark_dirty(name=True)

    def set_eas(self, data: bytes | None) -> None:
        """Set all extended attributes (FILE_FULL_EA_INFORMATION entries), or remove them with None."""
        self._changeable()
        inode, library = self.inode, self.volume.library
        if data is None:
            if library.ntfs_remove_ntfs_ea(inode.address) and ctypes.get_errno() != errno.ENODATA:
                self.volume.fail(f"removing the extended attributes of {inode.what}")
        else:
            stored = create.stored_eas(data)
            if library.ntfs_set_ntfs_ea(inode.address, stored, len(stored), 0):
                number = ctypes.get_errno()
                if number == errno.EINVAL:
                    raise InvalidInput(
                        f"The extended attributes for {self.name!r} contradict themselves.", code="ntfs.eas"
                    )
                self.volume.fail(f"setting the extended attributes of {inode.what}", number)
        inode.mark_dirty(name=True)

    def set_object_id(self, data: bytes | None) -> None:
        """Set the object ID (16 bytes, or 64 with birth IDs), or remove it with None; Conflict when another file has it."""
        self._changeable()
        inode, library = self.inode, self.volume.library
        if data is None:
            if library.ntfs_remove_ntfs_object_id(inode.address) and ctypes.get_errno() != errno.ENODATA:
                self.volume.fail(f"removing the object ID of {inode.what}")
        else:
            if len(data) not in (16, 64):
                raise InvalidInput("An object ID has 16 bytes, or 64 with its birth IDs.", code="ntfs.object_id")
            if library.ntfs_set_ntfs_object_id(inode.address, data, len(data), 0):
                number = ctypes.get_errno()
                if number == errno.EEXIST:
                    raise Conflict("Another file of the volume has this object ID.", code="ntfs.object_id_in_use")
                self.volume.fail(f"setting the object ID of {inode.what}", number)
        inode.mark_dirty()

    def set_short_name(self, short_name: str | None) -> None:
        """Give this link an 8.3 name, replace it, or remove it with None."""
        self._changeable()
        if self.short_name == short_name:
            return
        inode = self.inode
        if self.parent is None or not self.name:
            raise InvalidInput("An 8.3 name belongs to a file's name in a directory.", code="ntfs.no_name")
        with self.volume.open(self.parent) as parent:
            found = inode.file_names()
            mine = next(
                one
                for one in found
                if one.parent == self.parent and one.name == self.name and one.namespace != file_names.DOS
            )
            others = [one for one in found if one is not mine]
            old = (
                [one for one in others if one.namespace == file_names.DOS and one.parent == self.parent]
                if mine.namespace == file_names.WIN32
                else []
            )
            plan = create.plan_names(parent, self.name, short_name, True, existing=inode.number)
            if any(one.namespace != file_names.POSIX for one in others if one not in old):
                if short_name is not None:
                    raise Conflict(
                        f"Another link of {self.name!r} has an 8.3 name already.", code="ntfs.second_short_name"
                    )
                plan = [(self.name, file_names.POSIX)]
            for one in old:
                remove_name(inode, parent.inode, one)
            set_namespace(inode, mine, plan[0][1])
            fields = inode.name_fields(inode.name_extra())
            for text, namespace in plan[1:]:
                add_name(inode, parent.inode, attribute_records.FileName(self.parent, *fields, namespace, text))
