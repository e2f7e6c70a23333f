# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security descriptors of registry keys: the default for new hives, and the descriptors that new keys inherit.

Source: [MS-DTYP] 2.5.3.4 (inheritance).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from ..common.errors import Corrupt, InvalidInput
from ..common.security_descriptors import (
    ADMINISTRATORS,
    ALL_APPLICATION_PACKAGES,
    CONTAINER_INHERIT,
    CREATOR_GROUP,
    CREATOR_OWNER,
    DACL_AUTO_INHERITED,
    DACL_PRESENT,
    DACL_PROTECTED,
    INHERIT_ONLY,
    INHERITED,
    NO_PROPAGATE,
    OBJECT_INHERIT,
    SACL_AUTO_INHERITED,
    SACL_PRESENT,
    SYSTEM,
    USERS,
    Ace,
    Acl,
    SecurityDescriptor,
    build,
    map_generic,
    parse,
)

KEY_ALL_ACCESS = 0xF003F
KEY_READ = 0x20019
# The specific rights of a key for each generic right (read, write, execute, all).
_GENERIC = ((0x80000000, KEY_READ), (0x40000000, 0x20006), (0x20000000, KEY_READ), (0x10000000, KEY_ALL_ACCESS))
# Kinds of entries (allowed, denied, audit) in which generic rights and creators are replaced.
_REPLACED = (0, 1, 2)
_AUDIT = 0xC0
_REVISION = 2


def allow(trustee: bytes, mask: int, flags: int = CONTAINER_INHERIT) -> Ace:
    """Return an access-allowed entry for the SID ``trustee``."""
    return Ace(0, flags, mask, trustee)


def descriptor(
    entries: Iterable[Ace], *, owner: bytes = ADMINISTRATORS, group: bytes = SYSTEM, protected: bool = False
) -> bytes:
    """Return a self-relative security descriptor with the access control entries ``entries``."""
    control = DACL_PRESENT | (DACL_PROTECTED if protected else 0)
    return build(SecurityDescriptor(control, owner, group, None, Acl(_REVISION, list(entries))))


# The descriptor that Windows sets on the roots of SYSTEM and SOFTWARE.
DEFAULT = descriptor(
    (
        allow(ADMINISTRATORS, KEY_ALL_ACCESS),
        allow(CREATOR_OWNER, KEY_ALL_ACCESS, CONTAINER_INHERIT | INHERIT_ONLY),
        allow(SYSTEM, KEY_ALL_ACCESS),
        allow(USERS, KEY_READ),
        allow(ALL_APPLICATION_PACKAGES, KEY_READ),
    ),
    protected=True,
)


@functools.lru_cache(maxsize=1024)
def inherit(parent: bytes) -> bytes:
    """Return the descriptor of a new key below a key with the descriptor ``parent``.

    Owner and group are the parent's. If the parent has no inheritable entries, or its descriptor
    cannot be read, the new key gets the parent's descriptor, since offline there is no user whose
    default would apply.
    """
    try:
        above = parse(parent)
        if above.owner is None or above.group is None:
            return parent
        dacl, sacl = (_inherited(acl, above.owner, above.group) for acl in (above.dacl, above.sacl))
        if not dacl:
            return parent
        control = DACL_PRESENT | DACL_AUTO_INHERITED | (SACL_PRESENT | SACL_AUTO_INHERITED if sacl else 0)
        return build(
            SecurityDescriptor(
                control, above.owner, above.group, Acl(_REVISION, sacl) if sacl else None, Acl(_REVISION, dacl)
            )
        )
    except (Corrupt, InvalidInput):
        return parent


def _inherited(acl: Acl | None, owner: bytes, group: bytes) -> list[Ace]:
    result = []
    creators = {CREATOR_OWNER: owner, CREATOR_GROUP: group}
    for ace in acl.aces if acl is not None else ():
        if not ace.flags & CONTAINER_INHERIT:
            continue
        passed_on = 0 if ace.flags & NO_PROPAGATE else ace.flags & (OBJECT_INHERIT | CONTAINER_INHERIT)
        kept = ace.flags & _AUDIT | INHERITED
        mask, trustee = ace.mask, ace.sid
        if ace.type in _REPLACED:
            mask, trustee = map_generic(mask, _GENERIC), creators.get(trustee, trustee)
        if (mask, trustee) == (ace.mask, ace.sid) or not passed_on:
            result.append(Ace(ace.type, kept | passed_on, mask, trustee, ace.head, ace.tail))
            continue
        # The effective rights differ from the rights that children inherit: two entries.
        result.append(Ace(ace.type, kept, mask, trustee, ace.head, ace.tail))
        result.append(Ace(ace.type, kept | passed_on | INHERIT_ONLY, ace.mask, ace.sid, ace.head, ace.tail))
    return result
