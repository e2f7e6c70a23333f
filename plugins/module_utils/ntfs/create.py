# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making files: records, attributes and names written once, with their final content."""

from __future__ import annotations

import ctypes
import errno
import struct
import time
from typing import TYPE_CHECKING

from ..common.errors import Conflict, InvalidInput, Unsupported
from . import attribute_records, binding, file_names
from .inode import Inode, add_name, destroy
from .stream import Stream

if TYPE_CHECKING:
    from .node import Node, Times

_EPOCH = 116444736000000000
_MAXIMUM_COMPRESSION_CLUSTER = 4096


def now() -> int:
    """The present as FILETIME."""
    return time.time_ns() // 100 + _EPOCH


def plan_names(
    directory: Node, name: str, short_name: str | None, allow_trailing: bool, existing: int | None = None
) -> list[tuple[str, int]]:
    """Return [(name, namespace)] for a new name and its 8.3 name, checked and found free.

    As Windows does: a name that is a valid 8.3 name stands for both; a long name has an
    8.3 name beside it, or stands alone in the POSIX namespace, which is what Windows
    gives a name when 8.3 names are off. ``existing`` is the record that may own the name.
    """
    file_names.check_name(name, allow_trailing=allow_trailing)
    if existing is None:
        directory.require_free(name)
    if short_name is None:
        return [(name, file_names.WIN32_AND_DOS if file_names.is_short_name(name) else file_names.POSIX)]
    file_names.check_short_name(short_name)
    if directory.volume.upcase(short_name) == directory.volume.upcase(name):
        return [(name, file_names.WIN32_AND_DOS)]
    with_same = directory.child(short_name)
    if with_same is not None:
        with with_same:
            if (
                existing is None
                or with_same.inode.number != existing
                or directory.volume.upcase(with_same.name) == directory.volume.upcase(short_name)
            ):
                raise Conflict(
                    f"The 8.3 name {short_name!r} of {name!r} is in use already.", code="ntfs.short_name_in_use"
                )
    return [(name, file_names.WIN32), (short_name, file_names.DOS)]


def _index_root(volume) -> bytes:
    if volume.cluster_size <= volume.index_size:
        per_block = volume.index_size // volume.cluster_size
    else:
        per_block = volume.index_size // 512
    header = struct.pack("<IIIBxxx", attribute_records.FILE_NAME, 1, volume.index_size, per_block)
    return header + struct.pack("<IIII", 16, 32, 32, 0) + struct.pack("<QHHHxx", 0, 16, 0, 2)


def create(
    directory: Inode,
    plan: list[tuple[str, int]],
    is_directory: bool,
    data: bytes,
    attributes: int,
    times: Times | None,
    security: bytes | None,
) -> Inode:
    """Make a file with all its names in ``directory`` and return its inode; undone when a step fails.

    With ``security`` None it takes the directory's descriptor as it stands.
    """
    volume, library = directory.volume, directory.volume.library
    address = library.ntfs_mft_record_alloc(volume.address, None)
    if not address:
        volume.fail(f"making {plan[0][0]!r}")
    inode = volume.adopt(address)
    fields = inode.fields
    try:
        library.ntfs_inode_invalidate(volume.address, inode.number)
        if volume.cluster_size > _MAXIMUM_COMPRESSION_CLUSTER:
            attributes &= ~attribute_records.COMPRESSED
        fields.flags = attributes
        if times is None:
            present = now()
            times = (present, present, present, present)
        _put_times(inode, times)
        fields.state |= binding.INODE_V3
        standard = bytes(72)
        if library.ntfs_attr_add(address, attribute_records.STANDARD_INFORMATION, library.AT_UNNAMED, 0, standard, 72):
            volume.fail(f"making {plan[0][0]!r}")
        if security is None:
            fields.security_id = directory.fields.security_id
        else:
            set_security(inode, security)
        if is_directory:
            header = ctypes.c_uint16.from_address(fields.mrec + 22)
            header.value |= attribute_records.RECORD_IS_DIRECTORY
            root = _index_root(volume)
            if library.ntfs_attr_add(address, attribute_records.INDEX_ROOT, library.NTFS_INDEX_I30, 4, root, len(root)):
                volume.fail(f"making {plan[0][0]!r}")
        else:
            _add_data(inode, data, sum(24 + (66 + len(file_names.encode(name)) + 7 & ~7) for name, _space in plan))
        inode.shown = shown = inode.name_fields(0)
        for number, (name, namespace) in enumerate(plan):
            add_name(
                inode,
                directory,
                attribute_records.FileName(directory.reference, *shown, namespace, name),
                first=not number,
            )
        # A name may have moved the data out of the record; closing compares with what is shown.
        fields.state &= ~binding.INODE_NAME_DIRTY
        return inode
    except BaseException:
        _undo(inode, directory)
        raise


