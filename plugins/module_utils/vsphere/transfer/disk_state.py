# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence that the disks of a virtual machine contain the same data as at an earlier time.

``config.changeVersion`` counts changes of the configuration, not of the disks. The evidence for a disk is its content
ID: the vSphere API guarantees that a disk with the same content ID, which no virtual machine writes to, has the same
data, also if a different virtual machine wrote to it. A disk without a content ID counts as unchanged only if vCenter
knows when the VM was last powered on and the files of the disk have the same names and sizes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ...common.errors import StrataError
from ...common.optional_imports import pyvmomi
from ..faults import explained
from ..properties import read
from ..session import Session
from ..vm import Snapshot, last_power_on

_SUBJECT = "Reading the disks of the virtual machine"


@dataclass(frozen=True, slots=True)
class DiskState:
    """The state of disks that can change.

    ``created`` is the time of the snapshot that the disks belong to. ``powered_on`` is the number of the VM's last power-on
    event, None if vCenter knows none. ``contents`` has content IDs by device key, "" for a disk without an ID. ``files``
    has sizes in bytes by datastore path; it is empty if all disks have content IDs. ``shared``: hosts or virtual machines
    can write to a disk without a trace.
    """

    created: str = ""
    powered_on: int | None = None
    contents: dict[str, str] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    shared: bool = False

    def as_document(self) -> dict[str, Any]:
        """Return the state as JSON data."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Any) -> DiskState:
        """Read the state from JSON data. Raises ValueError, TypeError or AttributeError if it is not valid."""
        state = cls(**document)
        texts = [state.created, *state.contents, *state.contents.values(), *state.files]
        sizes = [0 if state.powered_on is None else state.powered_on, *state.files.values()]
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(size, int) for size in sizes):
            raise ValueError("invalid disk state")
        return state


def read_disk_state(session: Session, vm: Any, snapshot: Snapshot | None = None) -> DiskState:
    """Return the state of the VM's disks, or of those disks of ``snapshot`` that it does not protect from changes.

    A snapshot contains the disks as they were, except independent disks, which the VM continues to use.
    """
    devices = _disks(read(session, vm, "config.hardware.device", subject=_SUBJECT))
    created = ""
    if snapshot is not None:
        created = snapshot.created
        kept = _disks(read(session, snapshot.ref, "config.hardware.device", subject=_SUBJECT))
        open_keys = {device.key for device in kept if str(device.backing.diskMode or "").startswith("independent")}
        if not open_keys:
            return DiskState(created)
        devices = [device for device in devices if device.key in open_keys]
    contents = {str(device.key): getattr(device.backing, "contentId", None) or "" for device in devices}
    complete = bool(contents) and all(contents.values())
    return DiskState(
        created=created,
        powered_on=_last_power_on(session, vm),
        contents=contents,
        files={} if complete else _files(session, vm, [device.key for device in devices]),
        shared=any(map(_is_shared, devices)) or (snapshot is not None and _is_running(session, vm)),
    )


def is_unchanged(before: DiskState, now: DiskState) -> bool:
    """Return whether the disks are proven to contain the same data; False if the evidence is incomplete."""
    if now.created != before.created or now.contents.keys() != before.contents.keys() or now.shared:
        return False
    if not now.contents:
        return bool(now.created)  # All disks are protected by the snapshot.
    if now.powered_on is not None and now.powered_on != before.powered_on:
        return False
    if all(now.contents.values()) and all(before.contents.values()):
        # vCenter removes old events: without an event, the content IDs decide.
        return now.contents == before.contents
    return now.powered_on is not None and bool(now.files) and now.files == before.files


def _disks(values: dict[str, Any]) -> list[Any]:
    kind = pyvmomi.vim.vm.device.VirtualDisk
    return [device for device in values.get("config.hardware.device", []) if isinstance(device, kind)]


def _is_shared(device: Any) -> bool:
    """Return whether data can be written to the disk past the VM: a LUN of the storage, or a disk for several writers."""
    backing = device.backing
    several = getattr(backing, "sharing", None) not in (None, "", "sharingNone")
    return several or "RawDisk" in type(backing).__name__


def _is_running(session: Session, vm: Any) -> bool:
    return read(session, vm, "runtime.powerState", subject=_SUBJECT).get("runtime.powerState") != "poweredOff"


def _last_power_on(session: Session, vm: Any) -> int | None:
    """Return the number of the last power-on event, None if vCenter has none or does not show events to the account."""
    try:
        return last_power_on(session, vm)
    except StrataError as error:
        if error.code != "vsphere.permission":
            raise
        return None


def _files(session: Session, vm: Any, keys: Iterable[int]) -> dict[str, int]:
    """Return the sizes of the files of disks, with the files of their parents, as the storage has them now."""
    # Without the refresh, vCenter reports the sizes of an earlier time. An account may lack the permission.
    with contextlib.suppress(StrataError), explained(_SUBJECT):
        vm.RefreshStorageInfo()
    layout = read(session, vm, "layoutEx", subject=_SUBJECT).get("layoutEx")
    if layout is None:
        return {}
    chosen = set(keys)
    numbers = {
        number
        for disk in layout.disk or []
        if disk.key in chosen
        for unit in disk.chain or []
        for number in unit.fileKey or []
    }
    return {file.name: int(file.size) for file in layout.file or [] if file.key in numbers}
