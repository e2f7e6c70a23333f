# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault rules and sessions of the simulator."""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import ssl
import time
import urllib.parse

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from ansible_collections.strata.layering.tests.support.simulator import ControlError, Simulator
from ansible_collections.strata.layering.tests.support.simulator_client import (
    Client,
    vmdk,
)


def test_fault_rules_act_on_matching_calls(client: Client) -> None:
    rules = client.simulator.rules
    machine = client.import_vm("ruled")
    other = client.import_vm("not-ruled")
    number = rules.add(
        "PowerOnVM_Task", object="ruled", skip=1, count=1, fault="HostCommunication", message="The host is gone."
    )
    WaitForTask(other.PowerOnVM_Task())
    WaitForTask(machine.PowerOnVM_Task())
    WaitForTask(machine.PowerOffVM_Task())
    with pytest.raises(vmodl.fault.HostCommunication) as caught:
        machine.PowerOnVM_Task()
    assert caught.value.msg == "The host is gone."
    WaitForTask(machine.PowerOnVM_Task())
    rule = rules.list()[0]
    assert (rule["id"], rule["seen"], rule["hits"]) == (number, 3, 1)
    rules.clear()
    rules.add(
        "PowerOffVM_Task",
        fault="InvalidPowerState",
        fault_fields={"existingState": "suspended"},
        task=True,
        delay_ms=50,
        object=machine._moId,
    )
    with pytest.raises(vim.fault.InvalidPowerState) as caught:
        WaitForTask(machine.PowerOffVM_Task())
    assert caught.value.existingState == "suspended"
    assert machine.runtime.powerState == "poweredOn"
    entry = client.simulator.journal(method="PowerOnVM_Task")[-2]
    assert (entry["name"], entry["fault"], entry["rule"]) == ("ruled", "HostCommunication", number)
    for wrong in ({"method": "X", "fault": "NoSuchFault"}, {"method": ""}, {"method": "X", "fault": "AboutInfo"}):
        with pytest.raises(ControlError):
            rules.add(**wrong)


def test_rule_with_since_waits_for_the_other_call(client: Client) -> None:
    machine = client.import_vm()
    client.simulator.rules.add("Rename_Task", since="PowerOnVM_Task", fault="SystemError")
    WaitForTask(machine.Rename_Task("first"))
    WaitForTask(machine.PowerOnVM_Task())
    with pytest.raises(vmodl.fault.SystemError):
        machine.Rename_Task("second")
    WaitForTask(machine.Rename_Task("third"))


def test_rule_with_restart_restarts_vcenter(simulator: Simulator) -> None:
    client = Client(simulator)
    client.start_import("gone")
    simulator.rules.add("CreateFolder", restart="abort", delay_ms=300)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.datacenter.vmFolder.CreateFolder("never")
    assert simulator.machines("gone") == []
    with pytest.raises((OSError, http.client.HTTPException)):
        client.datacenter.name
    with pytest.raises(ControlError):
        simulator.rules.add("CreateFolder", restart="sometimes")


def test_reset_restores_the_initial_state(simulator: Simulator) -> None:
    client = Client(simulator)
    simulator.settings(unlock_delay_ms=0)
    client.import_vm("stays")
    WaitForTask(client.import_vm("goes").PowerOnVM_Task())
    client.start_import("held")
    client.datacenter.vmFolder.CreateFolder("folder")
    simulator.rules.add("*", fault="SystemError", count=None)
    simulator.settings(thumbprint="AB")
    simulator.reset(("stays",))
    assert {machine["name"] for machine in simulator.machines()} == {"stays", "windows-template"}
    assert simulator.rules.list() == simulator.leases() == simulator.journal() == []
    assert simulator.settings()["thumbprint"] == ""
    with pytest.raises(vim.fault.NotAuthenticated):
        client.datacenter.name
    assert [
        child.name for child in Client(simulator).datacenter.vmFolder.childEntity if isinstance(child, vim.Folder)
    ] == []


def test_http_rules_on_soap_calls(client: Client) -> None:
    machine = client.import_vm()
    rules = client.simulator.rules
    rules.add("PowerOnVM_Task", http_status=503)
    with pytest.raises(Exception, match="503"):
        machine.PowerOnVM_Task()
    assert machine.runtime.powerState == "poweredOff"
    rules.add("PowerOnVM_Task", drop_connection=True)
    with pytest.raises((OSError, http.client.HTTPException)):
        machine.PowerOnVM_Task()
    assert machine.runtime.powerState == "poweredOff"
    rules.add("PowerOnVM_Task", drop_connection=True, after=True)
    with pytest.raises((OSError, http.client.HTTPException)):
        machine.PowerOnVM_Task()
    client.power(machine, "poweredOn")
    WaitForTask(machine.PowerOffVM_Task())


