# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security descriptors from SDDL text, and the descriptor that a child inherits from its folder.

Written from [MS-DTYP] 2.4 (structures), 2.5.1 (SDDL) and 2.5.3.4 (inheritance), independent of
the engine's code, because the engine is tested with the sample disk.
Supports owner, group and a DACL of allow and deny entries.
"""

from __future__ import annotations

import re
import struct

TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
MACHINE_SID = "S-1-5-21-1004336348-1177238915-682003330"

_SIDS = {
    "WD": "S-1-1-0",
    "CO": "S-1-3-0",
    "CG": "S-1-3-1",
    "IU": "S-1-5-4",
    "SU": "S-1-5-6",
    "AU": "S-1-5-11",
    "SY": "S-1-5-18",
    "BA": "S-1-5-32-544",
    "BU": "S-1-5-32-545",
    "AC": "S-1-15-2-1",
    "RA": "S-1-15-2-2",
    "TI": TRUSTED_INSTALLER,
    "LA": MACHINE_SID + "-500",
    "DU": MACHINE_SID + "-513",
}
_FLAGS = {"OI": 0x01, "CI": 0x02, "NP": 0x04, "IO": 0x08, "ID": 0x10}
_RIGHTS = {
    "GA": 0x10000000,
    "GX": 0x20000000,
    "GW": 0x40000000,
    "GR": 0x80000000,
    "FA": 0x1F01FF,
    "FR": 0x120089,
    "FW": 0x120116,
    "FX": 0x1200A0,
    "SD": 0x10000,
    "RC": 0x20000,
    "WD": 0x40000,
    "WO": 0x80000,
    "CC": 0x01,
    "DC": 0x02,
    "LC": 0x04,
    "SW": 0x08,
    "RP": 0x10,
    "WP": 0x20,
    "DT": 0x40,
    "LO": 0x80,
    "CR": 0x100,
}
_GENERIC = {0x10000000: 0x1F01FF, 0x20000000: 0x1200A0, 0x40000000: 0x120116, 0x80000000: 0x120089}
_GENERIC_BITS = 0xF0000000
_DACL_PRESENT, _AUTO_INHERITED, _PROTECTED, _SELF_RELATIVE = 0x0004, 0x0400, 0x1000, 0x8000


def sid_bytes(text: str) -> bytes:
    """Binary SID of an SDDL abbreviation or of ``S-1-...`` text."""
    parts = _SIDS.get(text, text).split("-")
    numbers = [int(part) for part in parts[3:]]
    return (
        struct.pack("<BB", 1, len(numbers))
        + int(parts[2]).to_bytes(6, "big")
        + struct.pack(f"<{len(numbers)}I", *numbers)
    )


def _mask(text: str) -> int:
    if text.startswith("0x"):
        return int(text, 16)
    mask = 0
    for position in range(0, len(text), 2):
        mask |= _RIGHTS[text[position : position + 2]]
    return mask


def _build(owner: bytes, group: bytes, aces: list[tuple[int, int, int, bytes]], control: int) -> bytes:
    body = b"".join(struct.pack("<BBHI", kind, flags, 8 + len(sid), mask) + sid for kind, flags, mask, sid in aces)
    dacl = struct.pack("<BBHHH", 2, 0, 8 + len(body), len(aces), 0) + body
    # The order of Windows itself: DACL, owner, group.
    owner_at = 20 + len(dacl)
    header = struct.pack(
        "<BBHIIII", 1, 0, control | _SELF_RELATIVE | _DACL_PRESENT, owner_at, owner_at + len(owner), 0, 20
    )
    return header + dacl + owner + group


def compile_sddl(text: str) -> bytes:
    """Self-relative descriptor of ``O:..G:..D:..``."""
    match = re.fullmatch(r"O:([\w-]+?)G:([\w-]+?)D:(P?)((?:AI)?)((?:\([^)]*\))*)", text)
    if not match:
        raise ValueError(f"not understood: {text}")
    owner, group, protected, inherited, entries = match.groups()
    aces = []
    for entry in re.findall(r"\(([^)]*)\)", entries):
        kind, flags, rights, _object, _inherited_object, sid = entry.split(";")
        bits = 0
        for position in range(0, len(flags), 2):
            bits |= _FLAGS[flags[position : position + 2]]
        aces.append(({"A": 0, "D": 1}[kind], bits, _mask(rights), sid_bytes(sid)))
    control = (_PROTECTED if protected else 0) | (_AUTO_INHERITED if inherited else 0)
    return _build(sid_bytes(owner), sid_bytes(group), aces, control)


def _sid_at(descriptor: bytes, offset: int) -> bytes:
    return descriptor[offset : offset + 8 + 4 * descriptor[offset + 1]]


def parts(descriptor: bytes) -> tuple[bytes, bytes, list[tuple[int, int, int, bytes]]]:
    """Owner SID, group SID and the DACL's entries (kind, flags, mask, SID)."""
    owner_at, group_at, _sacl, dacl_at = struct.unpack_from("<IIII", descriptor, 4)
    aces = []
    position = dacl_at + 8
    for _number in range(struct.unpack_from("<H", descriptor, dacl_at + 4)[0]):
        kind, flags, size, mask = struct.unpack_from("<BBHI", descriptor, position)
        aces.append((kind, flags, mask, descriptor[position + 8 : position + size]))
        position += size
    return _sid_at(descriptor, owner_at), _sid_at(descriptor, group_at), aces


def _mapped(mask: int) -> int:
    for generic, specific in _GENERIC.items():
        if mask & generic:
            mask = mask & ~generic | specific
    return mask


def inherit(parent: bytes, is_directory: bool, owner: str = "SY", group: str = "SY") -> bytes:
    """Return the descriptor of a new file or folder below a folder whose descriptor is ``parent``.

    In a folder, an entry with generic rights or a creator SID becomes two entries: an effective
    entry and an inheritable entry. As in Windows, an effective entry that an earlier entry already
    covers is left out (the document does not say so; icacls shows it below ProgramData).
    """
    new_owner, new_group = sid_bytes(owner), sid_bytes(group)
    creators = {sid_bytes("CO"): new_owner, sid_bytes("CG"): new_group}
    result: list[tuple[int, int, int, bytes]] = []
    for kind, flags, mask, sid in parts(parent)[2]:
        hand_on = is_directory and not flags & 0x04
        in_force = bool(flags & (0x02 if is_directory else 0x01))
        onward = (flags & 0x03) | 0x10 if hand_on and flags & 0x03 else 0
        actual = (kind, 0x10, _mapped(mask), creators.get(sid, sid))
        if in_force and onward and actual[2:] == (mask, sid):
            result.append((kind, onward, mask, sid))
            continue
        if in_force and not any(
            known[0] == kind and not known[1] & 0x08 and known[2:] == actual[2:] for known in result
        ):
            result.append(actual)
        if onward:
            result.append((kind, onward | 0x08, mask, sid))
    return _build(new_owner, new_group, result, _AUTO_INHERITED)
