# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ctypes structures and function signatures of libntfs-3g.

Source: the headers of ntfs-3g 2022.10.3, whose shared library has the soname
``libntfs-3g.so.89``; a soname identifies one layout of the structures. Only the leading
fields that the collection uses are declared.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from ..common.errors import MissingLibrary

SONAME = "libntfs-3g.so.89"

# ntfs_mount_flags
MOUNT_READ_ONLY = 0x1
MOUNT_FORENSIC = 0x04000000

# bits of ntfs_device.d_state, ntfs_volume.state and ntfs_inode.state
DEVICE_OPEN = 1 << 0
DEVICE_READ_ONLY = 1 << 1
VOLUME_COMPRESSION = 1 << 6
INODE_DIRTY = 1 << 0
INODE_NAME_DIRTY = 1 << 3
INODE_V3 = 1 << 4

#: ntfs_inode_lookup_by_name returns this when the name does not exist.
NO_REFERENCE = 0xFFFFFFFFFFFFFFFF

_p = ctypes.c_void_p
_i = ctypes.c_int
_s64 = ctypes.c_int64
_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32
_u16 = ctypes.c_uint16
_u8 = ctypes.c_uint8
_bytes = ctypes.c_char_p


class NtfsDevice(ctypes.Structure):
    """struct ntfs_device"""

    _fields_ = [
        ("d_ops", _p),
        ("d_state", ctypes.c_ulong),
        ("d_name", _p),
        ("d_private", _p),
        ("d_heads", _i),
        ("d_sectors_per_track", _i),
    ]


OPEN = ctypes.CFUNCTYPE(_i, _p, _i, use_errno=True)
CLOSE = ctypes.CFUNCTYPE(_i, _p, use_errno=True)
SEEK = ctypes.CFUNCTYPE(_s64, _p, _s64, _i, use_errno=True)
READ = ctypes.CFUNCTYPE(_s64, _p, _p, _s64, use_errno=True)
PREAD = ctypes.CFUNCTYPE(_s64, _p, _p, _s64, _s64, use_errno=True)
STAT = ctypes.CFUNCTYPE(_i, _p, _p, use_errno=True)
IOCTL = ctypes.CFUNCTYPE(_i, _p, ctypes.c_ulong, _p, use_errno=True)


class NtfsDeviceOperations(ctypes.Structure):
    """struct ntfs_device_operations"""

    _fields_ = [
        ("open", OPEN),
        ("close", CLOSE),
        ("seek", SEEK),
        ("read", READ),
        ("write", READ),
        ("pread", PREAD),
        ("pwrite", PREAD),
        ("sync", CLOSE),
        ("stat", STAT),
        ("ioctl", IOCTL),
    ]


class NtfsVolume(ctypes.Structure):
    """struct _ntfs_volume up to free_mft_records"""

    _fields_ = [
        ("dev", _p),
        ("vol_name", _p),
        ("state", ctypes.c_ulong),
        ("vol_ni", _p),
        ("major_ver", _u8),
        ("minor_ver", _u8),
        ("flags", _u16),
        ("sector_size", _u16),
        ("sector_size_bits", _u8),
        ("cluster_size", _u32),
        ("mft_record_size", _u32),
        ("indx_record_size", _u32),
        ("cluster_size_bits", _u8),
        ("mft_record_size_bits", _u8),
        ("indx_record_size_bits", _u8),
        ("mft_zone_multiplier", _u8),
        ("full_zones", _u8),
        ("mft_data_pos", _s64),
        ("mft_zone_start", _s64),
        ("mft_zone_end", _s64),
        ("mft_zone_pos", _s64),
        ("data1_zone_pos", _s64),
        ("data2_zone_pos", _s64),
        ("nr_clusters", _s64),
        ("lcnbmp_ni", _p),
        ("lcnbmp_na", _p),
        ("mft_lcn", _s64),
        ("mft_ni", _p),
        ("mft_na", _p),
        ("mftbmp_na", _p),
        ("secure_ni", _p),
        ("secure_xsii", _p),
        ("secure_xsdh", _p),
        ("secure_reentry", _i),
        ("secure_flags", ctypes.c_uint),
        ("mftmirr_size", _i),
        ("mftmirr_lcn", _s64),
        ("mftmirr_ni", _p),
        ("mftmirr_na", _p),
        ("upcase", _p),
        ("upcase_len", _u32),
        ("locase", _p),
        ("attrdef", _p),
        ("attrdef_len", ctypes.c_int32),
        ("free_clusters", _s64),
        ("free_mft_records", _s64),
    ]


