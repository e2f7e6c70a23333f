# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layered_image_export: write the disk of an image as a file."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..catalog.resolved_template import ResolvedTemplate
from ..catalog.templates import require_resolved
from ..common.counting import counted_examples
from ..common.errors import Conflict, InvalidInput, NotFound, Unavailable, Unsupported
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..images.image_formats import ENDINGS, FORMATS, STREAMED
from ..repository.repository import Repository
from ..shares.open import ShareCredentials, open_file
from ..shares.share import Share, Status, parent_of
from .options import RepositoryOptions, share_credentials

if TYPE_CHECKING:
    from ..images.stored.thin_image import ThinImage

_MAX_RECORD = 65536
_MAX_SHOWN = 5
_OTHER_FILE = "Set path to a different file, or delete the file if it is no longer needed."


@dataclass(frozen=True, kw_only=True)
class LayeredImageExportOptions:
    """Options of the module layered_image_export. ``format`` None follows from the ending of ``path``."""

    repository: RepositoryOptions
    credentials: ShareCredentials
    template: str
    path: str
    format: str | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LayeredImageExportOptions:
        """Read the parameters of the module."""
        return cls(
            repository=RepositoryOptions.from_params(params),
            credentials=share_credentials(params),
            template=params["template"],
            path=params["path"],
            format=params["format"],
        )


@dataclass(frozen=True)
class _Target:
    """The file to write, on its share."""

    share: Share
    file: str
    path: str
    format: str

    @property
    def _sidecar(self) -> str:
        return f"{self.file}.strata.json"

    def check_format(self) -> None:
        """Raise Unsupported if the share cannot hold a file in this format."""
        if self.share.local_path(self.file) is None and self.format not in STREAMED:
            raise Unsupported(
                f"An image in the format {self.format} cannot be written to an SMB share that is not mounted.",
                code="operations.export_share",
                hint=f"Set format to one of: {', '.join(STREAMED)}; or mount the share and set path to the mount.",
            )

    def check_owner(self, template: str) -> None:
        """Raise Conflict if a file exists that is not an export of the image template ``template``."""
        status, record = self.share.stat(self.file), self._record()
        if status is None:
            return
        where = self.share.where(self.file)
        if record is None:
            record_file = self.share.where(self._sidecar)
            raise Conflict(
                f"The file {where} exists, but its export is not recorded in {record_file}.",
                code="operations.export_foreign",
                hint=_OTHER_FILE,
                file=where,
            )
        # Records of release 0.1 do not name the template.
        other = record.get("template", template)
        if other != template:
            raise Conflict(
                f"The file {where} contains the image of the template {other}, not of {template}.",
                code="operations.export_other_image",
                hint=_OTHER_FILE,
                file=where,
                template=other,
            )
        # An interrupted run leaves the old or the new file of this collection.
        if not record.get("writing") and not _is_unchanged(record, status):
            expected = record.get("bytes")
            difference = (
                "its modification time differs from the time that the record contains"
                if expected == status.size
                else f"expected {expected} bytes, found {status.size} bytes"
            )
            raise Conflict(
                f"The file {where} was changed after the template {template} was exported to it: {difference}.",
                code="operations.export_changed",
                hint=_OTHER_FILE,
                file=where,
                expected=expected,
                found=status.size,
            )

    def recorded(self) -> dict[str, Any] | None:
        """Return what the file was written from; None if there is no file or it was not written completely."""
        status, record = self.share.stat(self.file), self._record()
        if status is None or record is None or record.get("writing") or not _is_unchanged(record, status):
            return None
        return record

    def write(self, image: ThinImage, record: Mapping[str, Any], **description: Any) -> int:
        """Write the image, and ``record`` next to it; return the size of the file in bytes."""
        from ..images import image_files

        before = self._record() if self.share.stat(self.file) else None
        # If the run is killed, the next run recognizes the file as its own.
        self._save(dict(record, writing=True))
        try:
            path = self.share.local_path(self.file)
            if path is not None:
                image_files.export(image, path, self.format, **description)
                _set_whole_time(path)
            else:
                with self.share.create(self.file) as out:
                    image_files.write(image, out, self.format, **description)
        except BaseException:
            with contextlib.suppress(Exception):
                self._restore(before)
            raise
        status = self.share.stat(self.file)
        if status is None:
            raise Unavailable(
                f"The file {self.share.where(self.file)} was deleted while it was written.",
                code="operations.export_vanished",
                hint="Check that no other process deletes files there, and run again.",
            )
        self._save(dict(record, bytes=status.size, mtime_ns=status.mtime_ns))
        return status.size

    def _record(self) -> dict[str, Any] | None:
        """Return the record next to the file, None if there is no valid record."""
        try:
            record = json.loads(self.share.read(self._sidecar, _MAX_RECORD))
        except (FileNotFoundError, ValueError):
            return None
        return record if isinstance(record, dict) and {"path", "format", "digest"} <= record.keys() else None

    def _save(self, record: Mapping[str, Any]) -> None:
        self.share.write(self._sidecar, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())

    def _restore(self, record: Mapping[str, Any] | None) -> None:
        if record is None:
            self.share.remove(self._sidecar)
        else:
            self._save(record)


