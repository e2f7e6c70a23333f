# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The descriptions of tasks with the status ActionRequired: the actions of an administrator before publishing can continue."""

from __future__ import annotations

from collections.abc import Sequence

from ..catalog.resolved_template import ResolvedTemplate
from ..repository.repository import Repository
from ..vsphere.vm import VmFacts
from .guest import guest_report
from .guest.guest_report import GuestReport
from .guest.script_titles import is_activation, is_wait, script_names, script_title
from .machine.machine_state import MachineState
from .machine.vm_metadata import KEY_IMAGE, KEY_STATE, KEY_TEMPLATE, STATE_COMPLETE, snapshot_name, vm_location
from .retiring import ownership

_SCRIPTS = "C:\\Windows\\Setup\\scripts"


def action_required_text(
    repository: Repository, template: ResolvedTemplate, facts: VmFacts, state: MachineState
) -> str:
    """Return what an administrator has to do for a VM of which the next step is ACTION_REQUIRED."""
    if state is MachineState.PUBLISHED_POWERED_ON:
        return powered_on_text(facts, snapshot_name(template))
    if state in _CHANGED_TEXTS:
        return _CHANGED_TEXTS[state](template, facts)
    report = guest_report.read_report(facts.extra_config, template.content_digest)
    if report is not None and report.state == guest_report.FAILED:
        return failed_text(facts, report, script_names(repository, template))
    return manual_text(facts, report)


def powered_on_text(facts: VmFacts, snapshot: str) -> str:
    """Return what to do when the finished image was powered on."""
    return (
        f"The image exists, but {vm_location(facts)} is powered on. Shut Windows down, revert the VM to its snapshot {snapshot} "
        "if it was changed, and run this playbook again. To publish the image again from the start, delete the VM and run this playbook again."
    )


def _keep_text(template: ResolvedTemplate) -> str:
    return (
        "To keep it and publish a new VM in addition to it, set vm_name of the image template "
        f"{template.name} to a name other than {template.vm_name}."
    )


def template_text(template: ResolvedTemplate, facts: VmFacts) -> str:
    """Return what to do when the VM of the image was converted to a template."""
    return (
        f"{_upper(vm_location(facts))} was converted to a template, which is not deleted or changed. To use it as the image, convert it "
        f"to a virtual machine and run this playbook again. {_keep_text(template)}"
    )


def snapshot_removed_text(template: ResolvedTemplate, facts: VmFacts) -> str:
    """Return what to do when the snapshot of a finished image was removed."""
    return (
        f"The snapshot {snapshot_name(template)} of {vm_location(facts)} was removed, so that the disk may have changed since the image "
        "was published. To publish the image again, check that no linked clones depend on the VM, delete it, and run this playbook again. "
        f"{_keep_text(template)}"
    )


def settings_changed_text(template: ResolvedTemplate, facts: VmFacts) -> str:
    """Return what to do when the settings of a VM contradict the image."""
    expected = {
        KEY_TEMPLATE: template.names,
        KEY_IMAGE: [template.image_digest],
        KEY_STATE: [STATE_COMPLETE],
    }
    changed = "; ".join(ownership.changed_settings(facts, expected)) or "it has snapshots, but its disk is incomplete"
    return (
        f"{_upper(vm_location(facts))} was created for the image, but it was changed: {changed}. To publish the image again, check that the "
        f"VM is not in use, delete it, and run this playbook again. {_keep_text(template)}"
    )


def inaccessible_text(_template: ResolvedTemplate, facts: VmFacts) -> str:
    """Return what to do when vCenter cannot read the configuration of the VM."""
    return (
        f"vSphere cannot read the configuration of {vm_location(facts)} (connection state: {facts.connection_state or 'unknown'}). "
        "Make its ESXi host and its datastore available, and run this playbook again."
    )


_CHANGED_TEXTS = {
    MachineState.TEMPLATE: template_text,
    MachineState.SNAPSHOT_REMOVED: snapshot_removed_text,
    MachineState.SETTINGS_CHANGED: settings_changed_text,
    MachineState.INACCESSIBLE: inaccessible_text,
}


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def manual_text(facts: VmFacts, report: GuestReport | None) -> str:
    """Return what to do in manual mode while Windows runs."""
    running = report.current if report is not None and report.state == guest_report.RUNNING else ""
    if is_activation(running) or is_wait(running):
        running = script_title(running)
    current = f" ({running} runs now)" if running else ""
    return (
        f"Windows runs in {vm_location(facts)}. Wait until the scripts of the image have ended{current}, then do the manual work there, "
        "such as activating Windows. After that, shut Windows down and run this playbook again: the snapshot is taken when the VM is powered off."
    )


def question_text(facts: VmFacts, question: str) -> str:
    """Return what to do when vSphere waits for an answer about the VM."""
    return (
        f'vSphere waits for an answer about {vm_location(facts)}: "{question}". Remove the cause, answer the question in the '
        "vSphere Client, and run this playbook again."
    )


def failed_text(facts: VmFacts, report: GuestReport, names: Sequence[str]) -> str:
    """Return what to do when a script, activation or a wait has failed; ``names`` as for ``script_title``."""
    log, subject = f"{_SCRIPTS}\\image\\results", "the script"
    if is_activation(report.current):
        log, subject = f"{_SCRIPTS}\\kmsdir\\kmssetup.log", "the activation"
    elif is_wait(report.current):
        log, subject = f"{_SCRIPTS}\\kmsdir\\kmssetup.log", "the wait"
    # Shutting down during Windows Setup would damage the installation.
    skip = "" if report.current == "wait setup" else f", or skip {subject} with {_SCRIPTS}\\run-scripts.cmd skip"
    return (
        f"{guest_report.failure(report, names)}, in {vm_location(facts)}. Log on to Windows there and read {log}. "
        f"Then {'either ' if skip else ''}restart Windows, which runs {subject} again{skip}. "
        "After that, run this playbook again."
    )


def interrupted_text(facts: VmFacts, report: GuestReport, times: int, names: Sequence[str]) -> str:
    """Return what to do when Windows shut down repeatedly while a script was running."""
    return (
        f"Windows in {vm_location(facts)} shut down {times} times while {script_title(report.current, names)} was running. "
        "Power the VM on, find out why Windows shuts down, and run this playbook again."
    )


def late_text(facts: VmFacts, report: GuestReport | None, limit: float, names: Sequence[str]) -> str:
    """Return what to do when a script, or Windows' shutdown, takes longer than ``limit`` seconds."""
    if report is not None and report.state == guest_report.RUNNING:
        return (
            f"{_upper(script_title(report.current, names))} has been running for more than {limit:g} s in {vm_location(facts)}. "
            "Open the VM's console, find out what the script waits for, and end the script or restart Windows; then run this playbook again. "
            "If the script needs more time, increase script_timeout."
        )
    return (
        f"Windows in {vm_location(facts)} has not shut itself down within {limit:g} s. "
        "Open the VM's console, shut Windows down, and run this playbook again: the snapshot is taken when the VM is powered off."
    )
