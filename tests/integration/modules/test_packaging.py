# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packaging machines, from their creation to the published image with the captured layer."""

from __future__ import annotations

import os
import shutil
import subprocess

from ansible_collections.strata.layering.plugins.module_utils.catalog.layers import find_version
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import TYPE_BASIC_DATA, read_partitions
from ansible_collections.strata.layering.plugins.module_utils.images.composing.layered_image import (
    compose_stack,
    grow_image,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.sample.reread import read_volume
from ansible_collections.strata.layering.tests.support.background import Background, eventually
from ansible_collections.strata.layering.tests.support.least_privilege import USERNAME, permissions, restrict
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run
from ansible_collections.strata.layering.tests.support.packaging_workspace import (
    OS,
    install,
    on_volume,
    present,
    work_in,
)
from ansible_collections.strata.layering.tests.support.vcenter import await_tools, machine_of, machines, options_of

BASE = [{"name": "Base", "version": "1.0"}]


def tree_of(office, vm: str) -> dict:
    """Return the files that dissect.ntfs reads on the disk of a VM."""
    raw = os.fspath(office.tmp_path / "read.raw")
    disk = office.simulator.disks(vm)[0]
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", disk["path"], raw], check=True)
    with FileDevice(raw) as device:
        partition = next(entry for entry in read_partitions(device).partitions if entry.type == TYPE_BASIC_DATA)
    return read_volume(raw, partition.offset, partition.size)


def test_packaging_machine_from_creation_to_published_image(office):
    add_app(office, "Base", tree={"Program Files/Base/base.txt": "base"})
    asked = present(office, prerequisites=BASE, comment="CHG-7")
    made = converges("packaging_machine", office.look, **asked)
    machine = made["machine"]
    assert made["status"] == "ActionRequired"
    assert machine["name"].startswith("App-1-packaging-")
    assert machine["power_state"] == "poweredOn"
    for part in (machine["name"], "/DC0/vm/Images/Desktops", "datacenter DC0", "finalized"):
        assert part in made["description"]
    assert run("audit_info", **office.options, limit=1)["records"][0]["comment"] == "CHG-7"

    final = office.vcenter | {"name": "App", "version": "1", "state": "finalized", "file_share": office.share}
    await_tools(office.simulator, machine["moid"])
    refused = fails("packaging_machine", "packaging.running", **final, shutdown=False)
    assert machine["name"] in refused["msg"]
    assert refused["details"]["status"] == "ActionRequired"
    # The package of the OS machine, which another tool exported, is not replaced.
    os.mkdir(os.path.join(office.share, "gold"))
    with open(os.path.join(office.share, "gold", "gold.ovf"), "wb"):
        pass
    for check in (True, False):
        fails("packaging_machine", "vsphere.ovf_foreign", check=check, **final, package="gold")
    shutil.rmtree(os.path.join(office.share, "gold"))
    done = converges("packaging_machine", office.look, **final)
    assert done["status"] == "Complete"
    assert done["os_layer"] == OS["os_layer"]
    assert os.path.isfile(done["packaged_disk"])
    assert run("packaging_machine", **asked)["status"] == "Pending"

    extra = {
        option.key: option.value
        for option in machine_of(office.simulator.connect(), machine["moid"]).config.extraConfig
    }
    assert extra["guestinfo.strata.layering.purpose"] == "packaging"
    assert extra["strata.layering.packaging"] == "app/App/1"

    # The work continues in the VM: the package is exported again.
    machine_of(office.simulator.connect(), machine["moid"]).PowerOn()
    await_tools(office.simulator, machine["moid"])
    run("packaging_machine", **final)
    work_in(office, machine, install)
    machine_of(office.simulator.connect(), machine["moid"]).PowerOn()
    await_tools(office.simulator, machine["moid"])
    done = run("packaging_machine", **final)
    assert done["changed"] is True

    captured = run(
        "app_layer",
        **office.options,
        name="App",
        version="1",
        packaged_disk=done["packaged_disk"],
        os_layer=done["os_layer"],
        prerequisites=BASE,
    )
    assert captured["changes"]["files"] == 2
    assert captured["changes"]["removed"] == 1
    assert run("packaging_machine", **asked)["status"] == "Complete"

    gone = office.vcenter | {"name": "App", "version": "1", "state": "absent", "remove_package": True}
    converges("packaging_machine", office.look, **gone)
    assert machine["name"] not in machines(office.simulator)
    assert os.listdir(office.share) == []
    after = run("packaging_machine", **asked)
    assert after["changed"] is False
    assert after["status"] == "Complete"
    assert after["machine"] is None
    assert run("packaging_machine", **final)["changed"] is False

    office.simulator.guest("true")
    add_template(office, apps=(("Base", "1.0"), ("App", "1")))
    published = run("layered_image_publish", **office.vcenter, templates=["office"])["tasks"][0]
    tree = tree_of(office, published["vm"]["name"])
    assert tree["Program Files/Installed/app.exe"].size == 18000
    assert "Windows/regedit.exe" not in tree
    assert "Program Files/Base/base.txt" in tree


def test_packaging_machine_starts_from_the_latest_version(office):
    add_app(office, "Base", tree={"Program Files/Base/base.txt": "base", "Program Files/App/shared.txt": "of the base"})
    tree = {
        "Program Files/App/app.txt": "one",
        "Program Files/App/old.txt": "old",
        "Program Files/App/shared.txt": "of the app",
    }
    add_app(office, "App", "1", tree=tree, priority=600)
    office.simulator.guest("true")
    asked = present(office, "2", prerequisites=BASE, start_from="latest")
    machine = run("packaging_machine", **asked)["machine"]
    assert machine["name"] in machines(office.simulator)
    # In the meantime, other layers and images can be created, and the repository can be cleaned up.
    add_template(office, apps=(("Base", "1.0"), ("App", "1")))
    run("layered_image_publish", **office.vcenter, templates=["office"])
    run("image_template", **office.options, name="office", state="absent")
    run("repository", **office.options, state="collected")

    def update(volume) -> None:
        with volume.find("Program Files/App") as folder:
            folder.child("old.txt").delete()
            with folder.create_file("new.txt", b"new"):
                pass
        with volume.find("Program Files/App/app.txt") as node, node.open_stream() as stream:
            stream.truncate(3)
            stream.pwrite(b"two", 0)

    work_in(office, machine, on_volume(update))
    given = tree_of(office, machine["name"])
    assert {"Program Files/App/new.txt", "Program Files/App/shared.txt", "Program Files/Base/base.txt"} <= given.keys()
    done = run(
        "packaging_machine", **office.vcenter, name="App", version="2", state="finalized", file_share=office.share
    )
    captured = run(
        "app_layer",
        **office.options,
        name="App",
        version="2",
        packaged_disk=done["packaged_disk"],
        os_layer=done["os_layer"],
        prerequisites=BASE,
    )
    assert captured["changes"]["files"] == 3
    assert captured["detail"]["files"]["added"] == 2
    run("packaging_machine", **office.vcenter, name="App", version="2", state="absent")

    add_template(office, apps=(("Base", "1.0"), ("App", "2")))
    published = run("layered_image_publish", **office.vcenter, templates=["office"])["tasks"][0]
    # Only images of templates have a plan of scripts.
    made = {
        path: file
        for path, file in tree_of(office, published["vm"]["name"]).items()
        if not path.startswith("Windows/Setup/Scripts/image")
    }
    assert made.keys() == given.keys()
    assert "Program Files/App/old.txt" not in made
    different = [
        path for path, file in given.items() if (file.size, file.sha256) != (made[path].size, made[path].sha256)
    ]
    assert not different


def test_grown_image_is_composed_again_for_a_different_base(workspace):
    add_app(workspace, "Base")
    add_app(workspace, "App")
    add_app(workspace, "Tool")
    repository = Repository.open(os.fspath(workspace.path))
    os_layer = find_version(repository, "os", "Windows 11", "1.0")
    base, app, tool = (find_version(repository, "app", name, "1.0") for name in ("Base", "App", "Tool"))
    given = compose_stack(repository, os_layer, (base,))
    grown = grow_image(repository, given, app)
    assert grow_image(repository, given, app).manifest == grown.manifest
    assert grown.blobs[:-1] == given.blobs
    # Grown images are not used as a base, even if they have the most layers in common.
    whole = compose_stack(repository, os_layer, (base, app, tool))
    assert whole.blobs[:-1] == given.blobs
    assert whole.config.statistics.incremental
    other = compose_stack(repository, os_layer, (app,))
    assert grow_image(repository, other, base).content_digest != grown.content_digest


def test_packaging_machine_with_other_layers_fails(office):
    add_app(office, "Base")
    run("packaging_machine", **present(office))
    before = office.look()
    result = fails("packaging_machine", "packaging.other_composition", **present(office, prerequisites=BASE))
    assert result["details"]["made_from"] == ["os layer Windows 11 1.0"]
    fails(
        "packaging_machine",
        "packaging.prerequisite",
        **present(office, "2", name="Base", prerequisites=BASE),
    )
    fails("packaging_machine", "catalog.layer_missing", **present(office, "2", start_from="1"))
    fails("packaging_machine", "catalog.other_spelling", **present(office, "2", name="base"))
    assert office.look() == before
    # Without a version of the OS layer, the VM keeps its version.
    assert run("packaging_machine", **present(office) | {"os_layer": {"name": "Windows 11"}})["changed"] is False


def test_packaging_machine_without_its_metadata_is_not_changed(office):
    made = run("packaging_machine", **present(office))["machine"]
    machine = machine_of(office.simulator.connect(), made["moid"])
    machine.Rename_Task("renamed")
    assert run("packaging_machine", **present(office))["machine"]["name"] == "renamed"
    gone = office.vcenter | {"name": "App", "version": "1", "state": "absent"}
    mark(machine, "")
    for options in (present(office), gone):
        fails("packaging_machine", "packaging.no_mark", **options)
    mark(machine, "app/App/1")
    run("packaging_machine", **gone)
    assert "renamed" not in machines(office.simulator)

    again = run("packaging_machine", **present(office))["machine"]
    foreign = machine_of(office.simulator.connect(), again["moid"])
    mark(foreign, "app/Other/1")
    (office.path / "catalog" / "packaging").rename(office.tmp_path / "lost")
    before = machines(office.simulator)
    fails("packaging_machine", "vsphere.duplicate_name", **present(office))
    assert run("packaging_machine", **gone)["changed"] is True
    assert machines(office.simulator) == before
    assert run("packaging_machine", **gone)["changed"] is False


def mark(machine, value: str) -> None:
    """Set the metadata of a packaging machine through pyVmomi."""
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel

    machine.ReconfigVM_Task(
        vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="strata.layering.packaging", value=value)])
    )


