# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grain maps, compared with plain dictionaries, and damaged grain maps."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.plugins.module_utils.disk.grains import BLAKE3, GrainIndex
from ansible_collections.strata.layering.plugins.module_utils.images.stored.grain_map import GrainMap
from ansible_collections.strata.layering.tests.support.expectations import raises

CAPACITY = 40 << 16
ROWS = st.dictionaries(
    st.integers(0, 39),
    st.tuples(st.integers(0, 3), st.integers(1, 1 << 31), st.sampled_from([0, 1, 65536])),
    max_size=20,
)


def mapping(rows, blobs=4):
    numbers = sorted(rows)
    columns = [[rows[number][column] for number in numbers] for column in range(3)]
    digests = np.array([[number] * 16 for number in numbers], dtype=np.uint8).reshape(-1, 16)
    return GrainMap(CAPACITY, blobs, numbers, columns[0], columns[1], columns[2], digests, BLAKE3)


def rows_of(found):
    return {
        int(number): (int(blob), int(sector), int(size))
        for number, blob, sector, size in zip(found.numbers, found.blobs, found.sectors, found.sizes)
    }


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_grain_map_round_trip(rows):
    found = GrainMap.from_bytes(mapping(rows).to_bytes())
    assert rows_of(found) == rows
    assert found.capacity == CAPACITY
    assert found.blob_count == 4


@settings(max_examples=100, deadline=None)
@given(ROWS, ROWS)
def test_newer_map_hides_older_map(newer, older):
    assert rows_of(mapping(newer).over(mapping(older))) == {**older, **newer}


@settings(max_examples=100, deadline=None)
@given(ROWS, st.sets(st.integers(0, 39)))
def test_resolve_joins_base_and_changes(rows, base):
    index = GrainIndex(
        CAPACITY,
        sorted(base),
        [7 * number + 1 for number in sorted(base)],
        [9] * len(base),
        np.zeros((len(base), 16), dtype=np.uint8),
        BLAKE3,
    )
    numbers, sources, sectors, sizes, _digests = mapping(rows).resolve(index)
    expected = {number: (0, 7 * number + 1, 9) for number in base if number not in rows}
    expected |= {number: (1 + blob, sector, size) for number, (blob, sector, size) in rows.items() if size}
    assert list(numbers) == sorted(numbers)
    assert {int(n): (int(a), int(b), int(c)) for n, a, b, c in zip(numbers, sources, sectors, sizes)} == expected


@settings(max_examples=300, deadline=None)
@given(ROWS, st.integers(0, 200), st.binary(min_size=1, max_size=9))
def test_damaged_map_is_corrupt_or_valid(rows, position, data):
    good = bytearray(mapping(rows).to_bytes())
    good[position : position + len(data)] = data
    try:
        found = GrainMap.from_bytes(bytes(good))
    except Corrupt as error:
        assert error.hint
    else:
        assert all(number < 40 << 48 for number in found.numbers)
        assert (found.blobs[found.sizes > 0] < found.blob_count).all()


@pytest.mark.parametrize("change", ["short", "long", "magic", "count", "order", "number", "size", "blob"])
def test_contradictory_map_is_corrupt(change):
    good = bytearray(mapping({1: (0, 5, 6), 2: (1, 7, 8)}).to_bytes())
    if change == "short":
        del good[-1]
    elif change == "long":
        good += b"\0"
    else:
        offset, value = {
            "magic": (0, 0),
            "count": (24, 1 << 31),
            "order": (32, 3),
            "number": (36, 40),
            "size": (48, 1 << 30),
            "blob": (56, 4),
        }[change]
        struct.pack_into("<I" if change != "blob" else "<H", good, offset, value)
    with raises(Corrupt, "images.grain_map") as caught:
        GrainMap.from_bytes(bytes(good), "The grain map of x")
    assert caught.value.message.startswith("The grain map of x ")
    assert GrainMap.from_bytes(GrainMap.empty(CAPACITY, BLAKE3).to_bytes()).capacity == CAPACITY
