# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security descriptors against bytes that Windows wrote and the rules of inheritance."""

from __future__ import annotations

import pytest
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.ntfs import security
from ansible_collections.strata.layering.plugins.module_utils.ntfs.security import Ace, Acl, SecurityDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

OI, CI, NP, IO, ID = 0x01, 0x02, 0x04, 0x08, 0x10


def of(*aces, sacl=None):
    control = security.DACL_PRESENT | security.DACL_AUTO_INHERITED
    if sacl:
        control |= security.SACL_PRESENT | security.SACL_AUTO_INHERITED
    return security.build(SecurityDescriptor(control, security.SYSTEM, security.SYSTEM, sacl, Acl(2, list(aces))))


def dacl(data):
    return [(ace.type, ace.flags, ace.mask, security.sid_text(ace.sid)) for ace in security.parse(data).dacl.aces]


def test_sid_round_trip():
    for text in ("S-1-0", "S-1-1-0", "S-1-5-32-544", "S-1-5-21-4294967295-0-1-500", "S-1-0x123456789abc-1"):
        assert security.sid_text(security.sid(text)) == text
    assert security.SYSTEM.hex() == "010100000000000512000000"
    for bad in ("", "S", "S-2-5-18", "S-1-5-x", "S-1-5-" + "-".join("1" * 16), "S-1-5-4294967296"):
        with pytest.raises(InvalidInput):
            security.sid(bad)


def test_parse_of_what_windows_wrote(windows_image, tmp_path, independent):
    found = independent(windows_image(tmp_path / "image"))
    for path in ("File.txt", "Directory", "System Volume Information", "$RECYCLE.BIN"):
        data = found.security(path)
        parsed = security.parse(data)
        assert parsed.owner.startswith(b"\1")
        assert parsed.dacl.aces
        again = security.parse(security.build(parsed))
        assert again == parsed


def test_inherited_by_windows(windows_image, tmp_path, independent):
    found = independent(windows_image(tmp_path / "image"))
    parent = found.security("Large Directory")
    child = security.parse(found.security("Large Directory/Directory 5"))
    made = security.parse(security.inherit(parent, True, owner=child.owner, group=child.group))
    assert made.dacl == child.dacl
    assert made.control == child.control
    child = security.parse(found.security("File.txt"))
    made = security.parse(security.inherit(found.value(".", 0x50), False, owner=child.owner, group=child.group))
    assert made.dacl == child.dacl


def test_directory_rules():
    parent = of(
        Ace(0, OI | CI, security.FULL_CONTROL, security.SYSTEM),
        Ace(0, CI, security.MODIFY, security.USERS),
        Ace(0, OI, security.READ_AND_EXECUTE, security.USERS),
        Ace(0, 0, security.FULL_CONTROL, security.EVERYONE),
        Ace(0, OI | CI | NP, security.FULL_CONTROL, security.TRUSTED_INSTALLER),
        Ace(0, OI | CI | IO, 0x10000000, security.CREATOR_OWNER),
        Ace(1, CI | IO, 0x00040000, security.AUTHENTICATED_USERS),
    )
    assert dacl(security.inherit(parent, True)) == [
        (0, OI | CI | ID, 0x1F01FF, "S-1-5-18"),
        (0, CI | ID, 0x1301BF, "S-1-5-32-545"),
        (0, OI | IO | ID, 0x1200A9, "S-1-5-32-545"),
        (0, ID, 0x1F01FF, security.sid_text(security.TRUSTED_INSTALLER)),
        (0, ID, 0x1F01FF, "S-1-5-32-544"),
        (0, OI | CI | IO | ID, 0x10000000, "S-1-3-0"),
        (1, CI | ID, 0x00040000, "S-1-5-11"),
    ]
    assert dacl(security.inherit(parent, False)) == [
        (0, ID, 0x1F01FF, "S-1-5-18"),
        (0, ID, 0x1200A9, "S-1-5-32-545"),
        (0, ID, 0x1F01FF, security.sid_text(security.TRUSTED_INSTALLER)),
        (0, ID, 0x1F01FF, "S-1-5-32-544"),
    ]


def test_nothing_to_inherit_gives_the_default():
    for parent in (of(Ace(0, 0, security.FULL_CONTROL, security.EVERYONE)), of()):
        assert security.inherit(parent, False) == security.default(False)
        assert dacl(security.inherit(parent, True)) == [(0, OI | CI, 0x1F01FF, "S-1-5-18"), (0, OI | CI, 0x1F01FF, "S-1-5-32-544")]


def test_label_is_inherited():
    label = Ace(0x11, OI | CI, 1, security.sid("S-1-16-4096"))
    parent = of(Ace(0, OI | CI, security.FULL_CONTROL, security.SYSTEM), sacl=Acl(2, [label]))
    made = security.parse(security.inherit(parent, False))
    assert made.sacl.aces == [Ace(0x11, ID, 1, security.sid("S-1-16-4096"))]
    assert made.control & security.SACL_PRESENT


def test_object_and_conditional_entries_survive():
    body = Ace(0x05, 0, 0x100, security.SYSTEM, head=b"\1\0\0\0" + bytes(range(16)))
    conditional = Ace(0x09, 0, 0x100, security.SYSTEM, tail=b"artx1234")
    assert security.parse(of(body, conditional)).dacl.aces == [body, conditional]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_anything_is_parsed_or_refused(noise, position, patch):
    good = bytearray(security.default(True, readers=(security.USERS, security.EVERYONE)))
    good[position:position + len(patch)] = patch
    for data in (noise, bytes(good)):
        try:
            security.inherit(data, True)
        except (Corrupt, InvalidInput):
            pass
