# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State present: create a packaging machine, start it, and report what an administrator does next."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from ..catalog import document_collections, layer_store
from ..catalog.kinds import NOISE
from ..catalog.layers import find_layer_to_change, find_version
from ..catalog.packaging_record import BaseImage, PackagingRecord
from ..catalog.templates import stack_of
from ..catalog.vsphere_records import MachineRecord
from ..common.errors import Conflict, InternalError, InvalidInput
from ..common.outcome import Outcome
from ..common.timestamps import now
from ..layers.layer_version import APP, OS, LayerReference
from ..preflight.checks import require_passed, run_checks
from ..preflight.checks import warnings as preflight_warnings
from ..publish.machine.boot_controller import check_boot_controller
from ..publish.machine.machine_state import remove_machine
from ..publish.machine.placement import Target, check_firmware, resolve_placement
from ..publish.machine.uploads import finish_upload
from ..publish.machine.vm_metadata import KEY_STATE
from ..publish.preflight import image_needs
from ..vsphere.addresses import ADDRESS_PROPERTIES, reachable_address
from ..vsphere.properties import wait_for
from ..vsphere.vm import VmFacts, read_facts
from .context import ACTION_REQUIRED, PENDING, PackagingContext
from .decision import CHANGES, FINAL, Goal, Observation, PackagingState, Step, after, next_step, remaining_steps
from .machine import (
    KEY_CONTENT,
    READY,
    STARTED,
    Packaging,
    compose_base,
    compose_machine,
    create_machine,
    start_machine,
    total_run_time,
)
from .request import PackagingRequest


def ensure_present(context: PackagingContext) -> Outcome:
    """Create the packaging machine unless it exists, and start it unless it was started.

    Raises:
        Conflict: ``packaging.other_composition`` if it was built from other layers; ``packaging.other_os_layer``;
            ``catalog.other_spelling`` if the layer or the version exists with the same name except for case.
        InvalidInput: ``packaging.prerequisite``, ``packaging.os_layer``.
        NotFound, Conflict: as ``find_version``, ``stack_of``, ``resolve_placement`` and ``create_by_import``.
        TimedOut: ``vsphere.timed_out`` if VMware Tools do not report an address in time.
    """
    if context.captured:
        shown = _diff_state(context.facts, context.recorded_layers)
        return Outcome(False, shown, shown, context.captured_result())
    request = context.request
    if request.kind != NOISE:
        find_layer_to_change(context.repository, request.kind, request.name, request.version)
    return _Creation(context, _requested_packaging(context)).run()


@dataclass(frozen=True)
class _DiffState:
    """A packaging machine as diff mode shows it."""

    machine: str
    made_from: list[str]
    started: bool


def _diff_state(facts: VmFacts | None, layers: list[str]) -> dict[str, Any] | None:
    if facts is None:
        return None
    return asdict(_DiffState(facts.name, layers, facts.extra_config.get(KEY_STATE) == STARTED))


