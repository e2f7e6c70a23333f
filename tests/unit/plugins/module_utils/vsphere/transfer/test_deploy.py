# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that are created from a stream, and nothing left when that fails."""

from __future__ import annotations

import hashlib
import pathlib
import ssl
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    InternalError,
    StrataError,
    Unavailable,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere import vm
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware, read_hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer import nfc
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm


@pytest.fixture
def deploy(session, placement, disk):
    def run(**changes):
        fields = {
            "name": "image",
            "hardware": Hardware(),
            "capacity": disk.capacity,
            "blocks": disk.blocks,
            "length": disk.length,
        }
        return deploy_vm(session, placement, **fields | changes)

    return run


def assert_nothing_remains(simulator):
    assert simulator.machines("image") == []
    deadline = time.monotonic() + 5
    while any(lease["state"] in ("ready", "initializing") for lease in simulator.leases()):
        # The simulator's own end of a broken upload may still be under way.
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [disk for disk in simulator.disks() if disk["vm"] == "image"] == []


def test_deploy_creates_a_vm_with_the_hardware_of_its_template(simulator, session, deploy, disk):
    template = Inventory(session).vm(name=simulator.template, template=True)
    hardware = read_hardware(session, template)
    steps = []
    made = deploy(
        hardware=hardware,
        annotation="Made by a test.",
        extra_config={"strata.template": "Win11 (ü)"},
        progress=lambda *step: steps.append(step),
    )
    assert made.verified
    assert made.transfer.sha1 == hashlib.sha1(disk.bytes()).hexdigest()
    stored = simulator.disks("image")
    assert [(entry["size"], entry["sha256"]) for entry in stored] == [
        (disk.length, hashlib.sha256(disk.bytes()).hexdigest())
    ]
    assert steps[-1] == ("upload", disk.length, disk.length)
    facts = vm.read_facts(session, made.vm)
    assert (facts.path, facts.datacenter, facts.datastore_path) == (
        "/DC0/vm/desktops/image",
        "DC0",
        "[LocalDS_0] image/image.vmx",
    )
    assert (facts.firmware, facts.hardware_version, facts.guest_id) == ("efi", "vmx-19", "windows9_64Guest")
    assert facts.nic_types == ("vmxnet3",)
    assert facts.disks[0][1] == disk.capacity
    assert not facts.has_tpm
    assert facts.annotation == "Made by a test."
    assert facts.extra_config["strata.template"] == "Win11 (ü)"
    assert facts.extra_config["svga.autodetect"] == "TRUE"
    assert (facts.power_state, facts.template, facts.snapshots, facts.moid) == ("poweredOff", False, (), made.moid)
    values = read(
        session,
        made.vm,
        "config.bootOptions.efiSecureBootEnabled",
        "config.hardware.numCPU",
        "config.hardware.memoryMB",
        "config.hardware.device",
    )
    assert (
        values["config.bootOptions.efiSecureBootEnabled"],
        values["config.hardware.numCPU"],
        values["config.hardware.memoryMB"],
    ) == (True, 2, 4096)
    kinds = [type(device).__name__.rpartition(".")[2] for device in values["config.hardware.device"]]
    assert (
        kinds.count("ParaVirtualSCSIController")
        == kinds.count("VirtualVideoCard")
        == kinds.count("VirtualVmxnet3")
        == 1
    )
    assert [lease["state"] for lease in simulator.leases()] == ["done"]


def test_deploy_with_changed_hardware_uses_networks_of_the_template(simulator, session, disk):
    inventory = Inventory(session)
    hardware = read_hardware(session, inventory.vm(name=simulator.template, template=True))
    assert [name for name, unused in hardware.networks] == ["VM Network"]
    hardware.firmware, hardware.secure_boot, hardware.cpus, hardware.cores_per_socket = ("bios", False, 4, 1)
    hardware.disk_controller, hardware.controller = "lsi_sas", None
    placement = inventory.placement(datacenter="DC0", esxi_host="DC0_H0", datastore="LocalDS_0")
    made = deploy_vm(
        session,
        placement,
        name="image",
        hardware=hardware,
        capacity=disk.capacity,
        blocks=disk.blocks,
        length=disk.length,
    )
    values = read(
        session,
        made.vm,
        "config.firmware",
        "config.hardware.numCPU",
        "config.hardware.device",
        "network",
        "runtime.host",
    )
    assert (values["config.firmware"], values["config.hardware.numCPU"], values["runtime.host"]) == (
        "bios",
        4,
        placement.host,
    )
    assert "VirtualLsiLogicSASController" in {
        type(device).__name__.rpartition(".")[2] for device in values["config.hardware.device"]
    }
    assert [read(session, network, "name")["name"] for network in values["network"]] == ["VM Network"]


