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
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InternalError, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.common.security_descriptors import (
    Ace,
    Acl,
    SecurityDescriptor,
)
from ansible_collections.strata.layering.tests.support.sids import sid_text

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
        assert sid_text(sd.sid(text)) == text
    assert sd.SYSTEM.hex() == "010100000000000512000000"
    assert sd.ADMINISTRATORS.hex() == "01020000000000052000000020020000"
    for bad in ("", "S", "S-2-5-18", "S-1-5-x", "S-1-5-" + "-".join("1" * 16), "S-1-5-4294967296"):
        with pytest.raises(InternalError) as caught:
            sd.sid(bad)
        assert caught.value.code == "common.security_sid"


def test_parse_then_build_gives_the_same_bytes():
    found = sd.parse(KNOWN)
    dacl = Acl(2, [Ace(0, sd.OBJECT_INHERIT | sd.CONTAINER_INHERIT, 0x1F01FF, sd.SYSTEM)])
    control = sd.SELF_RELATIVE | sd.DACL_PROTECTED | sd.DACL_AUTO_INHERITED | sd.DACL_PRESENT
    assert found == SecurityDescriptor(control, sd.ADMINISTRATORS, sd.SYSTEM, None, dacl)
    assert sd.build(found) == KNOWN


def test_parse_object_and_conditional_entries():
    body = Ace(0x05, 0, 0x100, sd.SYSTEM, head=b"\1\0\0\0" + bytes(range(16)))
    conditional = Ace(0x09, 0, 0x100, sd.SYSTEM, tail=b"artx1234")
    assert sd.parse(of(body, conditional)).dacl.aces == [body, conditional]


def test_build_descriptor_without_parts():
    nothing = SecurityDescriptor(sd.SELF_RELATIVE, None, None, None, None)
    assert sd.build(nothing) == struct.pack("<BBHIIII", 1, 0, 0x8000, 0, 0, 0, 0)
    assert sd.parse(sd.build(nothing)) == nothing


@pytest.mark.parametrize("entries", [1 << 12, 1 << 14])
def test_build_more_than_64_kib_is_rejected(entries):
    with pytest.raises(InvalidInput) as caught:
        of(*[Ace(0, 0, 1, sd.SYSTEM)] * entries)
    assert caught.value.code == "common.security_too_large"


def test_build_entry_longer_than_64_kib_is_rejected():
    with pytest.raises(InvalidInput) as caught:
        of(Ace(9, 0, 1, sd.SYSTEM, tail=bytes(1 << 16)))
    assert caught.value.code == "common.security_too_large"


@given(st.binary(max_size=100), st.integers(0, len(KNOWN)), st.binary(min_size=1, max_size=4))
def test_parse_random_bytes_is_corrupt_or_consistent(noise, position, patch):
    changed = bytearray(KNOWN)
    changed[position : position + len(patch)] = patch
    for data in (noise, bytes(changed)):
        try:
            found = sd.parse(data)
        except Corrupt:
            continue
        assert sd.parse(sd.build(found)) == found


def test_map_generic_rights():
    rights = ((0x10000000, 0xF003F), (0x80000000, 0x20019))
    assert sd.map_generic(0x10000000, rights) == 0xF003F
    assert sd.map_generic(0x80000002, rights) == 0x2001B
    # Rights without a meaning for the kind of object are removed.
    assert sd.map_generic(0x40000001, rights) == 1
    assert sd.map_generic(0x1F01FF, rights) == 0x1F01FF
