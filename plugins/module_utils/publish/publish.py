# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing: from a template to a machine with a snapshot."""

from __future__ import annotations

import json

from ..catalog.documents import TEMPLATE, now
from ..catalog.templates import resolve
from ..common.errors import Conflict, StrataError
from ..common.module import Outcome
from ..common.progress import Progress, silent
from ..images.layered_image import compose_template, os_layer_facts
from ..images.template import ResolvedTemplate, label
from ..images.template_plan import contested
from ..images.thin_image import ThinImage
from ..repository.repository import Repository
from ..vsphere import vm as machines
from ..vsphere.deploy import create_by_import
from ..vsphere.inventory import Inventory
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts
from . import images
from .placement import Target, check_firmware, resolve_placement
from .retire import depends_on
from .task import COMPLETE, PublishTask


def publish_templates(params: dict, *, connection: dict, check_mode: bool, diff_mode: bool = False, progress: Progress = silent) -> Outcome:
    """Publish each template that a module's options name; a template that fails does not keep the others from it."""
    repository = Repository.open(params["repository"], writable=not check_mode)
    names = list(dict.fromkeys(params["templates"]))
    resolved = [resolve(repository, repository.catalog.require(TEMPLATE, name)) for name in names]
    before, after, tasks, current, errors, warnings = {}, {}, [], [], [], []
    with Session.connect(**connection) as session:
        for template in resolved:
            publisher = _Publisher(repository, session, template, params, progress)
            before[template.name] = publisher.standing()
            try:
                task, image = publisher.plan() if check_mode else publisher.publish()
            except StrataError as error:
                errors.append(error)
                tasks.append(dict(publisher.failed_task(error)))
                continue
            tasks.append(task)
            current.append(image)
            warnings += publisher.warnings
            after[template.name] = publisher.summary(image)
            if diff_mode and before[template.name] != after[template.name]:
                after[template.name] |= {"contested": contested(repository, template)}
    if errors:
        first = errors[0]
        raise type(first)(first.message, code=first.code, hint=first.hint, **dict(first.details, tasks=tasks))
    return Outcome(before != after, before, after, {"tasks": tasks, "images": current}, warnings)


