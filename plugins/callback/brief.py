# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback that prints a playbook run in few lines."""

from __future__ import annotations

DOCUMENTATION = """
name: brief
type: stdout
short_description: Print changes, failures and results of this collection in few lines
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Prints a line for each change, with its duration, and for each result of the modules of this collection that manage or publish something.
  - Prints failures with the file and line of the task. Skipped tasks, and tasks that only read or check something, are not printed.
  - In check mode, a change is marked as C(would change).
  - With C(--diff), the differences are printed. With C(-v), all tasks and the results of the printed tasks are printed.
requirements:
  - Set C(stdout_callback=strata.layering.brief) in the section C([defaults]) of ansible.cfg, or the environment variable
    E(ANSIBLE_STDOUT_CALLBACK).
options: {}
"""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.callback import CallbackBase

_OWN = "strata.layering."
#: The module whose result the role layered_image shows as a message.
_PLAN_MODULE = "strata.layering.layered_image_plan"
#: Keys of the result of a failed task that explain it, after its message.
_EXPLANATIONS = ("module_stderr", "stderr", "module_stdout", "stdout")
_MAXIMUM_LINES = 20
_COLORS = {"ok": C.COLOR_OK, "changed": C.COLOR_CHANGED, "would change": C.COLOR_CHANGED, "skipped": C.COLOR_SKIP}
#: Counts of a host that are printed unless they are 0.
_COUNTS = {"failures": "failed", "unreachable": "unreachable", "rescued": "rescued", "ignored": "ignored"}
_INDENT = " " * 12
#: Labels of items that say what a run would do.
_PLAN = "would "


