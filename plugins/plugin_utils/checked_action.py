# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check options that a module cannot check, because Ansible converts them before it sends them to the module."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from ansible.plugins.action.normal import ActionModule as NormalAction

from ..module_utils.common.option_values import not_text


class CheckedAction(NormalAction):
    """The action of a module with versions, which refuses dates: Ansible would send them as text of another form."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module unless a version is a date."""
        for path, value in dates(self._task.args):
            text = str(value)
            error = not_text(path, f"the date {text}", f'Write it in quotes: version: "{text}".')
            return {
                "failed": True,
                "msg": str(error),
                "code": error.code,
                "hint": error.hint,
                "details": error.details,
            }
        return super().run(tmp, task_vars)


def dates(options: Any, path: str = "") -> Iterator[tuple[str, datetime.date]]:
    """Yield the path and value of each option ``version``, at any depth, that is a date."""
    if isinstance(options, dict):
        for name, value in options.items():
            here = f"{path}.{name}" if path else str(name)
            if name == "version" and isinstance(value, datetime.date):
                yield here, value
            else:
                yield from dates(value, here)
    elif isinstance(options, list):
        for number, value in enumerate(options):
            yield from dates(value, f"{path}[{number}]")
