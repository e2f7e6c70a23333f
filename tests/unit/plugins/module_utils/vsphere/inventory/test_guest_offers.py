# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guest IDs and hardware versions that clusters and hosts offer, and what vCenter refuses."""

from __future__ import annotations

import pytest
from pyVmomi import vim, vmodl

from ansible_collections.strata.layering.plugins.module_utils.operations.guest_os_info import (
    GuestOsOptions,
    guest_os_info,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.options import ConnectionOptions
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.guest_offers import (
    GuestOffers,
    hardware_name,
    hardware_number,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.tasks import wait_for_task
from ansible_collections.strata.layering.tests.support.simulator import Simulator

WINDOWS = ("windows11_64Guest", "windows9_64Guest")


def offers_of(session, host=None):
    inventory = Inventory(session)
    datacenter = inventory.datacenter("DC0")
    return GuestOffers(
        session, inventory.cluster(datacenter, "DC0_C0"), inventory.host(datacenter, host) if host else None
    )


def info(simulator, **changes):
    connection = ConnectionOptions(
        hostname=simulator.host,
        port=simulator.port,
        username=simulator.username,
        password=simulator.password,
        ca_file=simulator.ca_file,
    )
    options = {
        "datacenter": "DC0",
        "cluster": "DC0_C0",
        "esxi_host": None,
        "resource_pool": None,
        "guest_ids": WINDOWS,
        "hardware_version": None,
    }
    return guest_os_info(GuestOsOptions(connection=connection, **options | changes)).result


@pytest.mark.parametrize(
    ("release", "newest", "guest"),
    [
        ("8.0.3.0", 21, "windows11_64Guest"),
        ("8.0.0.1", 20, "windows11_64Guest"),
        ("7.0.3.0", 19, "windows9_64Guest"),
        ("7.0.0.0", 17, "windows9_64Guest"),
    ],
)
def test_offer_follows_the_release_of_the_hosts(release, newest, guest):
    with Simulator(arguments=(f"-api-version={release}",)) as simulator:
        result = info(simulator)
        assert result["newest_hardware_version"] == newest
        assert result["selected"] == {"guest_id": guest, "hardware_version": newest}
        assert [version["hardware_version"] for version in result["hardware_versions"]][0] == newest
        assert result["hardware_versions"][0]["default"]
        servers = info(simulator, guest_ids=("windows2022srvNext_64Guest", "windows2019srv_64Guest"))["selected"]
        assert servers["guest_id"].startswith("windows2022" if newest >= 20 else "windows2019")


def test_offer_of_a_mixed_cluster_is_what_all_hosts_have(simulator, session):
    simulator.settings(host_versions={"DC0_C0_H0": "7.0.3"})
    offers = offers_of(session)
    assert (offers.newest, offers.has_version(19), offers.has_version(21)) == (19, True, False)
    newest = offers.versions[0]
    assert (newest.number, newest.all_hosts, newest.hosts) == (21, False, ("DC0_C0_H1",))
    assert [guest.id for guest in offers.guests(19, WINDOWS)] == ["windows9_64Guest"]
    assert offers_of(session, "DC0_C0_H1").newest == 21
    assert offers_of(session, "DC0_C0_H0").newest == 19
    assert info(simulator, cluster=None, esxi_host="DC0_C0_H1")["selected"]["hardware_version"] == 21
    assert info(simulator, cluster=None, resource_pool="/DC0/host/DC0_C0/Resources")["newest_hardware_version"] == 19


def test_offer_is_asked_once_for_each_release(simulator, session):
    offers = offers_of(session)
    simulator.clear_journal()
    for _again in range(2):
        assert len(offers.guests(21, WINDOWS)) == 2
        assert offers.newest == 21
    assert len(simulator.journal(method="QueryConfigOptionEx")) == 1
    assert len(simulator.journal(method="QueryConfigOptionDescriptor")) == 1


def test_offer_without_the_asked_guests_lists_all(simulator):
    result = info(simulator, guest_ids=("windows11_64Guest",), hardware_version=19)
    assert result["selected"] is None
    ids = [guest["guest_id"] for guest in result["guests"]]
    assert "windows9_64Guest" in ids
    assert "windows11_64Guest" not in ids
    assert info(simulator, hardware_version=99)["guests"] == []
    assert info(simulator, guest_ids=())["selected"] is None


def test_offer_that_names_no_host_is_that_of_all_hosts(session, monkeypatch):
    descriptor = vim.vm.ConfigOptionDescriptor(key="vmx-19", createSupported=True)
    monkeypatch.setattr(vim.EnvironmentBrowser, "QueryConfigOptionDescriptor", lambda _browser: [descriptor])
    assert offers_of(session).newest == 19


@pytest.mark.parametrize(("number", "name"), [(9, "vmx-09"), (20, "vmx-20")])
def test_hardware_version_names(number, name):
    assert (hardware_name(number), hardware_number(name)) == (name, number)


@pytest.mark.parametrize("name", ["", "vmx-", "20", "vmx-x"])
def test_hardware_version_unknown_name_is_no_version(name):
    assert hardware_number(name) == 0


@pytest.mark.parametrize(
    ("version", "guest", "refused"),
    [
        ("vmx-19", "windows11_64Guest", "guestId"),
        ("vmx-20", "windows11_64Guest", None),
        ("vmx-17", "windows2019srvNext_64Guest", "guestId"),
        ("vmx-22", "windows9_64Guest", "version"),
        ("vmx-12", "windows9_64Guest", "version"),
        (None, "windows11_64Guest", None),
    ],
)
def test_vcenter_refuses_a_guest_that_the_hardware_version_lacks(simulator, session, version, guest, refused):
    inventory = Inventory(session)
    datacenter = inventory.datacenter("DC0")
    pool = inventory.resource_pool(datacenter, cluster="DC0_C0")
    spec = vim.vm.ConfigSpec(
        name="new", version=version, guestId=guest, files=vim.vm.FileInfo(vmPathName="[LocalDS_0]")
    )
    folder = inventory.folder(datacenter, None)
    if refused is None:
        wait_for_task(session, folder.CreateVM_Task(spec, pool, None), "Creating")
        return
    with pytest.raises(vmodl.fault.InvalidArgument) as caught:
        folder.CreateVM_Task(spec, pool, None)
    assert caught.value.invalidProperty == f"configSpec.{refused}"
