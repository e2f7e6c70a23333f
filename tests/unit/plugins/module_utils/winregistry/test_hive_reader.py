# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import read_delta, write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive, Key
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    REG_DWORD,
    current_control_set,
    decode_string,
)
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors
from ansible_collections.strata.layering.tests.support.registry_data import hive_content

from .registry_helpers import real_system


def sample() -> bytearray:
    hive = Hive.new("sample")
    for name in ("one", "two", "жук"):
        key = hive.root.create(name)
        key.class_name = "class"
        for size in (0, 3, 40, 20000):
            key.set_value(f"v{size}", 3, bytes(size))
        key.create("below\\further")
    return bytearray(write_hive(hive))


def sealed(data: bytearray) -> bytes:
    cell_layout.set_u32(data, 508, cell_layout.checksum(data))
    return bytes(data)


def find(data: bytes, signature: bytes, number: int = 0) -> int:
    """Return the file offset of the content of a cell with a signature."""
    at = 4096 + 32
    while True:
        length = struct.unpack_from("<i", data, at)[0]
        if length < 0 and data[at + 4 : at + 6] == signature:
            if not number:
                return at + 4
            number -= 1
        at += abs(length)
        if at % 4096 == 0 and data[at : at + 4] == b"hbin":
            at += 32


def test_the_real_hive():
    hive = read_hive(real_system())
    assert (hive.name, hive.minor, hive.dirty, hive.recovered, hive.flags) == ("SYSTEM", 5, False, 0, 1)
    assert current_control_set(hive).name == "ControlSet001"
    product = hive.key("controlset001\\CONTROL\\productoptions")
    assert decode_string(product.value("producttype")) == "WinNT"
    assert sum(bool(key.class_data) for _path, key in hive.root.walk()) == 5
    assert sum(len(key.values) for _path, key in hive.root.walk()) == 74454
    assert len({key.security for _path, key in hive.root.walk()}) == 283
    assert {value.type for _path, key in hive.root.walk() for value in key.values.values()} >= {REG_DWORD, 0xFFFF0012}


def test_read_hive_error_contains_the_name():
    with pytest.raises(Corrupt) as caught:
        read_hive(b"regf", name="Windows/System32/config/SYSTEM")
    assert "Windows/System32/config/SYSTEM" in caught.value.message


def test_current_control_set_missing_is_corrupt():
    with pytest.raises(Corrupt) as caught:
        current_control_set(Hive.new())
    assert caught.value.code == "winregistry.no_control_set"


@pytest.mark.parametrize(
    "offset, number, code",
    [
        (24, 2, "winregistry.version"),
        (20, 2, "winregistry.version"),
        (40, 0, "winregistry.truncated"),
        (40, 4097, "winregistry.truncated"),
        (40, 0x7FFFF000, "winregistry.truncated"),
        (36, 0xFFFFFFFF, "winregistry.reference"),
        (36, 33, "winregistry.reference"),
        (36, 0, "winregistry.reference"),
    ],
)
def test_read_hive_invalid_base_block_field_is_rejected(offset, number, code):
    data = sample()
    cell_layout.set_u32(data, offset, number)
    with pytest.raises((Corrupt, Unsupported)) as caught:
        read_hive(sealed(data))
    assert caught.value.code == code


@pytest.mark.parametrize("size", [0, 3, 4095, 4096, 8191])
def test_read_hive_truncated_file_is_corrupt(size):
    with pytest.raises(Corrupt) as caught:
        read_hive(bytes(sample()[:size]))
    assert caught.value.code.startswith("winregistry.")


def test_read_hive_wrong_checksum_without_log_is_corrupt():
    data = sample()
    data[60] ^= 1
    with pytest.raises(Corrupt) as caught:
        read_hive(bytes(data))
    assert caught.value.code == "winregistry.base_block"
    assert caught.value.hint


def test_read_hive_dirty_without_logs_is_marked_dirty():
    data = sample()
    cell_layout.set_u32(data, 4, 9)
    hive = read_hive(sealed(data))
    assert hive.dirty
    assert len(hive.root.subkeys) == 3


@pytest.mark.parametrize(
    "signature, offset, number, code",
    [
        (b"nk", 20, 2, "winregistry.list"),
        (b"nk", 28, 0xFFFFFFFF, "winregistry.reference"),
        (b"nk", 44, 36, "winregistry.reference"),
        (b"nk", 72, 0xFFFF, "winregistry.key"),
        (b"lh", 0, 0x00200020, "winregistry.list"),
        (b"lh", 0, 0xFFFF686C, "winregistry.cell"),
        (b"vk", 4, 0x80000005, "winregistry.value"),
        (b"vk", 0, 0xFFFF6B76, "winregistry.value"),
        (b"vk", 0, 0x00026B77, "winregistry.value"),
        (b"sk", 16, 0x7FFFFFFF, "winregistry.security"),
        (b"db", 0, 0x00036264, "winregistry.value"),
        (b"db", 4, 0x7FFFFFF8, "winregistry.reference"),
    ],
)
def test_read_hive_damaged_structure_is_corrupt(signature, offset, number, code):
    data = sample()
    cell_layout.set_u32(data, find(data, signature) + offset, number)
    with pytest.raises(Corrupt) as caught:
        read_hive(sealed(data))
    assert caught.value.code == code


