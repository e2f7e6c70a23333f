# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest fixtures of the Horizon simulator: import them into a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.simulator import Simulator


@pytest.fixture(scope="session")
def shared_horizon() -> Iterator[HorizonSimulator]:
    """One Horizon simulator for all tests of a worker, with a vCenter whose VMs the tests describe."""
    with HorizonSimulator() as running:
        yield running


@pytest.fixture
def horizon(shared_horizon: HorizonSimulator) -> Iterator[HorizonSimulator]:
    """A Horizon simulator in its initial state: no VMs, pools, farms, rules or sessions, and a clock that only the test moves.

    The test fails if a request or an answer contradicted the contract, except for what it expected with ``take_problems``.
    """
    shared_horizon.reset()
    yield shared_horizon
    check_contract(shared_horizon)


@pytest.fixture(scope="session")
def shared_vsphere_horizon(shared_simulator: Simulator) -> Iterator[HorizonSimulator]:
    """One Horizon simulator for all tests of a worker, whose base VMs are those of the shared vSphere simulator."""
    with HorizonSimulator([shared_simulator]) as running:
        yield running


@pytest.fixture
def vsphere_horizon(shared_vsphere_horizon: HorizonSimulator) -> Iterator[HorizonSimulator]:
    """A Horizon simulator as ``horizon`` gives it, whose base VMs are those of ``shared_simulator``."""
    shared_vsphere_horizon.reset()
    yield shared_vsphere_horizon
    check_contract(shared_vsphere_horizon)


def check_contract(simulator: HorizonSimulator) -> None:
    """Fail if a request or an answer contradicted the contract."""
    problems = simulator.problems()
    if problems:
        pytest.fail("The requests contradict the contract:\n" + "\n".join(problems), pytrace=False)
