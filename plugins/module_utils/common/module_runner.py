# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where a module meets the engine: run the work, exit, or fail with a sentence."""

from __future__ import annotations

from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule

from .errors import StrataError
from .outcome import Outcome
from .progress import Progress, watched

#: What every module says that is told not to check certificates.
UNCHECKED = "Because validate_certs is false, neither the certificate of the server nor those of hosts are checked."


def run(module: AnsibleModule, work: Callable[[], Outcome]) -> None:
    """Call ``work`` and end the module with its outcome or with the error it raised."""
    if module.params.get("hostname") and module.params.get("validate_certs") is False:
        module.warn(UNCHECKED)
    try:
        outcome = work()
    except StrataError as error:
        module.fail_json(msg=str(error), code=error.code, hint=error.hint, details=error.details)
    except OSError as error:
        module.fail_json(
            msg=f"The composer could not use {error.filename or 'a file'}: {error.strerror or error}.",
            code="common.host_io",
            hint=None,
            details={},
        )
    for warning in outcome.warnings:
        module.warn(warning)
    answer = dict(outcome.result, changed=outcome.changed)
    if module._diff and (outcome.before is not None or outcome.after is not None):
        answer["diff"] = {"before": outcome.before or {}, "after": outcome.after or {}}
    module.exit_json(**answer)


def run_watched(module: AnsibleModule, work: Callable[[Progress], Outcome]) -> None:
    """As ``run``, for work that takes long: it gets the progress that the collection's action plugins show."""
    with watched() as progress:
        run(module, lambda: work(progress))
