# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grain index."""

from __future__ import annotations

import hashlib
import struct

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.plugins.module_utils.disk.grains import (
    BLAKE2B,
    BLAKE3,
    GRAIN_SIZE,
    ZERO_GRAIN,
    GrainIndex,
    grain_total,
)
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors


def index_of(numbers, capacity=1000 * GRAIN_SIZE, seed=0, algorithm=BLAKE3):
    count = len(numbers)
    digests = numpy.frombuffer(
        b"".join(algorithm.digest(b"%d %d" % (number, seed)) for number in numbers), dtype=numpy.uint8
    )
    sectors, sizes = [128 + 10 * row for row in range(count)], [1000 + row for row in range(count)]
    return GrainIndex(capacity, numbers, sectors, sizes, digests, algorithm)


def test_algorithms_of_grain_digests():
    assert BLAKE2B.digest(b"abc") == hashlib.blake2b(b"abc", digest_size=16).digest()
    # The first test vector of the BLAKE3 specification: the empty input.
    assert BLAKE3.digest(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc949"
    for algorithm in (BLAKE2B, BLAKE3):
        assert algorithm.zero == algorithm.digest(ZERO_GRAIN)


def test_index_of_an_earlier_release_is_read():
    digest = hashlib.blake2b(b"a" * GRAIN_SIZE, digest_size=16).digest()
    header = struct.pack("<8sIIQQ", b"STRATAGI", 1, GRAIN_SIZE, 10 * GRAIN_SIZE, 1)
    index = GrainIndex.from_bytes(header + struct.pack("<III", 7, 128, 99) + digest)
    assert index.algorithm is BLAKE2B
    assert index.digests[0].tobytes() == index.algorithm.digest(b"a" * GRAIN_SIZE)


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (GRAIN_SIZE, 1), (GRAIN_SIZE + 1, 2)])
def test_grain_total_rounds_up(size, count):
    assert grain_total(size) == count


@pytest.mark.parametrize("algorithm", [BLAKE2B, BLAKE3], ids=lambda algorithm: algorithm.name)
def test_index_is_restored_from_bytes(algorithm):
    index = index_of([0, 5, 999], algorithm=algorithm)
    data = index.to_bytes()
    assert len(data) == 32 + 3 * 28
    again = GrainIndex.from_bytes(data)
    assert again.to_bytes() == data
    assert again.capacity == index.capacity
    assert again.algorithm is algorithm
    assert again.digests.tolist() == index.digests.tolist()
    assert len(GrainIndex.from_bytes(index_of([]).to_bytes())) == 0


@pytest.mark.parametrize("numbers", [[5, 5], [5, 4], [1000]])
def test_impossible_grain_numbers_are_rejected(numbers):
    with pytest.raises(Corrupt) as caught:
        GrainIndex.from_bytes(index_of(numbers).to_bytes())
    assert caught.value.code == "disk.grains_corrupt"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_damaged_index_raises_only_our_errors(offset, patch):
    data = bytearray(index_of([0, 5, 999]).to_bytes())
    data[offset : offset + len(patch)] = patch
    with only_our_errors():
        assert len(GrainIndex.from_bytes(bytes(data))) == 3
