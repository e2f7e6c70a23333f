# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export a virtual machine as an OVF folder: descriptor, SHA-256 manifest, disks.

A sidecar file ``<name>.export.json`` next to the other files records the VM and the exported files. With it, an existing export
is recognized within seconds, and an interrupted export resumes with the missing disks. A disk gets its final name only
when it is complete.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import urllib.parse
from dataclasses import dataclass
from typing import Any

from ...common.errors import Conflict, Corrupt, Unavailable, Unsupported
from ...common.optional_imports import pyvmomi
from ...common.progress import Progress, silent
from ...ovf.descriptor import parse_descriptor
from ...ovf.manifest import Entry, write_manifest
from ...shares.local import as_share
from ...shares.share import Share
from ..busy import when_free
from ..faults import explained, fault_text
from ..inventory.names import plain_name
from ..properties import read
from ..session import Session
from ..vm import Snapshot
from .disk_state import DiskState, is_unchanged, read_disk_state
from .export_record import (
    SIDECAR_MAXIMUM,
    VERSION,
    Record,
    file_name,
    load_record,
    save_record,
    sidecar_name,
    temporary_name,
    temporary_prefix,
    write_file,
)
from .manifest import ManifestEntry
from .nfc import Device, Lease

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Export:
    """A complete export: ``ovf`` is the descriptor's path, ``digests`` SHA-256 by file name, ``size`` bytes of all files."""

    changed: bool
    ovf: str
    digests: dict[str, str]
    size: int
    warnings: tuple[str, ...]


def exported(
    session: Session, vm: Any, folder: Share | str, *, name: str | None = None, snapshot: Snapshot | None = None
) -> Export | None:
    """Return the export of this VM (or snapshot) in its current state, None unless ``folder`` contains it complete and undamaged.

    An export counts as that of the current state only if the VM's disks are proven unchanged (``disk_state``).
    """
    source = _Source(session, vm, name, snapshot)
    return _complete(as_share(folder), source)


def export_vm(
    session: Session,
    vm: Any,
    folder: Share | str,
    *,
    name: str | None = None,
    snapshot: Snapshot | None = None,
    force: bool = False,
    progress: Progress = silent,
    stall_timeout: float | None = None,
) -> Export:
    """Export the VM, which must be off, or its ``snapshot`` into ``folder``, which is created if it does not exist.

    ``name`` (None: the VM's name) is the name of the files. ``force`` exports even if nothing has changed. Without it,
    disks of an interrupted export are kept if they are proven unchanged since then.
    Raises:
        Conflict: ``vsphere.power_state`` if the VM is on.
        Unsupported: ``vsphere.template`` if the VM is a template.
        InvalidInput: ``vsphere.ovf_file_name`` if ``name`` cannot be a file name.
        Unavailable: ``vsphere.lease``, ``vsphere.descriptor``; as ``Lease``.
        Corrupt: ``vsphere.checksum``, ``vsphere.length``, ``vsphere.descriptor``.
        OSError: as the share.
    """
    source = _Source(session, vm, name, snapshot)
    source.check()
    share = as_share(folder)
    share.make_folders()
    if not force and (existing := _complete(share, source)):
        return existing
    subject = f"Exporting {source.vm_name}"
    record = source.record()
    previous = load_record(share, source.name)
    if previous is not None and not force and source.matches(previous):
        record.disks = dict(previous.disks)

    def begin() -> Any:
        with explained(subject):
            return snapshot.ref.ExportSnapshot() if snapshot else vm.ExportVm()

    # An interrupted run may have left a lease.
    with Lease(session, when_free(session, begin), subject, stall_timeout=stall_timeout) as lease:
        lease.wait_ready()
        # The holder of the lease can clean up: no other process exports this VM now.
        _remove_temporary(share, source.name)
        _forget(share, source.name)
        disks = _disks_of(lease, source.name, subject)
        _keep_unchanged(share, disks, record)
        lease.total = lease.capacity or None
        for file, device in disks.items():
            if file not in record.disks:
                _download(lease, device, share, (source.name, file), record, progress)
        _check_disks(lease, disks, record)
        descriptor, warnings = _descriptor(session, vm, source, record, subject)
        lease.complete()
    for file in set(previous.disks if previous else ()) - set(record.disks):
        share.remove(file)
    return _finish(share, source.name, record, descriptor, warnings)


def _disks_of(lease: Lease, name: str, subject: str) -> dict[str, Device]:
    """Return the disks of the lease by the file names that they get."""
    disks = [device for device in lease.devices if device.disk]
    if not disks:
        raise Unavailable(
            f"{subject} failed: the VM has no disk to export.",
            code="vsphere.lease",
            hint="Add a disk to the VM, or check the mode of its disks.",
        )
    return {f"{name}-disk{number}.vmdk": device for number, device in enumerate(disks, 1)}


def _keep_unchanged(share: Share, disks: dict[str, Device], record: Record) -> None:
    """Remove from the record the disks of an earlier run that are not the lease's disks, or whose files have changed."""
    record.disks = {
        file: entry
        for file, entry in record.disks.items()
        if file in disks and disks[file].key == entry["device"] and _is_unchanged(share, file, entry)
    }


