# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""horizon_image_push on the Horizon simulator: the image of pools and farms, users, start times and failures."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.common.module_runner import UNCHECKED_HORIZON
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_image_push import push_images
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_push_options import (
    HorizonImagePushOptions,
)
from ansible_collections.strata.layering.tests.support.horizon_fixtures import check_contract
from ansible_collections.strata.layering.tests.support.horizon_push_site import MODULE
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, specification_of
from ansible_collections.strata.layering.tests.support.recorded_images import image_digest, recorded_image, store_images
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines


def test_push_makes_the_latest_image_current(site):
    site.add_pool()
    result = converges(MODULE, site.state, **site.options, pools=["sales"])
    task = result["tasks"][0]
    assert (task["status"], task["target"]["name"], task["target"]["kind"]) == ("Complete", "sales", "pool")
    assert (task["image"]["vm"], task["image"]["image_digest"]) == ("office-3", image_digest("office-3"))
    assert (task["previous"]["vm"], task["previous"]["template"]) == ("office-1", "office")
    assert task["machines"] == {
        "total": 3,
        "on_image": 3,
        "pending": 0,
        "halted": 0,
        "not_ready": 0,
        "failed": [],
    }
    assert task["vcenter"]["instance_uuid"].lower() == site.vcenters[0]["instance_uuid"].lower()
    assert (task["operation"], task["pending_state"], task["error"]) == ("NONE", None, None)
    assert site.vm_of() == "office-3"
    assert set(site.machines().values()) == {"office-3"}


def test_push_difference_names_the_images(site):
    site.add_pool()
    difference = run(MODULE, check=True, diff=True, **site.options, pools=["sales"])["diff"]
    assert difference["before"]["pool sales"]["image"]["vm"] == "/DC0/vm/office-1"
    assert difference["after"]["pool sales"] == {
        "image": {"vm": "/DC0/vm/office-3", "snapshot": "strata", "image_digest": image_digest("office-3")},
        "pending": None,
    }


def test_check_mode_shows_the_request_and_the_sessions(site):
    profile = {
        "compute_profile_num_cpus": 4,
        "compute_profile_num_cores_per_socket": 2,
        "compute_profile_ram_mb": 8192,
    }
    site.add_pool(add_virtual_tpm=True, **profile)
    site.horizon.add_session("sales-1")
    site.horizon.clear_journal()
    result = run(MODULE, check=True, **site.options, pools=["sales"], logoff_policy="force_logoff")
    task = result["tasks"][0]
    assert (task["status"], result["changed"]) == ("NotStarted", True)
    assert task["request"] == {
        "parent_vm_id": site.vms["office-3"]["moid"],
        "snapshot_id": site.vms["office-3"]["snapshots"][0]["moid"],
        "logoff_policy": "FORCE_LOGOFF",
        "stop_on_first_error": True,
        "add_virtual_tpm": True,
        **profile,
    }
    assert task["sessions"] == {"connected": 1, "disconnected": 0}
    assert site.requests() == []


def test_push_is_recorded_with_both_images_and_the_comment(site):
    site.add_pool()
    run(MODULE, check=True, **site.options, pools=["sales"], comment="CHG-1042")
    assert site.audit() == []
    site.push(pools=["sales"], comment="CHG-1042")
    site.push(pools=["sales"], comment="CHG-1042")
    (entry,) = site.audit()
    assert {name: entry[name] for name in ("action", "kind", "name", "comment")} == {
        "action": "push",
        "kind": "pool",
        "name": "sales",
        "comment": "CHG-1042",
    }
    assert entry["details"]["before"]["image"]["vm"] == "office-1"
    assert entry["details"]["after"]["vm"] == "office-3"
    listed = run("audit_info", repository=site.repository, kind="pool")["records"]
    assert [record["name"] for record in listed] == ["sales"]


def test_push_records_until_when_the_previous_image_was_in_use(site):
    site.add_pool()
    site.push(pools=["sales"])
    assert [site.last_used(number) is not None for number in (1, 2, 3)] == [True, False, False]


