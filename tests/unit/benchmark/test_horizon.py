# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool that is watched costs one request in an interval; the full benchmark proves it for many pools."""

from __future__ import annotations

import os

from ansible_collections.strata.layering.tests.benchmark.bench import Bench
from ansible_collections.strata.layering.tests.benchmark.horizon import watching


def test_watching_pools_meets_all_targets(tmp_path):
    bench = Bench(os.fspath(tmp_path), quick=True)
    rows = watching(bench)
    assert {row.subject.partition(": ")[2]: row.verdict for row in rows} == {
        "requests per pool and interval": "met",
        "peak memory of the process": "met",
        "one round of all pools": "met",
    }
