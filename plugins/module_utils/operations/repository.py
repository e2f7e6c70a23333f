# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module repository: create, synchronize, verify or clean up the repository, or adopt copies.

Each state has a file in ``repository_states``.
"""

from __future__ import annotations

from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from .repository_states.repository_module_options import RepositoryModuleOptions


def ensure_repository(options: RepositoryModuleOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the repository into its state. Only the file of this state is imported: some need large parts of the engine.

    Raises:
        StrataError: as the function of the state.
    """
    if options.state == "synced":
        from .repository_states.synced import synchronize

        return synchronize(options, check_mode, progress)
    if options.state == "verified":
        from .repository_states.verified import verify_all

        return verify_all(options, check_mode)
    if options.state == "collected":
        from .repository_states.collected import collect_unused

        return collect_unused(options, check_mode)
    if options.state == "adopted":
        from .repository_states.adopted import adopt_copies

        return adopt_copies(options, check_mode)
    from .repository_states.present import create

    return create(options, check_mode)
