# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture of a VM that was started and shut down, with nothing installed, takes next to nothing."""

from __future__ import annotations

from ansible_collections.strata.layering.tests.support import windows_start
from ansible_collections.strata.layering.tests.support.captured import capture_change


def taken(entries, deltas):
    """Return the paths of a layer, and the keys in which its deltas change something."""
    keys = [
        f"{hive}\\{path}" + (f" @{', '.join(sorted(key.values))}" if key.values else "")
        for hive, delta in deltas.items()
        for path, key in delta.walk()
        if key.values or not key.subkeys
    ]
    return sorted(entries) + sorted(keys)


def test_started_machine_has_at_most_three_entries(started):
    result, entries, deltas = capture_change(started, windows_start.start())
    assert len(taken(entries, deltas)) <= windows_start.MOST_WITHOUT_PROFILE, "\n".join(taken(entries, deltas))


def test_started_machine_has_no_hazard(started):
    result, _entries, _deltas = capture_change(started, windows_start.start())
    assert result.hazards == []
