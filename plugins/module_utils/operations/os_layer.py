# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module os_layer: import versions of an OS layer from OVF packages, describe and remove them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..catalog import document_collections, layer_store, scripts
from ..catalog.icons import read_icon
from ..catalog.layer_document import LayerDocument, OsLayerEntry
from ..catalog.layer_removal import remove_versions
from ..catalog.layers import (
    LayerMetadata,
    check_names,
    expect_new_version,
    find_layer_to_change,
    layer_lock,
    refuse_other_script,
)
from ..common.counting import counted
from ..common.errors import Conflict, InternalError, InvalidInput, NotFound
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..common.timestamps import now
from ..layers.layer_version import DEPLOYABLE, OS, ROLE_DISK, ROLE_GRAINS, Blob, LayerReference, LayerVersion
from ..ovf.package import Package
from ..repository.repository import Repository
from .layer_options import LayerChange, LayerOptions, layer_fields
from .noise_profile import NoiseProfileChange, NoiseProfileKeeper, NoiseProfileOptions
from .os_package import OsPackageSource, find_windows_disk

if TYPE_CHECKING:
    from ..images import os_import

#: Seconds for which a version waits until another version of its layer is imported.
_LOCK_TIMEOUT = 3600
#: Facts of the Windows installation that the layer's document lists.
_WINDOWS_FACTS = ("product_name", "display_version", "build", "revision", "edition", "architecture", "firmware")


@dataclass(frozen=True, kw_only=True)
class OsLayerOptions(LayerOptions):
    """Options of the module os_layer.

    ``package`` is None when no ovf_package is set; ``max_layer_size_gb`` is None to derive the size from the disk.
    """

    max_layer_size_gb: int | None
    connector: str | None
    package: OsPackageSource | None
    readiness: str
    noise_profile: NoiseProfileOptions | None = None

    @property
    def label(self) -> str:
        """Return the layer and its version for messages."""
        return f"OS layer {self.name} {self.version}"

    def metadata(self) -> LayerMetadata:
        """Return the options that describe the layer or its version."""
        return LayerMetadata(self.description, self.version_description, connector=self.connector)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> OsLayerOptions:
        """Read the parameters of the module."""
        fields = layer_fields(params)
        package = None
        if params["ovf_package"]:
            package = OsPackageSource(params["file_share"] or "", params["ovf_package"], fields["credentials"])
        return cls(
            **fields,
            max_layer_size_gb=params["max_layer_size_gb"],
            connector=params["connector"],
            package=package,
            readiness=params["readiness"],
            noise_profile=NoiseProfileOptions.from_params(params["noise_profile"]),
        )