class _Creation:
    """The steps from the observed state to a VM that runs, or that was powered off after its work."""

    def __init__(self, context: PackagingContext, packaging: Packaging) -> None:
        self._context = context
        self._packaging = packaging
        self._steps = {
            Step.REMOVE_INCOMPLETE: self._remove_incomplete,
            Step.CREATE: self._create,
            Step.START: lambda: self._start("create"),
            Step.RESUME: lambda: self._start("power on"),
            Step.RECORD: self._record,
            Step.AWAIT_ADDRESS: self._await_address,
        }

    def run(self) -> Outcome:
        context = self._context
        self._check_composition()
        observation = self._observe()
        steps = remaining_steps(observation, Goal.PRESENT)
        changed = not CHANGES.isdisjoint(steps)
        before, result_state = self._diff(observation)
        if changed and context.check_mode:
            self._preflight(self._target(create_folder=False))
            text = f"The packaging machine {result_state['machine']} of the {context.request.layer_label} would be created and started."
            return Outcome(True, before, result_state, context.result(ACTION_REQUIRED, text))
        while (step := next_step(observation, Goal.PRESENT)) not in FINAL:
            if not context.check_mode:
                self._steps[step]()
            observation = after(observation, step)
        if changed and context.facts is not None and context.state is PackagingState.STOPPED:
            # Windows shut down again at once.
            step = next_step(self._observe(may_resume=False), Goal.PRESENT)
        return Outcome(changed, before, result_state, self._result(step), context.warnings)

    def _observe(self, *, may_resume: bool = True) -> Observation:
        context, request = self._context, self._context.request
        finalizing = context.record is not None and context.record.finalizing
        state = context.state
        resume = may_resume and request.power_on and not finalizing and state is PackagingState.STOPPED
        ran_too_briefly = False
        if state is PackagingState.STOPPED and not finalizing and (not resume or request.kind == NOISE):
            seconds = total_run_time(context.session, context.vm())
            ran_too_briefly = seconds is not None and seconds < request.minimum_run
            # A VM that is left alone needs no work: it is complete when it has run long enough.
            resume = resume and ran_too_briefly
        return Observation(
            state,
            has_record=context.record is not None,
            recorded=context.record is not None and context.record.vm == self._vm_record(),
            resume=resume,
            ran_too_briefly=ran_too_briefly,
            address_due=bool(request.wait_for_address),
        )

    def _diff(self, observation: Observation) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """Return the states before and after the run, as diff mode shows them."""
        facts = None if observation.state is PackagingState.INCOMPLETE else self._context.facts
        layers = self._packaging.layer_labels
        before = _diff_state(facts, layers)
        if before is not None and observation.resume:
            before["started"] = False
        name = facts.name if facts else self._packaging.machine_name
        return before, asdict(_DiffState(name, layers, True))

    def _vm_record(self) -> MachineRecord | None:
        facts = self._context.facts
        return MachineRecord(facts.name, facts.moid, facts.instance_uuid, facts.path) if facts else None

    # -- the steps

    def _remove_incomplete(self) -> None:
        context = self._context
        if context.facts is not None:
            remove_machine(context.session, context.facts)
        context.facts = None

    def _create(self) -> None:
        context, packaging = self._context, self._packaging
        self._preflight(self._target(create_folder=False))
        target = self._target(create_folder=True)
        # Recorded before composing: from then on the repository keeps the image.
        record = self._new_record()
        context.store(record)
        base = compose_base(context.repository, packaging, context.progress)
        context.update_record(
            base=replace(record.base, content_digest=base.content_digest, manifest=base.manifest.digest)
        )
        image = compose_machine(context.repository, packaging, base, context.progress)
        check_boot_controller(target, image)
        deployed = create_machine(
            context.session,
            target,
            packaging,
            context.request.key,
            image,
            progress=context.progress,
            on_uploaded=lambda upload: context.update_record(upload=upload),
        )
        context.warnings += deployed.warnings
        context.facts = read_facts(context.session, deployed.vm)

    def _start(self, audit_action: str) -> None:
        context = self._context
        if context.uploading and not finish_upload(context.session, context.vm(), {KEY_STATE: READY}):
            # The lease of an interrupted upload was not completed and has expired: vCenter has removed the VM with it.
            context.facts = None
            self._create()
        machine = context.vm()
        start_machine(context.session, machine, any_host=self._any_host())
        context.audit(audit_action, made_from=self._packaging.layer_labels)
        context.facts = read_facts(context.session, machine)

    def _any_host(self) -> bool:
        """Return whether the connector lets DRS select the host; true if the connector does not exist any more."""
        record, request = self._context.record, self._context.request
        name = (record.connector if record else "") or request.connector or ""
        connector = document_collections.connectors(self._context.repository).get(name) if name else None
        return connector is None or not connector.esxi_host

    def _record(self) -> None:
        """Record where the VM is; a record that was lost is created again as far as possible."""
        self._context.store(replace(self._context.record or self._new_record(), vm=self._vm_record()))

    def _new_record(self) -> PackagingRecord:
        request, packaging = self._context.request, self._packaging
        return PackagingRecord(
            kind=request.kind,
            layer=request.name,
            version=request.version,
            os_layer=packaging.os_layer,
            prerequisites=packaging.prerequisites,
            start_from=packaging.start_from,
            connector=request.connector or "",
            base=BaseImage(packaging.base_digest, None),
            created=now(),
        )

    def _await_address(self) -> None:
        context = self._context
        if context.facts is None or context.state is not PackagingState.RUNNING:
            return
        wait_for(
            context.session,
            context.vm(),
            [*ADDRESS_PROPERTIES, "guest.toolsRunningStatus"],
            lambda values: (
                reachable_address(values) is not None and values.get("guest.toolsRunningStatus") == "guestToolsRunning"
            ),
            context.request.wait_for_address,
            subject=f"Waiting for VMware Tools in {context.facts.name} to report an address",
        )

    # -- the request and the result

    def _check_composition(self) -> None:
        facts, packaging = self._context.facts, self._packaging
        if facts is not None and facts.extra_config.get(KEY_CONTENT) != packaging.content_digest:
            raise Conflict(
                f"The packaging machine {facts.path} of the {self._context.request.layer_label} was not built from {', '.join(packaging.layer_labels)}.",
                code="packaging.other_composition",
                hint="Set os_layer, prerequisites and start_from to the layers that it was built from, or delete it with state absent and create it again.",
                made_from=self._context.recorded_layers,
            )

    def _preflight(self, target: Target) -> None:
        """Check the connector before anything is composed or created. Raises Conflict (preflight.failed)."""
        context, name = self._context, target.connector.name
        packaging = self._packaging
        needs = image_needs(context.repository, target, packaging.os_layer, packaging.layers)
        findings = run_checks(target.preflight(context.session, needs, packaging=True))
        require_passed(name, findings)
        context.warnings += preflight_warnings(name, findings)

    def _target(self, *, create_folder: bool) -> Target:
        context, os_layer = self._context, self._packaging.os_layer
        connector = document_collections.connectors(context.repository).require(context.request.connector or "")
        target = resolve_placement(context.session, connector, create_folder=create_folder)
        facts = layer_store.load_version(context.repository, os_layer.digest).facts
        check_firmware(target, facts.get("firmware"), os_layer.name)
        return target

    def _result(self, step: Step) -> dict[str, Any]:
        context, facts = self._context, self._context.facts
        if facts is None:
            raise InternalError("A packaging machine that was created does not exist.", code="packaging.step")
        if step is Step.WORK:
            status = PENDING if context.request.kind == NOISE else ACTION_REQUIRED
            return context.result(status, context.action_text(facts))
        location = (
            f"The packaging machine {facts.name} of the {context.request.layer_label} is powered off in the folder {facts.folder_path} "
            f"of the datacenter {facts.datacenter}"
        )
        if step is Step.WORK_MISSING:
            seconds = total_run_time(context.session, context.vm()) or 0
            return context.result(ACTION_REQUIRED, f"{location}, {self._missing_work(seconds)}")
        return context.result(
            PENDING,
            f"{location}. Run the module again with state finalized, or power the VM on to continue working in it.",
        )

    def _missing_work(self, seconds: float) -> str:
        """Return what to do if the VM ran for only ``seconds``; it is the rest of a sentence."""
        request = self._context.request
        ran = f"but it ran for only {seconds:.0f} s in total"
        limit = f"(minimum_run: {request.minimum_run:g} s)"
        if request.kind == NOISE:
            return f"{ran} {limit}. Run the module again with power_on, and let Windows run until state finalized shuts it down."
        work = "update or configure Windows" if request.kind == OS else "install the software of the layer"
        return (
            f"{ran}, which is too short for {'an update' if request.kind == OS else 'an installation'} {limit}. Windows may have shut "
            f"itself down at its first start. Power the VM on, {work}, and shut Windows down. If the work is done nevertheless, "
            "lower minimum_run or run with state finalized."
        )


