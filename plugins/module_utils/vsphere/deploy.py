# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a virtual machine out of a stream: ImportVApp, upload, check.

The machine's one disk arrives as a stream-optimized VMDK whose length is known and whose
bytes are made while they are sent. When anything fails nothing remains in vSphere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Deployed:
    """A machine that was made. ``verified`` tells whether the host's own digest confirmed the upload."""

    vm: Any
    moid: str
    transfer: Transfer
    verified: bool
    warnings: tuple[str, ...]


def create_by_import(
    session: Session,
    placement: Placement,
    *,
    name: str,
    hardware: Hardware,
    capacity: int,
    blocks: Callable[[], Iterable[bytes]],
    length: int,
    annotation: str = "",
    extra_config: dict[str, str] | None = None,
    provisioning: str = "thin",
    progress: Progress = silent,
    created: Callable[[Any], None] = lambda vm: None,
    stall_timeout: float | None = None,
    lease_timeout: float = 600,
) -> Deployed:
    """Create the virtual machine ``name`` with one disk of ``capacity`` bytes.

    ``blocks`` is called once and gives the ``length`` bytes of the stream-optimized VMDK.
    ``extra_config`` is set before the upload starts: a mark that says "complete" must be set
    afterwards. ``created`` is called with the machine when it exists, before its disk is uploaded. Raises Conflict when the folder has a machine of that name.
    """
    what = f"Creating the virtual machine {name}"
    if name in Inventory(session).vms_in(placement.folder):
        raise Conflict(
            f"There is a virtual machine {name} in {placement.folder_path} already.",
            code="vsphere.duplicate_name",
            hint="Remove or rename that one.",
        )
    specification, item, warnings = _import_specification(
        session, placement, name, hardware, capacity, length, provisioning, what
    )
    config = specification.configSpec
    apply_hardware(hardware, config)
    config.annotation = annotation
    config.extraConfig = [*(config.extraConfig or []), *option_values(hardware.extra_config | (extra_config or {}))]
    with explained(what):
        handle = placement.pool.ImportVApp(specification, placement.folder, placement.host)
    lease = Lease(session, handle, what, stall_timeout=stall_timeout)
    try:
        with lease:
            lease.wait_ready(lease_timeout)
            created(lease.entity)
            device = _device(lease, item, what)
            transfer = lease.upload(device, blocks(), length, progress=progress)
            verified = lease.verify(device, transfer)
            lease.complete()
        _check_disk(session, lease.entity, capacity, what)
    except BaseException as error:
        _remove_rest(session, lease, name, error)
        raise
    return Deployed(lease.entity, lease.entity._GetMoId(), transfer, verified, (*warnings, *hardware.remarks))


def _import_specification(
    session: Session,
    placement: Placement,
    name: str,
    hardware: Hardware,
    capacity: int,
    length: int,
    provisioning: str,
    what: str,
):
    if placement.network is not None:
        networks = [(placement.network_name, placement.network)] * hardware.nic_count
    else:
        networks = hardware.networks[: hardware.nic_count]
    manager = pyvmomi.vim.OvfManager
    descriptor = write_descriptor(
        ImageDescription(
            name=name,
            disk_file="disk1.vmdk",
            disk_size=length,
            capacity=capacity,
            guest_id=hardware.guest_id,
            firmware=hardware.firmware,
            secure_boot=hardware.secure_boot,
            hardware_version=hardware.version,
            cpus=hardware.cpus,
            cores_per_socket=hardware.cores_per_socket,
            memory_mib=hardware.memory_mib,
            scsi_type=hardware.scsi_type,
            networks=tuple(network for network, unused in networks),
        )
    )
    parameters = manager.CreateImportSpecParams(
        locale="US",
        deploymentOption="",
        entityName=name,
        hostSystem=placement.host,
        diskProvisioning=provisioning,
        networkMapping=[manager.NetworkMapping(name=network, network=item) for network, item in dict(networks).items()],
    )
    with explained(what):
        result = session.content.ovfManager.CreateImportSpec(
            descriptor.decode("utf-8"), placement.pool, placement.datastore, parameters
        )
    problems = [fault_text(fault) for fault in result.error or []]
    if problems or result.importSpec is None:
        raise Unavailable(
            f"{what} failed: vCenter does not accept the hardware: {'; '.join(problems) or 'no reason was given'}.",
            code="vsphere.import_spec",
            hint="Check the VM template: its hardware version, guest type and network.",
        )
    items = list(result.fileItem or [])
    if len(items) != 1 or items[0].create:
        raise Unavailable(
            f"{what} failed: vCenter wants {len(items)} files instead of one disk.",
            code="vsphere.import_spec",
            hint="Check the VM template.",
        )
    return result.importSpec, items[0], [fault_text(fault) for fault in result.warning or []]


def _device(lease: Lease, item, what: str) -> Device:
    """The lease's device for the one file of the import specification."""
    named = [device for device in lease.devices if device.import_key == item.deviceId]
    disks = named or [device for device in lease.devices if device.disk]
    if len(disks) != 1:
        raise Unavailable(
            f"{what} failed: the lease offers {len(disks)} disks instead of one.",
            code="vsphere.lease",
            hint="Run again.",
        )
    return disks[0]


def _check_disk(session: Session, vm, capacity: int, what: str) -> None:
    devices = read(session, vm, "config.hardware.device", what=what)["config.hardware.device"]
    found = [device.capacityInKB * 1024 for device in devices if isinstance(device, pyvmomi.vim.vm.device.VirtualDisk)]
    if found != [capacity]:
        raise Corrupt(
            f"{what} failed: it has disks of {found} bytes instead of one of {capacity}.",
            code="vsphere.disk",
            hint="Run again.",
        )


def _remove_rest(session: Session, lease: Lease, name: str, error: BaseException) -> None:
    """See to it that a failed import leaves no machine: the lease's end removes it, else it is destroyed."""
    if lease.entity is None or _vanishes(session, lease.entity, name, min(10, session.patience.calls)):
        return
    try:
        try:
            destroy(session, lease.entity)
        except Conflict:
            # A lease that could not be aborted holds the machine until it expires.
            if not _vanishes(session, lease.entity, name, lease.timeout + 30):
                destroy(session, lease.entity)
    except StrataError as second:
        if isinstance(error, StrataError):
            moid = lease.entity._GetMoId()
            error.message = (
                f"{error.message} The incomplete virtual machine {name} ({moid}) could not be removed: {second.message}"
            )
            error.details["left_behind"] = moid


def _vanishes(session: Session, vm, name: str, timeout: float) -> bool:
    try:
        wait_for(session, vm, ["name"], lambda values: False, timeout, what=f"Removing {name}")
    except NotFound:
        return True
    except StrataError:
        return False
