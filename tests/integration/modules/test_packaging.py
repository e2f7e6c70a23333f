# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packaging machines, from making one to the published image with what was captured from it."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.layers import find_version
from ansible_collections.strata.layering.plugins.module_utils.disk.device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import TYPE_BASIC_DATA, read_partitions
from ansible_collections.strata.layering.plugins.module_utils.images.layered_image import compose_stack, grow_image
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.integration.modules.conftest import add_app, add_template
from ansible_collections.strata.layering.tests.integration.modules.test_capture import install
from ansible_collections.strata.layering.tests.integration.modules.test_vsphere_modules import machine_of, machines, options_of
from ansible_collections.strata.layering.tests.sample.reread import read_volume
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of

OS = {"os_layer": {"name": "Windows 11", "version": "1.0"}}
BASE = [{"name": "Base", "version": "1.0"}]


@pytest.fixture
def office(room, simulator, tmp_path):
    """A repository, a vCenter whose guests run until they are shut down, and a share: options, what can be seen, where disks are made."""
    simulator.guest("sleep 600")
    share = tmp_path / "share"
    share.mkdir()
    room.vcenter = room.options | options_of(simulator)
    room.share = os.fspath(share)
    room.look = lambda: (machines(simulator), state_of(room.path), state_of(share))
    room.simulator = simulator
    return room


def present(office, version: str = "1", **options) -> dict:
    """Options of a packaging machine of the layer App."""
    return office.vcenter | {"name": "App", "version": version, "connector": "desktops"} | OS | options


def work_in(office, machine: dict, change) -> None:
    """Let ``change`` do to the raw disk of a machine that is off what an administrator would."""
    raw, vmdk = (os.fspath(office.tmp_path / f"work.{kind}") for kind in ("raw", "vmdk"))
    disk = office.simulator.disks(machine["moid"])[0]
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", disk["path"], raw], check=True)
    change(raw)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, vmdk], check=True)
    office.simulator.put_disk(machine["moid"], vmdk)


def on_volume(change):
    """A change of a raw disk out of a change of its Windows volume."""
    def work(path: str) -> None:
        with FileDevice(path, writable=True) as disk:
            partition = next(one for one in read_partitions(disk).partitions if one.type == TYPE_BASIC_DATA)
            with Volume.mount(partition.window(disk), writable=True) as volume:
                change(volume)
    return work


def tree_of(office, vm: str) -> dict:
    """What dissect.ntfs reads on the disk of a machine."""
    raw = os.fspath(office.tmp_path / "read.raw")
    disk = office.simulator.disks(vm)[0]
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", disk["path"], raw], check=True)
    with FileDevice(raw) as device:
        partition = next(one for one in read_partitions(device).partitions if one.type == TYPE_BASIC_DATA)
    return read_volume(raw, partition.offset, partition.size)


def power_off(office, machine: dict) -> None:
    """Shut the guest down, as its administrator would."""
    run("packaging_machine", **present(office), state="finalized", file_share=office.share)
    assert machines(office.simulator)[machine["name"]]["power"] == "poweredOff"


def test_the_whole_round(office):
    add_app(office, "Base", tree={"Program Files/Base/base.txt": "base"})
    asked = present(office, prerequisites=BASE, comment="CHG-7")
    made = converges("packaging_machine", office.look, **asked)
    machine = made["machine"]
    assert made["status"] == "ActionRequired" and machine["name"].startswith("App-1-packaging-") and machine["power_state"] == "poweredOn"
    assert all(word in made["description"] for word in (machine["name"], "/DC0/vm/Images/Desktops", "datacenter DC0", "finalized"))
    assert run("audit_info", **office.options, limit=1)["records"][0]["comment"] == "CHG-7"

    final = office.vcenter | {"name": "App", "version": "1", "state": "finalized", "file_share": office.share}
    refused = fails("packaging_machine", "packaging.running", **final, shutdown=False)
    assert machine["name"] in refused["msg"] and refused["details"]["status"] == "ActionRequired"
    done = converges("packaging_machine", office.look, **final)
    assert done["status"] == "Complete" and done["os_layer"] == OS["os_layer"] and os.path.isfile(done["packaged_disk"])
    assert run("packaging_machine", **asked)["status"] == "Pending"

    # Somebody goes on working in it: the package is made anew.
    machine_of(office.simulator.connect(), machine["moid"]).PowerOn()
    run("packaging_machine", **final)
    work_in(office, machine, install)
    machine_of(office.simulator.connect(), machine["moid"]).PowerOn()
    done = run("packaging_machine", **final)
    assert done["changed"] is True

    captured = run("app_layer", **office.options, name="App", version="1", packaged_disk=done["packaged_disk"], os_layer=done["os_layer"], prerequisites=BASE)
    assert captured["changes"]["files"] == 2 and captured["changes"]["removed"] == 1
    assert run("packaging_machine", **asked)["status"] == "Complete"

    gone = office.vcenter | {"name": "App", "version": "1", "state": "absent", "remove_package": True}
    converges("packaging_machine", office.look, **gone)
    assert machine["name"] not in machines(office.simulator) and os.listdir(office.share) == []
    after = run("packaging_machine", **asked)
    assert after["changed"] is False and after["status"] == "Complete" and after["machine"] is None
    assert run("packaging_machine", **final)["changed"] is False

    office.simulator.guest("true")
    add_template(office, apps=(("Base", "1.0"), ("App", "1")))
    published = run("layered_image_publish", **office.vcenter, templates=["office"])["tasks"][0]
    tree = tree_of(office, published["vm"]["name"])
    assert tree["Program Files/Installed/app.exe"].size == 18000 and "Windows/regedit.exe" not in tree and "Program Files/Base/base.txt" in tree
