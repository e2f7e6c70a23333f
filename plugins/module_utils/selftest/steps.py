# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a self-test: what publishing and exporting do, with a small disk, one step after the other.

Each function takes the run, does its step, and stores in the run what later steps need. ``LOOK`` only reads. The order of the tables is
the order of the steps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from ..catalog.connector_document import ConnectorDocument
from ..common.counting import counted
from ..common.errors import Conflict, Corrupt, NotFound, TimedOut, Unavailable
from ..common.findings import WARN
from ..disk.grain_compare import differing_grains
from ..disk.grains import grain_total
from ..disk.vmdk_reader import StreamOptimizedDisk
from ..preflight.checks import require_passed, run_checks
from ..publish.machine.placement import resolve_placement
from ..vsphere import vm as machines
from ..vsphere.hardware.hardware import Hardware
from ..vsphere.inventory.inventory import Inventory
from ..vsphere.properties import read
from ..vsphere.session import Session
from ..vsphere.transfer.deploy import Uploaded, create_by_import
from ..vsphere.transfer.import_specification import DeployRequest
from ..vsphere.transfer.vm_export import export_vm
from . import facts, machine
from .image import write_image
from .run_state import RunState

Work = Callable[[RunState], None]
_SNAPSHOT = "strata-selftest"
_EXPORT = "export"


def _connect(run: RunState) -> None:
    run.connection = run.request.connect()
    run.facts["vcenter"] = facts.vcenter_facts(run.session)


def _inventory(run: RunState) -> None:
    run.steps.note(counted(facts.register_inventory(run.session, run.request.redactor), "object"))


def _leftovers(run: RunState) -> None:
    """Find the test VMs of earlier runs; remove them unless in check mode, or another run may need them."""
    now = machines.server_time(run.session)
    for vm, found, mark in machine.marked_machines(run.session):
        if not mark.has_ended(now):
            run.warn(f"The VM {found.name} belongs to a self-test that may be running on another composer.")
            continue
        if not run.check_mode:
            machine.remove_machine(run.session, vm)
        run.leftovers.append(found.path)
    run.steps.note(counted(len(run.leftovers), "VM"))


def _placement(run: RunState) -> None:
    """Look up the connector. If its folder does not exist, the test VM is created in the nearest folder that exists."""
    connector = run.request.connector
    run.target = target = resolve_placement(run.session, connector, create_folder=False)
    run.facts |= facts.site_facts(run.session, target, run.request.redactor)
    run.placement = target.placement
    if target.folder_missing:
        nearest = replace(connector, folder=_existing_folder(run.session, connector))
        run.placement = resolve_placement(run.session, nearest, create_folder=False).placement
        run.steps.note("the folder does not exist; the nearest folder above it is used")


def _existing_folder(session: Session, connector: ConnectorDocument) -> str | None:
    """Return the path of the nearest existing folder above the connector's folder; None for the VM folder of the datacenter."""
    inventory = Inventory(session)
    datacenter = inventory.datacenter(connector.datacenter)
    path = (connector.folder or "").rstrip("/")
    while path:
        try:
            inventory.folder(datacenter, path)
            return path
        except NotFound:
            path = path.rpartition("/")[0]
    return None


def _preflight(run: RunState) -> None:
    run.checks = run_checks(run.found_target.preflight(run.session))
    failed = [check for check in run.checks if check["result"] == WARN]
    run.steps.note(counted(len(run.checks), "check"), warn=bool(failed))
    require_passed(run.request.connector.name, run.checks)


def _image(run: RunState) -> None:
    path = os.path.join(run.request.folder, "disk.vmdk")
    run.image = write_image(run.request.size, run.keep_open(open(path, "w+b")), progress=run.progress)
    run.steps.measure(run.image.data)


def _create(run: RunState) -> None:
    """Create the VM. Steps of their own are the upload with its digest, the end of the import, and the hardware of the VM."""
    image, mark = run.test_image, machine.Mark.create(run.session, run.name, run.request.timeout)
    request = DeployRequest(
        name=run.name,
        placement=run.found_placement,
        hardware=_hardware(run.found_target.hardware),
        capacity=image.capacity,
        length=image.length,
        annotation=machine.NOTES,
        extra_config=mark.settings(),
    )

    def on_uploaded(upload: Uploaded) -> None:
        if upload.completed:
            return
        run.steps.measure(image.length)
        run.steps.begin("verify_upload")
        digest = upload.confirmed_by
        run.steps.note(f"confirmed by {digest}" if digest else "the host reported no digest", warn=digest is None)

    run.created = True
    deployed = create_by_import(
        run.session,
        request,
        image.blocks(),
        progress=run.progress,
        on_created=lambda _vm: run.steps.begin("upload"),
        on_uploaded=on_uploaded,
    )
    run.vm = deployed.vm
    run.steps.begin("hardware")
    # The warning about a missing digest belongs to the step before.
    count = len(deployed.warnings) - (not deployed.verified)
    run.steps.note(counted(count, "warning"), warn=count > 0)
    run.warnings += deployed.warnings


