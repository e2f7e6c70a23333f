# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests of the simulator."""

from __future__ import annotations

import hashlib
import os
import pathlib
import time

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.tests.support.simulator import ControlError, Simulator
from ansible_collections.strata.layering.tests.support.simulator_client import (
    Client,
    running_processes,
    vmdk,
)


def guest_of(simulator: Simulator, machine: vim.VirtualMachine) -> dict:
    for attempt in range(500):
        runs = simulator.guests(machine.name)
        if runs and not runs[-1]["running"] and runs[-1]["exit"] is not None:
            return runs[-1]
        time.sleep(0.01)
    raise AssertionError("the guest does not end")


def test_guest_runs_and_powers_off(client: Client, tmp_path: pathlib.Path) -> None:
    content = vmdk(fill=b"guest")
    machine = client.import_vm("with-guest", content)
    client.simulator.guest(
        'test "$STRATA_VM_NAME" = "$1" || exit 9; sha256sum < "$3"; echo guestinfo.strata.result="done $STRATA_VM_BOOT"; test -n "$STRATA_CONTROL"; sleep 0.3',
        vm="with-guest",
    )
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(200):
        if machine.guest.toolsRunningStatus == "guestToolsRunning":
            break
        time.sleep(0.005)
    assert machine.runtime.powerState == "poweredOn"
    client.power(machine, "poweredOff")
    run = guest_of(client.simulator, machine)
    assert run["exit"] == 0
    assert hashlib.sha256(content).hexdigest() in run["output"]
    assert {option.key: option.value for option in machine.config.extraConfig}["guestinfo.strata.result"] == "done 1"
    assert client.simulator.journal(kind="guest")[-1]["name"] == "with-guest"
    for attempt in range(200):
        if machine.guest.toolsRunningStatus == "guestToolsNotRunning":
            break
        time.sleep(0.01)
    assert machine.guest.toolsRunningStatus == "guestToolsNotRunning"


def test_guest_with_exit_status_194_reboots(client: Client) -> None:
    machine = client.import_vm("reboots")
    client.simulator.guest('test "$STRATA_VM_BOOT" -ge 3 || exit 194', vm="reboots")
    WaitForTask(machine.PowerOnVM_Task())
    client.power(machine, "poweredOff")
    assert guest_of(client.simulator, machine)["boots"] == 3


def test_power_off_leaves_no_process_of_the_guest(client: Client) -> None:
    machine = client.import_vm("leaves-none")
    mark = f"97{os.getpid()}"
    client.simulator.guest(
        f"setsid sleep {mark} & sleep {mark}1 & trap '' TERM; echo ready; while :; do sleep 0.1; done", vm="leaves-none"
    )
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(500):
        ready = "ready" in "".join(run["output"] for run in client.simulator.guests("leaves-none"))
        # The shell continues before its background commands have started.
        if ready and len(running_processes(f"sleep\0{mark}")) == 2:
            break
        time.sleep(0.01)
    assert len(running_processes(f"sleep\0{mark}")) == 2
    machine.ShutdownGuest()
    time.sleep(0.3)
    assert machine.runtime.powerState == "poweredOn"  # this guest ignores the request
    WaitForTask(machine.PowerOffVM_Task())
    for attempt in range(500):
        if not running_processes(f"sleep\0{mark}"):
            break
        time.sleep(0.01)
    assert not running_processes(f"sleep\0{mark}")


def test_shutdown_guest_sends_sigterm(client: Client) -> None:
    machine = client.import_vm("shuts-down")
    client.simulator.guest("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done", vm="shuts-down")
    with pytest.raises(vim.fault.InvalidPowerState):
        machine.ShutdownGuest()
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(500):
        if "ready" in "".join(run["output"] for run in client.simulator.guests("shuts-down")):
            break
        time.sleep(0.01)
    machine.ShutdownGuest()
    client.power(machine, "poweredOff")
    assert guest_of(client.simulator, machine)["output"].endswith("bye\n")


def test_guest_modes(client: Client) -> None:
    machine = client.import_vm("modes")
    WaitForTask(machine.PowerOnVM_Task())
    with pytest.raises(vim.fault.ToolsUnavailable):
        machine.ShutdownGuest()
    WaitForTask(machine.PowerOffVM_Task())
    option = vim.option.OptionValue(key="strata.guest", value="hang")
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(500):
        if machine.guest.toolsRunningStatus == "guestToolsRunning":
            break
        time.sleep(0.01)
    machine.ShutdownGuest()
    time.sleep(0.2)
    assert machine.runtime.powerState == "poweredOn"
    WaitForTask(machine.PowerOffVM_Task())
    option.value = "exit"
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))
    WaitForTask(machine.PowerOnVM_Task())
    client.power(machine, "poweredOff")


def test_guestinfo_can_be_set(client: Client) -> None:
    machine = client.import_vm("informed")
    client.simulator.set_guestinfo("informed", {"guestinfo.a": "1", "guestinfo.b": "2"})
    client.simulator.set_guestinfo("informed", {"guestinfo.a": ""})
    options = {option.key: option.value for option in machine.config.extraConfig}
    assert options["guestinfo.b"] == "2"
    assert "guestinfo.a" not in options
    with pytest.raises(ControlError):
        client.simulator.set_guestinfo("informed", {"strata.x": "1"})
