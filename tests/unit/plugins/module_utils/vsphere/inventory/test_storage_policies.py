# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage policies of VMs, looked up in PBM and read back from it."""

from __future__ import annotations

import pytest
from pyVmomi import pbm

from ansible_collections.strata.layering.plugins.module_utils.common.errors import NotFound, StrataError
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.storage_policies import (
    find_storage_policy,
    incompatible_datastores,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm

POLICY = "vSAN Default Storage Policy"


def locate(session, **changes):
    names = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0", "storage_policy": POLICY} | changes
    return Inventory(session).placement(**names)


def policies_of(session, kind, key):
    """Return the identifiers of the policies of an object, as PBM reports them."""
    with session.other_service("/pbm", "pbm.version.version12") as stub:
        content = pbm.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        entity = pbm.ServerObjectRef(objectType=kind, key=key)
        return [item.uniqueId for item in content.profileManager.QueryAssociatedProfile(entity)]


def test_policy_is_set_for_files_and_disk(session, disk):
    placement = locate(session)
    assert placement.storage_policy.name == POLICY
    for policy, expected in ((None, []), (POLICY, [placement.storage_policy.id])):
        vm = deploy_vm(
            session,
            locate(session, storage_policy=policy),
            name=f"desktop-{policy}",
            hardware=Hardware(),
            capacity=disk.capacity,
            blocks=disk.blocks,
            length=disk.length,
        ).vm
        moid = vm._GetMoId()
        devices = read(session, vm, "config.hardware.device")["config.hardware.device"]
        key = next(device.key for device in devices if hasattr(device, "capacityInKB"))
        assert policies_of(session, "virtualMachine", moid) == expected
        assert policies_of(session, "virtualDiskId", f"{moid}:{key}") == expected


def test_policy_is_found_by_its_identifier(session):
    found = find_storage_policy(session, POLICY)
    assert find_storage_policy(session, found.id.upper()) == found


def test_unknown_policy_lists_the_existing_policies(session):
    with pytest.raises(NotFound) as caught:
        locate(session, storage_policy="Gold")
    assert caught.value.code == "vsphere.not_found"
    assert POLICY in caught.value.hint


def test_policy_lookup_survives_the_end_of_the_session(simulator, session):
    simulator.ask("POST", "/sessions/expire")
    assert find_storage_policy(session, POLICY).name == POLICY


def test_datastores_that_do_not_satisfy_the_policy(simulator, session):
    inventory = Inventory(session)
    datacenter = inventory.datacenter("DC0")
    stores = [inventory.datastore(datacenter, f"LocalDS_{number}") for number in (0, 1)]
    policy = find_storage_policy(session, POLICY)
    assert incompatible_datastores(session, policy, stores) == {}
    simulator.ask("POST", "/settings", {"policy_datastores": {POLICY: ["LocalDS_1"]}})
    assert list(incompatible_datastores(session, policy, stores)) == stores[:1]
    assert incompatible_datastores(session, policy, []) == {}


def test_datastore_cluster_only_datastores_that_satisfy_the_policy(simulator, session):
    inventory = Inventory(session)
    datacenter = inventory.datacenter("DC0")
    stores = [inventory.datastore(datacenter, f"LocalDS_{number}") for number in (0, 1)]
    pod = read(session, datacenter, "datastoreFolder")["datastoreFolder"].CreateStoragePod("Gold")
    pod.MoveIntoFolder_Task(stores)
    for name in ("LocalDS_0", "LocalDS_1"):
        simulator.ask("POST", "/settings", {"policy_datastores": {POLICY: [name]}})
        assert locate(session, datastore="Gold").datastore_name == name
    simulator.ask("POST", "/settings", {"policy_datastores": {POLICY: []}})
    with pytest.raises(StrataError) as caught:
        locate(session, datastore="Gold")
    assert caught.value.code == "vsphere.datastore_cluster"
