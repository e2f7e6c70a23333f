# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an image's machine is, as it stands in vSphere: what earlier runs left, whenever and however they ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from ..catalog.resolved_template import ResolvedTemplate
from ..common.errors import Conflict, NotFound, TimedOut
from ..vsphere import vm as machines
from ..vsphere.inventory import Inventory
from ..vsphere.properties import wait_for
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts
from . import guest_report, image_records

#: There is none; its disk may not be whole; it is to be powered on; it is on; it is off with its scripts done;
#: it is marked as finished, without its snapshot; it is the image; it is the image, but somebody has powered it on.
NONE, HALF_MADE, TO_START, RUNNING, OFF, UNSNAPPED, IMAGE, SWITCHED_ON = (
    "none",
    "half made",
    "to be started",
    "running",
    "off",
    "without snapshot",
    "image",
    "switched on",
)
_OFF = "poweredOff"
_PAUSE = 5
_STATES = (
    image_records.STATE_READY,
    image_records.STATE_STARTED,
    image_records.STATE_FAILED,
    image_records.STATE_COMPLETE,
)


def find_machine(session: Session, template: ResolvedTemplate, folder, recorded: dict | None) -> VmFacts | None:
    """The machine of an image: the one that its task recorded, else the one of its name in ``folder`` (None: do not look).

    Conflict when something else has the name.
    """
    inventory = Inventory(session)
    if recorded and recorded.get("instance_uuid"):
        try:
            facts = read_facts(session, inventory.vm(instance_uuid=recorded["instance_uuid"]))
        except NotFound:
            facts = None
        if facts is not None and is_of(facts, template):
            return facts
    machine = inventory.vms_in(folder).get(image_records.machine_name(template)) if folder is not None else None
    if machine is None:
        return None
    try:
        facts = read_facts(session, machine)
    except NotFound:
        return None
    if facts.extra_config.get(image_records.KEY_TEMPLATE) != template.name:
        raise Conflict(
            f"There is a machine {facts.path} that was not published from the template {template.name}.",
            code="publish.name_in_use",
            hint="Rename or remove it, or set vm_name of the template.",
        )
    return facts


def is_of(facts: VmFacts, template: ResolvedTemplate) -> bool:
    """Whether a machine is that of this very image."""
    config = facts.extra_config
    return (config.get(image_records.KEY_TEMPLATE), config.get(image_records.KEY_IMAGE)) == (
        template.name,
        template.image_digest,
    )


def stand(session: Session, template: ResolvedTemplate, facts: VmFacts | None) -> str:
    """How far a machine is."""
    if facts is None:
        return NONE
    state = facts.extra_config.get(image_records.KEY_STATE)
    if not is_of(facts, template) or state not in _STATES or facts.template:
        return HALF_MADE
    off = facts.power_state == _OFF
    if state == image_records.STATE_COMPLETE:
        if image_records.is_image(facts, template.image_digest, image_records.snapshot_name(template)):
            return IMAGE
        return UNSNAPPED if off else SWITCHED_ON
    if not off:
        return RUNNING
    report = guest_report.read_report(facts.extra_config, template.content_digest)
    if report is not None:
        return OFF if report.state == guest_report.FINISHED else TO_START
    if state == image_records.STATE_FAILED or (state == image_records.STATE_READY and not _has_run(session, facts)):
        return TO_START
    return OFF


def remove_machine(session: Session, facts: VmFacts, tick: Callable[[], None] = lambda: None) -> None:
    """Remove a machine that is no image. One that a lease still holds can be removed when the lease has ended, which takes the machine with it.

    ``tick`` is called every few seconds while that is awaited.
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
            wait_for(session, machine, ["name"], lambda values: tick(), _PAUSE, what=f"Removing {facts.name}")


def unfinished_machine(session: Session, task: dict) -> VmFacts | None:
    """The machine of a task's document that is not a finished image, None when there is none."""
    recorded = task["vm"] or {}
    inventory = Inventory(session)
    facts = None
    with contextlib.suppress(NotFound):
        if recorded.get("instance_uuid"):
            facts = read_facts(session, inventory.vm(instance_uuid=recorded["instance_uuid"]))
        elif recorded:
            # The run ended while the machine was being made.
            folder = inventory.folder(inventory.datacenter(recorded["datacenter"]), recorded["path"].rpartition("/")[0])
            machine = inventory.vms_in(folder).get(recorded["name"])
            facts = read_facts(session, machine) if machine is not None else None
    if facts is None or (
        facts.extra_config.get(image_records.KEY_TEMPLATE),
        facts.extra_config.get(image_records.KEY_IMAGE),
    ) != (task["template"], task["digest"]):
        return None
    return (
        None
        if facts.extra_config.get(image_records.KEY_STATE) == image_records.STATE_COMPLETE and facts.snapshots
        else facts
    )


def remove_unfinished(session: Session, task: dict) -> None:
    """Remove the machine of a task's document unless it is a finished image."""
    facts = unfinished_machine(session, task)
    if facts is not None:
        remove_machine(session, facts)


def _has_run(session: Session, facts: VmFacts) -> bool:
    """Whether the machine has been powered on since it was to be: a run may have ended before it could note that."""
    last = machines.last_power_on(session, session.object("VirtualMachine", facts.moid))
    before = facts.extra_config.get(image_records.KEY_POWERED_ON, "0")
    return last is not None and last > (int(before) if before.isdecimal() else 0)
