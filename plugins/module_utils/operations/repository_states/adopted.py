# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State ``adopted`` of a repository: what other tools copied into its folder is part of the catalogue."""

from __future__ import annotations

from typing import Any

from ...common.outcome import Outcome
from ...distribution.adoption.adopt import Adoption, AdoptionPlan, Left, apply_adoption, plan_adoption
from ...distribution.items.names import ItemName
from ...distribution.signatures.trust import SignatureGuard
from ...repository.repository import Repository
from ...repository.upstream import REQUIRED
from .repository_module_options import RepositoryModuleOptions


def adopt_copies(options: RepositoryModuleOptions, check_mode: bool) -> Outcome:
    """Adopt the layer versions that skopeo, oras, regctl or crane copied into the folder of the repository.

    Raises:
        NotFound, InvalidInput, Unsupported, Unavailable: as ``Repository.open``; as ``SignatureGuard.load``.
        Corrupt: index.json or a document of the repository is damaged.
        Conflict: another process changed a layer while it was adopted.
    """
    repository = options.repository.open(check_mode=check_mode)
    guard = _guard(options, repository)
    plan = plan_adoption(repository, guard)
    if plan.changes and not check_mode:
        apply_adoption(repository, plan, options.repository.comment)
    adopted = [_adopted(adoption) for adoption in plan.adopted]
    left = [_left(copy) for copy in plan.left]
    removed = [reference for known in plan.known for reference in _removed(known)]
    signatures = [attachment.digest for known in plan.known for attachment in known.layer.attachments]
    copies = [reference for adoption in adopted for reference in adoption["references"]] + removed
    before: dict[str, Any] = {"copies": copies, "layers": [], "signatures": []}
    after = {"copies": [], "layers": [str(adoption.layer.item) for adoption in plan.adopted], "signatures": signatures}
    result = {
        "adopted": adopted,
        "left": left,
        "removed_references": removed,
        "signatures_added": signatures,
        "message": _message(plan),
    }
    return Outcome(plan.changes, before, after, result, list(dict.fromkeys(guard.warnings)))


def _guard(options: RepositoryModuleOptions, repository: Repository) -> SignatureGuard:
    """Return the trust policy of the options, or without keys that of the registry of record."""
    upstream = repository.upstream_settings
    if upstream is None or options.verification.keys:
        return SignatureGuard.load(options.verification.keys, options.verification.required)
    return SignatureGuard.load(upstream.verify_keys, bool(upstream.verify_keys) and upstream.signatures == REQUIRED)


def _adopted(adoption: Adoption) -> dict[str, Any]:
    layer = adoption.layer
    return _item(layer.item) | {
        "digest": layer.digest,
        "size": layer.size,
        "references": list(adoption.copy.references) or [layer.digest],
        "signer": layer.signer,
        "has_details": layer.details.updated is not None,
    }


def _removed(known: Adoption) -> list[str]:
    return [*known.copy.references, *([known.layer.digest] if known.copy.is_unnamed else [])]


def _left(left: Left) -> dict[str, Any]:
    return (_item(left.item) if left.item else {"kind": None, "name": None, "version": None}) | {
        "digest": left.copy.descriptor.digest,
        "references": list(left.copy.references),
        "code": left.error.code,
        "message": left.error.message,
        "hint": left.error.hint,
    }


def _item(item: ItemName) -> dict[str, Any]:
    return {"kind": item.kind, "name": item.name, "version": item.version}


def _message(plan: AdoptionPlan) -> str:
    if not (plan.adopted or plan.left or plan.known):
        return "The repository contains no layer versions that other tools copied."
    return (
        f"Layer versions adopted: {len(plan.adopted)}; left as they are: {len(plan.left)};"
        f" copied although the repository has them: {len(plan.known)}."
    )
