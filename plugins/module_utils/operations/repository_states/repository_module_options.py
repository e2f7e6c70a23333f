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
from .upstream_options import UpstreamOptions


@dataclass(frozen=True, kw_only=True)
class RepositoryModuleOptions:
    """Options of the module repository.

    ``verification`` belongs to the state adopted, ``full`` and ``offline`` (warn or fail) to the state synced. ``upstream`` is
    None to keep the registry of record.
    """

    repository: RepositoryOptions
    state: str
    verification: VerificationOptions = field(default_factory=VerificationOptions)
    upstream: UpstreamOptions | None = None
    full: bool = False
    offline: str = "warn"

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> RepositoryModuleOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: as ``UpstreamOptions.from_params``.
        """
        return cls(
            repository=RepositoryOptions.from_params(params),
            state=params["state"],
            verification=VerificationOptions.from_params(params),
            upstream=UpstreamOptions.from_params(params["upstream"]),
            full=params["full"],
            offline=params["offline"],
        )
