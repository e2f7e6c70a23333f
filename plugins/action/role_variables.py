# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action role_variables, which checks the variables of a role of this collection. It runs no module."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils.role_variables import RoleNames, unknown_variables, wrong_choices, wrong_types, wrong_values

_OWN = "layering_own_variables"
#: What check mode of the role composer would install or create.
_PENDING, _LIBRARIES = "strata_layering_pending", "libraries"

_CALLBACK = "strata.layering.brief"

display = Display()


class ActionModule(ActionBase):
    """Check the variables of the role that the task belongs to."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the problems that were found; the task fails if there is a problem."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "types": {"type": "dict", "default": {}},
                "choices": {"type": "dict", "default": {}},
                "work": {"type": "list", "elements": "str", "default": []},
                "collections": {"type": "list", "elements": "str", "default": []},
            }
        )
        variables = task_vars or {}
        if self._task._role is None:
            raise AnsibleActionFail("The action strata.layering.role_variables can only be used in a role.")
        names = RoleNames(pathlib.Path(self._task._role.get_role_path()))
        values = self._values(variables, {*names.options, *options["work"], _OWN, _PENDING})
        problems = (
            unknown_variables(names, variables, _names(values.get(_OWN)))
            + wrong_types(options["types"], values)
            + wrong_choices(options["choices"], values)
            + wrong_values(names.options, values)
        )
        warnings = [problem["message"] for problem in problems if not problem.get("misspelled", True)]
        problems = [problem for problem in problems if problem.get("misspelled", True)]
        reason = None
        if options["work"] and not any(values.get(name) for name in options["work"]):
            reason = f"The role {names.role} has nothing to do: {_join(options['work'])} empty."
        elif self._task.check_mode and _LIBRARIES in (values.get(_PENDING) or ()):
            reason = f"The role {names.role} cannot be checked before the libraries of the composer are installed."
        missing = [name for name in options["collections"] if not _is_installed(name)]
        result.update(changed=False, problems=problems, idle=reason is not None, missing_collections=missing)
        if warnings:
            result["warnings"] = warnings
        if problems:
            result.update(failed=True, msg=" ".join(problem["message"] for problem in problems))
        elif reason is not None:
            result["msg"] = reason
            # The callback of the collection prints the message; other callbacks do not print messages of successful tasks.
            if C.DEFAULT_STDOUT_CALLBACK != _CALLBACK:
                display.display(reason)
        return result

    def _values(self, variables: dict[str, Any], names: set[str]) -> dict[str, Any]:
        """Return the values of the variables with these names that exist, without the values that are omitted."""
        values: dict[str, Any] = self._templar.template({name: variables[name] for name in names if name in variables})
        return values


def _is_installed(collection: str) -> bool:
    """Return whether a collection is installed on the Ansible host."""
    try:
        return importlib.util.find_spec(f"ansible_collections.{collection}") is not None
    except ModuleNotFoundError:
        return False


def _names(value: Any) -> list[str]:
    """Return the names in a list, or in a text that separates them with commas."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",")]
    return list(value or ())


def _join(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{', '.join(names[:-1])} and {names[-1]} are"
