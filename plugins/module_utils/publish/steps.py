# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the steps of publishing. A later run can repeat each of them, starting from the state in vSphere."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

from ..catalog.image_record import ImageRecord, ScriptRun
from ..catalog.resolved_template import ResolvedTemplate
from ..catalog.vsphere_records import MachineRecord
from ..common.counting import counted_examples
from ..images.composing.layered_image import compose_template
from ..images.stored.thin_image import ThinImage
from ..preflight.checks import require_passed, warnings
from ..vsphere import vm as machines
from ..vsphere.custom_attributes import define_attributes, set_attributes
from ..vsphere.hardware.hardware_compare import hardware_warnings
from ..vsphere.transfer.deploy import Uploaded, create_by_import
from ..vsphere.transfer.import_specification import DeployRequest
from ..vsphere.vm import VmFacts, read_facts
from .context import PublishContext
from .guest import guest_report
from .guest.connector_script import run_script
from .machine import image_records, uploads, vm_metadata
from .machine.horizon_check import check_horizon, require_horizon, reservations
from .machine.placement import Target, resolve_placement
from .machine.uploads import upload_record
from .machine.vm_metadata import KEY_STATE, STATE_COMPLETE, STATE_READY
from .preflight import preflight
from .retiring.retention import RetentionPlan, retire

#: Findings that a warning lists by name.
_LISTED_FILES = 5
_LISTED_VALUES = 3


def check_target(context: PublishContext, target: Target) -> Target:
    """Check before composing whether the image can be published; then create what the connector needs, and return its target.

    Raises:
        Conflict: ``preflight.failed`` with all findings.
    """
    template, session = context.template, context.session
    context.begin("preflight", "vCenter, the ESXi hosts and the VM template are checked.")
    if not context.preflight_passed:
        findings = preflight(context.repository, session, template, target)
        context.task.update(preflight=tuple(findings))
        require_passed(template.connector.name, findings)
        for sentence in warnings(template.connector.name, findings):
            context.warn(sentence)
        context.preflight_passed = True
    define_attributes(session, template.connector.custom_attributes or {})
    return resolve_placement(session, template.connector, create_folder=True) if target.folder_missing else target


def compose(context: PublishContext) -> ThinImage:
    """Return the thin image, from the repository if an earlier run has composed it."""
    context.begin("compose", "The layers are composed.", context.options.timeout("compose"))
    thin = compose_template(context.repository, context.template, progress=context.progress)
    dropped = thin.config.statistics.dropped
    if dropped:
        context.warn(
            f"{context.template.name}: left out, because other files have the name: "
            f"{counted_examples(dropped[:_LISTED_FILES], len(dropped), 'item', separator='; ')}."
        )
    contested = [finding for finding in thin.config.registry.findings if finding.get("overruled")]
    if contested:
        names = [
            "\\".join(filter(None, (finding["hive"], finding["key"], finding.get("value"))))
            for finding in contested[:_LISTED_VALUES]
        ]
        layers = dict.fromkeys(label for finding in contested for label in (*finding["layers"], *finding["overruled"]))
        context.warn(
            f"{context.template.name}: {', '.join(layers)} contest "
            f"{counted_examples(names, len(contested), 'registry setting')}; see layered_image_plan."
        )
    return thin


def create(context: PublishContext, target: Target, thin: ThinImage) -> Any:
    """Do the steps "create" and "upload"; return the VM, which is powered off and has its disk."""
    template, task = context.template, context.task
    name = vm_metadata.machine_name(template)
    text = f"The VM {name} is created in {target.placement.folder_path} on the datastore {target.datastore_text}."
    context.begin("create", text)
    path, datacenter = f"{target.placement.folder_path}/{name}", target.placement.datacenter_name
    task.update(vm=MachineRecord(name, path=path, datacenter=datacenter))
    length, chunks = thin.stream()
    sizes = {"compressed": thin.config.statistics.compressed_bytes, "uploaded": length, "disk": thin.capacity}
    task.update(bytes=dict(task.record.bytes) | sizes)

    def on_created(machine: Any) -> None:
        task.update(vm=vm_metadata.machine_record(read_facts(context.session, machine)))
        context.begin("upload", f"The disk of the VM {name} is uploaded.", context.options.timeout("upload"))

    def on_uploaded(uploaded: Uploaded) -> None:
        if task.record.vm is not None:
            task.update(upload=upload_record(uploaded, task.record.vm))
            task.store()

    request = DeployRequest(
        name=name,
        placement=target.placement,
        hardware=target.hardware,
        capacity=thin.capacity,
        length=length,
        annotation=vm_metadata.vm_notes(template),
        extra_config=vm_metadata.initial_extra_config(template),
    )
    deployed = create_by_import(
        context.session, request, chunks, progress=context.progress, on_created=on_created, on_uploaded=on_uploaded
    )
    for sentence in deployed.warnings:
        context.warn(sentence)
    context.deadline = None
    machines.reconfigure(context.session, deployed.vm, extra_config={KEY_STATE: STATE_READY})
    return deployed.vm