def test_nfc_rules_on_upload(client: Client) -> None:
    rules = client.simulator.rules
    client.simulator.settings(cut_upload="keep")
    lease = client.start_import()
    url, content = lease.info.deviceUrl[0].url, vmdk(fill=os.urandom(65536), grains=tuple(range(100)))
    rules.add("NFC:PUT", http_status=503)
    assert client.http("PUT", url, content)[0] == 503
    rules.add("NFC:PUT", drop_connection=True, after_bytes=100_000)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.http("PUT", url, content)
    rules.add("NFC:PUT", http_status=500, after_bytes=200_000)
    try:
        assert client.http("PUT", url, content)[0] == 500
    except OSError:
        pass  # the answer came while the body was still being sent
    rules.add("NFC:PUT", delay_ms=100, after_bytes=1000)
    assert client.http("PUT", url, content)[0] == 201
    assert lease.state == "ready"
    lease.HttpNfcLeaseComplete()
    entries = client.simulator.journal(method="NFC:PUT")[-4:]
    assert [entry["status"] for entry in entries] in ([503, 0, 500, 201],)
    assert entries[3]["bytes"] == len(content)
    assert entries[3]["seconds"] >= 0.1


def test_nfc_rules_on_download(client: Client) -> None:
    content = vmdk(fill=os.urandom(65536), grains=tuple(range(100)))
    machine = client.import_vm(content=content)
    lease = client.ready(machine.ExportVm())
    url = next(item for item in lease.info.deviceUrl if item.disk).url
    client.simulator.rules.add("NFC:GET", drop_connection=True, after_bytes=len(content) // 2)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.http("GET", url)
    assert not lease.HttpNfcLeaseGetManifest()
    client.simulator.settings(chunked_export=True)
    status, headers, body = client.http("GET", url)
    assert body == content
    assert "Content-Length" not in headers
    lease.HttpNfcLeaseComplete()


def test_download_rule_with_delay_and_drop_waits_before_it_drops(client: Client) -> None:
    content = vmdk(fill=os.urandom(65536), grains=tuple(range(100)))
    lease = client.ready(client.import_vm(content=content).ExportVm())
    url = next(item for item in lease.info.deviceUrl if item.disk).url
    client.simulator.rules.add("NFC:GET", drop_connection=True, delay_ms=300, after_bytes=len(content) // 2)
    start = time.monotonic()
    with pytest.raises((OSError, http.client.HTTPException)):
        client.http("GET", url)
    assert time.monotonic() - start >= 0.3
    assert client.simulator.journal(method="NFC:GET")[-1]["bytes"] == len(content) // 2


@pytest.mark.parametrize("end", ["release", "remove"])
def test_rule_released_or_removed_lets_a_waiting_transfer_continue(client: Client, end: str) -> None:
    content = vmdk(fill=os.urandom(65536), grains=tuple(range(100)))
    lease = client.ready(client.import_vm(content=content).ExportVm())
    url = next(item for item in lease.info.deviceUrl if item.disk).url
    rules = client.simulator.rules
    rule = rules.add("NFC:GET", delay_ms=600_000, after_bytes=len(content) // 2)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(client.http, "GET", url)
        while not rules.list()[0]["hits"]:
            time.sleep(0.01)
        getattr(rules, end)(rule)
        assert answer.result(60)[2] == content


def test_upload_with_closed_connection_ends_the_lease(client: Client) -> None:
    lease = client.start_import("broken")
    parts = urllib.parse.urlsplit(lease.info.deviceUrl[0].url)
    context = ssl.create_default_context(cafile=client.simulator.ca_file)
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context)
    connection.putrequest("PUT", parts.path)
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(vmdk()[:4096])
    connection.close()
    for attempt in range(500):
        if lease.state == "error":
            break
        time.sleep(0.01)
    assert lease.state == "error"
    assert client.simulator.machines("broken") == []


def test_lease_rule_fails_the_lease(client: Client) -> None:
    client.simulator.rules.add("LEASE", object="never", fault="NoDiskSpace", fault_fields={"datastore": "LocalDS_0"})
    lease = client.start_import("never")
    assert lease.state == "error"
    assert isinstance(lease.error, vim.fault.NoDiskSpace)
    assert client.simulator.machines("never") == []


def test_ended_sessions_are_not_authenticated(simulator: Simulator) -> None:
    client = Client(simulator)
    assert simulator.expire_sessions() >= 1
    with pytest.raises(vim.fault.NotAuthenticated):
        client.datacenter.name
    client = Client(simulator)
    simulator.rules.add("ImportVApp", fault="NotAuthenticated")
    with pytest.raises(vim.fault.NotAuthenticated):
        client.start_import()
    with pytest.raises(vim.fault.NotAuthenticated):
        client.datacenter.name
    client = Client(simulator)
    client.start_import("orphan")
    simulator.restart(0.5, leases="orphan")
    assert [machine["locked"] for machine in simulator.machines("orphan")] == [False]
    with pytest.raises((OSError, http.client.HTTPException)):
        client.datacenter.name
    for attempt in range(100):
        try:
            Client(simulator)
            break
        except vim.fault.HostConnectFault:
            time.sleep(0.05)
    else:
        raise AssertionError("vCenter stays away")
    Client(simulator).start_import("aborted")
    simulator.settings(session_leases="abort")
    simulator.expire_sessions()
    assert simulator.machines("aborted") == []


@pytest.mark.usefixtures("client")
def test_sessions_wait_for_updates_in_parallel(shared_simulator: Simulator) -> None:
    def work() -> int:
        client = Client(shared_simulator)
        machine = client.import_vm()
        for attempt in range(5):
            WaitForTask(machine.PowerOnVM_Task())
            WaitForTask(machine.PowerOffVM_Task())
        return 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sum(future.result(60) for future in [pool.submit(work) for number in range(4)]) == 4
