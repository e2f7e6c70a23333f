# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing with exactly the documented privileges, and with all except one.

The other tests of modules log in with these privileges, too: the fixtures of the simulator do.
"""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.vsphere.privileges import (
    PRIVILEGES,
    Need,
    Scope,
    Task,
    privileges_for,
)
from ansible_collections.strata.layering.tests.support.least_privilege import OBJECTS, USERNAME, permissions, restrict
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import fails, run
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.vcenter import options_of

#: SOAP methods that change something, in addition to the tasks.
_CHANGES = {"ImportVApp", "CreateFolder", "AddCustomFieldDef", "SetField"}
#: Cases that the tests' connector and VM template do not have.
_OTHER_CASES = (Need.STORAGE_POLICY, Need.SWAP_PLACEMENT)
_NEEDED = [privilege for privilege in privileges_for(Task.PUBLISH) if privilege.need not in _OTHER_CASES]


@pytest.fixture(scope="module")
def running():
    """A simulator in which nothing is changed."""
    with Simulator(template="windows-template") as found:
        found.guest("true")
        yield found


@pytest.fixture
def office(workspace):
    """A repository with a template whose connector needs every privilege."""
    run("connector", **workspace.options, **connector(custom_attributes={"Image": "$digest"}))
    add_app(workspace)
    add_template(workspace)
    return workspace


def publish(workspace, simulator, **options) -> dict:
    return run("layered_image_publish", **workspace.options, **options_of(simulator), templates=["office"], **options)


def changing_calls(simulator) -> list[str]:
    methods = [entry["method"] for entry in simulator.journal(kind="soap")]
    return [method for method in methods if method in _CHANGES or method.endswith("_Task")]


@pytest.mark.parametrize("left_out", _NEEDED, ids=lambda privilege: f"{privilege.id} {privilege.scope.name}")
def test_publish_without_one_privilege_names_it_and_changes_nothing(office, running, left_out):
    held = [privilege for privilege in privileges_for(Task.PUBLISH) if privilege is not left_out]
    restrict(running, held)
    # Every role contains System.Read: without it, there is no role on the root folder.
    read = left_out.id == "System.Read"
    if read:
        others = [privilege for privilege in held if privilege.scope is not Scope.ROOT]
        restrict(running, others)
    running.clear_journal()
    code = "vsphere.permission" if read else "preflight.failed"
    failed = fails("layered_image_publish", code, **office.options, **options_of(running), templates=["office"])
    assert not changing_calls(running)
    if not read:
        checks = {check["name"]: check for check in failed["details"]["checks"]}
        assert left_out.id in checks["privileges"]["found"]
        assert any(path in checks["privileges"]["found"] for path in OBJECTS[left_out.scope])


def test_publish_with_the_documented_privileges_replaces_an_image(office, simulator):
    simulator.guest("true")
    restrict(simulator, privileges_for(Task.PUBLISH))
    first = publish(office, simulator)["tasks"][0]["vm"]
    add_app(office, version="1.1")
    add_template(office, apps=(("Tool", "1.1"),))
    second = publish(office, simulator, keep=0)["tasks"][0]
    assert second["status"] == "Complete"
    assert [machine["moid"] for machine in simulator.machines() if not machine["template"]] == [second["vm"]["moid"]]
    assert second["vm"]["moid"] != first["moid"]


def test_images_are_kept_when_clones_may_be_hidden(office, simulator):
    simulator.guest("true")
    # The role on the root folder does not propagate, and nothing is known about other datacenters.
    grants = [{**entry, "propagate": entry["entity"] != "/"} for entry in permissions()]
    grants.append({"entity": "/DC0", "privileges": [], "propagate": True})
    simulator.login = (USERNAME, simulator.user(USERNAME, grants))
    first = publish(office, simulator)["tasks"][0]["vm"]
    add_app(office, version="1.1")
    add_template(office, apps=(("Tool", "1.1"),))
    second = publish(office, simulator, keep=0)
    assert second["tasks"][0]["status"] == "Complete"
    assert any(first["name"] in warning for warning in second["tasks"][0]["warnings"])
    assert first["moid"] in {machine["moid"] for machine in simulator.machines()}
    failed = fails(
        "layered_image_publish",
        "publish.not_removable",
        **office.options,
        **options_of(simulator),
        templates=["office"],
        state="absent",
    )
    assert {vm["moid"] for vm in failed["details"]["vms"]} == {first["moid"], second["tasks"][0]["vm"]["moid"]}
    assert all(vm["clones"] == [] for vm in failed["details"]["vms"])


def test_export_without_its_privilege_names_it_and_leaves_no_package(office, simulator, tmp_path):
    simulator.guest("true")
    vm = publish(office, simulator)["tasks"][0]["vm"]
    export = {**options_of(simulator), "name": vm["name"], "file_share": str(tmp_path / "share")}
    (tmp_path / "share").mkdir()
    restrict(simulator, [privilege for privilege in PRIVILEGES if privilege.id != "VApp.Export"])
    simulator.clear_journal()
    failed = fails("ovf_export", "vsphere.permission", **export | options_of(simulator))
    assert failed["details"]["missing_privileges"] == [{"object": vm["moid"], "privileges": ["VApp.Export"]}]
    assert not changing_calls(simulator)
    restrict(simulator, privileges_for(Task.EXPORT))
    assert run("ovf_export", **export | options_of(simulator))["files"]
