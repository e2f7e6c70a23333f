# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs of images that pools and farms of Horizon use are not removed: with keep, and with state absent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.strata.layering.tests.support.horizon_fixtures import check_contract
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import fails, run, state_of
from ansible_collections.strata.layering.tests.support.playbooks import keep_variables, run_plays
from ansible_collections.strata.layering.tests.support.vcenter import machines


@pytest.fixture
def horizon(simulator) -> Iterator[HorizonSimulator]:
    """A pod that uses the vCenter of the test."""
    with HorizonSimulator([simulator]) as running:
        yield running
        check_contract(running)


class Office:
    """The template office with a published image, and later a second one. ``first`` and ``second`` are their tasks."""

    def __init__(self, workspace: SimpleNamespace, vcenter: dict, simulator: Any, horizon: HorizonSimulator) -> None:
        self.workspace, self.vcenter, self.simulator = workspace, vcenter, simulator
        self.horizon = [horizon.options()]
        self.first = self.new_version("1.0")["tasks"][0]

    def new_version(self, version: str, **options: Any) -> dict:
        """Publish the template with this version of its app layer."""
        self.define(version)
        return self.publish(**options)

    def define(self, version: str) -> None:
        """Give the template this version of its app layer."""
        add_app(self.workspace, version=version)
        add_template(self.workspace, apps=(("Tool", version),))

    def publish(self, **options: Any) -> dict:
        """Run the module, with Horizon asked."""
        return run("layered_image_publish", **self.options() | options)

    def options(self) -> dict:
        return {**self.workspace.options, **self.vcenter, "templates": ["office"], "horizon": self.horizon}

    def plan(self) -> dict:
        """Return the plan of the template with keep 0."""
        options = self.options()
        del options["templates"]
        plan = run("layered_image_plan", **options, vsphere=True, keep=0)
        [image] = plan["images"]
        return image | {"warnings": plan.get("warnings", [])}

    def state(self) -> tuple:
        """Return the VMs in vSphere and the content of the repository."""
        return machines(self.simulator), state_of(self.workspace.path)

    def kept(self, result: dict) -> list[str]:
        """Return the warnings of a result that name the VM of the first image."""
        warnings = [json.dumps(warning) for warning in result.get("warnings", [])]
        return [warning for warning in warnings if self.first["vm"]["name"] in warning]

    def vms(self) -> set[str]:
        """Return the names of the VMs of images."""
        return {name for name in machines(self.simulator) if name.startswith("office-")}


@pytest.fixture
def office(workspace, vcenter, simulator, horizon):
    return Office(workspace, vcenter, simulator, horizon)


def settled(office: Office) -> str:
    """Check that check mode, a run and the plan keep all VMs and change nothing; return their only warning about the first VM."""
    before = office.state()
    results = [office.publish(keep=0, check=check) for check in (True, False)]
    plan = office.plan()
    assert [result["changed"] for result in results] == [False, False]
    assert plan["remove_vms"] == []
    assert plan["changes_vsphere"] is False
    assert office.state() == before
    warnings = [office.kept(result) for result in (*results, plan)]
    assert warnings[0] == warnings[1] == warnings[2]
    [warning] = warnings[0]
    return warning


def removes_the_first_image(office: Office) -> None:
    """Check that check mode and the plan announce what the next run does: the VM of the first image is removed."""
    name = office.first["vm"]["name"]
    assert name in office.vms()
    assert office.publish(keep=0, check=True)["changed"]
    assert office.plan()["remove_vms"] == [name]
    assert office.publish(keep=0)["changed"]
    assert name not in office.vms()
    assert not office.publish(keep=0)["changed"]


def test_keep_removes_a_vm_only_when_no_pool_uses_it(office, horizon, simulator):
    """A pool has the image, then Horizon does not say which images are used, then a farm of another pod has it."""
    first, snapshot = office.first["vm"]["moid"], office.first["snapshot_moid"]
    horizon.add_pool("sales", first, snapshot)
    office.define("1.1")
    planned = office.plan()
    assert (planned["publish"], planned["remove_vms"], len(office.kept(planned))) == (True, [], 1)
    published = office.publish(keep=0)
    assert published["tasks"][0]["status"] == "Complete"
    assert office.first["vm"]["name"] in office.vms()
    [warning] = office.kept(published)
    assert all(text in warning for text in ("pool sales", horizon.host))
    assert settled(office) == warning

    horizon.remove_pool("sales")
    horizon.rules.add("GET", "/desktop-pools", status=403, count=None)
    assert "sales" not in settled(office)
    horizon.rules.clear()

    second = office.publish()["tasks"][0]
    with HorizonSimulator([simulator], pod="pod-2") as other:
        office.horizon.append(other.options())
        other.add_farm("apps", second["vm"]["moid"], second["snapshot_moid"])
        pending = {
            "instant_clone_pending_image_state": "READY",
            "instant_clone_pending_image_parent_vm_id": first,
            "instant_clone_pending_image_snapshot_id": snapshot,
        }
        other.change_farm("apps", automated_farm_settings={"provisioning_status_data": pending})
        assert "farm apps" in settled(office)
        other.remove_farm("apps")
        removes_the_first_image(office)
        assert (horizon.logged_in(), other.logged_in()) == (0, 0)
        check_contract(other)


