# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata of a file: times, attributes, security descriptor, reparse point, extended attributes, object ID."""

from __future__ import annotations

import ctypes
import errno
import struct

from ..common.errors import Conflict, InvalidInput, Unsupported
from . import attribute_records, binding
from .damage import CHKDSK_HINT
from .inode import Inode
from .times import Times

#: FILE_ATTRIBUTE_* that can be set; the other attributes follow from the content of the file.
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
#: Bytes of the largest security descriptor that NTFS and Windows accept.
MAXIMUM_SECURITY = 64 * 1024
#: NTFS compresses only on volumes with clusters up to this size (bytes).
MAXIMUM_COMPRESSION_CLUSTER = 4096
_RECALL_ON_OPEN = 0x40000
_MAXIMUM_REPARSE = 16 * 1024 + 8
_MICROSOFT_TAG = 0x80000000
#: Offset of the names in a reparse point, by tag: mount point, symbolic link.
_NAMES_OFFSET = {0xA0000003: 16, 0xA000000C: 20}


# -- times and attributes


def read_times(inode: Inode) -> Times:
    """Return the four times of a file."""
    fields = inode.fields
    times = (
        fields.creation_time,
        fields.last_data_change_time,
        fields.last_access_time,
        fields.last_mft_change_time,
    )
    return Times(*(time & 0xFFFFFFFFFFFFFFFF for time in times))


def check_time(number: int) -> None:
    """Raise InvalidInput ``ntfs.time`` for a number that is not a FILETIME."""
    if not 0 <= number < 1 << 64:
        raise InvalidInput(
            f"{number} is not a valid FILETIME.",
            code="ntfs.time",
            hint="Correct the times of the file in the source of the layer.",
        )


def put_times(inode: Inode, times: Times) -> None:
    """Set the four times in memory; raise InvalidInput for a number that is not a FILETIME."""
    for number in times:
        check_time(number)
    fields = inode.fields
    fields.creation_time, fields.last_data_change_time, fields.last_access_time, fields.last_mft_change_time = times


def set_times(inode: Inode, times: Times) -> None:
    """Set the four times."""
    put_times(inode, times)
    inode.mark_dirty(name=True)


def set_attributes(inode: Inode, attributes: int, mask: int) -> None:
    """Set FILE_ATTRIBUTE_* within ``mask``, keeping attributes that the streams require."""
    volume, library, fields = inode.volume, inode.volume.library, inode.fields
    if volume.cluster_size > MAXIMUM_COMPRESSION_CLUSTER:
        mask &= ~attribute_records.COMPRESSED
    if inode.is_directory:
        if (fields.flags ^ attributes) & mask & attribute_records.COMPRESSED:
            compressed = 1 if attributes & attribute_records.COMPRESSED else 0
            if library.ntfs_attr_set_flags(
                inode.address, attribute_records.INDEX_ROOT, library.NTFS_INDEX_I30, 4, compressed, 0xFF
            ):
                inode.fail("changing the attributes of")
    else:
        for _address, data, _context in inode.walk(attribute_records.DATA):
            if int.from_bytes(data[12:14], "little") & 0x8000:
                attributes |= attribute_records.SPARSE
    fields.flags = fields.flags & ~mask | attributes & mask
    inode.mark_dirty(name=True)


# -- security descriptor


def security_id(inode: Inode) -> int:
    """Return the number of the security descriptor in $Secure; 0 if the file has its own descriptor or none."""
    return inode.fields.security_id if inode.fields.state & binding.INODE_V3 else 0


def read_security(inode: Inode) -> bytes | None:
    """Return the self-relative security descriptor, or None if the file has none."""
    volume = inode.volume
    number = security_id(inode)
    if not number:
        return inode.read_attribute(attribute_records.SECURITY_DESCRIPTOR, MAXIMUM_SECURITY)
    descriptor = volume.security_by_id.get(number)
    if descriptor is None:
        buffer = ctypes.create_string_buffer(MAXIMUM_SECURITY)
        size = volume.library.ntfs_get_ntfs_acl(volume.security_context, inode.address, buffer, MAXIMUM_SECURITY)
        if not 0 < size <= MAXIMUM_SECURITY:
            inode.fail("reading the security descriptor of", max(-size, 0))
        descriptor = volume.security_by_id[number] = buffer.raw[:size]
        volume.id_by_security.setdefault(descriptor, number)
    return descriptor


