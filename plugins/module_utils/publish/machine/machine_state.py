# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of an image's VM in vSphere, which earlier runs may have left at any point."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from ...catalog.publish_task_record import PublishTaskRecord
from ...catalog.resolved_template import ResolvedTemplate
from ...catalog.vsphere_records import MachineRecord
from ...common.errors import Conflict, NotFound
from ...vsphere import vm as machines
from ...vsphere.busy import Waiting
from ...vsphere.inventory.inventory import Inventory
from ...vsphere.session import Session
from ...vsphere.vm import VmFacts, read_facts
from ..guest import guest_report
from ..retiring import ownership
from ..retiring.clones import Clones
from . import image_records, vm_metadata
from .vm_metadata import POWERED_OFF, STATE_COMPLETE, STATE_FAILED, STATE_READY, STATE_UPLOADING

_STATES = (*ownership.UNFINISHED_STATES, STATE_COMPLETE)


class MachineState(enum.Enum):
    """The progress of the VM of an image. The values are shown in diff mode."""

    #: The VM does not exist.
    ABSENT = "none"
    #: The disk may be incomplete, and the VM was never a finished image.
    INCOMPLETE = "incomplete"
    #: The disk is complete, but the VM still has the state of an upload.
    UPLOADED = "uploaded"
    #: The disk is complete, and Windows has not run or has to run again.
    READY_TO_START = "to be started"
    #: The VM is powered on and runs its scripts.
    RUNNING = "running"
    #: The VM is powered off after its scripts.
    STOPPED = "off"
    #: The VM is marked as finished, but has no snapshot.
    NEEDS_SNAPSHOT = "without snapshot"
    #: The VM is the finished image.
    PUBLISHED = "image"
    #: The VM is marked as finished, but an administrator has powered it on.
    PUBLISHED_POWERED_ON = "powered on"
    #: The VM was a finished image, and its snapshot was removed: its disk may have changed.
    SNAPSHOT_REMOVED = "snapshot removed"
    #: The VM was converted to a template.
    TEMPLATE = "template"
    #: The settings of the VM contradict the records or the image.
    SETTINGS_CHANGED = "settings changed"
    #: vCenter cannot read the configuration of the VM.
    INACCESSIBLE = "not accessible"


def observe(
    session: Session,
    template: ResolvedTemplate,
    facts: VmFacts | None,
    *,
    was_image: bool = False,
    uploaded: bool = False,
) -> MachineState:
    """Return the state of a VM of ``template``; ``facts`` is None when the VM does not exist.

    ``was_image``: the records of the repository show that the VM was a finished image, or do not show where it comes from.
    ``uploaded``: they show that its disk is complete.
    """
    if facts is None:
        return MachineState.ABSENT
    if not facts.accessible:
        return MachineState.INACCESSIBLE
    if facts.template:
        return MachineState.TEMPLATE
    state = facts.extra_config.get(vm_metadata.KEY_STATE)
    if not is_of(facts, template) or state not in _STATES or (was_image and state != STATE_COMPLETE):
        return MachineState.SETTINGS_CHANGED
    if state == STATE_COMPLETE:
        return _state_of_finished(template, facts, was_image)
    if state == STATE_UPLOADING:
        # The VM of an incomplete disk has no snapshot.
        if facts.snapshots:
            return MachineState.SETTINGS_CHANGED
        if not uploaded:
            return MachineState.INCOMPLETE
        if facts.power_state == POWERED_OFF and not _has_run(session, facts):
            return MachineState.UPLOADED
        # An administrator has powered the VM on.
        state = STATE_READY
    if facts.power_state != POWERED_OFF:
        return MachineState.RUNNING
    report = guest_report.read_report(facts.extra_config, template.content_digest)
    if report is not None:
        finished = report.state == guest_report.FINISHED
        return MachineState.STOPPED if finished else MachineState.READY_TO_START
    if state == STATE_FAILED or (state == STATE_READY and not _has_run(session, facts)):
        return MachineState.READY_TO_START
    return MachineState.STOPPED


def _state_of_finished(template: ResolvedTemplate, facts: VmFacts, was_image: bool) -> MachineState:
    snapshot = vm_metadata.snapshot_name(template)
    if vm_metadata.is_image(facts, template.image_digest, snapshot):
        return MachineState.PUBLISHED
    if was_image and not any(existing.name == snapshot for existing in facts.snapshots):
        return MachineState.SNAPSHOT_REMOVED
    return MachineState.NEEDS_SNAPSHOT if facts.power_state == POWERED_OFF else MachineState.PUBLISHED_POWERED_ON


def _has_run(session: Session, facts: VmFacts) -> bool:
    """Return whether the VM was powered on after it was ready: a run may have ended before it could record that."""
    last = machines.last_power_on(session, session.object("VirtualMachine", facts.moid))
    before = facts.extra_config.get(vm_metadata.KEY_POWERED_ON, "0")
    return last is not None and last > (int(before) if before.isdecimal() else 0)


@dataclass(frozen=True)
class FoundMachine:
    """The VM of an image, None when there is none; ``released`` are recorded VMs whose settings were removed."""

    facts: VmFacts | None
    released: tuple[VmFacts, ...] = ()


