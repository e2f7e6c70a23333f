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
