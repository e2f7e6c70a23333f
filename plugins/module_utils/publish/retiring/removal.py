# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State absent: remove the published and the unfinished VMs of a template, and the records of its images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...catalog import document_collections
from ...catalog.image_record import ImageRecord
from ...catalog.kinds import IMAGE
from ...catalog.publish_task_record import PublishTaskRecord
from ...catalog.vsphere_records import MachineRecord
from ...common.errors import Conflict
from ...common.progress import Progress
from ...common.timestamps import utc_now
from ...repository.repository import Repository
from ...vsphere.session import Session
from ...vsphere.vm import VmFacts
from ..cancel import stop_publishing_process
from ..cancellation import clear_cancel
from ..context import PublishOptions
from ..machine import image_records, machine_state
from ..machine.vm_metadata import machine_record, snapshot_of, vcenter_record
from ..publish_task import NOT_STARTED, OPEN, PublishTask, tasks_of
from ..publisher import Published
from . import ownership
from .clones import Clones, clones_clause
from .horizon_use import HorizonUse, HorizonUser, needs
from .retention import released_text, remove_powered_off

_LOCK_TIMEOUT = 0.5


@dataclass(frozen=True)
class _Blocked:
    """A VM of an image that must not be removed, and the clause that says why."""

    facts: VmFacts
    reason: str
    clones: list[str]
    users: tuple[HorizonUser, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the VM as the error describes it."""
        users = {"horizon": [user.to_dict() for user in self.users]} if self.users else {}
        return machine_record(self.facts).to_dict() | {"reason": self.reason, "clones": self.clones} | users


@dataclass(frozen=True)
class _Plan:
    """The objects of a template in one vCenter.

    ``images`` are the recorded images, ``finished`` their VMs (and the VMs of images whose run ended before they were
    recorded), ``unfinished`` the VMs of tasks, ``open_tasks`` the tasks that have not ended. ``blocked`` prevents the removal.
    """

    images: tuple[ImageRecord, ...]
    finished: tuple[VmFacts, ...]
    unfinished: tuple[VmFacts, ...]
    open_tasks: tuple[PublishTaskRecord, ...]
    blocked: tuple[_Blocked, ...]
    warnings: tuple[str, ...]

    @property
    def vms(self) -> tuple[MachineRecord, ...]:
        """The VMs to remove."""
        return tuple(machine_record(facts) for facts in (*self.finished, *self.unfinished))

    @property
    def changed(self) -> bool:
        """Whether anything has to be removed or ended."""
        return bool(self.images or self.finished or self.unfinished or self.open_tasks)


def remove_images(
    repository: Repository,
    session: Session,
    template: str,
    options: PublishOptions,
    *,
    check_mode: bool,
    progress: Progress,
) -> Published:
    """Remove the VMs and the records of the images of ``template`` in the session's vCenter; the template may be deleted.

    Nothing is removed when the VM of a recorded image must be kept.

    Raises:
        Conflict: ``publish.not_removable`` if the VM of an image is not as it was published, clones depend on it, or Horizon needs it;
            ``repository.lock_held`` if another process publishes the template in a different vCenter.
        StrataError: as ``HorizonUse.users``.
        TimedOut: ``publish.timed_out`` if the process that publishes the template does not stop in time.
    """
    removal = _Removal(repository, session, template, options.retention.horizon)
    plan = removal.plan()
    removal.refuse(plan.blocked)
    if check_mode or not plan.changed:
        return removal.result(plan, plan.vms, "would be")
    if plan.open_tasks:
        stop_publishing_process(repository, template, options, progress)
    with repository.locks.hold(
        f"publish/{template}",
        timeout=_LOCK_TIMEOUT,
        purpose=f"remove the images of {template}",
        subject=f"The template {template} is being published",
    ):
        clear_cancel(repository, template)
        plan = removal.plan()
        removal.refuse(plan.blocked)
        try:
            removal.run(plan)
        finally:
            # An error leaves what is removed already: the audit log has it.
            removal.audit(options.comment)
    return removal.result(plan, tuple(removal.removed), "were")


class _Removal:
    """Plans the removal and carries it out. ``removed`` are the VMs that were removed so far."""

    def __init__(self, repository: Repository, session: Session, template: str, horizon: HorizonUse | None) -> None:
        self._repository = repository
        self._session = session
        self._horizon = horizon
        self._template = template
        self._vcenter = vcenter_record(session)
        self.removed: list[MachineRecord] = []
        self._warnings: list[str] = []
        self._forgotten: list[str] = []

    # -- the plan

    def plan(self) -> _Plan:
        """Find what has to be removed, and what prevents it."""
        images = image_records.images_of(self._repository, self._template, self._vcenter)
        tasks = tasks_of(self._repository, self._template, self._vcenter)
        known_clones = Clones(self._session)
        finished: list[VmFacts] = []
        blocked: list[_Blocked] = []
        warnings: list[str] = []
        for image in images:
            facts = image_records.read_machine(self._session, image.vm)
            if facts is None:
                continue
            if ownership.is_released(facts):
                warnings.append(released_text(image))
                continue
            clones = known_clones.of(facts)
            reason = clones_clause(clones) or ownership.image_change(facts, image) or known_clones.hidden_clause(facts)
            if reason:
                blocked.append(_Blocked(facts, reason, clones))
            else:
                finished.append(facts)
        known = {image.vm.instance_uuid for image in images if image.vm.instance_uuid}
        unfinished: list[VmFacts] = []
        for task in tasks:
            found = _machine_of_task(self._session, task, known)
            if found is None:
                continue
            known.add(found.facts.instance_uuid)
            reason = found.change or known_clones.reason_to_keep(found.facts)
            if reason is not None:
                warnings.append(machine_state.kept_text(found.facts, reason))
            else:
                (unfinished if found.unfinished else finished).append(found.facts)
        blocked += self._needed_by_horizon(images, finished)
        open_tasks = tuple(task for task in tasks if task.status in OPEN)
        return _Plan(tuple(images), tuple(finished), tuple(unfinished), open_tasks, tuple(blocked), tuple(warnings))

    def _needed_by_horizon(self, images: list[ImageRecord], finished: list[VmFacts]) -> list[_Blocked]:
        """Return the VMs among ``finished`` that Horizon needs."""
        last_uses = {image.vm.instance_uuid: image.last_used for image in images}
        by_moid = {facts.moid: last_uses.get(facts.instance_uuid) for facts in finished}
        found = needs(self._horizon, self._vcenter.instance_uuid, by_moid, utc_now())
        return [
            _Blocked(facts, found[facts.moid].reason, [], found[facts.moid].users)
            for facts in finished
            if facts.moid in found
        ]

    def refuse(self, blocked: Iterable[_Blocked]) -> None:
        """Raise Conflict (publish.not_removable) when there is a VM that must not be removed."""
        found = list(blocked)
        if not found:
            return
        reasons = "; ".join(f"the VM {entry.facts.path} cannot be deleted because {entry.reason}" for entry in found)
        raise Conflict(
            f"The images of the template {self._template} cannot be removed: {reasons}.",
            code="publish.not_removable",
            hint="Delete the linked clones, push a different image to the pools and farms, shut the VM down, or undo the change, and "
            "run this playbook again. "
            "If clones may be hidden, give the user the role Read-only on the root folder of vCenter, with propagation. "
            "If you do not need the VM, delete it in the vSphere Client. To keep it, remove its strata.layering settings "
            "from its advanced configuration.",
            vms=[entry.to_dict() for entry in found],
        )

    # -- the removal

    def run(self, plan: _Plan) -> None:
        """Remove unfinished VMs and end their tasks, then remove each image and its record."""
        for facts in plan.unfinished:
            kept = machine_state.remove_work(self._session, facts, None)
            if kept:
                self._warnings.append(kept)
            else:
                self.removed.append(machine_record(facts))
        for task in plan.open_tasks:
            PublishTask(self._repository, task).cancel(f"The images of the template {self._template} were removed.")
        images = list(plan.images)
        for facts in plan.finished:
            if not remove_powered_off(self._session, facts):
                self.refuse([_Blocked(facts, ownership.NOT_POWERED_OFF, [])])
            self.removed.append(machine_record(facts))
            self._forget(images, [image for image in images if image.vm.instance_uuid == facts.instance_uuid])
        self._forget(images, images)

    def _forget(self, images: list[ImageRecord], gone: list[ImageRecord]) -> None:
        """Remove the records ``gone`` from ``images`` and from the repository."""
        if gone:
            digests = {image.image_digest for image in gone}
            self._forgotten += [image.image_digest for image in gone]
            images[:] = [image for image in images if image.image_digest not in digests]
            image_records.forget_images(
                self._repository, self._template, self._vcenter, lambda image: image.image_digest in digests
            )

    def audit(self, comment: str | None) -> None:
        """Write the audit entry, if anything was removed."""
        if self.removed or self._forgotten:
            details = {
                "vcenter": self._vcenter.to_dict(),
                "vms": [record.to_dict() for record in self.removed],
                "image_digests": self._forgotten,
            }
            self._repository.audit.append("delete", IMAGE, self._template, comment=comment, details=details)

    # -- the result

    def result(self, plan: _Plan, vms: tuple[MachineRecord, ...], verb: str) -> Published:
        """Return the module's result; ``verb`` is "were" or "would be"."""
        paths = ", ".join(record.path or record.name for record in vms)
        if not plan.changed:
            description = f"The template {self._template} has no images in {self._session.label}."
        elif paths:
            description = f"The images of the template {self._template} {verb} removed, with their VMs: {paths}."
        else:
            description = f"The records of the template {self._template} {verb} removed; no VM of its images exists."
        record = PublishTaskRecord(template=self._template, status=NOT_STARTED, description=description)
        warnings = [*plan.warnings, *self._warnings]
        if not plan.changed and not self._is_known():
            warnings.append(
                f"The repository has no image template, image or task {self._template}. Check the option templates."
            )
        before: dict[str, Any] = {
            "images": [image.image_digest for image in plan.images],
            "vms": [vm.path or vm.name for vm in plan.vms],
        }
        after = {"images": [], "vms": []} if plan.changed else before
        return Published(
            self._template, record, changed=plan.changed, before=before, after=after, warnings=warnings, removed=vms
        )

    def _is_known(self) -> bool:
        return bool(
            document_collections.templates(self._repository).get(self._template)
            or document_collections.images(self._repository).get(self._template)
            or tasks_of(self._repository, self._template)
        )


@dataclass(frozen=True)
class _TaskVm:
    """The VM of a task that no image records; ``change`` says why it must be kept."""

    facts: VmFacts
    change: str | None
    unfinished: bool


def _machine_of_task(session: Session, task: PublishTaskRecord, known: set[str]) -> _TaskVm | None:
    """Return the VM of a task, None when it does not exist or its instance UUID is in ``known``."""
    if task.vm is None or task.digest is None or task.vm.instance_uuid in known:
        return None
    facts = machine_state.machine_of_task(session, task)
    if facts is None or facts.instance_uuid in known:
        return None
    template = ownership.template_name(facts, task.template_names)
    change = ownership.work_change(facts, template, task.digest, known)
    if change is None:
        return _TaskVm(facts, None, True)
    # The run may have ended after the snapshot and before the image was recorded.
    snapshot = snapshot_of(task.digest)
    change = ownership.published_change(facts, task.vm, template, task.digest, snapshot)
    return _TaskVm(facts, change, False)
