# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One test for each case of the matrix, which is made from what runs really call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.integration.faults.bench import Bench
from ansible_collections.strata.layering.tests.integration.faults.matrix import Case
from ansible_collections.strata.layering.tests.integration.faults.report import all_cases
from ansible_collections.strata.layering.tests.integration.faults.workers import Workers

_CASES = pytest.StashKey[list[Case]]()


def _cases(config: pytest.Config) -> list[Case]:
    if _CASES not in config.stash:
        with Bench() as bench:
            config.stash[_CASES] = all_cases(bench)
    return config.stash[_CASES]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize tests of ``case``."""
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", _cases(metafunc.config), ids=lambda case: case.id)


@pytest.fixture
def matrix(pytestconfig: pytest.Config) -> list[Case]:
    """All cases."""
    return _cases(pytestconfig)


@pytest.fixture(scope="session")
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    """They try the cases of all tests that are to be run."""
    given = [item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")]
    # Tests elsewhere have a parameter of this name too.
    with Workers([case for case in given if isinstance(case, Case)]) as running:
        yield running


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """A vCenter and a repository that cases get copies of."""
    with Bench() as opened:
        yield opened
