# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook os_machine with its real collections, a simulated vCenter, and a model of Windows."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.vsphere.privileges import Task, privileges_for
from ansible_collections.strata.layering.tests.support.least_privilege import restrict
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.simulator_fixtures import shared_simulator  # noqa: F401  pylint: disable=unused-import
from ansible_collections.strata.layering.tests.support.windows_guest import model

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_ADAPTERS = {
    "e1000": vim.vm.device.VirtualE1000,
    "e1000e": vim.vm.device.VirtualE1000e,
    "vmxnet3": vim.vm.device.VirtualVmxnet3,
}


class Outcome:
    """The result of a run of the playbook.

    ``tasks`` are the names of the tasks that changed something; ``results`` are the documents of
    ``os_machine_results`` by check name, if the playbook stores them.
    """

    def __init__(self, done: subprocess.CompletedProcess[str], results: list[dict]) -> None:
        self.results = {result["name"]: result for result in results}
        self.output = done.stdout + done.stderr
        recap = re.search(r"ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", done.stdout)
        assert recap, self.output
        self.changed = int(recap[1])
        self.failed = done.returncode != 0
        self.tasks = [
            match[1]
            for match in re.finditer(
                r"TASK \[(?:strata\.layering\.os_machine : )?(.*?)\] \**\n(.*?)(?=\n\n|\Z)", done.stdout, re.DOTALL
            )
            if re.search(r"^changed: ", match[2], re.MULTILINE)
        ]


