# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on a virtual machine: facts, power, snapshots, settings, removal."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..common.errors import Conflict, NotFound
from ..common.optional_imports import pyvmomi
from ..common.progress import Progress, silent
from .busy import PATIENTLY, Waiting, patiently
from .faults import explained
from .hardware.hardware import option_values
from .inventory.inventory import Inventory
from .inventory.names import path_name, plain_name
from .power import power_on_by_drs
from .properties import read, wait_for
from .session import Session
from .tasks import wait_for_task

#: Seconds.
_NO_LIMIT = 10 * 365 * 86400


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot; ``path`` has the names from the root of the tree, joined by slashes."""

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
    """The facts of a virtual machine. ``guest`` has tools_status and tools_running; ``disks`` are (datastore path, bytes).

    A VM in a vApp has no folder: then ``folder_path`` and ``datacenter`` are empty. ``accessible``: vCenter knows the VM's
    configuration; without it, all that depends on the configuration is empty.
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
    connection_state: str
    accessible: bool


_FACTS = (
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
    "runtime.connectionState",
    "runtime.powerState",
    "guest.toolsStatus",
    "guest.toolsRunningStatus",
    "snapshot",
)


def read_facts(session: Session, vm: Any) -> VmFacts:
    """Return the facts of a VM. Raises NotFound (vsphere.gone) when the VM does not exist."""
    values = read(session, vm, *_FACTS, subject="Reading the virtual machine")
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
        connection_state=str(values.get("runtime.connectionState", "")),
        accessible="config.instanceUuid" in values,
    )


def power_on(session: Session, vm: Any, *, timeout: float = 300, any_host: bool = False) -> None:
    """Power the VM on, unless it is on; with ``any_host`` on a host that DRS selects, if the cluster has DRS."""
    subject = f"Powering on {_name(session, vm)}"
    events = functools.partial(last_power_on, session, vm)

    def work() -> None:
        if _power(session, vm) == "poweredOn":
            return
        if any_host and power_on_by_drs(session, vm, subject, last_power_on=events, timeout=timeout):
            return
        with explained(subject):
            task = vm.PowerOnVM_Task(None)
        wait_for_task(session, task, subject, timeout=timeout)

    patiently(session, vm, "PowerOnVM_Task", work)


def last_power_on(session: Session, vm: Any) -> int | None:
    """Return the number of the newest power-on event of the VM; None when vCenter has none.

    A VM's change version changes with its settings, but not when it runs.
    """
    event = pyvmomi.vim.event
    entity = event.EventFilterSpec.ByEntity(entity=vm, recursion="self")
    with explained(f"Reading the events of {_name(session, vm)}"):
        events = session.content.eventManager.QueryEvents(
            event.EventFilterSpec(entity=entity, eventTypeId=["VmPoweredOnEvent", "DrsVmPoweredOnEvent"])
        )
    return max((entry.key for entry in events or []), default=None)


def server_time(session: Session) -> float:
    """Return the time of vCenter's clock in seconds since 1970."""
    with explained("Reading the time of vCenter"):
        return float(session.object("ServiceInstance", "ServiceInstance").CurrentTime().timestamp())


def uptime(session: Session, vm: Any) -> float | None:
    """Return for how many seconds the VM has been on, None if vCenter does not know; with the clock of vCenter."""
    booted = read(session, vm, "runtime.bootTime").get("runtime.bootTime")
    return None if booted is None else max(0.0, server_time(session) - booted.timestamp())


def power_off(session: Session, vm: Any, *, timeout: float = 300) -> None:
    """Power the VM off without shutting the guest down, unless it is off."""
    subject = f"Powering off {_name(session, vm)}"

    def work() -> None:
        if _power(session, vm) == "poweredOff":
            return
        with explained(subject):
            task = vm.PowerOffVM_Task()
        wait_for_task(session, task, subject, timeout=timeout)

    try:
        patiently(session, vm, "PowerOffVM_Task", work)
    except Conflict:
        # The VM powered itself off at the same moment.
        if _power(session, vm) != "poweredOff":
            raise


def shutdown_guest(session: Session, vm: Any, *, timeout: float = 600, progress: Progress = silent) -> None:
    """Shut the guest down and wait until the VM is off; VMware Tools must run. Raises TimedOut after ``timeout`` seconds."""
    if _power(session, vm) == "poweredOff":
        return
    subject = f"Shutting down the guest of {_name(session, vm)}"

    def work() -> None:
        with explained(subject):
            vm.ShutdownGuest()

    patiently(session, vm, "ShutdownGuest", work)
    wait_for_power_off(session, vm, timeout=timeout, progress=progress)


