# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State finalized: shut a packaging machine down and export its disk."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..catalog.kinds import NOISE
from ..catalog.packaging_record import ExportRecord, PackagingRecord
from ..common.errors import Conflict, InternalError, InvalidInput, NotFound
from ..common.outcome import Outcome
from ..layers.layer_version import OS
from ..publish.machine.vm_metadata import POWERED_OFF
from ..shares.open import open_share
from ..shares.share import Share
from ..vsphere import vm as machines
from ..vsphere.vm import VmFacts, read_facts
from .context import ACTION_REQUIRED, COMPLETE, PackagingContext
from .decision import FINAL, Goal, Observation, PackagingState, Step, after, next_step
from .idle import IDLE_TIME, Ending, IdleWatch, leave_alone
from .machine import total_run_time

if TYPE_CHECKING:
    from ..vsphere.transfer import vm_export


def ensure_finalized(context: PackagingContext) -> Outcome:
    """Shut the packaging machine down and export its disk, unless the package on the share is that of the disk as it is now.

    Raises:
        NotFound: ``packaging.missing``, ``shares.missing``.
        Conflict: ``packaging.not_started``, ``packaging.not_recorded``, ``packaging.given_lost``, ``packaging.running``,
            ``packaging.ran_too_briefly``.
        InvalidInput: ``packaging.package_name``.
        TimedOut: ``vsphere.timed_out`` if Windows does not shut down in time.
        StrataError: as ``export_vm``.
    """
    observation = Observation(context.state, captured=context.captured, has_record=context.record is not None)
    step = next_step(observation, Goal.FINALIZED)
    if step is Step.CAPTURED:
        return Outcome(False, result=context.captured_result())
    facts, record = context.facts, context.record
    if step in FINAL and step is not Step.FINALIZED or facts is None or record is None:
        raise _refusal(context, step)
    return _Finalization(context, facts, record).run()


def _refusal(context: PackagingContext, step: Step) -> NotFound | Conflict | InternalError:
    """Return the error for a state from which the VM cannot be finalized."""
    layer, path = context.request.layer_label, context.facts.path if context.facts else ""
    if step is Step.MISSING:
        return NotFound(
            f"The {layer} has no packaging machine.",
            code="packaging.missing",
            hint="Create it: run with state present.",
        )
    if step is Step.NOT_STARTED:
        return Conflict(
            f"The packaging machine {path} of the {layer} was never started.",
            code="packaging.not_started",
            hint="Run with state present first.",
        )
    if step is Step.NOT_RECORDED:
        return Conflict(
            f"The repository has no record of the packaging machine {path} of the {layer}.",
            code="packaging.not_recorded",
            hint="Run with state present first, which records it.",
        )
    return InternalError(f"The step {step.name} has no error.", code="packaging.step")


@dataclass(frozen=True)
class _Package:
    """The folder of the export on the share. ``powered_on``: number of the VM's last power-on event, None if vCenter knows none."""

    name: str
    folder: Share
    powered_on: int | None


#: How a message says what to do with the exported disk, by kind.
_NEXT = {OS: "Import it as", NOISE: "Store it as"}


