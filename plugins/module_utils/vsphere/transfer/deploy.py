# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create a virtual machine from a stream: ImportVApp, upload, check.

The VM's only disk is a stream-optimized VMDK whose length is known and whose bytes are produced while they are
sent. When a step fails, nothing remains in vSphere. After vCenter has completed the lease, the VM is kept: its disk is complete, and
uploading it again may take hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ...common.errors import Conflict, Corrupt, NotFound, StrataError, Unavailable
from ...common.optional_imports import pyvmomi
from ...common.progress import Progress, silent
from ..busy import Waiting, wait_until_enabled
from ..faults import explained
from ..hardware.hardware_compare import hardware_warnings
from ..inventory.inventory import Inventory
from ..properties import read, wait_for
from ..session import Session
from ..vm import destroy
from .import_specification import DeployRequest, import_specification
from .nfc import Device, Lease
from .transfer import Transfer

#: Seconds to wait for vCenter to remove the VM of an aborted lease.
_REMOVAL_TIMEOUT = 10


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A VM whose disk was sent whole. ``confirmed_by`` is the digest by which the host confirmed it; ``completed``: its lease has ended."""

    vm: Any
    transfer: Transfer
    confirmed_by: str | None
    completed: bool = False


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
    on_uploaded: Callable[[Uploaded], None] = lambda upload: None,
) -> Deployed:
    """Create a virtual machine whose disk is the VMDK stream ``blocks``.

    ``blocks`` is iterated once, after ``on_created`` was called with the VM, and yields ``request.length`` bytes. ``on_uploaded`` is
    called twice: before the lease is completed, and again when it is.

    Raises:
        Conflict: ``vsphere.duplicate_name`` if the folder contains a VM of that name.
        Unavailable: ``vsphere.import_spec`` if vCenter rejects the hardware; as ``Lease``.
        Corrupt: ``vsphere.checksum`` or ``vsphere.disk`` if the upload was damaged.
        StrataError: as ``on_created`` and ``fault_error``.
    """
    _require_free_name(session, request)
    placement = request.placement
    made = import_specification(session, request)
    with explained(request.subject):
        handle = placement.pool.ImportVApp(made.specification, placement.folder, placement.host)
    lease = Lease(session, handle, request.subject, stall_timeout=request.stall_timeout)
    upload: Uploaded | None = None
    try:
        with lease:
            lease.wait_ready(request.lease_timeout)
            on_created(lease.entity)
            device = _device(lease, made.item, request.subject)
            transfer = lease.upload(device, blocks, request.length, progress=progress)
            confirmation = lease.confirm(device, transfer)
            upload = Uploaded(lease.entity, transfer, confirmation.digest)
            on_uploaded(upload)
            lease.complete()
            upload = replace(upload, completed=True)
            on_uploaded(upload)
        _check_disk(session, lease.entity, request)
    except BaseException as error:
        if not _is_kept(lease, upload, error):
            _remove_incomplete(session, lease, request.name, error)
        raise
    # vCenter may hold the VM for a moment.
    wait_until_enabled(session, lease.entity, "ReconfigVM_Task", session.patience.busy)
    differing = hardware_warnings(session, lease.entity, request.name, request.hardware)
    warnings = (*made.warnings, *request.hardware.remarks, *differing, *filter(None, [confirmation.warning]))
    return Deployed(lease.entity, lease.entity._GetMoId(), transfer, confirmation.digest is not None, warnings)


def _require_free_name(session: Session, request: DeployRequest) -> None:
    placement = request.placement
    if request.name in Inventory(session).vms_in(placement.folder):
        raise Conflict(
            f"A virtual machine {request.name} exists already in {placement.folder_path}.",
            code="vsphere.duplicate_name",
            hint="Remove or rename that virtual machine.",
        )


def _is_kept(lease: Lease, upload: Uploaded | None, error: BaseException) -> bool:
    """Return whether the VM of a failed import is kept: its disk is complete, or it is confirmed and may be complete."""
    if upload is None or isinstance(error, Corrupt):
        return False
    return upload.completed or (lease.unresolved and upload.confirmed_by is not None)


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
        # A lease that could not be aborted holds the VM until it expires.
        destroy(session, vm, waiting=Waiting(lease.timeout + 30))
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