class NtfsInode(ctypes.Structure):
    """struct _ntfs_inode"""

    _fields_ = [
        ("mft_no", _u64),
        ("mrec", _p),
        ("vol", _p),
        ("state", ctypes.c_ulong),
        ("flags", _u32),
        ("attr_list_size", _u32),
        ("attr_list", _p),
        ("nr_extents", ctypes.c_int32),
        ("extents", _p),
        ("data_size", _s64),
        ("allocated_size", _s64),
        ("creation_time", _s64),
        ("last_data_change_time", _s64),
        ("last_mft_change_time", _s64),
        ("last_access_time", _s64),
        ("owner_id", _u32),
        ("security_id", _u32),
        ("quota_charged", _u64),
        ("usn", _u64),
    ]


class NtfsAttribute(ctypes.Structure):
    """struct _ntfs_attr"""

    _fields_ = [
        ("rl", _p),
        ("ni", _p),
        ("type", _u32),
        ("data_flags", _u16),
        ("name", _p),
        ("name_len", _u32),
        ("state", ctypes.c_ulong),
        ("allocated_size", _s64),
        ("data_size", _s64),
        ("initialized_size", _s64),
        ("compressed_size", _s64),
    ]


class SearchContext(ctypes.Structure):
    """struct _ntfs_attr_search_ctx"""

    _fields_ = [
        ("mrec", _p),
        ("attr", _p),
        ("is_first", _i),
        ("ntfs_ino", _p),
        ("al_entry", _p),
        ("base_ntfs_ino", _p),
        ("base_mrec", _p),
        ("base_attr", _p),
    ]


class IndexContext(ctypes.Structure):
    """ntfs_index_context up to data_len"""

    _fields_ = [("ni", _p), ("name", _p), ("name_len", _u32), ("entry", _p), ("data", _p), ("data_len", _u16)]


class RunElement(ctypes.Structure):
    """struct _runlist_element"""

    _fields_ = [("vcn", _s64), ("lcn", _s64), ("length", _s64)]


class SecurityContext(ctypes.Structure):
    """struct SECURITY_CONTEXT"""

    _fields_ = [
        ("vol", _p),
        ("mapping", _p * 2),
        ("pseccache", _p),
        ("uid", _u32),
        ("gid", _u32),
        ("tid", _i),
        ("umask", _u32),
    ]


