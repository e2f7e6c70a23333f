# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The descriptions of tasks with the status ActionRequired: the actions of an administrator before publishing can continue."""

from __future__ import annotations

from ..catalog.resolved_template import ResolvedTemplate
from ..vsphere.vm import VmFacts
from . import guest_report
from .guest_report import GuestReport
from .machine_state import MachineState
from .vm_metadata import snapshot_name, vm_location


def action_required_text(template: ResolvedTemplate, facts: VmFacts, state: MachineState) -> str:
    """Return what an administrator has to do for a VM of which the next step is ACTION_REQUIRED."""
    if state is MachineState.PUBLISHED_POWERED_ON:
        return powered_on_text(facts, snapshot_name(template))
    report = guest_report.read_report(facts.extra_config, template.content_digest)
    if report is not None and report.state == guest_report.FAILED:
        return failed_text(facts, report)
    return manual_text(facts, report)


def powered_on_text(facts: VmFacts, snapshot: str) -> str:
    """Return what to do when the finished image was powered on."""
    return (
        f"The image exists, but {vm_location(facts)} is powered on. Shut Windows down, revert the VM to its snapshot {snapshot} "
        "if it was changed, and run again. To publish the image again from the start, delete the VM and run again."
    )


def manual_text(facts: VmFacts, report: GuestReport | None) -> str:
    """Return what to do in manual mode while Windows runs."""
    running = report is not None and report.state == guest_report.RUNNING and report.current
    current = f" ({running} runs now)" if running else ""
    return (
        f"Windows runs in {vm_location(facts)}. Wait until the scripts of the image have ended{current}, then do the manual work there, "
        "such as activating Windows. After that, shut Windows down and run again: the snapshot is taken when the VM is powered off."
    )


def question_text(facts: VmFacts, question: str) -> str:
    """Return what to do when vSphere waits for an answer about the VM."""
    return (
        f'vSphere waits for an answer about {vm_location(facts)}: "{question}". Remove the cause, answer the question in the '
        "vSphere Client, and run again."
    )


def failed_text(facts: VmFacts, report: GuestReport) -> str:
    """Return what to do when a script has failed."""
    return (
        f"{guest_report.failure(report)}, in {vm_location(facts)}. Log on to Windows there and read C:\\Windows\\Setup\\scripts\\image\\results. "
        "Then either restart Windows, which runs the script again, or skip the script with C:\\Windows\\Setup\\scripts\\run-scripts.cmd skip. "
        "After that, run again."
    )


def interrupted_text(facts: VmFacts, report: GuestReport, times: int) -> str:
    """Return what to do when Windows shut down repeatedly while a script was running."""
    return (
        f"Windows in {vm_location(facts)} shut down {times} times while the script {report.current} was running. "
        "Power the VM on, find out why Windows shuts down, and run again."
    )


def late_text(facts: VmFacts, report: GuestReport | None, limit: float) -> str:
    """Return what to do when a script, or Windows' shutdown, takes longer than ``limit`` seconds."""
    if report is not None and report.state == guest_report.RUNNING:
        return (
            f"The script {report.current} has been running for more than {limit:g} seconds in {vm_location(facts)}. "
            "Open the VM's console, find out what the script waits for, and end the script or restart Windows; then run again. "
            "If the script needs more time, increase script_timeout."
        )
    return (
        f"Windows in {vm_location(facts)} has not shut itself down within {limit:g} seconds. "
        "Open the VM's console, shut Windows down, and run again: the snapshot is taken when the VM is powered off."
    )
