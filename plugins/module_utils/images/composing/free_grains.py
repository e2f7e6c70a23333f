# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grains of a disk that hold no data, because all their NTFS clusters are free."""

from __future__ import annotations

from ...common.arrays import U8, Mask
from ...common.optional_imports import np
from ...disk.grains import GRAIN_SIZE, grain_total


def free_grains(bitmap: U8, cluster_size: int, cluster_count: int, offset: int, capacity: int) -> Mask:
    """Return a bool array over all grains of a disk of ``capacity`` bytes, true for grains that are free space.

    ``bitmap`` (u8, one bit per cluster, lowest first) is the bitmap of the NTFS volume at byte ``offset``.
    Grains that extend beyond the volume are never free.
    """
    free = np.zeros(grain_total(capacity), dtype=np.bool_)
    if cluster_size > GRAIN_SIZE:
        used = np.repeat(
            np.unpackbits(bitmap, bitorder="little")[:cluster_count].astype(np.bool_), cluster_size // GRAIN_SIZE
        )
    else:
        per_grain = GRAIN_SIZE // cluster_size
        whole = cluster_count // per_grain
        if per_grain >= 8:
            used = bitmap[: whole * per_grain // 8].reshape(-1, per_grain // 8).any(axis=1)
        else:
            used = np.unpackbits(bitmap, bitorder="little")[: whole * per_grain].reshape(-1, per_grain).any(axis=1)
    # used[n] describes the n-th 64 KiB of the volume, whose start may be inside a grain.
    first, shift = divmod(offset, GRAIN_SIZE)
    if shift:
        first, used = first + 1, used[:-1] | used[1:]
    free[first : first + len(used)] = ~used[: len(free) - first]
    return free
