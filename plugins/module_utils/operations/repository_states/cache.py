# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of a repository with a registry of record, as the states ``synced`` and ``collected`` limit it."""

from __future__ import annotations

from typing import Any

from ...catalog import document_collections, layer_store
from ...common.errors import StrataError, Unavailable
from ...layers.layer_version import KINDS, ROLE_ARCHIVE, ROLE_DISK
from ...repository.cache import CacheBounds, Evicted, evict
from ...repository.repository import Repository

_GIB, _DAY = 1 << 30, 86400.0


def limit_cache(repository: Repository, *, check_mode: bool) -> tuple[Evicted, list[str]]:
    """Evict disks and archives that exceed the limits of the option upstream; return them, and warnings.

    Nothing is evicted without limits, or if the registry cannot be reached.
    """
    settings = repository.upstream_settings
    if settings is None or (settings.cache_size_gb is None and settings.cache_days is None):
        return Evicted(), []
    bounds = CacheBounds(
        None if settings.cache_size_gb is None else int(settings.cache_size_gb * _GIB),
        None if settings.cache_days is None else settings.cache_days * _DAY,
    )
    try:
        result = evict(repository, _large_blobs(repository), bounds, dry_run=check_mode)
    except Unavailable as error:
        return Evicted(), [f"The cache of the repository {repository.path} was not limited: {error.message}"]
    warnings = []
    if result.only_here:
        warnings.append(
            f"{len(result.only_here)} blobs of layers are only in the repository {repository.path}, not in its upstream. "
            "They are kept. Push the layers with strata.layering.layer_transfer."
        )
    return result, warnings


def cache_result(evicted: Evicted) -> dict[str, Any]:
    """Return the result of the module."""
    return {"evicted": evicted.blobs, "evicted_bytes": evicted.freed, "cached_bytes": evicted.cached}


def _large_blobs(repository: Repository) -> set[str]:
    """Return the disks and archives of all layer versions."""
    found = set()
    for kind in KINDS:
        for _name, layer in document_collections.layers(repository, kind).all():
            for entry in layer.versions.values():
                try:
                    blobs = layer_store.load_version(repository, entry.digest or "").blobs
                except StrataError:
                    continue  # State verified reports damaged layers.
                found |= {blobs[role].digest for role in (ROLE_ARCHIVE, ROLE_DISK) if role in blobs}
    return found