def test_packaging_machine_with_a_lost_record_is_recorded_again(office):
    made = run("packaging_machine", **present(office))
    (office.path / "catalog" / "packaging").rename(office.tmp_path / "lost")
    final = office.vcenter | {"name": "App", "version": "1", "state": "finalized", "file_share": office.share}
    fails("packaging_machine", "packaging.not_recorded", **final, connector="desktops")
    again = run("packaging_machine", **present(office))
    assert again["changed"] is False
    assert again["machine"]["moid"] == made["machine"]["moid"]
    await_tools(office.simulator, made["machine"]["moid"])
    assert run("packaging_machine", **final)["changed"] is True


def test_packaging_machine_interrupted_runs_are_resumed(office):
    office.simulator.rules.add("PowerOnMultiVM_Task", fault="HostCommunication", task=True)
    assert attempt("packaging_machine", **present(office))["failed"]
    [name] = [name for name in machines(office.simulator) if name.startswith("App-1-packaging-")]
    final = office.vcenter | {"name": "App", "version": "1", "state": "finalized", "file_share": office.share}
    fails("packaging_machine", "packaging.not_started", **final)
    moid = machines(office.simulator)[name]["moid"]
    done = converges("packaging_machine", office.look, **present(office))
    assert done["machine"]["moid"] == moid
    assert done["machine"]["power_state"] == "poweredOn"
    await_tools(office.simulator, moid)

    office.simulator.rules.add("NFC:GET", drop_connection=True, after_bytes=10_000, count=None)
    assert attempt("packaging_machine", **final)["failed"]
    office.simulator.rules.clear()
    assert run("packaging_machine", **final)["changed"] is True
    assert run("packaging_machine", **final)["changed"] is False