def test_deploy_name_in_use_fails(simulator, deploy):
    deploy()
    with pytest.raises(Conflict) as caught:
        deploy()
    assert caught.value.code == "vsphere.duplicate_name"
    assert len(simulator.machines("image")) == 1


def test_deploy_invalid_vmdk_fails_and_leaves_nothing(simulator, deploy):
    junk = bytes(3 << 20)
    with pytest.raises(StrataError) as caught:
        deploy(blocks=lambda: [junk], length=len(junk))
    assert caught.value.message.startswith("Creating the virtual machine image failed: ")
    assert_nothing_remains(simulator)


def test_deploy_disk_of_a_different_capacity_fails(simulator, deploy, disk):
    with pytest.raises(StrataError):
        deploy(capacity=disk.capacity * 2)
    assert_nothing_remains(simulator)


@pytest.mark.parametrize("change", [-1, 1])
def test_deploy_stream_of_a_different_length_fails(simulator, deploy, disk, change):
    with pytest.raises(InternalError) as caught:
        deploy(length=disk.length + change)
    assert caught.value.code == "vsphere.length"
    assert_nothing_remains(simulator)


def test_deploy_stream_fails_leaves_nothing(simulator, deploy, disk):
    def broken():
        yield disk.bytes()[:100_000]
        raise Corrupt("The base image is damaged.", code="repository.digest", hint="Verify the repository.")

    with pytest.raises(Corrupt) as caught:
        deploy(blocks=broken)
    assert caught.value.code == "repository.digest"
    assert_nothing_remains(simulator)


@pytest.mark.parametrize(
    ("mode", "rule", "code"),
    [
        ("error", {"drop_connection": True, "after_bytes": 4 << 20}, None),
        ("keep", {"drop_connection": True, "after_bytes": 4 << 20}, None),
        ("keep", {"drop_connection": True}, None),
        ("error", {"http_status": 503, "after_bytes": 1 << 20}, None),
        ("keep", {"http_status": 503}, "vsphere.http"),
        ("keep", {"delay_ms": 8000, "after_bytes": 1 << 20}, "vsphere.no_answer"),
    ],
)
def test_deploy_interrupted_upload_fails_and_leaves_nothing(simulator, deploy, mode, rule, code):
    simulator.settings(cut_upload=mode)
    simulator.rules.add("NFC:PUT", **rule)
    with pytest.raises(Unavailable) as caught:
        deploy(stall_timeout=1)
    assert code in (None, caught.value.code)
    assert caught.value.hint
    assert_nothing_remains(simulator)
    made = deploy()
    assert made.verified


@pytest.mark.parametrize("call", ["CreateImportSpec", "ImportVApp", "HttpNfcLeaseComplete"])
def test_deploy_call_fails_leaves_nothing(simulator, deploy, call):
    fault = "InsufficientResourcesFault" if call == "ImportVApp" else "SystemError"
    simulator.rules.add(call, count=None, fault=fault, message="A general system error occurred")
    with pytest.raises(StrataError) as caught:
        deploy()
    assert caught.value.message.startswith(
        "Creating the virtual machine image failed: A general system error occurred ("
    )
    assert_nothing_remains(simulator)


def test_deploy_lease_fails_leaves_nothing(simulator, deploy):
    simulator.rules.add("LEASE", fault="InvalidState", message="The host is busy")
    with pytest.raises(Conflict) as caught:
        deploy()
    assert caught.value.code == "vsphere.state"
    assert_nothing_remains(simulator)


def test_deploy_lease_not_ready_times_out(simulator, deploy):
    simulator.rules.add("LEASE", delay_ms=2500)
    with pytest.raises(StrataError) as caught:
        deploy(lease_timeout=1)
    assert caught.value.code == "vsphere.timed_out"
    assert_nothing_remains(simulator)


def test_deploy_lost_answers_are_recovered(simulator, deploy):
    simulator.rules.add("HttpNfcLeaseComplete", drop_connection=True, after=True)
    simulator.rules.add("CreateImportSpec", drop_connection=True)
    simulator.rules.add("HttpNfcLeaseGetManifest", http_status=503)
    assert deploy().verified
    assert len(simulator.machines("image")) == 1


