# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same pushes on the contracts of several versions of Horizon.

The base VMs are those of a vSphere simulator. The clock of Horizon moves only when the module waits, so that no test waits.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator
from typing import Any

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.horizon.pushing.push_results import PushTools
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops import horizon_image_push
from ansible_collections.strata.layering.tests.simulator_horizon.contract import VERSIONS
from ansible_collections.strata.layering.tests.support.horizon_fixtures import check_contract
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.modules import attempt, run
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.simulator_client import Client, wait_for_snapshot

_MODULE = "horizon_image_push"
_VM = "golden"
_LOGIN = ("/login", "/refresh", "/logout")
_HOUR = 3600


@pytest.fixture(name="vsphere", scope="module")
def _vsphere() -> Iterator[Simulator]:
    """A vCenter with the VM ``golden``, which has the snapshots ``old`` and ``new``."""
    with Simulator(template=None) as simulator:
        simulator.settings(unlock_delay_ms=0, settle_delay_ms=0)
        machine = Client(simulator).import_vm(_VM)
        WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(guestId="windows2019srv_64Guest")))
        for snapshot in ("old", "new"):
            wait_for_snapshot(machine, snapshot)
        yield simulator


@pytest.fixture(name="pod", scope="module", params=VERSIONS)
def _pod(request: pytest.FixtureRequest, vsphere: Simulator) -> Iterator[HorizonSimulator]:
    with HorizonSimulator([vsphere], contract=request.param) as running:
        yield running