_SIGNATURES = {
    "ntfs_device_alloc": (_p, [_bytes, ctypes.c_long, _p, _p]),
    "ntfs_device_free": (_i, [_p]),
    "ntfs_device_mount": (_p, [_p, ctypes.c_ulong]),
    "ntfs_umount": (_i, [_p, _i]),
    "ntfs_set_ignore_case": (_i, [_p]),
    "ntfs_open_secure": (_i, [_p]),
    "ntfs_inode_open": (_p, [_p, _u64]),
    "ntfs_inode_close": (_i, [_p]),
    "ntfs_inode_mark_dirty": (None, [_p]),
    "ntfs_inode_invalidate": (None, [_p, _u64]),
    "ntfs_inode_lookup_by_name": (_u64, [_p, _bytes, _i]),
    "ntfs_mft_record_alloc": (_p, [_p, _p]),
    "ntfs_mft_record_free": (_i, [_p, _p]),
    "ntfs_attr_get_search_ctx": (_p, [_p, _p]),
    "ntfs_attr_put_search_ctx": (None, [_p]),
    "ntfs_attr_lookup": (_i, [_u32, _p, _u32, _i, _s64, _p, _u32, _p]),
    "ntfs_attr_record_rm": (_i, [_p]),
    "ntfs_attr_add": (_i, [_p, _u32, _p, _u8, _bytes, _s64]),
    "ntfs_attr_remove": (_i, [_p, _u32, _p, _u32]),
    "ntfs_attr_open": (_p, [_p, _u32, _p, _u32]),
    "ntfs_attr_close": (None, [_p]),
    "ntfs_attr_pclose": (_i, [_p]),
    "ntfs_attr_pread": (_s64, [_p, _s64, _s64, _p]),
    "ntfs_attr_pwrite": (_s64, [_p, _s64, _s64, _p]),
    "ntfs_attr_truncate": (_i, [_p, _s64]),
    "ntfs_attr_truncate_solid": (_i, [_p, _s64]),
    "ntfs_attr_force_non_resident": (_i, [_p]),
    "ntfs_attr_map_whole_runlist": (_i, [_p]),
    "ntfs_attr_set_flags": (_i, [_p, _u32, _p, _u8, _u16, _u16]),
    "ntfs_index_ctx_get": (_p, [_p, _p, _u32]),
    "ntfs_index_ctx_put": (None, [_p]),
    "ntfs_index_lookup": (_i, [_bytes, _i, _p]),
    "ntfs_index_entry_mark_dirty": (None, [_p]),
    "ntfs_index_add_filename": (_i, [_p, _bytes, _u64]),
    "ntfs_index_remove": (_i, [_p, _p, _bytes, _i]),
    "ntfs_mapping_pairs_decompress": (_p, [_p, _p, _p]),
    "ntfs_cluster_free_from_rl": (_i, [_p, _p]),
    "ntfs_delete_reparse_index": (_i, [_p]),
    "ntfs_delete_object_id_index": (_i, [_p]),
    "ntfs_get_ntfs_acl": (_i, [_p, _p, _p, ctypes.c_size_t]),
    "ntfs_set_ntfs_acl": (_i, [_p, _p, _bytes, ctypes.c_size_t, _i]),
    "ntfs_valid_descr": (_i, [_bytes, ctypes.c_uint]),
    "ntfs_set_ntfs_reparse_data": (_i, [_p, _bytes, ctypes.c_size_t, _i]),
    "ntfs_remove_ntfs_reparse_data": (_i, [_p]),
    "ntfs_set_ntfs_ea": (_i, [_p, _bytes, ctypes.c_size_t, _i]),
    "ntfs_remove_ntfs_ea": (_i, [_p]),
    "ntfs_get_ntfs_object_id": (_i, [_p, _p, ctypes.c_size_t]),
    "ntfs_set_ntfs_object_id": (_i, [_p, _bytes, ctypes.c_size_t, _i]),
    "ntfs_remove_ntfs_object_id": (_i, [_p]),
    "ntfs_log_set_handler": (None, [_p]),
}


class _Library(ctypes.CDLL):
    """The library with the addresses that it compares names with, and the function ``free`` of libc."""

    AT_UNNAMED: int
    NTFS_INDEX_I30: int
    libc_free: Any


@functools.cache
def library() -> _Library:
    """Return libntfs-3g with its signatures set and its log to standard error silenced.

    Raises MissingLibrary when the shared library is not installed.
    """
    try:
        handle = _Library(SONAME, use_errno=True)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(handle, name)
            function.restype = result
            function.argtypes = arguments
        handle.AT_UNNAMED = ctypes.addressof(ctypes.c_uint16.in_dll(handle, "AT_UNNAMED"))
        handle.NTFS_INDEX_I30 = ctypes.addressof(ctypes.c_uint16.in_dll(handle, "NTFS_INDEX_I30"))
        quiet = ctypes.cast(handle.ntfs_log_handler_null, _p)
    except (OSError, AttributeError) as error:
        raise MissingLibrary(
            f"The system library {SONAME} is not installed.",
            code="ntfs.missing_library",
            hint="Install the package libntfs-3g89 (Debian, Ubuntu) or ntfs-3g-libs (Fedora, EPEL), or run the role strata.layering.composer.",
            library=SONAME,
        ) from error
    handle.ntfs_log_set_handler(quiet)
    libc = ctypes.CDLL(None)
    libc.free.restype = None
    libc.free.argtypes = [_p]
    handle.libc_free = libc.free
    return handle
