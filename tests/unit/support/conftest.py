# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shared simulator, and a client that is logged in to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.support import simulator_fixtures
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.simulator_client import (
    Client,
)

simulator = simulator_fixtures.simulator
shared_simulator = simulator_fixtures.shared_simulator


@pytest.fixture
def client(shared_simulator: Simulator) -> Iterator[Client]:
    """Provide a session of its own on the shared simulator, and remove the rules and settings of the test."""
    shared_simulator.rules.clear()
    before = shared_simulator.settings()
    # These tests call vSphere without the patience of the engine.
    shared_simulator.settings(unlock_delay_ms=0, settle_delay_ms=0)
    yield Client(shared_simulator)
    shared_simulator.rules.clear()
    shared_simulator.settings(**before)
