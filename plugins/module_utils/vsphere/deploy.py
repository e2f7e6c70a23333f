# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create a virtual machine from a stream: ImportVApp, upload, check.

The VM's only disk is a stream-optimized VMDK whose length is known and whose bytes are produced while they are
sent. When a step fails, nothing remains in vSphere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import Conflict, Corrupt, NotFound, StrataError, Unavailable
from ..common.optional_imports import pyvmomi
from ..common.progress import Progress, silent
from ..ovf.descriptor_writer import ImageDescription, write_descriptor
from .faults import explained, fault_text
from .hardware import Hardware, apply_hardware, option_values
from .inventory import Inventory, Placement
from .nfc import Device, Lease
from .properties import read, wait_for
from .session import Session
from .transfer import Transfer
from .vm import destroy

#: Seconds to wait for vCenter to remove the VM of an aborted lease.
_REMOVAL_TIMEOUT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """The VM to create. ``capacity`` is the size of its disk in bytes, ``length`` the size of the VMDK stream in bytes.

    ``extra_config`` is set before the upload starts: set a mark for a complete VM afterwards. ``stall_timeout``
    (None: the session's patience) limits the seconds without a byte sent, ``lease_timeout`` the seconds until vCenter is ready.
    """

    name: str
    placement: Placement
    hardware: Hardware
    capacity: int
    length: int
    annotation: str = ""
    extra_config: Mapping[str, str] = field(default_factory=dict)
    provisioning: str = "thin"
    stall_timeout: float | None = None
    lease_timeout: float = 600

    @property
    def subject(self) -> str:
        """The beginning of error messages."""
        return f"Creating the virtual machine {self.name}"

    @property
    def networks(self) -> list[tuple[str, Any]]:
        """Name and managed object of the network of each adapter."""
        placement, hardware = self.placement, self.hardware
        if placement.network is not None:
            return [(placement.network_name or "", placement.network)] * hardware.nic_count
        return hardware.networks[: hardware.nic_count]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A VM that was created. ``verified``: the host's own digest confirmed the upload."""

    vm: Any
    moid: str
    transfer: Transfer
    verified: bool
    warnings: tuple[str, ...]


def create_by_import(
    session: Session,
    request: DeployRequest,
    blocks: Iterable[bytes | memoryview],
    *,
    progress: Progress = silent,
    on_created: Callable[[Any], None] = lambda vm: None,
) -> Deployed:
    """Create a virtual machine whose disk is the VMDK stream ``blocks``.

    ``blocks`` is iterated once, after ``on_created`` was called with the VM, and yields ``request.length`` bytes.

    Raises:
        Conflict: ``vsphere.duplicate_name`` if the folder contains a VM of that name.
        Unavailable: ``vsphere.import_spec`` if vCenter rejects the hardware; as ``Lease``.
        Corrupt: ``vsphere.checksum`` or ``vsphere.disk`` if the upload was damaged.
        StrataError: as ``on_created`` and ``fault_error``.
    """
    placement = request.placement
    if request.name in Inventory(session).vms_in(placement.folder):
        raise Conflict(
            f"A virtual machine {request.name} exists already in {placement.folder_path}.",
            code="vsphere.duplicate_name",
            hint="Remove or rename that virtual machine.",
        )
    specification, item, warnings = _import_specification(session, request)
    with explained(request.subject):
        handle = placement.pool.ImportVApp(specification, placement.folder, placement.host)
    lease = Lease(session, handle, request.subject, stall_timeout=request.stall_timeout)
    try:
        with lease:
            lease.wait_ready(request.lease_timeout)
            on_created(lease.entity)
            device = _device(lease, item, request.subject)
            transfer = lease.upload(device, blocks, request.length, progress=progress)
            verified = lease.verify(device, transfer)
            lease.complete()
        _check_disk(session, lease.entity, request)
    except BaseException as error:
        _remove_incomplete(session, lease, request.name, error)
        raise
    warnings = (*warnings, *request.hardware.remarks)
    return Deployed(lease.entity, lease.entity._GetMoId(), transfer, verified, warnings)