def _add_data(inode: Inode, data: bytes, names_size: int) -> None:
    volume, library = inode.volume, inode.volume.library
    fits = 24 + (len(data) + 7 & ~7) + names_size + 96 + 72 <= volume.record_size
    first = data if fits and not inode.fields.flags & attribute_records.COMPRESSED else b""
    if library.ntfs_attr_add(inode.address, attribute_records.DATA, library.AT_UNNAMED, 0, first, len(first)):
        volume.fail(f"making {inode.what}")
    inode.fields.data_size = len(first)
    inode.fields.allocated_size = len(first) + 7 & ~7
    if len(first) < len(data):
        with Stream(inode) as stream:
            if not inode.fields.flags & attribute_records.COMPRESSED:
                # The names still have to fit into the record.
                stream.leave_record()
                stream.truncate(len(data), allocate=True)
            stream.pwrite(data, 0)


def _undo(inode: Inode, directory: Inode) -> None:
    # What failed first is reported; what cannot be undone shows in the volume check.
    try:
        if inode.address:
            for name in inode.file_names():
                key = name.pack()
                inode.volume.library.ntfs_index_remove(directory.address, inode.address, key, len(key))
            destroy(inode)
    except Exception:  # pylint: disable=broad-exception-caught
        inode.volume.forget(inode)


def _put_times(inode: Inode, times: Times | tuple[int, int, int, int]) -> None:
    for number in times:
        if not 0 <= number < 1 << 64:
            raise InvalidInput(f"{number} is no FILETIME.", code="ntfs.time")
    fields = inode.fields
    fields.creation_time, fields.last_data_change_time, fields.last_access_time, fields.last_mft_change_time = times


def set_times(inode: Inode, times: Times) -> None:
    """Set the four times (created, written, accessed, changed)."""
    _put_times(inode, times)
    inode.mark_dirty(name=True)


def set_attributes(inode: Inode, attributes: int, mask: int) -> None:
    """Set FILE_ATTRIBUTE_* within ``mask``, keeping those that streams demand."""
    volume, library, fields = inode.volume, inode.volume.library, inode.fields
    if volume.cluster_size > _MAXIMUM_COMPRESSION_CLUSTER:
        mask &= ~attribute_records.COMPRESSED
    if inode.is_directory:
        if (fields.flags ^ attributes) & mask & attribute_records.COMPRESSED:
            compressed = 1 if attributes & attribute_records.COMPRESSED else 0
            if library.ntfs_attr_set_flags(
                inode.address, attribute_records.INDEX_ROOT, library.NTFS_INDEX_I30, 4, compressed, 0xFF
            ):
                volume.fail(f"changing the attributes of {inode.what}")
    else:
        for _address, data, _context in inode.walk(attribute_records.DATA):
            if int.from_bytes(data[12:14], "little") & 0x8000:
                attributes |= attribute_records.SPARSE
    fields.flags = fields.flags & ~mask | attributes & mask
    inode.mark_dirty(name=True)


def set_security(inode: Inode, descriptor: bytes) -> None:
    """Set the security descriptor; one that the volume knows already costs no search."""
    volume, fields = inode.volume, inode.fields
    number = volume.id_by_security.get(descriptor)
    if number is not None and fields.state & binding.INODE_V3:
        fields.security_id = number
        inode.mark_dirty()
        return
    if volume.library.ntfs_set_ntfs_acl(volume.security_context, inode.address, descriptor, len(descriptor), 0):
        number = ctypes.get_errno()
        if number == errno.EINVAL:
            raise InvalidInput("A security descriptor contradicts itself or has no owner.", code="ntfs.security")
        volume.fail(f"setting the security descriptor of {inode.what}", number)
    if not fields.security_id:
        raise Unsupported(
            f"$Secure of {volume.name} takes no security descriptor.",
            code="ntfs.secure",
            hint="Run chkdsk and export the disk again.",
        )
    volume.id_by_security[descriptor] = fields.security_id
    volume.security_by_id[fields.security_id] = descriptor


def stored_eas(data: bytes) -> bytes:
    """Return extended attributes as NTFS stores them: each entry, the last one too, gives its own length."""
    result, position = bytearray(), 0
    while position < len(data):
        if position + 8 > len(data):
            raise InvalidInput("Extended attributes are cut off.", code="ntfs.eas")
        following, flags, name_length, value_length = struct.unpack_from("<IBBH", data, position)
        used = 8 + name_length + 1 + value_length
        length = following or len(data) - position
        if not name_length or used > length or position + used > len(data) or (following and following % 4):
            raise InvalidInput("Extended attributes contradict themselves.", code="ntfs.eas")
        entry = (
            struct.pack("<IBBH", used + 3 & ~3, flags, name_length, value_length) + data[position + 8 : position + used]
        )
        result += entry.ljust(used + 3 & ~3, b"\0")
        position += length
    return bytes(result)