def test_read_hive_cycle_is_corrupt():
    data = sample()
    root = struct.unpack_from("<I", data, 36)[0]
    leaf = find(data, b"lh", 1)
    cell_layout.set_u32(data, leaf + 4, root)
    with pytest.raises(Corrupt) as caught:
        read_hive(sealed(data))
    assert caught.value.code == "winregistry.reference"


def test_read_hive_list_used_twice_is_corrupt():
    data = sample()
    first, second = find(data, b"nk", 1), find(data, b"nk", 2)
    data[second + 28 : second + 32] = data[first + 28 : first + 32]
    with pytest.raises(Corrupt) as caught:
        read_hive(sealed(data))
    assert caught.value.code == "winregistry.reference"


def test_read_hive_names_equal_for_windows_are_corrupt():
    data = sample()
    at = data.index(b"two", find(data, b"nk"))
    data[at : at + 3] = b"ONE"
    with pytest.raises(Corrupt) as caught:
        read_hive(sealed(data))
    assert caught.value.code == "winregistry.duplicate"


@pytest.mark.parametrize("name", ["a\\b", "x" * 257, "\u0436" * 257, "x" * 32000, "\u0436" * 32000])
def test_read_hive_invalid_key_name_is_corrupt(name):
    hive = Hive.new()
    hive.root.create("key").name = name
    with pytest.raises(Corrupt) as caught:
        read_hive(write_hive(hive))
    assert caught.value.code == "winregistry.name"


@pytest.mark.parametrize("name", ["x" * 16384, "\u0436" * 16384, "x" * 65000])
def test_read_hive_invalid_value_name_is_corrupt(name):
    hive = Hive.new()
    hive.root.set_value("value", 1, b"").name = name
    with pytest.raises(Corrupt) as caught:
        read_hive(write_hive(hive))
    assert caught.value.code == "winregistry.name"


@pytest.mark.parametrize("character", ["x", "\u0436"])
def test_read_hive_longest_names(character):
    hive = Hive.new()
    hive.root.create(character * 256).set_value(character * 16383, 1, b"")
    again = read_hive(write_hive(hive))
    assert list(again.root.subkeys) == [character * 256]
    assert list(again.root.subkeys[character * 256].values) == [character * 16383]
    delta = compute_delta(Hive.new(), again, name="SYSTEM")
    assert read_delta(write_delta(delta)).key(character * 256).values == delta.key(character * 256).values


def test_read_hive_big_data_written_by_hivex():
    """Data above 16344 bytes in a plain cell: Windows does not write this, but the meaning is clear."""
    hive = Hive.new(minor=3)
    hive.root.set_value("big", 3, b"abc" * 10000)
    data = bytearray(write_hive(hive))
    cell_layout.set_u32(data, 24, 5)
    assert read_hive(sealed(data)).root.value("big").data == b"abc" * 10000


def test_read_hive_predefined_handle_keeps_its_number():
    hive = Hive.new()
    key = Key("009", flags=cell_layout.KEY_COMP_NAME | cell_layout.KEY_PREDEF_HANDLE)
    key.predefined_handle = 0x80000060
    hive.root.add(key)
    again = read_hive(write_hive(hive)).root.key("009")
    assert again.predefined_handle == 0x80000060
    assert not again.values


def test_read_hive_first_of_two_values_with_equal_names_counts():
    hive = Hive.new()
    hive.root.set_value("aa", 3, b"1")
    hive.root.set_value("bb", 3, b"2")
    data = write_hive(hive).replace(b"bb", b"AA")
    assert [value.data for value in read_hive(data).root.values.values()] == [b"1"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 20), st.sampled_from([0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0x10, 0x6B])),
        min_size=1,
        max_size=12,
    )
)
def test_read_hive_random_damage_raises_only_our_errors(changes):
    data = sample()
    used = [at for at in range(4096, len(data)) if data[at]]
    for where, byte in changes:
        data[used[where % len(used)]] = byte
    with only_our_errors():
        hive = read_hive(bytes(data))
        again = read_hive(write_hive(hive))
        assert set(hive_content(again.root)) == set(hive_content(hive.root))


def test_read_hive_damaged_real_hive_raises_only_our_errors():
    rng = random.Random(7)
    data = bytearray(real_system())
    for _turn in range(12):
        at = rng.randrange(4096, len(data) - 4) & ~3
        kept = bytes(data[at : at + 4])
        data[at : at + 4] = rng.randbytes(4)
        with only_our_errors():
            read_hive(bytes(data))
        data[at : at + 4] = kept
