# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest
from ansible_collections.strata.layering.plugins.module_utils.registry import security as sd


def entries(descriptor: bytes) -> list[tuple[int, int, bytes]]:
    """The DACL as (flags, mask, SID), read independently of the code under test."""
    at = struct.unpack_from("<I", descriptor, 16)[0]
    count = struct.unpack_from("<H", descriptor, at + 4)[0]
    at, result = at + 8, []
    for _entry in range(count):
        _kind, flags, size, mask = struct.unpack_from("<BBHI", descriptor, at)
        result.append((flags, mask, descriptor[at + 8:at + size]))
        at += size
    return result


def test_sid():
    assert sd.sid("S-1-5-32-544").hex() == "01020000000000052000000020020000"


def test_defaults_are_self_relative_and_name_owner_and_group():
    for descriptor in (sd.DEFAULT, sd.SECRET, sd.for_user(sd.sid("S-1-5-21-1-2-3-1000"))):
        revision, _reserved, control, owner, group, sacl, dacl = struct.unpack_from("<BBHIIII", descriptor)
        assert (revision, control & 0x8004, sacl) == (1, 0x8004, 0)
        assert descriptor[owner:owner + 16] == sd.ADMINISTRATORS and descriptor[group:group + 12] == sd.SYSTEM
        assert dacl + struct.unpack_from("<H", descriptor, dacl + 2)[0] == owner


def test_inheritance_of_the_default():
    flags = sd.CONTAINER_INHERIT | sd.INHERITED
    child = sd.inherit(sd.DEFAULT)
    assert entries(child) == [
        (flags, sd.KEY_ALL_ACCESS, sd.ADMINISTRATORS),
        (sd.INHERITED, sd.KEY_ALL_ACCESS, sd.ADMINISTRATORS),
        (flags | sd.INHERIT_ONLY, sd.KEY_ALL_ACCESS, sd.CREATOR_OWNER),
        (flags, sd.KEY_ALL_ACCESS, sd.SYSTEM),
        (flags, sd.KEY_READ, sd.USERS),
        (flags, sd.KEY_READ, sd.APP_PACKAGES),
    ]
    assert struct.unpack_from("<H", child, 2)[0] == 0x8404


def test_generic_rights_are_mapped_for_the_key_and_kept_for_its_children():
    parent = sd.descriptor([sd.allow(sd.USERS, 0x80000000, sd.CONTAINER_INHERIT | sd.INHERIT_ONLY)])
    assert entries(sd.inherit(parent)) == [
        (sd.INHERITED, sd.KEY_READ, sd.USERS),
        (sd.INHERITED | sd.CONTAINER_INHERIT | sd.INHERIT_ONLY, 0x80000000, sd.USERS),
    ]


def test_no_propagate_ends_inheritance():
    parent = sd.descriptor([sd.allow(sd.SYSTEM, 1, sd.CONTAINER_INHERIT | sd.NO_PROPAGATE)])
    child = sd.inherit(parent)
    assert entries(child) == [(sd.INHERITED, 1, sd.SYSTEM)]
    assert sd.inherit(child) == child


@pytest.mark.parametrize("damaged", [b"", b"\1", sd.DEFAULT[:40], sd.DEFAULT[:-3], b"\xff" * 60])
def test_a_descriptor_that_cannot_be_read_is_passed_on(damaged):
    assert sd.inherit(damaged) == damaged