class _Publisher:
    """Publishes one template."""

    def __init__(self, repository: Repository, session: Session, template: ResolvedTemplate, params: dict, progress: Progress) -> None:
        self._repository = repository
        self._session = session
        self._template = template
        self._params = params
        self._progress = progress
        self._task: PublishTask | None = None
        self._name = images.machine_name(template)
        self._snapshot = images.snapshot_name(template)
        self.warnings: list[str] = []

    # -- what there is

    def standing(self) -> dict | None:
        """What is published now, as diff mode shows it."""
        for image in images.images_of(self._repository, self._template.name):
            if images.find_standing(self._session, image):
                return self.summary(image)
        return None

    @staticmethod
    def summary(image: dict) -> dict:
        """An image as diff mode shows it."""
        return {"machine": image["vm"]["name"], "image_digest": image["image_digest"], "layers": image["layers"]}

    def _published(self) -> tuple[dict, dict] | None:
        """Task and image when this very image is the current one and still stands."""
        recorded = images.images_of(self._repository, self._template.name)
        if not recorded or recorded[0]["image_digest"] != self._template.image_digest:
            return None
        facts = images.find_standing(self._session, recorded[0])
        if facts is None:
            return None
        return self._finished_task(facts), recorded[0]

    def _finished_task(self, facts: VmFacts) -> dict:
        return {
            "template": self._template.name,
            "status": COMPLETE,
            "description": images.describe_place(facts, self._snapshot),
            "digest": self._template.image_digest,
            "vm": _machine(facts),
            "snapshot": self._snapshot,
            "datastore_path": facts.datastore_path,
            "timings": {},
            "bytes": {},
        }

    def failed_task(self, error: StrataError) -> dict:
        """The task as it ended."""
        if self._task:
            return self._task.document
        return {"template": self._template.name, "status": "Failed", "description": str(error), "digest": self._template.image_digest}

    # -- doing it

    def plan(self) -> tuple[dict, dict]:
        """What publishing would do, with everything looked up that it needs."""
        found = self._published()
        if found:
            return found
        target = self._target(create_folder=False)
        task = {
            "template": self._template.name,
            "status": "NotStarted",
            "description": f"The image would become the machine {self._name} in {target.summary()['folder']}.",
            "digest": self._template.image_digest,
            "vm": {"name": self._name},
            "snapshot": self._snapshot,
        }
        return task, self._image({"name": self._name}, None)

    def publish(self) -> tuple[dict, dict]:
        """Publish, unless this very image stands already; returns the task and the image."""
        name = self._template.name
        with self._repository.locks.hold(f"publish/{name}", timeout=0, purpose=f"publish {name}"):
            found = self._published()
            if found:
                self._retire()
                return found
            self._task = PublishTask(self._repository, name, self._template.image_digest, self._template.content_digest)
            try:
                return self._publish(self._task)
            except Exception as error:
                unexpected = StrataError(f"Publishing {name} met an unexpected error: {error}.", code="internal")
                self._task.fail(error if isinstance(error, StrataError) else unexpected)
                raise

    def _publish(self, task: PublishTask) -> tuple[dict, dict]:
        target = self._target(create_folder=True)
        machine = self._left_over(target)
        if machine is None:
            with task.step("compose", "The layers are put together."):
                thin = compose_template(self._repository, self._template, progress=self._progress)
            self._warn_of(thin)
            with task.step("upload", f"The machine {self._name} is created and its disk uploaded."):
                machine = self._create(target, thin, task)
            self._let_run(machine, task)
            with task.step("snapshot", f"The snapshot {self._snapshot} is taken."):
                machines.reconfigure(self._session, machine, extra_config={images.KEY_STATE: images.STATE_COMPLETE})
                machines.create_snapshot(self._session, machine, self._snapshot, self._contents())
        facts = read_facts(self._session, machine)
        image = self._image(_machine(facts), facts)
        others = [one for one in images.images_of(self._repository, self._template.name) if one["image_digest"] != self._template.image_digest]
        images.record_images(self._repository, self._template.name, [image, *others])
        task.document.update(vm=_machine(facts), snapshot=self._snapshot, datastore_path=facts.datastore_path)
        with task.step("retire", "Machines of older images are looked at."):
            self._retire()
        task.complete(images.describe_place(facts, self._snapshot))
        self._repository.audit.append(
            "publish", TEMPLATE, self._template.name, comment=self._params["comment"],
            details={"image_digest": self._template.image_digest, "vm": facts.name, "instance_uuid": facts.instance_uuid},
        )
        return task.document, image

    def _target(self, *, create_folder: bool) -> Target:
        target = resolve_placement(self._session, self._template.connector, create_folder=create_folder)
        facts = os_layer_facts(self._repository, self._template)
        check_firmware(target, facts.get("firmware"), self._template.os_layer.name)
        return target

    def _left_over(self, target: Target):
        """A machine of this name from a run that did not end: the finished image is taken over, a half-made one removed."""
        machine = Inventory(self._session).vms_in(target.placement.folder).get(self._name)
        if machine is None:
            return None
        facts = read_facts(self._session, machine)
        if images.is_image(facts, self._template.image_digest, self._snapshot):
            return machine
        if facts.extra_config.get(images.KEY_TEMPLATE) != self._template.name:
            raise Conflict(
                f"There is a machine {facts.path} that was not published from the template {self._template.name}.",
                code="publish.name_in_use",
                hint="Rename or remove it, or set vm_name of the template.",
            )
        machines.destroy(self._session, machine)
        return None

    def _warn_of(self, thin: ThinImage) -> None:
        """Tell of what composing could not keep, and of registry settings that layers contest."""
        dropped = thin.config["statistics"]["dropped"]
        if dropped:
            self.warnings.append(f"{self._template.name}: left out because another file has it already: {'; '.join(dropped[:5])} ({len(dropped)} in all).")
        contested = [finding for finding in thin.config.get("registry", {}).get("findings", ()) if finding.get("overruled")]
        if contested:
            names = ", ".join("\\".join(filter(None, (one["hive"], one["key"], one.get("value")))) for one in contested[:3])
            self.warnings.append(f"{self._template.name}: layers contest {len(contested)} registry settings, such as {names}; see layered_image_plan.")

    def _create(self, target: Target, thin: ThinImage, task: PublishTask):
        length, chunks = thin.stream()
        task.document["bytes"].update(compressed=thin.config["statistics"]["compressed_bytes"], uploaded=length, disk=thin.capacity)
        layers = self._template_layers()
        deployed = create_by_import(
            self._session,
            target.placement,
            name=self._name,
            hardware=target.hardware,
            capacity=thin.capacity,
            blocks=lambda: chunks,
            length=length,
            annotation=self._contents(),
            extra_config={
                images.KEY_TEMPLATE: self._template.name,
                images.KEY_IMAGE: self._template.image_digest,
                images.KEY_CONTENT: self._template.content_digest,
                images.KEY_LAYERS: json.dumps(layers, sort_keys=True),
                images.KEY_STATE: "created",
            },
            progress=self._progress,
        )
        self.warnings += deployed.warnings
        return deployed.vm

    def _let_run(self, machine, task: PublishTask) -> None:
        with task.step("power on", f"The machine {self._name} is powered on."):
            machines.power_on(self._session, machine)
        with task.step("shut down", f"The machine {self._name} runs until it shuts itself down."):
            machines.wait_for_power_off(self._session, machine, timeout=self._params["shutdown_timeout"], progress=self._progress)

    def _retire(self) -> None:
        """Remove machines of older images beyond the number to keep."""
        keep = self._params["keep"]
        recorded = images.images_of(self._repository, self._template.name)
        kept = []
        for number, image in enumerate(recorded):
            if keep is None or number <= max(keep, 0):
                kept.append(image)
                continue
            facts = images.find_standing(self._session, image)
            clones = depends_on(self._session, facts) if facts else []
            if clones:
                self.warnings.append(f"The machine {facts.name} of an older image is kept because {', '.join(clones[:5])} depend on it.")
                kept.append(image)
            elif facts:
                machines.destroy(self._session, Inventory(self._session).vm(moid=facts.moid))
        if kept != recorded:
            images.record_images(self._repository, self._template.name, kept)

    # -- words

    def _template_layers(self) -> dict[str, str]:
        return {f"{layer.kind}/{layer.name}": layer.version for layer in (self._template.os_layer, *self._template.layers)}

    def _contents(self) -> str:
        """What the machine was made of, for people who look at it in vSphere."""
        lines = [f"Layered image of the template {self._template.name}", self._template.image_digest]
        return "\n".join(lines + [label(layer) for layer in (self._template.os_layer, *self._template.layers)])

    def _image(self, vm: dict, facts: VmFacts | None) -> dict:
        return {
            "template": self._template.name,
            "image_digest": self._template.image_digest,
            "content_digest": self._template.content_digest,
            "layers": self._template_layers(),
            "vm": vm,
            "snapshot": self._snapshot,
            "datastore_path": facts.datastore_path if facts else None,
            "published": now(),
        }


def _machine(facts: VmFacts) -> dict:
    return {"name": facts.name, "moid": facts.moid, "instance_uuid": facts.instance_uuid, "path": facts.path, "datacenter": facts.datacenter}
