# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transfers and leases of the simulator."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
import time
import urllib.parse

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from ansible_collections.strata.layering.tests.support.simulator_client import (
    CAPACITY,
    Client,
    vmdk,
)


def test_import_creates_the_vm_of_the_spec(client: Client) -> None:
    machine = client.import_vm("honoured")
    config = machine.config
    assert (config.annotation, config.firmware, config.version) == ("made by a test", "efi", "vmx-19")
    assert (config.hardware.numCPU, config.hardware.numCoresPerSocket, config.hardware.memoryMB) == (4, 2, 2048)
    assert config.bootOptions.efiSecureBootEnabled
    assert {option.key: option.value for option in config.extraConfig}["strata.template"] == "office"
    assert config.files.vmPathName == "[LocalDS_0] honoured/honoured.vmx"
    disk = next(d for d in config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
    assert disk.capacityInBytes == CAPACITY


def test_export_returns_the_uploaded_disk(client: Client) -> None:
    content = vmdk(fill=os.urandom(1000))
    machine = client.import_vm(content=content)
    stored = client.simulator.disks(machine.name)[0]
    assert stored["sha256"] == hashlib.sha256(content).hexdigest()
    assert pathlib.Path(stored["path"]).read_bytes() == content
    lease = client.ready(machine.ExportVm())
    url = next(item for item in lease.info.deviceUrl if item.disk)
    assert url.key == f"/{machine._moId}/ParaVirtualSCSIController0:0"
    assert url.sslThumbprint == client.simulator.thumbprint
    assert lease.info.totalDiskCapacityInKB == CAPACITY // 1024
    assert lease.HttpNfcLeaseGetManifest() == []
    status, headers, body = client.http("HEAD", url.url)
    assert (status, int(headers["Content-Length"]), body) == (200, len(content), b"")
    status, headers, body = client.http("GET", url.url)
    assert (status, int(headers["Content-Length"]), body) == (200, len(content), content)
    nvram = next(item for item in lease.info.deviceUrl if not item.disk)
    assert len(client.http("GET", nvram.url)[2]) == nvram.fileSize > 0
    entry = lease.HttpNfcLeaseGetManifest()[0]
    assert (entry.key, entry.size, entry.disk, entry.capacity) == (url.key, len(content), True, CAPACITY)
    assert (entry.sha1, entry.checksumType, entry.checksum) == (
        hashlib.sha1(content).hexdigest(),
        "sha256",
        stored["sha256"],
    )
    assert entry.populatedSize == 2 * 65536
    lease.HttpNfcLeaseComplete()


def test_manifest_of_an_upload_has_its_digests(client: Client) -> None:
    lease = client.start_import("manifest")
    url = lease.info.deviceUrl[0]
    assert url.importKey == "/manifest/ParaVirtualSCSIController0:0"
    content = vmdk()
    assert client.http("PUT", url.url, content)[0] == 201
    entry = lease.HttpNfcLeaseGetManifest()[0]
    assert (entry.key, entry.sha1, entry.size) == (url.key, hashlib.sha1(content).hexdigest(), len(content))
    lease.HttpNfcLeaseAbort(None)


def broken_bodies() -> dict[str, bytes]:
    good = vmdk()
    return {
        "no VMDK": b"X" + good[1:],
        "monolithic sparse": good[:8] + b"\x01\0\0\0" + good[12:],
        "other capacity": vmdk(CAPACITY * 2),
        "without end of stream": good[:-512],
        "cut in the middle": good[: len(good) // 2],
        "empty": b"",
        "short": good[:100],
    }


@pytest.mark.parametrize("case", list(broken_bodies()))
def test_upload_of_an_invalid_disk_ends_the_lease(client: Client, case: str) -> None:
    lease = client.start_import()
    name = lease.info.entity.name
    status = client.http("POST", lease.info.deviceUrl[0].url, broken_bodies()[case])[0]
    assert status == 500
    assert lease.state == "error"
    assert isinstance(lease.error, vmodl.MethodFault)
    assert client.simulator.machines(name) == []
    with pytest.raises(vim.fault.InvalidState):
        lease.HttpNfcLeaseComplete()


def test_upload_of_a_qemu_image_is_accepted(client: Client, tmp_path: pathlib.Path) -> None:
    raw, image = tmp_path / "disk.raw", tmp_path / "disk.vmdk"
    raw.write_bytes(os.urandom(3 * 65536) + bytes(CAPACITY - 3 * 65536))
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, image], check=True)
    machine = client.import_vm(content=image.read_bytes())
    assert client.simulator.disks(machine.name)[0]["populated"] == 3 * 65536
    lease = client.start_import()
    assert client.http("POST", lease.info.deviceUrl[0].url, image.read_bytes()[:-131072])[0] == 500


