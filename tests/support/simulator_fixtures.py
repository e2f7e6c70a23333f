# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest fixtures of the vSphere simulator: import them into a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.support.least_privilege import restrict
from ansible_collections.strata.layering.tests.support.simulator import Simulator


def _run(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    failed = request.session.testsfailed
    running = Simulator(template="windows-template").start()
    # Modules log in with exactly the documented privileges; ``connect`` is the administrator's.
    restrict(running)
    try:
        yield running
        if request.session.testsfailed > failed:
            print(running.log()[-8000:])
    finally:
        running.stop()


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """A fresh simulator with the VM template ``windows-template``."""
    yield from _run(request)


@pytest.fixture(scope="session")
def shared_simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """One simulator for all tests of a worker: a test gives its VMs their own names and removes the rules that it adds."""
    yield from _run(request)