def check_security(descriptor: bytes) -> None:
    """Raise InvalidInput ``ntfs.security`` for a security descriptor that cannot be set."""
    if not binding.library().ntfs_valid_descr(descriptor, len(descriptor)):
        raise _invalid_security()


def _invalid_security() -> InvalidInput:
    return InvalidInput(
        "A security descriptor is inconsistent, or has no owner or group.",
        code="ntfs.security",
        hint="Correct the security descriptor in the source of the layer.",
    )


def set_security(inode: Inode, descriptor: bytes) -> None:
    """Set the security descriptor; a descriptor that this volume has used before needs no search in $Secure."""
    volume, fields = inode.volume, inode.fields
    number = volume.id_by_security.get(descriptor)
    if number is not None and fields.state & binding.INODE_V3:
        fields.security_id = number
        inode.mark_dirty()
        return
    if volume.library.ntfs_set_ntfs_acl(volume.security_context, inode.address, descriptor, len(descriptor), 0):
        number = ctypes.get_errno()
        if number == errno.EINVAL:
            raise _invalid_security()
        inode.fail("setting the security descriptor of", number)
    if not fields.security_id:
        raise Unsupported(
            f"{volume.name} cannot store a security descriptor: $Secure accepts none.",
            code="ntfs.secure",
            hint=CHKDSK_HINT,
        )
    volume.id_by_security[descriptor] = fields.security_id
    volume.security_by_id[fields.security_id] = descriptor


# -- reparse point


def check_reparse(data: bytes) -> None:
    """Raise InvalidInput ``ntfs.reparse`` for a reparse point whose sizes are not consistent."""
    if not 8 <= len(data) <= _MAXIMUM_REPARSE:
        raise _invalid_reparse(f"it has {len(data)} bytes; the limits are 8 and {_MAXIMUM_REPARSE} bytes")
    tag, length = struct.unpack_from("<IH", data)
    header = 8 if tag & _MICROSOFT_TAG else 24
    if not tag or header + length != len(data):
        raise _invalid_reparse("its tag, length and data are inconsistent")
    names = _NAMES_OFFSET.get(tag)
    if names is not None:
        if len(data) < names:
            raise _invalid_reparse("its tag, length and data are inconsistent")
        start, size = struct.unpack_from("<HH", data, 8)
        if names + start + size > len(data):
            raise _invalid_reparse("its tag, length and data are inconsistent")


def set_reparse(inode: Inode, data: bytes | None) -> None:
    """Set the reparse point (tag, length, data), or remove it with None."""
    library, fields = inode.volume.library, inode.fields
    if data is None:
        if fields.flags & attribute_records.REPARSE and library.ntfs_remove_ntfs_reparse_data(inode.address):
            inode.fail("removing the reparse point of")
    else:
        check_reparse(data)
        # The library accepts some WSL tags only with FILE_ATTRIBUTE_RECALL_ON_OPEN, which Windows does not require.
        kept = fields.flags & _RECALL_ON_OPEN
        fields.flags |= _RECALL_ON_OPEN
        failed = library.ntfs_set_ntfs_reparse_data(inode.address, data, len(data), 0)
        number = ctypes.get_errno()
        fields.flags = fields.flags & ~_RECALL_ON_OPEN | kept
        if failed and number == errno.EINVAL:
            raise _invalid_reparse("its tag, length and data are inconsistent")
        if failed:
            inode.fail("setting the reparse point of", number)
    inode.mark_dirty(name=True)


def _invalid_reparse(cause: str) -> InvalidInput:
    return InvalidInput(
        f"A reparse point is invalid: {cause}.",
        code="ntfs.reparse",
        hint="Correct or remove the reparse point in the source of the layer.",
    )


