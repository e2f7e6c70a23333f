# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of publishing an image, in their order. Each can be done again by a later run: it starts from what stands in vSphere."""

from __future__ import annotations

import json
import string
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..catalog.resolved_template import ResolvedTemplate
from ..common.errors import StrataError, TimedOut
from ..common.progress import Progress
from ..images.layered_image import compose_template
from ..images.thin_image import ThinImage
from ..repository.repository import Repository
from ..vsphere import vm as machines
from ..vsphere.custom_attributes import set_attributes
from ..vsphere.deploy import create_by_import
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts
from . import guest_report, image_records
from .cancellation import CancelWatch
from .connector_script import run_script
from .horizon_check import check_horizon, require_horizon
from .placement import Target
from .publish_task import PublishTask
from .retention import retire

#: Seconds that a step may take unless the options say otherwise.
TIMEOUTS = {
    "compose": 3600,
    "upload": 14400,
    "power_on": 300,
    "snapshot": 1800,
    "connector_script": 3600,
    "cancel": 600,
}
#: A machine that switched itself off in the middle of its scripts is powered on so many times.
_RESTARTS = 3
_LONGEST_LOOK = 5


class ActionRequired(StrataError):
    """A person has to do something before the publishing can go on; the message says what and where."""

    default_code = "publish.action_required"


@dataclass(frozen=True)
class PublishOptions:
    """How to publish. Times in seconds; ``keep`` None keeps all older machines."""

    script_timeout: float = 3600
    shutdown_timeout: float = 3600
    timeouts: dict = field(default_factory=dict)
    retries: int = 2
    retry_pause: float = 10
    keep: int | None = None
    comment: str | None = None

    def timeout(self, step: str) -> float:
        """How long a step may take."""
        given = self.timeouts.get(step)
        return TIMEOUTS[step] if given is None else given


@dataclass
class Run:
    """What the steps of one publishing share.

    ``changed`` tells whether this run did anything; ``finished`` that the image is, so that canceling comes too late.
    """

    repository: Repository
    session: Session
    template: ResolvedTemplate
    options: PublishOptions
    task: PublishTask
    cancel: CancelWatch
    watcher: Progress
    warnings: list[str]
    changed: bool = False
    finished: bool = False
    timeout: float | None = None
    deadline: float | None = None

    def begin(self, step: str, description: str, timeout: float | None = None) -> None:
        """Begin a step, unless somebody wants the publishing to end before the image is finished."""
        if not self.finished:
            self.cancel.check()
        self.changed = True
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.timeout = timeout
        self.task.begin(step, description)

    def progress(self, step: str, done: int, total: int | None) -> None:
        """The engine's progress: passed on, noted in the task, and the place where a step is stopped."""
        self.cancel.check()
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimedOut(
                f"The step {self.task.document['step']} of publishing {self.template.name} took longer than {self.timeout:g} seconds.",
                code="publish.timed_out",
                hint="Allow more time with timeouts when it is only slow, and run again.",
            )
        self.task.report(step, done, total)
        self.watcher(step, done, total)

    def warn(self, sentence: str) -> None:
        """Tell the user, once, and note it in the task."""
        for kept in (self.warnings, self.task.document["warnings"]):
            if sentence not in kept:
                kept.append(sentence)


def compose(run: Run) -> ThinImage:
    """The thin image, from the repository if an earlier run has composed it."""
    run.begin("compose", "The layers are put together.", run.options.timeout("compose"))
    thin = compose_template(run.repository, run.template, progress=run.progress)
    dropped = thin.config["statistics"]["dropped"]
    if dropped:
        run.warn(
            f"{run.template.name}: left out because another file has it already: {'; '.join(dropped[:5])} ({len(dropped)} in all)."
        )
    contested = [finding for finding in thin.config.get("registry", {}).get("findings", ()) if finding.get("overruled")]
    if contested:
        names = ", ".join("\\".join(filter(None, (one["hive"], one["key"], one.get("value")))) for one in contested[:3])
        run.warn(
            f"{run.template.name}: layers contest {len(contested)} registry settings, such as {names}; see layered_image_plan."
        )
    return thin


