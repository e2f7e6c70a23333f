# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the grain index."""

from __future__ import annotations

import hashlib

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError
from ansible_collections.strata.layering.plugins.module_utils.disk.grains import (
    GRAIN_SIZE,
    ZERO_DIGEST,
    GrainIndex,
    grain_digest,
    grain_total,
)


def index_of(numbers, capacity=1000 * GRAIN_SIZE, seed=0):
    count = len(numbers)
    digests = numpy.frombuffer(
        b"".join(grain_digest(b"%d %d" % (number, seed)) for number in numbers), dtype=numpy.uint8
    )
    return GrainIndex(
        capacity, numbers, [128 + 10 * row for row in range(count)], [1000 + row for row in range(count)], digests
    )


def test_digest_is_blake2b_of_128_bits():
    assert grain_digest(b"abc") == hashlib.blake2b(b"abc", digest_size=16).digest()
    assert grain_total(1) == 1 and grain_total(GRAIN_SIZE) == 1 and grain_total(GRAIN_SIZE + 1) == 2


def test_rows_and_digests():
    index = index_of([0, 5, 999])
    assert [index.row(number) for number in (0, 5, 999, 1, 1000)] == [0, 1, 2, -1, -1]
    assert index.rows([999, 3, 0]).tolist() == [2, -1, 0]
    assert index.digest(5) == grain_digest(b"5 0")
    assert index.digest(6) == ZERO_DIGEST
    assert numpy.flatnonzero(index.mask()).tolist() == [0, 5, 999]
    assert index_of([]).rows([1, 2]).tolist() == [-1, -1] and index_of([]).row(0) == -1


def test_differing_sees_content_presence_and_nothing_else():
    one, two = index_of([0, 5, 7, 999]), index_of([0, 5, 8, 999])
    two.digests = two.digests ^ numpy.array([[0], [1], [0], [0]], dtype=numpy.uint8)
    assert one.differing(two).tolist() == [5, 7, 8]
    assert two.differing(one).tolist() == [5, 7, 8]
    assert one.differing(one).tolist() == []


def test_bytes_round_trip():
    index = index_of([0, 5, 999])
    data = index.to_bytes()
    assert len(data) == 32 + 3 * 28
    again = GrainIndex.from_bytes(data)
    assert again.to_bytes() == data and again.capacity == index.capacity and again.digest(5) == index.digest(5)
    assert len(GrainIndex.from_bytes(index_of([]).to_bytes())) == 0


@pytest.mark.parametrize("numbers", [[5, 5], [5, 4], [1000]])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(Corrupt):
        GrainIndex.from_bytes(index_of(numbers).to_bytes())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_damage_raises_only_our_errors(place, patch):
    data = bytearray(index_of([0, 5, 999]).to_bytes())
    data[place : place + len(patch)] = patch
    try:
        index = GrainIndex.from_bytes(bytes(data))
    except StrataError:
        return
    assert len(index) == 3
