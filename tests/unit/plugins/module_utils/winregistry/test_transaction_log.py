# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout, transaction_log
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.marvin32 import marvin32
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors
from ansible_collections.strata.layering.tests.support.transaction_logs import (
    TIME,
    entry,
    new_log,
    old_log,
    raw_entry,
    sealed,
    stamped,
)


def state(number: int) -> bytes:
    """Return the hive after ``number`` changes; each change makes it larger."""
    hive = Hive.new("test", last_written=TIME)
    for step in range(number):
        hive.root.create(f"Key {step}").set_value("v", 3, bytes([step + 1]) * 3000)
    return write_hive(hive)


STATES = [state(number) for number in range(6)]


def content(data: bytes) -> bytes:
    return data[4096:]


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"", 0xB39EFCA403966E08),
        (b"a", 0x21A013C726F292F4),
        (b"abcd", 0x20094FB11A6CD086),
        (b"abcdefg", 0x0C00597AC6BF45F2),
    ],
)
def test_marvin32(data, expected):
    assert marvin32(data) == expected == marvin32(memoryview(data))


def test_recover_clean_hive_ignores_its_logs():
    clean = stamped(STATES[1], 7, 7)
    assert transaction_log.recover(
        clean, [new_log(STATES[1], 7, entry(7, STATES[1], STATES[2]))]
    ) == transaction_log.Recovery(clean, 0, False)


def test_recover_two_logs_in_either_order():
    dirty = stamped(STATES[0], 4, 3)
    later = new_log(STATES[2], 5, entry(5, STATES[2], STATES[3]), entry(6, STATES[3], STATES[4], flags=1))
    earlier = new_log(STATES[0], 3, entry(3, STATES[0], STATES[1]), entry(4, STATES[1], STATES[2]))
    for logs in ([earlier, later], [later, earlier], [b"", later, earlier]):
        recovery = transaction_log.recover(dirty, logs)
        assert content(recovery.data) == content(STATES[4])
        assert (recovery.applied, recovery.dirty) == (4, False)
        assert struct.unpack_from("<II", recovery.data, 4) == (7, 7)
        assert cell_layout.get_u32(recovery.data, 144) & 1
        assert cell_layout.get_u32(recovery.data, 28) == 0
        assert cell_layout.checksum(recovery.data) == cell_layout.get_u32(recovery.data, 508)
    hive = read_hive(dirty, logs=[later, earlier])
    assert hive.recovered == 4
    assert not hive.dirty
    assert len(hive.root.subkeys) == 4


def test_recover_log_older_than_the_hive_is_ignored():
    dirty = stamped(STATES[2], 6, 5)
    old = new_log(STATES[0], 3, entry(3, STATES[0], STATES[1]), entry(4, STATES[1], STATES[2]))
    current = new_log(STATES[2], 5, entry(5, STATES[2], STATES[3]))
    assert content(transaction_log.recover(dirty, [old, current]).data) == content(STATES[3])
    assert transaction_log.recover(dirty, [old]) == transaction_log.Recovery(dirty, 0, True)


def test_recover_gap_between_logs_ends_recovery():
    dirty = stamped(STATES[0], 4, 3)
    logs = [
        new_log(STATES[0], 3, entry(3, STATES[0], STATES[1])),
        new_log(STATES[2], 5, entry(5, STATES[2], STATES[3])),
    ]
    assert content(transaction_log.recover(dirty, logs).data) == content(STATES[1])


def test_recover_sequence_numbers_wrap_around():
    top = 0xFFFFFFFF
    dirty = stamped(STATES[0], 0, top)
    logs = [
        new_log(STATES[1], 0, entry(0, STATES[1], STATES[2])),
        new_log(STATES[0], top, entry(top, STATES[0], STATES[1])),
    ]
    recovery = transaction_log.recover(dirty, logs)
    assert content(recovery.data) == content(STATES[2])
    assert struct.unpack_from("<II", recovery.data, 4) == (1, 1)


@pytest.mark.parametrize(
    "at, bit", [(0, 1), (4, 2), (8, 1), (12, 1), (16, 1), (20, 1), (24, 1), (32, 1), (40, 1), (600, 1), (-1, 1)]
)
def test_recover_damaged_entry_and_later_entries_are_ignored(at, bit):
    dirty = stamped(STATES[0], 4, 3)
    damaged = bytearray(entry(4, STATES[1], STATES[2]))
    damaged[at] ^= bit
    source = new_log(STATES[0], 3, entry(3, STATES[0], STATES[1]), bytes(damaged), entry(5, STATES[2], STATES[3]))
    recovery = transaction_log.recover(dirty, [source])
    assert recovery.applied == 1
    assert content(recovery.data) == content(STATES[1])


