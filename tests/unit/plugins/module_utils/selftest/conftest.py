# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of the package selftest."""

from __future__ import annotations

import functools

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.connector_document import ConnectorDocument
from ansible_collections.strata.layering.plugins.module_utils.selftest.redaction import Redactor
from ansible_collections.strata.layering.plugins.module_utils.selftest.run import run_selftest
from ansible_collections.strata.layering.plugins.module_utils.selftest.run_state import SelfTestRequest
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Patience, Session
from ansible_collections.strata.layering.tests.support import simulator_fixtures

simulator = simulator_fixtures.simulator
PLACEMENT = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0", "vm_template": "windows-template"}


@pytest.fixture
def connect(simulator):
    """Logs in to the simulator."""
    return functools.partial(
        Session.connect,
        simulator.host,
        simulator.username,
        simulator.password,
        port=simulator.port,
        ca_file=simulator.ca_file,
        patience=Patience(calls=2, busy=2, lease=5),
    )


@pytest.fixture
def start(connect, tmp_path):
    """Runs a self-test with 1 MiB of data; ``location`` changes the connector, other arguments the request."""

    def run(*, check_mode=False, location=None, **changes):
        connector = ConnectorDocument(name="desktops", **PLACEMENT | (location or {}))
        values = {"connect": connect, "connector": connector, "redactor": Redactor(), "folder": str(tmp_path)}
        return run_selftest(SelfTestRequest(**values | {"size": 1 << 20} | changes), check_mode=check_mode)

    return run