def _requested_packaging(context: PackagingContext) -> Packaging:
    """Return the layers to build the VM from. If no OS layer version is requested, an existing VM keeps its version."""
    request, record = context.request, context.record
    name, version = _requested_os_layer(request)
    if version is None and context.facts is not None and record is not None and record.os_layer.name == name:
        version = record.os_layer.version
    os_layer = find_version(context.repository, OS, name, version)
    prerequisites = stack_of(context.repository, os_layer.name, request.prerequisites, user=request.layer_label)
    if request.kind == APP and any(layer.name == request.name for layer in prerequisites):
        raise InvalidInput(
            f"The {request.layer_label} has a version of itself as a prerequisite.",
            code="packaging.prerequisite",
            hint=f"Remove {request.name} from prerequisites. To continue from an earlier version of the layer, set start_from.",
        )
    start_from = _start_from(context, os_layer.name)
    return Packaging(request.layer_label, request.name, request.version, os_layer, prerequisites, start_from)


def _requested_os_layer(request: PackagingRequest) -> tuple[str, str | None]:
    """Return name and version of the OS layer; the version is None for the newest version."""
    if request.kind == NOISE:
        return request.name, request.version
    if request.os_layer is not None:
        return request.os_layer.name, request.os_layer.version
    if request.kind == OS:
        return request.name, None
    raise InvalidInput(
        f"The packaging machine of the {request.layer_label} has no OS layer.",
        code="packaging.os_layer",
        hint="Set os_layer to the OS layer to install the software on.",
    )


def _start_from(context: PackagingContext, os_layer: str) -> LayerReference | None:
    request = context.request
    if not request.start_from:
        return None
    reference = find_version(context.repository, request.kind, request.name, request.start_from)
    layer = document_collections.layers(context.repository, request.kind).require(request.name)
    built_for = layer.software_version(reference.version).os_layer.name
    if built_for != os_layer:
        raise Conflict(
            f"Version {reference.version} of the {request.kind} layer {request.name} was built for the OS layer {built_for}, not for {os_layer}.",
            code="packaging.other_os_layer",
            hint="Remove start_from and install the application again, or set os_layer to that OS layer.",
            expected=os_layer,
            found=built_for,
        )
    return reference