@pytest.mark.parametrize(("image", "vm"), [("previous", "office-2"), (image_digest("office-1")[7:17], "office-1")])
def test_rollback_is_desired_state(site, image, vm):
    site.add_pool(vm="office-3")
    converges(MODULE, site.state, **site.options, pools=["sales"], image=image)
    assert site.vm_of() == vm


def test_vm_and_snapshot_need_no_repository(site):
    site.add_pool()
    named = {"repository": None, "template": None, "vm": "office-2", "snapshot": "strata"}
    task = site.push(pools=["sales"], vcenter="vcenter1.example.com", **named)
    assert (task["status"], task["image"]["vm_path"], task["image"]["template"]) == (
        "Complete",
        "/DC0/vm/office-2",
        None,
    )


def test_several_pools_and_farms_are_pushed_in_one_run(site):
    site.add_pool("sales")
    site.add_pool("finance", vm="office-3")
    site.horizon.add_farm("apps", "office-1", "strata")
    result = converges(MODULE, site.state, **site.options, pools=["sales", "finance"], farms=["apps"])
    found = [(task["target"]["kind"], task["target"]["name"], task["status"]) for task in result["tasks"]]
    assert found == [("pool", "sales", "Complete"), ("pool", "finance", "Complete"), ("farm", "apps", "Complete")]
    assert set(site.machines("apps", "farms").values()) == {"office-3"}
    assert [entry["path"] for entry in site.horizon.journal()].count("/login") <= 4


def test_certificate_that_is_not_checked_is_reported(site):
    site.add_pool()
    options = site.options | {"validate_certs": False, "ca_path": None}
    assert UNCHECKED_HORIZON in str(run(MODULE, check=True, **options, pools=["sales"])["warnings"])


def test_progress_has_the_percentage_and_the_number_of_machines(site):
    site.add_pool()
    site.horizon.settings(publish_seconds=60)
    site.horizon.clock.speed = 60
    site.horizon.add_session("sales-1", ends=180)
    params = {option: spec.get("default") for option, spec in specification_of(MODULE)["argument_spec"].items()}
    params |= site.options | {"pools": ["sales"], "wait_for": "machines"}
    seen: list[tuple[str, int, int | None]] = []
    try:
        outcome = push_images(
            HorizonImagePushOptions.from_params(params), check_mode=False, progress=lambda *values: seen.append(values)
        )
    finally:
        site.horizon.clock.speed = 0
    assert outcome.result["tasks"][0]["status"] == "Complete"
    assert ("sales: machines, 1 session", 2, 3) in seen
    percentages = [done for step, done, total in seen if (step, total) == ("sales: publishing", 100)]
    assert percentages == sorted(percentages) != []


def test_pools_of_two_vcenters_get_the_images_of_their_own(site):
    site.add_pool()
    site.horizon.add_vm("munich-2", ["strata"], vcenter=1)
    site.add_pool("munich", vm="munich-1", vcenter=1)
    first, second = site.horizon.vcenters()
    images = [recorded_image("office", second, vm) for vm in second["vms"] if vm["name"] == "munich-2"]
    images += [recorded_image("office", first, site.vms["office-3"])]
    store_images(site.repository, "office", images)
    result = converges(MODULE, site.state, **site.options, pools=["sales", "munich"])
    assert [task["image"]["vm"] for task in result["tasks"]] == ["office-3", "munich-2"]
    assert [task["vcenter"]["hostname"] for task in result["tasks"]] == [first["server_name"], second["server_name"]]


# -- users


@pytest.mark.parametrize(("number", "status"), [(1, "ActionRequired"), (2, "Complete")])
def test_forced_logoff_is_limited(site, number, status):
    site.add_pool()
    for machine in ("sales-1", "sales-2"):
        site.horizon.add_session(machine)
    task = site.push(pools=["sales"], logoff_policy="force_logoff", max_sessions=number)
    assert task["status"] == status
    assert bool(site.requests()) is (status == "Complete")


