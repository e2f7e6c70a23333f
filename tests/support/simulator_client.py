# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pyVmomi client of the simulator for its own tests, and small disks to upload."""

from __future__ import annotations

import http.client
import itertools
import pathlib
import ssl
import struct
import time
import urllib.parse
import zlib
from typing import Any

from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.tests.support.simulator import Simulator

MIB = 1 << 20
CAPACITY = 16 * MIB
numbers = itertools.count(1)


def vmdk(capacity: int = CAPACITY, fill: bytes = b"strata", grains: tuple[int, ...] = (0, 5)) -> bytes:
    """Build a stream-optimized VMDK whose ``grains`` repeat ``fill``."""
    sectors = capacity // 512
    tables = -(-sectors // (128 * 512))
    header = struct.pack(
        "<4sIIQQQQIQQQB4sH", b"KDMV", 3, 0x30001, sectors, 128, 0, 0, 512, 0, 2**64 - 1, 128, 0, b"\n \r\n", 1
    ).ljust(512, b"\0")
    out = bytearray(header.ljust(128 * 512, b"\0"))
    entries = [0] * (tables * 512)
    for number in grains:
        data = zlib.compress((fill * (65536 // len(fill) + 1))[:65536])
        entries[number] = len(out) // 512
        out += struct.pack("<QI", number * 128, len(data)) + data
        out += bytes(-len(out) % 512)
    directory = []
    for table in range(tables):
        part = entries[table * 512 : table * 512 + 512]
        if not any(part):
            directory.append(0)
            continue
        out += struct.pack("<QII", 4, 0, 1).ljust(512, b"\0")
        directory.append(len(out) // 512)
        out += struct.pack("<512I", *part)
    size = -(-len(directory) * 4 // 512)
    out += struct.pack("<QII", size, 0, 2).ljust(512, b"\0")
    sector = len(out) // 512
    out += struct.pack(f"<{len(directory)}I", *directory).ljust(size * 512, b"\0")
    out += struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    out += header[:56] + struct.pack("<Q", sector) + header[64:]
    return bytes(out + bytes(512))


class Client:
    """The actions of the tests on a simulator, through pyVmomi and plain HTTP."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.content: Any = simulator.connect().RetrieveContent()
        self.datacenter = self.content.rootFolder.childEntity[0]
        self.cluster = next(
            e for e in self.datacenter.hostFolder.childEntity if isinstance(e, vim.ClusterComputeResource)
        )
        self.pool: Any = self.cluster.resourcePool

    def import_spec(self, name: str, capacity: int = CAPACITY) -> Any:
        """Return the import spec of a VM with one disk and one network card."""
        controller = vim.vm.device.ParaVirtualSCSIController(key=-100, busNumber=0, sharedBus="noSharing")
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            diskMode="persistent", fileName="", thinProvisioned=True
        )
        disk = vim.vm.device.VirtualDisk(
            key=-101, controllerKey=-100, unitNumber=0, capacityInKB=capacity // 1024, backing=backing
        )
        network = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
        card = vim.vm.device.VirtualVmxnet3(key=-102, backing=network, addressType="generated")
        add = vim.vm.device.VirtualDeviceSpec.Operation.add
        config = vim.vm.ConfigSpec(
            name=name,
            guestId="windows9_64Guest",
            version="vmx-19",
            firmware="efi",
            numCPUs=4,
            numCoresPerSocket=2,
            memoryMB=2048,
            annotation="made by a test",
            bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=True),
            files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"),
            extraConfig=[vim.option.OptionValue(key="strata.template", value="office")],
            deviceChange=[
                vim.vm.device.VirtualDeviceSpec(operation=add, device=device) for device in (controller, disk, card)
            ],
        )
        return vim.vm.VmImportSpec(configSpec=config, resPoolEntity=None)

    def start_import(self, name: str | None = None, capacity: int = CAPACITY) -> Any:
        """Start an import and return its lease, which is ready or has failed."""
        lease = self.pool.ImportVApp(
            self.import_spec(name or f"vm-of-test-{next(numbers)}", capacity), self.datacenter.vmFolder
        )
        return self.ready(lease)

    def ready(self, lease: Any) -> Any:
        """Wait until a lease is no longer initializing, and return it."""
        for attempt in range(500):
            if lease.state != "initializing":
                return lease
            time.sleep(0.01)
        raise AssertionError("the lease is still initializing")

    def http(
        self, method: str, url: str, body: bytes | None = None, headers: dict | None = None
    ) -> tuple[int, dict, bytes]:
        """Send a request and return status, headers and body of the answer."""
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.simulator.nfc_ca_file or self.simulator.ca_file)
            connection = http.client.HTTPSConnection(host, parts.port, timeout=30, context=context)
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=30)
        try:
            connection.request(method, parts.path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def import_vm(self, name: str | None = None, content: bytes | None = None) -> Any:
        """Import a VM with a disk and return it."""
        lease = self.start_import(name)
        status, headers, body = self.http("POST", lease.info.deviceUrl[0].url, content or vmdk())
        assert status in (200, 201), body
        machine = lease.info.entity
        lease.HttpNfcLeaseComplete()
        return machine

    def export(self, lease: Any) -> bytes:
        """Complete an export and return its disk."""
        self.ready(lease)
        url = next(item for item in lease.info.deviceUrl if item.disk)
        status, headers, body = self.http("GET", url.url)
        assert status == 200
        lease.HttpNfcLeaseComplete()
        return body

    def power(self, machine: Any, state: str) -> None:
        """Wait until a VM has a power state."""
        for attempt in range(1000):
            if machine.runtime.powerState == state:
                return
            time.sleep(0.01)
        raise AssertionError(f"the VM is still {machine.runtime.powerState}")


def wait_for_snapshot(machine: Any, name: str) -> Any:
    """Create a snapshot of a VM and return it."""
    WaitForTask(machine.CreateSnapshot_Task(name, "", False, False))
    return machine.snapshot.currentSnapshot


def wait_for_task_result(task: Any) -> Any:
    """Wait for a task and return its result."""
    WaitForTask(task)
    return task.info.result


def running_processes(mark: str) -> list[str]:
    """Return the IDs of the processes whose command line contains ``mark``."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found