def test_keep_waits_until_horizon_has_removed_its_internal_vms(office, horizon):
    """Half an hour after a push replaced an image, its VM is removed. The time counts also if Horizon is not asked."""
    horizon.settings(pending_seconds=0, publish_seconds=0, rebuild_seconds=0)
    first = office.first["vm"]["moid"]
    horizon.add_pool("sales", first, office.first["snapshot_moid"])
    office.new_version("1.1")
    office.publish(keep=1)
    assert not horizon.journal(), "Horizon is asked only if a VM would be removed"
    push = horizon.options() | office.workspace.options | {"template": "office", "pools": ["sales"], "wait_sleep": 1}
    assert run("horizon_image_push", **push, wait_for="machines")["tasks"][0]["status"] == "Complete"
    [image] = [found for found in run("layered_image_info", **office.workspace.options)["images"] if found["last_used"]]
    assert image["vm"]["moid"] == first
    assert "sales" not in settled(office)
    assert not office.publish(keep=0, horizon=[])["changed"]

    path = next((office.workspace.path / "catalog" / "image").glob("*.json"))
    path.write_text(path.read_text().replace(image["last_used"], "2026-01-01T00:00:00Z"))
    removes_the_first_image(office)


def test_absent_fails_while_a_pool_uses_an_image(office, horizon):
    first = office.first["vm"]
    horizon.add_pool("sales", first["moid"], office.first["snapshot_moid"], machines=2)
    before = office.state()
    for check in (True, False):
        failed = fails(
            "layered_image_publish", "publish.not_removable", **office.options(), state="absent", check=check
        )
        [vm] = failed["details"]["vms"]
        assert vm["moid"] == first["moid"]
        assert {(user["kind"], user["name"], user["role"], user["machines"]) for user in vm["horizon"]} == {
            ("pool", "sales", "current", 0),
            ("pool", "sales", "machines", 2),
        }
    assert office.state() == before
    horizon.remove_pool("sales")

    horizon.rules.add("GET", "/desktop-pools", status=403, count=None)
    failed = office.options() | {"state": "absent"}
    fails("layered_image_publish", "horizon.forbidden", **failed)
    assert office.state() == before
    horizon.rules.clear()

    assert office.publish(state="absent")["removed"]
    assert not office.vms()


def test_role_asks_the_connection_server_of_the_inventory(office, horizon, tmp_path):
    horizon.add_pool("sales", office.first["vm"]["moid"], office.first["snapshot_moid"], machines=0)
    role = {"ansible.builtin.import_role": {"name": "strata.layering.layered_image"}}
    keep = keep_variables(tmp_path / "variables.json", "layered_image_published")
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [{"block": [role], "always": [keep]}]}]
    variables = {
        "layering_repository": str(office.workspace.path),
        "layered_image_publish": ["office"],
        "layered_image_state": "absent",
        **{f"layering_{name}": value for name, value in office.vcenter.items()},
        **{f"layering_horizon_{name}": value for name, value in horizon.options().items()},
    }
    done = run_plays(tmp_path, plays, variables)
    published = done.variables["layered_image_published"]
    assert published["code"] == "publish.not_removable", done.output
    assert published["details"]["vms"][0]["horizon"][0]["name"] == "sales"
    assert office.vms()


def test_wrong_password_keeps_all_vms_and_publishes(office):
    office.horizon[0]["password"] = "wrong"
    published = office.new_version("1.1", keep=0)
    assert published["tasks"][0]["status"] == "Complete"
    assert len(office.kept(published)) == 1
    assert "wrong" not in json.dumps(published)
    assert office.first["vm"]["name"] in office.vms()


def test_published_image_of_an_earlier_version_gets_its_snapshot_id(office):
    """The record that an earlier version stored is not changed."""
    path = next((office.workspace.path / "catalog" / "image").glob("*.json"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "snapshot_moid" not in line))
    before = office.state()
    for check in (True, False):
        published = office.publish(check=check)
        assert published["changed"] is False
        for result in (published["tasks"][0], published["images"][0]):
            assert result["snapshot_moid"] == office.first["snapshot_moid"]
    assert office.state() == before
    [image] = run("layered_image_info", **office.workspace.options)["images"]
    assert image["snapshot_moid"] is None