# -- extended attributes


def set_eas(inode: Inode, data: bytes | None) -> None:
    """Set all extended attributes (FILE_FULL_EA_INFORMATION entries), or remove them with None."""
    library = inode.volume.library
    if data is None:
        if library.ntfs_remove_ntfs_ea(inode.address) and ctypes.get_errno() != errno.ENODATA:
            inode.fail("removing the extended attributes of")
    else:
        stored = stored_eas(data)
        if library.ntfs_set_ntfs_ea(inode.address, stored, len(stored), 0):
            number = ctypes.get_errno()
            if number == errno.EINVAL:
                raise _invalid_eas("their entries are inconsistent")
            inode.fail("setting the extended attributes of", number)
    inode.mark_dirty(name=True)


def stored_eas(data: bytes) -> bytes:
    """Return extended attributes as NTFS stores them: every entry, including the last entry, gives its own length.

    Raises InvalidInput ``ntfs.eas`` when they are inconsistent.
    """
    result, position = bytearray(), 0
    while position < len(data):
        if position + 8 > len(data):
            raise _invalid_eas("they are truncated")
        following, flags, name_length, value_length = struct.unpack_from("<IBBH", data, position)
        used = 8 + name_length + 1 + value_length
        length = following or len(data) - position
        if not name_length or used > length or position + used > len(data) or (following and following % 4):
            raise _invalid_eas("their entries are inconsistent")
        entry = (
            struct.pack("<IBBH", used + 3 & ~3, flags, name_length, value_length) + data[position + 8 : position + used]
        )
        result += entry.ljust(used + 3 & ~3, b"\0")
        position += length
    return bytes(result)


def _invalid_eas(cause: str) -> InvalidInput:
    return InvalidInput(
        f"Extended attributes of a file are invalid: {cause}.",
        code="ntfs.eas",
        hint="Correct or remove the extended attributes in the source of the layer.",
    )


# -- object ID


def read_object_id(inode: Inode) -> bytes | None:
    """Return the object ID (16 bytes, or 64 with birth IDs), or None if the file has none."""
    if inode.read_attribute(attribute_records.OBJECT_ID) is None:
        return None
    # Only the index of $Extend/$ObjId has the birth IDs.
    buffer = ctypes.create_string_buffer(64)
    size = inode.volume.library.ntfs_get_ntfs_object_id(inode.address, buffer, 64)
    if size not in (16, 64):
        inode.fail("reading the object ID of", max(-size, 0))
    return buffer.raw[:size] if any(buffer.raw[16:size]) else buffer.raw[:16]


def check_object_id(data: bytes) -> None:
    """Raise InvalidInput ``ntfs.object_id`` for an object ID of a wrong size."""
    if len(data) not in (16, 64):
        raise InvalidInput(
            f"An object ID has {len(data)} bytes; it must have 16 bytes, or 64 bytes with its birth IDs.",
            code="ntfs.object_id",
            hint="Correct or remove the object ID in the source of the layer.",
        )


def set_object_id(inode: Inode, data: bytes | None) -> None:
    """Set the object ID (16 bytes, or 64 with birth IDs), or remove it with None; raise Conflict when it is in use."""
    volume, library = inode.volume, inode.volume.library
    if data is None:
        if library.ntfs_remove_ntfs_object_id(inode.address) and ctypes.get_errno() != errno.ENODATA:
            inode.fail("removing the object ID of")
    else:
        check_object_id(data)
        if library.ntfs_set_ntfs_object_id(inode.address, data, len(data), 0):
            number = ctypes.get_errno()
            if number == errno.EEXIST:
                raise Conflict(
                    f"The object ID {data[:16].hex()} is already in use by another file of {volume.name}.",
                    code="ntfs.object_id_in_use",
                    hint="Remove the object ID of one of the two files from the source of the layer.",
                )
            inode.fail("setting the object ID of", number)
    inode.mark_dirty()
