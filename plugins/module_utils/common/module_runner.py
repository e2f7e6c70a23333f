# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run an operation of the engine for a module, and return its outcome or its error to Ansible.

This file runs with every Python that Ansible supports on a host: see ``interpreter``. The engine needs a newer Python.
A module therefore imports its operation in ``main``, after it created its LayeringModule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from .errors import StrataError, composer_error
from .interpreter import require_python
from .option_values import prepare_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from .outcome import Outcome
    from .progress import Progress

#: The warnings of every module that runs with validate_certs false.
UNCHECKED = "Certificates of vCenter and of ESXi hosts are not checked because validate_certs is false."
UNCHECKED_HORIZON = "The certificate of the Connection Server is not checked because validate_certs is false."


class LayeringModule(AnsibleModule):
    """An Ansible module that checks its Python, and prepares its options, before Ansible checks and converts them."""

    def _load_params(self) -> None:
        super()._load_params()
        try:
            require_python()
            prepare_options(self.params, self.argument_spec, self.required_if)
        except StrataError as error:
            self._set_internal_properties()
            # Ansible does not know yet which options are secrets, and returns the options with a failure.
            self.params: dict[str, Any] = {}
            self.fail(error)

    def fail(self, error: StrataError) -> None:
        """End the module with an error; tasks are returned under the same key as by a module that succeeds."""
        tasks = {"tasks": error.details["tasks"]} if "tasks" in error.details else {}
        self.fail_json(msg=str(error), code=error.code, hint=error.hint, details=error.details, **tasks)


def run(module: LayeringModule, work: Callable[[], Outcome]) -> None:
    """Call ``work`` and end the module with its outcome or its error."""
    if module.params.get("hostname") and module.params.get("validate_certs") is False:
        # Only the connection to Horizon has a domain.
        module.warn(UNCHECKED_HORIZON if "domain" in module.params else UNCHECKED)
    if any(server["validate_certs"] is False for server in module.params.get("horizon") or ()):
        module.warn(UNCHECKED_HORIZON)
    try:
        outcome = work()
    except (StrataError, OSError) as error:
        module.fail(error if isinstance(error, StrataError) else composer_error(error))
        return  # never reached: fail ends the module
    for warning in outcome.warnings:
        module.warn(warning)
    result = dict(outcome.result, changed=outcome.changed)
    if module._diff and (outcome.before is not None or outcome.after is not None):
        result["diff"] = {"before": outcome.before or {}, "after": outcome.after or {}}
    module.exit_json(**result)


def run_watched(module: LayeringModule, work: Callable[[Progress], Outcome]) -> None:
    """Call ``work`` as ``run`` does, with a progress callback that the action plugins of the collection display."""
    from .progress import progress_from_environment

    with progress_from_environment() as progress:
        run(module, lambda: work(progress))