def _hardware(hardware: Hardware) -> Hardware:
    """Return the hardware with a start of the firmware setup: neither the disk nor a server of the network is booted.

    Source: vSphere Web Services API, VirtualMachineBootOptions.enterBIOSSetup, which is for one start and both kinds of firmware.
    """
    return replace(hardware, boot=hardware.boot | {"enterBIOSSetup": True})


def _reconfigure(run: RunState) -> None:
    machines.reconfigure(run.session, run.vm, extra_config={machine.KEY_STATE: "uploaded"})


def _power_on(run: RunState) -> None:
    try:
        machines.power_on(run.session, run.vm, any_host=not run.request.connector.esxi_host)
    except TimedOut as error:
        question = machines.pending_question(run.session, run.vm)
        if question:
            raise Conflict(
                f"The test VM {run.name} waits for an answer to a question of vSphere: {question}",
                code="selftest.question",
                hint="Change the VM template or the site so that vSphere does not ask; a published VM would wait as well.",
            ) from error
        raise
    state = str(read(run.session, run.vm, "runtime.powerState").get("runtime.powerState"))
    if state != "poweredOn":
        raise Conflict(
            f"The test VM {run.name} was powered on, but its power state is {state}.",
            code="selftest.power_state",
            hint="Check the events of the VM in vCenter.",
            expected="poweredOn",
            found=state,
        )


def _power_off(run: RunState) -> None:
    machines.power_off(run.session, run.vm)


def _snapshot(run: RunState) -> None:
    run.snapshot = machines.create_snapshot(run.session, run.vm, _SNAPSHOT)


def _export(run: RunState) -> None:
    """Export the snapshot. Publishing does not need the privilege to export, so that its absence is a warning."""
    folder = os.path.join(run.request.folder, _EXPORT)
    try:
        export = export_vm(run.session, run.vm, folder, name=_EXPORT, snapshot=run.snapshot, progress=run.progress)
    except Unavailable as error:
        if error.code != "vsphere.permission":
            raise
        run.warn(f"Packaging machines and exports cannot be used. {error.message}")
        return
    run.disks = [os.path.join(folder, name) for name in export.digests if name.endswith(".vmdk")]
    run.steps.measure(export.size)
    for sentence in export.warnings:
        run.warn(sentence)


def _compare(run: RunState) -> None:
    """Compare every grain of the exported disk with the disk that was uploaded."""
    image = run.test_image
    if not run.disks:
        run.steps.note("there is no exported disk", warn=True)
        return
    with StreamOptimizedDisk(run.disks[0]) as disk:
        different = differing_grains(disk, image.index.grain_digests, progress=run.progress)
        if disk.size != image.capacity or len(different):
            raise Corrupt(
                f"The exported disk differs from the uploaded disk in {len(different)} of {grain_total(image.capacity)} blocks "
                f"(size: {disk.size} bytes, expected {image.capacity}).",
                code="selftest.different",
                hint="Check the storage and the network between the composer and the ESXi hosts: data was changed without an error.",
                blocks=len(different),
                first=int(different[0]) if len(different) else None,
            )
    run.steps.measure(image.capacity)


#: Steps that only read; check mode does no other steps.
LOOK: dict[str, Work] = {
    "connect": _connect,
    "inventory": _inventory,
    "leftovers": _leftovers,
    "placement": _placement,
    "preflight": _preflight,
}
ACT: dict[str, Work] = {
    "image": _image,
    "create": _create,
    "reconfigure": _reconfigure,
    "power_on": _power_on,
    "power_off": _power_off,
    "snapshot": _snapshot,
    "export": _export,
    "compare": _compare,
}
#: Parts of the step "create" that are steps of their own.
PARTS = ("upload", "verify_upload", "hardware")
REMOVE = "remove"


def all_names() -> list[str]:
    """Return the names of all steps, in the order in which they begin."""
    names = [*LOOK, *ACT, REMOVE]
    create = names.index("create") + 1
    return [*names[:create], *PARTS, *names[create:]]


def remove(run: RunState) -> None:
    """Remove the test VM of this run, also if its creation was interrupted.

    Raises:
        StrataError: as ``destroy``; the VM is in ``run.left_behind``.
    """
    started = time.monotonic()
    run.left_behind = [f"{run.found_placement.folder_path}/{run.name}"]
    for vm, found, _mark in machine.marked_machines(run.session):
        if found.name == run.name:
            run.left_behind = [found.path]
            machine.remove_machine(run.session, vm)
    if any(found.name == run.name for _vm, found, _mark in machine.marked_machines(run.session)):
        raise Conflict(
            f"The test VM {run.name} still exists {time.monotonic() - started:.0f} s after it was deleted.",
            code="selftest.not_removed",
            hint="Delete it in vCenter.",
        )
    run.left_behind = []
