# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create a golden image in the vSphere simulator and a pool with it in the Horizon simulator: ``pool.py VSPHERE HORIZON``."""

from __future__ import annotations

import sys

from ansible_collections.strata.layering.tests.support.golden_image import SNAPSHOT, create_golden_image
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.simulator import Simulator

vsphere, horizon = sys.argv[1:]
create_golden_image(Simulator.load(vsphere))
HorizonSimulator.load(horizon).add_pool("Office", "golden-desktop", SNAPSHOT)