def create(run: Run, target: Target, thin: ThinImage):
    """The steps create and upload: a machine that is off and has its disk."""
    name = image_records.machine_name(run.template)
    run.begin("create", f"The machine {name} is created in {target.placement.folder_path}.")
    run.task.document["vm"] = {
        "name": name,
        "path": f"{target.placement.folder_path}/{name}",
        "datacenter": target.placement.datacenter_name,
    }
    length, chunks = thin.stream()
    run.task.document["bytes"].update(
        compressed=thin.config["statistics"]["compressed_bytes"], uploaded=length, disk=thin.capacity
    )

    def created(machine) -> None:
        run.task.document["vm"] = image_records.machine_record(read_facts(run.session, machine))
        run.begin("upload", f"The disk of the machine {name} is uploaded.", run.options.timeout("upload"))

    deployed = create_by_import(
        run.session,
        target.placement,
        name=name,
        hardware=target.hardware,
        capacity=thin.capacity,
        blocks=lambda: chunks,
        length=length,
        annotation=image_records.contents(run.template),
        extra_config={
            image_records.KEY_TEMPLATE: run.template.name,
            image_records.KEY_IMAGE: run.template.image_digest,
            image_records.KEY_CONTENT: run.template.content_digest,
            image_records.KEY_LAYERS: json.dumps(image_records.template_layers(run.template), sort_keys=True),
            image_records.KEY_STATE: image_records.STATE_UPLOADING,
            guest_report.KEY_MODE: run.template.publish_mode,
        },
        progress=run.progress,
        created=created,
    )
    for sentence in deployed.warnings:
        run.warn(sentence)
    run.deadline = None
    machines.reconfigure(run.session, deployed.vm, extra_config={image_records.KEY_STATE: image_records.STATE_READY})
    return deployed.vm


def power_on(run: Run, machine) -> None:
    """Power the machine on, and remember that it was. What an earlier boot reported is forgotten first."""
    facts = read_facts(run.session, machine)
    run.begin("power on", f"The machine {facts.name} is powered on.")
    wanted = guest_report.cleared(facts.extra_config)
    if facts.extra_config.get(guest_report.KEY_MODE) != run.template.publish_mode:
        wanted[guest_report.KEY_MODE] = run.template.publish_mode
    if facts.extra_config.get(image_records.KEY_STATE) != image_records.STATE_READY:
        wanted[image_records.KEY_STATE] = image_records.STATE_READY
        if run.template.publish_mode == guest_report.AUTOMATIC:
            wanted[guest_report.KEY_AGAIN] = guest_report.image_mark(run.template.content_digest)
        wanted[image_records.KEY_POWERED_ON] = str(machines.last_power_on(run.session, machine) or 0)
    if wanted:
        machines.reconfigure(run.session, machine, extra_config=wanted)
    try:
        machines.power_on(run.session, machine, timeout=run.options.timeout("power_on"))
    except TimedOut as error:
        asked = machines.pending_question(run.session, machine)
        if asked:
            raise ActionRequired(question_sentence(facts, asked)) from error
        raise
    machines.reconfigure(run.session, machine, extra_config={image_records.KEY_STATE: image_records.STATE_STARTED})


def await_guest(run: Run, machine) -> None:
    """The steps scripts and shut down: until the machine has switched itself off with its scripts done. ActionRequired when it needs a person."""
    for unused in range(_RESTARTS + 1):
        facts = read_facts(run.session, machine)
        person = person_needed(run.template, facts)
        if person:
            remember_failure(run, machine, facts)
            raise ActionRequired(person)
        run.begin("scripts", f"Windows in the machine {facts.name} runs its scripts.")
        if facts.extra_config.get(image_records.KEY_STATE) != image_records.STATE_STARTED:
            machines.reconfigure(
                run.session, machine, extra_config={image_records.KEY_STATE: image_records.STATE_STARTED}
            )
        watch = _GuestWatch(run, facts)
        try:
            machines.watch_until_off(run.session, machine, watch.look, interval=watch.interval)
        except ActionRequired:
            if watch.failed:
                machines.reconfigure(
                    run.session, machine, extra_config={image_records.KEY_STATE: image_records.STATE_FAILED}
                )
            raise
        if watch.report is None:
            known = run.task.document["scripts"]
            if not known or known["state"] != guest_report.FINISHED:
                run.warn(
                    f"The machine {facts.name} has switched itself off without a report about its scripts. "
                    "Were the OS machine tools installed in the OS layer, and do VMware Tools run in it?"
                )
            return
        if watch.report.state != guest_report.RUNNING:
            return
        power_on(run, machine)
    raise ActionRequired(
        f"Windows in {image_records.where(facts)} shut down {_RESTARTS + 1} times while the script {watch.report.current} was running. "
        "Power the machine on, find out why, and run again."
    )