def test_packaging_machine_killed_upload_is_repeated(office):
    """The abandoned lease locks the incomplete VM for a while."""
    office.simulator.settings(lease_timeout=5)
    office.simulator.rules.add("NFC:PUT", after_bytes=1000, delay_ms=1500)
    with Background("packaging_machine", **present(office)) as running:
        eventually(lambda: [lease for lease in office.simulator.leases() if lease["state"] == "ready"])
        running.kill()
    done = run("packaging_machine", **present(office))
    assert done["changed"] is True
    assert done["machine"]["power_state"] == "poweredOn"
    assert len([name for name in machines(office.simulator) if name.startswith("App-1-packaging-")]) == 1
    assert not any(lease["state"] in ("ready", "initializing") for lease in office.simulator.leases())


def test_packaging_machine_guest_does_not_shut_down_fails(office):
    office.simulator.guest(mode="hang")
    run("packaging_machine", **present(office))
    final = office.vcenter | {"name": "App", "version": "1", "state": "finalized", "file_share": office.share}
    result = attempt("packaging_machine", **final, shutdown_timeout=2)
    assert result["failed"]
    assert os.listdir(office.share) == []
    fails("packaging_machine", "packaging.missing", **final | {"version": "2"})
    fails("packaging_machine", "shares.missing", **final | {"file_share": os.path.join(office.share, "none")})
    assert attempt("packaging_machine", **present(office, wait_for_address=2))["failed"]


