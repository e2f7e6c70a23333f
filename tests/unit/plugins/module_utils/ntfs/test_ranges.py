# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of ranges against sets of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.ntfs.ranges import Ranges

pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=12)


def numbers(ranges) -> set[int]:
    return {number for start, end in ranges for number in range(start, end)}


def check(ranges: Ranges, expected: set[int]) -> None:
    found = list(ranges)
    assert numbers(found) == expected and ranges.total == len(expected) and len(ranges) == len(found)
    assert all(start < end for start, end in found)
    assert all(first[1] < second[0] for first, second in zip(found, found[1:]))


@given(pairs, pairs, st.integers(0, 70), st.integers(0, 70), st.integers(1, 9))
def test_against_sets(first, second, start, end, unit):
    one, other = Ranges.of(first), Ranges.of(second)
    check(one, numbers(first))
    check(one.without(other), numbers(first) - numbers(second))
    check(one.within(start, end), {number for number in numbers(first) if start <= number < end})
    check(one.widened(unit), {unit * (number // unit) + step for number in numbers(first) for step in range(unit)})
    assert one.touched([pair[0] for pair in second], [pair[1] for pair in second]).tolist() == [
        bool(numbers([pair]) & numbers(first)) for pair in second
    ]
