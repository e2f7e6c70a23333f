# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layer_cleanup: delete layer versions by rule."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog import document_collections, layer_store
from ..catalog.cleanup_rules import IN_USE, CleanupDecision, CleanupRules, Reason, Usage, decide
from ..catalog.kinds import LAYER_KINDS, NOISE_PROFILE, TASK, layer_kind
from ..catalog.layer_document import LayerDocument
from ..catalog.layer_removal import remove_versions
from ..catalog.layer_usage import UseHistory, User, VersionKey, dependents, users
from ..common.errors import Conflict, InvalidInput, NotFound
from ..common.outcome import Outcome
from ..common.timestamps import utc_now
from ..layers.layer_version import KINDS, OS
from ..publish.publish_task import OPEN
from ..repository.reachability import Reachable
from ..repository.repository import Repository
from .options import RepositoryOptions
from .repository_states.collected import unused_references


@dataclass(frozen=True, kw_only=True)
class LayerCleanupOptions:
    """Options of the module layer_cleanup; ``names`` and ``exclude`` are patterns of layer names."""

    repository: RepositoryOptions
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    exclude: tuple[str, ...]
    rules: CleanupRules

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LayerCleanupOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.cleanup_rule`` if a number is too small; ``operations.cleanup_no_rule``.
        """
        for option, least in (("keep_newest", 1), ("unused_for_days", 0)):
            value = params[option]
            if value is not None and value < least:
                raise InvalidInput(
                    f"The option {option} is {value}; it must be at least {least}.",
                    code="operations.cleanup_rule",
                    hint=f"Set {option} to {least} or more.",
                )
        if params["keep_newest"] is None and params["unused_for_days"] is None and not params["never_used"]:
            raise InvalidInput(
                "No rule is set for the deletion of layer versions.",
                code="operations.cleanup_no_rule",
                hint="Set keep_newest, unused_for_days or never_used.",
            )
        return cls(
            repository=RepositoryOptions.from_params(params),
            kinds=tuple(params["kinds"] or ()),
            names=tuple(params["names"] or ()),
            exclude=tuple(params["exclude"] or ()),
            rules=CleanupRules(
                keep_newest=params["keep_newest"] or 1,
                unused_for_days=params["unused_for_days"],
                never_used=bool(params["never_used"]),
            ),
        )

    def selects(self, layer: LayerDocument) -> bool:
        """Return whether the rules apply to a layer."""
        if layer.kind not in self.kinds:
            return False
        return _matches(layer.name, self.names) and not _matches(layer.name, self.exclude)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def clean_up_layers(options: LayerCleanupOptions, *, check_mode: bool) -> Outcome:
    """Delete the versions that the rules select and that nothing uses.

    Raises:
        NotFound, InvalidInput, Unsupported, Unavailable: as ``Repository.open``.
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    repository = options.repository.open(check_mode=check_mode)
    layers = [layer for layer in _all_layers(repository) if options.selects(layer)]
    usage = Usage(_users(repository), dependents(repository), UseHistory.read(repository))
    decision = decide(layers, options.rules, usage, utc_now())
    entries = {(layer.kind, layer.name): layer for layer in layers}
    removed = [_describe(key, entries[key[:2]], usage.history) for key in decision.removed]
    reclaimable = _reclaimable(repository, decision.removed)
    warnings: list[str] = []
    if not check_mode:
        warnings = _remove(repository, decision, options.repository.comment)
        removed = [item for item in removed if (item["kind"], item["name"], item["version"]) in decision.removed]
    before = _versions(layers)
    gone = set(decision.removed)
    after = {
        label: [version for version in versions if (*_key(label), version) not in gone]
        for label, versions in before.items()
    }
    result = {"removed": removed, "kept": _kept(decision), "reclaimable": reclaimable}
    return Outcome(bool(decision.removed), before, after, result, warnings)


def _all_layers(repository: Repository) -> list[LayerDocument]:
    return [layer for kind in KINDS for _name, layer in document_collections.layers(repository, kind).all()]


def _users(repository: Repository) -> Mapping[VersionKey, set[User]]:
    """Return what uses each layer version now, with the publish tasks that have not ended."""
    from ..images.stored.thin_image import read_config

    found = users(repository)
    by_digest = {
        entry.digest: (layer.kind, layer.name, version)
        for layer in _all_layers(repository)
        for version, entry in layer.versions.items()
    }
    for identifier, task in document_collections.tasks(repository).all():
        if task.status not in OPEN or task.content_digest is None:
            continue
        # Before the image is composed, its layers are those of the template.
        with contextlib.suppress(NotFound):
            config = read_config(repository, task.content_digest)
            for reference in (config.os_layer, *config.layers):
                if reference.digest in by_digest:
                    found[by_digest[reference.digest]].add(User(TASK, identifier))
    return found


def _remove(repository: Repository, decision: CleanupDecision, comment: str | None) -> list[str]:
    """Remove the versions; a version that another run has started to use stays. Return a warning for each of these."""
    warnings = []
    for key in list(decision.removed):
        kind, name, version = key
        try:
            remove_versions(repository, kind, name, version, comment=comment, check_mode=False)
        except Conflict as error:
            decision.removed.remove(key)
            decision.kept[key] = [Reason(IN_USE)]
            warnings.append(error.message)
    return warnings


def _reclaimable(repository: Repository, removed: list[VersionKey]) -> int:
    """Return the bytes that collecting the repository frees once the versions are removed, in addition to those it frees now."""
    if not removed:
        return 0
    unused = unused_references(repository)
    future = repository.overlaid(_changed_documents(repository, removed))
    gone = [layer_store.layer_reference_name(*key) for key in removed]
    before = Reachable.from_repository(repository, without=unused)
    after = Reachable.from_repository(future, without=[*unused, *gone, *unused_references(future)])
    freed = 0
    for digest in before.needs.keys() - after.needs.keys():
        with contextlib.suppress(NotFound):
            freed += repository.layout.size(digest)
    return freed


def _changed_documents(
    repository: Repository, removed: list[VersionKey]
) -> dict[tuple[str, str], dict[str, Any] | None]:
    changes: dict[tuple[str, str], dict[str, Any] | None] = {}
    for kind, name in {key[:2] for key in removed}:
        layer = document_collections.layers(repository, kind).require(name)
        remaining = layer.without_versions([key[2] for key in removed if key[:2] == (kind, name)])
        changes[layer_kind(kind), name] = remaining.to_dict() if remaining.versions else None
    profiles = {(NOISE_PROFILE, f"{name}/{version}"): None for kind, name, version in removed if kind == OS}
    return {**changes, **profiles}


def _describe(key: VersionKey, layer: LayerDocument, history: UseHistory) -> dict[str, Any]:
    entry = layer.versions[key[2]]
    return {
        **_named(key),
        "digest": entry.digest,
        "size": entry.size,
        "created": entry.created,
        "last_used": history.last.get(key),
    }


def _named(key: VersionKey) -> dict[str, Any]:
    return {"kind": key[0], "name": key[1], "version": key[2]}


def _kept(decision: CleanupDecision) -> list[dict[str, Any]]:
    return [
        {**_named(key), "reasons": [reason.to_dict() for reason in reasons]}
        for key, reasons in sorted(decision.kept.items())
    ]


def _versions(layers: Iterable[LayerDocument]) -> dict[str, list[str]]:
    return {f"{layer_kind(layer.kind)}/{layer.name}": layer.sorted_versions() for layer in layers}


def _key(label: str) -> tuple[str, str]:
    kind, _slash, name = label.partition("/")
    return LAYER_KINDS[kind], name
