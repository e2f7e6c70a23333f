# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security identifiers and descriptors: bytes, what is refused, limits."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common import security_descriptors as sd
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.common.security_descriptors import (
    Ace,
    Acl,
    SecurityDescriptor,
)

# O:BAG:SYD:PAI(A;OICI;FA;;;SY) as Windows lays it out
KNOWN = bytes.fromhex(
    "0100 0494 30000000 40000000 00000000 14000000"
    "0200 1c00 01000000 00031400 ff011f00 010100000000000512000000"
    "01020000000000052000000020020000"
    "010100000000000512000000"
)


def of(*aces: Ace) -> bytes:
    return sd.build(SecurityDescriptor(sd.DACL_PRESENT, sd.SYSTEM, sd.SYSTEM, None, Acl(2, list(aces))))


def test_sid_round_trip():
    for text in ("S-1-0", "S-1-1-0", "S-1-5-32-544", "S-1-5-21-4294967295-0-1-500", "S-1-0x123456789abc-1"):
        assert sd.sid_text(sd.sid(text)) == text
    assert sd.SYSTEM.hex() == "010100000000000512000000"
    assert sd.ADMINISTRATORS.hex() == "01020000000000052000000020020000"
    for bad in ("", "S", "S-2-5-18", "S-1-5-x", "S-1-5-" + "-".join("1" * 16), "S-1-5-4294967296"):
        with pytest.raises(InvalidInput):
            sd.sid(bad)


def test_taken_apart_and_put_together():
    found = sd.parse(KNOWN)
    dacl = Acl(2, [Ace(0, sd.OBJECT_INHERIT | sd.CONTAINER_INHERIT, 0x1F01FF, sd.SYSTEM)])
    control = sd.SELF_RELATIVE | sd.DACL_PROTECTED | sd.DACL_AUTO_INHERITED | sd.DACL_PRESENT
    assert found == SecurityDescriptor(control, sd.ADMINISTRATORS, sd.SYSTEM, None, dacl)
    assert sd.build(found) == KNOWN


def test_object_and_conditional_entries_survive():
    body = Ace(0x05, 0, 0x100, sd.SYSTEM, head=b"\1\0\0\0" + bytes(range(16)))
    conditional = Ace(0x09, 0, 0x100, sd.SYSTEM, tail=b"artx1234")
    assert sd.parse(of(body, conditional)).dacl.aces == [body, conditional]


def test_every_part_may_be_missing():
    nothing = SecurityDescriptor(sd.SELF_RELATIVE, None, None, None, None)
    assert (
        sd.build(nothing) == struct.pack("<BBHIIII", 1, 0, 0x8000, 0, 0, 0, 0)
        and sd.parse(sd.build(nothing)) == nothing
    )


@pytest.mark.parametrize("entries", [1 << 12, 1 << 14])
def test_more_than_64_kib_is_refused(entries):
    with pytest.raises(InvalidInput, match="64 KiB"):
        of(*[Ace(0, 0, 1, sd.SYSTEM)] * entries)


def test_an_entry_that_is_longer_than_its_length_can_say_is_refused():
    with pytest.raises(InvalidInput, match="64 KiB"):
        of(Ace(9, 0, 1, sd.SYSTEM, tail=bytes(1 << 16)))


@given(st.binary(max_size=100), st.integers(0, len(KNOWN)), st.binary(min_size=1, max_size=4))
def test_what_is_parsed_holds_together(noise, position, patch):
    changed = bytearray(KNOWN)
    changed[position : position + len(patch)] = patch
    for data in (noise, bytes(changed)):
        try:
            found = sd.parse(data)
        except Corrupt:
            continue
        assert sd.parse(sd.build(found)) == found


def test_generic_rights():
    rights = ((0x10000000, 0xF003F), (0x80000000, 0x20019))
    assert sd.map_generic(0x10000000, rights) == 0xF003F and sd.map_generic(0x80000002, rights) == 0x2001B
    # What has no meaning for the kind of object goes.
    assert sd.map_generic(0x40000001, rights) == 1 and sd.map_generic(0x1F01FF, rights) == 0x1F01FF
