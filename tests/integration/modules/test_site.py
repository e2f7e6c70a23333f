# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connector with managed object IDs, a datastore cluster and a storage policy, and an image that is published through it."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Session
from ansible_collections.strata.layering.plugins.module_utils.vsphere.tasks import wait_for_task
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.vcenter import machine_of, machines

POLICY = "vSAN Default Storage Policy"


@pytest.fixture
def administrator(vcenter, simulator):
    """The connection as the administrator: the roles of the other user name one datastore."""
    return {**vcenter, "username": simulator.username, "password": simulator.password}


@pytest.fixture
def pod(administrator, simulator):
    """A datastore cluster without Storage DRS; LocalDS_1 has the most free space."""
    login = {key: administrator[key] for key in ("hostname", "port", "username", "password")}
    with Session.connect(**login, ca_file=simulator.ca_file) as session:
        datacenter = Inventory(session).datacenter("DC0")
        values = read(session, datacenter, "datastoreFolder", "datastore")
        made = values["datastoreFolder"].CreateStoragePod("Gold")
        wait_for_task(session, made.MoveIntoFolder_Task(list(values["datastore"])), "Filling the datastore cluster")
        off = vim.storageDrs.ConfigSpec(podConfigSpec=vim.storageDrs.PodConfigSpec(enabled=False))
        manager = session.content.storageResourceManager
        wait_for_task(session, manager.ConfigureStorageDrsForPod_Task(made, off, True), "Disabling Storage DRS")
    for number in (0, 1):
        free_space(simulator, f"LocalDS_{number}", 100 + number)
    return made


def free_space(simulator, name, gib):
    simulator.ask("POST", "/datastores", {"name": name, "free": gib << 30})


def test_connector_with_ids_and_a_storage_policy(workspace, administrator, simulator, pod):
    options = {**workspace.options, **administrator, "test": True}
    ids = run("connector", **options, **connector(name="names", network="VM Network"))["tested"]["ids"]
    assert ids["storage_policy"] is None
    changes = {"name": "ids", "datastore": pod._GetMoId(), "storage_policy": POLICY}
    named = {option: ids[option] for option in ("datacenter", "network", "vm_template", "resource_pool")}
    done = converges("connector", lambda: state_of(workspace.path), **options, **connector(**changes, **named))
    assert done["connector"]["storage_policy"] == POLICY
    tested = done["tested"]
    assert {option: tested["ids"][option] for option in named} == named
    assert (tested["datacenter"], tested["network"], tested["storage_policy"]) == ("DC0", "VM Network", POLICY)
    assert "LocalDS_1" in tested["datastore"] and "Gold" in tested["datastore"]
    failed = fails("connector", "vsphere.not_found", **options, **connector(**changes | {"storage_policy": "Bronze"}))
    assert POLICY in failed["hint"]


def test_published_image_stays_on_its_datastore(workspace, administrator, simulator, pod):
    add_app(workspace)
    add_template(workspace)
    run("connector", **workspace.options, **connector(datastore="Gold", storage_policy=POLICY))
    publish = {**workspace.options, **administrator, "templates": ["office"]}
    task = converges("layered_image_publish", lambda: machines(simulator), **publish)["tasks"][0]
    vm = machine_of(simulator.connect(), task["vm"]["moid"])
    assert [store.name for store in vm.datastore] == ["LocalDS_1"]
    free_space(simulator, "LocalDS_0", 500)
    assert run("layered_image_publish", **publish)["changed"] is False
    # The next image goes to the datastore that has the most free space now.
    add_app(workspace, version="2.0")
    add_template(workspace, apps=(("Tool", "2.0"),))
    moid = run("layered_image_publish", **publish)["tasks"][0]["vm"]["moid"]
    assert [store.name for store in machine_of(simulator.connect(), moid).datastore] == ["LocalDS_0"]
