# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All faults of transfers that the default test run leaves out: the rest of the matrix, and a composer killed at every request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.integration.faults.bench import FaultBench
from ansible_collections.strata.layering.tests.integration.faults.report import committed
from ansible_collections.strata.layering.tests.integration.faults.transfer_bench import PULL, PUSH
from ansible_collections.strata.layering.tests.integration.faults.transfer_matrix import attempt_kill, cases


@pytest.fixture(scope="module")
def fault_bench() -> Iterator[FaultBench]:
    """Provide the registry and the repositories of the cases."""
    with FaultBench() as opened:
        yield opened


def test_transfer_fault_outcomes_are_documented(fault_bench: FaultBench) -> None:
    slow = [case for case in cases(fault_bench.transfers.record()) if case.slow]
    assert len(slow) > 100
    found = {case.key: case.attempt(fault_bench) for case in slow}
    different = {key: outcome for key, outcome in found.items() if outcome not in committed().get(key, ())}
    assert different == {}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("operation", "least"), [(PUSH, 100), (PULL, 40)])
def test_transfer_killed_at_every_request_is_resumed(
    fault_bench: FaultBench, operation: str, least: int, after: bool
) -> None:
    number = 1
    while attempt_kill(fault_bench.transfers, operation, number, after=after):
        number += 1
    assert number > least
