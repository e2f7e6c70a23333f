# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the module repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import InvalidInput
from ..distribution.trust_options import VerificationOptions
from ..options import RepositoryOptions
from .upstream_options import UpstreamOptions

#: About a hundred years.
_MAX_DAYS = 36_500


@dataclass(frozen=True, kw_only=True)
class RepositoryModuleOptions:
    """Options of the module repository.

    ``verification`` belongs to the state adopted, ``full`` and ``offline`` (warn or fail) to the state synced. ``upstream`` is
    None to keep the registry of record. ``task_max_age_days`` and ``audit_max_age_days`` belong to the state collected; None keeps
    all tasks, and keeps all records of the audit history in one file.
    """

    repository: RepositoryOptions
    state: str
    verification: VerificationOptions = field(default_factory=VerificationOptions)
    upstream: UpstreamOptions | None = None
    full: bool = False
    offline: str = "warn"
    task_max_age_days: int | None = None
    audit_max_age_days: int | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> RepositoryModuleOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.repository_age`` if an age is negative; as ``UpstreamOptions.from_params``.
        """
        for option in ("task_max_age_days", "audit_max_age_days"):
            if params[option] is not None and not 0 <= params[option] <= _MAX_DAYS:
                raise InvalidInput(
                    f"The option {option} is {params[option]}; it must be between 0 and {_MAX_DAYS} days.",
                    code="operations.repository_age",
                    hint=f"Set {option} to a number of days, such as 90.",
                )
        return cls(
            repository=RepositoryOptions.from_params(params),
            state=params["state"],
            verification=VerificationOptions.from_params(params),
            upstream=UpstreamOptions.from_params(params["upstream"]),
            full=params["full"],
            offline=params["offline"],
            task_max_age_days=params["task_max_age_days"],
            audit_max_age_days=params["audit_max_age_days"],
        )
