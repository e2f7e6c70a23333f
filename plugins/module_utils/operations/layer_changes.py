# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layer_changes_info: compare layer versions of an inventory with the repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from ..catalog.kinds import layer_label
from ..catalog.layers import check_names, find_layer, find_version
from ..catalog.version_name import VersionRequest
from ..common.errors import InternalError, NotFound, StrataError
from ..common.outcome import Outcome
from ..layers.layer_version import APP, OS, PLATFORM
from ..repository.repository import Repository
from .app_layer import AppLayerOptions
from .options import RepositoryOptions
from .os_layer import OsLayerOptions, ensure_os_layer
from .platform_layer import PlatformLayerOptions
from .software_layer import SoftwareLayerOptions, ensure_software_layer

#: What a run would do with a version. UNKNOWN: the version has a problem.
NONE, CREATE, CHANGE, DELETE, UNKNOWN = "none", "create", "change", "delete", "unknown"
_OPTIONS: Mapping[str, type[OsLayerOptions | AppLayerOptions | PlatformLayerOptions]] = {
    OS: OsLayerOptions,
    APP: AppLayerOptions,
    PLATFORM: PlatformLayerOptions,
}


@dataclass(frozen=True)
class PendingVersion:
    """A layer version that an earlier step of a run would create, change or delete."""

    kind: str
    name: str
    version: str | None
    action: str

    @property
    def label(self) -> str:
        """The name of the version in messages."""
        return f"{layer_label(self.kind)} {self.name} {self.version or ''}".rstrip()


@dataclass(frozen=True)
class ComparedEntry:
    """An entry of the option ``versions``. ``options`` is None if ``problem`` says why they are not valid."""

    name: str
    version: str | None
    options: OsLayerOptions | SoftwareLayerOptions | None
    problem: StrataError | None = None


