# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules app_layer and platform_layer: build versions of a layer, describe and remove them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..catalog import scripts
from ..catalog.icons import read_icon
from ..catalog.layer_document import LayerDocument, SoftwareLayerEntry
from ..catalog.layer_removal import remove_versions
from ..catalog.layers import (
    LATEST,
    check_names,
    expect_new_version,
    find_layer_to_change,
    find_version,
    layer_lock,
    refuse_other_script,
)
from ..catalog.office_activation import ScriptChoice
from ..catalog.templates import stack_of
from ..catalog.version_name import VersionName, VersionRequest
from ..common.errors import Conflict, InvalidInput
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..common.timestamps import now
from ..layers.layer_version import DEPLOYABLE, OS, LayerVersion
from ..repository.repository import Repository
from .layer_options import LayerChange, LayerOptions, layer_fields
from .layer_source import FilesSource, LayerSource, PackagedSource
from .options import version_request, version_requests

#: Seconds for which a version waits until another version of its layer is built.
_LOCK_TIMEOUT = 3600


@dataclass(frozen=True, kw_only=True)
class SoftwareLayerOptions(LayerOptions):
    """Options that the modules app_layer and platform_layer share. At most one of ``files`` and ``packaged`` is set."""

    kind: ClassVar[str]

    os_layer: VersionRequest | None
    prerequisites: tuple[VersionRequest, ...]
    files: FilesSource | None
    packaged: PackagedSource | None
    office_activation: bool = True

    @property
    def subject(self) -> str:
        """The name of the version in messages."""
        return f"{self.kind} layer {self.name} {self.version}"

    def warnings(self, repository: Repository, layer: LayerDocument, before: LayerDocument | None) -> list[str]:
        """Return warnings about options that describe the version and have no effect.

        ``layer`` has these options; ``before`` is the layer before the run, None if it is new.
        """
        return []

    def source(self) -> LayerSource | None:
        """Return what the version is built from, None when the options name nothing.

        Raises:
            InvalidInput: ``operations.layer_two_sources``.
        """
        if self.files and self.packaged:
            raise InvalidInput(
                f"The {self.subject} has two sources.",
                code="operations.layer_two_sources",
                hint="Set either packaged_disk, or files, registry and delete.",
            )
        return self.files or self.packaged


def software_layer_fields(params: Mapping[str, Any]) -> dict[str, Any]:
    """Read the options of ``software_layer_arguments`` as the fields of SoftwareLayerOptions."""
    fields = layer_fields(params)
    files = packaged = None
    if params["files"] or params["delete"] or params["registry"]:
        files = FilesSource(
            params["files"],
            tuple(params["delete"] or ()),
            tuple(params["registry"] or ()),
            keep_times=params["file_times"] == "keep",
        )
    if params["packaged_disk"]:
        packaged = PackagedSource(
            params["packaged_disk"],
            fields["credentials"],
            tuple(params["exclusions"] or ()),
            params["finalize"],
            params["noise_profile"],
        )
    return fields | {
        "os_layer": version_request(params["os_layer"]),
        "prerequisites": version_requests(params["prerequisites"]),
        "files": files,
        "packaged": packaged,
        "office_activation": params["office_activation"],
    }


