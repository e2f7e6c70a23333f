# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback that prints a playbook run in few lines and records results and durations of the collection's modules."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: steps
type: stdout
short_description: Print one line for each change
description:
  - Prints the results of this collection's modules, the changes of other modules, and all failures.
  - Appends each result as a JSON document to the file named by the environment variable DEMO_RECORD.
author:
  - the strata.layering contributors (@strata)
options: {}
"""

_OWN = "strata.layering."


def _has_line_for_each_item(action: str) -> bool:
    """Return whether each item of a loop is printed, instead of a summary of the loop."""
    return action.startswith(_OWN) or action.endswith("debug")


class CallbackModule(CallbackBase):
    """The callback plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "steps"

    def __init__(self) -> None:
        super().__init__()
        self._started = 0.0
        self._failure = None

    def v2_playbook_on_play_start(self, play) -> None:
        self._display.display(f"\n  {play.get_name().strip()}", color="bright blue")

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        self._started = time.monotonic()

    def v2_playbook_on_handler_task_start(self, task) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_item_on_ok(self, result) -> None:
        if _has_line_for_each_item(result.task.action):
            self._show(result, "changed" if result.is_changed() else "ok")

    def v2_runner_item_on_failed(self, result) -> None:
        self._show(result, "FAILED")

    def v2_runner_on_ok(self, result) -> None:
        if not result.task.loop or not _has_line_for_each_item(result.task.action):
            self._show(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:
        if not result.task.loop:
            self._show(result, "FAILED")

    def v2_runner_on_unreachable(self, result) -> None:
        self._show(result, "UNREACHABLE")

    def _show(self, result, status: str) -> None:
        now = time.monotonic()
        seconds, self._started = now - self._started, now
        answer, action = result.result, result.task.action
        self._handle_warnings(answer)
        own = action.startswith(_OWN)
        if own or status == "changed":
            self._record(result, status, seconds)
        label = answer.get("_ansible_item_label")
        changes = (
            sum(bool(item.get("changed")) for item in answer.get("results", [])) if result.task.loop and not own else 0
        )
        title = result.task.get_name().rpartition(" : ")[2] + (
            f": {label}" if label else f": {changes} changes" if changes > 1 else ""
        )
        if action.endswith("debug") and status == "ok":
            for line in answer["msg"] if isinstance(answer["msg"], list) else [answer["msg"]]:
                self._display.display(f"            {line}")
        elif own or status != "ok":
            color = {"ok": "green", "changed": "yellow"}.get(status, "red")
            self._display.display(f"    {seconds:5.1f} s  {status:<8} {title}", color=color)
        if status not in ("ok", "changed") and answer.get("msg") != self._failure:
            self._failure = answer.get("msg")
            self._display.display(f"            {answer.get('msg')}", color="red")

    def _record(self, result, status: str, seconds: float) -> None:
        path = os.environ.get("DEMO_RECORD")
        if not path:
            return
        answer = {
            key: value
            for key, value in result.result.items()
            if key not in ("invocation", "ansible_facts") and not key.startswith("_ansible")
        }
        answer = json.loads(json.dumps(answer, default=str))
        document = {
            "action": result.task.action.removeprefix(_OWN),
            "status": status,
            "seconds": round(seconds, 2),
            "result": answer,
        }
        with open(path, "a", encoding="utf-8") as record:
            record.write(json.dumps(document) + "\n")