class _Finalization:
    """The steps from a VM that was started to its exported disk."""

    def __init__(self, context: PackagingContext, facts: VmFacts, record: PackagingRecord) -> None:
        self._context = context
        self._facts = facts
        self._record = record
        self._vm = context.vm()
        self._export: vm_export.Export | None = None

    def run(self) -> Outcome:
        from ..vsphere.transfer import vm_export
        from ..vsphere.transfer.export_owner import check_owner

        context, facts = self._context, self._facts
        package = self._package()
        observation = self._observe(package)
        if context.state is PackagingState.RUNNING and not observation.run_due:
            self._require_shutdown(facts)
        if next_step(observation, Goal.FINALIZED) is Step.WORK_MISSING:
            raise self._ran_too_briefly()
        if not observation.exported:
            check_owner(context.session, self._vm, package.folder, package.name)
        folder = package.folder.where()
        before = {"power_state": facts.power_state, "package": folder if observation.exported else None}
        result_state = {"power_state": POWERED_OFF, "package": folder}
        if not context.check_mode:
            self._execute(observation, package)
            if before != result_state:
                context.audit("finalize", package=folder)
        result = context.result(
            COMPLETE,
            f"The disk of the packaging machine {facts.name} is exported to {folder}. {_NEXT.get(context.request.kind, 'Capture it as')} "
            f"the {context.request.layer_label}, then delete the packaging machine with state absent.",
        )
        descriptor = package.folder.where(vm_export.descriptor_name(package.name))
        result["packaged_disk"] = self._export.ovf if self._export else descriptor
        return Outcome(before != result_state, before, result_state, result, context.warnings)

    def _package(self) -> _Package:
        """Check the share, the base image and the package's name."""
        context, request = self._context, self._context.request
        share = open_share(request.file_share or "", request.credentials)
        if not share.is_folder():
            raise share.missing()
        self._check_base()
        name = request.package or self._facts.name
        if name in (".", "..") or os.sep in name or "\\" in name or "\0" in name:
            raise InvalidInput(
                f"The option package is {name!r}, which cannot be the name of a folder.",
                code="packaging.package_name",
                hint="Set package to a plain folder name.",
            )
        return _Package(name, share.folder(name), machines.last_power_on(context.session, self._vm))

    def _check_base(self) -> None:
        """Raise Conflict when the repository no longer contains the image that capturing compares the disk with."""
        from ..images.stored.thin_image import reference_of

        base = self._record.base
        if self._context.request.kind == OS:
            return  # The disk is imported as it is.
        if base.manifest is None:
            return  # The record was lost and created again: capturing reports a disk that does not descend from the image.
        reference = self._context.repository.layout.references().get(reference_of(base.content_digest))
        if reference is None or reference.digest != base.manifest:
            raise Conflict(
                f"The image that the packaging machine of the {self._context.request.layer_label} was built from is no longer in the repository.",
                code="packaging.given_lost",
                hint="Restore the repository from a backup, or delete the packaging machine with state absent and create it again.",
            )

    def _require_shutdown(self, facts: VmFacts) -> None:
        """Raise Conflict when Windows runs and cannot or must not be shut down by this run."""
        if not self._context.request.shutdown:
            hint = "Shut Windows down in the VM, or set shutdown to true."
        elif facts.guest["tools_running"] != "guestToolsRunning":
            hint = "Shut Windows down in the VM: VMware Tools do not run in it, so that the module cannot."
        else:
            return
        text = self._context.action_text(facts)
        raise Conflict(text, code="packaging.running", hint=hint, status=ACTION_REQUIRED)

    def _observe(self, package: _Package) -> Observation:
        """Observe the export: it counts only if the VM has not run since, because its settings do not show changes of its disk."""
        from ..vsphere.transfer import vm_export

        export = self._record.export
        has_run = package.powered_on not in (None, export.exported_after if export else None)
        if self._context.state is PackagingState.STOPPED and not has_run:
            self._export = vm_export.exported(self._context.session, self._vm, package.folder, name=package.name)
        observation = Observation(self._context.state, exported=self._export is not None)
        if self._context.request.kind == NOISE and not observation.exported:
            return self._with_run_time(observation)
        return observation

    def _with_run_time(self, observation: Observation) -> Observation:
        """Observe whether a VM that is to be left alone has run long enough."""
        context, minimum = self._context, self._context.request.minimum_run
        if observation.state is PackagingState.RUNNING:
            return replace(observation, run_due=(machines.uptime(context.session, self._vm) or 0) < minimum)
        if self._record.finalizing:
            return observation  # An earlier run has shut it down.
        seconds = total_run_time(context.session, self._vm)
        return replace(observation, ran_too_briefly=seconds is not None and seconds < minimum)

    def _ran_too_briefly(self) -> Conflict:
        request = self._context.request
        return Conflict(
            f"The packaging machine {self._facts.path} of the {request.layer_label} is powered off, but it has not run for "
            f"{request.minimum_run:g} s (minimum_run).",
            code="packaging.ran_too_briefly",
            hint="Power it on: run with state present and power_on. Do not log on to it and do not shut it down.",
        )

    def _execute(self, observation: Observation, package: _Package) -> None:
        context = self._context
        if not observation.run_due:
            context.update_record(finalizing=True)
        while (step := next_step(observation, Goal.FINALIZED)) not in FINAL:
            if step is Step.LEAVE_ALONE:
                self._leave_alone()
            elif step is Step.SHUT_DOWN:
                timeout = context.request.shutdown_timeout
                machines.shutdown_guest(context.session, self._vm, timeout=timeout, progress=context.progress)
            elif step is Step.EXPORT:
                self._export_disk(package)
            observation = after(observation, step)
        context.facts = read_facts(context.session, self._vm)

    def _leave_alone(self) -> None:
        """Wait until Windows has run long enough since it was powered on, and is idle; raise Conflict if it is powered off before."""
        context, session = self._context, self._context.session
        request = context.request
        rest = max(0.0, request.minimum_run - (machines.uptime(session, self._vm) or 0))
        watch = IdleWatch(rest, request.idle_timeout, min(IDLE_TIME, request.minimum_run))
        subject = f"Waiting until Windows in {self._facts.name} is idle"
        ending = leave_alone(session, self._vm, watch, subject=subject, progress=context.progress)
        if ending is Ending.OFF:
            raise self._ran_too_briefly()
        if ending is Ending.BUSY:
            context.warnings.append(
                f"The packaging machine {self._facts.name} is shut down although Windows was not idle within "
                f"{request.idle_timeout:g} s (idle_timeout) after {request.minimum_run:g} s. The noise profile may lack what Windows does later."
            )
        self._require_shutdown(read_facts(session, self._vm))
        context.update_record(finalizing=True)

    def _export_disk(self, package: _Package) -> None:
        """Export the disk; an interrupted export continues, unless the VM has run since it began."""
        from ..vsphere.transfer import vm_export

        context, powered_on = self._context, package.powered_on
        begun_after = self._record.export.begun_after if self._record.export else powered_on
        context.update_record(package=package.folder.where(), export=ExportRecord(powered_on, None))
        self._export = vm_export.export_vm(
            context.session,
            self._vm,
            package.folder,
            name=package.name,
            force=begun_after != powered_on,
            progress=context.progress,
        )
        context.update_record(export=ExportRecord(powered_on, powered_on))
        context.warnings += self._export.warnings
