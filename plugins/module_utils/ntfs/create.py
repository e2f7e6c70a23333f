# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create files: record, attributes and names are written once, with their final content."""

from __future__ import annotations

import ctypes
import dataclasses
import struct

from . import attribute_records, binding, file_names
from .inode import Inode, destroy
from .links import PlannedName, add_name
from .metadata import MAXIMUM_COMPRESSION_CLUSTER, SETTABLE, put_times, read_security, security_id, set_security
from .mounted_volume import MountedVolume
from .stream import Stream
from .times import Times, now


@dataclasses.dataclass(frozen=True, slots=True)
class NewFile:
    """The content of a file or directory to be created.

    With ``times`` None it gets the current time. With ``security`` None it gets the
    descriptor of its directory, unchanged.
    """

    is_directory: bool
    data: bytes = b""
    attributes: int = 0
    times: Times | None = None
    security: bytes | None = None


def _index_root(volume: MountedVolume) -> bytes:
    if volume.cluster_size <= volume.index_size:
        per_block = volume.index_size // volume.cluster_size
    else:
        per_block = volume.index_size // 512
    header = struct.pack("<IIIBxxx", attribute_records.FILE_NAME, 1, volume.index_size, per_block)
    return header + struct.pack("<IIII", 16, 32, 32, 0) + struct.pack("<QHHHxx", 0, 16, 0, 2)


def create(directory: Inode, plan: list[PlannedName], new: NewFile) -> Inode:
    """Create a file with the names of ``plan`` in ``directory`` and return its inode; a failure is rolled back."""
    volume, library = directory.volume, directory.volume.library
    security = new.security
    if security is None and not security_id(directory):
        security = read_security(directory)
    address = library.ntfs_mft_record_alloc(volume.address, None)
    if not address:
        volume.fail(f"creating {plan[0][0]!r}")
    inode = volume.inodes.adopt(address)
    fields = inode.fields
    try:
        library.ntfs_inode_invalidate(volume.address, inode.number)
        fields.flags = new.attributes & SETTABLE
        if volume.cluster_size > MAXIMUM_COMPRESSION_CLUSTER:
            fields.flags &= ~attribute_records.COMPRESSED
        put_times(inode, new.times or Times(*(now(),) * 4))
        fields.state |= binding.INODE_V3
        standard = bytes(72)
        if library.ntfs_attr_add(address, attribute_records.STANDARD_INFORMATION, library.AT_UNNAMED, 0, standard, 72):
            volume.fail(f"creating {plan[0][0]!r}")
        if security is None:
            fields.security_id = directory.fields.security_id
        else:
            set_security(inode, security)
        if new.is_directory:
            header = ctypes.c_uint16.from_address(fields.mrec + 22)
            header.value |= attribute_records.RECORD_IS_DIRECTORY
            root = _index_root(volume)
            if library.ntfs_attr_add(address, attribute_records.INDEX_ROOT, library.NTFS_INDEX_I30, 4, root, len(root)):
                volume.fail(f"creating {plan[0][0]!r}")
        else:
            _add_data(inode, new.data, sum(24 + (66 + len(file_names.encode(name)) + 7 & ~7) for name, _space in plan))
        inode.shown = shown = inode.name_fields()
        for number, (name, namespace) in enumerate(plan):
            add_name(inode, directory, shown.file_name(directory.reference, 0, namespace, name), first=not number)
        # A name may have moved the data out of the record; Inode.close compares the fields with ``shown``.
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
        volume.fail(f"creating {inode.subject}")
    inode.fields.data_size = len(first)
    inode.fields.allocated_size = len(first) + 7 & ~7
    if len(first) < len(data):
        with Stream(inode) as stream:
            if not inode.fields.flags & attribute_records.COMPRESSED:
                # The record must keep space for the names.
                stream.leave_record()
                stream.truncate(len(data), allocate=True)
            stream.pwrite(data, 0)


def _undo(inode: Inode, directory: Inode) -> None:
    # The first failure is reported; the result of a failed rollback is found by a check of the volume.
    try:
        if inode.address:
            for name in inode.file_names():
                key = name.pack()
                inode.volume.library.ntfs_index_remove(directory.address, inode.address, key, len(key))
            destroy(inode)
    except Exception:  # pylint: disable=broad-exception-caught
        inode.volume.inodes.forget(inode)
