# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of the package horizon: servers that answer as a test scripts them, and the Horizon simulator."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.client import HorizonClient
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.connection import HorizonConnection, Patience
from ansible_collections.strata.layering.tests.support.certificates import make_certificate
from ansible_collections.strata.layering.tests.support.horizon_fixtures import horizon, shared_horizon
from ansible_collections.strata.layering.tests.support.scripted_server import (
    DOMAIN,
    PASSWORD,
    USERNAME,
    ScriptedServer,
)

__all__ = ("horizon", "shared_horizon")

PATIENCE = Patience(calls=1.0, throttled=2.0, connect=5.0, socket=5.0, answer=5.0)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"), "server", issuer="authority")


@pytest.fixture
def scripted(certificate):
    """A server that scripts answer for; its login is that of a Connection Server."""
    with ScriptedServer(certificate.file) as server:
        yield server


@pytest.fixture
def connection_to(certificate):
    """Return the connection to a server; ``changes`` override its options."""

    def connection(server, **changes):
        made = HorizonConnection(
            "127.0.0.1",
            USERNAME,
            DOMAIN,
            PASSWORD,
            port=server.port,
            ca_file=str(certificate.ca_file),
            patience=PATIENCE,
        )
        return dataclasses.replace(made, **changes)

    return connection


@pytest.fixture
def scripted_client(scripted, connection_to):
    """A client that is logged in to the scripted server."""
    with HorizonClient.connect(connection_to(scripted)) as client:
        yield client


@pytest.fixture
def horizon_client(horizon):
    """A client that is logged in to the Horizon simulator."""
    options = horizon.options()
    connection = HorizonConnection(
        options["hostname"],
        options["username"],
        options["domain"],
        options["password"],
        port=options["port"],
        ca_file=options["ca_path"],
        patience=PATIENCE,
    )
    with HorizonClient.connect(connection) as client:
        yield client
