# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps power_on, scripts and shut_down: from a VM that is ready to a VM that is off with its scripts finished."""

from __future__ import annotations

import time
from typing import Any

from ...catalog.resolved_template import ResolvedTemplate
from ...common.errors import TimedOut
from ...vsphere import vm as machines
from ...vsphere.vm import VmFacts, read_facts
from .. import action_texts
from ..context import ActionRequired, PublishContext
from ..machine import vm_metadata
from ..machine.vm_metadata import KEY_STATE, STATE_FAILED, STATE_READY, STATE_STARTED
from . import guest_report
from .guest_report import GuestReport
from .script_titles import is_activation, is_wait, script_names, script_title

#: A VM that powers itself off while a script runs is powered on again up to this many times.
_RESTARTS = 3
#: Seconds between two reads of the guest's report, at most.
_LONGEST_INTERVAL = 5
#: What a warning says about a wait of the guest that ended without success, by name and outcome.
_WAIT_WARNINGS = {
    (
        "network",
        guest_report.TIMEOUT,
    ): "had no usable network within the limit, so activation and scripts ran without it",
    ("network", guest_report.ABSENT): "has no network adapter, so activation and scripts ran without a network",
    (
        "servicing",
        guest_report.TIMEOUT,
    ): "still installed updates when the limit was reached, and activation and scripts ran nevertheless",
    (
        "devices",
        guest_report.TIMEOUT,
    ): "still installed devices when the limit was reached, and activation and scripts ran nevertheless",
    ("servicing", guest_report.UNKNOWN): "did not report whether updates were being installed",
    ("devices", guest_report.UNKNOWN): "did not report whether devices were being installed",
    ("network", guest_report.UNKNOWN): "did not report whether the network was usable",
}


def power_on(context: PublishContext, machine: Any) -> None:
    """Power the VM on and record that it was; reports of earlier boots are removed first.

    Raises ActionRequired when vSphere waits for an answer about the VM.
    """
    facts = read_facts(context.session, machine)
    context.begin("power_on", f"The VM {facts.name} is powered on.")
    changes = _changes_before_power_on(context, machine, facts)
    if changes:
        machines.reconfigure(context.session, machine, extra_config=changes)
    try:
        any_host = not context.template.connector.esxi_host
        timeout = context.options.timeout("power_on")
        machines.power_on(context.session, machine, timeout=timeout, any_host=any_host)
    except TimedOut as error:
        question = machines.pending_question(context.session, machine)
        if question:
            raise ActionRequired(action_texts.question_text(facts, question), code="publish.action_required") from error
        raise
    machines.reconfigure(context.session, machine, extra_config={KEY_STATE: STATE_STARTED})


def _changes_before_power_on(context: PublishContext, machine: Any, facts: VmFacts) -> dict[str, str]:
    """Return the changes to extraConfig that a VM needs before it is powered on."""
    template = context.template
    changes = guest_report.cleared(facts.extra_config)
    if facts.extra_config.get(guest_report.KEY_MODE) != template.publish_mode:
        changes[guest_report.KEY_MODE] = template.publish_mode
    if facts.extra_config.get(KEY_STATE) != STATE_READY:
        changes[KEY_STATE] = STATE_READY
        if template.publish_mode == guest_report.AUTOMATIC:
            changes[guest_report.KEY_REPORT_AGAIN] = guest_report.image_mark(template.content_digest)
        changes[vm_metadata.KEY_POWERED_ON] = str(machines.last_power_on(context.session, machine) or 0)
    return changes


def await_guest(context: PublishContext, machine: Any) -> None:
    """Wait until the VM has powered itself off with its scripts finished. Raises ActionRequired when an administrator has to act."""
    for attempt in range(_RESTARTS + 1):
        if attempt:
            power_on(context, machine)
        facts = read_facts(context.session, machine)
        context.begin("scripts", f"Windows in the VM {facts.name} runs its scripts.")
        if facts.extra_config.get(KEY_STATE) != STATE_STARTED:
            machines.reconfigure(context.session, machine, extra_config={KEY_STATE: STATE_STARTED})
        watch = GuestWatch(context, facts)
        try:
            machines.watch_until_off(context.session, machine, watch.examine, interval=watch.interval)
        except ActionRequired:
            if watch.failed:
                machines.reconfigure(context.session, machine, extra_config={KEY_STATE: STATE_FAILED})
            raise
        report = watch.report
        if report is None:
            _warn_without_report(context, facts)
            return
        if report.state != guest_report.RUNNING:
            return
        if attempt == _RESTARTS:
            names = script_names(context.repository, context.template)
            text = action_texts.interrupted_text(facts, report, _RESTARTS + 1, names)
            raise ActionRequired(text, code="publish.action_required")


def _warn_without_report(context: PublishContext, facts: VmFacts) -> None:
    """Warn about a VM that powered itself off without a report, unless an earlier run has read its report."""
    known = context.task.record.scripts
    if not known or known["state"] != guest_report.FINISHED:
        context.warn(
            f"The VM {facts.name} has powered itself off without a report about its scripts. "
            "Check that the OS machine tools are installed in the OS layer, and that VMware Tools run in the VM."
        )


