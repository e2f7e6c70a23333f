# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a file on two volumes by value: Windows may move data and metadata to another place at any time."""

from __future__ import annotations

from ..common import security_descriptors
from ..common.errors import Corrupt, Unsupported
from ..layers.extended_attributes import SYSTEM_PREFIXES, unpack_eas
from ..ntfs import attribute_records
from ..ntfs.node import Node
from ..ntfs.wof import container as wof

#: Bytes that are compared at a time.
_COMPARED = 1 << 20


def has_same_values(old: Node, new: Node, *, with_eas: bool = True) -> bool:
    """Return whether security descriptor, reparse point and, unless excluded, extended attributes are equal.

    Object IDs do not count: Windows gives an ID to the target of a shortcut and to open files that it tracks. The reparse
    point of CompactOS says how the data is stored; the data is compared by ``has_same_streams``.
    """
    return (
        (None if old.is_external else old.reparse) == (None if new.is_external else new.reparse)
        and (not with_eas or _eas(old) == _eas(new))
        and _is_same_descriptor(old.security, new.security)
    )


def lost_metadata(old: Node, new: Node) -> list[str]:
    """Return the names of the kinds of metadata that a folder no longer has: removed_stream, removed_eas, removed_reparse_point.

    Applying a layer to an image adds and changes metadata of a folder, but removes none.
    """
    lost = []
    if {name for name, _size in old.streams} - {name for name, _size in new.streams}:
        lost.append("removed_stream")
    if _eas(old) and not _eas(new):
        lost.append("removed_eas")
    if old.reparse is not None and new.reparse is None:
        lost.append("removed_reparse_point")
    return lost


def _eas(node: Node) -> object:
    """Return the extended attributes without their order and padding, or the stored bytes if they are inconsistent.

    The attributes that Windows sets by itself are left out.
    """
    stored = node.eas
    if not stored:
        return []
    attributes = unpack_eas(stored)
    if attributes is None:
        return stored
    return sorted(attribute for attribute in attributes if not attribute[0].upper().startswith(SYSTEM_PREFIXES))


def _is_same_descriptor(old: bytes | None, new: bytes | None) -> bool:
    """Return whether two descriptors are equal in content; the parts of a descriptor may be in any order."""
    if old == new or old is None or new is None:
        return old == new
    try:
        return security_descriptors.parse(old) == security_descriptors.parse(new)
    except Corrupt:
        return False


def has_same_streams(old: Node, new: Node) -> bool:
    """Return whether all streams have the same names and content; False for an encrypted file, which cannot be read.

    The data of a file that CompactOS compressed is compared as Windows shows it.
    """
    if (old.attributes | new.attributes) & attribute_records.ENCRYPTED and not new.is_directory:
        return False
    if (_named_streams(old), old.size) != (_named_streams(new), new.size):
        return False
    names = [name for name, _size in _named_streams(new)]
    return all(_is_same_stream(old, new, name) for name in names) and (not new.size or _is_same_data(old, new))


def _named_streams(node: Node) -> list[tuple[str, int]]:
    """Return (name, size) of the named streams, without the compressed data of the file itself."""
    return sorted(stream for stream in node.streams if not (node.is_external and stream[0] == wof.STREAM))


def _is_same_data(old: Node, new: Node) -> bool:
    """Return whether the data of two files of the same size is equal; False if it differs in form and cannot be read."""
    if not (old.is_external or new.is_external):
        return _is_same_stream(old, new, "")
    sizes = [[size for name, size in node.streams if name == wof.STREAM] for node in (old, new)]
    if old.reparse == new.reparse and sizes[0] == sizes[1]:
        if all(_is_same_stream(old, new, name) for name in ("", *[wof.STREAM] * len(sizes[0]))):
            return True
    try:
        with old.open_content() as first, new.open_content() as second:
            return all(
                first.pread(_COMPARED, offset) == second.pread(_COMPARED, offset)
                for offset in range(0, new.size, _COMPARED)
            )
    except (Corrupt, Unsupported) as error:
        if error.code not in wof.UNREADABLE:
            raise
        return False


def _is_same_stream(old: Node, new: Node, name: str) -> bool:
    with old.open_stream(name) as first, new.open_stream(name) as second:
        # Ranges that are holes in both streams are equal.
        for start, length in sorted({*first.extents(), *second.extents()}):
            for offset in range(start, start + length, _COMPARED):
                count = min(_COMPARED, start + length - offset)
                if first.pread(count, offset) != second.pread(count, offset):
                    return False
    return True
