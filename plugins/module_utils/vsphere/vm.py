# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a virtual machine: facts, power, snapshots, settings, removal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..common.errors import Conflict, NotFound
from ..common.optional_imports import pyvmomi
from ..common.progress import Progress, silent
from .faults import explained
from .hardware import option_values
from .inventory import Inventory, escaped_name, path_name, plain_name
from .properties import read, wait_for
from .session import Session
from .tasks import wait_for_task

_ENDLESS = 10 * 365 * 86400


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot; ``path`` are the names from the root of the tree joined by slashes."""

    name: str
    description: str
    moid: str
    id: int
    path: str
    created: str
    current: bool
    ref: Any


@dataclass(frozen=True, slots=True)
class VmFacts:
    """What is known of a virtual machine. ``guest`` holds tools_status and tools_running; ``disks`` are (datastore path, bytes).

    A machine in a vApp has no folder: then ``folder_path`` and ``datacenter`` are empty.
    """

    name: str
    moid: str
    instance_uuid: str
    folder_path: str
    path: str
    datacenter: str
    datastore_path: str
    power_state: str
    template: bool
    hardware_version: str
    firmware: str
    guest_id: str
    annotation: str
    extra_config: dict[str, str]
    nic_types: tuple[str, ...]
    has_tpm: bool
    disks: tuple[tuple[str, int], ...]
    snapshots: tuple[Snapshot, ...]
    guest: dict[str, str]
    change_version: str


def read_facts(session: Session, vm) -> VmFacts:
    """Everything a report or a check needs to know; NotFound when the machine is gone."""
    values = read(
        session,
        vm,
        "name",
        "parent",
        "config.instanceUuid",
        "config.files.vmPathName",
        "config.template",
        "config.version",
        "config.firmware",
        "config.guestId",
        "config.annotation",
        "config.extraConfig",
        "config.hardware.device",
        "config.changeVersion",
        "runtime.powerState",
        "guest.toolsStatus",
        "guest.toolsRunningStatus",
        "snapshot",
        subject="Reading the virtual machine",
    )
    inventory = Inventory(session)
    kinds = pyvmomi.vim.vm.device
    devices = values.get("config.hardware.device", [])
    folder = inventory.path(values["parent"]) if values.get("parent") is not None else ""
    return VmFacts(
        name=plain_name(values["name"]),
        moid=vm._GetMoId(),
        instance_uuid=values.get("config.instanceUuid", ""),
        folder_path=folder,
        path=f"{folder}/{path_name(values['name'])}",
        datacenter=plain_name(read(session, inventory.datacenter_of(vm), "name")["name"]) if folder else "",
        datastore_path=values.get("config.files.vmPathName", ""),
        power_state=str(values.get("runtime.powerState", "")),
        template=bool(values.get("config.template")),
        hardware_version=values.get("config.version", ""),
        firmware=values.get("config.firmware", "bios"),
        guest_id=values.get("config.guestId", ""),
        annotation=values.get("config.annotation", ""),
        extra_config={option.key: str(option.value) for option in values.get("config.extraConfig", [])},
        nic_types=tuple(_short(device) for device in devices if isinstance(device, kinds.VirtualEthernetCard)),
        has_tpm=any(isinstance(device, kinds.VirtualTPM) for device in devices),
        disks=tuple(
            (device.backing.fileName, device.capacityInKB * 1024)
            for device in devices
            if isinstance(device, kinds.VirtualDisk)
        ),
        snapshots=_snapshots(values.get("snapshot")),
        guest={
            "tools_status": str(values.get("guest.toolsStatus", "")),
            "tools_running": str(values.get("guest.toolsRunningStatus", "")),
        },
        change_version=values.get("config.changeVersion", ""),
    )


def power_on(session: Session, vm, *, timeout: float = 300) -> None:
    """Power the machine on; one that is on stays so."""
    subject = f"Powering on {_name(session, vm)}"
    if _power(session, vm) == "poweredOn":
        return
    with explained(subject):
        task = vm.PowerOnVM_Task(None)
    wait_for_task(session, task, subject, timeout=timeout)


def last_power_on(session: Session, vm) -> int | None:
    """Number of the newest event in which the machine was powered on; None when vCenter remembers none.

    A machine's change version tells of its settings, not of what ran in it.
    """
    event = pyvmomi.vim.event
    entity = event.EventFilterSpec.ByEntity(entity=vm, recursion="self")
    with explained(f"Reading the events of {_name(session, vm)}"):
        found = session.content.eventManager.QueryEvents(
            event.EventFilterSpec(entity=entity, eventTypeId=["VmPoweredOnEvent", "DrsVmPoweredOnEvent"])
        )
    return max((one.key for one in found or []), default=None)


def power_off(session: Session, vm, *, timeout: float = 300) -> None:
    """Switch the machine off at once; one that is off stays so."""
    subject = f"Powering off {_name(session, vm)}"
    if _power(session, vm) == "poweredOff":
        return
    try:
        with explained(subject):
            task = vm.PowerOffVM_Task()
        wait_for_task(session, task, subject, timeout=timeout)
    except Conflict:
        # It switched itself off at the same moment.
        if _power(session, vm) != "poweredOff":
            raise


def shutdown_guest(session: Session, vm, *, timeout: float = 600, progress: Progress = silent) -> None:
    """Ask the guest to shut down and wait until it is off; needs running VMware Tools."""
    if _power(session, vm) == "poweredOff":
        return
    with explained(f"Shutting down the guest of {_name(session, vm)}"):
        vm.ShutdownGuest()
    wait_for_power_off(session, vm, timeout=timeout, progress=progress)


def wait_for_power_off(session: Session, vm, *, timeout: float, progress: Progress = silent) -> None:
    """Wait until the machine is off; TimedOut after ``timeout`` seconds. ``progress`` gets seconds."""
    started = time.monotonic()

    def tick(unused: dict) -> None:
        progress("wait for shutdown", int(time.monotonic() - started), int(timeout))

    wait_for(
        session,
        vm,
        ["runtime.powerState"],
        lambda values: values.get("runtime.powerState") == "poweredOff",
        timeout,
        subject=f"Waiting for {_name(session, vm)} to shut down",
        tick=tick,
    )


def pending_question(session: Session, vm) -> str | None:
    """What vSphere asks about the machine, which stands still until somebody answers; None when it asks nothing."""
    return _question(read(session, vm, "runtime.question").get("runtime.question"))


def watch_until_off(
    session: Session, vm, tick: Callable[[dict[str, str], bool, str | None], None], *, interval: float = 5
) -> None:
    """Wait without an end until the machine is off, and tell ``tick`` its extraConfig, in which guestinfo stands, whether it is off, and what vSphere asks.

    ``tick`` is called after every change, the last one included, and at least every ``interval`` seconds; it raises to
    end the wait.
    """

    def look(unused: dict) -> bool:
        # An update only wakes: servers tell of extraConfig as a whole, by entry, or, when the guest has set it, not at all.
        values = read(session, vm, "runtime.powerState", "runtime.question", "config.extraConfig", subject=subject)
        off = values.get("runtime.powerState") == "poweredOff"
        tick(
            {option.key: str(option.value) for option in values.get("config.extraConfig", [])},
            off,
            _question(values.get("runtime.question")),
        )
        return off

    subject = f"Waiting for {_name(session, vm)} to shut down"
    wait_for(
        session,
        vm,
        ["runtime.powerState", "runtime.question", "config.extraConfig"],
        look,
        _ENDLESS,
        subject=subject,
        interval=interval,
    )


def create_snapshot(session: Session, vm, name: str, description: str = "", *, timeout: float = 1800) -> Snapshot:
    """Take a snapshot without memory and return it."""
    subject = f"Creating the snapshot {name} of {_name(session, vm)}"
    with explained(subject):
        task = vm.CreateSnapshot_Task(name, description, False, False)
    taken = wait_for_task(session, task, subject, timeout=timeout, result=True)
    for snapshot in list_snapshots(session, vm):
        if snapshot.ref == taken:
            return snapshot
    raise NotFound(
        f"{subject} succeeded, but the snapshot is not there.",
        code="vsphere.gone",
        hint="Something else removed it meanwhile; run again.",
    )


def list_snapshots(session: Session, vm) -> tuple[Snapshot, ...]:
    """All snapshots, parents before children."""
    return _snapshots(read(session, vm, "snapshot").get("snapshot"))


def remove_snapshot(session: Session, snapshot: Snapshot, *, children: bool = False, timeout: float = 3600) -> None:
    """Remove a snapshot, and those taken after it when ``children``; one that is gone is no error."""
    subject = f"Removing the snapshot {snapshot.name}"
    try:
        with explained(subject):
            task = snapshot.ref.RemoveSnapshot_Task(children, None)
        wait_for_task(session, task, subject, timeout=timeout)
    except NotFound:
        return


def reconfigure(
    session: Session,
    vm,
    *,
    annotation: str | None = None,
    extra_config: dict[str, str] | None = None,
    timeout: float = 300,
) -> None:
    """Set the notes and entries of extraConfig; an empty value removes an entry."""
    subject = f"Changing the settings of {_name(session, vm)}"
    spec = pyvmomi.vim.vm.ConfigSpec()
    if annotation is not None:
        spec.annotation = annotation
    if extra_config:
        spec.extraConfig = option_values(extra_config)
    with explained(subject):
        task = vm.ReconfigVM_Task(spec)
    wait_for_task(session, task, subject, timeout=timeout)


def rename(session: Session, vm, name: str, *, timeout: float = 300) -> None:
    """Give the machine another name; its files keep theirs."""
    subject = f"Renaming {_name(session, vm)} to {name}"
    with explained(subject):
        task = vm.Rename_Task(escaped_name(name))
    wait_for_task(session, task, subject, timeout=timeout)


def destroy(session: Session, vm, *, running: bool = True, timeout: float = 1800) -> None:
    """Delete the machine with its disks, switched off first when it is on; one that is gone is no error.

    With ``running`` false a machine that is on is left alone: Conflict.
    """
    try:
        subject = f"Removing {_name(session, vm)}"
        if running:
            power_off(session, vm)
        with explained(subject):
            task = vm.Destroy_Task()
        wait_for_task(session, task, subject, timeout=timeout)
    except NotFound:
        return


def _name(session: Session, vm) -> str:
    return plain_name(
        read(session, vm, "name", subject=f"Reading the virtual machine {vm._GetMoId()}").get("name", vm._GetMoId())
    )


def _power(session: Session, vm) -> str:
    return str(read(session, vm, "runtime.powerState")["runtime.powerState"])


def _question(info) -> str | None:
    return None if info is None else " ".join((info.text or "").split())[:300] or "no text"


def _short(device) -> str:
    """The adapter type as it is written in .vmx files, such as ``vmxnet3``."""
    name = type(device).__name__.rpartition(".")[2].removeprefix("Virtual").lower()
    return {"pcnet32": "vlance"}.get(name, name)


def _snapshots(info) -> tuple[Snapshot, ...]:
    found: list[Snapshot] = []
    if info is None:
        return ()
    waiting = [(tree, "") for tree in reversed(info.rootSnapshotList or [])]
    while waiting:
        tree, above = waiting.pop()
        path = f"{above}/{tree.name}" if above else tree.name
        found.append(
            Snapshot(
                name=tree.name,
                description=tree.description or "",
                moid=tree.snapshot._GetMoId(),
                id=tree.id,
                path=path,
                created=tree.createTime.isoformat(),
                current=tree.snapshot == info.currentSnapshot,
                ref=tree.snapshot,
            )
        )
        waiting.extend((child, path) for child in reversed(tree.childSnapshotList or []))
    return tuple(found)
