# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publish one template: observe the state, execute the steps that ``decision.next_step`` returns, and record the result."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from ..catalog.image_record import ImageRecord
from ..catalog.publish_task_record import PublishTaskRecord
from ..catalog.resolved_template import ResolvedTemplate
from ..catalog.vsphere_records import MachineRecord
from ..common.errors import InternalError, StrataError, composer_error
from ..common.progress import Progress
from ..preflight.checks import require_passed
from ..preflight.checks import warnings as preflight_warnings
from ..repository.repository import Repository
from ..vsphere.faults import is_transient
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts
from . import action_texts
from .cancellation import Canceled, CancelWatch, clear_cancel
from .context import ActionRequired, PublishContext, PublishOptions
from .decision import FINAL, Observation, Step, after, next_step, remaining_steps
from .guest import guest_wait
from .machine import machine_state, vm_metadata
from .machine.horizon_check import check_horizon, require_horizon, reservations
from .machine.image_records import find_recorded
from .machine.machine_state import MachineState
from .machine.vm_metadata import describe_image, machine_record
from .preflight import preflight
from .publish_task import ACTION_REQUIRED, COMPLETE, PublishTask, not_started
from .publish_view import PublishView, Situation, with_unfinished

#: Seconds.
_LOCK_TIMEOUT = 0.3
#: Steps that change nothing by themselves.
_READ_ONLY = frozenset((Step.VERIFY, Step.DONE, Step.ACTION_REQUIRED))


@dataclass
class Published:
    """The result of publishing one template, or of removing its images.

    ``before`` and ``after`` are shown in diff mode; ``error`` is set when it failed. In check mode, ``observation`` is the state
    that was found, and ``steps`` are the steps that a run would execute. ``removed`` are the VMs that were removed with state
    absent, or would be removed.
    """

    template: str
    task: PublishTaskRecord
    image: ImageRecord | None = None
    changed: bool = False
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
    error: StrataError | None = None
    observation: Observation | None = None
    steps: tuple[Step, ...] = ()
    removed: tuple[MachineRecord, ...] = ()


