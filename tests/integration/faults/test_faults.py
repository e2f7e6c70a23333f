# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults in every call and step of a publish and of an export have the outcomes that docs/reliability.md lists."""

from __future__ import annotations

from ansible_collections.strata.layering.tests.integration.faults.bench import FaultBench
from ansible_collections.strata.layering.tests.integration.faults.matrix import Case
from ansible_collections.strata.layering.tests.integration.faults.report import DOCUMENT, committed, render

_WRITE_AGAIN = (
    "write docs/reliability.md again: python -m ansible_collections.strata.layering.tests.integration.faults.report"
)


def test_fault_outcome_is_documented(fault_bench: FaultBench, case: Case) -> None:
    outcome = case.attempt(fault_bench)
    assert outcome in committed().get(case.key, ()), f"the outcome is {outcome}; if that is intended, {_WRITE_AGAIN}"


def test_reliability_page_has_a_cell_for_every_case(matrix: list[Case]) -> None:
    assert committed().keys() == {case.key for case in matrix}, _WRITE_AGAIN


def test_reliability_page_equals_the_rendered_report(matrix: list[Case]) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render({case.key: committed()[case.key] for case in matrix}), (
        _WRITE_AGAIN
    )
