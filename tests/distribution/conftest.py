# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries of the slow job ``make test-distribution``, which the default test run does not have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.support.registries import DistributionRegistry, S3Server, tool
from ansible_collections.strata.layering.tests.support.registry_fixtures import (  # noqa: F401  pylint: disable=unused-import
    debian_registry,
    simulated_registry,
    simulated_registry_process,
    simulated_tls_registry,
    simulated_tls_registry_process,
)


@pytest.fixture(scope="session", params=["disk", "s3"])
def distribution3(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DistributionRegistry]:
    """distribution 3 over TLS with a login, with its files on disk and on S3; on S3 it redirects downloads."""
    program = tool("registry")
    if program is None:
        pytest.skip("distribution 3 is not built: run make test-distribution.")
    folder = tmp_path_factory.mktemp("distribution3")
    if request.param == "disk":
        with DistributionRegistry(folder, program=program, tls=True, with_login=True) as running:
            yield running
        return
    with (
        S3Server(folder) as s3,
        DistributionRegistry(folder, program=program, tls=True, with_login=True, storage=s3.storage) as running,
    ):
        yield running
