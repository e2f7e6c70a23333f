# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security descriptors: parse, build, inherit.

Sources: [MS-DTYP] 2.4 (SID, ACE, ACL, SECURITY_DESCRIPTOR) and 2.5.3.4 (inheritance when a
file is made).
"""

from __future__ import annotations

import dataclasses
import struct

from ..common.errors import Corrupt, InvalidInput

OBJECT_INHERIT, CONTAINER_INHERIT, NO_PROPAGATE, INHERIT_ONLY, INHERITED = 0x01, 0x02, 0x04, 0x08, 0x10
_INHERITANCE = OBJECT_INHERIT | CONTAINER_INHERIT | NO_PROPAGATE | INHERIT_ONLY | INHERITED
DACL_PRESENT, SACL_PRESENT, DACL_AUTO_INHERITED, SACL_AUTO_INHERITED = 0x0004, 0x0010, 0x0400, 0x0800
DACL_PROTECTED, SACL_PROTECTED, SELF_RELATIVE = 0x1000, 0x2000, 0x8000

_OBJECT_TYPES = frozenset((0x05, 0x06, 0x07, 0x08, 0x0B, 0x0C, 0x0F, 0x10))
_COMPOUND = 0x04
_MAXIMUM = 64 * 1024

FULL_CONTROL = 0x001F01FF
READ_AND_EXECUTE = 0x001200A9
MODIFY = 0x001301BF
_GENERIC = ((0x10000000, FULL_CONTROL), (0x80000000, 0x00120089), (0x40000000, 0x00120116), (0x20000000, 0x001200A0))
_GENERIC_MASK = 0xF0000000


def sid(text: str) -> bytes:
    """Return the binary form of a SID such as ``S-1-5-32-544``; InvalidInput when it is none."""
    try:
        prefix, revision, authority, *rest = text.split("-")
        subs = [int(part) for part in rest]
        if prefix != "S" or revision != "1" or len(subs) > 15:
            raise ValueError(text)
        number = int(authority, 16) if authority.startswith("0x") else int(authority)
        return struct.pack("<BB", 1, len(subs)) + number.to_bytes(6, "big") + struct.pack(f"<{len(subs)}I", *subs)
    except (ValueError, OverflowError, struct.error) as error:
        raise InvalidInput(f"{text[:200]!r} is no security identifier.", code="security.sid") from error


def sid_text(data: bytes) -> str:
    """Return the text of a binary SID."""
    count = data[1]
    authority = int.from_bytes(data[2:8], "big")
    subs = struct.unpack_from(f"<{count}I", data, 8)
    return "-".join(["S-1", f"0x{authority:012x}" if authority >> 32 else str(authority), *map(str, subs)])


EVERYONE = sid("S-1-1-0")
CREATOR_OWNER = sid("S-1-3-0")
CREATOR_GROUP = sid("S-1-3-1")
OWNER_RIGHTS = sid("S-1-3-4")
AUTHENTICATED_USERS = sid("S-1-5-11")
SYSTEM = sid("S-1-5-18")
ADMINISTRATORS = sid("S-1-5-32-544")
USERS = sid("S-1-5-32-545")
TRUSTED_INSTALLER = sid("S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464")
ALL_APPLICATION_PACKAGES = sid("S-1-15-2-1")


@dataclasses.dataclass(slots=True)
class Ace:
    """One entry of a list. ``head`` stands between mask and SID (object types), ``tail`` behind the SID (conditions)."""

    type: int
    flags: int
    mask: int
    sid: bytes
    head: bytes = b""
    tail: bytes = b""

    def pack(self) -> bytes:
        body = struct.pack("<I", self.mask) + self.head + self.sid + self.tail
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<BBH", self.type, self.flags, 4 + len(body)) + body


@dataclasses.dataclass(slots=True)
class Acl:
    """An access control list in its order."""

    revision: int
    aces: list[Ace]

    def pack(self) -> bytes:
        body = b"".join(ace.pack() for ace in self.aces)
        return struct.pack("<BBHHH", self.revision, 0, 8 + len(body), len(self.aces), 0) + body


@dataclasses.dataclass(slots=True)
class SecurityDescriptor:
    """A descriptor taken apart. ``dacl`` None with DACL_PRESENT in ``control`` lets everyone do everything."""

    control: int
    owner: bytes | None
    group: bytes | None
    sacl: Acl | None
    dacl: Acl | None


def _damaged(why: str) -> Corrupt:
    return Corrupt(f"A security descriptor is damaged: {why}.", code="security.damaged", hint="Take the layer from its source again.")


def _sid_at(data: bytes, offset: int, end: int) -> bytes:
    if offset + 8 > end:
        raise _damaged("a SID does not fit")
    length = 8 + 4 * data[offset + 1]
    if data[offset] != 1 or data[offset + 1] > 15 or offset + length > end:
        raise _damaged("a SID does not fit")
    return data[offset:offset + length]


def _acl_at(data: bytes, offset: int) -> Acl:
    if offset + 8 > len(data):
        raise _damaged("a list does not fit")
    revision, _pad, size, count, _pad2 = struct.unpack_from("<BBHHH", data, offset)
    end = offset + size
    if size < 8 or end > len(data):
        raise _damaged("a list does not fit")
    aces, position = [], offset + 8
    for _number in range(count):
        if position + 8 > end:
            raise _damaged("an entry does not fit")
        kind, flags, length = struct.unpack_from("<BBH", data, position)
        stop = position + length
        if length < 8 or length % 4 or stop > end:
            raise _damaged("an entry does not fit")
        mask = struct.unpack_from("<I", data, position + 4)[0]
        start = position + 8
        if kind in _OBJECT_TYPES:
            if start + 4 > stop:
                raise _damaged("an entry does not fit")
            present = struct.unpack_from("<I", data, start)[0]
            start += 4 + 16 * ((present & 1) + (present >> 1 & 1))
        elif kind == _COMPOUND:
            start += 4
        owner = _sid_at(data, start, stop)
        aces.append(Ace(kind, flags, mask, owner, data[position + 8:start], data[start + len(owner):stop]))
        position = stop
    return Acl(revision, aces)


def parse(data: bytes) -> SecurityDescriptor:
    """Take a self-relative descriptor apart; Corrupt when it does not hold together."""
    if not 20 <= len(data) <= _MAXIMUM:
        raise _damaged(f"it has {len(data)} bytes")
    revision, _pad, control, owner, group, sacl, dacl = struct.unpack_from("<BBHIIII", data)
    if revision != 1 or not control & SELF_RELATIVE:
        raise _damaged("it is not self-relative")
    return SecurityDescriptor(
        control,
        _sid_at(data, owner, len(data)) if owner else None,
        _sid_at(data, group, len(data)) if group else None,
        _acl_at(data, sacl) if sacl and control & SACL_PRESENT else None,
        _acl_at(data, dacl) if dacl and control & DACL_PRESENT else None,
    )


def build(descriptor: SecurityDescriptor) -> bytes:
    """Return the self-relative form, in the order in which Windows lays it out: SACL, DACL, owner, group."""
    parts, offsets, position = [], [], 20
    for part in (
        descriptor.sacl.pack() if descriptor.sacl is not None else None, descriptor.dacl.pack() if descriptor.dacl is not None else None,
        descriptor.owner, descriptor.group,
    ):
        offsets.append(position if part is not None else 0)
        if part is not None:
            parts.append(part)
            position += len(part)
    if position > _MAXIMUM:
        raise InvalidInput("A security descriptor has more than 64 KiB.", code="security.too_large")
    sacl, dacl, owner, group = offsets
    return struct.pack("<BBHIIII", 1, 0, descriptor.control | SELF_RELATIVE, owner, group, sacl, dacl) + b"".join(parts)


def _mapped(mask: int) -> int:
    for generic, specific in _GENERIC:
        if mask & generic:
            mask |= specific
    return mask & ~_GENERIC_MASK & 0xFFFFFFFF


def _inherited(acl: Acl, is_directory: bool, owner: bytes, group: bytes, mark: int) -> list[Ace]:
    """The entries a new file gets; ``mark`` is INHERITED where the parent itself inherits automatically."""
    result: list[Ace] = []
    creators = {CREATOR_OWNER: owner, CREATOR_GROUP: group}
    for ace in acl.aces:
        kept = ace.flags & ~_INHERITANCE
        effective = Ace(ace.type, kept | mark, _mapped(ace.mask), creators.get(ace.sid, ace.sid), ace.head, ace.tail)
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
    return any(not one.flags & INHERIT_ONLY and (one.type, one.mask, one.sid, one.head, one.tail) == said for one in earlier)


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
            control, owner, group, Acl(above.sacl.revision, sacl) if sacl else None, Acl(above.dacl.revision, dacl),
        )
    )


def default(is_directory: bool, *, owner: bytes = ADMINISTRATORS, group: bytes = SYSTEM, readers: tuple[bytes, ...] = ()) -> bytes:
    """Return a descriptor with full control for SYSTEM and Administrators, read and execute for ``readers``.

    A directory hands all of it on.
    """
    flags = OBJECT_INHERIT | CONTAINER_INHERIT if is_directory else 0
    aces = [Ace(0, flags, FULL_CONTROL, SYSTEM), Ace(0, flags, FULL_CONTROL, ADMINISTRATORS)]
    aces += [Ace(0, flags, READ_AND_EXECUTE, reader) for reader in readers]
    return build(SecurityDescriptor(DACL_PRESENT, owner, group, None, Acl(2, aces)))
