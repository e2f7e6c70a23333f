# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State ``present`` of a repository: its folder exists."""

from __future__ import annotations

from ...common.errors import NotFound
from ...common.outcome import Outcome
from ...repository.repository import Repository, refuse_unusable
from .repository_module_options import RepositoryModuleOptions


def create(module_options: RepositoryModuleOptions, check_mode: bool) -> Outcome:
    """Create the repository unless it exists.

    Raises:
        InvalidInput, Unsupported, Unavailable, Corrupt: as ``Repository.open``.
    """
    options = module_options.repository
    path = options.path
    try:
        options.open(check_mode=check_mode)
        return Outcome(False, {"repository": path}, {"repository": path})
    except NotFound:
        if check_mode:
            refuse_unusable(path)
        else:
            repository = Repository.open(path, create=True)
            repository.audit.append("create", "repository", path, comment=options.comment)
        return Outcome(True, None, {"repository": path})