def test_machines_of_users_are_counted_and_their_sessions_remain(site):
    site.add_pool()
    site.horizon.add_session("sales-1")
    site.horizon.add_session("sales-2", state="DISCONNECTED")
    task = site.push(pools=["sales"], wait_for="machines", wait_timeout=0)
    assert (task["status"], task["changed"]) == ("Running", True)
    assert (task["machines"]["on_image"], task["machines"]["pending"]) == (1, 2)
    assert task["sessions"] == {"connected": 1, "disconnected": 1}
    assert site.horizon.logoffs() == []


# -- start times


def test_later_start_is_scheduled_and_rescheduled(site):
    site.add_pool()
    evening, night = site.in_hours(5), site.in_hours(8)
    result = converges(MODULE, site.state, **site.options, pools=["sales"], start_time=evening)
    assert result["tasks"][0]["status"] == "Scheduled"
    milliseconds = round(datetime.datetime.fromisoformat(evening).timestamp() * 1000)
    assert site.requests()[0][1]["start_time"] == milliseconds
    later = converges(MODULE, site.state, **site.options, pools=["sales"], start_time=night)
    assert later["tasks"][0]["request"]["start_time"] == milliseconds + 3 * 3600 * 1000
    assert site.vm_of() == "office-1"
    site.horizon.clock.advance(9 * 3600)
    assert site.push(pools=["sales"], start_time=night)["status"] == "Complete"
    assert site.vm_of() == "office-3"


def test_past_start_is_accepted_when_the_image_is_current(site):
    site.add_pool(vm="office-3")
    task = site.push(pools=["sales"], start_time="2020-01-01T00:00:00+01:00")
    assert (task["status"], task["changed"]) == ("Complete", False)


def test_scheduled_push_is_canceled(site):
    site.add_pool()
    site.push(pools=["sales"], start_time=site.in_hours(5))
    task = site.push(pools=["sales"], state="canceled")
    assert (task["status"], task["changed"]) == ("Canceled", True)
    assert site.horizon.pool("sales")["pending_state"] is None


# -- failures


def test_failed_publish_fails_the_module_with_the_tasks(site):
    site.add_pool()
    site.add_pool("finance")
    error = "There is not enough space on the datastore."
    site.horizon.fail_publish(error, target="sales")
    result = attempt(MODULE, **site.options, pools=["sales", "finance"])
    assert (result["failed"], result["code"]) == (True, "horizon.publish_failed")
    tasks = {task["target"]["name"]: task for task in result["details"]["tasks"]}
    assert (tasks["sales"]["status"], tasks["finance"]["status"]) == ("Failed", "Complete")
    assert error in tasks["sales"]["error"]
    assert (site.vm_of(), site.vm_of(name="finance")) == ("office-1", "office-3")


def test_failed_machines_require_action(site):
    site.add_pool()
    site.horizon.fail_machine(name="sales-1")
    task = site.push(pools=["sales"], wait_for="machines", wait_timeout=30)
    assert task["status"] == "ActionRequired"
    assert [failed["name"] for failed in task["machines"]["failed"]] == ["sales-1"]


def test_push_that_stopped_at_a_failed_machine_is_resumed(site):
    site.add_pool()
    site.horizon.settings(parallel=1)
    site.horizon.fail_machine(name="sales-1")
    options = {**site.options, "pools": ["sales"], "wait_for": "machines", "wait_timeout": 30}
    run(MODULE, **options)
    result = converges(MODULE, site.state, **options)
    assert result["tasks"][0]["status"] == "Complete"
    assert set(site.machines().values()) == {"office-3"}
    assert [entry["action"] for entry in site.audit()] == ["push", "resume"]


