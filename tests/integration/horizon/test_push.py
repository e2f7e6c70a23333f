# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""horizon_image_push on the Horizon simulator: the state of pools and farms, and what was requested."""

from __future__ import annotations

import datetime
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.horizon_fixtures import check_contract
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.recorded_images import (
    image_digest,
    recorded_image,
    store_images,
)
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

_MODULE = "horizon_image_push"
_SERVER = "windows2019srv_64Guest"
_LOGIN = ("/login", "/refresh", "/logout")


@pytest.fixture(name="pod", scope="module")
def _pod() -> Iterator[HorizonSimulator]:
    with HorizonSimulator(described_vcenters=2) as running:
        yield running


@pytest.fixture(name="site")
def _site(pod: HorizonSimulator, tmp_path: pathlib.Path) -> Iterator[Site]:
    pod.reset()
    for number in (1, 2, 3):
        pod.add_vm(f"office-{number}", ["strata"], guest_id=_SERVER)
    pod.add_vm("munich-1", ["strata"], vcenter=1)
    # What Horizon does has happened when the answer arrives: no test waits for it.
    pod.settings(pending_seconds=0, publish_seconds=0, rebuild_seconds=0)
    yield Site(pod, tmp_path)
    check_contract(pod)


class Site:
    """A pod with two vCenters, and a repository with the images office-3, office-2 and office-1 of the template office."""

    def __init__(self, horizon: HorizonSimulator, folder: pathlib.Path) -> None:
        self.horizon = horizon
        self.repository = os.fspath(folder / "repository")
        self.vcenters = horizon.vcenters()
        first = self.vcenters[0]
        self.vms = {vm["name"]: vm for vcenter in self.vcenters for vm in vcenter["vms"]}
        store_images(
            self.repository,
            "office",
            [recorded_image("office", first, self.vms[f"office-{number}"]) for number in (3, 2, 1)],
        )
        self.options: dict[str, Any] = {
            **horizon.options(),
            "repository": self.repository,
            "template": "office",
            "wait_sleep": 1,
            "retries": 0,
        }

    def add_pool(self, name: str = "sales", vm: str = "office-1", **fields: Any) -> dict[str, Any]:
        """Add a pool of three machines."""
        return self.horizon.add_pool(name, vm, "strata", **fields)

    def push(self, **options: Any) -> dict[str, Any]:
        """Run the module and return the task of the only pool or farm, with ``changed``."""
        result = run(_MODULE, **self.options | options)
        return {**result["tasks"][0], "changed": result["changed"]}

    def vm_of(self, kind: str = "pools", name: str = "sales") -> str:
        """Return the name of the VM that is the current image."""
        return self.name_of(self.horizon.ask("GET", f"/{kind}/{name}")["vm"])

    def name_of(self, moid: str) -> str:
        """Return the name of a VM of the first vCenter."""
        return next(vm["name"] for vm in self.vcenters[0]["vms"] if vm["moid"] == moid)

    def machines(self, name: str = "sales", kind: str = "pools") -> dict[str, str]:
        """Return the names of the VMs from which machines were created, by the name of the machine."""
        found = self.horizon.ask("GET", f"/{kind}/{name}/machines")
        return {machine["name"]: self.name_of(machine["vm"]) for machine in found}

    def state(self) -> dict[str, Any]:
        """Return the state of Horizon and of the repository."""
        kinds = ("pools", "farms")
        owners = {kind: self.horizon.ask("GET", f"/{kind}") for kind in kinds}
        machines = {
            owner["name"]: self.horizon.ask("GET", f"/{kind}/{owner['name']}/machines")
            for kind in kinds
            for owner in owners[kind]
        }
        return {"owners": owners, "machines": machines, "repository": state_of(self.repository)}

    def requests(self) -> list[tuple[str, Any]]:
        """Return the end of the path and the body of each request that changes something."""
        return [
            (entry["path"].rpartition("/")[2], entry["body"])
            for entry in self.horizon.journal()
            if entry["method"] != "GET" and entry["path"] not in _LOGIN
        ]

    def audit(self) -> list[dict[str, Any]]:
        """Return the audit history, oldest first."""
        return Repository.open(self.repository).audit.read()

    def last_used(self, number: int) -> str | None:
        """Return until when an image was in use, according to its record."""
        document = document_collections.images(Repository.open(self.repository)).require("office")
        return next(image for image in document.images if image.vm.name == f"office-{number}").last_used


