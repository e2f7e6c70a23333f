# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the facts of a published VM in the simulator as JSON: ``vm_facts.py CONNECTION NAME``."""

from __future__ import annotations

import json
import sys

from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Session
from ansible_collections.strata.layering.plugins.module_utils.vsphere.vm import read_facts
from ansible_collections.strata.layering.tests.support.simulator import Simulator


def main() -> None:
    """Print the facts."""
    simulator, name = Simulator.load(sys.argv[1]), sys.argv[2]
    with Session.connect(**simulator.options(), ca_file=simulator.ca_file) as session:
        inventory = Inventory(session)
        facts = read_facts(session, inventory.vm(name=name))
    json.dump(
        {
            "power": facts.power_state,
            "snapshots": [snapshot.name for snapshot in facts.snapshots],
            "extra_config": facts.extra_config,
            "annotation": next(vm["annotation"] for vm in simulator.machines(name)),
            "hardware": facts.hardware_version,
            "boots": sum(run["boots"] for run in simulator.guests(name)) or len(simulator.guests(name)),
            "count": sum(vm["name"].startswith("office-desktop") for vm in simulator.machines()),
        },
        sys.stdout,
    )


main()