def person_needed(template: ResolvedTemplate, facts: VmFacts) -> str | None:
    """What a person has to do in a machine that has been powered on, None when it goes on by itself."""
    report = guest_report.read_report(facts.extra_config, template.content_digest)
    if report is not None and report.state == guest_report.FAILED:
        return failed_sentence(facts, report)
    return manual_sentence(facts, report) if template.publish_mode == guest_report.MANUAL else None


def is_unmarked_failure(template: ResolvedTemplate, facts: VmFacts) -> bool:
    """Whether a machine reports a script that failed, and is not marked with it yet."""
    report = guest_report.read_report(facts.extra_config, template.content_digest)
    return (
        report is not None
        and report.state == guest_report.FAILED
        and facts.extra_config.get(image_records.KEY_STATE) in (image_records.STATE_READY, image_records.STATE_STARTED)
    )


def remember_failure(run: Run, machine, facts: VmFacts) -> None:
    """Mark a machine in which a script has failed: its host forgets that when it is switched off."""
    if is_unmarked_failure(run.template, facts):
        run.changed = True
        run.task.document["scripts"] = guest_report.read_report(
            facts.extra_config, run.template.content_digest
        ).to_dict()
        machines.reconfigure(run.session, machine, extra_config={image_records.KEY_STATE: image_records.STATE_FAILED})


def manual_sentence(facts: VmFacts, report: guest_report.GuestReport | None) -> str:
    """What a person does in manual mode."""
    current = (
        f" ({report.current} runs now)"
        if report is not None and report.state == guest_report.RUNNING and report.current
        else ""
    )
    return (
        f"Windows runs in {image_records.where(facts)}. Do there, once the scripts of the image have ended{current}, what has to be done by hand, such as "
        "activating Windows; then shut Windows down and run again: the snapshot is taken once the machine is switched off."
    )


def question_sentence(facts: VmFacts, asked: str) -> str:
    """What a person does when vSphere waits for an answer."""
    return f'vSphere waits for an answer about {image_records.where(facts)}: "{asked}". See to its cause, answer it in the vSphere Client, and run again.'


def failed_sentence(facts: VmFacts, report: guest_report.GuestReport) -> str:
    """What a person does when a script has failed."""
    return (
        f"{guest_report.failure(report)}, in {image_records.where(facts)}. Log on there and look at C:\\Windows\\Setup\\scripts\\image\\results. "
        "Restart Windows to try the script again, or leave it out with C:\\Windows\\Setup\\scripts\\run-scripts.cmd skip, and run again."
    )


class _GuestWatch:
    """Follows what the guest reports while it runs, and ends the wait when a person is needed."""

    def __init__(self, run: Run, facts: VmFacts) -> None:
        self.report: guest_report.GuestReport | None = None
        self.failed = False
        self.interval = max(1, min(_LONGEST_LOOK, run.options.script_timeout, run.options.shutdown_timeout))
        self._run = run
        self._facts = facts
        self._since = time.monotonic()

    def look(self, extra_config: dict[str, str], off: bool, asked: str | None) -> None:
        """Called with the machine's extraConfig, and with what vSphere asks about it, after every change and every few seconds."""
        run = self._run
        found = guest_report.read_report(extra_config, run.template.content_digest)
        # A host forgets the report when the machine is switched off: the last one seen counts.
        if found is not None and found != self.report:
            self._note(found)
        report = self.report
        self.failed = report is not None and report.state == guest_report.FAILED
        if self.failed:
            raise ActionRequired(failed_sentence(self._facts, report))
        if off:
            return
        if asked:
            raise ActionRequired(question_sentence(self._facts, asked))
        seconds = time.monotonic() - self._since
        running = report is not None and report.state == guest_report.RUNNING
        limit = run.options.script_timeout if running else run.options.shutdown_timeout
        run.progress("scripts" if running else "shut down", int(seconds), int(limit))
        if seconds > limit:
            raise ActionRequired(self._late(limit))

    def _note(self, found: guest_report.GuestReport) -> None:
        before, self.report = self.report, found
        run = self._run
        run.task.document["scripts"] = found.to_dict()
        if before is None or (before.state, before.current) != (found.state, found.current):
            self._since = time.monotonic()
            if found.state == guest_report.RUNNING:
                run.task.document["description"] = (
                    f"Windows in the machine {self._facts.name} runs the script {found.current}."
                )
            elif found.state == guest_report.FINISHED:
                run.begin("shut down", f"The scripts of the machine {self._facts.name} are done; it shuts itself down.")
        run.task.store()

    def _late(self, limit: float) -> str:
        place = image_records.where(self._facts)
        if self.report is not None and self.report.state == guest_report.RUNNING:
            return (
                f"The script {self.report.current} has been running for more than {limit:g} seconds in {place}. "
                "Look at what it waits for and see to it that it ends, or restart Windows; then run again."
            )
        return (
            f"Windows in {place} has not shut itself down within {limit:g} seconds. "
            "Look at its console, see to it that Windows shuts down, and run again: the snapshot is taken once the machine is switched off."
        )


