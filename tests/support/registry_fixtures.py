# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest fixtures of registries: import them into a conftest.py, and the session fixtures that they use with them."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.support.registries import DistributionRegistry, SimulatedRegistry


@pytest.fixture(scope="session")
def simulated_registry_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedRegistry]:
    """The process of ``simulated_registry``: one for each worker."""
    with SimulatedRegistry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def simulated_registry(simulated_registry_process: SimulatedRegistry) -> SimulatedRegistry:
    """The registry of tests/registry over HTTP, empty and with its default settings: ``configure`` changes them."""
    simulated_registry_process.reset()
    return simulated_registry_process


@pytest.fixture(scope="session")
def simulated_tls_registry_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedRegistry]:
    """The process of ``simulated_tls_registry``: one for each worker."""
    with SimulatedRegistry(tmp_path_factory.mktemp("tls-registry"), tls=True) as running:
        yield running


@pytest.fixture
def simulated_tls_registry(simulated_tls_registry_process: SimulatedRegistry) -> SimulatedRegistry:
    """The registry of tests/registry over TLS, empty and with its default settings."""
    simulated_tls_registry_process.reset()
    return simulated_tls_registry_process


def _debian(folder: pathlib.Path, *, secure: bool) -> Iterator[DistributionRegistry]:
    if shutil.which("docker-registry", path=f"{os.environ.get('PATH', '')}:/usr/bin") is None:
        pytest.skip("The Debian package docker-registry is not installed.")
    with DistributionRegistry(folder, tls=secure, with_login=secure) as running:
        yield running


@pytest.fixture(scope="session")
def debian_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DistributionRegistry]:
    """Debian's docker-registry over HTTP without login, one for each worker: a test uses names of its own."""
    yield from _debian(tmp_path_factory.mktemp("debian-registry"), secure=False)


@pytest.fixture(scope="session")
def debian_tls_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DistributionRegistry]:
    """Debian's docker-registry over TLS with a login (Basic), one for each worker: a test uses names of its own."""
    yield from _debian(tmp_path_factory.mktemp("debian-tls-registry"), secure=True)
