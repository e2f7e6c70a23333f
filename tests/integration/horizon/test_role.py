# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role horizon and its playbook on the Horizon simulator."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.strata.layering.tests.support.horizon_fixtures import check_contract
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.modules import state_of
from ansible_collections.strata.layering.tests.support.playbooks import PlaybookRun, keep_variables, run_plays
from ansible_collections.strata.layering.tests.support.recorded_images import (
    image_digest,
    recorded_image,
    store_images,
)

Play = Callable[..., PlaybookRun]


class Site:
    """A pod whose vCenter has the images office-3, office-2 and office-1 of the template office, and a repository that records them."""

    def __init__(self, horizon: HorizonSimulator, folder: pathlib.Path) -> None:
        self.horizon = horizon
        self.repository = os.fspath(folder / "repository")
        # What Horizon does has happened when the answer arrives: no test waits for it.
        horizon.settings(pending_seconds=0, publish_seconds=0, rebuild_seconds=0)
        for number in (1, 2, 3):
            horizon.add_vm(f"office-{number}", ["strata"], guest_id="windows2019srv_64Guest")
        self._vcenter = horizon.vcenters()[0]
        self.vms = {vm["name"]: vm for vm in self._vcenter["vms"]}
        images = [recorded_image("office", self._vcenter, self.vms[f"office-{number}"]) for number in (3, 2, 1)]
        store_images(self.repository, "office", images)

    def images(self) -> dict[str, str]:
        """Return the name of the VM that is the current image, by the name of the pool or farm."""
        names = {vm["moid"]: vm["name"] for vm in self._vcenter["vms"]}
        return {
            owner["name"]: names[owner["vm"]]
            for kind in ("pools", "farms")
            for owner in self.horizon.ask("GET", f"/{kind}")
        }

    def requested(self) -> list[str]:
        """Return the end of the path of each request that changes a pool or farm."""
        return [entry["path"].rpartition("/")[2] for entry in self.horizon.journal("POST", "/inventory/")]

    def state(self) -> object:
        """Return everything that a run can change."""
        return self.images(), self.requested(), state_of(self.repository)


@pytest.fixture(name="pod", scope="module")
def _pod() -> Iterator[HorizonSimulator]:
    with HorizonSimulator() as running:
        yield running


@pytest.fixture(name="site")
def _site(pod: HorizonSimulator, tmp_path: pathlib.Path) -> Iterator[Site]:
    pod.reset()
    yield Site(pod, tmp_path)
    check_contract(pod)


@pytest.fixture(name="play")
def _play(site: Site, tmp_path: pathlib.Path) -> Play:
    """Runs the role with variables; ``variables`` of the run has the result of the role and its events."""
    role = {"ansible.builtin.import_role": {"name": "strata.layering.horizon"}}
    keep = keep_variables(tmp_path / "variables.json", "horizon_pushed", "horizon_events")
    tasks = [{"name": "Run the role", "block": [role], "always": [keep]}]
    connection = {f"layering_horizon_{name}": value for name, value in site.horizon.options().items()}
    variables = connection | {"layering_repository": site.repository, "horizon_wait_sleep": 1, "horizon_retries": 0}

    def run_role(*flags: str, **more: Any) -> PlaybookRun:
        plays = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
        return run_plays(tmp_path, plays, variables | more, *flags)

    return run_role


def events(run: PlaybookRun) -> dict[str, str]:
    """Return the events of the role by pool and farm."""
    return {event["subject"]: event["event"] for event in run.variables["horizon_events"]}


def statuses(run: PlaybookRun) -> dict[str, str]:
    """Return the status of each pool and farm."""
    return {task["target"]["name"]: task["status"] for task in run.variables["horizon_pushed"]["tasks"]}


def test_role_gives_each_pool_and_farm_its_image(site, play):
    for pool in ("sales", "finance", "canary"):
        site.horizon.add_pool(pool, "office-1", "strata")
    site.horizon.add_farm("apps", "office-1", "strata")
    # Names differ in case only from each other: an exact name is found.
    site.horizon.add_pool("Sales", "office-1", "strata")
    entries: dict[str, Any] = {
        "horizon_pools": [
            {"name": "sales", "template": "office"},
            {"name": "finance", "template": "office", "image": image_digest("office-2")[:15]},
            {"name": "canary", "template": "office", "state": "staged", "canary": 1, "wait_for": "machines"},
        ],
        "horizon_farms": [{"name": "apps", "template": "office", "image": "previous"}],
        "horizon_wait_for": "machines",
    }
    before = site.state()
    planned = play("--check", **entries)
    assert planned.code == 0, planned.output
    assert set(statuses(planned).values()) == {"NotStarted"}
    assert planned.variables["horizon_pushed"]["changed"] is True
    assert site.state() == before

    done = play(**entries)
    assert done.code == 0, done.output
    assert statuses(done) == {"sales": "Complete", "finance": "Complete", "canary": "Staged", "apps": "Complete"}
    assert done.variables["horizon_pushed"]["changed"] is True
    assert events(done) == dict.fromkeys(("sales", "finance", "canary", "apps"), "push_finished")
    assert site.images() == {
        "sales": "office-3",
        "Sales": "office-1",
        "finance": "office-2",
        "canary": "office-1",
        "apps": "office-2",
    }
    after = site.state()
    assert sorted(site.requested()) == ["schedule-maintenance", *["schedule-push-image"] * 3]

    again = play(**entries)
    assert again.code == 0, again.output
    assert again.variables["horizon_pushed"]["changed"] is False
    assert events(again) == {}
    assert site.state() == after


