# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sites with a repository each, of which the first has layers and a template, and registries."""

from __future__ import annotations

import os
import pathlib
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.tests.support.registry_fixtures import (  # noqa: F401  pylint: disable=unused-import
    debian_tls_registry,
    simulated_registry,
    simulated_registry_process,
    simulated_tls_registry,
    simulated_tls_registry_process,
)
from ansible_collections.strata.layering.tests.support.sites import build_site, copied_site, new_site


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> pathlib.Path:
    """The repository of the first site; tests get copies of it."""
    return build_site(tmp_path_factory.mktemp("built"))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch, tmp_path):
    """Keep credentials and proxies of the user who runs the tests away from them."""
    for name in [name for name in os.environ if name.startswith(("REGISTRY_", "STRATA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", os.fspath(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(tmp_path / "home"))


@pytest.fixture
def berlin(built, tmp_path) -> SimpleNamespace:
    """The first site: ``options`` for modules, ``path`` of the repository, ``tmp_path`` for other files."""
    return copied_site(built, tmp_path / "berlin")


@pytest.fixture
def madrid(tmp_path) -> SimpleNamespace:
    """The second site, which has a connector and nothing else."""
    return new_site(tmp_path / "madrid")


@pytest.fixture
def registry(simulated_registry) -> dict:  # noqa: F811
    """Options of modules for an empty registry."""
    return {"registry": f"{simulated_registry.address}/windows", "plain_http": True}
