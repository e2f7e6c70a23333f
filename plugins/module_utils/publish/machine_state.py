# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of an image's VM in vSphere, which earlier runs may have left at any point."""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Callable
from typing import Any

from ..catalog.publish_task_record import PublishTaskRecord
from ..catalog.resolved_template import ResolvedTemplate
from ..catalog.vsphere_records import MachineRecord
from ..common.errors import Conflict, NotFound, TimedOut
from ..vsphere import vm as machines
from ..vsphere.inventory import Inventory
from ..vsphere.properties import wait_for
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts
from . import guest_report, vm_metadata
from .retention import refuse_clones
from .vm_metadata import POWERED_OFF, STATE_COMPLETE, STATE_FAILED, STATE_READY, STATE_STARTED

_TICK_SECONDS = 5
_STATES = (STATE_READY, STATE_STARTED, STATE_FAILED, STATE_COMPLETE)


class MachineState(enum.Enum):
    """The progress of the VM of an image. The values are shown in diff mode."""

    #: The VM does not exist.
    ABSENT = "none"
    #: The disk may be incomplete, or the VM is a template: it cannot become the image.
    INCOMPLETE = "half made"
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


def observe(session: Session, template: ResolvedTemplate, facts: VmFacts | None) -> MachineState:
    """Return the state of a VM of ``template``; ``facts`` is None when the VM does not exist."""
    if facts is None:
        return MachineState.ABSENT
    state = facts.extra_config.get(vm_metadata.KEY_STATE)
    if not is_of(facts, template) or state not in _STATES or facts.template:
        return MachineState.INCOMPLETE
    off = facts.power_state == POWERED_OFF
    if state == STATE_COMPLETE:
        if vm_metadata.is_image(facts, template.image_digest, vm_metadata.snapshot_name(template)):
            return MachineState.PUBLISHED
        return MachineState.NEEDS_SNAPSHOT if off else MachineState.PUBLISHED_POWERED_ON
    if not off:
        return MachineState.RUNNING
    report = guest_report.read_report(facts.extra_config, template.content_digest)
    if report is not None:
        finished = report.state == guest_report.FINISHED
        return MachineState.STOPPED if finished else MachineState.READY_TO_START
    if state == STATE_FAILED or (state == STATE_READY and not _has_run(session, facts)):
        return MachineState.READY_TO_START
    return MachineState.STOPPED


def _has_run(session: Session, facts: VmFacts) -> bool:
    """Return whether the VM was powered on after it was ready: a run may have ended before it could record that."""
    last = machines.last_power_on(session, session.object("VirtualMachine", facts.moid))
    before = facts.extra_config.get(vm_metadata.KEY_POWERED_ON, "0")
    return last is not None and last > (int(before) if before.isdecimal() else 0)


def find_machine(
    session: Session, template: ResolvedTemplate, folder: Any, recorded: MachineRecord | None
) -> VmFacts | None:
    """Return the VM of an image: the VM that its task recorded, else the VM with the image's name in ``folder``.

    ``folder`` None looks for the recorded VM only. Raises Conflict (publish.name_in_use) when a VM of that name was
    not published from this template.
    """
    inventory = Inventory(session)
    if recorded is not None and recorded.instance_uuid:
        try:
            facts = read_facts(session, inventory.vm(instance_uuid=recorded.instance_uuid))
        except NotFound:
            facts = None
        if facts is not None and is_of(facts, template):
            return facts
    machine = inventory.vms_in(folder).get(vm_metadata.machine_name(template)) if folder is not None else None
    if machine is None:
        return None
    try:
        facts = read_facts(session, machine)
    except NotFound:
        return None
    if facts.extra_config.get(vm_metadata.KEY_TEMPLATE) != template.name:
        raise Conflict(
            f"The VM name {facts.path} is in use by a VM that the template {template.name} did not publish.",
            code="publish.name_in_use",
            hint="Rename or remove that VM, or set vm_name of the template.",
            path=facts.path,
        )
    return facts


def is_of(facts: VmFacts, template: ResolvedTemplate) -> bool:
    """Return whether a VM was created for this image."""
    return vm_metadata.belongs_to(facts, template.name, template.image_digest)


def remove_machine(session: Session, facts: VmFacts, tick: Callable[[], None] = lambda: None) -> None:
    """Remove a VM that is not an image.

    A lease of an interrupted upload may still hold the VM. It can be removed when the lease has expired, which also
    removes the VM; until then ``tick`` is called every few seconds. Raises Conflict when the VM is still held afterwards.
    """
    machine = session.object("VirtualMachine", facts.moid)
    deadline = time.monotonic() + session.patience.lease
    while True:
        try:
            machines.destroy(session, machine)
            return
        except Conflict:
            if time.monotonic() > deadline:
                raise
        with contextlib.suppress(TimedOut, NotFound):
            wait_for(
                session, machine, ["name"], lambda _values: tick(), _TICK_SECONDS, subject=f"Removing {facts.name}"
            )


def unfinished_machine(session: Session, task: PublishTaskRecord) -> VmFacts | None:
    """Return the VM that a task recorded, None when it does not exist or is a finished image."""
    if task.vm is None:
        return None
    inventory = Inventory(session)
    facts = None
    with contextlib.suppress(NotFound):
        if task.vm.instance_uuid:
            facts = read_facts(session, inventory.vm(instance_uuid=task.vm.instance_uuid))
        elif task.vm.datacenter and task.vm.path:
            # The run ended while vCenter was creating the VM.
            folder = inventory.folder(inventory.datacenter(task.vm.datacenter), task.vm.path.rpartition("/")[0])
            machine = inventory.vms_in(folder).get(task.vm.name)
            facts = read_facts(session, machine) if machine is not None else None
    if facts is None or task.digest is None or not vm_metadata.belongs_to(facts, task.template, task.digest):
        return None
    finished = facts.extra_config.get(vm_metadata.KEY_STATE) == STATE_COMPLETE and facts.snapshots
    return None if finished else facts


def remove_unfinished(session: Session, task: PublishTaskRecord) -> None:
    """Remove the VM that a task recorded, unless it is a finished image.

    Raises Conflict ``publish.clones`` when clones depend on the VM, which was an image before its snapshots were removed.
    """
    facts = unfinished_machine(session, task)
    if facts is None:
        return
    if facts.extra_config.get(vm_metadata.KEY_STATE) == STATE_COMPLETE:
        refuse_clones(session, facts, "its publish task ends and its snapshots were removed")
    remove_machine(session, facts)
