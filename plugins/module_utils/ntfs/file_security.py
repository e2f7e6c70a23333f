# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security descriptors of files: the default, and what a new file inherits.

Source: [MS-DTYP] 2.5.3.4 (inheritance when a file is made).
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
MODIFY = 0x001301BF
# What the generic rights (all, read, write, execute) mean for a file.
_GENERIC = ((0x10000000, FULL_CONTROL), (0x80000000, 0x00120089), (0x40000000, 0x00120116), (0x20000000, 0x001200A0))
_INHERITANCE = OBJECT_INHERIT | CONTAINER_INHERIT | NO_PROPAGATE | INHERIT_ONLY | INHERITED


def _inherited(acl: Acl, is_directory: bool, owner: bytes, group: bytes, mark: int) -> list[Ace]:
    """The entries a new file gets; ``mark`` is INHERITED where the parent itself inherits automatically."""
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
    """Whether an entry in force says again what an earlier one says; Windows leaves such a one out."""
    said = (ace.type, ace.mask, ace.sid, ace.head, ace.tail)
    return any(
        not one.flags & INHERIT_ONLY and (one.type, one.mask, one.sid, one.head, one.tail) == said for one in earlier
    )


def inherit(parent: bytes, is_directory: bool, *, owner: bytes = ADMINISTRATORS, group: bytes = SYSTEM) -> bytes:
    """Return the descriptor Windows gives a file made in a directory with ``parent`` by ``owner``.

    CREATOR OWNER and CREATOR GROUP become ``owner`` and ``group``. A parent with nothing
    to inherit gives full control to SYSTEM and Administrators. As Windows does, entries
    are marked as inherited only when the parent's list is marked as inheriting automatically.
    """
    above = parse(parent)
    automatic = above.control & (DACL_AUTO_INHERITED | SACL_AUTO_INHERITED)
    dacl_mark = INHERITED if automatic & DACL_AUTO_INHERITED else 0
    sacl_mark = INHERITED if automatic & SACL_AUTO_INHERITED else 0
    dacl = _inherited(above.dacl, is_directory, owner, group, dacl_mark) if above.dacl is not None else []
    sacl = _inherited(above.sacl, is_directory, owner, group, sacl_mark) if above.sacl is not None else []
    if not dacl:
        return default(is_directory, owner=owner, group=group)
    control = DACL_PRESENT | automatic & DACL_AUTO_INHERITED
    if sacl:
        control |= SACL_PRESENT | automatic & SACL_AUTO_INHERITED
    return build(
        SecurityDescriptor(
            control,
            owner,
            group,
            Acl(above.sacl.revision, sacl) if sacl else None,
            Acl(above.dacl.revision, dacl),
        )
    )


def default(
    is_directory: bool, *, owner: bytes = ADMINISTRATORS, group: bytes = SYSTEM, readers: tuple[bytes, ...] = ()
) -> bytes:
    """Return a descriptor with full control for SYSTEM and Administrators, read and execute for ``readers``.

    A directory hands all of it on.
    """
    flags = OBJECT_INHERIT | CONTAINER_INHERIT if is_directory else 0
    aces = [Ace(0, flags, FULL_CONTROL, SYSTEM), Ace(0, flags, FULL_CONTROL, ADMINISTRATORS)]
    aces += [Ace(0, flags, READ_AND_EXECUTE, reader) for reader in readers]
    return build(SecurityDescriptor(DACL_PRESENT, owner, group, None, Acl(2, aces)))
