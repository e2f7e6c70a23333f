# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of ranges, compared with sets of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.ntfs.ranges import Ranges

PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=12)


def numbers(ranges) -> set[int]:
    return {number for start, end in ranges for number in range(start, end)}


def check(ranges: Ranges, expected: set[int]) -> None:
    listed = list(ranges)
    assert numbers(listed) == expected
    assert ranges.total == len(expected)
    assert len(ranges) == len(listed)
    assert all(start < end for start, end in listed)
    assert all(first[1] < second[0] for first, second in zip(listed, listed[1:]))


@given(PAIRS, PAIRS, st.integers(0, 70), st.integers(0, 70), st.integers(1, 9))
def test_operations_equal_those_of_sets(first, second, start, end, unit):
    ranges, other = Ranges.of(first), Ranges.of(second)
    check(ranges, numbers(first))
    check(ranges.without(other), numbers(first) - numbers(second))
    check(ranges.within(start, end), {number for number in numbers(first) if start <= number < end})
    check(ranges.widened(unit), {unit * (number // unit) + step for number in numbers(first) for step in range(unit)})
    assert ranges.touched([pair[0] for pair in second], [pair[1] for pair in second]).tolist() == [
        bool(numbers([pair]) & numbers(first)) for pair in second
    ]