class Publisher:
    """Publishes one template in one vCenter."""

    def __init__(
        self,
        repository: Repository,
        session: Session,
        template: ResolvedTemplate,
        options: PublishOptions,
        progress: Progress,
    ) -> None:
        self._repository = repository
        self._session = session
        self._template = template
        self._options = options
        self._progress = progress
        self._view = PublishView(repository, session, template, options.retention)

    # -- check mode

    def plan(self) -> Published:
        """Return what ``publish`` would do, without doing it.

        Raises:
            Conflict: ``publish.horizon`` if the published VM cannot be used by Horizon; ``preflight.failed`` if the connector cannot
                receive the image.
            StrataError: as ``PublishView.situation``.
        """
        before = self._view.diff_state()
        situation = self._view.situation(self._view.open_task())
        steps = remaining_steps(situation.observation)
        published = self._planned(situation, steps, before)
        published.observation, published.steps = situation.observation, steps
        return published

    def _planned(self, situation: Situation, steps: tuple[Step, ...], before: dict[str, Any] | None) -> Published:
        changed = not _READ_ONLY.issuperset(steps)
        if situation.image is not None and situation.facts is not None:
            return self._plan_published(situation.image, situation.facts, situation, steps, before)
        first = next(step for step in steps if step is not Step.CANCEL_SUPERSEDED)
        if first is Step.ACTION_REQUIRED and situation.facts is not None:
            return self._plan_action(situation, situation.facts, before, changed)
        return self._plan_image(situation, steps, before)

    def _plan_published(
        self,
        image: ImageRecord,
        facts: VmFacts,
        situation: Situation,
        steps: tuple[Step, ...],
        before: dict[str, Any] | None,
    ) -> Published:
        name = self._template.name
        checks = check_horizon(facts, self._view.snapshot_name, self._template.connector.vtpm)
        require_horizon(facts, checks)
        if Step.CONNECTOR_SCRIPT in steps:
            task = self._unstored_task(f"The connector's script would be run for the VM {facts.name}.", facts)
            return Published(name, task, image, True, before, before)
        retention = situation.retention
        kept = list(retention.kept) if retention else None
        after_images = self._view.diff_image(image, self._view.older_machines(image.image_digest, kept))
        warnings = reservations(checks) + (list(retention.warnings) if retention else [])
        changed = not _READ_ONLY.issuperset(steps)
        return Published(name, self._completed_task(image, facts), image, changed, before, after_images, warnings)

    def _plan_action(
        self, situation: Situation, facts: VmFacts, before: dict[str, Any] | None, changed: bool
    ) -> Published:
        text = action_texts.action_required_text(
            self._repository, self._template, facts, situation.observation.machine_state
        )
        task = replace(self._unstored_task(text, facts), status=ACTION_REQUIRED)
        changed = changed or guest_wait.is_unmarked_failure(self._template, facts)
        return Published(self._template.name, task, None, changed, before, before, list(situation.warnings))

    def _plan_image(self, situation: Situation, steps: tuple[Step, ...], before: dict[str, Any] | None) -> Published:
        from .execution import Execution

        name, view = self._template.name, self._view
        folder = situation.target.folder_text if situation.target else ""
        task = self._unstored_task(f"The image would become the VM {view.machine_name} in {folder}.", situation.facts)
        if steps[-1] is Step.ACTION_REQUIRED:
            unfinished = with_unfinished(before, view.machine_name, MachineState.RUNNING)
            return Published(name, task, None, True, before, unfinished, list(situation.warnings))
        sentences = list(situation.warnings)
        if Step.CREATE in steps and situation.target is not None:
            findings = preflight(self._repository, self._session, self._template, situation.target)
            require_passed(self._template.connector.name, findings)
            task = replace(task, preflight=tuple(findings))
            sentences += preflight_warnings(self._template.connector.name, findings)
        image = Execution.image_record(self._template, self._session, None, ())
        older = [older.vm.name for older in view.images()]
        after_image = view.diff_image(image, older)
        return Published(name, task, image, True, before, after_image, sentences)

    def _unstored_task(self, description: str, facts: VmFacts | None) -> PublishTaskRecord:
        vm = vm_metadata.planned_machine(self._template) if facts is None else machine_record(facts)
        task = not_started(self._template, self._view.vcenter, description)
        snapshot = self._view.snapshot_name
        moid = None if facts is None else vm_metadata.snapshot_moid(facts, snapshot)
        return replace(task, vm=vm, snapshot=snapshot, snapshot_moid=moid)

    def _completed_task(self, image: ImageRecord, facts: VmFacts) -> PublishTaskRecord:
        """Return the task for an image that was published before this run."""
        task = self._unstored_task(describe_image(facts, self._view.snapshot_name), facts)
        return replace(
            task,
            status=COMPLETE,
            datastore_path=facts.datastore_path,
            checks=tuple(check_horizon(facts, self._view.snapshot_name, self._template.connector.vtpm)),
            script=image.script,
            scripts=image.scripts,
        )

    # -- a run

    def publish(self) -> Published:
        """Publish the image unless it is published already; the result has the error of a run that failed.

        Raises:
            Conflict: ``repository.lock_held`` if another process publishes the template.
        """
        name = self._template.name
        # task_info takes the lock for a moment to find out whether a process holds it.
        with self._repository.locks.hold(
            f"publish/{name}",
            timeout=_LOCK_TIMEOUT,
            purpose=f"publish {name}",
            subject=f"The template {name} is being published already",
        ):
            clear_cancel(self._repository, name)
            try:
                return self._publish_locked()
            finally:
                clear_cancel(self._repository, name)

    def _publish_locked(self) -> Published:
        name, view = self._template.name, self._view
        before = view.diff_state()
        stored = view.open_task()
        task = (
            PublishTask(self._repository, stored)
            if stored
            else PublishTask.new(self._repository, self._template, view.vcenter)
        )
        context = PublishContext(
            self._repository,
            self._session,
            self._template,
            self._options,
            task,
            CancelWatch(self._repository, name),
            self._progress,
        )
        try:
            image = self._publish_image(context)
            record = task.record
            if image is not None and not task.begun:
                facts = find_recorded(self._session, image)
                record = self._completed_task(image, facts) if facts is not None else record
            return Published(name, record, image, context.changed, before, view.diff_state(), context.warnings)
        except StrataError as problem:
            error = problem
        except OSError as problem:
            error = composer_error(problem)
        except Exception as problem:
            task.fail(
                InternalError(
                    f"Publishing the template {name} met an unexpected error: {problem}.", code="publish.unexpected"
                )
            )
            raise
        task.fail(error)
        return Published(name, task.record, None, context.changed, before, before, context.warnings, error)

    def _publish_image(self, context: PublishContext) -> ImageRecord | None:
        """Return the published image, None when the run was canceled or an administrator has to act."""
        try:
            return self._run_with_retries(context)
        except Canceled as canceled:
            kept = machine_state.remove_unfinished(self._session, context.task.record, self._view.finished_machines())
            if kept:
                context.warn(kept)
            context.task.cancel(canceled.message)
        except ActionRequired as required:
            context.task.require_action(required.message)
        return None

    def _run_with_retries(self, context: PublishContext) -> ImageRecord:
        """Resume from the observed state; after a transient error, resume again, up to ``retries`` times for each step."""
        attempts: dict[str | None, int] = {}
        while True:
            try:
                return self._resume(context)
            except StrataError as error:
                step = context.task.record.step
                attempts[step] = attempts.get(step, 0) + 1
                if not is_transient(error) or attempts[step] > self._options.retries:
                    raise
                context.warn(f"{self._template.name}: the step {step or 'observe'} was tried again: {error.message}")
                self._pause(context)

    def _pause(self, context: PublishContext) -> None:
        until = time.monotonic() + self._options.retry_pause
        while time.monotonic() < until:
            context.cancel.check()
            time.sleep(min(0.5, self._options.retry_pause))

    def _resume(self, context: PublishContext) -> ImageRecord:
        """Observe the state and execute the steps up to the final step; return the image."""
        from .execution import Execution

        situation = self._view.situation(context.task.record)
        execution = Execution(context, situation, self._view)
        observation = situation.observation
        while (step := next_step(observation)) not in FINAL:
            execution.execute(step)
            observation = after(observation, step)
        if step is Step.ACTION_REQUIRED:
            raise execution.action_required(observation.machine_state)
        return execution.finish()
