# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import security_descriptors as descriptors
from ansible_collections.strata.layering.plugins.module_utils.winregistry import key_security as sd


def entries(descriptor: bytes) -> list[tuple[int, int, bytes]]:
    """The DACL as (flags, mask, SID), read independently of the code under test."""
    at = struct.unpack_from("<I", descriptor, 16)[0]
    count = struct.unpack_from("<H", descriptor, at + 4)[0]
    at, result = at + 8, []
    for _entry in range(count):
        _kind, flags, size, mask = struct.unpack_from("<BBHI", descriptor, at)
        result.append((flags, mask, descriptor[at + 8 : at + size]))
        at += size
    return result


def test_default_descriptor_is_self_relative_with_owner_and_group():
    descriptor = sd.DEFAULT
    revision, _reserved, control, owner, group, sacl, dacl = struct.unpack_from("<BBHIIII", descriptor)
    assert (revision, control & 0x8004, sacl) == (1, 0x8004, 0)
    assert descriptor[owner : owner + 16] == descriptors.ADMINISTRATORS
    assert descriptor[group : group + 12] == descriptors.SYSTEM
    assert dacl + struct.unpack_from("<H", descriptor, dacl + 2)[0] == owner


def test_inherit_from_the_default_descriptor():
    flags = descriptors.CONTAINER_INHERIT | descriptors.INHERITED
    child = sd.inherit(sd.DEFAULT)
    assert entries(child) == [
        (flags, sd.KEY_ALL_ACCESS, descriptors.ADMINISTRATORS),
        (descriptors.INHERITED, sd.KEY_ALL_ACCESS, descriptors.ADMINISTRATORS),
        (flags | descriptors.INHERIT_ONLY, sd.KEY_ALL_ACCESS, descriptors.CREATOR_OWNER),
        (flags, sd.KEY_ALL_ACCESS, descriptors.SYSTEM),
        (flags, sd.KEY_READ, descriptors.USERS),
        (flags, sd.KEY_READ, descriptors.ALL_APPLICATION_PACKAGES),
    ]
    assert struct.unpack_from("<H", child, 2)[0] == 0x8404


def test_inherit_generic_rights_are_mapped_and_kept_for_children():
    parent = sd.descriptor(
        [sd.allow(descriptors.USERS, 0x80000000, descriptors.CONTAINER_INHERIT | descriptors.INHERIT_ONLY)]
    )
    assert entries(sd.inherit(parent)) == [
        (descriptors.INHERITED, sd.KEY_READ, descriptors.USERS),
        (
            descriptors.INHERITED | descriptors.CONTAINER_INHERIT | descriptors.INHERIT_ONLY,
            0x80000000,
            descriptors.USERS,
        ),
    ]


def test_inherit_no_propagate_ends_inheritance():
    parent = sd.descriptor([sd.allow(descriptors.SYSTEM, 1, descriptors.CONTAINER_INHERIT | descriptors.NO_PROPAGATE)])
    child = sd.inherit(parent)
    assert entries(child) == [(descriptors.INHERITED, 1, descriptors.SYSTEM)]
    assert sd.inherit(child) == child


# Every entry would give two entries of the new key.
LARGE = sd.descriptor([sd.allow(descriptors.sid(f"S-1-5-{number}"), 0x10000000) for number in range(2000)])


@pytest.mark.parametrize("damaged", [b"", b"\1", sd.DEFAULT[:40], sd.DEFAULT[:-3], b"\xff" * 60, LARGE])
def test_inherit_unreadable_descriptor_is_passed_on(damaged):
    assert sd.inherit(damaged) == damaged
