# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security descriptors of files: the default, and inheritance by new files.

Source: [MS-DTYP] 2.5.3.4 (inheritance when a file is created).
"""

from __future__ import annotations

from ..common.security_descriptors import (
    ADMINISTRATORS,
    CONTAINER_INHERIT,
    CREATOR_GROUP,
    CREATOR_OWNER,
    DACL_AUTO_INHERITED,
    DACL_PRESENT,
    INHERIT_ONLY,
    INHERITED,
    NO_PROPAGATE,
    OBJECT_INHERIT,
    SACL_AUTO_INHERITED,
    SACL_PRESENT,
    SYSTEM,
    Ace,
    Acl,
    SecurityDescriptor,
    build,
    map_generic,
    parse,
)

FULL_CONTROL = 0x001F01FF
READ_AND_EXECUTE = 0x001200A9
# Each generic right (all, read, write, execute) and the file rights that it includes.
_GENERIC = ((0x10000000, FULL_CONTROL), (0x80000000, 0x00120089), (0x40000000, 0x00120116), (0x20000000, 0x001200A0))
_INHERITANCE = OBJECT_INHERIT | CONTAINER_INHERIT | NO_PROPAGATE | INHERIT_ONLY | INHERITED


def _inherited(acl: Acl, is_directory: bool, owner: bytes, group: bytes, mark: int) -> list[Ace]:
    """Return the entries that a new file inherits; ``mark`` is INHERITED if the parent's list inherits automatically, else 0."""
    result: list[Ace] = []
    creators = {CREATOR_OWNER: owner, CREATOR_GROUP: group}
    for ace in acl.aces:
        kept = ace.flags & ~_INHERITANCE
        effective = Ace(
            ace.type, kept | mark, map_generic(ace.mask, _GENERIC), creators.get(ace.sid, ace.sid), ace.head, ace.tail
        )
        if not is_directory:
            if ace.flags & OBJECT_INHERIT and not _repeats(effective, result):
                result.append(effective)
            continue
        onward = 0 if ace.flags & NO_PROPAGATE else ace.flags & (OBJECT_INHERIT | CONTAINER_INHERIT)
        if ace.flags & CONTAINER_INHERIT:
            if effective.mask == ace.mask and effective.sid == ace.sid:
                effective.flags |= onward
                result.append(effective)
                continue
            if not _repeats(effective, result):
                result.append(effective)
        if onward:
            result.append(Ace(ace.type, kept | onward | INHERIT_ONLY | mark, ace.mask, ace.sid, ace.head, ace.tail))
    return result


def _repeats(ace: Ace, earlier: list[Ace]) -> bool:
    """Return whether an effective entry repeats an earlier entry; Windows leaves repeated entries out."""
    content = (ace.type, ace.mask, ace.sid, ace.head, ace.tail)
    return any(
        not other.flags & INHERIT_ONLY and (other.type, other.mask, other.sid, other.head, other.tail) == content
        for other in earlier
    )


def inherit(parent: bytes, is_directory: bool, *, owner: bytes = ADMINISTRATORS, group: bytes = SYSTEM) -> bytes:
    """Return the descriptor that Windows gives a file that ``owner`` creates in a directory with the descriptor ``parent``.

    CREATOR OWNER and CREATOR GROUP are replaced by ``owner`` and ``group``. If the parent
    has no inheritable entries, SYSTEM and Administrators get full control. As in Windows,
    entries are marked as inherited only if the parent's list inherits automatically.

    Raises Corrupt for an invalid ``parent``, InvalidInput when the result exceeds 64 KiB.
    """
    above = parse(parent)
    automatic = above.control & (DACL_AUTO_INHERITED | SACL_AUTO_INHERITED)
    dacl_mark = INHERITED if automatic & DACL_AUTO_INHERITED else 0
    sacl_mark = INHERITED if automatic & SACL_AUTO_INHERITED else 0
    aces = _inherited(above.dacl, is_directory, owner, group, dacl_mark) if above.dacl is not None else []
    if above.dacl is None or not aces:
        return default(is_directory, owner=owner, group=group)
    dacl, sacl = Acl(above.dacl.revision, aces), None
    control = DACL_PRESENT | automatic & DACL_AUTO_INHERITED
    if above.sacl is not None:
        aces = _inherited(above.sacl, is_directory, owner, group, sacl_mark)
        if aces:
            sacl = Acl(above.sacl.revision, aces)
            control |= SACL_PRESENT | automatic & SACL_AUTO_INHERITED
    return build(SecurityDescriptor(control, owner, group, sacl, dacl))


def default(
    is_directory: bool, *, owner: bytes = ADMINISTRATORS, group: bytes = SYSTEM, readers: tuple[bytes, ...] = ()
) -> bytes:
    """Return a descriptor with full control for SYSTEM and Administrators, read and execute for ``readers``.

    The entries of a directory are inheritable.
    """
    flags = OBJECT_INHERIT | CONTAINER_INHERIT if is_directory else 0
    aces = [Ace(0, flags, FULL_CONTROL, SYSTEM), Ace(0, flags, FULL_CONTROL, ADMINISTRATORS)]
    aces += [Ace(0, flags, READ_AND_EXECUTE, reader) for reader in readers]
    return build(SecurityDescriptor(DACL_PRESENT, owner, group, None, Acl(2, aces)))
