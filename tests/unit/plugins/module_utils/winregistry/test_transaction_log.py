# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError
from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout, transaction_log
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.marvin32 import marvin32

TIME = 131331190512216222


def sealed(block: bytes | bytearray) -> bytes:
    block = bytearray(block)
    cell_layout.set_u32(block, 508, cell_layout.checksum(block))
    return bytes(block)


def stamped(hive: bytes, first: int, second: int, time: int = TIME) -> bytes:
    """``hive`` with these sequence numbers and time."""
    data = bytearray(hive)
    struct.pack_into("<IIQ", data, 4, first, second, time)
    return sealed(data)


def state(number: int) -> bytes:
    """The hive after ``number`` changes; each makes it larger."""
    hive = Hive.new("test", last_written=TIME)
    for step in range(number):
        hive.root.create(f"Key {step}").set_value("v", 3, bytes([step + 1]) * 3000)
    return write_hive(hive)


def entry(sequence: int, before: bytes, after: bytes, flags: int = 0) -> bytes:
    """A log entry that makes ``after`` of ``before``."""
    pages = [
        (at - 4096, after[at : at + 4096])
        for at in range(4096, len(after), 4096)
        if before[at : at + 4096] != after[at : at + 4096]
    ]
    return raw_entry(sequence, len(after) - 4096, pages, flags)


