# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones that vCenter hides from the user."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.publish.retiring.clones import Clones
from ansible_collections.strata.layering.plugins.module_utils.vsphere.authorization import hidden_vms, reads_everything
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import collect_below
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Session
from ansible_collections.strata.layering.plugins.module_utils.vsphere.vm import read_facts
from ansible_collections.strata.layering.tests.support.least_privilege import USERNAME


def grant(entity: str, *, propagate: bool = True, privileges: tuple | None = ()) -> dict:
    return {"entity": entity, "propagate": propagate, "privileges": None if privileges is None else list(privileges)}


#: A VM is visible through its folder and through its resource pool.
HIDDEN = [grant(path, privileges=None) for path in ("/DC0/vm/ClonePrepInternalTemplateFolder", "/DC0/host/DC0_C0")]
SCOPED = [grant("/", propagate=False), grant("/DC0")]


@pytest.fixture
def image(simulator):
    """A VM ``image`` with a snapshot, and the VM of a linked clone in a folder of its own."""
    content = simulator.connect().RetrieveContent()
    datacenter = content.rootFolder.childEntity[0]
    pools = {compute.name: compute.resourcePool for compute in datacenter.hostFolder.childEntity}
    hidden = datacenter.vmFolder.CreateFolder("ClonePrepInternalTemplateFolder")
    for folder, name, pool in (
        (datacenter.vmFolder, "image", pools["DC0_H0"]),
        (hidden, "cp-template", pools["DC0_C0"]),
    ):
        files = vim.vm.FileInfo(vmPathName="[LocalDS_0]")
        task = folder.CreateVM_Task(vim.vm.ConfigSpec(name=name, guestId="otherGuest", files=files), pool, None)
        WaitForTask(task)
        if name == "image":
            WaitForTask(task.info.result.CreateSnapshot_Task("strata", "", False, False))
    return simulator


@pytest.mark.parametrize(
    ("grants", "references", "everything", "hidden"),
    [
        ([grant("/")], "show", True, 0),
        ([grant("/")], "omit", True, 0),
        ([grant("/"), *HIDDEN], "show", True, 1),
        ([*SCOPED, *HIDDEN], "show", False, 1),
        ([*SCOPED, *HIDDEN], "omit", False, 0),
        (SCOPED, "omit", False, 0),
    ],
)
def test_reason_to_keep_a_vm_whose_clones_may_be_hidden(image, grants, references, everything, hidden):
    image.settings(hidden_references=references)
    password = image.user(USERNAME, grants)
    with Session.connect(image.host, USERNAME, password, port=image.port, ca_file=image.ca_file) as session:
        facts = read_facts(session, Inventory(session).vm(name="image"))
        visible = {
            machine._GetMoId()
            for machine in collect_below(session, session.content.rootFolder, "VirtualMachine", ["name"])
        }
        assert reads_everything(session) is everything
        assert hidden_vms(session, facts.moid, visible) == hidden
        assert (Clones(session).reason_to_keep(facts) is None) is (everything and not hidden)


def test_reason_to_keep_is_none_without_a_snapshot(image):
    password = image.user(USERNAME, SCOPED)
    with Session.connect(image.host, USERNAME, password, port=image.port, ca_file=image.ca_file) as session:
        facts = read_facts(session, Inventory(session).vm(name="cp-template"))
        assert Clones(session).reason_to_keep(facts) is None
