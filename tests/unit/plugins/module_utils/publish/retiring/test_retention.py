# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs of older images: clones that depend on them, and changes between planning and removing."""

from __future__ import annotations

import dataclasses
import datetime
from types import SimpleNamespace

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.catalog.image_record import ImageRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import (
    MachineRecord,
    VCenterRecord,
)
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Unavailable
from ansible_collections.strata.layering.plugins.module_utils.publish.machine import image_records, vm_metadata
from ansible_collections.strata.layering.plugins.module_utils.publish.retiring import clones, retention
from ansible_collections.strata.layering.plugins.module_utils.publish.retiring.horizon_use import HorizonUser
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Session
from ansible_collections.strata.layering.plugins.module_utils.vsphere.vm import read_facts
from ansible_collections.strata.layering.tests.support.published_vms import published_vm

OLD = SimpleNamespace(moid="vm-1", datastore_path="[ds1] old/old.vmx", disks=(("[ds2] old_1/old-000001.vmdk", 1),))


def disk(*names: str) -> vim.vm.device.VirtualDisk:
    """Return a disk whose chain of backings has these files."""
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
def test_clones_finds_clones_of_moved_disks(monkeypatch, files, depends):
    """Storage DRS moves a disk away from the folder of its VM."""
    session = SimpleNamespace(content=SimpleNamespace(rootFolder=None))
    found = {
        vim.VirtualMachine("vm-1"): {"name": "old"},
        vim.VirtualMachine("vm-2"): {"name": "clone", "config.hardware.device": [disk(*files)]},
    }
    monkeypatch.setattr(clones, "collect_below", lambda *arguments: found)
    assert clones.Clones(session).of(OLD) == (["clone"] if depends else [])


def image_record(vcenter: VCenterRecord, digest: str, vm: MachineRecord, last_used: str | None = None) -> ImageRecord:
    """Return the record of an image of the template office."""
    return ImageRecord(
        template="office",
        image_digest=digest,
        content_digest="sha256:content",
        layers={},
        connector="desktops",
        vcenter=vcenter,
        vm=vm,
        snapshot="strata-1",
        datastore_path=None,
        published="2026-01-01T00:00:00Z",
        last_used=last_used,
    )


@pytest.fixture
def plan(monkeypatch):
    """Return a function that plans the retention of images, the VMs of which have these facts by name."""
    vcenter = VCenterRecord("vc", "1")
    session = SimpleNamespace(vcenter={"hostname": "vc", "instance_uuid": "1"})
    disks = {"clone": ("clone", ["[ds] cloned/cloned.vmdk"])}
    monkeypatch.setattr(clones, "disks_of_all", lambda _session: disks)
    monkeypatch.setattr(clones, "reads_everything", lambda _session: True)
    monkeypatch.setattr(clones, "hidden_vms", lambda _session, _moid, _visible: 0)

    def plan_of(
        names: list[str], facts: dict, keep: int | None, horizon=None, last_used: str | None = None
    ) -> retention.RetentionPlan:
        images = [
            image_record(vcenter, f"sha256:{name}", MachineRecord(name, path=f"/DC/vm/{name}"), last_used)
            for name in names
        ]
        monkeypatch.setattr(image_records, "images_of", lambda _repository, _template, _vcenter: images)
        monkeypatch.setattr(image_records, "read_machine", lambda _session, record: facts.get(record.name))
        rule = retention.RetentionRule(keep, horizon)
        return retention.plan_retention(None, session, "office", "sha256:new", rule)

    return plan_of


