# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of the package publish."""

from __future__ import annotations

from ansible_collections.strata.layering.tests.support import simulator_fixtures

simulator = simulator_fixtures.simulator