def test_packaging_machine_short_run_requires_action(office):
    machine = run("packaging_machine", **present(office))["machine"]
    machine_of(office.simulator.connect(), machine["moid"]).PowerOff()
    refused = run("packaging_machine", **present(office))
    assert refused["changed"] is False
    assert refused["status"] == "ActionRequired"
    assert "minimum_run" in refused["description"]
    assert run("packaging_machine", **present(office, minimum_run=0))["status"] == "Pending"
    # With power_on, the work continues.
    on = converges("packaging_machine", office.look, **present(office, power_on=True))
    assert on["machine"]["moid"] == machine["moid"]
    assert on["machine"]["power_state"] == "poweredOn"
    assert on["status"] == "ActionRequired"
    final = office.vcenter | {"name": "App", "version": "1", "state": "finalized", "file_share": office.share}
    office.simulator.rules.add("NFC:GET", drop_connection=True, after_bytes=10_000, count=None)
    assert attempt("packaging_machine", **final)["failed"]
    # It was shut down for its export, so that power_on does not start it.
    again = run("packaging_machine", **present(office, power_on=True))
    assert again["changed"] is False
    assert again["status"] == "Pending"


def test_packaging_machine_with_linked_clones_is_not_deleted(office):
    from pyVim.task import WaitForTask  # pylint: disable=import-outside-toplevel
    from pyVmomi import vim  # pylint: disable=import-outside-toplevel

    machine = run("packaging_machine", **present(office))["machine"]
    session = office.simulator.connect()
    found = machine_of(session, machine["moid"])
    disk = next(device for device in found.config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk))
    child = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=-2,
        unitNumber=0,
        capacityInKB=disk.capacityInKB,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            diskMode="persistent",
            fileName="[LocalDS_0] linked/linked.vmdk",
            parent=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(diskMode="persistent", fileName=disk.backing.fileName),
        ),
    )
    golden = machine_of(session, machines(office.simulator)["windows-template"]["moid"])
    WaitForTask(
        golden.CloneVM_Task(
            golden.parent,
            "linked",
            vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=found.resourcePool), template=False),
        )
    )
    other = machine_of(session, machines(office.simulator)["linked"]["moid"])
    controller = vim.vm.device.VirtualDeviceSpec(
        operation="add", device=vim.vm.device.ParaVirtualSCSIController(key=-2, busNumber=3, sharedBus="noSharing")
    )
    added = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=child)
    WaitForTask(other.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[controller, added])))
    before = office.look()
    gone = office.vcenter | {"name": "App", "version": "1", "state": "absent"}
    for check in (True, False):
        refused = fails("packaging_machine", "packaging.cloned", **gone, check=check)
        assert refused["details"]["machines"] == ["linked"]
    assert office.look() == before