class OsMachine:
    """An OS machine of the inventory: its VM in the simulator, its model of Windows, and the playbook."""

    def __init__(self, name: str, folder: pathlib.Path, simulator: Simulator | None = None) -> None:
        self.name, self.folder, self.simulator = name, folder, simulator
        self.state = folder / "windows.json"
        self._results = folder / "results.json"
        if simulator:
            restrict(simulator, privileges_for(Task.OS_MACHINE))
            simulator.guest("exec sleep 600", vm=name)
        model.keep(self.state, model.installed(vm=name, control=simulator.control if simulator else ""))

    def play(self, *flags: str, playbook: str = "strata.layering.os_machine", **values: object) -> Outcome:
        """Run the playbook with ``os_machine_*`` variables, whose names here have no prefix."""
        connection = {}
        if self.simulator:
            connection = {
                "layering_hostname": self.simulator.host,
                "layering_port": self.simulator.port,
                "layering_username": self.simulator.login[0],
                "layering_password": self.simulator.login[1],
                "layering_ca_path": self.simulator.ca_file,
            }
        composer = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        host = {
            "ansible_connection": "windows_guest",
            "windows_guest_state": os.fspath(self.state),
            **{
                f"os_machine_{name}": value
                for name, value in {"datacenter": "DC0", "connection_timeout": 60, **values}.items()
            },
        }
        groups = {
            "composer": {"hosts": {"localhost": composer}, "vars": connection},
            "os_machines": {"hosts": {self.name: host}},
        }
        inventory = self.folder / "inventory.yml"
        inventory.write_text(json.dumps({"all": {"children": groups}}), encoding="utf-8")
        self._results.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", playbook, "-i", os.fspath(inventory), *flags],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(_ROOT / ".build" / "collections"),
                "ANSIBLE_HOME": os.fspath(self.folder / "ansible"),
                "ANSIBLE_CONNECTION_PLUGINS": str(_ROOT / "tests" / "support" / "windows_guest" / "connection"),
                "ANSIBLE_NOCOLOR": "1",
            },
        )
        results = json.loads(self._results.read_text()) if self._results.exists() else []
        return Outcome(done, results)

    def prepare_windows(self, *flags: str, **values: object) -> Outcome:
        """Run only the steps of the role in Windows: settings, tools and checks."""
        unattend = ["unattend"] if values.get("unattend") else []
        return self.run_steps(["gather_windows_facts", "settings", "tools", *unattend, "checks"], *flags, **values)

    def run_steps(self, steps: list[str], *flags: str, **values: object) -> Outcome:
        """Run these task files of the role, and store the results of the checks."""
        tasks = [
            {
                "name": step,
                "ansible.builtin.include_role": {
                    "name": "strata.layering.os_machine",
                    "tasks_from": step,
                    "rolespec_validate": False,
                },
            }
            for step in steps
        ]
        store = {
            "name": "Store the results of the checks",
            "ansible.builtin.copy": {
                "content": "{{ os_machine_results | default([]) | to_json }}",
                "dest": os.fspath(self._results),
                "mode": "0600",
            },
            "delegate_to": "localhost",
            "check_mode": False,
            "changed_when": False,
        }
        play = {"hosts": "os_machines", "gather_facts": False, "tasks": [{"block": tasks, "always": [store]}]}
        playbook = self.folder / "windows.yml"
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        return self.play(*flags, playbook=os.fspath(playbook), **values)

    def windows(self, change: Callable[[dict], None] | None = None) -> dict:
        """Return the state of Windows, after applying ``change``."""
        state = model.load(self.state)
        if change is not None:
            change(state)
            model.keep(self.state, state)
        return state

    def vm(self):
        """Return the VM as a pyVmomi object."""
        content = self.simulator.connect().RetrieveContent()
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        return next(vm for vm in view.view if vm.name == self.name)

    def adapters(self) -> list[tuple[str, str, str]]:
        """Return the type, network and MAC address of each network adapter of the VM."""
        return [
            (type(device).__name__.rpartition("Virtual")[2].lower(), device.backing.deviceName, device.macAddress)
            for device in self.vm().config.hardware.device
            if isinstance(device, vim.vm.device.VirtualEthernetCard)
        ]

    def adapter(self):
        """Return the first network adapter as a pyVmomi object."""
        return next(
            device
            for device in self.vm().config.hardware.device
            if isinstance(device, vim.vm.device.VirtualEthernetCard)
        )

    def vm_facts(self) -> dict:
        """Return the facts of the VM in the simulator, empty if it does not exist."""
        return next(iter(self.simulator.machines(self.name)), {})

    def create_vm(self, *adapters: tuple[str, str | None]) -> None:
        """Create the VM without the role, with adapters of these types and fixed MAC addresses."""
        content = self.simulator.connect().RetrieveContent()
        datacenter = content.rootFolder.childEntity[0]
        network = next(network for network in datacenter.network if network.name == "VM Network")
        devices = [
            vim.vm.device.VirtualDeviceSpec(
                operation="add", device=vim.vm.device.ParaVirtualSCSIController(key=1000, sharedBus="noSharing")
            )
        ]
        for number, (kind, address) in enumerate(adapters):
            card = _ADAPTERS[kind](
                key=-number - 1, addressType="manual" if address else "generated", macAddress=address
            )
            card.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(
                deviceName="VM Network", network=network
            )
            devices.append(vim.vm.device.VirtualDeviceSpec(operation="add", device=card))
        spec = vim.vm.ConfigSpec(
            name=self.name,
            guestId="windows9_64Guest",
            version="vmx-19",
            firmware="efi",
            deviceChange=devices,
            bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=True),
            files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"),
        )
        task = datacenter.vmFolder.CreateVM_Task(config=spec, pool=datacenter.hostFolder.childEntity[0].resourcePool)
        while task.info.state not in ("success", "error"):
            pass
        assert task.info.state == "success", task.info.error


@pytest.fixture
def os_machine(shared_simulator, tmp_path, request) -> OsMachine:  # noqa: F811  pylint: disable=redefined-outer-name
    """An OS machine that does not exist in vSphere yet."""
    # VM names are limited in length and must be unique in the shared simulator.
    digest = hashlib.sha256(request.node.name.encode()).hexdigest()[:6]
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:32].strip("-") + "-" + digest
    return OsMachine(name, tmp_path, shared_simulator)


@pytest.fixture
def windows(tmp_path) -> OsMachine:
    """An OS machine with Windows only, without a VM in vSphere."""
    return OsMachine("win11-os", tmp_path)