def test_recover_log_truncated_within_an_entry():
    dirty = stamped(STATES[0], 4, 3)
    source = new_log(STATES[0], 3, entry(3, STATES[0], STATES[1]), entry(4, STATES[1], STATES[2]))
    assert content(transaction_log.recover(dirty, [source[:-512]]).data) == content(STATES[1])


@pytest.mark.parametrize(
    "bins_size, pages",
    [
        (0x7FFFE000, [(0, b"\0" * 4096)]),
        (4096, [(4096, b"\0" * 512)]),
        (4096, [(0xFFFFF000, b"\0" * 4096)]),
        (5000, [(0, b"\0" * 512)]),
        (4096, []),
        (0, []),
    ],
)
def test_recover_entry_with_impossible_pages_is_ignored(bins_size, pages):
    dirty = stamped(STATES[0], 4, 3)
    assert transaction_log.recover(
        dirty, [new_log(STATES[0], 3, raw_entry(3, bins_size, pages))]
    ) == transaction_log.Recovery(dirty, 0, True)


def test_recover_damaged_base_block_comes_from_the_later_log():
    broken = b"\xff" * 512 + stamped(STATES[2], 4, 3)[512:]
    earlier = new_log(STATES[1], 3, entry(3, STATES[1], STATES[2]))
    later = new_log(STATES[2], 4, entry(4, STATES[2], STATES[3]))
    recovery = transaction_log.recover(broken, [later, earlier])
    assert recovery.applied == 1
    assert len(read_hive(recovery.data).root.subkeys) == 3
    with pytest.raises(Corrupt) as caught:
        transaction_log.recover(broken, [b"", b"regf" * 200])
    assert caught.value.code == "winregistry.base_block"


@pytest.mark.parametrize("data", [b"", b"regf", bytes(5000)])
def test_recover_other_data_is_corrupt(data):
    with pytest.raises(Corrupt) as caught:
        transaction_log.recover(data)
    assert caught.value.code in ("winregistry.truncated", "winregistry.base_block")


# The dirty vector


def test_recover_dirty_vector():
    dirty = stamped(STATES[1], 4, 3)
    recovery = transaction_log.recover(dirty, [old_log(STATES[1], 4, STATES[1], STATES[3]), b""])
    assert content(recovery.data) == content(STATES[3])
    assert (recovery.applied, recovery.dirty) == (1, False)
    assert cell_layout.get_u32(recovery.data, 28) == 0
    assert len(read_hive(recovery.data).root.subkeys) == 3


def test_recover_dirty_vector_single_sectors():
    dirty = bytearray(stamped(STATES[1], 4, 3))
    source = bytearray(old_log(STATES[1], 4, STATES[1], STATES[1]))
    source[516] = 0b100
    source += STATES[1][4096 + 1024 : 4096 + 1536]
    dirty[4096 + 1024 : 4096 + 1536] = b"\xee" * 512
    assert content(transaction_log.recover(bytes(dirty), [bytes(source)]).data) == content(STATES[1])


def test_recover_dirty_vector_of_another_time_is_ignored():
    dirty = stamped(STATES[1], 4, 3)
    for time in (TIME - 1, TIME + 1):
        assert transaction_log.recover(dirty, [old_log(STATES[1], 4, STATES[1], STATES[3], time)]).dirty


def test_recover_dirty_vector_without_all_pages_is_ignored():
    dirty = stamped(STATES[1], 4, 3)
    assert transaction_log.recover(dirty, [old_log(STATES[1], 4, STATES[1], STATES[3])[:-512]]).dirty


def test_recover_damaged_base_block_comes_from_a_dirty_vector_log():
    broken = bytes(512) + stamped(STATES[1], 4, 3)[512:]
    assert content(transaction_log.recover(broken, [old_log(STATES[1], 4, STATES[1], STATES[3])]).data) == content(
        STATES[3]
    )


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["new", "old"]),
    st.lists(st.tuples(st.integers(0, 30000), st.integers(0, 255)), max_size=8),
    st.integers(0, 30000),
    st.booleans(),
)
def test_recover_damaged_logs_raise_only_our_errors(kind, changes, length, reseal):
    dirty = stamped(STATES[0], 4, 3)
    source = bytearray(
        new_log(STATES[0], 3, entry(3, STATES[0], STATES[1]))
        if kind == "new"
        else old_log(STATES[0], 4, STATES[0], STATES[1])
    )
    for at, byte in changes:
        source[at % (600 if at % 2 else len(source))] = byte
    if reseal:
        source[:512] = sealed(source[:512])
    with only_our_errors():
        recovery = transaction_log.recover(dirty, [bytes(source[: max(length, 512)])])
        assert len(recovery.data) <= len(dirty) + len(source)
        read_hive(recovery.data)
