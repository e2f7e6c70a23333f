# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packaging machines of OS layers: the next version is built from an earlier version, without the OS machine."""

from __future__ import annotations

import os
import time

from ansible_collections.strata.layering.plugins.module_utils.catalog.layers import find_version
from ansible_collections.strata.layering.plugins.module_utils.images.composing.layered_image import compose_stack
from ansible_collections.strata.layering.plugins.module_utils.images.stored.lineage_marker import read_marker
from ansible_collections.strata.layering.plugins.module_utils.images.stored.os_disk import (
    OsDisk,
    windows_partition_number,
)
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.windows.installation import exists, read_file
from ansible_collections.strata.layering.plugins.module_utils.windows.partition import windows_window
from ansible_collections.strata.layering.tests.support.least_privilege import restrict
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run
from ansible_collections.strata.layering.tests.support.packaging_workspace import install, on_volume, present, work_in
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines, options_of

PATCHED = "Windows/System32/patched.dll"


def asked_for(office, version: str, **options) -> dict:
    """Return the options of a packaging machine for a version of the OS layer."""
    return office.vcenter | {"name": "Windows 11", "version": version, "kind": "os", "connector": "desktops"} | options


def finalized(office, asked: dict, work) -> dict:
    """Create a packaging machine, power it off, work on its disk and export it; return the result of the module."""
    machine = run("packaging_machine", **asked)["machine"]
    machine_of(office.simulator.connect(), machine["moid"]).PowerOff()
    work_in(office, machine, work)
    final = {name: asked[name] for name in asked if name not in ("os_layer", "connector")}
    return run("packaging_machine", **final, state="finalized", file_share=office.share)


def patch(number: int):
    """Return the work of an update: a new file of Windows, and a changed file."""

    def change(volume: Volume) -> None:
        with volume.find("Windows/System32") as folder:
            if old := folder.child("patched.dll"):
                with old:
                    old.delete()
            with folder.create_file("patched.dll", b"MZ" + bytes((number,)) * 70_000):
                pass

    return on_volume(change)


def import_version(office, version: str, done: dict, **options) -> dict:
    """Import the disk of a packaging machine as a version of the OS layer."""
    return run(
        "os_layer",
        **office.options,
        name="Windows 11",
        version=version,
        max_layer_size_gb=done["max_layer_size_gb"],
        file_share=office.share,
        ovf_package=done["packaged_disk"],
        **options,
    )


def delete(office, version: str) -> None:
    """Delete the packaging machine of a version of the OS layer, and its package."""
    gone = {"name": "Windows 11", "version": version, "kind": "os", "state": "absent", "remove_package": True}
    converges("packaging_machine", office.look, **office.vcenter, **gone)


def test_os_layer_versions_are_built_from_each_other(office):
    captured = finalized(office, present(office), install)
    made = converges("packaging_machine", office.look, **asked_for(office, "2.0"))
    assert made["status"] == "ActionRequired"
    assert made["os_layer"] == {"name": "Windows 11", "version": "1.0"}
    done = finalized(office, asked_for(office, "2.0"), patch(2))
    assert done["max_layer_size_gb"] == 1
    imported = import_version(office, "2.0", done)
    assert imported["layer"]["version"] == "2.0"
    # The version exists: the packaging machine is not created again, and a second import changes nothing.
    assert run("packaging_machine", **asked_for(office, "2.0"))["status"] == "Complete"
    assert import_version(office, "2.0", done)["changed"] is False
    # Neither the disk of the packaging machine itself nor that of a packaging machine on version 1.0 started from version 2.0.
    for disk in (done["packaged_disk"], captured["packaged_disk"]):
        other = {"packaged_disk": disk, "os_layer": {"name": "Windows 11", "version": "2.0"}}
        fails("app_layer", "capture.other_base", **office.options, name="App", version="2", **other)
    delete(office, "2.0")
    assert not [name for name in machines(office.simulator) if name.startswith("Windows-11")]

    # The next version starts from version 2.0, the newest.
    done = finalized(office, asked_for(office, "3.0"), patch(3))
    assert done["os_layer"] == {"name": "Windows 11", "version": "2.0"}
    import_version(office, "3.0", done)
    delete(office, "3.0")

    app = {"name": "App", "version": "1", "packaged_disk": captured["packaged_disk"], "os_layer": captured["os_layer"]}
    run("app_layer", **office.options, **app)
    third = {"os_layer": {"name": "Windows 11", "version": "3.0"}}
    newer = finalized(office, present(office, "2") | third, install)
    app |= {"version": "2", "packaged_disk": newer["packaged_disk"], "os_layer": newer["os_layer"]}
    assert run("app_layer", **office.options, **app)["changes"]["files"] == 2

    repository = Repository.open(os.fspath(office.path))
    layers = (find_version(repository, "app", "App", "1"),)
    for version, number in (("2.0", 2), ("3.0", 3)):
        os_layer = find_version(repository, "os", "Windows 11", version)
        number_of_partition = windows_partition_number(repository, os_layer.digest)
        image = compose_stack(repository, os_layer, layers)
        with image.open_disk() as disk, Volume.mount(windows_window(disk, number_of_partition)) as volume:
            assert read_file(volume, PATCHED, 1 << 20) == b"MZ" + bytes((number,)) * 70_000
            assert exists(volume, "Program Files/Installed/app.exe")