def ensure_software_layer(options: SoftwareLayerOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the layer version into its state.

    Raises:
        InvalidInput: names, files or rules that cannot be used; ``operations.layer_no_os_layer``,
            ``operations.layer_no_source``, ``operations.layer_two_sources``, ``operations.packaged_missing``.
        NotFound: the repository, the OS layer or a prerequisite does not exist.
        Conflict: ``operations.layer_other_os_layer``, ``operations.layer_other_source``,
            ``catalog.layer_other_script`` if the version exists with other content;
            ``operations.layer_not_finalizable``, ``operations.layer_empty``; ``catalog.in_use``,
            ``catalog.layer_needed`` on removal.
    """
    check_names(options.name, options.version, options.metadata().priority)
    repository = options.repository.open(check_mode=check_mode)
    kind, name = options.kind, options.name
    if options.absent:
        return remove_versions(
            repository, kind, name, options.version, comment=options.repository.comment, check_mode=check_mode
        )
    version = options.present_version
    icon, script = read_icon(options.icon), scripts.read_script(options.script)
    warnings: list[str] = []
    findings: dict[str, Any] = {}
    purpose = f"build the {options.subject}"
    with repository.locks.hold(layer_lock(kind, name), shared=check_mode, timeout=_LOCK_TIMEOUT, purpose=purpose):
        before = find_layer_to_change(repository, kind, name, version)
        layer = before or LayerDocument.new(kind, name)
        if version in layer.versions:
            warnings = _check_same(repository, layer, options)
            refuse_other_script(layer, version, script, options.script)
        else:
            builder = _Builder(repository, options, script, check_mode, progress)
            entry, findings, warnings = builder.run()
            layer = layer.with_version(version, entry)
        after, changed = LayerChange(before, layer, icon).save(repository, options, check_mode=check_mode)
        warnings += options.warnings(repository, after, before)
    described = after.describe_version(version)
    result = findings | {"layer": described, "changes": described["changes"]}
    return Outcome(changed, before.to_dict() if before else None, after.to_dict(), result, warnings)


def _check_same(repository: Repository, layer: LayerDocument, options: SoftwareLayerOptions) -> list[str]:
    """Raise Conflict if an existing version was built from a different source or for a different OS layer.

    Return a warning if it was built on different prerequisites.
    """
    entry, requested = layer.software_version(options.present_version), options.os_layer
    source = options.source()
    base = entry.os_layer
    if requested and not _is_requested(requested, base):
        expected = f"{requested.name} {requested.version}" if requested.version else requested.name
        raise Conflict(
            f"The {options.subject} was built for the OS layer {base}, but os_layer is {expected}.",
            code="operations.layer_other_os_layer",
            hint="A version never changes: set version to a new version.",
        )
    if source is None or not source.exists():
        return _other_prerequisites(entry, options)  # A packaged disk may be deleted once it has been captured.
    os_layer = find_version(repository, OS, base.name, base.version)
    reference = find_version(repository, options.kind, layer.name, options.present_version)
    difference = source.difference(repository, reference, entry, os_layer.digest)
    if difference is not None:
        raise Conflict(
            f"The {options.subject} was built from content that differs from {source.label} in {difference}.",
            code="operations.layer_other_source",
            hint="A version never changes: set version to a new version.",
        )
    return _other_prerequisites(entry, options)


def _is_requested(request: VersionRequest, layer: VersionName) -> bool:
    """Return whether a request selects a layer version, or selected it when it was the newest version."""
    return request.name == layer.name and request.version in (None, LATEST, layer.version)


def _other_prerequisites(entry: SoftwareLayerEntry, options: SoftwareLayerOptions) -> list[str]:
    stored = sorted(entry.prerequisites, key=str)
    requested = sorted(options.prerequisites, key=lambda request: request.name)
    same = len(stored) == len(requested) and all(
        _is_requested(request, next((layer for layer in stored if layer.name == request.name), VersionName("", "")))
        for request in requested
    )
    if not requested or same:
        return []
    names = ", ".join(f"{request.name} {request.version or LATEST}" for request in requested)
    return [
        f"The {options.subject} was built on {', '.join(map(str, stored)) or 'no prerequisites'}, not on {names}. "
        "The option prerequisites does not change an existing version."
    ]


@dataclass(frozen=True)
class _Builder:
    """The building of one version."""

    repository: Repository
    options: SoftwareLayerOptions
    script: scripts.Script | None
    check_mode: bool
    progress: Progress

    def run(self) -> tuple[SoftwareLayerEntry, dict[str, Any], list[str]]:
        """Build the version, unless in check mode; return its entry, the findings for the result, and warnings."""
        options = self.options
        if options.os_layer is None:
            raise InvalidInput(
                f"The OS layer of the {options.subject} is not set.",
                code="operations.layer_no_os_layer",
                hint="Set os_layer to the OS layer that the version is built for.",
            )
        os_layer = find_version(self.repository, OS, options.os_layer.name, options.os_layer.version)
        prerequisites = stack_of(self.repository, os_layer.name, options.prerequisites, user=options.subject)
        source = options.source()
        if source is None:
            raise InvalidInput(
                f"The {options.subject} has no source.",
                code="operations.layer_no_source",
                hint="Set files, registry or delete, or set packaged_disk to the disk of a packaging machine.",
            )
        layer = LayerVersion(
            options.kind,
            options.name,
            options.present_version,
            description=options.description or "",
            version_description=options.version_description or "",
            os_layer=os_layer,
            prerequisites=list(prerequisites),
        )
        scripts.describe(self.script)  # A script that cannot run is refused before the source is read.
        if not self.check_mode:
            expect_new_version(self.repository, layer.kind, layer.name, layer.version)
        choice = ScriptChoice(self.script, options.office_activation)
        built = source.build(self.repository, layer, choice, check_mode=self.check_mode, progress=self.progress)
        entry = SoftwareLayerEntry(
            digest=built.layer.digest,
            status=DEPLOYABLE,
            size=built.size,
            version_description=layer.version_description,
            created=now(),
            source=built.source,
            script=scripts.describe(built.script),
            content_digest=built.layer.content_digest,
            os_layer=VersionName(os_layer.name, os_layer.version),
            prerequisites=tuple(VersionName(layer.name, layer.version) for layer in prerequisites),
            changes=built.changes,
        )
        return entry, built.findings, scripts.warnings_of(self.script, layer.label) + built.warnings
