# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing one image: what stands decides which steps are still to be done."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ..catalog.documents import TEMPLATE, now
from ..catalog.resolved_template import ResolvedTemplate
from ..common.errors import Conflict, StrataError
from ..common.progress import Progress
from ..images.layered_image import os_layer_facts
from ..repository.repository import Repository
from ..vsphere.faults import is_transient
from ..vsphere.inventory import Inventory
from ..vsphere.properties import collect
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts
from . import guest_report, image_records, machine_state, steps
from .cancellation import Canceled, CancelWatch, clear_cancel
from .connector_script import check_script
from .horizon_check import check_horizon, require_horizon
from .placement import Target, check_firmware, resolve_placement
from .publish_task import ACTION_REQUIRED, COMPLETE, FAILED, NOT_STARTED, OPEN, PublishTask, tasks_of
from .retention import depends_on, plan_retiring
from .steps import ActionRequired, PublishOptions, Run


@dataclass
class Published:
    """What became of one template. ``before`` and ``after`` are what diff mode shows; ``error`` is set when it failed."""

    template: str
    task: dict
    image: dict | None = None
    changed: bool = False
    before: dict | None = None
    after: dict | None = None
    warnings: list[str] = field(default_factory=list)
    error: StrataError | None = None


class Publisher:
    """Publishes one template."""

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
        self._name = image_records.machine_name(template)
        self._snapshot = image_records.snapshot_name(template)
        self._warnings: list[str] = []

    # -- what there is

    def _shown(self) -> dict | None:
        """What is published now and what is under way, as diff mode shows it."""
        recorded = self._recorded_images()
        shown = None
        for image in recorded:
            if image_records.find_standing(self._session, image):
                shown = self._summary(image, [one["vm"]["name"] for one in recorded if one is not image])
                break
        task = self._resumed()
        facts = machine_state.unfinished_machine(self._session, task.document) if task else None
        return (
            _with_unfinished(shown, facts.name, machine_state.stand(self._session, self._template, facts))
            if facts
            else shown
        )

    @staticmethod
    def _summary(image: dict, older: list[str]) -> dict:
        return {
            "machine": image["vm"]["name"],
            "image_digest": image["image_digest"],
            "layers": image["layers"],
            "older_machines": older,
        }

    def _current(self) -> tuple[dict, VmFacts] | None:
        """The record and the machine when this very image is the current one and stands as it was published."""
        recorded = self._recorded_images()
        if not recorded or recorded[0]["image_digest"] != self._template.image_digest:
            return None
        facts = image_records.find_standing(self._session, recorded[0])
        return (recorded[0], facts) if facts else None

    def _tasks(self) -> list[dict]:
        return tasks_of(self._repository, self._template.name, self._session.vcenter)

    def _open_tasks(self) -> list[dict]:
        return [document for document in self._tasks() if document["status"] in OPEN]

    def _resumed(self) -> PublishTask | None:
        """The task of this image that has not ended."""
        for document in self._open_tasks():
            if document["digest"] == self._template.image_digest:
                return PublishTask(self._repository, document)
        return None

    def _completion_lost(self) -> bool:
        """Whether the run that finished this image failed after that, so that no task and no audit entry tells of it."""
        states = {document["status"] for document in self._tasks() if document["digest"] == self._template.image_digest}
        return FAILED in states and COMPLETE not in states

    def _scripts_cut_off(self, facts: VmFacts) -> bool:
        """Whether a script ran, or had failed, when somebody looked last: its host has forgotten what became of it."""
        if self._template.publish_mode == guest_report.MANUAL:
            return False
        for document in self._tasks():
            if (
                document["digest"] == self._template.image_digest
                and (document["vm"] or {}).get("instance_uuid") == facts.instance_uuid
            ):
                return (document["scripts"] or {}).get("state") in (guest_report.RUNNING, guest_report.FAILED)
        return False

    def _target(self, *, create_folder: bool) -> Target:
        if self._template.connector.get("script"):
            check_script(self._template.connector["script"])
        target = resolve_placement(self._session, self._template.connector, create_folder=create_folder)
        facts = os_layer_facts(self._repository, self._template)
        check_firmware(target, facts.get("firmware"), self._template.os_layer.name)
        return target

    def _recorded_machine(self, task: PublishTask | None) -> dict | None:
        return task.document["vm"] if task else None

    # -- check mode

    def plan(self) -> Published:
        """What publishing would do, with everything looked up that it needs."""
        before = self._shown()
        current = self._current()
        superseded = any(document["digest"] != self._template.image_digest for document in self._open_tasks())
        if current:
            require_horizon(current[1], check_horizon(current[1], self._snapshot))
        if current and not self._script_due(current[0]):
            stay, going, warnings = plan_retiring(
                self._repository, self._session, self._template.name, self._template.image_digest, self._options.keep
            )
            after = self._summary(
                current[0], [one["vm"]["name"] for one in stay if one["image_digest"] != self._template.image_digest]
            )
            task = self._finished_task(*current)
            changed = bool(going) or superseded or self._completion_lost() or before != after
            return Published(self._template.name, task, current[0], changed, before, after, warnings)
        task = self._resumed()
        if current:
            document = self._would(
                f"The connector's script would be run for the machine {current[1].name}.", current[1]
            )
            return Published(self._template.name, document, current[0], True, before, before)
        target = self._target(create_folder=False)
        facts = machine_state.find_machine(
            self._session,
            self._template,
            None if target.folder_missing else target.placement.folder,
            self._recorded_machine(task),
        )
        person = self._needs_person(facts)
        if person:
            changed = superseded or (facts is not None and steps.is_unmarked_failure(self._template, facts))
            return Published(
                self._template.name,
                self._would(person, facts) | {"status": ACTION_REQUIRED},
                None,
                changed,
                before,
                before,
            )
        document = self._would(
            f"The image would become the machine {self._name} in {target.summary()['folder']}.", facts
        )
        how_far = machine_state.stand(self._session, self._template, facts)
        if self._template.publish_mode == guest_report.MANUAL and how_far in (
            machine_state.NONE,
            machine_state.HALF_MADE,
            machine_state.TO_START,
        ):
            return Published(
                self._template.name,
                document,
                None,
                True,
                before,
                _with_unfinished(before, self._name, machine_state.RUNNING),
            )
        image = self._image({"name": self._name}, None, [])
        older = [one["vm"]["name"] for one in self._recorded_images()]
        return Published(self._template.name, document, image, True, before, self._summary(image, older))

    def _would(self, description: str, facts: VmFacts | None) -> dict:
        return {
            "template": self._template.name,
            "status": NOT_STARTED,
            "description": description,
            "digest": self._template.image_digest,
            "vcenter": self._session.vcenter,
            "vm": image_records.machine_record(facts) if facts else {"name": self._name},
            "snapshot": self._snapshot,
        }

    def _needs_person(self, facts: VmFacts | None) -> str | None:
        """What a person has to do before anything else can be done, None when nobody has to."""
        how_far = machine_state.stand(self._session, self._template, facts)
        if how_far == machine_state.SWITCHED_ON:
            return (
                f"The image is there, but {image_records.where(facts)} is switched on. "
                f"Shut it down, go back to its snapshot {self._snapshot} if it was changed, and run again; or remove it to have it published anew."
            )
        return steps.person_needed(self._template, facts) if how_far == machine_state.RUNNING else None

    # -- doing it

    def publish(self) -> Published:
        """Publish, unless this very image stands already."""
        name = self._template.name
        with self._repository.locks.hold(f"publish/{name}", timeout=0, purpose=f"publish {name}"):
            clear_cancel(self._repository, name)
            try:
                return self._publish_locked()
            finally:
                clear_cancel(self._repository, name)

    def _publish_locked(self) -> Published:
        before = self._shown()
        task = self._resumed() or PublishTask.new(self._repository, self._template, self._session.vcenter)
        run = Run(
            self._repository,
            self._session,
            self._template,
            self._options,
            task,
            CancelWatch(self._repository, self._template.name),
            self._progress,
            self._warnings,
        )
        image = None
        try:
            try:
                image = self._try(run)
            except Canceled as canceled:
                machine_state.remove_unfinished(self._session, task.document)
                task.cancel(canceled.message)
            except ActionRequired as required:
                task.require_action(required.message)
            document = task.document
            if image is not None and document["status"] == NOT_STARTED:
                document = self._finished_task(image, image_records.find_recorded(self._session, image))
            return Published(self._template.name, document, image, run.changed, before, self._shown(), self._warnings)
        except StrataError as problem:
            error = problem
        except OSError as problem:
            error = composer_error(problem)
        except Exception as problem:
            task.fail(
                StrataError(f"Publishing {self._template.name} met an unexpected error: {problem}.", code="internal")
            )
            raise
        task.fail(error)
        return Published(self._template.name, task.document, None, run.changed, before, before, self._warnings, error)

    def _try(self, run: Run) -> dict:
        """Go on from what stands; what may pass by itself is tried again, each step so many times."""
        tries: dict[str | None, int] = {}
        while True:
            try:
                return self._go_on(run)
            except StrataError as error:
                step = run.task.document["step"]
                tries[step] = tries.get(step, 0) + 1
                if not is_transient(error) or tries[step] > self._options.retries:
                    raise
                run.warn(f"{self._template.name}: the step {step or 'look up'} was tried again: {error.message}")
                self._pause(run)

    def _pause(self, run: Run) -> None:
        until = time.monotonic() + self._options.retry_pause
        while time.monotonic() < until:
            run.cancel.check()
            time.sleep(min(0.5, self._options.retry_pause))

    def _go_on(self, run: Run) -> dict:
        """Do the steps that are still to be done; returns the image."""
        self._supersede(run)
        current = self._current()
        if current:
            image, facts = current
            if self._completion_lost():
                run.begin("verify", "The machine is read back and checked against what Horizon needs.")
            checks = check_horizon(facts, self._snapshot)
            require_horizon(facts, checks)
        else:
            image, facts = self._make(run)
        run.finished = True
        if self._script_due(image):
            steps.connector_script(
                run, image, lambda one: image_records.record_image(self._repository, self._template.name, one)
            )
        self._retire(run)
        if run.task.document["status"] != NOT_STARTED:
            run.task.document.update(
                vm=image_records.machine_record(facts), snapshot=self._snapshot, datastore_path=facts.datastore_path
            )
            run.task.complete(image_records.describe_place(facts, self._snapshot))
            self._audit(facts)
        return image

    def _make(self, run: Run) -> tuple[dict, VmFacts]:
        """From whatever stands to an image that is recorded."""
        target = self._target(create_folder=True)
        facts = machine_state.find_machine(
            self._session, self._template, target.placement.folder, self._recorded_machine(run.task)
        )
        person = self._needs_person(facts)
        if person:
            if facts is not None:
                run.task.document["vm"] = image_records.machine_record(facts)
                steps.remember_failure(run, Inventory(self._session).vm(moid=facts.moid), facts)
            raise ActionRequired(person)
        how_far = machine_state.stand(self._session, self._template, facts)
        if how_far == machine_state.UNSNAPPED and any(
            one["image_digest"] == self._template.image_digest for one in self._recorded_images()
        ):
            # Somebody has removed the snapshot of an image: nobody knows what ran in the machine since.
            self._refuse_clones(facts)
            how_far = machine_state.HALF_MADE
        if how_far == machine_state.OFF and self._scripts_cut_off(facts):
            how_far = machine_state.TO_START
        if how_far == machine_state.HALF_MADE:
            run.changed = True
            machine_state.remove_machine(self._session, facts, run.cancel.check)
            how_far = machine_state.NONE
        self._remove_forgotten(run, target)
        if how_far == machine_state.NONE:
            machine = steps.create(run, target, steps.compose(run))
            how_far = machine_state.TO_START
        else:
            machine = Inventory(self._session).vm(moid=facts.moid)
            run.task.document["vm"] = image_records.machine_record(facts)
        if how_far == machine_state.TO_START:
            steps.power_on(run, machine)
        if how_far in (machine_state.TO_START, machine_state.RUNNING):
            steps.await_guest(run, machine)
        if how_far != machine_state.IMAGE:
            steps.snapshot(run, machine)
        run.finished = True
        facts = steps.verify(run, machine)
        image = self._image(image_records.machine_record(facts), facts, run.task.document["checks"])
        image["scripts"] = run.task.document["scripts"]
        image_records.record_image(self._repository, self._template.name, image)
        return image, facts

    def _retire(self, run: Run) -> None:
        stay, going, warnings = plan_retiring(
            self._repository, self._session, self._template.name, self._template.image_digest, self._options.keep
        )
        if going or stay != self._recorded_images() or run.task.document["status"] != NOT_STARTED:
            steps.retire_old(run, stay, going, warnings)
        else:
            self._warnings += warnings

    def _recorded_images(self) -> list[dict]:
        return image_records.images_of(self._repository, self._template.name, self._session.vcenter)

    def _script_due(self, image: dict) -> bool:
        return bool(self._template.connector.get("script") and image.get("script") and not image["script"]["done"])

    def _refuse_clones(self, facts: VmFacts) -> None:
        clones = depends_on(self._session, facts)
        if clones:
            raise Conflict(
                f"The snapshot {self._snapshot} of the machine {facts.path} is gone, and {', '.join(clones[:5])} depend on its disks.",
                code="publish.clones",
                hint="Remove those clones, or rename the machine and remove its custom settings, and run again.",
            )

    # -- clearing up

    def _supersede(self, run: Run) -> None:
        """End the tasks of other forms of the template that never became images, and remove their machines."""
        for document in self._open_tasks():
            if document["digest"] != self._template.image_digest:
                run.changed = True
                machine_state.remove_unfinished(self._session, document)
                PublishTask(self._repository, document).cancel(
                    f"The template {self._template.name} was changed before the image was finished."
                )

    def _remove_forgotten(self, run: Run, target: Target) -> None:
        """Remove unfinished machines of the template that no task knows of."""
        beginning = f"{self._template.vm_name}-"
        named = {
            machine: name
            for name, machine in Inventory(self._session).vms_in(target.placement.folder).items()
            if name.startswith(beginning) and name != self._name
        }
        for machine, values in collect(self._session, named, ["config.extraConfig"]).items():
            config = {option.key: str(option.value) for option in values.get("config.extraConfig", [])}
            # What somebody has cloned has the marks too, but another name.
            own = named[machine] == beginning + image_records.short_digest(config.get(image_records.KEY_IMAGE, ""))
            if (
                own
                and config.get(image_records.KEY_TEMPLATE) == self._template.name
                and config.get(image_records.KEY_STATE) != image_records.STATE_COMPLETE
            ):
                run.changed = True
                machine_state.remove_machine(self._session, read_facts(self._session, machine), run.cancel.check)

    # -- words

    def _finished_task(self, image: dict, facts: VmFacts) -> dict:
        return {
            "template": self._template.name,
            "status": COMPLETE,
            "description": image_records.describe_place(facts, self._snapshot),
            "digest": self._template.image_digest,
            "vcenter": self._session.vcenter,
            "vm": image_records.machine_record(facts),
            "snapshot": self._snapshot,
            "datastore_path": facts.datastore_path,
            "timings": {},
            "bytes": {},
            "checks": check_horizon(facts, self._snapshot),
            "script": image.get("script"),
            "scripts": image.get("scripts"),
        }

    def _image(self, vm: dict, facts: VmFacts | None, checks: list[dict]) -> dict:
        script = self._template.connector.get("script")
        return {
            "template": self._template.name,
            "image_digest": self._template.image_digest,
            "content_digest": self._template.content_digest,
            "layers": image_records.template_layers(self._template),
            "connector": self._template.connector["name"],
            "vcenter": self._session.vcenter,
            "vm": vm,
            "snapshot": self._snapshot,
            "datastore_path": facts.datastore_path if facts else None,
            "published": now(),
            "checks": checks,
            "scripts": None,
            "script": {"path": script, "done": False, "output": None} if script else None,
        }

    def _audit(self, facts: VmFacts) -> None:
        self._repository.audit.append(
            "publish",
            TEMPLATE,
            self._template.name,
            comment=self._options.comment,
            details={
                "image_digest": self._template.image_digest,
                "vm": facts.name,
                "instance_uuid": facts.instance_uuid,
            },
        )


def composer_error(error: OSError) -> StrataError:
    """What the composer's own files or memory refused, as an error of the family."""
    return StrataError(
        f"The composer could not use {error.filename or 'a file'}: {error.strerror or error}.", code="publish.host_io"
    )


def _with_unfinished(shown: dict | None, machine: str, how_far: str) -> dict:
    """What diff mode shows when a machine is under way."""
    return (shown or {"machine": None, "image_digest": None, "layers": {}, "older_machines": []}) | {
        "unfinished": {"machine": machine, "how_far": how_far}
    }
