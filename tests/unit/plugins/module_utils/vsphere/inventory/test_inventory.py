# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking things up by the names people use."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, InvalidInput, NotFound
from ansible_collections.strata.layering.plugins.module_utils.vsphere import vm
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.compute import read_compute
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.names import escaped_name
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.plugins.module_utils.vsphere.tasks import wait_for_task


@pytest.fixture
def inventory(session):
    return Inventory(session)


@pytest.fixture
def datacenter(inventory):
    return inventory.datacenter("DC0")


def test_placement_finds_every_object(inventory):
    found = inventory.placement(
        datacenter="DC0",
        cluster="DC0_C0",
        datastore="LocalDS_0",
        folder="Images/Windows 11",
        network="DC0_DVPG0",
        create_folder=True,
    )
    assert (found.datacenter_name, found.folder_path, found.network_name) == (
        "DC0",
        "/DC0/vm/Images/Windows 11",
        "DC0_DVPG0",
    )
    assert inventory.path(found.pool) == "/DC0/host/DC0_C0/Resources"
    assert inventory.path(found.network) == "/DC0/network/DC0_DVPG0"
    again = inventory.placement(
        datacenter="/DC0", esxi_host="DC0_H0", datastore="LocalDS_0", folder="/DC0/vm/Images/Windows 11"
    )
    assert again.folder == found.folder
    assert again.network is None
    assert read(inventory.session, again.host, "name") == {"name": "DC0_H0"}


def test_objects_that_are_hidden_from_the_user_lead_to_the_permissions(simulator, session):
    password = simulator.user("blind@vsphere.local", [{"entity": "/", "privileges": [], "propagate": False}])
    options = simulator.options() | {"username": "blind@vsphere.local", "password": password}
    with type(session).connect(**options, ca_file=simulator.ca_file) as blind, pytest.raises(NotFound) as caught:
        Inventory(blind).datacenter("DC0")
    assert caught.value.code == "vsphere.not_found"
    assert "docs/vsphere-permissions.md" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"datacenter": "DC9"}, "DC0"),
        ({"cluster": "C9"}, "DC0_C0"),
        ({"datastore": "gone"}, "LocalDS_0"),
        ({"network": "gone"}, "VM Network"),
        ({"folder": "Nowhere"}, ""),
        ({"cluster": None, "esxi_host": "esx9"}, "DC0_H0"),
        ({"resource_pool": "gone"}, ""),
    ],
)
def test_placement_unknown_name_lists_existing_names(inventory, changes, names):
    names_of_objects = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0"} | changes
    with pytest.raises(NotFound) as caught:
        inventory.placement(**names_of_objects)
    expected = next(value for value in reversed(changes.values()) if value)
    assert expected in caught.value.message
    assert names in caught.value.hint


def test_placement_contradictory_names_fail(inventory):
    with pytest.raises(Conflict) as caught:
        inventory.placement(datacenter="DC0", cluster="DC0_C0", esxi_host="DC0_H0", datastore="LocalDS_0")
    assert caught.value.code == "vsphere.host"
    with pytest.raises(InvalidInput):
        inventory.placement(datacenter="DC0", datastore="LocalDS_0")
    with pytest.raises(InvalidInput) as caught:
        inventory.placement(datacenter="DC0", cluster="DC0_C0", datastore="LocalDS_0", folder="/DC1/vm/x")
    assert caught.value.code == "vsphere.folder"


def test_placement_cluster_without_drs_needs_a_host(inventory, datacenter, simulator):
    cluster = inventory.cluster(datacenter, "DC0_C0")
    drs = vim.cluster.DrsConfigInfo(enabled=False)
    wait_for_task(
        inventory.session,
        cluster.ReconfigureComputeResource_Task(vim.cluster.ConfigSpecEx(drsConfig=drs), True),
        "Switching DRS off",
    )
    where = {"datacenter": "DC0", "datastore": "LocalDS_0"}
    for named in ({"cluster": "DC0_C0"}, {"cluster": "DC0_C0", "resource_pool": "Resources"}):
        with pytest.raises(Conflict) as caught:
            inventory.placement(**where, **named)
        assert caught.value.code == "vsphere.cluster"
        assert "esxi_host" in caught.value.hint
    assert inventory.placement(**where, cluster="DC0_C0", esxi_host="DC0_C0_H0").host is not None
    assert inventory.placement(**where, esxi_host="DC0_H0").host is not None
    pool = inventory.resource_pool(datacenter, cluster="DC0_C0")
    simulator.rules.add("RetrievePropertiesEx", skip=1, count=1, fault="NoPermission")
    assert read_compute(inventory.session, pool, None).drs is None