@pytest.mark.parametrize(
    ("keep", "kept", "expired", "warnings"),
    [
        (None, ["new", "gone", "cloned", "running", "unused"], [], 0),
        (1, ["new", "gone", "cloned", "running"], ["unused"], 2),
        (0, ["new", "cloned", "running"], ["unused"], 2),
    ],
)
def test_plan_retention_keeps_vms_in_use(plan, keep, kept, expired, warnings):
    facts = {name: published_vm(name, f"sha256:{name}") for name in ("new", "cloned", "unused")}
    facts["running"] = published_vm("running", "sha256:running", power_state="poweredOn")
    planned = plan(["new", "gone", "cloned", "running", "unused"], facts, keep)
    assert [image.vm.name for image in planned.kept] == kept
    assert [vm.name for vm in planned.expired] == expired
    assert len(planned.warnings) == warnings
    assert planned.changed is (keep is not None)


@pytest.mark.parametrize(("everything", "hidden"), [(False, 0), (True, 2)])
def test_plan_retention_keeps_a_vm_whose_clones_may_be_hidden(plan, monkeypatch, everything, hidden):
    monkeypatch.setattr(clones, "reads_everything", lambda _session: everything)
    monkeypatch.setattr(clones, "hidden_vms", lambda _session, _moid, _visible: hidden)
    planned = plan(["new", "unused"], {"unused": published_vm("unused", "sha256:unused")}, 0)
    assert [image.vm.name for image in planned.kept] == ["new", "unused"]
    assert not planned.expired
    assert len(planned.warnings) == 1


SETTINGS = published_vm().extra_config


@pytest.mark.parametrize(
    "changes",
    [
        {"template": True},
        {"name": "renamed"},
        {"path": "/DC/vm/Kept/old"},
        {"snapshots": ()},
        {"power_state": "suspended"},
        {"extra_config": SETTINGS | {vm_metadata.KEY_STATE: "kept"}},
        {"extra_config": SETTINGS | {vm_metadata.KEY_IMAGE: ""}},
        {"extra_config": SETTINGS | {vm_metadata.KEY_TEMPLATE: "other"}},
        {"extra_config": {}, "accessible": False, "connection_state": "inaccessible"},
    ],
    ids=str,
)
def test_plan_retention_keeps_a_vm_that_was_changed(plan, changes):
    facts = {
        "old": dataclasses.replace(
            published_vm("old", extra_config=SETTINGS | {vm_metadata.KEY_IMAGE: "sha256:old"}), **changes
        )
    }
    planned = plan(["new", "old"], facts, 0)
    assert [image.vm.name for image in planned.kept] == ["new", "old"]
    assert not planned.expired
    assert len(planned.warnings) == 1
    assert not planned.changed


def test_plan_retention_removes_a_vm_on_another_host_and_datastore(plan):
    facts = {"old": published_vm("old", "sha256:old", datastore_path="[elsewhere] old/old.vmx")}
    assert [vm.name for vm in plan(["new", "old"], facts, 0).expired] == ["old"]


def test_plan_retention_forgets_a_vm_without_its_settings(plan):
    planned = plan(["new", "old"], {"old": published_vm("old", extra_config={})}, 0)
    assert [image.vm.name for image in planned.kept] == ["new"]
    assert not planned.expired
    assert len(planned.warnings) == 1
    assert planned.changed


class FakeHorizon:
    """Horizon uses the VMs of ``used`` by managed object ID; ``asked`` are the calls."""

    def __init__(self, used: dict | None = None, error: Exception | None = None) -> None:
        self.used, self.error, self.asked = used or {}, error, []

    def users(self, vcenter, moids):
        self.asked.append((vcenter, sorted(moids)))
        if self.error is not None:
            raise self.error
        return {moid: self.used.get(moid, ()) for moid in moids}


OLDER = ("first", "second")


def older_vms() -> dict:
    """Return the facts of unused VMs of older images."""
    return {name: published_vm(name, f"sha256:{name}") for name in OLDER}


