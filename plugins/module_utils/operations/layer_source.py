# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What app and platform layers are made of: files and registry files, or the disk of a packaging machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from ..capture import capture
from ..capture.rules import parse_rules
from ..catalog import layer_store
from ..common.errors import Conflict, InvalidInput
from ..common.progress import Progress
from ..images import reg_files
from ..images.layered_image import compose_stack
from ..images.thin_image import ThinImage
from ..layers.folder import entries_from_folder, source_fingerprint
from ..layers.layer_version import ROLE_ARCHIVE, LayerVersion
from ..ovf.package import open_package
from ..repository.repository import Repository
from ..shares.open import open_file
from ..windows.readiness import FAIL
from ..winregistry.delta_format import read_delta
from .options import share_credentials
from .package_disk import disk_opener, share_disk_opener

_EMPTY_HINT = (
    "Check that the disk was exported after the application had been installed; finalize: warn takes it as it is."
)


@dataclass
class Made:
    """A layer version that was made, or in check mode would be: its ``layer``, what the catalogue keeps of
    where it came from (``source``), how much it changes, and what people should know."""

    layer: LayerVersion
    source: dict
    changes: dict
    findings: dict = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the archive, 0 when it was not stored."""
        return self.layer.blobs[ROLE_ARCHIVE].size if self.layer.digest else 0


class FilesSource:
    """A folder of files, .reg files and paths to delete."""

    def __init__(self, params: dict) -> None:
        self._files, self._delete, self._registry = params["files"], params["delete"], params["registry"]

    def _read(self, repository: Repository, os_layer_digest: str) -> tuple[list, list[tuple[str, bytes]]]:
        entries = entries_from_folder(self._files, delete=self._delete) if self._files or self._delete else []
        return entries, reg_files.deltas_from_files(repository, os_layer_digest, self._registry)

    def is_same(self, repository: Repository, entry: dict, os_layer_digest: str) -> bool:
        """Whether a version was made from what this source holds now."""
        entries, hives = self._read(repository, os_layer_digest)
        return layer_store.with_hives(source_fingerprint(entries), hives) == entry["content_digest"]

    def make(self, repository: Repository, layer: LayerVersion, check_mode: bool, progress: Progress) -> Made:
        """Store ``layer``, unless in check mode."""
        entries, hives = self._read(repository, layer.os_layer.digest)
        counts = [read_delta(delta).counts() for _name, delta in hives]
        changes = {
            "files": sum(entry.kind in ("file", "link") for entry, _opener in entries),
            "directories": sum(entry.kind == "directory" for entry, _opener in entries),
            "removed": sum(entry.kind == "whiteout" for entry, _opener in entries),
            "bytes": sum(entry.size for entry, _opener in entries),
            "keys": sum(count.keys_added + count.keys_changed + count.keys_removed for count in counts),
            "values": sum(count.values_added + count.values_changed + count.values_removed for count in counts),
        }
        if check_mode:
            layer.content_digest = layer_store.with_hives(source_fingerprint(entries), hives)
        else:
            layer = layer_store.put_files(repository, layer, entries, hives=hives, progress=progress)
        return Made(layer, {"files": self._files, "registry": self._registry}, changes)


class PackagedSource:
    """The disk of a packaging machine: an OVF package or a disk image."""

    def __init__(self, params: dict) -> None:
        self._path = params["packaged_disk"]
        self._finalize = params["finalize"]
        self._rules = parse_rules(params["exclusions"])
        self._share, self._file = open_file(self._path, share_credentials(params))
        if not self._share.is_file(self._file):
            raise InvalidInput(
                f"There is no packaged disk at {self._path}.",
                code="operations.packaged_missing",
                hint="Give an OVF file or a disk image that the composer can reach.",
            )
        self._package = open_package(self._file, self._share) if self._path.lower().endswith((".ovf", ".ova")) else None

    def _source(self) -> dict:
        status = self._share.stat(self._file)
        source = {
            "packaged_disk": self._path,
            "size": status.size if status else 0,
            "mtime_ns": status.mtime_ns if status else 0,
        }
        if self._package is not None and self._package.manifest is not None:
            with self._package.open(f"{self._package.name}.mf") as stream:
                source = {"packaged_disk": self._path, "manifest_sha256": hashlib.sha256(stream.read()).hexdigest()}
        return source

    def is_same(self, repository: Repository, entry: dict, os_layer_digest: str) -> bool:
        """Whether a version was captured from this very disk; told without reading it."""
        return entry["source"] == self._source()

    def _given(self, repository: Repository, layer: LayerVersion, progress: Progress) -> ThinImage:
        """The image that the packaging machine was made with."""
        return compose_stack(repository, layer.os_layer, tuple(layer.prerequisites), progress=progress)

    def _opener(self):
        if self._package is None:
            return share_disk_opener(self._share, self._file)
        disks = [disk for disk in self._package.descriptor.disks if disk.file_id is not None]
        if len(disks) != 1:
            raise InvalidInput(
                f"The packaged machine {self._path} has {len(disks)} disks.",
                code="operations.packaged_disks",
                hint="Export the packaging machine with its one disk.",
            )
        return disk_opener(self._package, self._package.disk_file(disks[0]))

    def make(self, repository: Repository, layer: LayerVersion, check_mode: bool, progress: Progress) -> Made:
        """Capture ``layer``, unless in check mode; Conflict when the finalize gate is enforced and something stands against it."""
        opener = self._opener()
        source = self._source()
        if check_mode:
            # Composing what the machine was given would write to the repository, so only the package is looked at.
            return Made(layer, source, {})
        if self._package is not None:
            self._package.verify(progress)
        given = self._given(repository, layer, progress)
        gate = capture.check_packaged(given, opener)
        failed = [finding for finding in gate if finding["result"] == FAIL]
        if failed and self._finalize == "enforce":
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise Conflict(
                f"The packaging machine of {layer.name} {layer.version} is not ready to be finalized: {failed[0]['found']}{more}.",
                code="operations.layer_not_finalizable",
                hint=failed[0]["action"],
                gate=gate,
            )
        result = capture.capture(repository, given, opener, layer, self._rules, progress=progress)
        warnings = [
            f"{finding['name']}: {finding['found']}. {finding['action']}"
            for finding in result.hazards
            if finding["result"] != "pass"
        ]
        if self._finalize == "warn":
            warnings = [f"{finding['name']}: {finding['found']}. {finding['action']}" for finding in failed] + warnings
        findings = {"gate": gate, "hazards": result.hazards, "left_out": result.left_out, "detail": result.changes}
        changes = _totals(result.changes)
        if not any(changes.values()):
            found = _empty(layer, sum(one["count"] for one in result.left_out))
            if self._finalize == "enforce":
                # What comes after a capture removes the machine, and with it what was perhaps not exported.
                raise Conflict(found, code="operations.layer_empty", hint=_EMPTY_HINT)
            warnings.insert(0, f"{found} {_EMPTY_HINT}")
        return Made(result.layer, source, changes, findings, warnings)


def _empty(layer: LayerVersion, left_out: int) -> str:
    besides = f" but for {left_out} changes that the rules leave out" if left_out else ""
    return f"Version {layer.version} of the {layer.kind} layer {layer.name} is empty: the packaged disk is the same as the image that was given out{besides}."


def _totals(changes: dict) -> dict:
    files, directories = changes["files"], changes["directories"]
    return {
        "files": files["added"] + files["changed"],
        "directories": directories["added"] + directories["changed"],
        "removed": changes["removals"]["paths"],
        "bytes": files["bytes"],
        "keys": sum(changes["keys"].values()),
        "values": sum(changes["values"].values()),
    }


def source_of(params: dict) -> FilesSource | PackagedSource | None:
    """The source that a module's options name, None without any; InvalidInput for two."""
    has_files = bool(params["files"] or params["delete"] or params["registry"])
    if params["packaged_disk"] and has_files:
        raise InvalidInput(
            f"Version {params['version']} of the layer {params['name']} has two sources.",
            code="operations.layer_two_sources",
            hint="Give either packaged_disk, or files, registry and delete.",
        )
    if params["packaged_disk"]:
        return PackagedSource(params)
    return FilesSource(params) if has_files else None
