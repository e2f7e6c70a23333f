# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files and directories of a mounted volume."""

from __future__ import annotations

from collections.abc import Iterator

from ..common.errors import InternalError, InvalidInput, NotFound
from . import attribute_records, directory_index, file_names, links, metadata
from .create import NewFile, create
from .damage import damaged
from .inode import Inode, resident_value
from .mounted_volume import MountedVolume
from .stream import Stream, remove_stream
from .times import Times
from .wof import container as wof

#: Depth to which delete() follows directories: a path of 32,767 UTF-16 units has at most this number of names.
MAXIMUM_DEPTH = 16384


class Node:
    """An open file or directory; a context manager that must be closed.

    Several nodes may refer to the same file. ``name`` is the stored spelling of the name in
    ``parent`` (a file reference); None when the file was opened by reference alone.

    Every method that changes the file raises InvalidInput ``ntfs.system_file`` for a file
    that belongs to NTFS itself.
    """

    def __init__(self, volume: MountedVolume, inode: Inode, name: str | None, parent: int | None) -> None:
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
        """The open inode."""
        if self._inode is None or not self._inode.address:
            raise InternalError(f"The file {self.name!r} is closed.", code="ntfs.closed")
        return self._inode

    def _changeable(self) -> Inode:
        """Return the inode of a file that may be changed."""
        if not self.volume.writable:
            raise InternalError(f"{self.volume.name} is mounted read-only.", code="ntfs.read_only")
        self.require_changeable()
        return self.inode

    def require_changeable(self) -> None:
        """Raise InvalidInput ``ntfs.system_file`` if the file belongs to NTFS itself."""
        if self.inode.is_system:
            raise InvalidInput(
                f"{self.name!r} belongs to NTFS itself and cannot be changed.",
                code="ntfs.system_file",
                hint="Remove the file from the source of the layer.",
            )

    # -- properties

    @property
    def is_directory(self) -> bool:
        """Whether the file is a directory."""
        return self.inode.is_directory

    @property
    def file_reference(self) -> int:
        """Record number (lower 48 bits) and sequence number (upper 16 bits)."""
        return self.inode.reference

    @property
    def link_count(self) -> int:
        """The number of hard links, without 8.3 names."""
        return sum(1 for name in self.inode.file_names() if name.namespace != file_names.DOS)

    @property
    def file_names(self) -> list[attribute_records.FileName]:
        """Every $FILE_NAME: long names and 8.3 names of all links."""
        return self.inode.file_names()

    @property
    def attributes(self) -> int:
        """FILE_ATTRIBUTE_* of $STANDARD_INFORMATION, with FILE_ATTRIBUTE_DIRECTORY for a directory."""
        inode = self.inode
        return inode.fields.flags | (attribute_records.DIRECTORY if inode.is_directory else 0)

    @property
    def is_case_sensitive(self) -> bool:
        """Whether names in this directory are case-sensitive (``fsutil file setCaseSensitiveInfo``)."""
        inode = self.inode
        value = inode.read_attribute(attribute_records.STANDARD_INFORMATION) if inode.is_directory else None
        return attribute_records.is_case_sensitive(value or b"")

    @property
    def times(self) -> Times:
        """The four times."""
        return metadata.read_times(self.inode)

    @property
    def size(self) -> int:
        """Bytes of the data of the file itself; 0 for a directory."""
        inode = self.inode
        return 0 if inode.is_directory else inode.fields.data_size

    @property
    def security(self) -> bytes | None:
        """The self-relative security descriptor; None if the file has none."""
        return metadata.read_security(self.inode)

    @property
    def reparse(self) -> bytes | None:
        """The reparse point with its tag and length, or None."""
        return self.inode.read_attribute(attribute_records.REPARSE_POINT)

    @property
    def is_external(self) -> bool:
        """Whether Windows stores the data outside of the unnamed stream (CompactOS), which then reads as zeros.

        ``open_content`` and ``read_content`` read the data.
        """
        return not self.is_directory and self._external_reparse() is not None

    def _external_reparse(self) -> bytes | None:
        """Return the reparse point of Windows Overlay Filter, None if the file has none."""
        reparse = self.reparse if self.attributes & attribute_records.REPARSE else None
        return reparse if wof.is_compressed(reparse) else None

    @property
    def eas(self) -> bytes | None:
        """The extended attributes as NTFS stores them (FILE_FULL_EA_INFORMATION, each entry with its offset), or None."""
        return self.inode.read_attribute(attribute_records.EA)

    @property
    def object_id(self) -> bytes | None:
        """The object ID (16 bytes, or 64 with birth IDs), or None."""
        return metadata.read_object_id(self.inode)

    @property
    def short_name(self) -> str | None:
        """The separate 8.3 name of this link; None if it has none or its name is an 8.3 name."""
        return None if self.parent is None else links.short_name_of(self.inode, self.parent, self.name)

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
                raise damaged(inode.subject, "an attribute does not fit")
            name = file_names.decode(data[offset : offset + 2 * length])
            if data[8]:
                if len(data) >= 64 and not int.from_bytes(data[16:24], "little"):
                    result.append((name, int.from_bytes(data[48:56], "little")))
            else:
                result.append((name, len(resident_value(data, inode.subject))))
        return result

    # -- directories

    def children(self) -> Iterator[directory_index.Child]:
        """Yield (name, reference, is_directory, attributes) of each file of a directory, in the order of the index.

        8.3 names and NTFS's own files in the root are left out.
        """
        return directory_index.children(self.inode)

    def child(self, name: str) -> Node | None:
        """Open a file of this directory by its long or 8.3 name, ignoring case; return None if it does not exist."""
        directory = self.inode
        reference = links.lookup(directory, name)
        if reference is None:
            return None
        inode = self.volume.inodes.acquire(reference)
        try:
            return Node(self.volume, inode, links.spelled_name(directory, inode, name), directory.reference)
        except BaseException:
            inode.release()
            raise

    def open_child(self, reference: int, name: str) -> Node:
        """Open a file that ``children`` has listed, without a search."""
        return Node(self.volume, self.volume.inodes.acquire(reference), name, self.inode.reference)

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
        """Create a file with its data and open it.

        Without ``security`` the file gets the descriptor of the directory, unchanged; callers
        apply inheritance with ``file_security.inherit``. Without ``times`` it gets the current
        time.

        Raises:
            Conflict ntfs.exists, ntfs.short_name_in_use: a name is in use, ignoring case.
            InvalidInput ntfs.name, ntfs.short_name: Windows does not allow a name.
            InvalidInput ntfs.time, ntfs.security: the metadata is invalid.
            NoSpace ntfs.no_space: the volume is full.
        """
        return self._create(name, NewFile(False, data, attributes, times, security), short_name, allow_trailing)

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
        """Create a directory and open it; see ``create_file``."""
        return self._create(name, NewFile(True, b"", attributes, times, security), short_name, allow_trailing)

    def _create(self, name: str, new: NewFile, short_name: str | None, allow_trailing: bool) -> Node:
        directory = self._changeable()
        plan = links.plan_names(directory, name, short_name, allow_trailing)
        return Node(self.volume, create(directory, plan, new), name, directory.reference)

    def link(self, node: Node, name: str, *, short_name: str | None = None, allow_trailing: bool = False) -> Node:
        """Give a file another name in this directory and open it by that name.

        Raises:
            Conflict ntfs.second_short_name: another link of the file has an 8.3 name.
            Conflict ntfs.too_many_links: the file has 1024 links.
            Conflict, InvalidInput: see ``create_file``.
        """
        directory, inode = self._changeable(), node.inode
        if inode.is_directory:
            raise InvalidInput(
                f"{node.name!r} is a directory; NTFS has hard links to files only.",
                code="ntfs.directory_link",
                hint="Remove the link from the source of the layer.",
            )
        links.link_name(directory, inode, name, short_name, allow_trailing)
        inode.references += 1
        return Node(self.volume, inode, name, directory.reference)

    def delete(self) -> None:
        """Remove this name, and the file with its last name; a directory with all its files.

        The node is closed afterwards. Other nodes of a removed file can only be closed.
        """
        inode = self._changeable()
        if self.parent is None or not self.name:
            raise InternalError(
                f"{inode.subject} was not opened by a name in a directory and cannot be deleted.", code="ntfs.no_name"
            )
        if inode.is_directory:
            self._empty(0)
        links.unlink(inode, self.parent, self.name)
        self.close()

    def _empty(self, depth: int) -> None:
        if depth > MAXIMUM_DEPTH:
            raise damaged(self.inode.subject, "its directories are nested too deeply")
        for entry in list(self.children()):
            child = self.open_child(entry.reference, entry.name)
            try:
                if child.is_directory:
                    child._empty(depth + 1)  # pylint: disable=protected-access
                child.delete()
            finally:
                child.close()

    # -- data

    def open_stream(self, name: str = "", *, create_missing: bool = False) -> Stream:
        """Open the data of the file itself ("") or an alternate stream; raise NotFound if it does not exist."""
        return Stream(self._changeable() if create_missing else self.inode, name, create=create_missing)

    def read(self, count: int = -1, offset: int = 0, stream: str = "") -> bytes:
        """Return ``count`` bytes of a stream from ``offset`` (all bytes by default); raise NotFound if it does not exist."""
        with Stream(self.inode, stream) as data:
            return data.pread(data.size if count < 0 else count, offset)

    def open_content(self) -> Stream | wof.CompressedStream:
        """Open the data of the file as Windows shows it: that of a file that CompactOS compressed is decompressed.

        Raises:
            Corrupt ntfs.compact_os_damaged: the compressed data contradicts itself, here or when it is read.
            Unsupported ntfs.compact_os_provider: the data is not in the file, or is compressed in an unknown way.
        """
        inode = self.inode
        reparse = self._external_reparse()
        if reparse is None or inode.is_directory:
            return Stream(inode)
        compression = wof.read_compression(reparse, inode.describe)
        try:
            stream = Stream(inode, wof.STREAM)
        except NotFound as error:
            raise wof.damaged(inode.describe(), f"it has no stream {wof.STREAM}") from error
        try:
            return wof.CompressedStream(stream, compression, self.size, inode.describe)
        except BaseException:
            stream.close()
            raise

    def read_content(self, count: int = -1, offset: int = 0) -> bytes:
        """Return ``count`` bytes from ``offset`` (all bytes by default) of the data as ``open_content`` reads it."""
        with self.open_content() as data:
            return data.pread(data.size if count < 0 else count, offset)

    def remove_compression(self) -> None:
        """Make a file that CompactOS compressed an empty file; other files do not change.

        Without its reparse point and compressed stream, Windows reads the data that is written afterwards.
        """
        if not self.is_external:
            return
        inode = self._changeable()
        times, attributes = self.times, self.attributes
        self.truncate(0)
        self.set_reparse(None)
        names = [name for name, _size in self.streams]
        for name in (wof.STREAM, ""):
            if not name or name in names:
                remove_stream(inode, name)
        self.truncate(0)
        self.set_attributes(attributes & ~attribute_records.SPARSE)
        self.set_times(times)

    def write(self, data: bytes, offset: int = 0, stream: str = "") -> None:
        """Write at ``offset`` of a stream, which is created if it does not exist."""
        with Stream(self._changeable(), stream, create=True) as target:
            target.pwrite(data, offset)

    def truncate(self, size: int, stream: str = "", *, allocate: bool = False) -> None:
        """Set the size of a stream; see ``Stream.truncate``."""
        with Stream(self._changeable(), stream, create=True) as target:
            target.truncate(size, allocate=allocate)

    # -- metadata

    def set_attributes(self, attributes: int) -> None:
        """Set FILE_ATTRIBUTE_*; attributes that follow from the content of the file do not change.

        ``COMPRESSED`` affects empty streams and, on a directory, files that are created in it
        afterwards; ``SPARSE`` stays set while a stream is sparse.
        """
        metadata.set_attributes(self._changeable(), attributes & metadata.SETTABLE, metadata.SETTABLE)

    def set_times(self, times: Times) -> None:
        """Set the four times exactly; later changes through this class do not update them."""
        metadata.set_times(self._changeable(), times)

    def set_security(self, descriptor: bytes) -> None:
        """Set the self-relative security descriptor; raise InvalidInput ``ntfs.security`` if it is invalid."""
        metadata.set_security(self._changeable(), descriptor)

    def set_reparse(self, data: bytes | None) -> None:
        """Set the reparse point (tag, length, data), or remove it with None; raise InvalidInput ``ntfs.reparse`` if it is invalid."""
        metadata.set_reparse(self._changeable(), data)

    def set_eas(self, data: bytes | None) -> None:
        """Set all extended attributes (FILE_FULL_EA_INFORMATION entries), or remove them with None.

        Raises InvalidInput ``ntfs.eas`` if they are invalid.
        """
        metadata.set_eas(self._changeable(), data)

    def set_object_id(self, data: bytes | None) -> None:
        """Set the object ID (16 bytes, or 64 with birth IDs), or remove it with None.

        Raises InvalidInput ``ntfs.object_id`` if it is invalid, Conflict ``ntfs.object_id_in_use``
        if another file has it.
        """
        metadata.set_object_id(self._changeable(), data)

    def set_short_name(self, short_name: str | None) -> None:
        """Add, replace or (with None) remove the 8.3 name of this link.

        Raises InvalidInput ``ntfs.short_name`` for an invalid name, Conflict when the name is in
        use or another link of the file has an 8.3 name.
        """
        inode = self._changeable()
        if self.short_name == short_name:
            return
        if self.parent is None or not self.name:
            raise InternalError(
                f"{inode.subject} was not opened by a name in a directory and cannot have an 8.3 name.",
                code="ntfs.no_name",
            )
        links.set_short_name(inode, self.parent, self.name, short_name)