def _set_whole_time(path: str) -> None:
    """Set the modification time to whole seconds.

    Mounted shares report the time of a new file with the client's clock at first and with the server's clock later,
    and file systems store times with different precision. A time that is set explicitly stays the same.
    """
    seconds = int(time.time()) // 2 * 2
    with contextlib.suppress(OSError):
        os.utime(path, (seconds, seconds))


def _is_unchanged(record: Mapping[str, Any], status: Status) -> bool:
    """Return whether a file has the size and the time that were recorded after its export."""
    return (record.get("bytes"), record.get("mtime_ns")) == (status.size, status.mtime_ns)


def ensure_image_file(options: LayeredImageExportOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Write the image unless the file holds it already.

    Raises:
        NotFound: the repository, the template, a layer version or the folder (``operations.export_folder``)
            does not exist.
        InvalidInput: ``operations.export_kind``, ``operations.export_format``; the path is not acceptable.
        Unsupported: ``operations.export_share``.
        Conflict: ``operations.export_foreign``, ``operations.export_other_image``, ``operations.export_changed`` if
            the file is not an export of this template; the layer versions do not fit together, as ``resolve``.
    """
    repository = options.repository.open(check_mode=check_mode)
    template = require_resolved(repository, options.template)
    share, file = open_file(options.path, options.credentials, "path")
    with share:
        _check_place(share, file, options.path)
        target = _Target(share, file, options.path, options.format or _format_of(options.path))
        target.check_format()
        target.check_owner(template.name)
        return _ensure(repository, template, target, options.repository.comment, check_mode, progress)


def _check_place(share: Share, file: str, path: str) -> None:
    """Raise if ``file`` is a folder, or is in a folder that does not exist."""
    folder = parent_of(file)
    if not share.is_folder(folder):
        raise NotFound(
            f"The folder {share.where(folder)} does not exist.",
            code="operations.export_folder",
            hint="Create the folder first, or correct path.",
        )
    if share.is_folder(file):
        raise InvalidInput(
            f"The path {path!r} is a folder.",
            code="operations.export_kind",
            hint="Set path to the name of the file to write.",
        )


def _ensure(
    repository: Repository,
    template: ResolvedTemplate,
    target: _Target,
    comment: str | None,
    check_mode: bool,
    progress: Progress,
) -> Outcome:
    recorded = target.recorded()
    after = {"path": target.path, "format": target.format, "digest": template.content_digest}
    before = None if recorded is None else {key: recorded[key] for key in after}
    result: dict[str, Any] = {
        "file": target.path,
        "image_digest": template.image_digest,
        "content_digest": template.content_digest,
        "digest": template.content_digest,
    }
    if recorded is not None and before == after:
        return Outcome(False, after, after, result | {"bytes": recorded["bytes"]})
    warnings: list[str] = []
    if not check_mode:
        from ..images.composing.layered_image import compose_template, os_layer_facts

        image = compose_template(repository, template, progress=progress)
        warnings = _warnings(template, image.config.statistics.dropped)
        firmware = os_layer_facts(repository, template).get("firmware") or "bios"
        record = after | {"template": template.name}
        result["bytes"] = target.write(image, record, name=template.name, firmware=firmware, progress=progress)
        details = {"path": target.path, "format": target.format}
        repository.audit.append("export", "layered_image", template.name, comment=comment, details=details)
    return Outcome(True, before, after, result, warnings)


def _warnings(template: ResolvedTemplate, dropped: Sequence[str]) -> list[str]:
    if not dropped:
        return []
    shown = counted_examples(dropped[:_MAX_SHOWN], len(dropped), "item", separator="; ")
    return [f"{template.name}: left out, because other files have the name: {shown}."]


def _format_of(path: str) -> str:
    """Return the format that a file's name ends in; raise InvalidInput for other names."""
    found = next((name for name in ENDINGS if path.lower().endswith(f".{name}")), None)
    if found is None:
        endings = ", ".join(f".{name}" for name in ENDINGS)
        raise InvalidInput(
            f"The path {path!r} has none of the endings {endings}, and format is not set.",
            code="operations.export_format",
            hint=f"Set format to one of: {', '.join(FORMATS)}; or correct the ending of path.",
        )
    return found
