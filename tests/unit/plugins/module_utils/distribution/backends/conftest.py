# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Samba server and registries that the tests of back ends share."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support.registry_fixtures import debian_registry  # noqa: F401  pylint: disable=unused-import
from ansible_collections.strata.layering.tests.support.samba import Samba


@pytest.fixture(scope="session")
def samba(tmp_path_factory):
    """A Samba server; tests use folders of their own."""
    with Samba(tmp_path_factory.mktemp("samba")) as server:
        yield server