def test_push_makes_the_latest_image_current(site):
    site.add_pool()
    result = converges(_MODULE, site.state, **site.options, pools=["sales"])
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
    difference = run(_MODULE, check=True, diff=True, **site.options, pools=["sales"])["diff"]
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
    result = run(_MODULE, check=True, **site.options, pools=["sales"], logoff_policy="force_logoff")
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
    run(_MODULE, check=True, **site.options, pools=["sales"], comment="CHG-1042")
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
    converges(_MODULE, site.state, **site.options, pools=["sales"], image=image)
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
    result = converges(_MODULE, site.state, **site.options, pools=["sales", "finance"], farms=["apps"])
    found = [(task["target"]["kind"], task["target"]["name"], task["status"]) for task in result["tasks"]]
    assert found == [("pool", "sales", "Complete"), ("pool", "finance", "Complete"), ("farm", "apps", "Complete")]
    assert set(site.machines("apps", "farms").values()) == {"office-3"}
    assert [entry["path"] for entry in site.horizon.journal()].count("/login") <= 4


# -- staging


def test_canary_gets_the_image_before_the_other_machines(site):
    site.add_pool()
    staged = converges(_MODULE, site.state, **site.options, pools=["sales"], state="staged", canary=1)
    task = staged["tasks"][0]
    assert (task["status"], task["pending_state"]) == ("Staged", "READY_HELD")
    assert (task["machines"]["total"], task["machines"]["on_image"]) == (1, 1)
    assert sorted(site.machines().values()) == ["office-1", "office-1", "office-3"]
    assert site.vm_of() == "office-1"