def is_unmarked_failure(template: ResolvedTemplate, facts: VmFacts) -> bool:
    """Return whether a VM reports a script that failed and is not marked with that state yet."""
    return _failed_report(template, facts) is not None and facts.extra_config.get(KEY_STATE) in (
        STATE_READY,
        STATE_STARTED,
    )


def remember_failure(context: PublishContext, machine: Any, facts: VmFacts) -> None:
    """Mark a VM in which a script has failed: its ESXi host drops the report when the VM is powered off."""
    report = _failed_report(context.template, facts)
    if report is not None and is_unmarked_failure(context.template, facts):
        context.changed = True
        context.task.update(scripts=report.to_dict())
        machines.reconfigure(context.session, machine, extra_config={KEY_STATE: STATE_FAILED})


def _failed_report(template: ResolvedTemplate, facts: VmFacts) -> GuestReport | None:
    report = guest_report.read_report(facts.extra_config, template.content_digest)
    return report if report is not None and report.state == guest_report.FAILED else None


class GuestWatch:
    """Follows the guest's reports while it runs, and ends the wait when an administrator has to act.

    ``report`` is the last report, ``failed`` whether a script has failed, ``interval`` the seconds between two reads.
    """

    def __init__(self, context: PublishContext, facts: VmFacts) -> None:
        self.report: GuestReport | None = None
        self.failed = False
        self._script_names: list[str] | None = None
        options = context.options
        self.interval = max(1, min(_LONGEST_INTERVAL, options.script_timeout, options.shutdown_timeout))
        self._context = context
        self._facts = facts
        self._waits: set[tuple[str, str]] = set()
        self._since = time.monotonic()

    def examine(self, extra_config: dict[str, str], off: bool, question: str | None) -> None:
        """Process the VM's state after a change and every few seconds; ``question`` is vSphere's question about the VM.

        Raises ActionRequired when a script has failed or takes too long, or when vSphere waits for an answer.
        """
        context = self._context
        report = guest_report.read_report(extra_config, context.template.content_digest)
        # The host drops the report when the VM is powered off: the last report counts.
        if report is not None and report != self.report:
            self._note(report)
        report = self.report
        if report is not None and report.state == guest_report.FAILED:
            self.failed = True
            raise self._action_required(action_texts.failed_text(self._facts, report, self._names()))
        if off:
            return
        if question:
            raise self._action_required(action_texts.question_text(self._facts, question))
        seconds = time.monotonic() - self._since
        running = report is not None and report.state == guest_report.RUNNING
        limit = context.options.script_timeout if running else context.options.shutdown_timeout
        context.progress(self._progress_step(), int(seconds), int(limit))
        if seconds > limit:
            raise self._action_required(action_texts.late_text(self._facts, report, limit, self._names()))

    def _note(self, report: GuestReport) -> None:
        """Store a new report in the task; a report about a different script or state restarts the time limit."""
        before, self.report = self.report, report
        self._warn_about_waits(report)
        task = self._context.task
        task.update(scripts=report.to_dict())
        if before is None or (before.state, before.current) != (report.state, report.current):
            self._since = time.monotonic()
            if report.state == guest_report.RUNNING:
                title = script_title(report.current, self._names())
                task.update(description=f"Windows in the VM {self._facts.name} runs {title}.")
            elif report.state == guest_report.FINISHED:
                self._context.begin(
                    "shut_down", f"The scripts of the VM {self._facts.name} have finished; Windows shuts itself down."
                )
        task.store()

    def _warn_about_waits(self, report: GuestReport) -> None:
        """Warn once about each wait of the guest that ended without success, unless the report is about that failure."""
        for wait in report.waits:
            failed = report.state == guest_report.FAILED and is_wait(report.current)
            if wait in _WAIT_WARNINGS and wait not in self._waits and not failed:
                self._waits.add(wait)
                self._context.warn(f"Windows in the VM {self._facts.name} {_WAIT_WARNINGS[wait]}.")

    def _progress_step(self) -> str:
        """Return the part of the step that runs, as progress lines show it."""
        if self.report is None:
            return "wait for Windows"
        if self.report.state != guest_report.RUNNING:
            return "shut down"
        if is_activation(self.report.current):
            return "activation"
        if is_wait(self.report.current):
            return f"wait for {self.report.current.removeprefix('wait ')}"
        # A colon would separate the subject of a progress line.
        number, _space, label = self.report.current.replace(":", "").partition(" ")
        return f"script {number} of {label}" if label else "script"

    def _names(self) -> list[str]:
        """Return the names of the scripts of the image, in the order in which they run."""
        if self._script_names is None:
            self._script_names = script_names(self._context.repository, self._context.template)
        return self._script_names

    @staticmethod
    def _action_required(text: str) -> ActionRequired:
        return ActionRequired(text, code="publish.action_required")
