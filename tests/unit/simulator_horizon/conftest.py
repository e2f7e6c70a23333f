# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Horizon simulator with one VM, and a client of its REST API."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support import horizon_fixtures
from ansible_collections.strata.layering.tests.support.horizon_rest import RestClient
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator

shared_horizon = horizon_fixtures.shared_horizon
horizon = horizon_fixtures.horizon


@pytest.fixture
def rest(horizon: HorizonSimulator) -> RestClient:
    """Provide a client that is logged in; the VM golden has the snapshots Old and New."""
    horizon.add_vm("golden", ["Old", "New"])
    return RestClient.log_in(horizon)
