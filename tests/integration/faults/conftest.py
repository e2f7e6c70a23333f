# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One test for each case of the matrix, which is derived from the calls that runs make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.integration.faults.bench import CaseEnvironment, FaultBench
from ansible_collections.strata.layering.tests.integration.faults.matrix import Case
from ansible_collections.strata.layering.tests.integration.faults.recording import (
    forget_shared_recording,
    shared_recording,
)
from ansible_collections.strata.layering.tests.integration.faults.report import all_cases

_CASES = pytest.StashKey[list[Case]]()


def _cases(config: pytest.Config) -> list[Case]:
    if _CASES not in config.stash:
        config.stash[_CASES] = all_cases(shared_recording())
    return config.stash[_CASES]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize tests of ``case``."""
    if "case" in metafunc.fixturenames:
        chosen = [case for case in _cases(metafunc.config) if not case.slow]
        metafunc.parametrize("case", chosen, ids=lambda case: case.id)


def pytest_sessionfinish() -> None:
    """Delete the recording that the workers shared."""
    forget_shared_recording()


@pytest.fixture
def matrix(pytestconfig: pytest.Config) -> list[Case]:
    """Return all cases."""
    return _cases(pytestconfig)


@pytest.fixture(scope="session")
def fault_bench() -> Iterator[FaultBench]:
    """Provide a vCenter and a repository of which every case gets a copy."""
    with FaultBench() as opened:
        yield opened


@pytest.fixture
def environment(fault_bench: FaultBench) -> Iterator[CaseEnvironment]:
    """Provide the environment of one case."""
    with fault_bench.environment() as opened:
        yield opened
