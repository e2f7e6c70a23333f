# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the module repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..distribution.trust_options import VerificationOptions
from ..options import RepositoryOptions


@dataclass(frozen=True, kw_only=True)
class RepositoryModuleOptions:
    """Options of the module repository; ``verification`` belongs to the state adopted."""

    repository: RepositoryOptions
    state: str
    verification: VerificationOptions = field(default_factory=VerificationOptions)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> RepositoryModuleOptions:
        """Read the parameters of the module."""
        return cls(
            repository=RepositoryOptions.from_params(params),
            state=params["state"],
            verification=VerificationOptions.from_params(params),
        )
