# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of one name, managed object IDs, and opaque networks."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware, read_hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm
from ansible_collections.strata.layering.tests.support.simulator import Simulator

SEGMENT = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def two_clusters():
    with Simulator(clusters=2, hosts=1) as running:
        yield running


def locate(session, **changes):
    names = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0"} | changes
    return Inventory(session).placement(**names)


def add(simulator, kind, name, **fields):
    return simulator.ask("POST", "/networks", {"kind": kind, "name": name, **fields})["moid"]


def deploy(session, disk, placement, name="desktop", hardware=None):
    return deploy_vm(
        session,
        placement,
        name=name,
        hardware=hardware or Hardware(),
        capacity=disk.capacity,
        blocks=disk.blocks,
        length=disk.length,
    ).vm


def test_port_groups_of_one_name_the_cluster_decides(two_clusters, connect):
    ids = [
        add(two_clusters, "distributed", "VDI", switch=f"DVS-{number}", compute=[f"DC0_C{number}"]) for number in (0, 1)
    ]
    with connect(two_clusters) as session:
        for number in (0, 1):
            found = locate(session, cluster=f"DC0_C{number}", network="VDI")
            assert (found.network._GetMoId(), found.network_name) == (ids[number], "VDI")
        found = locate(session, cluster="DC0_C0", esxi_host="DC0_C0_H0", network="VDI")
        assert found.network._GetMoId() == ids[0]


def test_port_groups_of_one_name_in_one_cluster_are_named_with_their_ids(simulator, session):
    ids = [add(simulator, "distributed", "VDI", switch=switch) for switch in ("Blue", "Red")]
    with pytest.raises(Conflict) as caught:
        locate(session, network="VDI")
    assert caught.value.code == "vsphere.ambiguous"
    assert sorted(caught.value.details["ids"]) == sorted(ids)
    for fact in (*ids, "Blue", "Red"):
        assert fact in caught.value.message
    # The hint can be copied: their paths are equal.
    assert all(fact in caught.value.hint for fact in ("network", *ids))
    for moid in ids:
        assert locate(session, network=moid).network._GetMoId() == moid


def test_segment_of_nsx_its_port_group_is_used(simulator, session, disk):
    opaque = add(simulator, "opaque", "web", logical_switch=SEGMENT)
    group = add(simulator, "distributed", "web", switch="NSX", logical_switch=SEGMENT)
    placement = locate(session, network="web")
    assert placement.network._GetMoId() == group
    assert locate(session, network=opaque).network._GetMoId() == opaque
    vm = deploy(session, disk, placement)
    assert [network._GetMoId() for network in read(session, vm, "network")["network"]] == [group]


def test_opaque_network_and_port_group_of_other_segments_are_ambiguous(simulator, session):
    add(simulator, "opaque", "web", logical_switch=SEGMENT)
    add(simulator, "distributed", "web", switch="NSX", logical_switch=SEGMENT.replace("1", "9"))
    with pytest.raises(Conflict) as caught:
        locate(session, network="web")
    assert caught.value.code == "vsphere.ambiguous"
    assert "opaque network" in caught.value.message


def test_opaque_network_receives_vm_and_is_read_from_a_template(simulator, session, disk):
    opaque = add(simulator, "opaque", "overlay", logical_switch=SEGMENT)
    vm = deploy(session, disk, locate(session, network="overlay"))
    assert [network._GetMoId() for network in read(session, vm, "network")["network"]] == [opaque]
    hardware = read_hardware(session, vm)
    assert [(name, network._GetMoId()) for name, network in hardware.networks] == [("overlay", opaque)]
    # A VM with the hardware of a template on an opaque network, through a connector without a network.
    hardware.extra_config.clear()
    copy = deploy(session, disk, locate(session), "copy", Hardware(networks=hardware.networks))
    assert [network._GetMoId() for network in read(session, copy, "network")["network"]] == [opaque]


def test_template_adapters_on_two_networks_of_one_name_keep_their_networks(simulator, session, disk):
    ids = [add(simulator, "distributed", "VDI", switch=switch) for switch in ("Blue", "Red")]
    networks = [("VDI", locate(session, network=moid).network) for moid in ids]
    vm = deploy(session, disk, locate(session), hardware=Hardware(nic_count=2, networks=networks))
    assert [network._GetMoId() for network in read(session, vm, "network")["network"]] == ids


def test_name_that_looks_like_an_id_names_the_object(simulator, session):
    inventory = Inventory(session)
    datacenter = inventory.datacenter("DC0")
    other = inventory.network(datacenter, "VM Network")._GetMoId()
    moid = add(simulator, "distributed", other, switch="Blue")
    assert locate(session, network=other).network._GetMoId() == moid


def test_ids_name_every_kind_of_object(simulator, session):
    inventory = Inventory(session)
    by_name = locate(session, network="VM Network", folder="Images", create_folder=True)
    datacenter = by_name.datacenter
    ids = {
        "datacenter": datacenter,
        "cluster": inventory.cluster(datacenter, "DC0_C0"),
        "datastore": by_name.datastore,
        "network": by_name.network,
        "folder": by_name.folder,
        "resource_pool": by_name.pool,
    }
    by_id = locate(session, **{option: item._GetMoId() for option, item in ids.items()})
    assert by_id == by_name
    host = inventory.host(datacenter, "DC0_C0_H0")
    assert locate(session, cluster=None, esxi_host=host._GetMoId()).host == host
    template = inventory.vm(name=simulator.template, template=True)
    assert inventory.vm(name=template._GetMoId(), datacenter=datacenter, template=True) == template
    assert inventory.folder(datacenter, datacenter_folder(session, datacenter)) == inventory.folder(datacenter, None)


def datacenter_folder(session, datacenter):
    return read(session, datacenter, "vmFolder")["vmFolder"]._GetMoId()