def test_failed_pool_does_not_stop_the_others(site, play):
    # The pushes have not ended when they were started: a second call waits for them.
    site.horizon.settings(publish_seconds=60)
    site.horizon.clock.speed = 60
    site.horizon.add_pool("sales", "office-1", "strata")
    site.horizon.add_pool("broken", "office-1", "strata")
    site.horizon.add_pool("idle", "office-1", "strata", enable_provisioning=False)
    site.horizon.fail_publish("There is not enough space on the datastore.", target="broken", count=None)
    names = ("Sales", "broken", "idle", "sales")
    run = play(horizon_pools=[{"name": name, "template": "office"} for name in names])
    assert run.code != 0
    assert statuses(run) == {"sales": "Complete", "broken": "Failed", "idle": "ActionRequired"}
    assert len(run.variables["horizon_pushed"]["tasks"]) == 3
    failed = dict.fromkeys(("Sales", "broken"), "push_failed")
    assert events(run) == failed | {"sales": "push_finished", "idle": "action_required"}
    assert site.images()["sales"] == "office-3"
    # The last task of the role names everything that failed.
    last = run.output.split("TASK [")[-2]
    assert all(f"{name}" in last for name in names[:3]), last


def test_rejected_login_is_not_repeated_for_other_pools(site, play):
    # Several rejected logins lock the account.
    pools = [{"name": name, "template": "office"} for name in ("sales", "finance", "idle")]
    for flags in ((), ("--check",)):
        site.horizon.clear_journal()
        run = play(*flags, horizon_pools=pools, layering_horizon_password="wrong")
        assert run.code != 0
        assert [entry["path"] for entry in site.horizon.journal()] == ["/login"]
        last = run.output.split("TASK [")[-2]
        assert all(pool["name"] in last for pool in pools), last


def test_action_required_fails_unless_the_role_may_continue(site, play):
    site.horizon.add_pool("idle", "office-1", "strata", enable_provisioning=False)
    pools = [{"name": "idle", "template": "office"}]
    run = play(horizon_pools=pools)
    assert run.code != 0
    assert statuses(run) == {"idle": "ActionRequired"}
    run = play(horizon_pools=pools, horizon_action_required="continue")
    assert run.code == 0, run.output
    assert statuses(run) == {"idle": "ActionRequired"}
    assert site.requested() == []


def test_check_mode_shows_images_that_are_published_first(site, play):
    for pool in ("sales", "finance"):
        site.horizon.add_pool(pool, "office-1", "strata")
    plan = {"images": [{"template": "office", "selected": True, "publish": True}]}
    run = play(
        "--check",
        layered_image_planned=plan,
        horizon_pools=[
            {"name": "sales", "template": "office"},
            {"name": "finance", "template": "office", "image": image_digest("office-2")},
        ],
    )
    assert run.code == 0, run.output
    assert statuses(run) == {"finance": "NotStarted"}
    assert run.variables["horizon_pushed"]["changed"] is True
    assert "would push the image of office to the pool sales" in run.output

    # A repository that does not exist yet has no images.
    pools = [{"name": "sales", "template": "office", "image": "previous"}]
    run = play("--check", strata_layering_pending=["repository"], horizon_pools=pools)
    assert run.code == 0, run.output
    assert run.variables["horizon_pushed"] == {"changed": True, "tasks": []}


def test_role_that_does_not_wait_starts_the_pushes(site, play):
    site.horizon.settings(publish_seconds=600)
    for pool in ("sales", "finance"):
        site.horizon.add_pool(pool, "office-1", "strata")
    # The answer of a survey is text.
    run = play(
        horizon_wait="false", horizon_pools=[{"name": name, "template": "office"} for name in ("sales", "finance")]
    )
    assert run.code == 0, run.output
    assert statuses(run) == {"sales": "Running", "finance": "Running"}
    assert site.requested() == ["schedule-push-image"] * 2


def test_pool_with_two_entries_is_refused(site, play):
    site.horizon.add_pool("sales", "office-1", "strata")
    entry = {"name": "sales", "template": "office"}
    run = play(horizon_pools=[entry, entry | {"image": "previous"}])
    assert run.code != 0
    assert site.horizon.journal() == []


def test_check_without_a_connection_shows_that_nothing_was_compared(tmp_path, monkeypatch):
    monkeypatch.delenv("HORIZON_HOST", raising=False)
    plays = [{"name": "Push", "ansible.builtin.import_playbook": "strata.layering.horizon"}]
    variables = {"layering_repository": str(tmp_path), "horizon_pools": [{"name": "sales", "template": "office"}]}
    run = run_plays(tmp_path, plays, variables, "--check")
    assert run.code == 0, run.output
    assert "Not compared with Horizon" in run.output
    assert run_plays(tmp_path, plays, variables).code != 0


def test_playbook_without_pools_does_not_connect(tmp_path):
    plays = [{"name": "Push", "ansible.builtin.import_playbook": "strata.layering.horizon"}]
    run = run_plays(tmp_path, plays, {"layering_horizon_hostname": "absent.example.com", "horizon_pools": []})
    assert run.code == 0, run.output
    assert "horizon_pools and horizon_farms are empty" in run.output
