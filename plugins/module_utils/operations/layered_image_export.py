# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layered_image_export: write the disk of an image as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..catalog.resolved_template import ResolvedTemplate
from ..catalog.templates import require_resolved
from ..common.errors import InvalidInput, NotFound, Unavailable, Unsupported
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..images import image_files
from ..images.layered_image import compose_template, os_layer_facts
from ..images.thin_image import ThinImage
from ..repository.repository import Repository
from ..shares.open import ShareCredentials, open_file
from ..shares.share import Share, parent_of
from .options import RepositoryOptions, share_credentials

_MAX_RECORD = 65536
_MAX_SHOWN = 5
#: Formats that can be written to a share without a mount.
_STREAMED = ("vmdk", "ova")


@dataclass(frozen=True, kw_only=True)
class LayeredImageExportOptions:
    """Options of the module layered_image_export. ``format`` None follows from the name of the file."""

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

    def check(self) -> None:
        """Raise if the file cannot be written in this format."""
        folder = parent_of(self.file)
        if not self.share.is_folder(folder):
            raise NotFound(
                f"The folder {self.share.where(folder)} does not exist.",
                code="operations.export_folder",
                hint="Create the folder first, or correct path.",
            )
        if self.share.is_folder(self.file):
            raise InvalidInput(
                f"The path {self.path!r} is a folder.",
                code="operations.export_kind",
                hint="Set path to the name of the file to write.",
            )
        if self.share.local_path(self.file) is None and self.format not in _STREAMED:
            raise Unsupported(
                f"An image in the format {self.format} cannot be written to an SMB share that is not mounted.",
                code="operations.export_share",
                hint="Set format to vmdk or ova, or mount the share and set path to the mount.",
            )

    def recorded(self) -> dict[str, Any] | None:
        """Return what the file was written from; None if there is no file or it was changed since."""
        status = self.share.stat(self.file)
        if status is None:
            return None
        try:
            record = json.loads(self.share.read(self._sidecar, _MAX_RECORD))
            known = (record["bytes"], record["mtime_ns"]) == (status.size, status.mtime_ns)
            return record if known and {"path", "format", "digest"} <= record.keys() else None
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, image: ThinImage, record: Mapping[str, Any], **description: Any) -> int:
        """Write the image, and ``record`` next to it; return the size of the file in bytes."""
        path = self.share.local_path(self.file)
        if path is not None:
            image_files.export(image, path, self.format, **description)
        else:
            with self.share.create(self.file) as out:
                image_files.write(image, out, self.format, **description)
        status = self.share.stat(self.file)
        if status is None:
            raise Unavailable(
                f"The file {self.share.where(self.file)} was deleted while it was written.",
                code="operations.export_vanished",
                hint="Check that no other process deletes files there, and run again.",
            )
        complete = dict(record, bytes=status.size, mtime_ns=status.mtime_ns)
        self.share.write(self._sidecar, (json.dumps(complete, indent=2, sort_keys=True) + "\n").encode())
        return status.size


def ensure_image_file(options: LayeredImageExportOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Write the image unless the file holds it already.

    Raises:
        NotFound: the repository, the template, a layer version or the folder (``operations.export_folder``)
            does not exist.
        InvalidInput: ``operations.export_kind``; the path is not acceptable.
        Unsupported: ``operations.export_share``.
        Conflict: the layer versions do not fit together, as ``resolve``.
    """
    repository = options.repository.open(check_mode=check_mode)
    template = require_resolved(repository, options.template)
    share, file = open_file(options.path, options.credentials)
    with share:
        target = _Target(share, file, options.path, options.format or _format_of(file))
        target.check()
        return _ensure(repository, template, target, options.repository.comment, check_mode, progress)


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
    result: dict[str, Any] = {"path": target.path, "digest": template.content_digest}
    if recorded is not None and before == after:
        return Outcome(False, after, after, result | {"bytes": recorded["bytes"]})
    warnings: list[str] = []
    if not check_mode:
        image = compose_template(repository, template, progress=progress)
        warnings = _warnings(template, image.config.statistics.dropped)
        firmware = os_layer_facts(repository, template).get("firmware") or "bios"
        result["bytes"] = target.write(image, after, name=template.name, firmware=firmware, progress=progress)
        details = {"path": target.path, "format": target.format}
        repository.audit.append("export", "layered_image", template.name, comment=comment, details=details)
    return Outcome(True, before, after, result, warnings)


def _warnings(template: ResolvedTemplate, dropped: Sequence[str]) -> list[str]:
    if not dropped:
        return []
    shown = "; ".join(dropped[:_MAX_SHOWN])
    return [f"{template.name}: left out because another file has the name: {shown} ({len(dropped)} in total)."]


def _format_of(file: str) -> str:
    """Return the format that a file's name ends in."""
    return next((name for name in ("ova", "raw", "qcow2") if file.lower().endswith(f".{name}")), "vmdk")