@dataclass(frozen=True, kw_only=True)
class LayerChangesOptions:
    """Options of the module layer_changes_info."""

    repository: RepositoryOptions
    kind: str
    entries: tuple[ComparedEntry, ...]
    pending: tuple[PendingVersion, ...]

    @classmethod
    def from_params(cls, params: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> LayerChangesOptions:
        """Read the parameters of the module.

        ``entries`` are the elements of ``versions``, each with ``params``, which are the validated parameters of the
        module that manages the version, and ``problem``, None if they are valid.
        """
        read = _OPTIONS[params["kind"]].from_params
        return cls(
            repository=RepositoryOptions.from_params(params),
            kind=params["kind"],
            entries=tuple(
                ComparedEntry(
                    str(entry["params"].get("name") or ""),
                    entry["params"].get("version"),
                    None if entry["problem"] else read(entry["params"]),
                    entry["problem"],
                )
                for entry in entries
            ),
            pending=tuple(
                PendingVersion(item["kind"], item["name"], item["version"], item["action"])
                for item in params["pending"] or ()
            ),
        )


@dataclass
class _Change:
    """The result for an entry. ``waits_for`` names what an earlier step would create before the version."""

    action: str
    waits_for: list[str] = field(default_factory=list)
    problem: str | None = None
    code: str | None = None


def layer_changes(options: LayerChangesOptions, *, check_mode: bool) -> Outcome:
    """Return what a run would do with each layer version.

    Versions that exist are compared with their source by the code that manages them, in check mode. Versions that
    do not exist are only looked up. A version that cannot be compared has a ``problem``.

    Raises:
        InvalidInput, Corrupt, Unsupported, Unavailable: as ``Repository.open``, except if there is no repository.
    """
    try:
        repository = options.repository.open()
    except NotFound as error:
        if error.code != "repository.missing":
            raise
        repository = None
    versions = list(_compare_all(repository, options, check_mode))
    return Outcome(False, result={"versions": versions, "repository_exists": repository is not None})


def _compare_all(
    repository: Repository | None, options: LayerChangesOptions, check_mode: bool
) -> Iterator[dict[str, Any]]:
    pending = list(options.pending)
    for entry in options.entries:
        change = _compare(repository, options.kind, entry, pending)
        version = PendingVersion(options.kind, entry.name, entry.version, change.action)
        changed = change.action in (CREATE, CHANGE, DELETE)
        if changed:
            pending.append(version)
        yield {
            "kind": options.kind,
            "name": entry.name,
            "version": entry.version,
            "action": change.action,
            "changed": changed,
            "process": change.action != NONE and not (check_mode and change.waits_for),
            "waits_for": change.waits_for,
            "problem": change.problem,
            "code": change.code,
            "message": _message(version.label, change),
            "pending": _pending(version, entry.options) if changed else None,
        }


def _pending(version: PendingVersion, options: OsLayerOptions | SoftwareLayerOptions | None) -> dict[str, Any]:
    """Return an element of the option ``pending`` for later comparisons."""
    described: dict[str, Any] = {
        "kind": version.kind,
        "name": version.name,
        "version": version.version,
        "action": version.action,
    }
    if isinstance(options, SoftwareLayerOptions) and version.action != DELETE:
        described["os_layer"] = _names(options.os_layer) if options.os_layer else None
        described["prerequisites"] = [_names(request) for request in options.prerequisites]
    if isinstance(options, AppLayerOptions) and options.priority is not None:
        described["priority"] = options.priority
    if isinstance(options, PlatformLayerOptions) and options.confirmed_for:
        described["confirmed_for"] = list(options.confirmed_for)
    return described


def _names(request: VersionRequest) -> dict[str, Any]:
    return {"name": request.name, "version": request.version}


def _message(label: str, change: _Change) -> str:
    if change.problem:
        return change.problem
    if change.action == NONE:
        return f"{label}: no change"
    after = f", after {' and '.join(change.waits_for)}" if change.waits_for else ""
    return f"would {change.action} {label}{after}"


def _compare(
    repository: Repository | None, kind: str, entry: ComparedEntry, pending: Sequence[PendingVersion]
) -> _Change:
    try:
        if entry.options is None:
            raise entry.problem or InternalError("An entry has no options.", code="operations.layer_entry")
        check_names(entry.name, entry.version)
        if repository is None:
            return _Change(NONE) if entry.options.absent else _Change(CREATE, ["the repository"])
        layer = find_layer(repository, kind, entry.name)
        stored = set(layer.versions) if layer is not None else set()
        versions = _after(pending, kind, entry.name, stored)
        if entry.options.absent:
            return _Change(DELETE if (entry.version in versions if entry.version else versions) else NONE)
        if entry.version in versions - stored:
            # An earlier entry is the same version.
            return _Change(NONE)
        if entry.version not in versions:
            return _Change(CREATE, list(_missing(repository, entry.options, pending)))
        if isinstance(entry.options, OsLayerOptions):
            outcome = ensure_os_layer(entry.options, check_mode=True)
        else:
            outcome = ensure_software_layer(entry.options, check_mode=True)
        return _Change(CHANGE if outcome.changed else NONE)
    except StrataError as error:
        return _Change(UNKNOWN, problem=str(error), code=error.code)


def _after(pending: Sequence[PendingVersion], kind: str, name: str, stored: Set[str]) -> Set[str]:
    """Return the versions of a layer after the earlier steps of the run; ``stored`` are its versions now."""
    versions = set(stored)
    for earlier in pending:
        if (earlier.kind, earlier.name) != (kind, name):
            continue
        if earlier.action == DELETE:
            versions -= versions if earlier.version is None else {earlier.version}
        elif earlier.action == CREATE and earlier.version is not None:
            versions.add(earlier.version)
    return versions


def _missing(
    repository: Repository, options: OsLayerOptions | SoftwareLayerOptions, pending: Sequence[PendingVersion]
) -> Iterator[str]:
    """Yield the layer versions that a new version needs, and that do not exist but would be created earlier."""
    if isinstance(options, OsLayerOptions):
        return
    needed = [(OS, options.os_layer)] if options.os_layer else []
    needed += [(APP, prerequisite) for prerequisite in options.prerequisites]
    for kind, request in needed:
        try:
            find_version(repository, kind, request.name, request.version)
        except NotFound:
            for version in pending:
                if version.action == CREATE and version.kind == kind and _is_requested(version, request):
                    yield f"the {version.label}"
                    break


def _is_requested(version: PendingVersion, request: VersionRequest) -> bool:
    return version.name == request.name and request.version in (None, "latest", version.version)