@pytest.mark.parametrize("role", ["current", "pending", "machines"])
def test_plan_retention_keeps_a_vm_that_horizon_uses(plan, role):
    user = HorizonUser("cs01.example.com", "pool", "sales", role, machines=3)
    horizon = FakeHorizon({"vm-first": (user,)})
    planned = plan(["new", *OLDER], older_vms(), 0, horizon)
    assert [image.vm.name for image in planned.kept] == ["new", "first"]
    assert [vm.name for vm in planned.expired] == ["second"]
    assert [("sales" in warning, "first" in warning) for warning in planned.warnings] == [(True, True)]
    assert horizon.asked == [("1", ["vm-first", "vm-second"])]


def test_plan_retention_asks_horizon_only_about_vms_that_would_be_removed(plan):
    horizon = FakeHorizon()
    facts = older_vms() | {"second": published_vm("second", "sha256:second", power_state="poweredOn")}
    assert not plan(["new", *OLDER], facts, 1, horizon).changed
    assert not plan(["new", *OLDER], facts, None, horizon).changed
    assert horizon.asked == []


def test_plan_retention_keeps_all_vms_while_horizon_does_not_answer(plan):
    horizon = FakeHorizon(error=Unavailable("The server did not answer.", code="horizon.connection"))
    planned = plan(["new", "gone", *OLDER], older_vms(), 0, horizon)
    assert [image.vm.name for image in planned.kept] == ["new", *OLDER]
    assert not planned.expired
    [warning] = planned.warnings
    assert all(part in warning for part in ("The server did not answer.", *OLDER))
    # The record of a VM that does not exist is removed nevertheless.
    assert planned.changed


@pytest.mark.parametrize(("minutes", "kept"), [(29, ["new", *OLDER]), (31, ["new"])])
@pytest.mark.parametrize("horizon", [None, FakeHorizon()], ids=["not asked", "asked"])
def test_plan_retention_waits_after_horizon_used_a_vm(plan, monkeypatch, minutes, kept, horizon):
    moment = datetime.datetime(2026, 1, 1, 12, minutes, tzinfo=datetime.UTC)
    monkeypatch.setattr(retention, "utc_now", lambda: moment)
    planned = plan(["new", *OLDER], older_vms(), 0, horizon, "2026-01-01T12:00:00Z")
    assert [image.vm.name for image in planned.kept] == kept
    assert len(planned.warnings) == len(kept) - 1
    assert planned.changed is (len(kept) == 1)


def test_retire_keeps_a_vm_that_was_powered_on_since(simulator, tmp_path):
    repository = Repository.open(str(tmp_path / "repository"), create=True)
    simulator.guest(mode="hang")
    with Session.connect(
        simulator.host, simulator.username, simulator.password, port=simulator.port, ca_file=simulator.ca_file
    ) as session:
        facts = [read_facts(session, machine) for machine in create_vms(simulator, "first", "second")]
        session.object("VirtualMachine", facts[0].moid).PowerOnVM_Task()
        vcenter = vm_metadata.vcenter_record(session)
        elsewhere = image_record(VCenterRecord("elsewhere", "2"), "sha256:new", MachineRecord("new"))
        newest = image_record(vcenter, "sha256:new", MachineRecord("new"))
        older = [
            image_record(vcenter, f"sha256:{number}", vm_metadata.machine_record(entry))
            for number, entry in enumerate(facts)
        ]
        image_records.record_image(repository, elsewhere)
        for image in [*reversed(older), newest]:
            image_records.record_image(repository, image)
        plan = retention.RetentionPlan((newest,), tuple(facts), (), True)
        warnings = retention.retire(repository, session, "office", plan)
    assert warnings == ["The VM first of an older image is kept because it is not powered off."]
    power = {machine["name"]: machine["power"] for machine in simulator.machines()}
    assert power["first"] == "poweredOn"
    assert "second" not in power
    assert image_records.images_of(repository, "office", vcenter) == [newest, older[0]]
    assert image_records.images_of(repository, "office", elsewhere.vcenter) == [elsewhere]


def create_vms(simulator, *names: str) -> list:
    """Create VMs with these names."""
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