def test_larger_canary_applies_the_image_to_more_machines(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged", canary=1)
    first = site.machines()
    converges(_MODULE, site.state, **site.options, pools=["sales"], state="staged", canary=2)
    assert list(site.machines().values()).count("office-3") == 2
    assert [name for name, vm in first.items() if vm == "office-3" != site.machines()[name]] == []


def test_canary_of_named_machines(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged", machines=["sales-3"])
    assert site.machines() == {"sales-1": "office-1", "sales-2": "office-1", "sales-3": "office-3"}


def test_unknown_machine_of_a_canary_changes_nothing(site):
    site.add_pool()
    before = site.state()
    result = fails(_MODULE, "horizon.no_such_machine", **site.options, pools=["sales"], state="staged", machines=["x"])
    assert result["tasks"][0]["status"] == "Failed"
    assert site.state() == before


def test_staged_image_is_promoted(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged", canary=1)
    result = converges(_MODULE, site.state, **site.options, pools=["sales"])
    assert result["tasks"][0]["status"] == "Complete"
    assert set(site.machines().values()) == {"office-3"}
    assert [path for path, _body in site.requests()] == ["schedule-push-image", "promote-pending-image"]
    assert [entry["action"] for entry in site.audit()] == ["stage", "promote"]


def test_staged_image_is_discarded(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged")
    options = {**site.options, "template": None, "state": "canceled"}
    result = converges(_MODULE, site.state, **options, pools=["sales"])
    assert result["tasks"][0]["status"] == "Canceled"
    assert site.vm_of() == "office-1"
    assert site.horizon.pool("sales")["pending_state"] is None
    assert [entry["action"] for entry in site.audit()] == ["stage", "cancel"]


def test_other_staged_image_needs_replace(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged", image="previous")
    site.horizon.clear_journal()
    found = site.push(pools=["sales"])
    assert (found["status"], found["changed"], site.requests()) == ("ActionRequired", False, [])
    assert site.push(pools=["sales"], replace=True)["status"] == "Complete"
    assert site.vm_of() == "office-3"


def test_image_is_staged_and_promoted_in_a_farm(site):
    site.horizon.add_farm("apps", "office-1", "strata")
    options = {**site.options, "farms": ["apps"]}
    staged = converges(_MODULE, site.state, **options, state="staged", canary=1)
    assert (staged["tasks"][0]["status"], staged["tasks"][0]["target"]["kind"]) == ("Staged", "farm")
    assert sorted(site.machines("apps", "farms").values()) == ["office-1", "office-3"]
    converges(_MODULE, site.state, **options)
    assert set(site.machines("apps", "farms").values()) == {"office-3"}


@pytest.mark.parametrize(("seconds", "vm"), [(600, "office-1"), (0, "office-3")])
def test_canceled_maintenance_keeps_an_image_that_a_farm_has_published(site, seconds, vm):
    site.horizon.settings(publish_seconds=seconds)
    site.horizon.add_farm("apps", "office-1", "strata")
    options = {**site.options, "farms": ["apps"]}
    run(_MODULE, **options, start_time=_in_hours(site, 5), wait=False)
    result = converges(_MODULE, site.state, **options, state="canceled")
    assert result["tasks"][0]["status"] == "Canceled"
    assert result["diff"]["after"]["farm apps"]["image"]["vm"] == f"/DC0/vm/{vm}"
    assert site.vm_of("farms", "apps") == vm
    assert set(site.machines("apps", "farms").values()) == {"office-1"}


# -- pools and farms that are refused


def _linked_clones(site: Site) -> dict[str, Any]:
    site.add_pool(source="LINKED_CLONE")
    return {}


def _image_stream(site: Site) -> dict[str, Any]:
    site.add_pool(im_stream_id="stream-1", im_tag_id="tag-1")
    return {}


def _disabled(site: Site) -> dict[str, Any]:
    site.add_pool(enabled=False)
    return {}


def _deleted(site: Site) -> dict[str, Any]:
    site.add_pool(delete_in_progress=True)
    return {}


def _other_vcenter(site: Site) -> dict[str, Any]:
    site.add_pool(vm="munich-1", vcenter=1)
    return {}


def _other_vcenter_by_name(site: Site) -> dict[str, Any]:
    site.add_pool(vm="munich-1", vcenter=1)
    return {"template": None, "vm": "office-3", "snapshot": "strata", "vcenter": "vcenter1.example.com"}


def _unclear_vcenter(site: Site) -> dict[str, Any]:
    site.add_pool()
    return {"template": None, "vm": "office-3", "snapshot": "strata"}


def _display_name(site: Site) -> dict[str, Any]:
    site.add_pool("sales-1", display_name="sales")
    site.add_pool("sales-2", display_name="sales")
    return {}


def _wrong_name(site: Site) -> dict[str, Any]:
    site.add_pool("Sales")
    return {}


def _past_start(site: Site) -> dict[str, Any]:
    site.add_pool()
    return {"start_time": "2020-01-01T00:00:00+01:00"}


def _unsuitable_vm(site: Site) -> dict[str, Any]:
    site.add_pool()
    site.horizon.set_reasons("office-3", ["INSTANT_INTERNAL"])
    return {}


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (_wrong_name, "horizon.no_such_target"),
        (_display_name, "horizon.no_such_target"),
        (_linked_clones, "horizon.not_instant_clones"),
        (_image_stream, "horizon.image_stream"),
        (_disabled, "horizon.target_disabled"),
        (_deleted, "horizon.target_deleted"),
        (_other_vcenter, "operations.push_image_missing"),
        (_other_vcenter_by_name, "operations.push_vcenter"),
        (_unclear_vcenter, "operations.push_image_option"),
        (_past_start, "horizon.start_passed"),
        (_unsuitable_vm, "horizon.vm_incompatible"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_refused_pool_changes_nothing(site, prepare, code, check):
    options = site.options | prepare(site)
    site.add_pool("finance")
    before = site.state()
    result = fails(_MODULE, code, **options, pools=["finance", "sales"], check=check)
    assert result["hint"]
    assert site.requests() == []
    assert site.state() == before


def test_refusal_returns_the_tasks_of_all_pools(site):
    site.add_pool("sales", enabled=False)
    site.add_pool("finance")
    result = fails(_MODULE, "horizon.target_disabled", **site.options, pools=["finance", "sales"])
    assert [(task["target"]["name"], task["status"]) for task in result["tasks"]] == [
        ("finance", "NotStarted"),
        ("sales", "Failed"),
    ]
    assert result["details"]["tasks"] == result["tasks"]


def test_display_name_of_two_pools_is_explained(site):
    result = fails(_MODULE, "horizon.no_such_target", **site.options | _display_name(site), pools=["sales"])
    assert result["details"]["display_names"] == {"sales": ["sales-1", "sales-2"]}


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"enabled": False}, {"allow_disabled": True}),
        ({"im_stream_id": "stream-1", "im_tag_id": "tag-1"}, {"image_source": "change"}),
        ({"enable_provisioning": False}, {"provisioning": "enabled"}),
    ],
)
def test_option_allows_what_is_refused_otherwise(site, fields, options):
    site.add_pool(**fields)
    assert site.push(pools=["sales"], **options)["status"] == "Complete"
    assert site.vm_of() == "office-3"


def test_disabled_provisioning_requires_action(site):
    site.add_pool(enable_provisioning=False)
    before = site.state()
    task = site.push(pools=["sales"])
    assert (task["status"], task["changed"], site.state()) == ("ActionRequired", False, before)


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


def _in_hours(site: Site, hours: int) -> str:
    """Return a time some hours after that of the Connection Server, with an offset."""
    zone = datetime.timezone(datetime.timedelta(hours=1))
    now = datetime.datetime.fromtimestamp(site.horizon.clock.now / 1000, zone)
    return (now + datetime.timedelta(hours=hours)).isoformat(timespec="seconds")


def test_later_start_is_scheduled_and_rescheduled(site):
    site.add_pool()
    evening, night = _in_hours(site, 5), _in_hours(site, 8)
    result = converges(_MODULE, site.state, **site.options, pools=["sales"], start_time=evening)
    assert result["tasks"][0]["status"] == "Scheduled"
    milliseconds = round(datetime.datetime.fromisoformat(evening).timestamp() * 1000)
    assert site.requests()[0][1]["start_time"] == milliseconds
    later = converges(_MODULE, site.state, **site.options, pools=["sales"], start_time=night)
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
    site.push(pools=["sales"], start_time=_in_hours(site, 5))
    task = site.push(pools=["sales"], state="canceled")
    assert (task["status"], task["changed"]) == ("Canceled", True)
    assert site.horizon.pool("sales")["pending_state"] is None


# -- failures


def test_failed_publish_fails_the_module_with_the_tasks(site):
    site.add_pool()
    site.add_pool("finance")
    error = "There is not enough space on the datastore."
    site.horizon.fail_publish(error, target="sales")
    result = attempt(_MODULE, **site.options, pools=["sales", "finance"])
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


def test_without_wait_the_module_returns_when_horizon_has_accepted(site):
    site.horizon.settings(publish_seconds=600)
    site.add_pool()
    task = site.push(pools=["sales"], wait=False)
    assert (task["status"], task["changed"], task["pending_state"]) == ("Running", True, "PUBLISHING")
    again = site.push(pools=["sales"], wait=False)
    assert (again["status"], again["changed"]) == ("Running", False)
    assert [path for path, _body in site.requests()] == ["schedule-push-image"]


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
        task = run(_MODULE, **options)["tasks"][0]
        assert (task["status"], task["image"]["moid"]) == ("Complete", golden._GetMoId())
        assert task["vcenter"]["instance_uuid"] == shared_simulator.connect().content.about.instanceUuid.lower()
        WaitForTask(golden.snapshot.rootSnapshotList[0].snapshot.RemoveSnapshot_Task(False))
        horizon.clear_journal()
        fails(_MODULE, "horizon.snapshot_missing", **options | {"snapshot": "first"})
        assert [entry["path"] for entry in horizon.journal("POST")] == ["/login", "/logout"]
        check_contract(horizon)