def test_without_wait_the_module_returns_when_horizon_has_accepted(site):
    site.horizon.settings(publish_seconds=600)
    site.add_pool()
    task = site.push(pools=["sales"], wait=False)
    assert (task["status"], task["changed"], task["pending_state"]) == ("Running", True, "PUBLISHING")
    again = site.push(pools=["sales"], wait=False)
    assert (again["status"], again["changed"]) == ("Running", False)
    assert [path for path, _body in site.requests()] == ["schedule-push-image"]


@pytest.mark.parametrize(
    ("request_path", "staged", "state", "status", "actions"),
    [
        ("schedule-push-image", False, "present", "Complete", ["push"]),
        ("schedule-push-image", False, "staged", "Staged", ["stage"]),
        ("promote-pending-image", True, "present", "Complete", ["stage", "promote"]),
        ("cancel-scheduled-push-image", True, "canceled", "Canceled", ["stage", "cancel"]),
    ],
)
def test_request_whose_answer_was_lost_is_not_repeated(site, request_path, staged, state, status, actions):
    site.add_pool()
    if staged:
        site.push(pools=["sales"], state="staged")
    site.horizon.rules.add("POST", f"/action/{request_path}", drop_connection=True, after=True)
    task = site.push(pools=["sales"], state=state)
    assert (task["status"], task["changed"]) == (status, True)
    assert [path for path, _body in site.requests()].count(request_path) == 1
    assert [entry["action"] for entry in site.audit()] == actions
    assert (site.last_used(1) is not None) is (site.vm_of() == "office-3")


@pytest.mark.parametrize("retries", [0, 1])
def test_request_that_horizon_did_not_get_is_repeated(site, retries):
    site.add_pool()
    site.horizon.rules.add("POST", "/action/schedule-push-image", drop_connection=True)
    result = attempt(MODULE, **site.options | {"retries": retries}, pools=["sales"])
    assert (result.get("code"), site.vm_of()) == (
        (None, "office-3") if retries else ("horizon.answer_lost", "office-1")
    )
    assert len(site.audit()) == retries


# -- images of vSphere


@pytest.fixture(name="golden")
def _golden(shared_simulator: Simulator) -> Iterator[Any]:
    """A VM with two snapshots in the vSphere simulator, from which a Connection Server reads its base VMs."""
    settled = shared_simulator.settings()["settle_delay_ms"]
    shared_simulator.settings(settle_delay_ms=0)
    session = shared_simulator.connect()
    template = machine_of(session, machines(shared_simulator)["windows-template"]["moid"])
    pools = session.content.viewManager.CreateContainerView(session.content.rootFolder, [vim.ResourcePool], True).view
    WaitForTask(
        template.CloneVM_Task(
            template.parent, "golden", vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=pools[0]), template=False)
        )
    )
    golden = machine_of(session, machines(shared_simulator)["golden"]["moid"])
    for name in ("first", "second"):
        WaitForTask(golden.CreateSnapshot_Task(name, "", False, False))
    yield golden
    WaitForTask(golden.Destroy_Task())
    shared_simulator.settings(settle_delay_ms=settled)


def test_snapshot_that_vsphere_removed_is_not_pushed(shared_simulator, golden):
    with HorizonSimulator([shared_simulator]) as horizon:
        horizon.settings(pending_seconds=0, publish_seconds=0, rebuild_seconds=0)
        horizon.add_pool("sales", "golden", "first")
        options = {**horizon.options(), "pools": ["sales"], "vm": "golden", "snapshot": "second", "wait_sleep": 1}
        task = run(MODULE, **options)["tasks"][0]
        assert (task["status"], task["image"]["moid"]) == ("Complete", golden._GetMoId())
        assert task["vcenter"]["instance_uuid"] == shared_simulator.connect().content.about.instanceUuid.lower()
        WaitForTask(golden.snapshot.rootSnapshotList[0].snapshot.RemoveSnapshot_Task(False))
        horizon.clear_journal()
        fails(MODULE, "horizon.snapshot_missing", **options | {"snapshot": "first"})
        assert [entry["path"] for entry in horizon.journal("POST")] == ["/login", "/logout"]
        check_contract(horizon)
