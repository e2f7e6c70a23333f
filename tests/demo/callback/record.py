# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback that records results and durations of the collection's modules, and changes of other modules."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record
type: notification
short_description: Record results of modules
description:
  - Appends each result as a JSON document to the file named by the environment variable DEMO_RECORD.
author:
  - the strata.layering contributors (@strata)
options: {}
"""

_OWN = "strata.layering."


class CallbackModule(CallbackBase):
    """The callback plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._started = 0.0

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        self._started = time.monotonic()

    def v2_runner_item_on_ok(self, result) -> None:
        self._record(result, "changed" if result.is_changed() else "ok")

    def v2_runner_item_on_failed(self, result) -> None:
        self._record(result, "FAILED")

    def v2_runner_on_ok(self, result) -> None:
        if not result.task.loop:
            self._record(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:
        if not result.task.loop:
            self._record(result, "FAILED")

    def _record(self, result, status: str) -> None:
        now = time.monotonic()
        seconds, self._started = now - self._started, now
        action = result.task.action
        if not action.startswith(_OWN) and status == "ok":
            return
        answer = {
            key: value
            for key, value in result.result.items()
            if key not in ("invocation", "ansible_facts") and not key.startswith("_ansible")
        }
        document = {
            "action": action.removeprefix(_OWN),
            "status": status,
            "seconds": round(seconds, 2),
            "result": json.loads(json.dumps(answer, default=str)),
        }
        with open(os.environ["DEMO_RECORD"], "a", encoding="utf-8") as record:
            record.write(json.dumps(document) + "\n")