def ensure_os_layer(options: OsLayerOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the OS layer version into its state.

    Raises:
        InvalidInput: names, files or a package that cannot be used.
        NotFound: the repository, the connector or the package does not exist.
        Conflict: ``operations.os_other_size``, ``operations.os_other_package``, ``catalog.layer_other_script`` if
            the version exists with other content; ``operations.os_not_ready``; ``catalog.in_use``,
            ``catalog.layer_needed`` on removal.
        InvalidInput, Conflict: as ``NoiseProfileKeeper.ensure``.
        Unsupported, Corrupt: the package holds no Windows installation that can be imported.
    """
    check_names(options.name, options.version)
    repository = options.repository.open(check_mode=check_mode)
    if options.absent:
        return remove_versions(
            repository, OS, options.name, options.version, comment=options.repository.comment, check_mode=check_mode
        )
    version = options.present_version
    icon, script = read_icon(options.icon), scripts.read_script(options.script)
    if options.connector is not None:
        document_collections.connectors(repository).require(options.connector)
    lock = layer_lock(OS, options.name)
    purpose = f"import the OS layer {options.name} {version}"
    warnings: list[str] = []
    with repository.locks.hold(lock, shared=check_mode, timeout=_LOCK_TIMEOUT, purpose=purpose):
        before = find_layer_to_change(repository, OS, options.name, version)
        layer = before or LayerDocument.new(OS, options.name)
        if version in layer.versions:
            _check_same_source(layer, options)
            refuse_other_script(layer, version, script, options.script)
            findings = _stored_findings(repository, layer, version)
        else:
            importer = _Importer(repository, options, script, check_mode, progress)
            with _package_source(options).open() as package:
                entry, findings = importer.run(package)
                warnings = [f"{options.label}: {warning}" for warning in package.warnings()]
            warnings += scripts.warnings_of(script, f"OS layer {options.name} {version}")
            layer = layer.with_version(version, entry)
            if options.readiness == "warn":
                warnings += _warnings(options, findings)
        after, changed = LayerChange(before, layer, icon).save(repository, options, check_mode=check_mode)
        noise = _ensure_noise_profile(repository, after, options, check_mode, progress)
    result = {"layer": after.describe_version(version), "readiness": findings, "noise_profile": noise.after}
    shown = [before.to_dict() if before else None, after.to_dict()]
    if noise.changed:
        shown = [dict(shown[0] or {}, noise_profile=noise.before), dict(shown[1] or {}, noise_profile=noise.after)]
    return Outcome(changed or noise.changed, shown[0], shown[1], result, [*warnings, *noise.warnings])


def _ensure_noise_profile(
    repository: Repository, layer: LayerDocument, options: OsLayerOptions, check_mode: bool, progress: Progress
) -> NoiseProfileChange:
    digest = layer.versions[options.present_version].digest
    if digest is None:
        return NoiseProfileChange(None, None)  # In check mode, the version does not exist yet.
    os_layer = LayerReference(OS, options.name, options.present_version, digest)
    comment = options.repository.comment
    keeper = NoiseProfileKeeper(repository, os_layer, options.credentials, comment, check_mode, progress)
    return keeper.ensure(options.noise_profile)


def _warnings(options: OsLayerOptions, findings: list[dict[str, Any]]) -> list[str]:
    from ..common.findings import failures

    return [
        f"{options.label}: {finding['name']}: {finding['found']}. {finding['action']}" for finding in failures(findings)
    ]


def _stored_findings(repository: Repository, layer: LayerDocument, version: str) -> list[dict[str, Any]]:
    digest = layer.versions[version].digest
    if digest is None:
        raise InternalError(f"The {layer.label} {version} was recorded without a digest.", code="operations.os_digest")
    findings: list[dict[str, Any]] = layer_store.load_version(repository, digest).facts.get("readiness", [])
    return findings


def _package_source(options: OsLayerOptions) -> OsPackageSource:
    if options.package is None:
        raise InvalidInput(
            f"The OS layer {options.name} has no version {options.version}, and no package to import it from is set.",
            code="operations.os_no_package",
            hint="Set file_share and ovf_package.",
        )
    return options.package


def _check_same_source(layer: LayerDocument, options: OsLayerOptions) -> None:
    """Raise Conflict if an existing version was imported from another package or with another disk size."""
    entry = layer.os_version(options.present_version)
    subject = f"Version {options.version} of the OS layer {options.name}"
    if options.max_layer_size_gb not in (None, entry.size_gb):
        raise Conflict(
            f"{subject} has a disk of {entry.size_gb} GiB, but max_layer_size_gb is {options.max_layer_size_gb} GiB.",
            code="operations.os_other_size",
            hint="A version never changes: set version to a new version, or set disk_size_gb of the image template.",
        )
    if options.package is None:
        return
    try:
        with options.package.open() as package:
            same = options.package.is_recorded(package, entry.source)
    except NotFound:
        return  # The package may be deleted once it has been imported.
    if not same:
        raise Conflict(
            f"{subject} was imported from a package that differs from {options.package.path!r} as it is now.",
            code="operations.os_other_package",
            hint="A version never changes: set version to a new version.",
        )


@dataclass(frozen=True)
class _Importer:
    """The import of one version from its package."""

    repository: Repository
    options: OsLayerOptions
    script: scripts.Script | None
    check_mode: bool
    progress: Progress

    def run(self, package: Package) -> tuple[OsLayerEntry, list[dict[str, Any]]]:
        """Import the version, unless in check mode; return its entry and the findings about its readiness."""
        scripts.describe(self.script)  # A script that cannot run is refused before the disk is read.
        from ..images import os_import

        source = _package_source(self.options).describe(package)
        disk = find_windows_disk(package, self.options.max_layer_size_gb)
        if self.options.readiness == "enforce":
            self._enforce(disk.examination.readiness)
        if self.check_mode:
            return self._entry(None, 0, source, disk.examination), disk.examination.readiness
        expect_new_version(self.repository, OS, self.options.name, self.options.present_version)
        package.verify(self.progress)
        with self.repository.pin(purpose=f"import {disk.name}") as pin:
            stored = os_import.store_disk(
                self.repository, disk.opener, disk.name, self.options.max_layer_size_gb, progress=self.progress
            )
            pin.add([stored.vmdk.digest, stored.index.digest])
            layer = self._store(stored)
        return self._entry(layer.digest, stored.vmdk.size, source, stored.examination), stored.examination.readiness

    def _store(self, stored: os_import.StoredDisk) -> LayerVersion:
        layer = LayerVersion(
            OS,
            self.options.name,
            self.options.present_version,
            description=self.options.description or "",
            version_description=self.options.version_description or "",
            size_gb=stored.examination.size_gb,
            statistics={"bytes": stored.data_bytes},
            facts=dict(stored.examination.facts, readiness=stored.examination.readiness),
            blobs={
                ROLE_DISK: Blob(stored.vmdk.media_type, stored.vmdk.digest, stored.vmdk.size),
                ROLE_GRAINS: Blob(stored.index.media_type, stored.index.digest, stored.index.size),
            },
        )
        scripts.add_script(self.repository, layer, self.script)
        return layer_store.put_version(self.repository, layer, progress=self.progress)

    def _entry(
        self, digest: str | None, size: int, source: dict[str, Any], examination: os_import.Examination
    ) -> OsLayerEntry:
        return OsLayerEntry(
            digest=digest,
            status=DEPLOYABLE,
            size=size,
            version_description=self.options.version_description or "",
            created=now(),
            source=source,
            script=scripts.describe(self.script),
            size_gb=examination.size_gb,
            windows={key: examination.facts.get(key) for key in _WINDOWS_FACTS},
        )

    def _enforce(self, findings: list[dict[str, Any]]) -> None:
        from ..common.findings import failures

        failed = failures(findings)
        if failed:
            first = failed[0]
            more = f" (and {counted(len(failed) - 1, 'more finding')})" if len(failed) > 1 else ""
            raise Conflict(
                f"The OS machine in {_package_source(self.options).path!r} is not ready to become version "
                f"{self.options.version} of the OS layer {self.options.name}: {first['found']}{more}.",
                code="operations.os_not_ready",
                hint=first["action"],
                readiness=findings,
            )
