# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run an operation of the engine for a module, and return its outcome or its error to Ansible."""

from __future__ import annotations

from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule

from .errors import StrataError, composer_error
from .outcome import Outcome
from .progress import Progress, progress_from_environment

#: The warning of every module that runs with validate_certs false.
UNCHECKED = "Certificates of vCenter and of ESXi hosts are not checked because validate_certs is false."


def run(module: AnsibleModule, work: Callable[[], Outcome]) -> None:
    """Call ``work`` and end the module with its outcome or its error."""
    if module.params.get("hostname") and module.params.get("validate_certs") is False:
        module.warn(UNCHECKED)
    try:
        outcome = work()
    except (StrataError, OSError) as error:
        failure = error if isinstance(error, StrataError) else composer_error(error)
        module.fail_json(msg=str(failure), code=failure.code, hint=failure.hint, details=failure.details)
        return  # never reached: fail_json ends the module
    for warning in outcome.warnings:
        module.warn(warning)
    result = dict(outcome.result, changed=outcome.changed)
    if module._diff and (outcome.before is not None or outcome.after is not None):
        result["diff"] = {"before": outcome.before or {}, "after": outcome.after or {}}
    module.exit_json(**result)


def run_watched(module: AnsibleModule, work: Callable[[Progress], Outcome]) -> None:
    """Call ``work`` as ``run`` does, with a progress callback that the action plugins of the collection display."""
    with progress_from_environment() as progress:
        run(module, lambda: work(progress))