def slowly(disk, seconds):
    data = disk.bytes()
    pieces = 8
    for number in range(pieces):
        time.sleep(seconds / pieces)
        yield data[number * len(data) // pieces : (number + 1) * len(data) // pieces]


def test_deploy_slow_upload_keeps_the_lease_alive(simulator, deploy, disk):
    simulator.settings(lease_timeout=1)
    deploy(blocks=lambda: slowly(disk, 2.5))
    reports = simulator.journal(method="HttpNfcLeaseProgress")
    assert len(reports) >= 3
    assert not [report for report in reports if report.get("fault")]


def test_deploy_one_failed_report_keeps_the_lease(simulator, deploy, disk):
    simulator.settings(lease_timeout=3)
    simulator.rules.add("HttpNfcLeaseProgress", fault="SystemError", message="x")
    assert deploy(blocks=lambda: slowly(disk, 2.5)).verified
    assert len(simulator.journal(method="HttpNfcLeaseProgress")) >= 2


def test_deploy_lease_expires_during_upload_fails(simulator, deploy, disk):
    simulator.settings(lease_timeout=1)
    simulator.rules.add("HttpNfcLeaseProgress", count=None, delay_ms=1500)
    with pytest.raises(StrataError) as caught:
        deploy(blocks=lambda: slowly(disk, 2))
    assert "timed out" in caught.value.message
    simulator.rules.clear()
    assert_nothing_remains(simulator)


def test_deploy_session_expires_during_upload_leaves_nothing_or_succeeds(simulator, deploy, disk):
    simulator.settings(lease_timeout=2)

    def blocks():
        for number, block in enumerate(disk.blocks()):
            if number == 20:
                simulator.expire_sessions()
            yield block

    try:
        made = deploy(blocks=blocks)
    except StrataError:
        assert_nothing_remains(simulator)
    else:
        assert made.verified


def test_deploy_damaged_upload_fails(simulator, deploy, monkeypatch):
    genuine = nfc.Lease.manifest

    def lying(lease):
        return {
            key: nfc.ManifestEntry(entry.size, "0" * 40, "", "", None, None) for key, entry in genuine(lease).items()
        }

    monkeypatch.setattr(nfc.Lease, "manifest", lying)
    with pytest.raises(Corrupt) as caught:
        deploy()
    assert caught.value.code == "vsphere.checksum"
    assert_nothing_remains(simulator)


@pytest.mark.parametrize("port", [False, True])
def test_deploy_asterisk_means_the_server_of_the_session(simulator, deploy, port):
    simulator.settings(star_host=True, star_no_port=port)
    assert deploy().verified


class TestHosts:
    """Certificates of ESXi hosts, which the authorities that are known do not cover."""

    @pytest.fixture
    def attempt(self, host_simulator, connect, disk):
        def run(**changes):
            with connect(host_simulator, **changes) as session:
                placement = Inventory(session).placement(
                    datacenter="DC0", cluster="DC0_C0", datastore="LocalDS_0", network="VM Network"
                )
                return deploy_vm(
                    session,
                    placement,
                    name="image",
                    hardware=Hardware(),
                    capacity=disk.capacity,
                    blocks=disk.blocks,
                    length=disk.length,
                )

        return run

    def test_deploy_trusts_the_thumbprint_from_vcenter(self, host_simulator, attempt):
        assert host_simulator.nfc_thumbprint != host_simulator.thumbprint
        assert attempt().verified

    def test_deploy_trusts_a_sha256_thumbprint(self, host_simulator, attempt):
        with open(host_simulator.nfc_ca_file, encoding="ascii") as stream:
            certificate = ssl.PEM_cert_to_DER_cert(stream.read())
        host_simulator.settings(thumbprint=hashlib.sha256(certificate).hexdigest().upper())
        assert attempt().verified

    def test_deploy_wrong_thumbprint_fails(self, host_simulator, attempt):
        host_simulator.settings(thumbprint="AA:" * 19 + "AA")
        with pytest.raises(Unavailable) as caught:
            attempt()
        assert caught.value.code == "vsphere.thumbprint"
        assert host_simulator.nfc_thumbprint in caught.value.message
        assert_nothing_remains(host_simulator)
        assert not host_simulator.journal(method="NFC:PUT")
        assert attempt(validate_certs=False, ca_file=None).verified

    def test_deploy_trusts_an_authority_of_the_host(self, host_simulator, attempt, tmp_path):
        host_simulator.settings(thumbprint="AA:" * 19 + "AA")
        both = tmp_path / "both.pem"
        both.write_bytes(
            b"".join(pathlib.Path(path).read_bytes() for path in (host_simulator.ca_file, host_simulator.nfc_ca_file))
        )
        assert attempt(ca_file=str(both)).verified