def raw_entry(sequence: int, bins_size: int, pages: list[tuple[int, bytes]], flags: int = 0) -> bytes:
    body = b"".join(struct.pack("<II", offset, len(page)) for offset, page in pages) + b"".join(
        page for _offset, page in pages
    )
    size = -(-(40 + len(body)) // 512) * 512
    body = body.ljust(size - 40, b"\0")
    head = struct.pack("<4sIIIIIQ", b"HvLE", size, flags, sequence, bins_size, len(pages), marvin32(body))
    return head + struct.pack("<Q", marvin32(head)) + body


def new_log(base: bytes, sequence: int, *entries: bytes) -> bytes:
    block = bytearray(stamped(base, sequence, sequence)[:512])
    cell_layout.set_u32(block, 28, 6)
    return sealed(block) + b"".join(entries)


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


def test_a_clean_hive_ignores_its_logs():
    clean = stamped(STATES[1], 7, 7)
    assert transaction_log.recover(
        clean, [new_log(STATES[1], 7, entry(7, STATES[1], STATES[2]))]
    ) == transaction_log.Recovery(clean, 0, False)


def test_two_logs_in_either_order():
    dirty = stamped(STATES[0], 4, 3)
    later = new_log(STATES[2], 5, entry(5, STATES[2], STATES[3]), entry(6, STATES[3], STATES[4], flags=1))
    earlier = new_log(STATES[0], 3, entry(3, STATES[0], STATES[1]), entry(4, STATES[1], STATES[2]))
    for logs in ([earlier, later], [later, earlier], [b"", later, earlier]):
        recovery = transaction_log.recover(dirty, logs)
        assert content(recovery.data) == content(STATES[4]) and (recovery.applied, recovery.dirty) == (4, False)
        assert struct.unpack_from("<II", recovery.data, 4) == (7, 7) and cell_layout.get_u32(recovery.data, 144) & 1
        assert cell_layout.get_u32(recovery.data, 28) == 0 and cell_layout.checksum(
            recovery.data
        ) == cell_layout.get_u32(recovery.data, 508)
    hive = read_hive(dirty, logs=[later, earlier])
    assert hive.recovered == 4 and not hive.dirty and len(hive.root.subkeys) == 4


def test_a_log_that_is_older_than_the_hive_is_left_out():
    dirty = stamped(STATES[2], 6, 5)
    old = new_log(STATES[0], 3, entry(3, STATES[0], STATES[1]), entry(4, STATES[1], STATES[2]))
    current = new_log(STATES[2], 5, entry(5, STATES[2], STATES[3]))
    assert content(transaction_log.recover(dirty, [old, current]).data) == content(STATES[3])
    assert transaction_log.recover(dirty, [old]) == transaction_log.Recovery(dirty, 0, True)


def test_a_gap_between_the_logs_ends_recovery():
    dirty = stamped(STATES[0], 4, 3)
    logs = [
        new_log(STATES[0], 3, entry(3, STATES[0], STATES[1])),
        new_log(STATES[2], 5, entry(5, STATES[2], STATES[3])),
    ]
    assert content(transaction_log.recover(dirty, logs).data) == content(STATES[1])


def test_sequence_numbers_wrap_around():
    top = 0xFFFFFFFF
    dirty = stamped(STATES[0], 0, top)
    logs = [
        new_log(STATES[1], 0, entry(0, STATES[1], STATES[2])),
        new_log(STATES[0], top, entry(top, STATES[0], STATES[1])),
    ]
    recovery = transaction_log.recover(dirty, logs)
    assert content(recovery.data) == content(STATES[2]) and struct.unpack_from("<II", recovery.data, 4) == (1, 1)


@pytest.mark.parametrize(
    "at, bit", [(0, 1), (4, 2), (8, 1), (12, 1), (16, 1), (20, 1), (24, 1), (32, 1), (40, 1), (600, 1), (-1, 1)]
)
def test_a_damaged_entry_and_what_follows_is_not_applied(at, bit):
    dirty = stamped(STATES[0], 4, 3)
    damaged = bytearray(entry(4, STATES[1], STATES[2]))
    damaged[at] ^= bit
    source = new_log(STATES[0], 3, entry(3, STATES[0], STATES[1]), bytes(damaged), entry(5, STATES[2], STATES[3]))
    recovery = transaction_log.recover(dirty, [source])
    assert recovery.applied == 1 and content(recovery.data) == content(STATES[1])


def test_a_log_that_ends_within_an_entry():
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
def test_an_entry_that_asks_for_the_impossible_is_not_applied(bins_size, pages):
    dirty = stamped(STATES[0], 4, 3)
    assert transaction_log.recover(
        dirty, [new_log(STATES[0], 3, raw_entry(3, bins_size, pages))]
    ) == transaction_log.Recovery(dirty, 0, True)


def test_a_broken_base_block_comes_from_the_later_log_alone():
    broken = b"\xff" * 512 + stamped(STATES[2], 4, 3)[512:]
    earlier = new_log(STATES[1], 3, entry(3, STATES[1], STATES[2]))
    later = new_log(STATES[2], 4, entry(4, STATES[2], STATES[3]))
    recovery = transaction_log.recover(broken, [later, earlier])
    assert recovery.applied == 1 and len(read_hive(recovery.data).root.subkeys) == 3
    with pytest.raises(Corrupt):
        transaction_log.recover(broken, [b"", b"regf" * 200])


@pytest.mark.parametrize("data", [b"", b"regf", bytes(5000)])
def test_what_is_no_hive(data):
    with pytest.raises(Corrupt):
        transaction_log.recover(data)


# The old format


def old_log(base: bytes, sequence: int, before: bytes, after: bytes, time: int = TIME, kind: int = 1) -> bytes:
    block = bytearray(stamped(after[:4096], sequence, sequence, time)[:512])
    cell_layout.set_u32(block, 28, kind)
    vector, pages = bytearray((len(after) - 4096) // 4096), b""
    for page in range(len(vector)):
        at = 4096 + page * 4096
        if before[at : at + 4096] != after[at : at + 4096]:
            vector[page] = 0xFF
            pages += after[at : at + 4096]
    return (sealed(block) + b"DIRT" + bytes(vector)).ljust(-(-(516 + len(vector)) // 512) * 512, b"\0") + pages


def test_the_old_format():
    dirty = stamped(STATES[1], 4, 3)
    recovery = transaction_log.recover(dirty, [old_log(STATES[1], 4, STATES[1], STATES[3]), b""])
    assert content(recovery.data) == content(STATES[3]) and (recovery.applied, recovery.dirty) == (1, False)
    assert cell_layout.get_u32(recovery.data, 28) == 0 and len(read_hive(recovery.data).root.subkeys) == 3


def test_single_sectors_of_a_page():
    dirty = bytearray(stamped(STATES[1], 4, 3))
    source = bytearray(old_log(STATES[1], 4, STATES[1], STATES[1]))
    source[516] = 0b100
    source += STATES[1][4096 + 1024 : 4096 + 1536]
    dirty[4096 + 1024 : 4096 + 1536] = b"\xee" * 512
    assert content(transaction_log.recover(bytes(dirty), [bytes(source)]).data) == content(STATES[1])


def test_an_old_log_of_another_time_does_not_apply():
    dirty = stamped(STATES[1], 4, 3)
    for time in (TIME - 1, TIME + 1):
        assert transaction_log.recover(dirty, [old_log(STATES[1], 4, STATES[1], STATES[3], time)]).dirty


def test_an_old_log_without_all_its_pages_does_not_apply():
    dirty = stamped(STATES[1], 4, 3)
    assert transaction_log.recover(dirty, [old_log(STATES[1], 4, STATES[1], STATES[3])[:-512]]).dirty


def test_a_broken_base_block_comes_from_an_old_log():
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
def test_damaged_logs_never_harm(kind, changes, length, reseal):
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
    try:
        recovery = transaction_log.recover(dirty, [bytes(source[: max(length, 512)])])
        assert len(recovery.data) <= len(dirty) + len(source)
        read_hive(recovery.data)
    except StrataError:
        pass
