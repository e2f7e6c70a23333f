# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module repository: create, synchronize, verify or clean up the repository, or adopt copies.

Each state has a file in ``repository_states``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from .repository_states.adopted import adopt_copies
from .repository_states.collected import collect_unused
from .repository_states.present import create
from .repository_states.repository_module_options import RepositoryModuleOptions
from .repository_states.synced import synchronize
from .repository_states.verified import verify_all

#: The function of each state: (options, check mode).
_STATES: Mapping[str, Callable[[RepositoryModuleOptions, bool], Outcome]] = {
    "present": create,
    "verified": verify_all,
    "collected": collect_unused,
    "adopted": adopt_copies,
}


def ensure_repository(options: RepositoryModuleOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the repository into its state.

    Raises:
        StrataError: as the function of the state.
    """
    if options.state == "synced":
        return synchronize(options, check_mode, progress)
    return _STATES[options.state](options, check_mode)
