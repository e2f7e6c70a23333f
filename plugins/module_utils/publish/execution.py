# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Execute the steps that ``decision.next_step`` returns, one after the other, for one observed situation."""

from __future__ import annotations

from typing import Any

from ..catalog.image_record import ImageRecord, ScriptRun
from ..catalog.kinds import TEMPLATE
from ..catalog.resolved_template import ResolvedTemplate
from ..common.errors import InternalError
from ..common.timestamps import now
from ..vsphere.inventory.inventory import Inventory
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts
from . import action_texts, steps
from .context import ActionRequired, PublishContext
from .decision import Step
from .guest import guest_wait
from .machine import image_records, machine_state, vm_metadata
from .machine.boot_controller import check_boot_controller
from .machine.horizon_check import check_horizon, require_horizon, reservations
from .machine.machine_state import MachineState
from .machine.placement import Target
from .publish_task import PublishTask
from .publish_view import PublishView, Situation
from .retiring.retention import plan_retention


class Execution:
    """The VM and the image of one run, from the observed situation to the final step."""

    def __init__(self, context: PublishContext, situation: Situation, view: PublishView) -> None:
        self._context = context
        self._view = view
        self._situation = situation
        self._facts = situation.facts
        self._image = situation.image
        self._retention = situation.retention
        self._machine: Any = None
        for sentence in situation.warnings:
            context.warn(sentence)
        incomplete = situation.observation.machine_state is MachineState.INCOMPLETE
        if self._image is None and self._facts is not None and not incomplete:
            context.task.update(vm=vm_metadata.machine_record(self._facts))
        self._work = {
            Step.CANCEL_SUPERSEDED: self._cancel_superseded,
            Step.REMOVE_LEFTOVERS: self._remove_leftovers,
            Step.REMOVE_VM: self._remove_vm,
            Step.CREATE: self._create,
            Step.FINISH_UPLOAD: self._finish_upload,
            Step.POWER_ON: lambda: guest_wait.power_on(context, self._vm()),
            Step.AWAIT_GUEST: lambda: guest_wait.await_guest(context, self._vm()),
            Step.SNAPSHOT: lambda: steps.snapshot(context, self._vm()),
            Step.RECORD: self._record,
            Step.VERIFY: self._verify,
            Step.CONNECTOR_SCRIPT: self._run_connector_script,
            Step.RETIRE: self._retire,
            Step.COMPLETE: self._complete,
        }

    def execute(self, step: Step) -> None:
        """Do the work of a step."""
        self._work[step]()

    def finish(self) -> ImageRecord:
        """Return the image after the last step; add warnings about older VMs that were kept without a step RETIRE."""
        if self._retention is not None:
            known = self._context.warnings
            known += [sentence for sentence in self._retention.warnings if sentence not in known]
        return self._published()[0]

    def action_required(self, state: MachineState) -> ActionRequired:
        """Return the error that says what an administrator has to do; a failed script is marked in the VM first."""
        machine = self._vm()
        facts = read_facts(self._context.session, machine)
        self._context.task.update(vm=vm_metadata.machine_record(facts))
        if state is MachineState.RUNNING:
            guest_wait.remember_failure(self._context, machine, facts)
        text = action_texts.action_required_text(self._context.repository, self._context.template, facts, state)
        return ActionRequired(text, code="publish.action_required")

    def _vm(self) -> Any:
        """Return the managed object of the image's VM."""
        if self._machine is None:
            if self._facts is None:
                raise InternalError("A step needs a VM that does not exist.", code="publish.step")
            self._machine = Inventory(self._context.session).vm(moid=self._facts.moid)
        return self._machine

    def _published(self) -> tuple[ImageRecord, VmFacts]:
        if self._image is None or self._facts is None:
            raise InternalError("A step needs an image that is not published.", code="publish.step")
        return self._image, self._facts

    # -- cleaning up

    def _cancel_superseded(self) -> None:
        """End the tasks of earlier forms of the template that never became images, and remove their VMs."""
        context = self._context
        for task in self._view.superseded_tasks():
            context.changed = True
            kept = machine_state.remove_unfinished(context.session, task, self._view.finished_machines())
            if kept:
                context.warn(kept)
            PublishTask(context.repository, task).cancel(
                f"The template {context.template.name} was changed before the image was finished."
            )

    def _remove_leftovers(self) -> None:
        context = self._context
        for facts in self._situation.leftovers:
            kept = machine_state.remove_work(context.session, facts, None, context.cancel.check)
            context.changed = context.changed or kept is None
            if kept:
                context.warn(kept)

    def _remove_vm(self) -> None:
        context, facts = self._context, self._facts
        if facts is None:
            raise InternalError("A step needs a VM that does not exist.", code="publish.step")
        # A lease of the earlier run can hold the VM for minutes.
        context.begin("create", f"The VM {facts.name}, whose disk is incomplete, is deleted.")
        machine_state.remove_machine(context.session, facts, context.cancel.check)
        self._facts = None

    # -- the VM and the image

    def _create(self) -> None:
        target = steps.check_target(self._context, self._target())
        image = steps.compose(self._context)
        check_boot_controller(target, image)
        self._machine = steps.create(self._context, target, image)

    def _target(self) -> Target:
        if self._situation.target is None:
            raise InternalError("A step needs a connector that was not looked up.", code="publish.step")
        return self._situation.target

    def _finish_upload(self) -> None:
        context = self._context
        if not steps.finish_upload(context, self._target(), self._vm()):
            # The lease was not completed and has expired: vCenter has removed the VM with it.
            self._create()

    def _record(self) -> None:
        context = self._context
        machine = self._vm()
        context.finished = True
        self._facts = steps.verify(context, machine)
        task = context.task.record
        self._image = self.image_record(context.template, context.session, self._facts, task.checks, task.scripts)
        image_records.record_image(context.repository, self._image)

    @staticmethod
    def image_record(
        template: ResolvedTemplate,
        session: Session,
        facts: VmFacts | None,
        checks: tuple[dict[str, Any], ...],
        scripts: dict[str, Any] | None = None,
    ) -> ImageRecord:
        """Return the record of the template's image; ``facts`` None in check mode, before the VM exists."""
        script = template.connector.script
        return ImageRecord(
            template=template.name,
            image_digest=template.image_digest,
            content_digest=template.content_digest,
            layers=vm_metadata.template_layers(template),
            connector=template.connector.name,
            vcenter=vm_metadata.vcenter_record(session),
            vm=vm_metadata.machine_record(facts) if facts else vm_metadata.planned_machine(template),
            snapshot=vm_metadata.snapshot_name(template),
            datastore_path=facts.datastore_path if facts else None,
            published=now(),
            checks=checks,
            scripts=scripts,
            script=ScriptRun(script, False, None) if script else None,
            snapshot_moid=vm_metadata.snapshot_moid(facts, vm_metadata.snapshot_name(template)) if facts else None,
            former_templates=template.former_names,
        )

    def _verify(self) -> None:
        context = self._context
        _image, facts = self._published()
        if self._situation.observation.completion_lost:
            context.begin("verify", "The VM is read back and checked against the requirements of Horizon.")
        checks = check_horizon(facts, self._view.snapshot_name, context.template.connector.vtpm)
        require_horizon(facts, checks)
        for sentence in reservations(checks):
            context.warn(sentence)
        context.finished = True

    # -- after the image is published

    def _run_connector_script(self) -> None:
        image, _facts = self._published()
        self._image = steps.connector_script(self._context, image)
        # The script may have changed vSphere: older images are examined again.
        self._retention = None

    def _retire(self) -> None:
        context, template = self._context, self._context.template
        plan = self._retention or plan_retention(
            context.repository, context.session, template.name, template.image_digest, context.options.retention
        )
        self._retention = None
        steps.retire_old(context, plan)

    def _complete(self) -> None:
        context = self._context
        image, facts = self._published()
        context.task.update(
            vm=vm_metadata.machine_record(facts),
            snapshot=image.snapshot,
            snapshot_moid=image.snapshot_moid,
            datastore_path=facts.datastore_path,
        )
        context.task.complete(vm_metadata.describe_image(facts, image.snapshot))
        context.repository.audit.append(
            "publish",
            TEMPLATE,
            context.template.name,
            comment=context.options.comment,
            details={
                "image_digest": image.image_digest,
                "vm": facts.name,
                "instance_uuid": facts.instance_uuid,
                "layers": dict(image.layers),
            },
        )
