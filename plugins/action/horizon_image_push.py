# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of the module horizon_image_push, which prints the progress of the module."""

from __future__ import annotations

import datetime
from typing import Any

from ansible_collections.strata.layering.plugins.plugin_utils.progress_action import ProgressAction


class ActionModule(ProgressAction):
    """Run the module and print its progress."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module with the start time as text: YAML reads a time without quotes as a time, Ansible sends it without offset."""
        start_time = self._task.args.get("start_time")
        if isinstance(start_time, datetime.datetime):
            self._task.args["start_time"] = start_time.isoformat()
        return super().run(tmp, task_vars)
