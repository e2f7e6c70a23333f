# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of files in directories: look-up, new names, removal and 8.3 names."""

from __future__ import annotations

import ctypes
import errno
import struct

from ..common.errors import Conflict, InternalError, NotFound
from . import attribute_records, binding, file_names
from .attribute_records import FileName
from .damage import CHKDSK_HINT, damaged
from .inode import Inode, destroy, resident_value, with_entry

#: A name and its namespace.
PlannedName = tuple[str, int]
#: Hard links that a file can have.
MAXIMUM_LINKS = 1024


# -- entries and $FILE_NAME attributes


def set_namespace(inode: Inode, name: FileName, namespace: int) -> None:
    """Change the namespace byte of a name, in the file's record and in the index."""
    directory = inode.volume.inodes.acquire(name.parent)
    try:
        with_entry(directory, inode.number, name, lambda entry: ctypes.memmove(entry + 65, bytes([namespace]), 1))
    finally:
        directory.release()
    key = name.pack()
    for address, data, context in inode.walk(attribute_records.FILE_NAME):
        offset = struct.unpack_from("<H", data, 20)[0]
        if resident_value(data, inode.subject)[: len(key)] == key:
            ctypes.memmove(address + offset + 65, bytes([namespace]), 1)
            inode.volume.library.ntfs_inode_mark_dirty(binding.SearchContext.from_address(context).ntfs_ino)
    inode.mark_dirty()


def add_name(inode: Inode, directory: Inode, name: FileName, *, first: bool = False) -> None:
    """Add a $FILE_NAME to a file and its entry to ``directory``; ``first`` is true for a new file."""
    library, volume = inode.volume.library, inode.volume
    key = name.pack()
    if library.ntfs_index_add_filename(directory.address, key, inode.reference):
        volume.fail(f"adding {name.name!r} to {directory.subject}")
    if library.ntfs_attr_add(inode.address, attribute_records.FILE_NAME, library.AT_UNNAMED, 0, key, len(key)):
        number = ctypes.get_errno()
        library.ntfs_index_remove(directory.address, inode.address, key, len(key))
        volume.fail(f"naming {inode.subject}", number)
    inode.link_count = 1 if first else inode.link_count + 1


def remove_name(inode: Inode, directory: Inode, name: FileName) -> None:
    """Remove a $FILE_NAME from a file that has other names, and its entry from ``directory``."""
    library, volume = inode.volume.library, inode.volume
    key = name.pack()
    if library.ntfs_index_remove(directory.address, inode.address, key, len(key)):
        volume.fail(f"removing {name.name!r} from {directory.subject}")
    for _address, data, context in inode.walk(attribute_records.FILE_NAME):
        if resident_value(data, inode.subject)[: len(key)] == key:
            if library.ntfs_attr_record_rm(context):
                volume.fail(f"removing {name.name!r} from {inode.subject}")
            break
    inode.link_count = max(inode.link_count - 1, 0)


# -- look-up


