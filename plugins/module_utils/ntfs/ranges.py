# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of byte ranges, as two sorted arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..common.arrays import I64, Mask
from ..common.optional_imports import np


class Ranges:
    """Ascending, disjoint ranges [start, end) that do not touch: ``starts`` and ``ends``, each shape (n,)."""

    __slots__ = ("starts", "ends")

    starts: I64
    ends: I64

    def __init__(self, starts: I64 | Sequence[int], ends: I64 | Sequence[int]) -> None:
        """Take ranges [start, end) in any order; ranges that overlap or touch are joined, empty ranges are dropped."""
        starts, ends = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
        real = ends > starts
        order = np.argsort(starts[real], kind="stable")
        starts, ends = starts[real][order], ends[real][order]
        if len(starts):
            reach = np.maximum.accumulate(ends)
            first = np.concatenate(([True], starts[1:] > reach[:-1]))
            last = np.concatenate((first[1:], [True]))
            starts, ends = starts[first], reach[last]
        self.starts, self.ends = starts, ends

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Ranges:
        """Return the set of (start, end) pairs."""
        pairs = list(pairs)
        return cls([start for start, _end in pairs], [end for _start, end in pairs])

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.starts.tolist(), self.ends.tolist())

    @property
    def total(self) -> int:
        """The number of bytes in all ranges."""
        return int((self.ends - self.starts).sum())

    def touched(self, starts: I64 | Sequence[int], ends: I64 | Sequence[int]) -> Mask:
        """Return which of the ranges [start, end) share a byte with this set."""
        starts, ends = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
        if not len(self.starts):
            return np.zeros(len(starts), dtype=np.bool_)
        at = np.searchsorted(self.ends, starts, side="right")
        inside = at < len(self.starts)
        return inside & (self.starts[np.minimum(at, len(self.starts) - 1)] < ends) & (ends > starts)

    def without(self, other: Ranges) -> Ranges:
        """Return the bytes that are in this set and not in ``other``."""
        cuts = np.concatenate((self.starts, self.ends, other.starts, other.ends))
        count, others = len(self.starts), len(other.starts)
        mine = np.concatenate(
            (np.full(count, 1, np.int64), np.full(count, -1, np.int64), np.zeros(2 * others, np.int64))
        )
        theirs = np.concatenate(
            (np.zeros(2 * count, np.int64), np.full(others, 1, np.int64), np.full(others, -1, np.int64))
        )
        order = np.argsort(cuts, kind="stable")
        cuts = cuts[order]
        kept = (np.cumsum(mine[order]) > 0) & (np.cumsum(theirs[order]) == 0)
        return Ranges(cuts[:-1][kept[:-1]], cuts[1:][kept[:-1]]) if len(cuts) else self

    def within(self, start: int, end: int) -> Ranges:
        """Return the bytes of this set in [start, end)."""
        return Ranges(np.clip(self.starts, start, end), np.clip(self.ends, start, end))

    def widened(self, unit: int) -> Ranges:
        """Return the set with every range extended to whole multiples of ``unit``."""
        return Ranges(self.starts // unit * unit, -(-self.ends // unit) * unit)
