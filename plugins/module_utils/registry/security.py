# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security descriptors of registry keys: defaults for new hives and what a new key inherits.

Descriptors are self-relative bytes. Sources: MS-DTYP 2.4 (layout) and 2.5.3.4 (inheritance).
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable

KEY_ALL_ACCESS = 0xF003F
KEY_READ = 0x20019
# What the generic rights (read, write, execute, all) mean for a key.
_GENERIC = ((0x80000000, KEY_READ), (0x40000000, 0x20006), (0x20000000, KEY_READ), (0x10000000, KEY_ALL_ACCESS))
_GENERIC_BITS = 0xF0000000

OBJECT_INHERIT = 0x01
CONTAINER_INHERIT = 0x02
NO_PROPAGATE = 0x04
INHERIT_ONLY = 0x08
INHERITED = 0x10

_DACL_PRESENT = 0x0004
_SACL_PRESENT = 0x0010
_DACL_AUTO_INHERITED = 0x0400
_SACL_AUTO_INHERITED = 0x0800
_DACL_PROTECTED = 0x1000
_SELF_RELATIVE = 0x8000

_HEADER = struct.Struct("<BBHIIII")


def sid(text: str) -> bytes:
    """The bytes of a SID such as S-1-5-18."""
    parts = [int(part) for part in text.split("-")[1:]]
    return struct.pack("<BB", parts[0], len(parts) - 2) + parts[1].to_bytes(6, "big") + struct.pack(f"<{len(parts) - 2}I", *parts[2:])


SYSTEM = sid("S-1-5-18")
ADMINISTRATORS = sid("S-1-5-32-544")
USERS = sid("S-1-5-32-545")
RESTRICTED = sid("S-1-5-12")
APP_PACKAGES = sid("S-1-15-2-1")
CREATOR_OWNER = sid("S-1-3-0")
CREATOR_GROUP = sid("S-1-3-1")


def allow(trustee: bytes, mask: int, flags: int = CONTAINER_INHERIT) -> bytes:
    """An access-allowed entry for the SID ``trustee``."""
    return struct.pack("<BBHI", 0, flags, 8 + len(trustee), mask) + trustee


def descriptor(entries: Iterable[bytes], *, owner: bytes = ADMINISTRATORS, group: bytes = SYSTEM, protected: bool = False) -> bytes:
    """A self-relative security descriptor with the access control entries ``entries``."""
    control = _DACL_PRESENT | _SELF_RELATIVE | (_DACL_PROTECTED if protected else 0)
    return _build(control, owner, group, None, _acl(list(entries)))


def _acl(entries: list[bytes]) -> bytes:
    body = b"".join(entries)
    return struct.pack("<BBHHH", 2, 0, 8 + len(body), len(entries), 0) + body


def _build(control: int, owner: bytes, group: bytes, sacl: bytes | None, dacl: bytes) -> bytes:
    offsets, body = [], b""
    for part in (sacl, dacl, owner, group):
        offsets.append(0 if part is None else _HEADER.size + len(body))
        body += part or b""
    sacl_at, dacl_at, owner_at, group_at = offsets
    return _HEADER.pack(1, 0, control, owner_at, group_at, sacl_at, dacl_at) + body


# What Windows sets on the roots of SYSTEM and SOFTWARE, of SAM and SECURITY, and of the default user's hive.
DEFAULT = descriptor(
    (allow(ADMINISTRATORS, KEY_ALL_ACCESS), allow(CREATOR_OWNER, KEY_ALL_ACCESS, CONTAINER_INHERIT | INHERIT_ONLY), allow(SYSTEM, KEY_ALL_ACCESS),
     allow(USERS, KEY_READ), allow(APP_PACKAGES, KEY_READ)), protected=True)
SECRET = descriptor((allow(SYSTEM, KEY_ALL_ACCESS), allow(ADMINISTRATORS, 0x60000)), protected=True)


def for_user(user: bytes) -> bytes:
    """The descriptor of the root of a user's NTUSER.DAT; ``user`` is the SID."""
    return descriptor((allow(user, KEY_ALL_ACCESS), allow(SYSTEM, KEY_ALL_ACCESS), allow(ADMINISTRATORS, KEY_ALL_ACCESS),
                       allow(RESTRICTED, KEY_READ), allow(APP_PACKAGES, KEY_READ)), protected=True)


@functools.lru_cache(maxsize=1024)
def inherit(parent: bytes) -> bytes:
    """Return what a new key under a key with the descriptor ``parent`` gets.

    Owner and group are the parent's. A parent without inheritable entries, or whose descriptor
    cannot be read, gives the new key its own descriptor, since offline there is no user whose
    default would apply.
    """
    try:
        revision, _reserved, control, owner_at, group_at, sacl_at, dacl_at = _HEADER.unpack_from(parent)
        owner, group = _sid_at(parent, owner_at), _sid_at(parent, group_at)
        dacl = _inherited(parent, dacl_at, owner, group) if control & _DACL_PRESENT and dacl_at else []
        sacl = _inherited(parent, sacl_at, owner, group) if control & _SACL_PRESENT and sacl_at else []
    except (struct.error, ValueError):
        return parent
    if revision != 1 or not dacl:
        return parent
    control = _DACL_PRESENT | _DACL_AUTO_INHERITED | _SELF_RELATIVE
    if sacl:
        control |= _SACL_PRESENT | _SACL_AUTO_INHERITED
    return _build(control, owner, group, _acl(sacl) if sacl else None, _acl(dacl))


def _inherited(data: bytes, offset: int, owner: bytes, group: bytes) -> list[bytes]:
    _revision, _reserved, size, count = struct.unpack_from("<BBHH", data, offset)
    end = offset + size
    if end > len(data):
        raise ValueError("an access control list ends outside its descriptor")
    offset += 8
    result = []
    for _entry in range(count):
        kind, flags, size = struct.unpack_from("<BBH", data, offset)
        if size < 8 or offset + size > end:
            raise ValueError("an access control entry ends outside its list")
        if flags & CONTAINER_INHERIT:
            result += _inherited_entry(kind, flags, data[offset + 4:offset + size], owner, group)
        offset += size
    return result


def _inherited_entry(kind: int, flags: int, body: bytes, owner: bytes, group: bytes) -> list[bytes]:
    passed_on = 0 if flags & NO_PROPAGATE else flags & (OBJECT_INHERIT | CONTAINER_INHERIT)
    audit = flags & 0xC0
    effective = body
    if kind in (0, 1, 2):
        mask = struct.unpack_from("<I", body)[0]
        trustee = body[4:]
        mapped = mask & ~_GENERIC_BITS
        for bit, rights in _GENERIC:
            mapped |= rights if mask & bit else 0
        trustee = {CREATOR_OWNER: owner, CREATOR_GROUP: group}.get(trustee, trustee)
        effective = struct.pack("<I", mapped) + trustee
    if effective == body or not passed_on:
        return [_entry_of(kind, passed_on | audit | INHERITED, effective)]
    # The effective rights differ from what children must inherit: two entries.
    return [_entry_of(kind, audit | INHERITED, effective), _entry_of(kind, passed_on | audit | INHERIT_ONLY | INHERITED, body)]


def _entry_of(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("<BBH", kind, flags, 4 + len(body)) + body


def _sid_at(data: bytes, offset: int) -> bytes:
    if not _HEADER.size <= offset <= len(data) - 8 or offset + 8 + 4 * data[offset + 1] > len(data):
        raise ValueError("a SID ends outside its descriptor")
    return data[offset:offset + 8 + 4 * data[offset + 1]]