class CallbackModule(CallbackBase):
    """Print a playbook run in few lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "strata.layering.brief"

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._heading: str | None = None
        self._with_hosts = False
        #: When each task began on each host, or its previous item ended.
        self._started: dict[tuple[str, str], float] = {}
        self._failure: tuple[str, str] | None = None
        #: Labels of the changed items of loops that get a single line, by host and task.
        self._changed: dict[tuple[str, str], list[Any]] = {}

    # Headings

    def v2_playbook_on_play_start(self, play) -> None:
        """Remember the heading: a play without hosts prints nothing."""
        name = play.get_name().strip()
        self._heading = f"{name} (check mode)" if play.check_mode else name
        manager = play.get_variable_manager()
        inventory = getattr(manager, "_inventory", None)
        self._with_hosts = inventory is None or len(inventory.get_hosts(play.hosts)) > 1

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        """Print the heading of the play before its first task."""
        if self._heading is not None:
            self._display.display(f"\n  {self._heading}", color="bright blue")
            self._heading = None

    def v2_playbook_on_handler_task_start(self, task) -> None:
        """Print the heading of the play."""
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Print a play without hosts only if more output is requested."""
        if self._display.verbosity:
            self._display.display(f"\n  {self._heading}: no hosts", color=C.COLOR_SKIP)

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """Say that the play ends because of failures."""
        self._display.display("\n  No hosts are left.", color=C.COLOR_ERROR)

    # Results

    def v2_runner_on_start(self, host, task) -> None:
        """Remember when the task began."""
        self._started[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_item_on_ok(self, result) -> None:
        """Print an item of a loop, or count it if the loop gets a single line."""
        if self._has_line_for_each_item(result):
            self._show(result, self._status(result))
            return
        self._handle_warnings(result.result)
        if result.is_changed():
            label = None if result.result.get("_ansible_no_log") else result.result.get("_ansible_item_label")
            self._changed.setdefault((result.host.get_name(), result.task._uuid), []).append(label)

    def v2_runner_item_on_failed(self, result) -> None:
        """Print a failed item of a loop."""
        self._show_failure(result, "FAILED")

    def v2_runner_item_on_skipped(self, result) -> None:
        """Print a skipped item only if more output is requested."""
        self._show(result, "skipped")

    def v2_runner_on_ok(self, result) -> None:
        """Print a result; for a loop, its items were printed before, or one line has the number of changed items."""
        changed = self._changed.pop((result.host.get_name(), result.task._uuid), [])
        if not result.task.loop or "results" not in result.result:
            self._show(result, self._status(result))
        elif changed:
            label = changed[0] if len(changed) == 1 else f"{len(changed)} changes"
            title = f"{self._name(result)}: {label}" if label is not None else self._name(result)
            status = self._status(result)
            self._line(result, status, title, _COLORS.get(status), self._seconds(result))

    def v2_runner_on_skipped(self, result) -> None:
        """Print a skipped task only if more output is requested."""
        self._show(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:
        """Print a failure; failed items of a loop were printed before."""
        if not result.task.loop or "results" not in result.result:
            self._show_failure(result, "ignored" if ignore_errors else "FAILED")

    def v2_runner_on_unreachable(self, result) -> None:
        """Print a host that cannot be reached."""
        self._show_failure(result, "UNREACHABLE")

    def v2_runner_retry(self, result) -> None:
        """Print a retry of a task with until."""
        left = result.result.get("retries", 0) - result.result.get("attempts", 0)
        self._line(result, "retry", f"{self._title(result)} ({left} more)", C.COLOR_VERBOSE)

    def v2_on_file_diff(self, result) -> None:
        """Print the differences of a task."""
        answer = result.result
        for item in answer["results"] if result.task.loop and "results" in answer else [answer]:
            if isinstance(item, Mapping) and item.get("diff") and item.get("changed"):
                label = item.get("_ansible_item_label")
                text = self._get_diff(item["diff"])
                if text:
                    self._display.display(f"{_INDENT}{label or self._name(result)}")
                    self._display.display(
                        "".join(f"{_INDENT}{line}" for line in text.splitlines(keepends=True)).rstrip()
                    )

    def v2_playbook_on_stats(self, stats) -> None:
        """Print a line for each host."""
        self._display.display("")
        for host in sorted(stats.processed):
            numbers = stats.summarize(host)
            changed = "would change" if context.CLIARGS.get("check") else "changed"
            parts = [f"{numbers['changed']} {changed}", f"{numbers['ok']} ok"]
            parts += [f"{numbers[key]} {name}" for key, name in _COUNTS.items() if numbers[key]]
            failed = numbers["failures"] or numbers["unreachable"]
            color = C.COLOR_ERROR if failed else C.COLOR_CHANGED if numbers["changed"] else C.COLOR_OK
            seconds = time.monotonic() - self._began
            self._display.display(f"  {host}: {', '.join(parts)}, {seconds:.1f} s", color=color)

    # Lines

    def _has_line_for_each_item(self, result) -> bool:
        """Return whether an item of a loop is printed, instead of the number of changed items."""
        action = result.task.action
        label = result.result.get("_ansible_item_label")
        is_plan = isinstance(label, str) and label.startswith(_PLAN)
        return bool(self._display.verbosity) or action.startswith(_OWN) or action.endswith("debug") or is_plan

    def _status(self, result) -> str:
        if not result.is_changed():
            return "ok"
        return "would change" if result.task.check_mode else "changed"

    def _show(self, result, status: str) -> None:
        self._handle_warnings(result.result)
        action = result.task.action
        is_idle = action == f"{_OWN}role_variables" and result.result.get("idle")
        is_message = status == "ok" and (action.endswith("debug") or is_idle)
        seconds = self._seconds(result)
        if is_message:
            lines = list(_messages(result.result))
            # A message that repeats the failure before it is not printed again.
            for line in lines if self._failure != (result.host.get_name(), "\n".join(lines)) else ():
                self._display.display(f"{_INDENT}{self._host(result)}{line}")
        elif self._display.verbosity or _is_shown(action, status):
            title = self._title(result)
            shown = "planned" if status != "ok" and title.startswith(_PLAN) else status
            self._line(result, shown, title, _COLORS.get(status), seconds)
            if self._display.verbosity and status != "skipped":
                self._display.display(f"{_INDENT}{self._dump_results(result.result, indent=None)}")

    def _show_failure(self, result, status: str) -> None:
        self._handle_warnings(result.result)
        color = C.COLOR_WARN if status == "ignored" else C.COLOR_ERROR
        self._line(result, status, self._title(result), color, self._seconds(result))
        message = str(result.result.get("msg") or "").strip()
        # A task that fails because of an earlier failure repeats its message.
        key = (result.host.get_name(), message)
        if message and key != self._failure:
            self._explain(result, message, color)
        self._failure = key
        if self._display.verbosity:
            self._display.display(f"{_INDENT}{self._dump_results(result.result, indent=None)}", color=C.COLOR_ERROR)

    def _explain(self, result, message: str, color: str) -> None:
        answer = result.result
        for line in message.splitlines():
            self._display.display(f"{_INDENT}{line}", color=color)
        for key in _EXPLANATIONS:
            lines = [line for line in str(answer.get(key) or "").splitlines() if line.strip()]
            for line in lines[-_MAXIMUM_LINES:]:
                if line.strip() not in message:
                    self._display.display(f"{_INDENT}{line}", color=color)
        path = result.task.get_path()
        is_own = getattr(result.task._role, "_role_collection", None) == "strata.layering"
        if path and not is_own and not result.task.action.startswith(_OWN):
            self._display.display(f"{_INDENT}{_relative(path)}", color=color)

    def _line(self, result, status: str, title: str, color: str | None, seconds: float | None = None) -> None:
        duration = f"{seconds:5.1f} s" if seconds is not None else " " * 7
        width = 12 if result.task.check_mode else 8
        self._display.display(f"    {duration}  {status:<{width}} {self._host(result)}{title}", color=color)

    def _seconds(self, result) -> float:
        """Return the seconds since the task began on this host, or since its previous item."""
        key, now = (result.host.get_name(), result.task._uuid), time.monotonic()
        started, self._started[key] = self._started.get(key, now), now
        return now - started

    def _host(self, result) -> str:
        return f"{result.host.get_name()}: " if self._with_hosts else ""

    def _name(self, result) -> str:
        """Return the name of a task without its role."""
        return result.task.get_name().rpartition(" : ")[2].strip()

    def _title(self, result) -> str:
        label = result.result.get("_ansible_item_label")
        if result.result.get("_ansible_no_log"):
            label = None
        if isinstance(label, str) and label.startswith(_PLAN):
            return label
        return f"{self._name(result)}: {str(label).strip()}" if label not in (None, "") else self._name(result)


def _is_shown(action: str, status: str) -> bool:
    """Return whether the result of a task that did not fail is printed without -v."""
    if status == "skipped" or action == _PLAN_MODULE:
        return False
    reads_only = action.endswith(("_info", "role_variables"))
    return status != "ok" or (action.startswith(_OWN) and not reads_only)


def _messages(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a debug task."""
    if "msg" in answer:
        values = answer["msg"] if isinstance(answer["msg"], list) else [answer["msg"]]
        for value in values:
            yield from str(value).splitlines()
        return
    for name, value in answer.items():
        if not name.startswith("_") and name not in ("changed", "failed"):
            yield f"{name}: {value}"


def _relative(path: str) -> str:
    """Return a path relative to the current folder if it is below it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