def snapshot(run: Run, machine) -> None:
    """Mark the machine as finished and take its snapshot; from then on it is the image."""
    name = image_records.snapshot_name(run.template)
    run.begin("snapshot", f"The snapshot {name} is taken.")
    set_attributes(run.session, machine, _attributes(run.template))
    machines.reconfigure(
        run.session,
        machine,
        extra_config={image_records.KEY_STATE: image_records.STATE_COMPLETE, guest_report.KEY_AGAIN: ""},
    )
    if not any(one.name == name for one in machines.list_snapshots(run.session, machine)):
        machines.create_snapshot(
            run.session, machine, name, image_records.contents(run.template), timeout=run.options.timeout("snapshot")
        )


def _attributes(template: ResolvedTemplate) -> dict[str, str]:
    """The connector's custom attributes with what they are to hold."""
    values = {
        "template": template.name,
        "digest": template.image_digest,
        "layers": ", ".join(f"{name} {version}" for name, version in image_records.template_layers(template).items()),
    }
    return {
        name: string.Template(text).safe_substitute(values)
        for name, text in (template.connector.get("custom_attributes") or {}).items()
    }


def verify(run: Run, machine) -> VmFacts:
    """Read the machine back and see whether Horizon can use it."""
    run.begin("verify", "The machine is read back and checked against what Horizon needs.")
    facts = read_facts(run.session, machine)
    run.task.document["checks"] = check_horizon(facts, image_records.snapshot_name(run.template))
    require_horizon(facts, run.task.document["checks"])
    return facts


def connector_script(run: Run, image: dict, save: Callable[[dict], None]) -> None:
    """Run the connector's script for a published image, unless it has succeeded for it; ``save`` stores the image that says so."""
    path = run.template.connector.get("script")
    if not path or not image.get("script") or image["script"]["done"]:
        return
    run.begin("connector script", f"The connector's script {path} is run.")
    vm = image["vm"]
    output = run_script(
        path,
        {
            "STRATA_CONNECTOR": run.template.connector["name"],
            "STRATA_IMAGE": image["image_digest"],
            "STRATA_TEMPLATE": run.template.name,
            "STRATA_VCENTER": run.session.hostname,
            "STRATA_VM_NAME": vm["name"],
            "STRATA_VM_MOID": vm["moid"],
            "STRATA_VM_UUID": vm["instance_uuid"],
            "STRATA_SNAPSHOT": image["snapshot"],
        },
        timeout=run.options.timeout("connector_script"),
        tick=lambda: run.watcher("connector script", 0, None),
    )
    image["script"] = {"path": path, "done": True, "output": output}
    run.task.document["script"] = image["script"]
    save(image)


def retire_old(run: Run, stay: list[dict], going: list[VmFacts], warnings: list[str]) -> None:
    """Remove the machines of older images that are no longer to be kept, as ``plan_retiring`` said."""
    run.begin("retire old", "Machines of older images are looked at.")
    for sentence in [*warnings, *retire(run.repository, run.session, run.template.name, stay, going)]:
        run.warn(sentence)
