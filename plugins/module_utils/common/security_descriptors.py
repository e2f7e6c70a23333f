# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse and build Windows security identifiers and self-relative security descriptors.

Inheritance is implemented where the objects are: ntfs.file_security for files, winregistry.key_security for keys.
Source: [MS-DTYP] 2.4 (SID, ACE, ACL, SECURITY_DESCRIPTOR).
"""

from __future__ import annotations

import dataclasses
import struct

from .errors import Corrupt, InternalError, InvalidInput

OBJECT_INHERIT, CONTAINER_INHERIT, NO_PROPAGATE, INHERIT_ONLY, INHERITED = 0x01, 0x02, 0x04, 0x08, 0x10
DACL_PRESENT, SACL_PRESENT, DACL_AUTO_INHERITED, SACL_AUTO_INHERITED = 0x0004, 0x0010, 0x0400, 0x0800
DACL_PROTECTED, SELF_RELATIVE = 0x1000, 0x8000

_OBJECT_TYPES = frozenset((0x05, 0x06, 0x07, 0x08, 0x0B, 0x0C, 0x0F, 0x10))
_COMPOUND = 0x04
_MAXIMUM = 64 * 1024
_GENERIC_MASK = 0xF0000000


def sid(text: str) -> bytes:
    """Return the binary form of a SID such as ``S-1-5-32-544``.

    Raises:
        InternalError: ``text`` is not a SID.
    """
    try:
        prefix, revision, authority, *rest = text.split("-")
        subs = [int(part) for part in rest]
        if prefix != "S" or revision != "1" or len(subs) > 15:
            raise ValueError(text)
        number = int(authority, 16) if authority.startswith("0x") else int(authority)
        return struct.pack("<BB", 1, len(subs)) + number.to_bytes(6, "big") + struct.pack(f"<{len(subs)}I", *subs)
    except (ValueError, OverflowError, struct.error) as error:
        raise InternalError(
            f"The text {text[:200]!r} is not a security identifier.", code="common.security_sid"
        ) from error


EVERYONE = sid("S-1-1-0")
CREATOR_OWNER = sid("S-1-3-0")
CREATOR_GROUP = sid("S-1-3-1")
AUTHENTICATED_USERS = sid("S-1-5-11")
RESTRICTED = sid("S-1-5-12")
SYSTEM = sid("S-1-5-18")
ADMINISTRATORS = sid("S-1-5-32-544")
USERS = sid("S-1-5-32-545")
TRUSTED_INSTALLER = sid("S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464")
ALL_APPLICATION_PACKAGES = sid("S-1-15-2-1")


@dataclasses.dataclass(slots=True)
class Ace:
    """An access control entry. ``head`` is between mask and SID (object types), ``tail`` after the SID (conditions)."""

    type: int
    flags: int
    mask: int
    sid: bytes
    head: bytes = b""
    tail: bytes = b""

    def pack(self) -> bytes:
        """Return the binary form."""
        body = struct.pack("<I", self.mask) + self.head + self.sid + self.tail
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<BBH", self.type, self.flags, 4 + len(body)) + body


@dataclasses.dataclass(slots=True)
class Acl:
    """An access control list in its order."""

    revision: int
    aces: list[Ace]

    def pack(self) -> bytes:
        """Return the binary form."""
        body = b"".join(ace.pack() for ace in self.aces)
        return struct.pack("<BBHHH", self.revision, 0, 8 + len(body), len(self.aces), 0) + body


@dataclasses.dataclass(slots=True)
class SecurityDescriptor:
    """A parsed descriptor. A ``dacl`` of None with DACL_PRESENT in ``control`` grants everyone full access."""

    control: int
    owner: bytes | None
    group: bytes | None
    sacl: Acl | None
    dacl: Acl | None


def _damaged(problem: str) -> Corrupt:
    return Corrupt(
        f"A security descriptor is damaged: {problem}.",
        code="common.security_damaged",
        hint="Create the layer version again from its source.",
    )


def _too_large() -> InvalidInput:
    return InvalidInput(
        "A security descriptor would be larger than 64 KiB.",
        code="common.security_too_large",
        hint="Reduce the number of entries in the access control list of the file or key.",
    )


def _sid_at(data: bytes, offset: int, end: int) -> bytes:
    if offset + 8 > end:
        raise _damaged("a SID is truncated")
    length = 8 + 4 * data[offset + 1]
    if data[offset] != 1 or data[offset + 1] > 15 or offset + length > end:
        raise _damaged("a SID is truncated")
    return data[offset : offset + length]


def _acl_at(data: bytes, offset: int) -> Acl:
    if offset + 8 > len(data):
        raise _damaged("an access control list exceeds its end")
    revision, _pad, size, count, _pad2 = struct.unpack_from("<BBHHH", data, offset)
    end = offset + size
    if size < 8 or end > len(data):
        raise _damaged("an access control list exceeds its end")
    aces, position = [], offset + 8
    for _number in range(count):
        if position + 8 > end:
            raise _damaged("an access control entry exceeds its list")
        kind, flags, length = struct.unpack_from("<BBH", data, position)
        stop = position + length
        if length < 8 or length % 4 or stop > end:
            raise _damaged("an access control entry exceeds its list")
        mask = struct.unpack_from("<I", data, position + 4)[0]
        start = position + 8
        if kind in _OBJECT_TYPES:
            if start + 4 > stop:
                raise _damaged("an access control entry exceeds its list")
            present = struct.unpack_from("<I", data, start)[0]
            start += 4 + 16 * ((present & 1) + (present >> 1 & 1))
        elif kind == _COMPOUND:
            start += 4
        owner = _sid_at(data, start, stop)
        aces.append(Ace(kind, flags, mask, owner, data[position + 8 : start], data[start + len(owner) : stop]))
        position = stop
    return Acl(revision, aces)


def parse(data: bytes) -> SecurityDescriptor:
    """Parse a self-relative descriptor.

    Raises:
        Corrupt: the descriptor is damaged.
    """
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
    """Return the self-relative form in the order that Windows uses: SACL, DACL, owner, group.

    Raises:
        InvalidInput: it would be larger than 64 KiB.
    """
    try:
        lists = [None if acl is None else acl.pack() for acl in (descriptor.sacl, descriptor.dacl)]
    except struct.error as error:
        # The lengths of lists and entries are numbers of 16 bits.
        raise _too_large() from error
    parts, offsets, position = [], [], 20
    for part in (*lists, descriptor.owner, descriptor.group):
        offsets.append(position if part is not None else 0)
        if part is not None:
            parts.append(part)
            position += len(part)
    if position > _MAXIMUM:
        raise _too_large()
    sacl, dacl, owner, group = offsets
    return struct.pack("<BBHIIII", 1, 0, descriptor.control | SELF_RELATIVE, owner, group, sacl, dacl) + b"".join(parts)


def complete(data: bytes) -> bytes:
    """Return a self-relative descriptor with an owner and a group; a complete or damaged descriptor is returned unchanged.

    NTFS stores descriptors without them, which some old installers wrote, but only accepts complete descriptors for new
    files. The owner is the missing group, else SYSTEM is, which is the missing owner as well.
    """
    if len(data) < 20 or all(struct.unpack_from("<II", data, 4)):
        return data
    try:
        descriptor = parse(data)
        descriptor.owner = descriptor.owner or SYSTEM
        descriptor.group = descriptor.group or descriptor.owner
        return build(descriptor)
    except (Corrupt, InvalidInput):
        return data


def map_generic(mask: int, rights: tuple[tuple[int, int], ...]) -> int:
    """Return the access mask with its generic rights replaced by the specific ``rights`` of a kind of object."""
    for generic, specific in rights:
        if mask & generic:
            mask |= specific
    return mask & ~_GENERIC_MASK & 0xFFFFFFFF