def test_noise_machine_is_left_alone_and_shut_down(office):
    asked = {"name": "Windows 11", "version": "1.0", "kind": "noise", "connector": "desktops", "minimum_run": 3}
    final = {name: asked[name] for name in ("name", "version", "kind", "minimum_run")} | {"file_share": office.share}
    made = converges("packaging_machine", office.look, **office.vcenter, **asked)
    assert made["status"] == "Pending"
    assert made["os_layer"] == {"name": "Windows 11", "version": "1.0"}
    machine = made["machine"]

    # A profile of a VM that has not run long enough would lack what Windows does later.
    machine_of(office.simulator.connect(), machine["moid"]).PowerOff()
    again = asked | {"minimum_run": 600}
    assert run("packaging_machine", **office.vcenter, **again)["status"] == "ActionRequired"
    stopped = office.vcenter | final | {"minimum_run": 600, "state": "finalized"}
    fails("packaging_machine", "packaging.ran_too_briefly", **stopped)
    assert run("packaging_machine", **office.vcenter, **again, power_on=True)["machine"]["power_state"] == "poweredOn"

    # The wait needs no privileges beyond those of other packaging machines.
    restrict(office.simulator)
    office.vcenter |= options_of(office.simulator)
    started = time.monotonic()
    done = converges("packaging_machine", office.look, **office.vcenter, **final, state="finalized")
    assert time.monotonic() - started > 1
    assert done["machine"]["power_state"] == "poweredOff"
    assert os.path.isfile(done["packaged_disk"])
    # It has run long enough, so that it is not powered on again.
    ready = run("packaging_machine", **office.vcenter, **asked, power_on=True)
    assert (ready["changed"], ready["status"]) == (False, "Pending")
    fails("packaging_machine", "catalog.layer_version_missing", **office.vcenter, **asked | {"version": "9"})


def test_os_machine_needs_no_options_of_other_kinds(office):
    base = [{"name": "Base", "version": "1.0"}]
    fails("packaging_machine", "packaging.other_layers", **asked_for(office, "2.0", prerequisites=base))
    without = {name: value for name, value in present(office).items() if name != "os_layer"}
    fails("packaging_machine", "packaging.os_layer", **without)


def test_image_of_an_os_layer_alone_differs_only_in_the_marker(workspace):
    """The new version therefore contains nothing that composing added."""
    repository = Repository.open(os.fspath(workspace.path))
    os_layer = find_version(repository, "os", "Windows 11", "1.0")
    image = compose_stack(repository, os_layer, ())
    with image.open_disk() as disk, OsDisk.load(repository, os_layer.digest).open(repository) as original:
        assert (disk.size, read_marker(original)) == (original.size, None)
        chunks = range(0, disk.size, 1 << 20)
        different = [offset for offset in chunks if disk.pread(1 << 20, offset) != original.pread(1 << 20, offset)]
        assert different == [0]
        first, second = disk.pread(1 << 20, 0), original.pread(1 << 20, 0)
        assert first[:-512] == second[:-512]
        assert read_marker(disk) is not None
