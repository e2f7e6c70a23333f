# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connect a VM of the simulator to a model of Windows: ``os_machine.py CONNECTION NAME STATE``."""

from __future__ import annotations

import sys

from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.windows_guest import model

connection, name, state = sys.argv[1:]
simulator = Simulator.load(connection)
simulator.guest("exec sleep 1800", vm=name)
model.keep(state, model.installed(vm=name, control=simulator.control))
