# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inherited security descriptors, compared with descriptors of Windows and with the rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common import security_descriptors as descriptors
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.common.security_descriptors import (
    Ace,
    Acl,
    SecurityDescriptor,
)
from ansible_collections.strata.layering.plugins.module_utils.ntfs import file_security
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors
from ansible_collections.strata.layering.tests.support.sids import sid_text

OI, CI, NP, IO, ID = 0x01, 0x02, 0x04, 0x08, 0x10
MODIFY = 0x001301BF


def descriptor_of(*aces, sacl=None):
    control = descriptors.DACL_PRESENT | descriptors.DACL_AUTO_INHERITED
    if sacl:
        control |= descriptors.SACL_PRESENT | descriptors.SACL_AUTO_INHERITED
    return descriptors.build(
        SecurityDescriptor(control, descriptors.SYSTEM, descriptors.SYSTEM, sacl, Acl(2, list(aces)))
    )


def dacl(data):
    return [(ace.type, ace.flags, ace.mask, sid_text(ace.sid)) for ace in descriptors.parse(data).dacl.aces]


def test_descriptors_of_windows_are_parsed_and_built(windows_image, tmp_path, independent):
    reader = independent(windows_image(tmp_path / "image"))
    for path in ("File.txt", "Directory", "System Volume Information", "$RECYCLE.BIN"):
        data = reader.security(path)
        parsed = descriptors.parse(data)
        assert parsed.owner.startswith(b"\1")
        assert parsed.dacl.aces
        again = descriptors.parse(descriptors.build(parsed))
        assert again == parsed


def test_inherited_descriptor_equals_that_of_windows(windows_image, tmp_path, independent):
    reader = independent(windows_image(tmp_path / "image"))
    parent = reader.security("Large Directory")
    child = descriptors.parse(reader.security("Large Directory/Directory 5"))
    made = descriptors.parse(file_security.inherit(parent, True, owner=child.owner, group=child.group))
    assert made.dacl == child.dacl
    assert made.control == child.control
    child = descriptors.parse(reader.security("File.txt"))
    made = descriptors.parse(
        file_security.inherit(reader.value(".", 0x50), False, owner=child.owner, group=child.group)
    )
    assert made.dacl == child.dacl


def test_each_inheritance_flag_is_applied():
    parent = descriptor_of(
        Ace(0, OI | CI, file_security.FULL_CONTROL, descriptors.SYSTEM),
        Ace(0, CI, MODIFY, descriptors.USERS),
        Ace(0, OI, file_security.READ_AND_EXECUTE, descriptors.USERS),
        Ace(0, 0, file_security.FULL_CONTROL, descriptors.EVERYONE),
        Ace(0, OI | CI | NP, file_security.FULL_CONTROL, descriptors.TRUSTED_INSTALLER),
        Ace(0, OI | CI | IO, 0x10000000, descriptors.CREATOR_OWNER),
        Ace(1, CI | IO, 0x00040000, descriptors.AUTHENTICATED_USERS),
    )
    assert dacl(file_security.inherit(parent, True)) == [
        (0, OI | CI | ID, 0x1F01FF, "S-1-5-18"),
        (0, CI | ID, 0x1301BF, "S-1-5-32-545"),
        (0, OI | IO | ID, 0x1200A9, "S-1-5-32-545"),
        (0, ID, 0x1F01FF, sid_text(descriptors.TRUSTED_INSTALLER)),
        (0, ID, 0x1F01FF, "S-1-5-32-544"),
        (0, OI | CI | IO | ID, 0x10000000, "S-1-3-0"),
        (1, CI | ID, 0x00040000, "S-1-5-11"),
    ]
    assert dacl(file_security.inherit(parent, False)) == [
        (0, ID, 0x1F01FF, "S-1-5-18"),
        (0, ID, 0x1200A9, "S-1-5-32-545"),
        (0, ID, 0x1F01FF, sid_text(descriptors.TRUSTED_INSTALLER)),
        (0, ID, 0x1F01FF, "S-1-5-32-544"),
    ]


def test_parent_without_inheritable_entries_gives_the_default():
    for parent in (descriptor_of(Ace(0, 0, file_security.FULL_CONTROL, descriptors.EVERYONE)), descriptor_of()):
        assert file_security.inherit(parent, False) == file_security.default(False)
        assert dacl(file_security.inherit(parent, True)) == [
            (0, OI | CI, 0x1F01FF, "S-1-5-18"),
            (0, OI | CI, 0x1F01FF, "S-1-5-32-544"),
        ]


def test_mandatory_label_is_inherited():
    label = Ace(0x11, OI | CI, 1, descriptors.sid("S-1-16-4096"))
    parent = descriptor_of(Ace(0, OI | CI, file_security.FULL_CONTROL, descriptors.SYSTEM), sacl=Acl(2, [label]))
    made = descriptors.parse(file_security.inherit(parent, False))
    assert made.sacl.aces == [Ace(0x11, ID, 1, descriptors.sid("S-1-16-4096"))]
    assert made.control & descriptors.SACL_PRESENT


def test_inherited_descriptor_over_64_kib_is_rejected():
    # Every entry becomes two entries of a directory.
    parent = descriptor_of(*[Ace(0, OI | CI | IO, 0x10000000, descriptors.SYSTEM)] * 2000)
    assert len(dacl(file_security.inherit(parent, False))) == 1
    parent = descriptor_of(
        *[Ace(0, OI | CI | IO, 0x10000000, descriptors.sid(f"S-1-5-{number}")) for number in range(2000)]
    )
    with pytest.raises(InvalidInput) as caught:
        file_security.inherit(parent, True)
    assert caught.value.code == "common.security_too_large"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_random_descriptor_raises_only_our_errors(noise, position, patch):
    good = bytearray(file_security.default(True, readers=(descriptors.USERS, descriptors.EVERYONE)))
    good[position : position + len(patch)] = patch
    for data in (noise, bytes(good)):
        with only_our_errors():
            file_security.inherit(data, True)