def find_machine(
    session: Session, template: ResolvedTemplate, folder: Any, records: Iterable[MachineRecord]
) -> FoundMachine:
    """Find the VM of an image: the first VM of ``records`` that exists, else the VM with the image's name in ``folder``.

    Recorded VMs are found under any name and in any folder; ``folder`` None looks only for them. Raises Conflict
    (publish.name_in_use) when a VM of the image's name was not published from this template.
    """
    released: list[VmFacts] = []
    for record in records:
        facts = image_records.read_machine(session, record)
        if facts is not None and not ownership.is_released(facts):
            return FoundMachine(facts)
        released += [facts] if facts is not None and facts not in released else []
    machine = Inventory(session).vms_in(folder).get(vm_metadata.machine_name(template)) if folder is not None else None
    if machine is None:
        return FoundMachine(None, tuple(released))
    try:
        facts = read_facts(session, machine)
    except NotFound:
        return FoundMachine(None, tuple(released))
    if facts.accessible and facts.extra_config.get(vm_metadata.KEY_TEMPLATE) not in template.names:
        raise Conflict(
            f"The VM name {facts.path} is in use by a VM that the template {template.name} did not publish.",
            code="publish.name_in_use",
            hint="Rename or remove that VM, or set vm_name of the template.",
            path=facts.path,
        )
    return FoundMachine(facts, tuple(released))


def is_of(facts: VmFacts, template: ResolvedTemplate) -> bool:
    """Return whether a VM was created for this image."""
    return vm_metadata.belongs_to(facts, template.names, template.image_digest)


def remove_machine(session: Session, facts: VmFacts, tick: Callable[[], None] = lambda: None) -> None:
    """Remove a VM that is not an image.

    A lease of an interrupted upload may still hold the VM. It can be removed when the lease has expired, which also
    removes the VM; until then ``tick`` is called every few seconds. Raises Conflict when the VM is still held afterwards.
    """
    machine = session.object("VirtualMachine", facts.moid)
    machines.destroy(session, machine, waiting=Waiting(session.patience.lease, tick))


def machine_of_task(session: Session, task: PublishTaskRecord) -> VmFacts | None:
    """Return the VM that a task recorded; None when it does not exist or has no settings of a published VM."""
    if task.vm is None:
        return None
    facts = None
    if task.vm.instance_uuid:
        facts = image_records.read_machine(session, task.vm)
    elif task.vm.datacenter and task.vm.path:
        # The run ended while vCenter was creating the VM.
        inventory = Inventory(session)
        with contextlib.suppress(NotFound):
            folder = inventory.folder(inventory.datacenter(task.vm.datacenter), task.vm.path.rpartition("/")[0])
            machine = inventory.vms_in(folder).get(task.vm.name)
            facts = read_facts(session, machine) if machine is not None else None
    return None if facts is None or ownership.is_released(facts) else facts


def unfinished_machine(session: Session, task: PublishTaskRecord, finished: Collection[str]) -> VmFacts | None:
    """Return the VM that a task recorded if it is the task's unfinished work; ``finished`` as for ``ownership.work_change``."""
    facts = machine_of_task(session, task)
    if facts is None or _work_change(facts, task, finished):
        return None
    return facts


def remove_unfinished(session: Session, task: PublishTaskRecord, finished: Collection[str]) -> str | None:
    """Remove the VM that a task recorded if it is the task's unfinished work.

    Return the warning about a VM that is kept although it is not a finished image; ``finished`` as for ``ownership.work_change``.
    """
    kept = kept_vm(session, task, finished)
    if kept is not None:
        return kept_text(*kept)
    facts = unfinished_machine(session, task, finished)
    return None if facts is None else remove_work(session, facts, None)


def kept_vm(session: Session, task: PublishTaskRecord, finished: Collection[str]) -> tuple[VmFacts, str] | None:
    """Return the VM of a task and why it is kept, None if it is the task's unfinished work, a finished image, or does not exist."""
    facts = machine_of_task(session, task)
    digest = task.digest or ""
    if facts is None or (digest and vm_metadata.is_image(facts, digest, vm_metadata.snapshot_of(digest))):
        return None
    change = _work_change(facts, task, finished)
    return None if change is None else (facts, change)


def _work_change(facts: VmFacts, task: PublishTaskRecord, finished: Collection[str]) -> str | None:
    template = ownership.template_name(facts, task.template_names)
    return ownership.work_change(facts, template, task.digest or "", finished)


def remove_work(
    session: Session, facts: VmFacts, change: str | None, tick: Callable[[], None] = lambda: None
) -> str | None:
    """Remove an unfinished VM, unless ``change`` says why it is not unfinished work, or clones depend on its disk.

    Return the warning about a VM that is kept.
    """
    if change is None and facts.extra_config.get(vm_metadata.KEY_STATE) != STATE_UPLOADING:
        change = Clones(session).reason_to_keep(facts)
    if change is not None:
        return kept_text(facts, change)
    remove_machine(session, facts, tick)
    return None


def kept_text(facts: VmFacts, reason: str) -> str:
    """Return the warning about a VM that is kept although its publish task has ended."""
    return f"The VM {facts.path} is kept because {reason}. If you do not need it, delete it in the vSphere Client."