def test_packaging_machine_whose_clones_may_be_hidden_is_not_deleted(office):
    from pyVim.task import WaitForTask  # pylint: disable=import-outside-toplevel

    machine = run("packaging_machine", **present(office))["machine"]
    found = machine_of(office.simulator.connect(), machine["moid"])
    WaitForTask(found.CreateSnapshot_Task("before", "", False, False))
    grants = [{**entry, "propagate": entry["entity"] != "/"} for entry in permissions()]
    grants.append({"entity": "/DC0", "privileges": [], "propagate": True})
    office.simulator.user(USERNAME, grants, password=office.simulator.login[1])
    before = office.look()
    gone = office.vcenter | {"name": "App", "version": "1", "state": "absent"}
    for check in (True, False):
        fails("packaging_machine", "packaging.hidden_clones", **gone, check=check)
    assert office.look() == before
    restrict(office.simulator)
    assert run("packaging_machine", **gone | options_of(office.simulator))["changed"]


def test_packaging_machine_without_its_base_image_fails(office):
    office.simulator.guest("true")
    run("packaging_machine", **present(office))
    repository = Repository.open(os.fspath(office.path))
    for name in [name for name in repository.layout.references() if name.startswith("image/")]:
        repository.layout.remove_reference(name)
    final = office.vcenter | {"name": "App", "version": "1", "state": "finalized", "file_share": office.share}
    fails("packaging_machine", "packaging.given_lost", **final)


def test_packaging_machine_of_a_platform_layer(office):
    asked = present(office, kind="platform")
    machine = run("packaging_machine", **asked)["machine"]
    await_tools(office.simulator, machine["moid"])
    run(
        "packaging_machine",
        **office.vcenter,
        name="App",
        version="1",
        kind="platform",
        state="finalized",
        file_share=office.share,
    )
    work_in(office, machine, install)
    final = office.vcenter | {
        "name": "App",
        "version": "1",
        "kind": "platform",
        "state": "finalized",
        "file_share": office.share,
        "package": "platform",
    }
    done = run("packaging_machine", **final)
    assert done["packaged_disk"] == os.path.join(office.share, "platform", "platform.ovf")
    # The package of a different packaging machine is not removed.
    other = final | {"name": "Other", "state": "absent", "remove_package": True}
    for check in (True, False):
        fails("packaging_machine", "packaging.other_package", check=check, **other)
    assert os.path.isfile(done["packaged_disk"])
    captured = run(
        "platform_layer",
        **office.options,
        name="App",
        version="1",
        packaged_disk=done["packaged_disk"],
        os_layer=done["os_layer"],
    )
    assert captured["changes"]["files"] == 2
    assert run("packaging_machine", **asked)["status"] == "Complete"
    # An app layer of the same name is a different layer.
    assert run("packaging_machine", **present(office), check=True)["changed"] is True
