# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datastore clusters, and datastores of one name."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.plugins.module_utils.vsphere.tasks import wait_for_task
from ansible_collections.strata.layering.tests.support.simulator import Simulator


@pytest.fixture
def simulator():
    with Simulator(hosts=2, datastores=3) as running:
        yield running


def locate(session, **changes):
    names = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "Gold"} | changes
    return Inventory(session).placement(**names)


def change(simulator, name, **fields):
    return simulator.ask("POST", "/datastores", {"name": name, **fields})["moid"]


@pytest.fixture
def pod(session, simulator):
    """A datastore cluster with the datastores 1 and 2; the latter has more free space."""
    inventory = Inventory(session)
    datacenter = inventory.datacenter("DC0")
    made = read(session, datacenter, "datastoreFolder")["datastoreFolder"].CreateStoragePod("Gold")
    stores = [inventory.datastore(datacenter, f"LocalDS_{number}") for number in (1, 2)]
    wait_for_task(session, made.MoveIntoFolder_Task(stores), "Filling the datastore cluster")
    change(simulator, "LocalDS_1", free=100 << 30)
    change(simulator, "LocalDS_2", free=200 << 30)
    return made


def set_storage_drs(session, pod, enabled):
    spec = vim.storageDrs.ConfigSpec(podConfigSpec=vim.storageDrs.PodConfigSpec(enabled=enabled))
    manager = session.content.storageResourceManager
    wait_for_task(session, manager.ConfigureStorageDrsForPod_Task(pod, spec, True), "Setting Storage DRS")


def test_datastore_cluster_without_storage_drs_most_free_space(session, simulator, pod):
    set_storage_drs(session, pod, False)
    found = locate(session)
    assert (found.datastore_name, found.datastore_cluster) == ("LocalDS_2", "Gold")
    assert locate(session, datastore=pod._GetMoId()).datastore == found.datastore
    change(simulator, "LocalDS_2", maintenance="inMaintenance")
    assert locate(session).datastore_name == "LocalDS_1"
    assert not simulator.journal(method="RecommendDatastores")


def test_datastore_cluster_with_storage_drs_its_recommendation(session, simulator, pod):
    set_storage_drs(session, pod, True)
    assert locate(session).datastore_name == "LocalDS_2"
    assert simulator.journal(method="RecommendDatastores")[0].get("fault") is None
    change(simulator, "LocalDS_2", accessible=False)
    assert locate(session).datastore_name == "LocalDS_1"
    # Storage DRS cannot be asked: the free space decides.
    change(simulator, "LocalDS_2", accessible=True)
    simulator.rules.add("RecommendDatastores", fault="NoPermission")
    assert locate(session).datastore_name == "LocalDS_2"


def test_datastore_cluster_only_datastores_of_the_host_count(session, simulator, pod):
    change(simulator, "LocalDS_2", hosts=["DC0_C0_H1"])
    assert locate(session, cluster=None, esxi_host="DC0_C0_H0").datastore_name == "LocalDS_1"
    assert locate(session, cluster=None, esxi_host="DC0_C0_H1").datastore_name == "LocalDS_2"


def test_datastore_cluster_without_usable_datastore_fails(session, simulator, pod):
    for number in (1, 2):
        change(simulator, f"LocalDS_{number}", accessible=False)
    with pytest.raises(Conflict) as caught:
        locate(session)
    assert caught.value.code == "vsphere.datastore_cluster"
    assert caught.value.details["datastores"] == ["LocalDS_1", "LocalDS_2"]


def test_datastores_of_one_name_the_host_decides(session, simulator):
    change(simulator, "LocalDS_0", hosts=["DC0_C0_H0"], rename="datastore1")
    change(simulator, "LocalDS_1", hosts=["DC0_C0_H1"], rename="datastore1")
    inventory = Inventory(session)
    for host in ("DC0_C0_H0", "DC0_C0_H1"):
        found = locate(session, datastore="datastore1", esxi_host=host)
        mounted = read(session, inventory.host(found.datacenter, host), "datastore")["datastore"]
        assert found.datastore in mounted
    with pytest.raises(Conflict) as caught:
        locate(session, datastore="datastore1")
    assert caught.value.code == "vsphere.ambiguous"
    for moid in caught.value.details["ids"]:
        assert locate(session, datastore=moid).datastore._GetMoId() == moid
