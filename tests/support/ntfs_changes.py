# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of files that Windows makes and the engine does not."""

from __future__ import annotations

import ctypes

from ...plugins.module_utils.ntfs import attribute_records, file_names
from ...plugins.module_utils.ntfs.node import Node


def delete_stream(node: Node, name: str) -> None:
    """Delete an alternate stream of a file."""
    inode, library = node.inode, node.volume.library
    units = file_names.check_stream_name(name)
    attribute = library.ntfs_attr_open(inode.address, attribute_records.DATA, units, len(units) // 2)
    assert attribute, f"{inode.subject} has no stream {name!r}"
    try:
        assert not library.ntfs_attr_rm(ctypes.c_void_p(attribute)), f"removing {name!r} from {inode.subject} failed"
        inode.mark_dirty()
    finally:
        library.ntfs_attr_close(attribute)


def move_out(node: Node, kind: int) -> None:
    """Move the value of an attribute out of the file record."""
    inode, library = node.inode, node.volume.library
    attribute = library.ntfs_attr_open(inode.address, kind, None, 0)
    assert attribute, f"{inode.subject} has no attribute {kind:#x}"
    try:
        assert not library.ntfs_attr_force_non_resident(attribute), f"moving {kind:#x} of {inode.subject} failed"
        inode.mark_dirty()
    finally:
        library.ntfs_attr_close(attribute)


def overwrite(node: Node, kind: int, value: bytes) -> None:
    """Overwrite the value of an attribute in place, without a change of the file record."""
    library = node.volume.library
    attribute = library.ntfs_attr_open(node.inode.address, kind, None, 0)
    try:
        assert library.ntfs_attr_pwrite(attribute, 0, len(value), value) == len(value)
    finally:
        library.ntfs_attr_close(attribute)


def store_own_descriptor(node: Node) -> None:
    """Store the security descriptor in the file record instead of $Secure."""
    inode, library = node.inode, node.volume.library
    descriptor = node.security
    assert descriptor is not None
    kind = attribute_records.SECURITY_DESCRIPTOR
    assert not library.ntfs_attr_add(
        inode.address, kind, library.AT_UNNAMED, 0, descriptor, ctypes.c_int64(len(descriptor))
    )
    inode.fields.security_id = 0
    inode.mark_dirty()