@pytest.fixture(name="site")
def _site(pod: HorizonSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    pod.reset()
    site = Site(pod)
    tools = functools.partial(PushTools, clock=site.now, sleep=site.sleep)
    monkeypatch.setattr(horizon_image_push, "PushTools", tools)
    yield site
    check_contract(pod)


class Site:
    """A pod with the pool ``sales`` of four machines and the farm ``apps`` of two servers, both on the snapshot ``old``."""

    def __init__(self, horizon: HorizonSimulator) -> None:
        self.horizon = horizon
        self._waited = 0.0
        vm = horizon.vcenters()[0]["vms"][0]
        self._snapshots = {snapshot["moid"]: snapshot["name"] for snapshot in vm["snapshots"]}
        horizon.add_pool(
            "sales",
            _VM,
            "old",
            4,
            add_virtual_tpm=True,
            compute_profile_num_cpus=4,
            compute_profile_num_cores_per_socket=2,
            compute_profile_ram_mb=8192,
        )
        horizon.add_farm("apps", _VM, "/old")

    def now(self) -> float:
        """Return the seconds that passed on Horizon's clock."""
        return self._waited

    def sleep(self, seconds: float) -> None:
        """Move Horizon's clock."""
        self._waited += seconds
        self.horizon.clock.advance(seconds)

    def push(self, **options: Any) -> dict[str, Any]:
        """Run the module for the pool, or the targets in ``options``; return its only task, with ``changed``."""
        result = run(_MODULE, **self._options(options))
        return {**result["tasks"][0], "changed": result["changed"]}

    def attempt(self, **options: Any) -> dict[str, Any]:
        """Run the module and return its result, also if it fails."""
        return attempt(_MODULE, **self._options(options))

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        if "farms" not in options:
            options = {"pools": ["sales"], **options}
        if options.get("state") != "canceled":
            options = {"vm": _VM, "snapshot": "new", **options}
        return {**self.horizon.options(), "wait_for": "machines", **options}

    def image(self, kind: str = "pool", name: str = "sales") -> str:
        """Return the name of the snapshot that is the current image."""
        return self._snapshots[self.horizon.ask("GET", f"/{kind}s/{name}")["snapshot"]]

    def machines(self, kind: str = "pool", name: str = "sales") -> list[str]:
        """Return the names of the snapshots from which the machines were created, sorted."""
        found = self.horizon.ask("GET", f"/{kind}s/{name}/machines")
        return sorted(self._snapshots[machine["snapshot"]] for machine in found)

    def requests(self) -> list[str]:
        """Return the last part of the paths of all requests that change something, and forget them."""
        found = [
            entry["path"].rpartition("/")[2]
            for entry in self.horizon.journal()
            if entry["method"] != "GET" and entry["path"] not in _LOGIN
        ]
        check_contract(self.horizon)
        self.horizon.clear_journal()
        return found

    def in_hours(self, hours: float) -> str:
        """Return a time on Horizon's clock, with an offset."""
        zone = datetime.timezone(datetime.timedelta(hours=2))
        moment = datetime.datetime.fromtimestamp(self.horizon.clock.now / 1000 + hours * _HOUR, zone)
        return moment.isoformat(timespec="seconds")


def test_push_and_rollback(site: Site) -> None:
    task = site.push()
    assert (task["status"], task["changed"], task["machines"]["on_image"]) == ("Complete", True, 4)
    assert site.requests() == ["schedule-push-image"]
    assert (site.image(), site.machines()) == ("new", ["new"] * 4)
    assert site.push()["changed"] is False
    assert site.requests() == []
    task = site.push(snapshot="old")
    assert (task["status"], task["changed"], task["previous"]["snapshot"]) == ("Complete", True, "new")
    assert (site.image(), site.machines()) == ("old", ["old"] * 4)


def test_push_keeps_virtual_tpm_and_compute_profile(site: Site) -> None:
    site.push()
    settings = site.horizon.pool("sales")["record"]["provisioning_settings"]
    assert settings["add_virtual_tpm"] is True
    assert settings["compute_profile_ram_mb"] == 8192


def test_push_with_start_time_is_rescheduled(site: Site) -> None:
    task = site.push(start_time=site.in_hours(2))
    assert (task["status"], task["changed"], task["pending_state"]) == ("Scheduled", True, "READY")
    later = site.in_hours(5)
    task = site.push(start_time=later)
    assert (task["status"], task["changed"]) == ("Scheduled", True)
    assert site.push(start_time=later)["changed"] is False
    assert site.requests() == ["schedule-push-image"] * 2
    site.sleep(3 * _HOUR)
    assert site.image() == "old"
    site.sleep(3 * _HOUR)
    task = site.push(start_time=later)
    assert (task["status"], task["changed"]) == ("Complete", False)
    assert (site.image(), site.machines()) == ("new", ["new"] * 4)


def test_staged_image_is_applied_to_more_machines_and_promoted(site: Site) -> None:
    task = site.push(state="staged", canary=1)
    assert (task["status"], task["changed"], task["machines"]["on_image"]) == ("Staged", True, 1)
    assert (site.image(), site.machines()) == ("old", ["new", "old", "old", "old"])
    assert site.push(state="staged", canary=1)["changed"] is False
    task = site.push(state="staged", canary=3)
    assert (task["status"], task["changed"], task["machines"]["on_image"]) == ("Staged", True, 3)
    assert (site.image(), site.machines()) == ("old", ["new", "new", "new", "old"])
    task = site.push()
    assert (task["status"], task["changed"]) == ("Complete", True)
    assert site.requests() == ["schedule-push-image", "apply-image", "promote-pending-image"]
    assert (site.image(), site.machines()) == ("new", ["new"] * 4)


def test_scheduled_push_is_canceled(site: Site) -> None:
    site.push(start_time=site.in_hours(2))
    task = site.push(state="canceled")
    assert (task["status"], task["changed"]) == ("Canceled", True)
    assert site.push(state="canceled")["changed"] is False
    assert site.requests() == ["schedule-push-image", "cancel-scheduled-push-image"]
    site.sleep(3 * _HOUR)
    assert (site.image(), site.machines()) == ("old", ["old"] * 4)


def test_staged_image_is_canceled(site: Site) -> None:
    site.push(state="staged", canary=2)
    assert site.push(state="canceled")["status"] == "Canceled"
    assert site.requests() == ["schedule-push-image", "cancel-scheduled-push-image"]
    assert site.horizon.pool("sales")["pending_state"] is None


def test_farm_push_and_rollback(site: Site) -> None:
    task = site.push(farms=["apps"])
    assert (task["status"], task["changed"], task["machines"]["on_image"]) == ("Complete", True, 2)
    assert site.requests() == ["schedule-maintenance"]
    assert (site.image("farm", "apps"), site.machines("farm", "apps")) == ("new", ["new"] * 2)
    assert site.push(farms=["apps"])["changed"] is False
    assert site.push(farms=["apps"], snapshot="old")["changed"] is True
    assert (site.image("farm", "apps"), site.machines("farm", "apps")) == ("old", ["old"] * 2)


def test_farm_canary_is_promoted(site: Site) -> None:
    task = site.push(farms=["apps"], state="staged", canary=1)
    assert (task["status"], task["machines"]["on_image"]) == ("Staged", 1)
    assert site.machines("farm", "apps") == ["new", "old"]
    assert site.push(farms=["apps"], state="staged", canary=2)["machines"]["on_image"] == 2
    assert site.push(farms=["apps"])["status"] == "Complete"
    assert site.requests() == ["schedule-maintenance", "apply-image", "promote-pending-image"]
    assert site.image("farm", "apps") == "new"


def test_farm_push_is_canceled_and_keeps_the_recurring_maintenance(site: Site) -> None:
    site.horizon.add_recurring("apps")
    site.push(farms=["apps"], wait=False)
    task = site.push(farms=["apps"], state="canceled")
    assert (task["status"], task["changed"]) == ("Canceled", True)
    assert site.requests() == ["schedule-maintenance", "cancel-scheduled-maintenance"]
    status = site.horizon.farm("apps")["record"]["automated_farm_settings"]["provisioning_status_data"]
    assert status["instant_clone_operation"] == "RECURRING_SCHEDULED_MAINTENANCE"
    assert (site.image("farm", "apps"), site.machines("farm", "apps")) == ("old", ["old"] * 2)


def test_farm_push_of_published_image_is_not_canceled_but_replaced(site: Site) -> None:
    """Horizon keeps an image that is published as the current image of a farm when its maintenance is canceled."""
    site.push(farms=["apps"], start_time=site.in_hours(2))
    assert site.requests() == ["schedule-maintenance"]
    task = site.push(farms=["apps"], state="canceled")
    assert (task["status"], task["changed"]) == ("ActionRequired", False)
    assert site.requests() == []
    assert site.push(farms=["apps"], snapshot="old", replace=True)["status"] == "Complete"
    assert site.requests() == ["cancel-scheduled-maintenance", "schedule-maintenance"]
    assert (site.image("farm", "apps"), site.machines("farm", "apps")) == ("old", ["old"] * 2)


def test_push_that_stopped_at_a_machine_is_resumed_by_the_next_run(site: Site) -> None:
    site.horizon.settings(parallel=1)
    site.horizon.fail_machine("No space.")
    task = site.push()
    assert (task["status"], task["machines"]["halted"]) == ("ActionRequired", 3)
    assert [machine["error"] for machine in task["machines"]["failed"]] == ["No space."]
    assert site.push(wait_for="image")["changed"] is False
    assert site.requests() == ["schedule-push-image"]
    task = site.push()
    assert (task["status"], task["changed"]) == ("Complete", True)
    assert site.requests() == ["resume"]
    assert site.machines() == ["new"] * 4


def test_provisioning_is_enabled_since_2309(site: Site) -> None:
    site.horizon.change_pool("sales", enable_provisioning=False)
    result = site.attempt(provisioning="enabled")
    if site.horizon.contract < "2309":
        assert result["code"] == "horizon.enable_provisioning"
        assert site.image() == "old"
    else:
        assert result["tasks"][0]["status"] == "Complete"
        assert site.requests() == ["enable-provisioning", "schedule-push-image"]
        assert site.machines() == ["new"] * 4


def test_removed_snapshot_is_refused(site: Site, vsphere: Simulator) -> None:
    vm = site.horizon.vcenters()[0]["vms"][0]["moid"]
    managed = vim.VirtualMachine(vm, vsphere.connect()._stub)
    snapshot = wait_for_snapshot(managed, "removed")
    WaitForTask(snapshot.RemoveSnapshot_Task(removeChildren=False))
    result = site.attempt(snapshot="removed")
    assert result["failed"] is True
    assert site.requests() == []