def lookup(directory: Inode, name: str) -> int | None:
    """Return the reference of the file with this long or 8.3 name, ignoring case; None if it does not exist."""
    units = file_names.encode(name)
    if not 0 < len(units) <= 2 * file_names.MAXIMUM_UNITS:
        return None
    if not directory.is_directory:
        raise InternalError(f"{directory.subject} is a file, not a directory.", code="ntfs.not_directory")
    volume = directory.volume
    reference = volume.library.ntfs_inode_lookup_by_name(directory.address, units, len(units) // 2)
    if reference == binding.NO_REFERENCE:
        if ctypes.get_errno() != errno.ENOENT:
            volume.fail(f"reading the index of {directory.subject}")
        return None
    return reference


def spelled_name(directory: Inode, inode: Inode, name: str) -> str:
    """Return the stored spelling of the long name of the link to which ``name``, its long or 8.3 name, belongs."""
    volume = directory.volume
    folded = volume.upcase(name)
    spelling = partner = None
    for link in inode.file_names():
        if link.parent == directory.reference:
            if volume.upcase(link.name) == folded and link.namespace != file_names.DOS:
                spelling = link.name
            elif link.namespace == file_names.WIN32:
                partner = link.name
    if spelling is not None:
        return spelling
    if partner is not None:
        return partner
    raise damaged(inode.subject, f"it does not have the name {name!r} that its directory lists")


def short_name_of(inode: Inode, parent: int | None, name: str | None) -> str | None:
    """Return the separate 8.3 name of the link ``name`` in ``parent``; None if it has none or the name is an 8.3 name."""
    links = [link for link in inode.file_names() if link.parent == parent]
    if any(link.namespace == file_names.WIN32 and link.name == name for link in links):
        for link in links:
            if link.namespace == file_names.DOS:
                return link.name
    return None


# -- new names


def plan_names(
    directory: Inode, name: str, short_name: str | None, allow_trailing: bool, existing: int | None = None
) -> list[PlannedName]:
    """Return [(name, namespace)] for a new name and its 8.3 name, after checking them.

    The namespaces are those that Windows uses: a name that is a valid 8.3 name is both. A
    long name has a separate 8.3 name, or is alone in the POSIX namespace, as when the
    creation of 8.3 names is disabled. ``existing`` is the record number of the file that
    has the name already.

    Raises InvalidInput for an invalid name, Conflict for a name that is in use.
    """
    file_names.check_name(name, allow_trailing=allow_trailing)
    if existing is None and lookup(directory, name) is not None:
        raise Conflict(
            f"{name!r} already exists in {_directory_name(directory)}.",
            code="ntfs.exists",
            hint="Remove one of the two files from the layers, or rename it.",
        )
    if short_name is None:
        return [(name, file_names.WIN32_AND_DOS if file_names.is_short_name(name) else file_names.POSIX)]
    file_names.check_short_name(short_name)
    volume = directory.volume
    folded = volume.upcase(short_name)
    if folded == volume.upcase(name):
        return [(name, file_names.WIN32_AND_DOS)]
    reference = lookup(directory, short_name)
    if reference is not None:
        owner = volume.inodes.acquire(reference)
        try:
            long_name = spelled_name(directory, owner, short_name)
            if existing is None or owner.number != existing or volume.upcase(long_name) == folded:
                raise Conflict(
                    f"The 8.3 name {short_name!r} of {name!r} is already in use by {long_name!r}.",
                    code="ntfs.short_name_in_use",
                    hint="Remove the 8.3 name from the source of the layer, or rename one of the two files.",
                )
        finally:
            owner.release()
    return [(name, file_names.WIN32), (short_name, file_names.DOS)]


def _directory_name(directory: Inode) -> str:
    links = [link.name for link in directory.file_names() if link.namespace != file_names.DOS]
    return "the root directory" if links[:1] in ([], ["."]) else repr(links[0])


def link_name(directory: Inode, inode: Inode, name: str, short_name: str | None, allow_trailing: bool) -> None:
    """Add a hard link ``name`` in ``directory`` to a file.

    Raises Conflict when the file has an 8.3 name and the link should have another, when the
    file has too many links, or when the name is in use.
    """
    has_short_name = any(link.namespace != file_names.POSIX for link in inode.file_names())
    if has_short_name and short_name is not None:
        raise _second_short_name(name)
    if inode.link_count >= MAXIMUM_LINKS:
        raise too_many_links(repr(name), inode.link_count + 1)
    plan = plan_names(directory, name, short_name, allow_trailing)
    extra = inode.name_extra()
    for number, (text, namespace) in enumerate(plan):
        if has_short_name and not number:
            namespace = file_names.POSIX
        # Adding a name can move data out of the record, which changes the fields.
        add_name(inode, directory, inode.name_fields().file_name(directory.reference, extra, namespace, text))
    inode.mark_dirty()


def too_many_links(name: str, count: int) -> Conflict:
    """Return the error for a file that would have ``count`` hard links; ``name`` is one of its names."""
    return Conflict(
        f"The file with the name {name} would have {count} hard links; the limit of NTFS is {MAXIMUM_LINKS}.",
        code="ntfs.too_many_links",
        hint="Replace hard links by copies in the source of the layer.",
    )


def _second_short_name(name: str) -> Conflict:
    return Conflict(
        f"The link {name!r} cannot have an 8.3 name: another link of the file has an 8.3 name.",
        code="ntfs.second_short_name",
        hint="Give only one link of the file an 8.3 name.",
    )


# -- changes


def unlink(inode: Inode, parent: int, name: str) -> None:
    """Remove a name and its 8.3 name from ``parent``, and the file with its last name."""
    volume = inode.volume
    directory = volume.inodes.acquire(parent)
    try:
        links = inode.file_names()
        removed = [
            link for link in links if link.parent == parent and link.name == name and link.namespace != file_names.DOS
        ][:1]
        if not removed:
            raise NotFound(f"{inode.subject} has no name {name!r}.", code="ntfs.no_name", hint=CHKDSK_HINT)
        if removed[0].namespace == file_names.WIN32:
            removed += [link for link in links if link.parent == parent and link.namespace == file_names.DOS]
        for link in removed[1:]:
            remove_name(inode, directory, link)
        if len(removed) < len(links):
            remove_name(inode, directory, removed[0])
            inode.mark_dirty()
        else:
            key = removed[0].pack()
            if volume.library.ntfs_index_remove(directory.address, inode.address, key, len(key)):
                volume.fail(f"removing {name!r}")
            destroy(inode)
    finally:
        directory.release()


def set_short_name(inode: Inode, parent: int, name: str, short_name: str | None) -> None:
    """Add, replace or (with None) remove the 8.3 name of the link ``name`` in ``parent``.

    Raises InvalidInput for an invalid name, Conflict when the 8.3 name is in use or another
    link of the file has an 8.3 name.
    """
    directory = inode.volume.inodes.acquire(parent)
    try:
        links = inode.file_names()
        mine = next(
            link for link in links if link.parent == parent and link.name == name and link.namespace != file_names.DOS
        )
        others = [link for link in links if link is not mine]
        old = []
        if mine.namespace == file_names.WIN32:
            old = [link for link in others if link.namespace == file_names.DOS and link.parent == parent]
        plan = plan_names(directory, name, short_name, True, existing=inode.number)
        if any(link.namespace != file_names.POSIX for link in others if link not in old):
            if short_name is not None:
                raise _second_short_name(name)
            plan = [(name, file_names.POSIX)]
        for link in old:
            remove_name(inode, directory, link)
        set_namespace(inode, mine, plan[0][1])
        fields, extra = inode.name_fields(), inode.name_extra()
        for text, namespace in plan[1:]:
            add_name(inode, directory, fields.file_name(parent, extra, namespace, text))
    finally:
        directory.release()
