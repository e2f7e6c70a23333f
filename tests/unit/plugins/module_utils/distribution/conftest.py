# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of transfers."""

from __future__ import annotations

from ansible_collections.strata.layering.tests.support.registry_fixtures import (  # noqa: F401  pylint: disable=unused-import
    debian_registry,
    simulated_registry,
    simulated_registry_process,
)
