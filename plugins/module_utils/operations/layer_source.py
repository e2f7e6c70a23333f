# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources of app and platform layers: files and registry files, or the disk of a packaging machine."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..catalog import layer_store
from ..catalog.layer_document import SoftwareLayerEntry
from ..catalog.office_activation import ScriptChoice
from ..catalog.scripts import Script, add_script
from ..common.counting import counted
from ..common.errors import Conflict, InternalError, InvalidInput
from ..common.findings import FAIL
from ..common.progress import Progress
from ..images.planning.layer_content import LayerContent, load_content
from ..layers.entry import FILE, WHITEOUT, Entry
from ..layers.folder import FIXED_TIME, Opener, entries_from_folder, source_fingerprint, source_records
from ..layers.layer_version import ROLE_ARCHIVE, LayerReference, LayerVersion
from ..repository.repository import Repository
from ..shares.open import ShareCredentials
from .noise_profile import AUTO, find_noise
from .packaged_disk import PackagedDisk, packaged_disk_exists

_EMPTY_HINT = (
    "Check that the disk was exported after the application was installed. Set finalize to warn to accept the disk."
)
_NOISE_HINT = "Set noise_profile to ignore if the profile of the OS layer version was not recorded from an untouched packaging machine."


@dataclass
class BuiltVersion:
    """A layer version that was built, or in check mode would be.

    ``source`` is what the layer's document records of the source, ``changes`` counts what the
    version changes, ``script`` is its script, ``findings`` go into the module's result.
    """

    layer: LayerVersion
    source: dict[str, Any]
    changes: dict[str, Any]
    script: Script | None = None
    findings: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the archive, 0 when it was not stored."""
        return self.layer.blobs[ROLE_ARCHIVE].size if self.layer.digest else 0


class LayerSource(Protocol):
    """Something that a version can be built from."""

    @property
    def label(self) -> str:
        """The name of the source in messages."""

    def exists(self) -> bool:
        """Return whether the source can still be compared with a version."""

    def difference(
        self, repository: Repository, layer: LayerReference, entry: SoftwareLayerEntry, os_layer: str
    ) -> str | None:
        """Return what differs between the source and the version ``layer``, None if the version was built from it.

        ``os_layer`` is the digest of the OS layer version that it was built for.
        """

    def build(
        self,
        repository: Repository,
        layer: LayerVersion,
        choice: ScriptChoice,
        *,
        check_mode: bool,
        progress: Progress,
    ) -> BuiltVersion:
        """Build and store ``layer`` with the script of ``choice``, unless in check mode. Store nothing if the source is refused."""


@dataclass(frozen=True)
class FilesSource:
    """A folder of files, paths to delete, and .reg files.

    Files and keys get the times of the folder and the .reg files if ``keep_times`` is true, otherwise one fixed time.
    """

    files: str | None
    delete: tuple[str, ...]
    registry: tuple[str, ...]
    keep_times: bool = False

    @property
    def label(self) -> str:
        """The name of the source in messages."""
        return f"files {self.files!r}" if self.files else "the options registry and delete"

    def exists(self) -> bool:
        """Return True: a folder that is missing is an error."""
        return True

    def difference(
        self, repository: Repository, layer: LayerReference, entry: SoftwareLayerEntry, os_layer: str
    ) -> str | None:
        """Return what differs between the files and the version ``layer``, None if the version was built from them.

        Unless times are kept, only the content counts: earlier releases stored versions with times.

        Raises:
            InvalidInput: ``operations.layer_empty_folder`` if the folder differs from the version and is empty.
        """
        entries = self._entries()
        current = LayerContent(source_records(entries), self._hives(repository, os_layer, must_start=False))
        if current.digest == entry.content_digest:
            return None
        self._refuse_empty(entries)
        stored = load_content(repository, layer)
        if not self.keep_times:
            stored = stored.at(FIXED_TIME)
            return None if stored.digest == current.digest else stored.difference(current)
        content = stored.at(FIXED_TIME).difference(current.at(FIXED_TIME))
        return content or "times of files or keys, which count with file_times=keep"

    def build(
        self,
        repository: Repository,
        layer: LayerVersion,
        choice: ScriptChoice,
        *,
        check_mode: bool,
        progress: Progress,
    ) -> BuiltVersion:
        """Store the files as ``layer``, unless in check mode.

        Raises:
            InvalidInput: ``operations.layer_empty_folder``, ``operations.layer_protected_path``,
                ``operations.layer_delete``; as ``entries_from_folder`` and ``deltas_from_files``.
        """
        from ..winregistry.delta_format import read_delta
        from .layer_checks import check_content, misplaced_warnings

        entries = self._entries()
        self._refuse_empty(entries)
        plain = [entry for entry, _opener in entries]
        script = choice.for_paths(entry.path for entry in plain if entry.kind == FILE)
        check_content(layer.label, self.files, self.delete, plain)
        os_layer = _os_layer(layer)
        hives = self._hives(repository, os_layer.digest)
        counts = [read_delta(delta).counts() for _name, delta in hives]
        changes = {
            "files": sum(entry.kind in ("file", "link") for entry in plain),
            "directories": sum(entry.kind == "directory" for entry in plain),
            "removed": sum(entry.kind == WHITEOUT for entry in plain),
            "bytes": sum(entry.size for entry in plain),
            "keys": sum(count.keys_added + count.keys_changed + count.keys_removed for count in counts),
            "values": sum(count.values_added + count.values_changed + count.values_removed for count in counts),
        }
        if check_mode:
            layer.content_digest = layer_store.with_hives(source_fingerprint(entries), hives)
        else:
            add_script(repository, layer, script)
            layer = layer_store.put_files(repository, layer, entries, hives=hives, progress=progress)
        source = {
            "files": self.files,
            "registry": list(self.registry),
            "file_times": "keep" if self.keep_times else "fixed",
        }
        warnings = misplaced_warnings(layer.label, self.files, plain) if self.files else []
        if not plain and not hives:
            warnings.append(
                f"The {layer.label} changes nothing: its .reg files set only what the OS layer {os_layer.name} "
                f"{os_layer.version} has."
            )
        return BuiltVersion(layer, source, changes, script, warnings=warnings)

    @property
    def _time(self) -> int | None:
        return None if self.keep_times else FIXED_TIME

    def _entries(self) -> list[tuple[Entry, Opener | None]]:
        if not self.files and not self.delete:
            return []
        return entries_from_folder(self.files, delete=self.delete, time=self._time)

    def _hives(self, repository: Repository, os_layer: str, *, must_start: bool = True) -> list[tuple[str, bytes]]:
        if not self.registry:
            return []
        from ..images.composing import reg_files

        return reg_files.deltas_from_files(repository, os_layer, self.registry, time=self._time, must_start=must_start)

    def _refuse_empty(self, entries: Sequence[tuple[Entry, Opener | None]]) -> None:
        # A mount point is an empty folder as long as nothing is mounted there.
        if self.files and all(entry.kind == WHITEOUT for entry, _opener in entries):
            raise InvalidInput(
                f"The folder {self.files} holds no file and no folder. Is its share mounted?",
                code="operations.layer_empty_folder",
                hint="Mount the file system that contains the files, or correct the option files.",
                path=self.files,
            )


@dataclass(frozen=True)
class PackagedSource:
    """The disk of a packaging machine: an OVF package or a disk image at ``path``.

    ``noise_profile`` is ``AUTO`` if what the noise profile of the OS layer version lists is left out.
    """

    path: str
    credentials: ShareCredentials
    exclusions: tuple[Mapping[str, Any], ...]
    finalize: str
    noise_profile: str = AUTO

    @property
    def label(self) -> str:
        """The name of the source in messages."""
        return f"packaged_disk {self.path!r}"

    def exists(self) -> bool:
        """Return whether the disk exists; it may be deleted once it has been captured."""
        return packaged_disk_exists(self.path, self.credentials)

    def difference(
        self, repository: Repository, layer: LayerReference, entry: SoftwareLayerEntry, os_layer: str
    ) -> str | None:
        """Return what differs between the disk and a version, None if it was captured from it; do not read the disk."""
        from ..capture.rules import parse_rules

        parse_rules(self.exclusions)
        return None if self._open().is_recorded(entry.source) else "the path, the manifest, or the size and the time"

    def build(
        self,
        repository: Repository,
        layer: LayerVersion,
        choice: ScriptChoice,
        *,
        check_mode: bool,
        progress: Progress,
    ) -> BuiltVersion:
        """Capture ``layer``, unless in check mode.

        Raises:
            Conflict: ``operations.layer_not_finalizable``, ``operations.layer_empty`` if finalize is enforce.
        """
        from ..capture import capture
        from ..capture.rules import parse_rules
        from ..images.composing.layered_image import compose_stack

        rules = parse_rules(self.exclusions)
        packaged = self._open()
        opener, source = packaged.opener(), packaged.describe()
        about_package = [] if packaged.package is None else [f"{layer.label}: {w}" for w in packaged.package.warnings()]
        if check_mode:
            # Composing the image to compare with writes to the repository, so only the package is examined.
            return BuiltVersion(layer, source, {}, choice.script, warnings=about_package)
        if packaged.package is not None:
            packaged.package.verify(progress)
        base = compose_stack(repository, _os_layer(layer), tuple(layer.prerequisites), progress=progress)
        add_script(repository, layer, choice.script)
        noise = find_noise(repository, _os_layer(layer)) if self.noise_profile == AUTO else None
        profile = noise.profile if noise else None
        result = capture.capture(
            repository,
            base,
            opener,
            layer,
            rules,
            noise=profile,
            judge_gate=functools.partial(self._judge_gate, layer),
            progress=progress,
        )
        warnings = [_sentence(layer, finding) for finding in result.hazards if finding["result"] != "pass"]
        if self.finalize == "warn":
            warnings = [_sentence(layer, finding) for finding in _failed(result.gate)] + warnings
        changes = _totals(result.changes)
        if not any(changes.values()):
            warnings.insert(0, self._empty(layer, result.left_out))
        findings: dict[str, Any] = {
            "gate": result.gate,
            "hazards": result.hazards,
            "left_out": result.left_out,
            "detail": result.changes,
        }
        findings["noise_profile"] = noise.digest if noise else None
        layer, stored = _with_chosen_script(repository, result.layer, choice)
        return BuiltVersion(layer, source, changes, stored, findings, about_package + warnings)

    def _judge_gate(self, layer: LayerVersion, gate: list[dict[str, Any]]) -> None:
        """Refuse a disk whose finalize checks failed if finalize is enforce."""
        failed = _failed(gate)
        if failed and self.finalize == "enforce":
            more = f" (and {counted(len(failed) - 1, 'more finding')})" if len(failed) > 1 else ""
            raise Conflict(
                f"The packaging machine of the {layer.kind} layer {layer.name} {layer.version} is not ready to be "
                f"finalized: {failed[0]['found']}{more}.",
                code="operations.layer_not_finalizable",
                hint=failed[0]["action"],
                gate=gate,
            )

    def _open(self) -> PackagedDisk:
        return PackagedDisk.open(self.path, self.credentials)

    def _empty(self, layer: LayerVersion, left_out: list[dict[str, Any]]) -> str:
        """Return the warning for a disk without changes; raise Conflict if finalize is enforce."""
        from ..capture.noise.subtraction import REASON

        excluded = sum(rule["count"] for rule in left_out)
        has_noise = any(rule["reason"] == REASON for rule in left_out)
        excluding = "the rules and the noise profile" if has_noise else "the rules"
        except_for = f", except for {counted(excluded, 'change')} that {excluding} exclude" if excluded else ""
        message = (
            f"The {layer.kind} layer {layer.name} {layer.version} is empty: "
            f"the packaged disk equals the image that the packaging machine was created with{except_for}."
        )
        hint = f"{_EMPTY_HINT} {_NOISE_HINT}" if has_noise else _EMPTY_HINT
        if self.finalize == "enforce":
            # The steps after a capture delete the VM, and with it what was perhaps not exported.
            raise Conflict(message, code="operations.layer_empty", hint=hint, left_out=left_out)
        return f"{message} {hint}"


def _failed(gate: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [finding for finding in gate if finding["result"] == FAIL]


def _with_chosen_script(
    repository: Repository, layer: LayerVersion, choice: ScriptChoice
) -> tuple[LayerVersion, Script | None]:
    """Add the script that a captured version gets because of its files; return the version as it is stored then, and its script."""
    from ..images.stack.layer_stack import read_indexes, stacked_layer

    if choice.script is not None or not choice.office_activation:
        return layer, choice.script
    reference = LayerReference(layer.kind, layer.name, layer.version, layer.digest or "")
    (records,) = read_indexes(repository, [stacked_layer(repository, reference)])
    script = choice.for_paths(record.entry.path for record in records if record.entry.kind == FILE)
    if script is not None:
        add_script(repository, layer, script)
        layer = layer_store.put_version(repository, layer)
    return layer, script


def _os_layer(layer: LayerVersion) -> LayerReference:
    if layer.os_layer is None:
        raise InternalError(
            f"The {layer.kind} layer {layer.name} {layer.version} was built without an OS layer.",
            code="operations.layer_base",
        )
    return layer.os_layer


def _sentence(layer: LayerVersion, finding: Mapping[str, Any]) -> str:
    return f"{layer.label}: {finding['name']}: {finding['found']}. {finding['action']}"


def _totals(changes: dict[str, Any]) -> dict[str, Any]:
    files, directories = changes["files"], changes["directories"]
    return {
        "files": files["added"] + files["changed"],
        "directories": directories["added"] + directories["changed"],
        "removed": changes["removals"]["paths"],
        "bytes": files["bytes"],
        "keys": sum(changes["keys"].values()),
        "values": sum(changes["values"].values()),
    }
