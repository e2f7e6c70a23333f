# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe the progress of publishing a template: the catalog's records and vSphere, read only."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..catalog.image_record import ImageRecord
from ..catalog.publish_task_record import PublishTaskRecord
from ..catalog.resolved_template import ResolvedTemplate
from ..common.errors import NotFound
from ..repository.repository import Repository
from ..vsphere.inventory.inventory import Inventory
from ..vsphere.properties import collect
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts
from .decision import Observation
from .guest import guest_report
from .guest.script_check import check_script
from .machine import image_records, machine_state, vm_metadata
from .machine.machine_state import MachineState
from .machine.placement import Target, check_firmware, resolve_placement
from .machine.uploads import is_uploaded
from .machine.vm_metadata import vcenter_record
from .publish_task import COMPLETE, FAILED, NOT_STARTED, OPEN, tasks_of
from .retiring import ownership
from .retiring.retention import RetentionPlan, RetentionRule, plan_retention, released_text


@dataclass(frozen=True)
class Situation:
    """An observation, with the objects that it is about.

    ``image`` and ``retention`` are set when the image is published, ``target`` when it is not. ``leftovers`` are unfinished
    VMs that no task records. ``warnings`` name VMs that were images and are no longer managed.
    """

    observation: Observation
    facts: VmFacts | None
    image: ImageRecord | None = None
    retention: RetentionPlan | None = None
    target: Target | None = None
    leftovers: tuple[VmFacts, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _DiffState:
    """A published image as diff mode shows it."""

    machine: str | None = None
    image_digest: str | None = None
    layers: dict[str, Any] = field(default_factory=dict)
    older_machines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _UnfinishedVm:
    """A VM that is not an image yet, as diff mode shows it."""

    machine: str
    how_far: str


class PublishView:
    """Reads the state of one template's publishing in one vCenter; ``rule`` decides about the VMs of older images."""

    def __init__(
        self, repository: Repository, session: Session, template: ResolvedTemplate, rule: RetentionRule
    ) -> None:
        self._repository = repository
        self._session = session
        self._template = template
        self._rule = rule
        self.vcenter = vcenter_record(session)
        self.machine_name = vm_metadata.machine_name(template)
        self.snapshot_name = vm_metadata.snapshot_name(template)

    # -- the catalog

    def images(self) -> list[ImageRecord]:
        """Return the recorded images of the template, newest first."""
        return image_records.images_of(self._repository, self._template.name, self.vcenter)

    def finished_machines(self) -> frozenset[str]:
        """Return the instance UUIDs of the VMs of the recorded images."""
        return image_records.instance_uuids(self._repository, self._template.name, self.vcenter)

    def older_machines(self, image_digest: str, images: list[ImageRecord] | None = None) -> list[str]:
        """Return the names of the VMs of images with a different digest."""
        images = self.images() if images is None else images
        return [image.vm.name for image in images if image.image_digest != image_digest]

    def open_task(self) -> PublishTaskRecord | None:
        """Return the task of this image that has not ended, None when there is none."""
        for task in self._open_tasks():
            if task.digest == self._template.image_digest:
                return task
        return None

    def superseded_tasks(self) -> list[PublishTaskRecord]:
        """Return the tasks of earlier forms of the template that have not ended."""
        return [task for task in self._open_tasks() if task.digest != self._template.image_digest]

    def _tasks(self) -> list[PublishTaskRecord]:
        return tasks_of(self._repository, self._template.name, self.vcenter)

    def _open_tasks(self) -> list[PublishTaskRecord]:
        return [task for task in self._tasks() if task.status in OPEN]

    def _completion_lost(self) -> bool:
        """Return whether the run that finished this image failed afterwards, so that neither a task nor the audit log shows it."""
        statuses = {task.status for task in self._tasks() if task.digest == self._template.image_digest}
        return FAILED in statuses and COMPLETE not in statuses

    def _scripts_interrupted(self, facts: VmFacts) -> bool:
        """Return whether the last known report says that a script was running or had failed; the host drops it at power-off."""
        if self._template.publish_mode == guest_report.MANUAL:
            return False
        for task in self._tasks():
            same_vm = task.vm is not None and task.vm.instance_uuid == facts.instance_uuid
            if task.digest == self._template.image_digest and same_vm:
                return (task.scripts or {}).get("state") in (guest_report.RUNNING, guest_report.FAILED)
        return False

    # -- vSphere

    def published(self) -> tuple[ImageRecord, VmFacts] | None:
        """Return the record and the VM when this image is the newest and its VM is as it was published."""
        images = self.images()
        if not images or images[0].image_digest != self._template.image_digest:
            return None
        facts = image_records.find_published(self._session, images[0])
        if facts is None:
            return None
        # Earlier versions did not record the managed object ID of the snapshot.
        moid = images[0].snapshot_moid or vm_metadata.snapshot_moid(facts, images[0].snapshot)
        return replace(images[0], snapshot_moid=moid), facts

    def situation(self, task: PublishTaskRecord | None) -> Situation:
        """Observe the state; ``task`` is the task to resume.

        Raises:
            Conflict: ``publish.name_in_use``, ``publish.connector_firmware``; as ``resolve_placement``.
            NotFound, InvalidInput: as ``resolve_placement``.
            InvalidInput: ``publish.connector_script`` if the connector's script is not an executable file.
        """
        published = self.published()
        if published is not None:
            return self._published_situation(*published, task)
        return self._unpublished_situation(task)

    def _published_situation(self, image: ImageRecord, facts: VmFacts, task: PublishTaskRecord | None) -> Situation:
        retention = plan_retention(
            self._repository, self._session, self._template.name, self._template.image_digest, self._rule
        )
        script = image.script if self._template.connector.script else None
        observation = Observation(
            MachineState.PUBLISHED,
            self._template.publish_mode,
            published=True,
            completion_lost=self._completion_lost(),
            connector_script_due=script is not None and not script.done,
            retirement_due=retention.changed or _has_begun(task),
            superseded_tasks=bool(self.superseded_tasks()),
            task_begun=_has_begun(task),
        )
        return Situation(observation, facts, image, retention)

    def _unpublished_situation(self, task: PublishTaskRecord | None) -> Situation:
        template = self._template
        target = self._target()
        folder = None if target.folder_missing else target.placement.folder
        images = [image for image in self.images() if image.image_digest == template.image_digest]
        records = [image.vm for image in images] + ([task.vm] if task and task.vm else [])
        found = machine_state.find_machine(self._session, template, folder, records)
        facts = found.facts
        state = machine_state.observe(
            self._session, template, facts, was_image=self._was_image(facts), uploaded=self._is_uploaded(facts)
        )
        report = guest_report.read_report(facts.extra_config, template.content_digest) if facts else None
        leftovers = self._leftovers(folder) if folder is not None else ()
        interrupted = facts is not None and state is MachineState.STOPPED and self._scripts_interrupted(facts)
        observation = Observation(
            state,
            template.publish_mode,
            report.state if report else None,
            scripts_interrupted=interrupted,
            connector_script_due=bool(template.connector.script),
            superseded_tasks=bool(self.superseded_tasks()),
            leftover_vms=bool(leftovers),
            task_begun=_has_begun(task),
        )
        released = {vm.instance_uuid for vm in found.released}
        warnings = tuple(released_text(image) for image in images if image.vm.instance_uuid in released)
        return Situation(observation, facts, target=target, leftovers=leftovers, warnings=warnings)

    def _was_image(self, facts: VmFacts | None) -> bool:
        """Return whether a VM was a finished image, or the image was published and no task shows that the VM was created for it."""
        if facts is None:
            return False
        images = self.images()
        if any(image.vm.instance_uuid == facts.instance_uuid for image in images):
            return True
        digest = self._template.image_digest
        if not any(image.image_digest == digest for image in images):
            return False
        created = [task.vm for task in self._tasks() if task.digest == digest and task.vm is not None]
        return not any(
            vm.instance_uuid == facts.instance_uuid if vm.instance_uuid else vm.path == facts.path for vm in created
        )

    def _is_uploaded(self, facts: VmFacts | None) -> bool:
        """Return whether a task of this image shows that the disk of its VM is complete."""
        if facts is None:
            return False
        return is_uploaded(facts, [task.upload for task in self._tasks() if task.digest == self._template.image_digest])

    def _target(self) -> Target:
        from ..images.composing.layered_image import os_layer_facts

        template = self._template
        if template.connector.script:
            check_script(template.connector.script)
        target = resolve_placement(self._session, template.connector, create_folder=False)
        facts = os_layer_facts(self._repository, template)
        check_firmware(target, facts.get("firmware"), template.os_layer.name)
        return target

    def _leftovers(self, folder: Any) -> tuple[VmFacts, ...]:
        """Return the unfinished VMs of the template in ``folder`` that no task records."""
        beginning = f"{self._template.vm_name}-"
        named = {
            machine: name
            for name, machine in Inventory(self._session).vms_in(folder).items()
            if name.startswith(beginning) and name != self.machine_name
        }
        recorded = {task.vm.name for task in self.superseded_tasks() if task.vm is not None}
        finished = self.finished_machines()
        leftovers = []
        for machine, values in collect(self._session, named, ["config.extraConfig"]).items():
            config = {option.key: str(option.value) for option in values.get("config.extraConfig", [])}
            digest = config.get(vm_metadata.KEY_IMAGE, "")
            # A clone has the same metadata, but a different name.
            if named[machine] != beginning + vm_metadata.short_digest(digest) or named[machine] in recorded:
                continue
            with contextlib.suppress(NotFound):
                facts = read_facts(self._session, machine)
                template = ownership.template_name(facts, self._template.names)
                if ownership.work_change(facts, template, digest, finished) is None:
                    leftovers.append(facts)
        return tuple(leftovers)

    # -- diff mode

    def diff_state(self) -> dict[str, Any] | None:
        """Return the published image and the unfinished VM, as diff mode shows them; None when there is neither."""
        shown = None
        for image in self.images():
            if image_records.find_published(self._session, image):
                shown = self.diff_image(image, self.older_machines(image.image_digest))
                break
        task = self.open_task()
        facts = machine_state.unfinished_machine(self._session, task, self.finished_machines()) if task else None
        if facts is None:
            return shown
        state = machine_state.observe(self._session, self._template, facts, uploaded=self._is_uploaded(facts))
        return with_unfinished(shown, facts.name, state)

    @staticmethod
    def diff_image(image: ImageRecord, older_machines: list[str]) -> dict[str, Any]:
        """Return an image as diff mode shows it."""
        return asdict(_DiffState(image.vm.name, image.image_digest, dict(image.layers), older_machines))


def _has_begun(task: PublishTaskRecord | None) -> bool:
    return task is not None and task.status != NOT_STARTED


def with_unfinished(shown: dict[str, Any] | None, machine: str, state: MachineState) -> dict[str, Any]:
    """Return what diff mode shows while a VM is not finished."""
    return (shown or asdict(_DiffState())) | {"unfinished": asdict(_UnfinishedVm(machine, state.value))}