def _import_specification(session: Session, request: DeployRequest) -> tuple[Any, Any, tuple[str, ...]]:
    """Return vCenter's import specification, completed with the hardware; its file item; and warnings."""
    placement, hardware = request.placement, request.hardware
    manager = pyvmomi.vim.OvfManager
    mapping = [manager.NetworkMapping(name=name, network=item) for name, item in dict(request.networks).items()]
    parameters = manager.CreateImportSpecParams(
        locale="US",
        deploymentOption="",
        entityName=request.name,
        hostSystem=placement.host,
        diskProvisioning=request.provisioning,
        networkMapping=mapping,
    )
    with explained(request.subject):
        result = session.content.ovfManager.CreateImportSpec(
            _descriptor(request), placement.pool, placement.datastore, parameters
        )
    problems = [fault_text(fault) for fault in result.error or []]
    if problems or result.importSpec is None:
        raise Unavailable(
            f"{request.subject} failed: vCenter rejected the hardware: {'; '.join(problems) or 'it gave no reason'}.",
            code="vsphere.import_spec",
            hint="Check the VM template: its hardware version, guest type and network.",
        )
    items = list(result.fileItem or [])
    if len(items) != 1 or items[0].create:
        raise Unavailable(
            f"{request.subject} failed: vCenter expects {len(items)} files, not one disk.",
            code="vsphere.import_spec",
            hint="Check the VM template.",
        )
    config = result.importSpec.configSpec
    apply_hardware(hardware, config)
    config.annotation = request.annotation
    options = option_values(hardware.extra_config | dict(request.extra_config))
    config.extraConfig = [*(config.extraConfig or []), *options]
    return result.importSpec, items[0], tuple(fault_text(fault) for fault in result.warning or [])


def _descriptor(request: DeployRequest) -> str:
    """Return the OVF descriptor of the VM."""
    hardware = request.hardware
    descriptor = write_descriptor(
        ImageDescription(
            name=request.name,
            disk_file="disk1.vmdk",
            disk_size=request.length,
            capacity=request.capacity,
            guest_id=hardware.guest_id,
            firmware=hardware.firmware,
            secure_boot=hardware.secure_boot,
            hardware_version=hardware.version,
            cpus=hardware.cpus,
            cores_per_socket=hardware.cores_per_socket,
            memory_mib=hardware.memory_mib,
            scsi_type=hardware.scsi_type,
            networks=tuple(name for name, _network in request.networks),
        )
    )
    return descriptor.decode("utf-8")


def _device(lease: Lease, item: Any, subject: str) -> Device:
    """Return the lease's device for the file of the import specification."""
    named = [device for device in lease.devices if device.import_key == item.deviceId]
    disks = named or [device for device in lease.devices if device.disk]
    if len(disks) != 1:
        raise Unavailable(
            f"{subject} failed: the lease offers {len(disks)} disks, not 1.",
            code="vsphere.lease",
            hint="Run this playbook again.",
        )
    return disks[0]


def _check_disk(session: Session, vm: Any, request: DeployRequest) -> None:
    values = read(session, vm, "config.hardware.device", subject=request.subject)
    kind = pyvmomi.vim.vm.device.VirtualDisk
    sizes = [device.capacityInKB * 1024 for device in values["config.hardware.device"] if isinstance(device, kind)]
    if sizes != [request.capacity]:
        raise Corrupt(
            f"{request.subject} failed: the VM has disks of {sizes} bytes, not one disk of {request.capacity} bytes.",
            code="vsphere.disk",
            hint="Run this playbook again.",
        )


def _remove_incomplete(session: Session, lease: Lease, name: str, error: BaseException) -> None:
    """Remove the VM of a failed import: vCenter removes it when the lease ends, otherwise it is destroyed."""
    vm = lease.entity
    if vm is None or _vanishes(session, vm, name, min(_REMOVAL_TIMEOUT, session.patience.calls)):
        return
    try:
        try:
            destroy(session, vm)
        except Conflict:
            # A lease that could not be aborted holds the VM until it expires.
            if not _vanishes(session, vm, name, lease.timeout + 30):
                destroy(session, vm)
    except StrataError as second:
        if isinstance(error, StrataError):
            moid = vm._GetMoId()
            error.message = (
                f"{error.message} The incomplete virtual machine {name} ({moid}) could not be removed: {second.message}"
            )
            error.details["left_behind"] = moid


def _vanishes(session: Session, vm: Any, name: str, timeout: float) -> bool:
    """Return whether the VM ceases to exist within ``timeout`` seconds."""
    try:
        wait_for(session, vm, ["name"], lambda values: False, timeout, subject=f"Removing {name}")
    except NotFound:
        return True
    except StrataError:
        pass
    return False
