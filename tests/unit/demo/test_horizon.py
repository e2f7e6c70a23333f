# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Horizon pool of the demo: its states, the checks of them, and their table in the report."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.demo.checks import CheckFailed, check_all_machines, check_pool
from ansible_collections.strata.layering.tests.demo.horizon import MACHINES, POOL, PoolState, entry, read
from ansible_collections.strata.layering.tests.demo.report import pool_table

_PUSH = {"status": "Complete", "description": "The image is the current image."}


class _Horizon:
    """A pool whose current image is vm-1 and whose last machine has vm-2."""

    def pool(self, name: str) -> dict:
        return {"name": name, "vm": "vm-1"}

    def machines(self, pool: str) -> list[dict]:
        return [{"name": f"{pool}-{number}", "vm": "vm-2" if number == MACHINES else "vm-1"} for number in range(1, 5)]


class _VSphere:
    def machines(self) -> list[dict]:
        return [{"moid": f"vm-{number}", "name": f"desk-{number}"} for number in (1, 2, 3)]


def test_state_counts_machines_by_their_image():
    assert read(_Horizon(), _VSphere(), "staged", 1.5) == PoolState("staged", "desk-1", {"desk-1": 3, "desk-2": 1}, 1.5)


def test_entry_has_the_pool_and_the_options():
    assert entry(image="previous") == [{"name": POOL, "template": "office-desktop", "image": "previous"}]


@pytest.mark.parametrize(
    ("status", "image", "machines"),
    [
        ("Running", "desk-2", {"desk-2": MACHINES}),
        ("Complete", "desk-1", {"desk-2": MACHINES}),
        ("Complete", "desk-2", {"desk-1": 1, "desk-2": MACHINES - 1}),
    ],
)
def test_pool_that_is_not_as_expected_fails_the_demo(status, image, machines):
    with pytest.raises(CheckFailed):
        check_all_machines(_PUSH | {"status": status}, PoolState("promoted", image, machines), "desk-2")


def test_pool_as_expected_passes():
    check_all_machines(_PUSH, PoolState("promoted", "desk-2", {"desk-2": MACHINES}), "desk-2")
    staged = PoolState("staged", "desk-1", {"desk-1": 3, "desk-2": 1})
    check_pool(_PUSH | {"status": "Staged"}, "Staged", staged, "desk-1", {"desk-2": 1, "desk-1": 3})


def test_table_has_a_row_for_each_moment():
    table = pool_table(
        [PoolState("before", "golden", {"golden": 4}), PoolState("staged", "golden", {"desk-1": 1, "golden": 3}, 5.26)]
    )
    assert table.rows == [
        ["before", "golden", "4 on golden", ""],
        ["staged", "golden", "1 on desk-1, 3 on golden", "5.3 s"],
    ]
    assert POOL in table.title
