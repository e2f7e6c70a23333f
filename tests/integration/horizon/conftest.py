# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of modules for Horizon."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.support.horizon_fixtures import check_contract
from ansible_collections.strata.layering.tests.support.horizon_push_site import PushSite, prepare_pod
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.simulator_fixtures import shared_simulator  # noqa: F401  pylint: disable=unused-import


@pytest.fixture(scope="session")
def pod_of_two_vcenters() -> Iterator[HorizonSimulator]:
    """One pod with two vCenters for all tests of a worker."""
    with HorizonSimulator(described_vcenters=2) as running:
        yield running


@pytest.fixture
def site(pod_of_two_vcenters: HorizonSimulator, tmp_path: pathlib.Path) -> Iterator[PushSite]:  # pylint: disable=redefined-outer-name
    """A pod without pools and farms, and a repository with recorded images. The requests of a test must follow the contract."""
    prepare_pod(pod_of_two_vcenters)
    yield PushSite(pod_of_two_vcenters, tmp_path)
    check_contract(pod_of_two_vcenters)
