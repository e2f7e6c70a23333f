# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries for the tests of their client."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.strata.layering.tests.support.registry_fixtures import (
    debian_registry,
    debian_tls_registry,
    simulated_registry,
    simulated_registry_process,
    simulated_tls_registry,
    simulated_tls_registry_process,
)

__all__ = (
    "debian_registry",
    "debian_tls_registry",
    "simulated_registry",
    "simulated_registry_process",
    "simulated_tls_registry",
    "simulated_tls_registry_process",
)


@pytest.fixture(autouse=True)
def _no_settings_of_the_computer(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Keep credentials and proxies of the computer out of the tests."""
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
