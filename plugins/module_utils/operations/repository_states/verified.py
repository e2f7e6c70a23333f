# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State ``verified`` of a repository: all its data is undamaged."""

from __future__ import annotations

from ...catalog import document_collections
from ...common.errors import Corrupt, Unavailable
from ...common.outcome import Outcome
from ...repository.verification import UpstreamCheck, missing_upstream, verify
from .repository_module_options import RepositoryModuleOptions


def verify_all(options: RepositoryModuleOptions, check_mode: bool) -> Outcome:
    """Read every blob and document. Nothing is changed, in check mode or not.

    The registry of record is asked for the blobs that are only there; if it cannot be reached, that is a warning.

    Raises:
        NotFound, InvalidInput, Unsupported, Unavailable: as ``Repository.open``.
        Corrupt: ``operations.repository_damaged`` if there is damage.
    """
    repository = options.repository.open()
    damages = verify(repository, check=document_collections.check_document)
    upstream, warnings = UpstreamCheck(0, []), []
    try:
        upstream = missing_upstream(repository)
    except Unavailable as error:
        warnings = [f"Blobs that are only in the upstream of the repository were not verified: {error.message}"]
    damages += upstream.damages
    if damages:
        more = f" ({len(damages) - 1} more)" if len(damages) > 1 else ""
        raise Corrupt(
            f"The repository {repository.path} is damaged: {damages[0].message}{more}",
            code="operations.repository_damaged",
            hint="Restore the damaged content, which details lists, from a backup, or build the layers again.",
            damaged=[damage.to_dict() for damage in damages],
        )
    result = {"damaged": [], "blobs": len(repository.layout.blobs.digests()), "upstream_blobs": upstream.blobs}
    return Outcome(False, result=result, warnings=warnings)