def finish_upload(context: PublishContext, target: Target, machine: Any) -> bool:
    """Mark the VM whose disk an earlier attempt has uploaded; return False if vCenter has removed the VM with its lease.

    The earlier attempt may have ended before it compared the hardware of the VM with the VM template.
    """
    context.begin("upload", "The VM whose disk is complete is marked.")
    marks = {KEY_STATE: STATE_READY}
    finished = uploads.finish_upload(context.session, machine, marks, context.cancel.check)
    if finished:
        name = vm_metadata.machine_name(context.template)
        differing = hardware_warnings(context.session, machine, name, target.hardware)
        for sentence in (*target.hardware.remarks, *differing):
            context.warn(sentence)
    return finished


def snapshot(context: PublishContext, machine: Any) -> None:
    """Mark the VM as finished and take its snapshot; from then on it is the image."""
    template = context.template
    name, notes = vm_metadata.snapshot_name(template), vm_metadata.vm_notes(template)
    context.begin("snapshot", f"The snapshot {name} is taken.")
    set_attributes(context.session, machine, _custom_attributes(template))
    changes = {KEY_STATE: STATE_COMPLETE, guest_report.KEY_REPORT_AGAIN: ""}
    machines.reconfigure(context.session, machine, extra_config=changes)
    if not any(existing.name == name for existing in machines.list_snapshots(context.session, machine)):
        timeout = context.options.timeout("snapshot")
        machines.create_snapshot(context.session, machine, name, notes, timeout=timeout)


def _custom_attributes(template: ResolvedTemplate) -> dict[str, str]:
    """Return the connector's custom attributes with the values for this image."""
    layers = vm_metadata.template_layers(template).items()
    values = {
        "template": template.name,
        "digest": template.image_digest,
        "layers": ", ".join(f"{name} {version}" for name, version in layers),
    }
    return {
        name: string.Template(text).safe_substitute(values)
        for name, text in (template.connector.custom_attributes or {}).items()
    }


def verify(context: PublishContext, machine: Any) -> VmFacts:
    """Read the VM back and check that Horizon can use it. Raises Conflict (publish.horizon) when it cannot."""
    context.begin("verify", "The VM is read back and checked against the requirements of Horizon.")
    facts = read_facts(context.session, machine)
    checks = check_horizon(facts, vm_metadata.snapshot_name(context.template), context.template.connector.vtpm)
    context.task.update(checks=tuple(checks))
    require_horizon(facts, checks)
    for sentence in reservations(checks):
        context.warn(sentence)
    return facts


def connector_script(context: PublishContext, image: ImageRecord) -> ImageRecord:
    """Run the connector's script for a published image; return the record, which is stored with the script's output.

    Raises:
        ScriptFailed, TimedOut, InvalidInput: as ``run_script``; the next run repeats only the script.
    """
    path = context.template.connector.script or ""
    context.begin("connector_script", f"The connector's script {path} is run.")
    output = run_script(
        path,
        {
            "STRATA_CONNECTOR": context.template.connector.name,
            "STRATA_IMAGE": image.image_digest,
            "STRATA_TEMPLATE": context.template.name,
            "STRATA_VCENTER": context.session.hostname,
            "STRATA_VM_NAME": image.vm.name,
            "STRATA_VM_MOID": image.vm.moid or "",
            "STRATA_VM_UUID": image.vm.instance_uuid or "",
            "STRATA_SNAPSHOT": image.snapshot,
            "STRATA_SNAPSHOT_MOID": image.snapshot_moid or "",
        },
        timeout=context.options.timeout("connector_script"),
        tick=lambda: context.progress_sink("connector script", 0, None),
    )
    image = replace(image, script=ScriptRun(path, True, output))
    context.task.update(script=image.script)
    image_records.record_image(context.repository, image)
    return image


def retire_old(context: PublishContext, plan: RetentionPlan) -> None:
    """Remove the VMs of older images that ``plan`` lists."""
    context.begin("retire_old", "The VMs of older images are examined.")
    for sentence in [*plan.warnings, *retire(context.repository, context.session, context.template.name, plan)]:
        context.warn(sentence)