def remove_export(folder: Share | str, name: str) -> bool:
    """Remove the files of the export ``name`` from ``folder``, and the folder if it is empty; return whether there was an export."""
    share, name = as_share(folder), file_name(name)
    record = load_record(share, name)
    if record is None:
        return False
    _remove_temporary(share, name)
    # The sidecar is removed last, so that an interrupted removal can be resumed.
    for file in (*record.disks, f"{name}.ovf", f"{name}.mf", sidecar_name(name)):
        share.remove(file)
    with contextlib.suppress(OSError):
        share.remove_folder()
    return True


def descriptor_name(name: str) -> str:
    """Return the file name of the descriptor of the export ``name``."""
    return f"{file_name(name)}.ovf"


class _Source:
    """The VM that is exported, in its current state."""

    def __init__(self, session: Session, vm: Any, name: str | None, snapshot: Snapshot | None) -> None:
        values = read(
            session,
            vm,
            "name",
            "config.instanceUuid",
            "config.changeVersion",
            "config.template",
            "runtime.powerState",
            subject="Reading the virtual machine",
        )
        self.vm_name = plain_name(values["name"])
        self.name = file_name(name or self.vm_name)
        self.snapshot = snapshot
        self._session = session
        self._vm = vm
        self._values = values
        self._vcenter = session.vcenter["instance_uuid"]

    def check(self) -> None:
        """Raise Unsupported for a template, and Conflict for a VM that is on."""
        if self._values.get("config.template"):
            raise Unsupported(
                f"The VM {self.vm_name} is a template, which vSphere cannot export.",
                code="vsphere.template",
                hint="Convert it to a virtual machine, or clone it.",
            )
        if self.snapshot is None and self._values.get("runtime.powerState") != "poweredOff":
            raise Conflict(
                f"The VM {self.vm_name} is not powered off.",
                code="vsphere.power_state",
                hint="Shut it down, or set snapshot to a snapshot that was taken while it was off.",
            )

    @functools.cached_property
    def state(self) -> DiskState:
        """The state of the disks, read once and before the export begins: a later change makes the next export differ."""
        return read_disk_state(self._session, self._vm, self.snapshot)

    def record(self) -> Record:
        """Return the record of an export that has not begun."""
        return Record(
            VERSION,
            self._values.get("config.instanceUuid", ""),
            # The settings in a snapshot do not change with the VM.
            "" if self.snapshot else self._values.get("config.changeVersion", ""),
            self.snapshot.moid if self.snapshot else "",
            {},
            {},
            False,
            self.vm_name,
            self._vcenter,
            self.state.as_document(),
        )

    def matches(self, record: Record) -> bool:
        """Return whether ``record`` is about this VM in its current state."""
        now = self.record()
        if (record.instance_uuid, record.change_version, record.snapshot) != (
            now.instance_uuid,
            now.change_version,
            now.snapshot,
        ):
            return False
        # IDs of snapshots and numbers of events belong to a vCenter.
        if record.vcenter != now.vcenter and (self.snapshot or not all(self.state.contents.values())):
            return False
        if record.state is None:
            # Earlier releases did not record the state: only a snapshot without independent disks proves it.
            return bool(self.snapshot) and not self.state.contents
        return is_unchanged(record.state, self.state)


def _is_unchanged(folder: Share, file: str, entry: dict[str, Any]) -> bool:
    """Return whether a disk's file is as recorded: by size and time, otherwise by its digest."""
    status = folder.stat(file)
    if status is None or status.is_folder or status.size != entry["size"]:
        return False
    return status.mtime_ns == entry["mtime_ns"] or _sha256(folder, file) == entry["sha256"]


def _complete(folder: Share, source: _Source) -> Export | None:
    record = load_record(folder, source.name)
    if record is None or not record.complete or not source.matches(record):
        return None
    digests = record.files | {file: entry["sha256"] for file, entry in record.disks.items()}
    ovf, manifest = f"{source.name}.ovf", f"{source.name}.mf"
    try:
        if folder.read(manifest, SIDECAR_MAXIMUM) != _manifest(ovf, digests) or _sha256(folder, ovf) != digests[ovf]:
            return None
    except (FileNotFoundError, KeyError):
        return None
    if not record.disks or not all(_is_unchanged(folder, file, entry) for file, entry in record.disks.items()):
        return None
    return Export(False, folder.where(ovf), digests, _size(folder, digests), ())


