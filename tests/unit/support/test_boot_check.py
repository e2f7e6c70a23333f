# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot check of the simulator finds the same disk controllers as the engine, and guests without boot driver stop."""

from __future__ import annotations

import time

import pytest
from pyVim.task import WaitForTask

from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode
from ansible_collections.strata.layering.plugins.module_utils.disk.flat import open_disk
from ansible_collections.strata.layering.plugins.module_utils.images import os_import
from ansible_collections.strata.layering.tests.sample.cache import cached_disk
from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.support.boot_check import bootable
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.simulator_client import Client


@pytest.mark.parametrize(
    ("variant", "controllers"),
    [
        (None, ["pvscsi", "ahci"]),
        ("mbr", ["pvscsi", "ahci"]),
        ("unprepared", ["lsi_sas", "ahci"]),
        ("no_windows", None),
    ],
)
def test_boot_check_agrees_with_the_engine(tmp_path, variant, controllers):
    path, _manifest = cached_disk(Spec(variants=(variant,) if variant else ()))
    with open_disk(path) as disk, open(tmp_path / "disk.vmdk", "wb") as out:
        encode(disk, out)
    assert bootable(str(tmp_path / "disk.vmdk")) == controllers
    if controllers is not None:
        assert os_import.examine(lambda: open_disk(path), "disk", 1).facts["boot_controllers"] == controllers


@pytest.mark.parametrize(
    ("check", "mode", "boots"),
    [("echo pvscsi ahci", "run", 1), ("echo other", "stop", 0), ("exit 3", "run", 1), ("exit 1", "stop", 0)],
)
def test_guest_starts_only_with_a_boot_driver(check, mode, boots):
    with Simulator(guest="sleep 60", arguments=(f"-boot-check={check};:",)) as simulator:
        simulator.settings(unlock_delay_ms=0)
        machine = Client(simulator).import_vm()
        WaitForTask(machine.PowerOnVM_Task())
        for _attempt in range(500):
            (found,) = simulator.guests(machine.name)
            if found["mode"] == "stop" or found["boots"]:
                break
            time.sleep(0.02)
        assert (found["mode"], found["boots"]) == (mode, boots)
        assert bool(found["output"]) == (mode == "stop")
        assert machine.runtime.powerState == "poweredOn"