def test_folder_with_special_characters(inventory, datacenter, simulator):
    made = inventory.folder(datacenter, "100% A%2fB/sub", create=True)
    assert inventory.folder(datacenter, "100% A%2FB/sub") == made
    assert inventory.path(made) == "/DC0/vm/100% A%2fB/sub"
    assert inventory.folder(datacenter, inventory.path(made)) == made
    # Names in calls are escaped; otherwise vCenter would interpret or refuse them.
    raw = read(inventory.session, made, "parent")["parent"]
    assert read(inventory.session, raw, "name")["name"] == "100%25 A%2fB"
    assert (
        inventory.folder(datacenter, "")
        == inventory.folder(datacenter, "/DC0/vm")
        == inventory.folder(datacenter, None)
    )


def test_vm_with_special_characters(inventory, datacenter, session, machine):
    wait_for_task(session, machine.Rename_Task(escaped_name("gold/1 50%")), "Renaming")
    facts = vm.read_facts(session, machine)
    assert (facts.name, facts.path) == ("gold/1 50%", "/DC0/vm/desktops/gold%2f1 50%")
    for name in ("gold/1 50%", "gold%2f1 50%25", facts.path):
        assert inventory.vm(name=name, datacenter=datacenter, template=False) == machine


def test_folder_created_by_another_client_is_used(inventory, datacenter, simulator, session):
    simulator.rules.add("CreateFolder", drop_connection=True, after=True)
    with pytest.raises(Exception, match="connection"):
        inventory.folder(datacenter, "raced", create=True)
    parent = inventory.folder(datacenter, "")
    # The folder does not exist at the first look-up, and exists when it is to be created.
    assert inventory._create_folder(parent, "raced", "/DC0/vm") == inventory.folder(datacenter, "raced")


def test_vm_is_found_by_id_uuid_and_name(inventory, datacenter, session, machine, simulator):
    folder = inventory.folder(datacenter, "")
    assert (
        inventory.vm(name="desktop") == inventory.vm(name="desktop", datacenter=datacenter, template=False) == machine
    )
    assert inventory.vm(moid=machine._GetMoId()) == machine
    assert inventory.vm(name="desktop", folder=inventory.folder(datacenter, "desktops")) == machine
    assert inventory.vm(instance_uuid=vm.read_facts(session, machine).instance_uuid) == machine
    assert inventory.vms_in(inventory.folder(datacenter, "desktops")) == {"desktop": machine}
    with pytest.raises(NotFound) as caught:
        inventory.vm(name="desktop", folder=folder)
    assert caught.value.code == "vsphere.not_found"
    for unknown in ({"name": "x"}, {"moid": "vm-99999"}, {"instance_uuid": "00000000-0000-0000-0000-000000000000"}):
        with pytest.raises(NotFound):
            inventory.vm(**unknown)
    with pytest.raises(InvalidInput):
        inventory.vm()


def test_vm_template_is_found(inventory, datacenter, simulator):
    found = inventory.vm(name=simulator.template, datacenter=datacenter, template=True)
    assert read(inventory.session, found, "name") == {"name": simulator.template}


def test_vm_of_the_other_kind_is_a_conflict(inventory, datacenter, machine, simulator):
    golden = inventory.path(inventory.vm(name=simulator.template))
    for name, template, path in (
        ("desktop", True, "/DC0/vm/desktops/desktop"),
        ("/DC0/vm/desktops/desktop", True, "/DC0/vm/desktops/desktop"),
        (simulator.template, False, golden),
    ):
        with pytest.raises(Conflict) as caught:
            inventory.vm(name=name, datacenter=datacenter, template=template)
        assert caught.value.code == "vsphere.vm_kind"
        assert caught.value.details["path"] == path
    for template, listed, other in ((True, simulator.template, "desktop"), (False, "desktop", simulator.template)):
        with pytest.raises(NotFound) as caught:
            inventory.vm(name="golden", datacenter=datacenter, template=template)
        assert listed in caught.value.hint
        assert other not in caught.value.hint


def test_vm_ambiguous_name_lists_paths(inventory, datacenter, session, machine, make_machine):
    other = make_machine("desktop", folder="other", datastore="LocalDS_1")
    with pytest.raises(Conflict) as caught:
        inventory.vm(name="desktop", datacenter=datacenter)
    assert caught.value.details["paths"] == ["/DC0/vm/desktops/desktop", "/DC0/vm/other/desktop"]
    assert inventory.vm(name="/DC0/vm/other/desktop", datacenter=datacenter) == other
