# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free grains, compared with a set of clusters."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.images.composing.free_grains import free_grains

GRAIN = 65536


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 1 << 20, 2 << 20]),
    st.integers(0, 700),
    st.sampled_from([0, 512, 4096, 63 * 512]),
    st.integers(0, 5),
    st.integers(0, 5),
    st.data(),
)
def test_grain_of_free_clusters_is_free(cluster, count, shift, before, behind, data):
    used = data.draw(st.sets(st.integers(0, max(count - 1, 0)), max_size=6)) if count else set()
    bitmap = np.zeros((count + 7) // 8, dtype=np.uint8)
    for number in used:
        bitmap[number // 8] |= 1 << number % 8
    offset = before * GRAIN + shift
    capacity = offset + count * cluster + behind * 40_000 + 1
    found = free_grains(bitmap, cluster, count, offset, capacity)
    end = offset + count * cluster
    taken = np.full(-(-capacity // GRAIN), True)
    for grain in range(len(taken)):
        start, stop = grain * GRAIN, (grain + 1) * GRAIN
        if start >= offset and stop <= end:
            clusters = range((start - offset) // cluster, (stop - offset - 1) // cluster + 1)
            taken[grain] = any(number in used for number in clusters)
    assert len(found) == len(taken)
    assert not (found & taken).any()
    # If the volume begins inside a grain, neighbours of used grains may be kept; otherwise every free grain is found.
    assert shift or (~taken & ~found).sum() == 0
