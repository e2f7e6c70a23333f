# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults in every call and step of a publish and of an export: how they end, and that docs/reliability.md says so."""

from __future__ import annotations

from ansible_collections.strata.layering.tests.integration.faults.report import DOCUMENT, committed, render

_AGAIN = "make docs/reliability.md anew: python -m ansible_collections.strata.layering.tests.integration.faults.report"


def test_fault(workers, case):
    words = workers.outcome(case)
    assert words in committed().get(case.key, ()), f"it ended with {words}; if that is as it should be, {_AGAIN}"


def test_the_document_is_what_the_report_makes(matrix):
    assert committed().keys() == {case.key for case in matrix}, _AGAIN
    assert DOCUMENT.read_text(encoding="utf-8") == render({case.key: committed()[case.key] for case in matrix}), _AGAIN
