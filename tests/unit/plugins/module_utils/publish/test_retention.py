# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of older images: what depends on them, and what may happen between looking and removing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.publish import image_records, retention
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Session
from ansible_collections.strata.layering.plugins.module_utils.vsphere.vm import read_facts

OLD = SimpleNamespace(moid="vm-1", datastore_path="[ds1] old/old.vmx", disks=(("[ds2] old_1/old-000001.vmdk", 1),))


def disk(*names: str) -> vim.vm.device.VirtualDisk:
    """A disk whose chain of backings has these files."""
    backing = None
    for name in reversed(names):
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=name, parent=backing)
    return vim.vm.device.VirtualDisk(backing=backing)


@pytest.mark.parametrize(
    ("files", "depends"),
    [
        (("[ds1] clone/clone.vmdk", "[ds1] old/old.vmdk"), True),
        (("[ds1] clone/clone-000002.vmdk", "[ds1] clone/clone.vmdk", "[ds2] old_1/old.vmdk"), True),
        (("[ds1] old_2/old.vmdk",), False),
        (("[ds3] old/old.vmdk",), False),
    ],
)
def test_clones_of_a_disk_that_was_moved_elsewhere(monkeypatch, files, depends):
    """Storage DRS moves a disk apart from the rest of its machine."""
    session = SimpleNamespace(content=SimpleNamespace(rootFolder=None))
    found = {
        vim.VirtualMachine("vm-1"): {"name": "old"},
        vim.VirtualMachine("vm-2"): {"name": "clone", "config.hardware.device": [disk(*files)]},
    }
    monkeypatch.setattr(retention, "collect_below", lambda *arguments: found)
    assert retention.depends_on(session, OLD) == (["clone"] if depends else [])


def test_a_machine_that_somebody_powers_on_meanwhile_stays(simulator, tmp_path):
    repository = Repository.open(str(tmp_path / "repository"), create=True)
    simulator.guest(mode="hang")
    with Session.connect(
        simulator.host, simulator.username, simulator.password, port=simulator.port, ca_file=simulator.ca_file
    ) as session:
        facts = [read_facts(session, machine) for machine in make(simulator, "one", "two")]
        running = session.object("VirtualMachine", facts[0].moid)
        running.PowerOnVM_Task()
        vcenter = session.vcenter
        elsewhere = {
            "content_digest": "",
            "image_digest": "sha256:new",
            "vcenter": {"hostname": "elsewhere", "instance_uuid": "2"},
        }
        newest = {"content_digest": "", "image_digest": "sha256:new", "vcenter": vcenter}
        recorded = [
            newest | {"image_digest": f"sha256:{number}", "vm": image_records.machine_record(one)}
            for number, one in enumerate(facts)
        ]
        image_records.record_image(repository, "office", elsewhere)
        image_records.record_images(repository, "office", vcenter, [newest, *recorded])
        warnings = retention.retire(repository, session, "office", [newest], facts)
    assert warnings == ["The machine one of an older image is kept because it is not switched off."]
    assert {
        name: machine["power"] for machine in simulator.machines() if (name := machine["name"]) in ("one", "two")
    } == {"one": "poweredOn"}
    assert image_records.images_of(repository, "office", vcenter) == [newest, recorded[0]]
    assert image_records.images_of(repository, "office", elsewhere["vcenter"]) == [elsewhere]


def make(simulator, *names: str) -> list:
    """Machines of these names."""
    content = simulator.connect().RetrieveContent()
    datacenter = content.rootFolder.childEntity[0]
    pool = datacenter.hostFolder.childEntity[0].resourcePool
    made = []
    for name in names:
        files = vim.vm.FileInfo(vmPathName="[LocalDS_0]")
        task = datacenter.vmFolder.CreateVM_Task(
            vim.vm.ConfigSpec(name=name, guestId="otherGuest", files=files), pool, None
        )
        WaitForTask(task)
        made.append(task.info.result)
    return made