def wait_for_power_off(session: Session, vm: Any, *, timeout: float, progress: Progress = silent) -> None:
    """Wait until the VM is off; ``progress`` receives seconds. Raises TimedOut after ``timeout`` seconds."""
    started = time.monotonic()

    def tick(_values: dict) -> None:
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


def pending_question(session: Session, vm: Any) -> str | None:
    """Return vSphere's question about the VM, which is blocked until it is answered; None without a question."""
    return _question(read(session, vm, "runtime.question").get("runtime.question"))


def watch_until_off(
    session: Session, vm: Any, tick: Callable[[dict[str, str], bool, str | None], None], *, interval: float = 5
) -> None:
    """Wait without a time limit until the VM is off.

    ``tick`` is called with the VM's extraConfig (which contains guestinfo), whether the VM is off, and vSphere's question: after
    every change, including the last, and at least every ``interval`` seconds. It raises to end the wait.
    """

    def examine(_values: dict) -> bool:
        # The update only triggers a read: servers report extraConfig as a whole, by entry, or, if the guest has set it, not at all.
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
        examine,
        _NO_LIMIT,
        subject=subject,
        interval=interval,
    )


def create_snapshot(session: Session, vm: Any, name: str, description: str = "", *, timeout: float = 1800) -> Snapshot:
    """Take a snapshot without memory and return it. Raises NotFound (vsphere.gone) when it does not exist afterwards."""
    subject = f"Creating the snapshot {name} of {_name(session, vm)}"

    def work() -> Any:
        with explained(subject):
            task = vm.CreateSnapshot_Task(name, description, False, False)
        return wait_for_task(session, task, subject, timeout=timeout, result=True)

    taken = patiently(session, vm, "CreateSnapshot_Task", work)
    for snapshot in list_snapshots(session, vm):
        if snapshot.ref == taken:
            return snapshot
    raise NotFound(
        f"{subject} succeeded, but the snapshot does not exist.",
        code="vsphere.gone",
        hint="Another client removed it while the module was running; run this playbook again.",
    )


def list_snapshots(session: Session, vm: Any) -> tuple[Snapshot, ...]:
    """Return all snapshots, parents before children."""
    return _snapshots(read(session, vm, "snapshot").get("snapshot"))


def reconfigure(
    session: Session,
    vm: Any,
    *,
    annotation: str | None = None,
    extra_config: dict[str, str] | None = None,
    timeout: float = 300,
    waiting: Waiting = PATIENTLY,
) -> None:
    """Set the notes and entries of extraConfig; an empty value removes an entry.

    Raises:
        Conflict: ``vsphere.busy`` or ``vsphere.state`` if the VM is busy for longer than ``waiting`` allows.
        StrataError: as ``fault_error``.
    """
    subject = f"Changing the settings of {_name(session, vm)}"
    spec = pyvmomi.vim.vm.ConfigSpec()
    if annotation is not None:
        spec.annotation = annotation
    if extra_config:
        spec.extraConfig = option_values(extra_config)

    def work() -> None:
        with explained(subject):
            task = vm.ReconfigVM_Task(spec)
        wait_for_task(session, task, subject, timeout=timeout)

    patiently(session, vm, "ReconfigVM_Task", work, waiting)


def destroy(
    session: Session,
    vm: Any,
    *,
    running: bool = True,
    timeout: float = 1800,
    waiting: Waiting = PATIENTLY,
) -> None:
    """Delete the VM with its disks; a VM that is on is powered off first, a VM that does not exist is not an error.

    With ``running`` false, a VM that is on is not deleted: Conflict (vsphere.power_state). ``waiting`` as for
    ``patiently``: a lease holds its VM until the lease has expired.
    """

    def work() -> None:
        if running:
            power_off(session, vm)
        with explained(subject):
            task = vm.Destroy_Task()
        wait_for_task(session, task, subject, timeout=timeout)

    try:
        subject = f"Removing {_name(session, vm)}"
        patiently(session, vm, "Destroy_Task", work, waiting)
    except NotFound:
        return


def _name(session: Session, vm: Any) -> str:
    return plain_name(
        read(session, vm, "name", subject=f"Reading the virtual machine {vm._GetMoId()}").get("name", vm._GetMoId())
    )


def _power(session: Session, vm: Any) -> str:
    return str(read(session, vm, "runtime.powerState")["runtime.powerState"])


def _question(info: Any) -> str | None:
    return None if info is None else " ".join((info.text or "").split())[:300] or "no text"


def _short(device: Any) -> str:
    """Return the adapter type as in .vmx files, such as ``vmxnet3``."""
    name = type(device).__name__.rpartition(".")[2].removeprefix("Virtual").lower()
    return {"pcnet32": "vlance"}.get(name, name)


def _snapshots(info: Any) -> tuple[Snapshot, ...]:
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
