# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of the package preflight: a simulator, and the subject of a preflight on it."""

from __future__ import annotations

import dataclasses
import functools

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.connector_document import ConnectorDocument
from ansible_collections.strata.layering.plugins.module_utils.preflight.subject import BootDrivers, ImageNeeds
from ansible_collections.strata.layering.plugins.module_utils.publish.machine.placement import resolve_placement
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Patience, Session
from ansible_collections.strata.layering.tests.support import simulator_fixtures

simulator = simulator_fixtures.simulator
CONNECTOR = ConnectorDocument(
    name="desktops",
    datacenter="DC0",
    cluster="DC0_C0",
    datastore="LocalDS_0",
    network="VM Network",
    vm_template="windows-template",
)
BOOT = BootDrivers(controllers=("pvscsi", "ahci"))
IMAGE = ImageNeeds(os_layer="Windows 11 1", firmware="efi", boot=BOOT, capacity=60 << 30, stored=12 << 30)


def log_in(simulator):
    return Session.connect(**simulator.options(), ca_file=simulator.ca_file, patience=Patience(calls=5))


def subject_on(session, *, image=None, **options):
    """Return the subject for a connector with other options; ``image`` None tests only the connector."""
    connector = dataclasses.replace(CONNECTOR, **options)
    return resolve_placement(session, connector, create_folder=False).preflight(session, image)


@pytest.fixture
def session(simulator):
    with log_in(simulator) as found:
        yield found


@pytest.fixture
def subject(session):
    return functools.partial(subject_on, session)
