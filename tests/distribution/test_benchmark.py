# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of push and pull works; this test does not check speed."""

from __future__ import annotations

import json

from ansible_collections.strata.layering.tests.benchmark import run


def test_distribute_case_runs_on_small_data(tmp_path):
    assert run.main(["--quick", "--only", "distribute", "--folder", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "result.json").read_text())["rows"]
    peers = [row["peer"].partition(" ")[0] for row in rows[:-2] if row["peer"]]
    assert peers == ["skopeo", "oras"] * 2
    # A second template must not move the OS layer, which has 0.9 MB.
    assert all(row["ours"].startswith("0.0") for row in rows[-2:])
