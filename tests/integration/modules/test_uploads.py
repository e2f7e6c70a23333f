# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk is uploaded once: the next run resumes with a VM whose upload is complete, and only a digest decides about damage."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.kinds import TASK
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run
from ansible_collections.strata.layering.tests.support.packaging_workspace import present
from ansible_collections.strata.layering.tests.support.vcenter import machines

_LASTING = {"fault": "SystemError", "count": None}


@pytest.fixture
def image(workspace, vcenter):
    """Return the options that publish an image."""
    add_app(workspace)
    add_template(workspace)
    return workspace.options | vcenter | {"templates": ["office"], "retries": 0}


def uploads(simulator) -> list[dict]:
    """Return the uploads since the journal was cleared."""
    return simulator.journal(method="NFC:PUT")


def change_tasks(workspace, change) -> None:
    """Apply ``change`` to every stored publish task."""
    catalog = Repository.open(str(workspace.path), writable=True).catalog
    for name, task in catalog.documents(TASK):
        change(task)
        catalog.put(TASK, name, task)


def interrupt(simulator, image) -> dict:
    """Let a publish fail after the upload, before the VM is marked; return the VM."""
    simulator.rules.add("ReconfigVM_Task", **_LASTING)
    failed = fails("layered_image_publish", "vsphere.fault", **image)
    simulator.rules.clear()
    return failed["tasks"][0]["vm"]


def test_publish_that_ended_before_the_vm_was_marked_is_resumed(workspace, simulator, image):
    vm = interrupt(simulator, image)
    checked = run("layered_image_publish", check=True, diff=True, **image)
    assert checked["changed"] is True
    assert checked["diff"]["before"] != checked["diff"]["after"]
    assert len(uploads(simulator)) == 1
    done = run("layered_image_publish", **image)
    task = done["tasks"][0]
    assert (task["status"], task["vm"]["moid"]) == ("Complete", vm["moid"])
    assert len(uploads(simulator)) == 1
    assert run("layered_image_publish", **image)["changed"] is False


def test_publish_with_a_task_of_an_earlier_release_uploads_again(workspace, simulator, image):
    vm = interrupt(simulator, image)
    change_tasks(workspace, lambda task: task.pop("upload"))
    done = run("layered_image_publish", **image)
    assert done["tasks"][0]["status"] == "Complete"
    assert done["tasks"][0]["vm"]["moid"] != vm["moid"]
    assert len(uploads(simulator)) == 2


def test_publish_with_the_record_of_a_different_vm_uploads_again(workspace, simulator, image):
    interrupt(simulator, image)
    change_tasks(workspace, lambda task: task["upload"].update(instance_uuid="50000000-0000-0000-0000-000000000000"))
    assert run("layered_image_publish", **image)["tasks"][0]["status"] == "Complete"
    assert len(uploads(simulator)) == 2


@pytest.mark.parametrize(
    ("form", "confirmed_by", "warned"),
    [
        ("full", "SHA-1", False),
        ("digest_only", "SHA-1", False),
        ("populated_size", "SHA-1", False),
        ("absent", None, True),
    ],
)
def test_publish_trusts_the_digest_of_the_host_alone(simulator, image, form, confirmed_by, warned):
    simulator.settings(import_manifest=form)
    done = run("layered_image_publish", **image)
    task, [upload] = done["tasks"][0], uploads(simulator)
    assert task["status"] == "Complete"
    assert (task["upload"]["confirmed_by"], task["upload"]["completed"]) == (confirmed_by, True)
    assert task["upload"]["size"] == upload["bytes"]
    assert bool([text for text in task["warnings"] if "no digest" in text]) is warned


@pytest.mark.parametrize("busy", ["InvalidState", "TaskInProgress"])
def test_publish_waits_for_a_vm_that_vcenter_holds_after_the_upload(simulator, image, busy):
    simulator.settings(unlock_delay_ms=1500, settle_delay_ms=300, busy_fault=busy)
    assert run("layered_image_publish", **image)["tasks"][0]["status"] == "Complete"
    assert len(uploads(simulator)) == 1


def test_packaging_machine_that_was_not_marked_is_resumed(office):
    office.simulator.rules.add("ReconfigVM_Task", **_LASTING)
    fails("packaging_machine", "vsphere.fault", **present(office))
    office.simulator.rules.clear()
    [name] = [name for name in machines(office.simulator) if name.startswith("App-1-packaging-")]
    moid = machines(office.simulator)[name]["moid"]
    done = converges("packaging_machine", office.look, **present(office))
    assert (done["machine"]["moid"], done["machine"]["power_state"]) == (moid, "poweredOn")
    assert len(uploads(office.simulator)) == 1