def test_export_of_a_disk_never_written_is_empty(client: Client, tmp_path: pathlib.Path) -> None:
    lease = client.start_import()
    machine = lease.info.entity
    lease.HttpNfcLeaseComplete()
    image = tmp_path / "empty.vmdk"
    image.write_bytes(client.export(machine.ExportVm()))
    raw = tmp_path / "empty.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    assert raw.stat().st_size == CAPACITY
    assert not raw.read_bytes().strip(b"\0")


def test_lease_locks_its_vm(client: Client) -> None:
    lease = client.start_import()
    machine = lease.info.entity
    assert client.simulator.machines(machine.name)[0]["locked"]
    for call in (
        machine.PowerOnVM_Task,
        machine.Destroy_Task,
        machine.ExportVm,
        machine.MarkAsTemplate,
        lambda: machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="x")),
        lambda: machine.CreateSnapshot_Task("s", "", False, False),
    ):
        with pytest.raises(vim.fault.TaskInProgress) as caught:
            call()
        assert caught.value.msg == "Another task is already in progress."
    assert client.http("PUT", lease.info.deviceUrl[0].url, vmdk())[0] == 201
    lease.HttpNfcLeaseComplete()
    assert lease.state == "done"
    WaitForTask(machine.PowerOnVM_Task())
    task = machine.PowerOnVM_Task()
    with pytest.raises(vim.fault.InvalidPowerState):
        WaitForTask(task)
    assert task.info.error.msg == "The attempted operation cannot be performed in the current state."
    with pytest.raises(vim.fault.InvalidPowerState):
        machine.ExportVm()
    WaitForTask(machine.PowerOffVM_Task())


def test_lease_completed_twice_is_rejected(client: Client) -> None:
    lease = client.start_import()
    lease.HttpNfcLeaseComplete()
    for call in (
        lease.HttpNfcLeaseComplete,
        lambda: lease.HttpNfcLeaseProgress(5),
        lambda: lease.HttpNfcLeaseAbort(None),
    ):
        with pytest.raises(vim.fault.InvalidState):
            call()


def test_abort_deletes_the_imported_vm(client: Client) -> None:
    lease = client.start_import("aborted")
    assert client.http("PUT", lease.info.deviceUrl[0].url, vmdk())[0] == 201
    path = pathlib.Path(client.simulator.disks("aborted")[0]["path"])
    lease.HttpNfcLeaseAbort(None)
    assert lease.state == "error"
    assert client.simulator.machines("aborted") == []
    assert not path.exists()
    client.import_vm("aborted")


def test_lease_progress_is_validated_and_readable(client: Client) -> None:
    lease = client.start_import()
    for percent in (-1, 101):
        with pytest.raises(vmodl.fault.InvalidArgument):
            lease.HttpNfcLeaseProgress(percent)
    lease.HttpNfcLeaseProgress(42)
    assert lease.transferProgress == 42
    task = next(t for t in client.content.taskManager.recentTask if t.info.state == "running")
    assert task.info.progress == 42
    lease.HttpNfcLeaseComplete()
    assert task.info.state == "success"
    assert task.info.result.name


def test_lease_without_progress_expires(client: Client) -> None:
    client.simulator.settings(lease_timeout=0.3)
    lease = client.start_import("expired")
    for step in range(6):
        time.sleep(0.1)
        lease.HttpNfcLeaseProgress(step)
    assert lease.state == "ready"
    for attempt in range(300):
        if lease.state == "error":
            break
        time.sleep(0.02)
    assert isinstance(lease.error, vim.fault.Timedout)
    assert client.simulator.machines("expired") == []
    with pytest.raises(vim.fault.Timedout):
        lease.HttpNfcLeaseProgress(50)


def test_expired_export_keeps_the_vm(client: Client) -> None:
    machine = client.import_vm()
    lease = client.ready(machine.ExportVm())
    assert client.simulator.expire_leases(lease._moId) == 1
    assert lease.state == "error"
    assert not client.simulator.machines(machine.name)[0]["locked"]
    WaitForTask(machine.Destroy_Task())


def test_wrong_http_methods_change_nothing(client: Client) -> None:
    lease = client.start_import()
    url = lease.info.deviceUrl[0].url
    for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        assert client.http(method, url)[0] == 405
    assert client.http("GET", url.rpartition("/nfc/")[0] + "/nfc/unknown/disk.vmdk")[0] == 404
    assert lease.state == "ready"
    lease.HttpNfcLeaseAbort(None)
    assert client.http("PUT", url, vmdk())[0] == 404


def test_setting_star_host_hides_the_host_in_urls(client: Client) -> None:
    client.simulator.settings(star_host=True, thumbprint="AA:BB")
    lease = client.start_import()
    parts = urllib.parse.urlsplit(lease.info.deviceUrl[0].url)
    assert parts.netloc == f"*:{client.simulator.port}"
    assert lease.info.deviceUrl[0].sslThumbprint == "AA:BB"
    lease.HttpNfcLeaseAbort(None)
