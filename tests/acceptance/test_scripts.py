# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts that are composed into an image, published, and run in the VM, where wine replaces Windows."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.strata.layering.tests.acceptance import wine
from ansible_collections.strata.layering.tests.sample.package import Spec, make_package
from ansible_collections.strata.layering.tests.support import wine_guest
from ansible_collections.strata.layering.tests.support.module_options import OS_LAYER, connector
from ansible_collections.strata.layering.tests.support.modules import attempt, run
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.wine_machine import (
    SCRIPTS,
    WineMachine,
    tool_files,
    windows_text,
)


class Place:
    """A repository with an OS layer and an app layer that contains the tools; a vCenter whose VMs start in wine."""

    def __init__(self, folder, simulator: Simulator) -> None:
        self.folder, self.simulator = folder, simulator
        self.options = {"repository": os.fspath(folder / "repository")}
        make_package(os.fspath(folder / "share" / "gold"), Spec("small"))
        run("repository", **self.options)
        run("connector", **self.options, **connector())
        run(
            "os_layer",
            **self.options,
            **OS_LAYER,
            file_share=os.fspath(folder / "share"),
            packaging_disk="gold/gold-w11.ovf",
        )
        for path, data in tool_files().items():
            target = folder / "tools" / SCRIPTS / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        self.layer("Tools", None, files=os.fspath(folder / "tools"))

    def script(self, name: str, text: str) -> str:
        (self.folder / name).write_bytes(windows_text("@echo off\n" + text + "\n"))
        return os.fspath(self.folder / name)

    def layer(self, name: str, script: str | None, version: str = "1", **options) -> None:
        if not options:
            (self.folder / name).mkdir(exist_ok=True)
            (self.folder / name / f"{name}.txt").write_text(name)
            options = {"files": os.fspath(self.folder / name)}
        run(
            "app_layer",
            **self.options,
            name=name,
            version=version,
            os_layer={"name": "Windows 11"},
            script=script,
            **options,
        )

    def publish(self, *apps: tuple[str, str], script: str | None = None, **options) -> dict:
        """Publish a template of the tools and app layer versions; return the task."""
        layers = [{"name": name, "version": version} for name, version in (("Tools", "1"), *apps)]
        os_layer = {"name": "Windows 11", "version": "1.0"}
        run(
            "image_template",
            **self.options,
            name="office",
            os_layer=os_layer,
            connector="desktops",
            app_layers=layers,
            script=script,
        )
        host = self.simulator
        access = {
            "hostname": host.host,
            "port": host.port,
            "username": host.username,
            "password": host.password,
            "ca_path": os.fspath(host.ca_file),
        }
        result = attempt(
            "layered_image_publish", **self.options, **access, templates="office", shutdown_timeout=90, **options
        )
        return (result.get("tasks") or result["details"]["tasks"])[0]

    def machine(self, task: dict):
        """Return the published VM as a pyVmomi object."""
        content = self.simulator.connect().content
        found = content.viewManager.CreateContainerView(content.rootFolder, None, True).view
        return next(vm for vm in found if vm.name == "office-" + task["digest"].partition(":")[2][:8])

    def files(self) -> dict[str, bytes]:
        """Return the files in the script folder of the published VM."""
        [disk] = [disk for disk in self.simulator.disks() if disk.get("path")]
        found = wine_guest.unpack(disk["path"], WineMachine(self.folder / "look"), (SCRIPTS,))
        return {path.removeprefix(f"{SCRIPTS}/image/"): data for path, data in found.items() if "/image/" in path}


def power(machine, method: str) -> None:
    """Power a VM on or off."""
    task = getattr(machine, method)()
    wait_until(lambda: task.info.state in ("success", "error"))
    assert task.info.state == "success", task.info.error


def wait_until(holds) -> None:
    """Wait until ``holds()``; the guest writes files to its disk after its report."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def published(tmp_path):
    if missing := wine.missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    with Simulator(template="windows-template") as simulator:
        simulator.guest(wine_guest.command())
        yield Place(tmp_path, simulator)


def test_scripts_of_layers_and_template_run_in_the_published_vm(published):
    published.layer("One", published.script("one.cmd", "echo one\nexit /b 3010"))
    published.layer("Two", published.script("two.bat", "if not exist %~dp0results\\01.code exit /b 9\necho two"))
    task = published.publish(("One", "1"), ("Two", "1"), script=published.script("own.cmd", "echo own\nver"))
    assert task["status"] == "Complete", task
    found = published.files()
    assert [found[f"results/{number:02}.code"] for number in (1, 2, 3)] == [b"3010\r\n", b"0\r\n", b"0\r\n"]
    assert found["results/02.log"] == b"two\r\n"
    assert found["results/03.log"].startswith(b"own\r\n")
    assert "finished" in found
    [guest] = published.simulator.guests()
    assert guest["boots"] == 2
    assert guest["exit"] == 0


def test_script_fails_keeps_vm_on_with_results_on_disk(published):
    published.layer("One", published.script("one.cmd", "echo it is broken\nexit /b 5"))
    task = published.publish(("One", "1"))
    assert (
        task["status"] == "ActionRequired"
        and "app layer One 1" in task["description"]
        and "it is broken" in task["description"]
    ), task
    [machine] = published.simulator.machines("office-" + task["digest"].partition(":")[2][:8])
    assert machine["power"] == "poweredOn"
    assert machine["snapshots"] == []
    wait_until(lambda: "results/01.code" in published.files())
    found = published.files()
    assert found["results/01.code"] == b"5\r\n"
    assert found["results/01.log"] == b"it is broken\r\n"
    assert "finished" not in found


def test_vm_powered_off_during_script_starts_it_again(published):
    published.layer(
        "One",
        published.script(
            "one.cmd", "if exist %~dp0results\\seen exit /b 0\necho 1 >%~dp0results\\seen\nping -n 120 127.0.0.1 >nul"
        ),
    )
    task = published.publish(("One", "1"), script_timeout=6)
    assert task["status"] != "Complete", task
    machine = published.machine(task)
    power(machine, "PowerOffVM_Task")
    power(machine, "PowerOnVM_Task")
    wait_until(lambda: machine.runtime.powerState == "poweredOff")
    found = published.files()
    assert (found["results/01.started"], found["results/01.code"]) == (b"2\r\n", b"0\r\n")
    assert "finished" in found


def test_vm_that_stays_on_is_shut_down_by_vmware_tools(published):
    published.layer("One", published.script("one.cmd", "exit /b 5"))
    machine = published.machine(published.publish(("One", "1")))
    machine.ShutdownGuest()
    wait_until(lambda: machine.runtime.powerState == "poweredOff")
    assert published.files()["results/01.code"] == b"5\r\n"