def _download(
    lease: Lease, device: Device, folder: Share, names: tuple[str, str], record: Record, progress: Progress
) -> None:
    """Download a disk and record it; ``names`` are the names of the export and of the disk's file.

    The disk is recorded before its file gets its name: no file of an export exists without a record. The time of the
    file is recorded afterwards; without it, the next run compares the digest.
    """
    name, file = names
    try:
        with folder.create(file, temporary=temporary_name(name, file)) as out:
            transfer = lease.download(device, out, expected=device.size or None, progress=progress)
            entry = lease.manifest().get(device.key)
            lease.verify(device, transfer, {device.key: entry} if entry else {})
            record.disks[file] = {
                "device": device.key,
                "size": transfer.size,
                "mtime_ns": 0,
                "sha1": transfer.sha1,
                "sha256": transfer.sha256,
                "capacity": entry.capacity if entry else None,
                "populated_size": entry.populated_size if entry else None,
            }
            save_record(folder, name, record)
    except BaseException:
        with contextlib.suppress(Exception):
            _forget_disk(folder, name, file, record)
        raise
    status = folder.stat(file)
    if status is not None:
        record.disks[file]["mtime_ns"] = status.mtime_ns
        save_record(folder, name, record)


def _forget_disk(folder: Share, name: str, file: str, record: Record) -> None:
    """Remove a disk that was not written from the record, and the record if no disk is left that it could explain."""
    if record.disks.pop(file, None) is None:
        return
    if record.disks or folder.stat(file) is not None:
        save_record(folder, name, record)
    else:
        folder.remove(sidecar_name(name))


def _check_disks(lease: Lease, disks: dict[str, Device], record: Record) -> None:
    """Raise Corrupt when a disk that an earlier run exported differs from the host's disk, if the host reports a digest."""
    manifest: dict[str, ManifestEntry] = lease.manifest()
    for file, device in disks.items():
        entry = record.disks[file]
        theirs = manifest.get(device.key)
        if theirs is not None and theirs.sha1 and theirs.sha1 != entry["sha1"]:
            raise Corrupt(
                f"The exported disk {file} differs from the disk on the host.",
                code="vsphere.checksum",
                hint="Delete the file and export again.",
                expected=theirs.sha1,
                found=entry["sha1"],
            )


def _descriptor(
    session: Session, vm: Any, source: _Source, record: Record, subject: str
) -> tuple[bytes, tuple[str, ...]]:
    """Return vCenter's descriptor for the downloaded files, checked by reading it, and vCenter's warnings."""
    manager = pyvmomi.vim.OvfManager
    files = []
    for file, entry in sorted(record.disks.items(), key=lambda pair: (len(pair[0]), pair[0])):
        item = manager.OvfFile(deviceId=entry["device"], path=file, size=entry["size"])
        if entry["capacity"]:
            item.capacity = entry["capacity"]
        if entry["populated_size"]:
            item.populatedSize = entry["populated_size"]
        files.append(item)
    parameters = manager.CreateDescriptorParams(ovfFiles=files, name=source.name, includeImageFiles=False)
    if source.snapshot:
        parameters.snapshot = source.snapshot.ref
    with explained(subject):
        result = session.content.ovfManager.CreateDescriptor(vm, parameters)
    if result.error or not result.ovfDescriptor:
        problems = "; ".join(fault_text(fault) for fault in result.error or []) or "it gave no reason"
        raise Unavailable(
            f"{subject} failed: vCenter created no OVF descriptor: {problems}.",
            code="vsphere.descriptor",
            hint="Check the hardware of the VM.",
        )
    text = result.ovfDescriptor.encode("utf-8")
    descriptor = parse_descriptor(text, f"The OVF descriptor of {source.vm_name}")
    # vCenter may write the names of files as URIs.
    listed = {name for file in descriptor.files for name in (file.href, urllib.parse.unquote(file.href))}
    if not set(record.disks) <= listed:
        raise Corrupt(
            f"{subject} failed: the OVF descriptor lacks one of the disks.",
            code="vsphere.descriptor",
            hint="Run this playbook again.",
        )
    return text, tuple(fault_text(fault) for fault in result.warning or [])


def _finish(folder: Share, name: str, record: Record, descriptor: bytes, warnings: tuple[str, ...]) -> Export:
    ovf = f"{name}.ovf"
    record.files = {ovf: hashlib.sha256(descriptor).hexdigest()}
    record.complete = True
    digests = record.files | {file: entry["sha256"] for file, entry in record.disks.items()}
    write_file(folder, name, ovf, descriptor)
    write_file(folder, name, f"{name}.mf", _manifest(ovf, digests))
    save_record(folder, name, record)
    return Export(True, folder.where(ovf), digests, _size(folder, digests), warnings)


def _forget(folder: Share, name: str) -> None:
    """Remove descriptor and manifest before the disks change, so that they never describe different disks."""
    for suffix in (".mf", ".ovf"):
        folder.remove(name + suffix)


def _remove_temporary(folder: Share, name: str) -> None:
    for entry, _is_folder in folder.names():
        if entry.startswith(temporary_prefix(name)):
            folder.remove(entry)


def _manifest(ovf: str, digests: dict[str, str]) -> bytes:
    order = [ovf, *sorted(file for file in digests if file != ovf)]
    return write_manifest(Entry(file, "sha256", digests[file]) for file in order)


def _size(folder: Share, digests: dict[str, str]) -> int:
    return sum(status.size for status in map(folder.stat, digests) if status)


def _sha256(folder: Share, file: str) -> str:
    digest = hashlib.sha256()
    with folder.open(file) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
